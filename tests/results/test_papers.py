"""A paper is one file: numbers, tables, headline, notebooks with their order and settings."""

import pytest

from tinylib import figures, reports, results, settings
from tinylib.errors import DataError, UsageError
from tinylib.results import comparison, paper_files
from tinylib.results.rows import Row

FIFTH = """
paper: fifth
title: A fifth paper
place: 5
notebooks:
  14_fifth:
    after: [03_baselines]
    headline: ['AUC']
    settings:
      epochs: {type: int, smoke: 1, demo: 10, full: 100}
      widths: {type: 'tuple[int, ...]', smoke: [4], demo: [8, 16], full: [64]}
      margin: {type: float, value: 0.5}
claims:
- {ref: 'Table 1', above: new, below: old, input: 8x8, metric: AUC, says: the new beats the old}
results:
- {ref: 'Table 1', row: new, input: 8x8, metric: AUC, value: 60.0, unit: '%'}
- {ref: 'Table 1', row: old, input: 8x8, metric: AUC, value: 50.0, unit: '%'}
tables:
- {ref: 'Table 1', shows: the two, notebooks: ['14_fifth'], contest: true}
"""


@pytest.fixture
def fifth(tmp_path, monkeypatch):
    """The four papers and a fifth, which is one more file."""
    there = tmp_path / "papers"
    there.mkdir()
    for file in paper_files.folder().glob("*.yaml"):
        (there / file.name).write_bytes(file.read_bytes())
    (there / "fifth.yaml").write_text(FIFTH)
    monkeypatch.setattr(paper_files, "folder", lambda: there)
    return there / "fifth.yaml"


def row(name, value, metric="AUC"):
    base = {"paper": "fifth", "ref": "Table 1", "input": "8x8", "profile": "demo", "seeds": 3, "n": 9}
    base |= {"data": "synthvirat", "commit": "abc", "device": "CPU", "low": value - 0.01, "high": value + 0.01}
    return Row(row=name, value=value, metric=metric, **base)


def test_a_fifth_paper_is_one_file(fifth, tmp_path):
    assert [paper.name for paper in results.papers()][:5] == ["tinyvirat", "tinyaction", "winner", "stat", "fifth"]
    assert reports.after("14_fifth") == ("03_baselines",)
    assert reports.before_of("14_fifth", ["03_baselines", "08_sampling_and_balance"]) == ["03_baselines"]
    results.record(tmp_path / "14_fifth", [row("new", 0.5), row("old", 0.4), row("new", 0.9, "F1")])
    runs = comparison.collect([tmp_path])
    assert comparison.claims("fifth", "Table 1", runs)["held"].tolist() == ["yes"]
    assert ("fifth", "Table 1") in comparison.tables()
    assert "14_fifth" in comparison.notebooks()
    counts = comparison.verdicts(runs).set_index("paper")
    assert counts.loc["fifth", ["orderings", "yes"]].tolist() == [1, 1]
    known_for = comparison.known_for(runs).set_index("paper")
    assert known_for.loc["fifth", ["title", "held"]].tolist() == ["A fifth paper", "yes"]
    assert known_for.loc["fifth", ["their gain", "our gain"]].tolist() == pytest.approx([10, 10])
    assert figures.png(figures.headline(comparison.known_for(runs), comparison.gaps(runs)))[:4] == b"\x89PNG"


def test_its_settings_are_a_dataclass_like_all_others(fifth):
    kind = settings.of_paper("14_fifth")
    demo = kind.of("demo", margin=0.25)
    assert (demo.epochs, demo.widths, demo.margin, demo.run_dir) == (10, (8, 16), 0.25, "runs/14_fifth")
    assert demo.table()["▶ demo"]["epochs"] == 10
    with pytest.raises(UsageError, match="epochs must be int, got 'x'"):
        kind.of("demo", epochs="x")
    with pytest.raises(UsageError, match="no paper lists notebook '15_none'"):
        settings.of_paper("15_none")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("smoke: 1, ", "smoke: one, ", r"14_fifth, setting epochs: 'one' is not int"),
        (", value: 50.0", "", r"fifth\.yaml: results, line 2: no 'value'"),
        ("claims:", "claim:", r"fifth\.yaml: unknown section 'claim'"),
        ("paper: fifth", "name: fifth", r"fifth\.yaml: not a paper \(no name"),
        ("place: 5", "place: [", r"fifth\.yaml: not a paper"),
        ("14_fifth:", "03_baselines:", "notebook 03_baselines is listed by both tinyaction and fifth"),
        ("headline:", "headlines:", "notebook 14_fifth: unknown field 'headlines'"),
    ],
)
def test_what_is_wrong_in_a_papers_file_is_named(fifth, old, new, says):
    fifth.write_text(FIFTH.replace(old, new, 1))
    with pytest.raises(DataError, match=says):
        settings.of_paper("14_fifth")


def test_each_claim_is_in_its_table_and_goes_the_way_that_it_says():
    for claim in results.facts("claims"):
        table = results.published(claim["paper"], claim["ref"]).set_index(["row", "input", "metric"])["value"]
        above, below = (table[claim[side], claim["input"], claim["metric"]] for side in ("above", "below"))
        assert above > below, claim
