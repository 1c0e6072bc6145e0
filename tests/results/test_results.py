"""Result rows, the published numbers, tables and orderings."""

from __future__ import annotations

import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch

from tinylib import results
from tinylib.errors import DataError, UsageError
from tinylib.results.rows import Row

NATIVE = "TinyVIRAT native 10-128 px (baseline: bicubic to 112x112)"


def row(name: str = "I3D", value: float = 0.25, **changes: object) -> Row:
    settings = {"paper": "tinyvirat", "ref": "Table II", "row": name, "input": NATIVE, "metric": "F1", "value": value}
    settings |= {"low": value - 0.02, "high": value + 0.02, "profile": "demo", "data": "synthvirat"}
    return Row(**(settings | {"commit": "abc", "device": "CPU, 2 cores", "n": 10, "seeds": 3} | changes))


def test_a_rerun_replaces_its_rows(tmp_path):
    results.record(tmp_path, [row(value=0.1), row("ResNet-50", value=0.2)])
    results.record(tmp_path, [row(value=0.3), row(value=0.4, profile="full")])
    rows = results.load(tmp_path)
    assert [(r.row, r.profile, r.value) for r in rows] == [
        ("I3D", "demo", 0.3),
        ("ResNet-50", "demo", 0.2),
        ("I3D", "full", 0.4),
    ]
    keys = "paper ref row input metric value low high seeds n profile data data_hash commit seconds device"
    first = json.loads((tmp_path / "results.jsonl").read_text().splitlines()[0])
    assert list(first) == keys.split()


def test_many_writers_lose_nothing(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: results.record(tmp_path, [row(f"row {i}")]), range(24)))
    assert len(results.load(tmp_path)) == 24


def test_results_are_found_below_folders_and_bad_lines_named(tmp_path):
    results.record(tmp_path / "a" / "b", [row()])
    results.record(tmp_path / "c", [row("ResNet-50")])
    assert len(results.load(tmp_path)) == 2
    assert len(results.load([tmp_path / "c", tmp_path / "a" / "b" / "results.jsonl"])) == 2
    with open(tmp_path / "c" / "results.jsonl", "a") as file:
        file.write('{"paper": "tinyvirat"}\n')
    with pytest.raises(DataError, match=r"results\.jsonl:2: not a result row"):
        results.load(tmp_path)
    with pytest.raises(DataError, match="no results here"):
        results.load(tmp_path / "nothing")


def test_what_is_published():
    facts = results.published()
    assert len(facts) == 168
    assert not facts.duplicated(["paper", "ref", "row", "input", "metric"]).any()
    assert set(facts["paper"]) == {"tinyvirat", "tinyaction", "winner", "stat"}
    assert {"Table I", "Table II", "Table III", "Table IV", "Table V", "text"} == set(
        results.published("tinyvirat")["ref"]
    )
    two = results.published("tinyvirat", "Table II").set_index("row")["value"]
    assert two["WideResNet + Prog. DVSR + Attn."] == 35.07
    five = results.published("tinyvirat", "Table V").set_index("row")["value"]
    assert [five["w/o DVSR"], five["Progressive DVSR + Attention"]] == [two["I3D"], two["I3D + Prog. DVSR + Att."]]
    withheld = facts[(facts["ref"] == "Table 1") & (facts["row"] == "UCF-101") & (facts["metric"] == "Val")]
    assert withheld["value"].tolist() == [None]
    assert len(results.figures()) == 20
    with pytest.raises(UsageError, match="Table IX"):
        results.published("tinyvirat", "Table IX")


def test_published_f1_are_possible_but_for_the_marked_one():
    facts = results.published("tinyaction")
    facts = facts[facts["ref"].isin(["Table 2", "Table 3"])]
    table = facts.pivot(index="row", columns="metric", values="value").astype(float)
    impossible = table[table["F1"] > (table["Precision"] + table["Recall"]) / 2 + 0.005]
    assert list(impossible.index) == ["3 SUST&HKU"]
    assert "misprint" in facts.dropna(subset=["note"])["note"].iloc[0]


def test_a_table_is_a_join_in_the_papers_unit():
    rows = [row(value=0.3), row("Ours alone", value=0.5), row(ref="Table V"), row(paper="stat")]
    table = results.table("tinyvirat", "Table II", rows)
    assert table["row"].tolist()[:2] == ["I3D", "I3D + Prog. DVSR"]  # the paper's order, then what it does not have
    assert table["row"].iloc[-1] == "Ours alone"
    first = table.iloc[0]
    assert [first["paper"], first["ours"], first["low"], first["high"]] == pytest.approx([28.73, 30, 28, 32])
    assert first["gap"] == pytest.approx(1.27)
    assert pd.isna(table["ours"].iloc[1])
    assert table["ours"].iloc[-1] == pytest.approx(50)
    assert "synthetic" in table.attrs["banner"]
    assert "reproduced" in results.shown(table).to_html()


def test_rates_published_as_ratios_stay_ratios():
    mine = row("I3D", 0.29, paper="tinyaction", ref="Table 2", input="TinyVIRAT-v2 test", data="tinyvirat-v2")
    table = results.table("tinyaction", "Table 2", [mine])
    line = table[(table["row"] == "I3D") & (table["metric"] == "F1")].iloc[0]
    assert line["gap"] == pytest.approx(-0.02)
    assert "synthetic" not in table.attrs["banner"]
    assert "No run of ours" in results.table("tinyaction", "Table 2", []).attrs["banner"]


def test_flags_and_blanks_do_not_break_a_table():
    table = results.table("tinyaction", "Table 1", [])
    assert "No" in table["paper"].tolist()
    assert table["gap"].isna().all()


def test_two_runs_of_one_key_make_two_lines():
    table = results.table("tinyvirat", "Table II", [row(), row(profile="full", value=0.28)])
    assert table[table["row"] == "I3D"]["profile"].tolist() == ["demo", "full"]


def test_orderings():
    rows = [
        row("I3D", 0.20),
        row("I3D + Prog. DVSR", 0.30),
        row("I3D + Prog. DVSR + Att.", 0.29),
        row("ResNet-50", 0.10),
    ]
    held = results.orderings("tinyvirat", "Table II", rows).set_index("claim")["held"]
    assert held["I3D + Prog. DVSR > I3D"] == "yes"
    assert held["I3D + Prog. DVSR + Att. > I3D + Prog. DVSR"] == "open"
    assert held["ResNet-50 > I3D"] == "no"
    assert len(held) == 6
    one = results.orderings("tinyvirat", "Table II", rows, pairs=[("I3D", "ResNet-50")])
    assert one["claim"].tolist() == ["ResNet-50 > I3D"]
    assert one["paper gap"].tolist() == pytest.approx([0.35])
    assert one["our gap"].tolist() == pytest.approx([-10])
    equal = [row("I3D", 0.2), row("ResNet-50", 0.2)]
    assert results.orderings("tinyvirat", "Table II", equal)["held"].tolist() == ["open"]
    unknown = [row("I3D", 0.2, low=None, high=None), row("ResNet-50", 0.3, low=None, high=None)]
    assert results.orderings("tinyvirat", "Table II", unknown)["held"].tolist() == ["open"]
    assert results.orderings("tinyvirat", "Table II", []).empty


def test_which_code_and_which_machine(monkeypatch):
    results.commit.cache_clear()
    assert re.fullmatch(r"[0-9a-f]{10}(\+dirty)?|v.+", results.commit())
    results.commit.cache_clear()

    def no_git(*_: object, **__: object) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", no_git)
    assert results.commit().startswith("v")
    results.commit.cache_clear()
    assert re.fullmatch(r"CPU, \d+ cores", results.device_name(torch.device("cpu")))


def test_an_interval_that_is_not_there_is_null(tmp_path):
    results.record(tmp_path, [row(low=float("nan"), high=float("nan")), row("ResNet-50", value=0.3)])
    first = json.loads((tmp_path / "results.jsonl").read_text().splitlines()[0])
    assert (first["low"], first["high"]) == (None, None)
    assert results.orderings("tinyvirat", "Table II", results.load(tmp_path))["held"].tolist() == ["open"]


def test_tables_of_metrics_become_rows_like_a_given_one():
    table = pd.DataFrame({"metric": ["F1", "mAP"], "value": [0.5, 0.6], "low": [0.4, np.nan], "high": [0.6, np.nan]})
    like = row(row="", metric="", value=0.0)
    rows = results.rows_of({"a": table, "b": table.set_index("metric")}, like)
    assert [(r.row, r.metric, r.value, r.low) for r in rows] == [
        ("a", "F1", 0.5, 0.4),
        ("a", "mAP", 0.6, None),
        ("b", "F1", 0.5, 0.4),
        ("b", "mAP", 0.6, None),
    ]
    assert all((r.paper, r.device, r.commit) == (like.paper, like.device, like.commit) for r in rows)
