"""The log of a notebook's numbers, and the per-clip scores beside them."""

import json

import numpy as np
import pandas as pd
import pytest

from tinylib import results
from tinylib.errors import DataError, UsageError
from tinylib.evaluation import metrics


class Split:
    def digest(self):
        return "d1"

    def __len__(self):
        return 12


class Settings:
    profile, data, seed = "demo", "synthvirat", 3

    def split(self, name):
        assert name == "test"
        return Split()


def clips(seeds=2, classes=3, n=12, shift=0.0, **more):
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, (n, classes))
    scores = np.clip(0.25 + 0.5 * targets + rng.normal(0, 0.2, (seeds, n, classes)) + shift, 0.001, 0.999)
    return results.Clips(scores, [f"video {i // 3}" for i in range(n)], targets, **more)


def test_a_number_is_on_disk_when_it_is_added_with_what_it_shares(tmp_path):
    log = results.Log(tmp_path, Settings(), "test", paper="tinyvirat", seconds=5.0)
    log.add("Table II", "I3D", "F1", 0.25, 0.2, 0.3, ran="tiny I3D, 32x32")
    log.add("sizes", "I3D", "F1", np.float32(0.5), float("nan"), float("nan"), paper="ours", n=4, seeds=0, seconds=1)
    first, second = results.load(tmp_path)
    assert (first.paper, first.ref, first.row, first.value, first.low, first.high) == (
        *("tinyvirat", "Table II", "I3D", 0.25, 0.2, 0.3),
    )
    assert (first.profile, first.data, first.data_hash, first.n, first.seeds) == ("demo", "synthvirat", "d1", 12, 1)
    assert (first.seconds, first.ran, first.device) == (5.0, "tiny I3D, 32x32", results.device_name())
    assert (second.paper, second.n, second.seeds, second.low, second.seconds) == ("ours", 4, 0, None, 1)
    assert [first, second] == log.rows
    with pytest.raises(UsageError, match="Table II, I3D, F1: nan is no number"):
        log.add("Table II", "I3D", "F1", float("nan"))


def test_tables_of_evaluate_share_one_file_of_clips(tmp_path):
    scores = clips()
    log = results.Log(tmp_path, Settings(), "test", paper="tinyvirat")
    table = metrics.evaluate(scores.scores, scores.targets, scores.groups, n=20)
    rows = log.table("Table II", {"I3D": table}, input="14x14", clips={"I3D": scores}, ran={"I3D": "tiny"})
    assert [row.metric for row in rows] == table["metric"].tolist()
    assert {(row.seeds, row.n, row.ran, row.input) for row in rows} == {(2, 12, "tiny", "14x14")}
    (file,) = (tmp_path / "clips").iterdir()
    assert {row.clips for row in results.load(tmp_path)} == {file.stem}
    opened = results.Clips.load(tmp_path, file.stem)
    assert opened.same_clips(scores)
    assert opened.scores == pytest.approx(scores.scores, abs=1e-3)
    assert file.stat().st_size < 3000


def test_the_order_of_scores_near_one_survives(tmp_path):
    scores = 1 - np.geomspace(1e-7, 1e-1, 50)[:, None]
    name = results.Clips(scores, np.arange(50), np.ones((50, 1))).save(tmp_path)
    again = results.Clips.load(tmp_path, name).scores[0, :, 0]
    assert (np.diff(again) < 0).all()


def test_values_without_targets_and_what_does_not_fit(tmp_path):
    values = results.Clips([30.0, 31.5], ["a", "b"])
    assert results.Clips.load(tmp_path, values.save(tmp_path)).scores.tolist() == [[30.0, 31.5]]
    with pytest.raises(DataError, match="3 source videos"):
        results.Clips([30.0, 31.5], ["a", "b", "c"])
    with pytest.raises(UsageError, match="probabilities"):
        results.Clips([[2.0]], ["a"], [[1]])
    with pytest.raises(DataError, match=r"clips/gone\.npz: the clips of a result are not there"):
        results.Clips.load(tmp_path, "gone")
    (tmp_path / "clips" / "bad.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"clips/bad\.npz: not the clips"):
        results.Clips.load(tmp_path, "bad")


def test_rows_are_appended_and_half_a_line_is_no_result(tmp_path):
    log = results.Log(tmp_path, Settings(), "test")
    log.add("a", "x", "F1", 0.1)
    file = tmp_path / "results.jsonl"
    before = file.read_bytes()
    file.write_bytes(before + before[:40])  # a writer killed half-way
    assert [row.value for row in results.load(tmp_path)] == [0.1]
    log.add("a", "x", "F1", 0.2)
    assert file.read_bytes().startswith(before)
    assert [row.value for row in results.load(tmp_path)] == [0.2]
    file.write_bytes(file.read_bytes().rstrip(b"\n"))  # a whole line, its end cut off
    log.add("a", "y", "F1", 0.3)
    assert [row.value for row in results.load(tmp_path)] == [0.2, 0.3]
    assert "ran" not in json.loads(before)


def test_metrics_that_the_clips_do_not_have_are_left_out(tmp_path):
    table = pd.DataFrame({"metric": ["F1", "mAP"], "value": [0.5, np.nan], "low": [0.4, np.nan], "high": [0.6, np.nan]})
    rows = results.Log(tmp_path, Settings()).table("sizes", {"a": table})
    assert [(row.paper, row.metric, row.n) for row in rows] == [("ours", "F1", None)]
