"""A paper's table as text, in four forms, and the references."""

import io
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.results.test_results import NATIVE, row
from tinylib import cli, results
from tinylib.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def runs(tmp_path):
    """Two rows of ours, three seeds each, whose intervals do not meet, and one within the best's."""
    rows = [row("I3D", 0.20), row("I3D + Prog. DVSR", 0.30), row("ResNet-50", 0.29), row("Ours & <more>", 0.05)]
    results.record(tmp_path / "05_foreground_attention", rows)
    return tmp_path


def test_latex_has_booktabs_the_best_in_bold_and_marks_what_is_decided(runs):
    text = results.typeset("tinyvirat", "Table II", [runs], "latex")
    for rule in ("toprule", "midrule", "bottomrule"):
        assert text.count(f"\\{rule}") == 1
    lines = {line.split(" & ")[0]: line for line in text.splitlines() if line.endswith(r" \\")}
    assert lines["I3D + Prog. DVSR"].endswith(r"& \bfseries 30.0 [28.0, 32.0] \\")
    assert lines["I3D"].endswith(r"& 20.0 [18.0, 22.0]\textsuperscript{\dag} \\")
    assert lines["ResNet-50"].endswith(r"& 29.0 [27.0, 31.0] \\")  # not decided: the intervals meet
    assert lines[r"WideResNet + Prog. DVSR + Attn."] == r"WideResNet + Prog. DVSR + Attn. & \bfseries 35.07 &  \\"
    assert r"Ours \& \textless{}more\textgreater{} & " in text
    assert "nothing here is a reproduced number" in text
    assert NATIVE in text


def test_markdown_and_html_escape_what_would_break_them(runs):
    text = results.typeset("tinyvirat", "Table II", [runs])
    (line,) = [line for line in text.splitlines() if "Ours &" in line]
    assert line.startswith(r"| Ours & \<more>")
    assert "**30.0 [28.0, 32.0]**" in text
    assert "Ours &amp; &lt;more&gt;" in results.typeset("tinyvirat", "Table II", [runs], "html")
    piped = results.typeset("stat", "Table 3").splitlines()[2]
    assert len(re.findall(r"(?<!\\)\|", piped)) == len(
        re.findall(r"(?<!\\)\|", results.typeset("stat", "Table 3").splitlines()[0])
    )


def test_csv_has_a_line_a_number(runs):
    frame = pd.read_csv(io.StringIO(results.typeset("tinyvirat", "Table II", [runs], "csv")))
    printed = results.published("tinyvirat", "Table II")
    assert len(frame) == len(printed) + 4
    best = frame[frame["best"]].set_index("source")["value"]
    assert best.to_dict() == {"paper": 35.07, "05_foreground_attention": 30.0}
    assert frame[frame["below"]]["row"].tolist() == ["I3D", "Ours & <more>"]
    ours = frame[frame["source"] != "paper"].set_index("row")
    assert ours.loc["ResNet-50", ["low", "high"]].tolist() == pytest.approx([27.0, 31.0])
    assert set(ours["data"]) == {"synthvirat"}


def test_a_table_whose_rows_do_not_compete_has_nothing_bold():
    assert "bfseries" not in results.typeset("tinyvirat", "Table I", (), "latex")
    assert "No run of ours yet" in results.typeset("tinyvirat", "Table I", (), "latex")


def test_smaller_pictures_that_stand_for_the_papers_are_said(tmp_path):
    mine = [row(name, 0.5, paper="stat", ref="Table 2", input=f"{side}x{side}", metric="UCF101 Prec@1")
            for name in ("Before", "After") for side in (3, 6, 9, 12)]  # fmt: skip
    results.record(tmp_path / "07", mine)
    assert "07: ours at 3x3 stands at 6x8." in results.typeset("stat", "Table 2", [tmp_path])


@pytest.mark.parametrize(
    ("paper", "ref", "form", "says"),
    [
        ("nobody", "Table 1", "md", "no paper 'nobody'; there are tinyvirat, tinyaction, winner, stat"),
        ("stat", "Table 9", "md", "stat has no 'Table 9' here; there are Table 1, Table 2"),
        ("stat", "Table 2", "pdf", "format 'pdf': expected one of latex, csv, md, html"),
    ],
)
def test_what_is_not_there_is_said(paper, ref, form, says):
    with pytest.raises(UsageError, match=re.escape(says)):
        results.typeset(paper, ref, (), form)


def test_the_command_writes_what_the_function_answers(runs, tmp_path, capsys):
    out = tmp_path / "table.tex"
    call = ["table", "tinyvirat", "Table II", "--runs", str(runs), "--format", "latex"]
    assert cli.main([*call, "--out", str(out)]) == 0
    assert cli.main(call) == 0
    assert (
        capsys.readouterr().out
        == out.read_text(encoding="utf-8")
        == results.typeset("tinyvirat", "Table II", [runs], "latex")
    )
    assert cli.main(["table", "stat", "Table 9"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_references_are_those_of_the_citation_file(capsys):
    assert cli.main(["cite"]) == 0
    text = capsys.readouterr().out
    file = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    plain = text.replace("{", "").replace("}", "")
    assert text.count("\n@") + 1 == 1 + len(file["references"])
    assert f"title = {file['title']}," in plain
    assert f"version = {file['version']}" in plain
    for paper in file["references"]:
        names = " and ".join(f"{one['family-names']}, {one['given-names']}" for one in paper["authors"])
        assert f"title = {paper['title']},\n  author = {names},\n  year = {paper['year']}" in plain
