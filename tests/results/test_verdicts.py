"""Orderings judged by paired differences of the clips behind two rows."""

import numpy as np
import pandas as pd
import pytest

from tinylib import results
from tinylib.evaluation import metrics, pairing
from tinylib.results import comparison
from tinylib.results.rows import Row

NATIVE = "TinyVIRAT native 10-128 px (baseline: bicubic to 112x112)"


class Settings:
    profile, data, seed = "demo", "synthvirat", 0

    def split(self, name):
        raise AssertionError(name)


def answers(good: float, seeds: int = 3, videos: int = 30, noise: float = 0.1):
    """Clips whose difficulty all networks share; a share `good` of the rest is right."""
    rng = np.random.default_rng(5)
    targets = np.eye(3)[rng.integers(0, 3, 4 * videos)]
    groups = np.arange(4 * videos) // 4
    hard = rng.random((4 * videos, 1)) * 0.8 + rng.normal(0, noise, (videos, 1))[groups]
    scores = [
        np.clip(np.where(targets > 0, good + hard, 0.9 - hard) + rng.normal(0, 0.02, targets.shape), 0.01, 0.99)
        for _ in range(seeds)
    ]
    return results.Clips(np.stack(scores), groups, targets)


def put(folder, names, seeds=None):
    log = results.Log(folder, Settings(), paper="tinyvirat")
    for name, clips in names.items():
        log.table("Table II", {name: clips.table(n=100)}, input=NATIVE, clips={name: clips}, seeds=seeds)
    return results.load(folder)


def test_a_paired_difference_decides_where_intervals_meet(tmp_path):
    rows = put(tmp_path, {"I3D": answers(0.3), "I3D + Prog. DVSR": answers(0.36)})
    (line,) = results.orderings("tinyvirat", "Table II", rows).to_dict("records")
    by_row = {row.row: row for row in rows if row.metric == "F1"}
    assert by_row["I3D"].high > by_row["I3D + Prog. DVSR"].low  # unpaired, nothing could be said
    assert (line["claim"], line["held"], line["judged"]) == ("I3D + Prog. DVSR > I3D", "yes", "paired")
    assert line["our gap"] == pytest.approx(100 * (by_row["I3D + Prog. DVSR"].value - by_row["I3D"].value), abs=0.1)
    assert 0 < line["low"] < line["our gap"] < line["high"]
    assert line["p"] < 0.05
    expected = metrics.differences(
        answers(0.36).scores, answers(0.3).scores, answers(0.3).targets, answers(0.3).groups
    ).set_index("metric")
    assert [line["low"], line["high"]] == pytest.approx(
        100 * expected.loc["F1", ["low", "high"]].to_numpy(float), abs=0.3
    )


def test_one_seed_is_never_clear_of_noise_and_what_is_not_drawn_needs_none(tmp_path):
    sure = {"I3D": answers(0.2, seeds=1), "I3D + Prog. DVSR": answers(0.6, seeds=1)}
    (line,) = results.orderings("tinyvirat", "Table II", put(tmp_path / "a", sure)).to_dict("records")
    assert (line["held"], line["judged"]) == ("open", "one seed")
    assert line["low"] > 0
    (line,) = results.orderings("tinyvirat", "Table II", put(tmp_path / "b", sure, seeds=0)).to_dict("records")
    assert (line["held"], line["judged"]) == ("yes", "paired")


def test_other_clips_are_not_paired_and_that_is_said(tmp_path):
    rows = put(tmp_path, {"I3D": answers(0.3), "I3D + Prog. DVSR": answers(0.31, videos=20)})
    (line,) = results.orderings("tinyvirat", "Table II", rows).to_dict("records")
    assert (line["held"], line["judged"]) == ("open", "unpaired")
    assert np.isnan(line["p"])


@pytest.mark.parametrize(("metric", "there"), [("mAP", True), ("F1 (fitted)", False), ("top-1", False), ("F1", True)])
def test_metrics_that_clips_can_tell(metric, there):
    assert (pairing.resampled(answers(0.3), metric, 5) is not None) == there


def test_class_numbers_and_values_are_paired_too():
    one = results.Clips([[[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]], ["a", "b", "c"], [0, 1, 1])
    assert pairing.resampled(one, "HMDB-51 accuracy", 3)[:, 0] == pytest.approx([2 / 3])
    assert pairing.resampled(one, "Prec@1", 3)[:, 0] == pytest.approx([2 / 3])
    assert pairing.resampled(one, "F1", 3) is None
    better, worse = results.Clips([30.0, 31.0, 32.5], list("abc")), results.Clips([29.0, 30.0, 31.0], list("abc"))
    gap = pairing.difference(better, worse, "PSNR (dB)")
    assert gap.value == pytest.approx(7 / 6)
    assert gap.low > 0
    assert pairing.difference(better, better, "PSNR (dB)").p == 1


def test_holm_by_hand():
    # 0.01 <= 0.05 / 4, 0.016 <= 0.05 / 3, 0.03 > 0.05 / 2: what follows is open, be it below 0.05
    assert pairing.holm([0.016, 0.04, 0.01, 0.03]) == [True, False, True, False]
    assert pairing.holm([float("nan"), 0.02]) == [False, True]
    assert pairing.holm([float("nan"), 0.03]) == [False, False]
    assert pairing.holm([]) == []


def test_what_luck_would_decide_is_said():
    common = {"judged": "paired", "p": 0.04}
    claims = pd.DataFrame([{"held": "yes", **common}] * 3 + [{"held": "open", "judged": "one seed", "p": 0.5}])
    claims.loc[0, "p"] = 0.0001
    counts = results.tally(claims)
    assert counts.to_dict() == {
        **{"measured": 4, "yes": 3, "open": 1, "no": 0, "paired": 3, "by luck": 0.2},  # 5% of three, rounded
        **{"yes, all sure": 1, "no, all sure": 0},
    }
    assert "Of 4 orderings measured 3 hold, 0 are reversed and 1 are open" in comparison.summary(claims)
    assert comparison.summary(claims[:0]).startswith("No ordering")


def test_rows_of_before_are_judged_by_their_intervals():
    base = {"paper": "tinyvirat", "ref": "Table II", "input": NATIVE, "metric": "F1", "profile": "demo", "seeds": 3}
    base |= {"data": "synthvirat", "commit": "abc", "device": "CPU"}
    rows = [Row(row=n, value=v, low=v - 0.01, high=v + 0.01, **base) for n, v in (("I3D", 0.4), ("ResNet-50", 0.3))]
    (line,) = results.orderings("tinyvirat", "Table II", rows).to_dict("records")
    assert (line["held"], line["judged"]) == ("no", "unpaired")
