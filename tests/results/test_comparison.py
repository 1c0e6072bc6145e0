"""All tables against all runs: the join, the verdicts, what is missing, and the facts they lean on."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tinylib import figures, results
from tinylib.errors import DataError
from tinylib.results import comparison
from tinylib.results.rows import Row
from tinylib.settings import PapersVsOurs

NATIVE = "TinyVIRAT native 10-128 px (baseline: bicubic to 112x112)"
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def row(name, value, half=0.01, **changes):
    base = {
        "paper": "tinyvirat",
        "ref": "Table II",
        "input": NATIVE,
        "metric": "F1",
        "profile": "demo",
        "n": 20,
        "seeds": 3,
    }
    base |= {"data": "synthvirat", "commit": "abc", "device": "CPU, 2 cores", "low": value - half, "high": value + half}
    return Row(row=name, value=value, **(base | changes))


@pytest.fixture
def runs(tmp_path):
    results.record(tmp_path / "03_baselines", [row("I3D", 0.30), row("ResNet-50", 0.20)])
    grid = [row("I3D", 0.10), row("I3D + Prog. DVSR", 0.20), row("I3D + Prog. DVSR + Att.", 0.195)]
    grid += [row("mine", 0.5), row("I3D", 0.9, metric="mAP")]
    results.record(tmp_path / "05_foreground_attention", grid)
    results.record(tmp_path / "12_papers_vs_ours", [row("not to be read", 1.0)])
    return comparison.collect([tmp_path, tmp_path / "nothing here"])


def test_runs_are_found_by_name_and_a_bad_line_is_named(runs, tmp_path):
    assert [(run.name, len(run.rows)) for run in runs] == [("03_baselines", 2), ("05_foreground_attention", 5)]
    assert comparison.collect([]) == []
    (tmp_path / "03_baselines" / "results.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match=r"03_baselines/results.jsonl:1: not a result row"):
        comparison.collect([tmp_path])


def test_a_table_holds_the_papers_rows_in_order_and_every_runs_numbers(runs):
    table = comparison.joined("tinyvirat", "Table II", runs)
    assert table["row"].tolist()[:3] == ["I3D", "I3D", "I3D + Prog. DVSR"]
    assert table["notebook"].tolist()[:2] == ["03_baselines", "05_foreground_attention"]
    assert table["ours"].tolist()[:2] == ["30.0 [29.0, 31.0]", "10.0 [9.0, 11.0]"]
    assert table.iloc[-1][["row", "ours"]].tolist() == ["mine", "50.0 [49.0, 51.0]"]
    assert "mAP" not in table.to_string()  # the paper does not print it
    said = table.attrs["banner"]
    assert said.startswith(f"F1, %, {NATIVE}. Ours: synthvirat, profile demo.")
    assert "synthetic" in said
    assert "03_baselines: CPU, 2 cores, commit abc." in said
    alone = comparison.joined("stat", "Table 1", [])
    assert "No run of ours" in alone.attrs["banner"]
    assert len(alone) == 6


def test_orderings_are_judged_within_one_run_and_counted_once(runs):
    claims = comparison.claims("tinyvirat", "Table II", runs)
    held = {line["claim"]: (line["held"], line["notebook"]) for line in claims.to_dict("records")}
    assert held == {
        "I3D + Prog. DVSR + Att. > I3D": ("yes", "05_foreground_attention"),
        "I3D + Prog. DVSR > I3D": ("yes", "05_foreground_attention"),
        "I3D + Prog. DVSR + Att. > I3D + Prog. DVSR": ("open", "05_foreground_attention"),
        "ResNet-50 > I3D": ("no", "03_baselines"),  # and not I3D of 05 against ResNet-50 of 03
    }
    assert claims["paper gap"].is_monotonic_decreasing
    counts = comparison.verdicts(runs).set_index(["paper", "ref"])
    assert counts.loc[("tinyvirat", "Table II"), [*comparison.ANSWERS, "not measured"]].tolist() == [2, 1, 1, 32]
    assert counts.loc[("stat", "Table 3"), "not measured"] == comparison.possible("stat", "Table 3") == 67
    assert (counts[[*comparison.ANSWERS, "not measured"]].sum(axis=1) == counts["orderings"]).all()
    assert len(comparison.gaps(runs)) == 4


def test_ratios_become_points():
    ours = [row(name, v, paper="tinyaction", ref="Table 2", input="TinyVIRAT-v2 test")
            for name, v in (("I3D", 0.1), ("R(2+1)D", 0.3))]  # fmt: skip
    gaps = comparison.gaps([comparison.Run("03_baselines", Path("x"), tuple(ours))])
    assert gaps[["paper gap", "our gap"]].iloc[0].tolist() == pytest.approx([1, 20])


def test_smaller_pictures_stand_at_the_papers_sizes_in_order():
    common = {"ref": "Table III", "metric": "HMDB-51 accuracy"}
    ours = [row("DVSR", 0.3, input="7x7", **common), row("DVSR", 0.5, input="14x14", **common)]
    ours += [row("Bicubic - I3D", 0.2, input="7x7", **common)]
    run = comparison.Run("06_low_resolution_ucf_hmdb", Path("x"), tuple(ours))
    assert comparison.stand_in("tinyvirat", "Table III", ours) == {"7x7": "14x14", "14x14": "28x28"}
    table = comparison.joined("tinyvirat", "Table III", [run])
    lines = table[table["ours"] != ""]
    assert lines[["row", "input", "our input"]].to_numpy().tolist() == [
        ["Bicubic - I3D", "14x14", "7x7"],
        ["DVSR", "14x14", "7x7"],
        ["DVSR", "28x28", "14x14"],
    ]
    assert comparison.claims("tinyvirat", "Table III", [run])["claim"].tolist() == ["DVSR > Bicubic - I3D"]
    assert comparison.stand_in("tinyvirat", "Table III", ours[:1]) == {}  # one size of two: which is it?
    assert comparison.stand_in("tinyvirat", "Table II", [row("I3D", 0.1)]) == {}


def test_what_has_not_run_is_said_with_its_error(runs, tmp_path):
    folder = tmp_path / "out" / "runs"
    status = tmp_path / "out" / "status" / "07_attention_transfer.json"
    status.parent.mkdir(parents=True)
    status.write_text(json.dumps({"state": "failed", "error": "KeyError: 'x'"}))
    state = comparison.state(runs, [folder]).set_index("notebook")
    assert state.loc["03_baselines", ["numbers", "state", "device"]].tolist() == [2, "", "CPU, 2 cores"]
    assert state.loc["07_attention_transfer", "state"] == "failed: KeyError: 'x'"
    assert state.loc["06_low_resolution_ucf_hmdb", "state"] == "has not run"


def test_the_facts_are_about_what_is_published():
    tables = {(line["paper"], line["ref"]) for line in results.facts("tables")}
    published = set(map(tuple, results.published()[["paper", "ref"]].drop_duplicates().to_numpy()))
    assert tables == {pair for pair in published if pair[1] != "text"}
    for section in ("contradictions", "warnings"):
        assert {(line["paper"], line["ref"]) for line in results.facts(section)} <= published
        assert all(line["text"].endswith(".") for line in results.facts(section))
    planned = {*comparison.notebooks(), comparison.HERE}
    assert planned <= set(results.planned()) == {path.stem for path in NOTEBOOKS.glob("[0-9]*.ipynb")}
    assert any("0.883" in text for text in comparison.remarks("winner", "Table 3"))
    assert any("0.355" in text for text in comparison.remarks("tinyaction", "Table 3"))
    assert results.facts("tables", "tinyaction", "Table 3")[0]["notebooks"] == []


def test_figures_draw_with_and_without_results(runs):
    for given in (runs, []):
        for figure in (figures.verdicts(comparison.verdicts(given)), figures.paper_gaps(comparison.gaps(given))):
            assert figures.png(figure)[:4] == b"\x89PNG"
    words = [t.get_text() for t in figures.verdicts(comparison.verdicts(runs)).axes[0].get_yticklabels()]
    assert "tinyvirat Table II" in words
    assert "winner Table 3" not in words  # one row orders nothing


def test_folders_of_the_notebook(tmp_path):
    settings = PapersVsOurs.of("demo", run_dir=str(tmp_path / "runs" / comparison.HERE))
    assert settings.folders == [tmp_path / "runs"]
    given = PapersVsOurs.of("demo", sources=[str(tmp_path / "a"), str(tmp_path / "b")])
    assert given.folders == [tmp_path / "a", tmp_path / "b"]


def test_words_of_a_shown_table_stand_left():
    page = results.shown(pd.DataFrame({"n": [1.0], "ours": ["1.5 [1, 2]"], "row": ["I3D"]})).to_html()
    assert page.count("text-align: left") == 1
