"""Steps of an ensemble, measured one by one; thresholds that have not seen what they judge."""

import numpy as np
import pytest

from tinylib.errors import DataError
from tinylib.evaluation import ensemble, metrics


def case(clips=120, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.random((clips, classes)) < [0.5, 0.3, 0.15, 0.1][:classes]
    scores = np.clip(0.35 * truth + 0.5 * rng.random((clips, classes)), 0, 1)
    return scores, truth, np.array([f"video {i % 7}" for i in range(clips)])


def test_gains_add_up_and_are_paired():
    scores, truth, videos = case()
    worse = scores * 0.7
    steps = {
        "single": [worse > 0.5, worse > 0.5],
        "the same": [worse > 0.5],
        "better": [scores > 0.5],
        "truth": [truth],
    }
    table = ensemble.waterfall(steps, truth, videos)
    assert table["step"].tolist() == list(steps)
    assert table["systems"].tolist() == [2, 1, 1, 1]
    assert table["F1"].tolist() == pytest.approx([metrics.f1(each[0].astype(float), truth) for each in steps.values()])
    assert table["F1"].iloc[-1] == 1
    assert table.loc[1, ["gain", "gain low", "gain high"]].tolist() == [0, 0, 0]  # not zero plus the noise of the clips
    assert table["F1"].iloc[0] + table["gain"].sum() == pytest.approx(1)
    assert np.isnan(table["gain"].iloc[0])
    better = table.iloc[2]
    assert 0 < better["gain low"] <= better["gain"] <= better["gain high"]


def test_alternatives_are_averaged():
    scores, truth, videos = case()
    both = [scores > 0.5, scores > 0.6]
    table = ensemble.waterfall({"either": both}, truth, videos, average="micro")
    expected = np.mean([metrics.f1(each.astype(float), truth, average="micro") for each in both])
    assert table["F1"].iloc[0] == pytest.approx(expected)


def test_one_video_has_no_interval():
    scores, truth, videos = case()
    table = ensemble.waterfall({"a": [scores > 0.5], "b": [scores > 0.4]}, truth, ["v"] * len(videos))
    assert table[["low", "high", "gain low", "gain high"]].isna().all(axis=None)


def test_thresholds_out_of_fold_never_saw_the_clips_video():
    scores, truth, videos = case()
    thresholds = ensemble.out_of_fold(scores, truth, videos, folds=3, monotone=False)
    assert thresholds.shape == scores.shape
    parts = {tuple(thresholds[videos == video][0]) for video in set(videos)}
    assert len(parts) == 3
    for video in set(videos):
        assert (thresholds[videos == video] == thresholds[videos == video][0]).all()
    inside = videos == "video 2"
    forged = np.where(inside[:, None], ~truth, truth)  # whatever the clips of this video are, its thresholds stay
    np.testing.assert_array_equal(
        ensemble.out_of_fold(scores, forged, videos, folds=3, monotone=False)[inside], thresholds[inside]
    )


def test_each_video_alone_is_a_fold_at_most():
    scores, truth, videos = case()
    thresholds = ensemble.out_of_fold(scores, truth, videos, folds=100)
    outside = videos != "video 0"
    np.testing.assert_array_equal(
        thresholds[videos == "video 0"][0], ensemble.fit_thresholds(scores[outside], truth[outside])
    )
    with pytest.raises(DataError, match="two source videos"):
        ensemble.out_of_fold(scores, truth, ["v"] * len(videos))


def test_the_group_prior_takes_the_classes_that_are_there():
    classes = ("Opening", "Closing", "activity_walking", "Entering")
    scores = np.array([[0.9, 0.8, 0.7, 0.6]] * 2)
    decisions = ensemble.group_prior(scores > 0.5, scores, classes, ("virat", "meva"))
    assert decisions.astype(int).tolist() == [[1, 0, 1, 1], [1, 1, 1, 1]]
