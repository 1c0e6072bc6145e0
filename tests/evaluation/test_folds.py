"""Folds as one experiment: hand-made scores of two folds whose pooled figures are known."""

import numpy as np
import pytest

from tinylib.cli import main
from tinylib.errors import DataError, UsageError
from tinylib.evaluation import folds
from tinylib.evaluation.scores import Scores


def keep_scores(root, fold, experiment, seed, right, *, classes=("a", "b")):
    """Scores of four clips of two videos, the first `right` of them told correctly."""
    truth = np.array([0, 1, 0, 1])
    said = np.where(np.arange(4) < right, truth, 1 - truth)
    folder = root / fold / f"{experiment}-{seed}"
    folder.mkdir(parents=True)
    Scores(
        name="made up",
        split="test",
        data_hash=fold,
        clip_ids=tuple(f"{fold}{i}" for i in range(4)),
        video_ids=tuple(f"{fold}v{i // 2}" for i in range(4)),
        scores=np.eye(2, dtype=np.float32)[said],
        targets=truth,
        classes=classes,
        domains=("",) * 4,
        sides=np.zeros(4, np.int64),
    ).save(folder / "scores.npz")


@pytest.fixture
def runs(tmp_path):
    for seed in (0, 1):
        keep_scores(tmp_path, "one", "student-12x16", seed, 2)
        keep_scores(tmp_path, "two", "student-12x16", seed, 1 + seed)
        keep_scores(tmp_path, "one", "SAT", seed, 4)
        keep_scores(tmp_path, "two", "SAT", seed, 2)
    keep_scores(tmp_path, "one", "only-here", 0, 1)
    return [tmp_path / "one", tmp_path / "two"]


def row(table, experiment, over=""):
    return table[(table["experiment"] == experiment) & (table["over"] == over)].set_index("metric").loc["top-1"]


def test_clips_of_all_folds_count_alike(runs):
    table = folds.pooled(runs, over="student-12x16")
    assert set(table["experiment"]) == {"student-12x16", "SAT"}
    student, both = row(table, "student-12x16"), row(table, "SAT")
    assert student["value"] == pytest.approx((3 / 8 + 4 / 8) / 2)
    assert both["value"] == pytest.approx(6 / 8)
    assert (both["seeds"], both["n"]) == (2, 8)
    assert both["low"] < both["value"] < both["high"]
    gain = row(table, "SAT", "student-12x16")
    assert gain["value"] == pytest.approx(both["value"] - student["value"])
    assert not len(table[(table["experiment"] == "student-12x16") & (table["over"] != "")])


def test_a_run_keeps_its_scores_in_either_way(runs):
    folder = runs[0] / "scores"
    folder.mkdir()
    (runs[0] / "only-here-0" / "scores.npz").rename(folder / "only-here-0.npz")
    table = folds.pooled(runs[:1])
    assert set(table["experiment"]) == {"student-12x16", "SAT", "only-here"}
    assert row(table, "only-here")["value"] == 0.25


def test_one_fold_is_what_its_own_table_says(runs):
    assert row(folds.pooled(runs[:1]), "only-here")["value"] == 0.25


def test_runs_that_do_not_fit_together_are_named(runs, tmp_path):
    with pytest.raises(UsageError, match=r"no experiment 'TAT' in every run; there are SAT, student-12x16"):
        folds.pooled(runs, over="TAT")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: no EXPERIMENT-SEED/scores.npz"):
        folds.pooled([*runs, tmp_path / "empty"])
    with pytest.raises(UsageError, match="named twice"):
        folds.pooled([runs[0], *runs])
    keep_scores(tmp_path, "three", "SAT", 0, 1)
    with pytest.raises(DataError, match=r"three: SAT has seeds \[0\], elsewhere \[0, 1\]"):
        folds.pooled([*runs, tmp_path / "three"])
    keep_scores(tmp_path, "four", "SAT", 0, 1, classes=("a", "c"))
    keep_scores(tmp_path, "four", "SAT", 1, 1, classes=("a", "c"))
    with pytest.raises(DataError, match=r"four: SAT tells other classes apart"):
        folds.pooled([*runs, tmp_path / "four"])


def test_the_command_prints_and_writes_the_table(runs, tmp_path, capsys):
    file = tmp_path / "pooled.csv"
    folders = [str(folder) for folder in runs]
    assert main(["pool", *folders, "--over", "student-12x16", "--out", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "SAT" in printed
    assert "75.0" in printed
    lines = file.read_text().splitlines()
    assert lines[0] == "experiment,over,metric,value,low,high,seeds,n"
    assert any(line.startswith("SAT,student-12x16,top-1,0.3125,") for line in lines)
    assert main(["pool", *folders, "--metric", "top1"]) == 2
    assert "no metric 'top1'; there are top-1" in capsys.readouterr().err
    assert main(["pool", *folders, "--over", "nobody"]) == 2
    assert "no experiment 'nobody'" in capsys.readouterr().err
