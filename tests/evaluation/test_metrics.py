"""Metrics against hand cases, scikit-learn (1e-9), the recorded flavours of F1, and their own rules."""

import json

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from tinylib.errors import DataError, UsageError
from tinylib.evaluation import metrics


def drawn(seed: int, clips: int = 40, classes: int = 7):
    """Random scores (with ties) and targets with an empty column and a full one."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 11, (clips, classes)) / 10
    targets = (rng.random((clips, classes)) < 0.3).astype(np.float32)
    targets[0], targets[:, 1], targets[:, 2] = 0, 0, 1
    scores[1:4] = 0
    return scores, targets


def test_a_hand_case():
    scores = [[0.9, 0.2], [0.8, 0.6], [0.1, 0.7]]
    targets = [[1, 0], [0, 1], [1, 0]]
    # class 0: predicted {0, 1}, true {0, 2}: P = R = F1 = 1/2; class 1: predicted {1, 2}, true {1}: P 1/2, R 1, F1 2/3
    assert metrics.precision(scores, targets) == pytest.approx(0.5)
    assert metrics.recall(scores, targets) == pytest.approx(0.75)
    assert metrics.f1(scores, targets) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert metrics.f1(scores, targets, average="micro") == pytest.approx(2 * 2 / (4 + 3))
    # clip 0: F1 1; clip 1: guessed {0, 1}, true {1}: 2/3; clip 2: guessed {1}, true {0}: 0
    assert metrics.f1(scores, targets, average="samples") == pytest.approx((1 + 2 / 3) / 3)


def test_the_threshold_is_to_be_exceeded_and_may_differ_by_class():
    assert metrics.f1([[0.5, 0.5]], [[1, 1]]) == 0
    assert metrics.f1([[0.5, 0.5]], [[1, 1]], threshold=[0.4, 0.6]) == 0.5


@pytest.mark.parametrize("average", ["macro", "micro", "samples"])
@pytest.mark.parametrize("seed", range(3))
def test_rates_agree_with_sklearn(average, seed):
    scores, targets = drawn(seed)
    expected = sk.precision_recall_fscore_support(targets, scores > 0.5, average=average, zero_division=0)[:3]
    np.testing.assert_allclose(metrics.precision_recall_f1(scores, targets, average=average), expected, atol=1e-9)


def test_recorded_flavours_of_f1(parity):
    arrays = np.load(parity / "tinyvirat_losses.npz")
    recorded = json.loads((parity / "tinyvirat_losses.json").read_text())["f1"]
    for average in ("macro", "micro", "samples"):
        rates = metrics.precision_recall_f1(arrays["f1_pred"], arrays["f1_gt"], average=average)
        np.testing.assert_allclose(rates, [recorded[average][k] for k in ("precision", "recall", "f1")], atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_agrees_with_sklearn_ties_included(seed):
    scores, targets = drawn(seed)
    areas = metrics.average_precision(scores, targets)
    assert np.isnan(areas[1])  # no clip has the class
    assert areas[2] == pytest.approx(1)  # every clip has it
    for column in (0, 2, 3, 4, 5, 6):
        assert areas[column] == pytest.approx(
            sk.average_precision_score(targets[:, column], scores[:, column]), abs=1e-9
        )
    zero = metrics.mean_average_precision(scores, targets, absent="zero")
    with pytest.warns(UserWarning, match="No positive class"):
        assert float(zero) == pytest.approx(sk.average_precision_score(targets, scores), abs=1e-9)
    assert float(metrics.mean_average_precision(scores, targets)) == pytest.approx(float(zero) * 7 / 6)


@pytest.mark.parametrize("seed", range(2))
def test_weights_mean_repetition(seed):
    scores, targets = drawn(seed)
    weights = np.random.default_rng(seed).integers(0, 4, (3, 40))
    for row in weights:
        again = np.repeat(np.arange(40), row)
        assert metrics.precision_recall_f1(scores, targets, weights=row)[0] == pytest.approx(
            metrics.precision_recall_f1(scores[again], targets[again])
        )
        np.testing.assert_allclose(
            metrics.average_precision(scores, targets, weights=row)[0],
            metrics.average_precision(scores[again], targets[again]),
        )
    assert metrics.precision_recall_f1(scores, targets, average="samples", weights=weights).shape == (3, 3)


def test_no_predictions_and_no_clips_score_zero():
    assert metrics.f1(np.zeros((4, 3)), np.ones((4, 3))) == 0
    assert metrics.f1(np.zeros((0, 3)), np.zeros((0, 3))) == 0
    assert np.isnan(metrics.average_precision(np.zeros((0, 3)), np.zeros((0, 3)))).all()
    assert np.isnan(metrics.mean_average_precision(np.zeros((2, 3)), np.zeros((2, 3))))


def test_topk_counts_ties_against():
    scores = [[0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [1, 1, 1]]
    assert metrics.topk(scores, [1, 0, 2]) == pytest.approx(1 / 3)
    assert metrics.topk(scores, [1, 0, 2], 2) == pytest.approx(2 / 3)
    rng = np.random.default_rng(0)
    scores, labels = rng.random((50, 8)), rng.integers(0, 8, 50)
    assert metrics.topk(scores, labels, 5) == pytest.approx(sk.top_k_accuracy_score(labels, scores, k=5), abs=1e-9)


def test_bad_input_is_named():
    with pytest.raises(DataError, match="row 1 is not finite"):
        metrics.f1([[0, 1], [np.nan, 0]], [[0, 1], [1, 0]])
    with pytest.raises(DataError, match="do not belong together"):
        metrics.f1([[0, 1]], [[0, 1, 1]])
    with pytest.raises(UsageError, match="weighted"):
        metrics.f1([[0, 1]], [[0, 1]], average="weighted")


def test_psnr_of_a_known_error():
    video = torch.zeros(1, 3, 2, 4, 4)
    other = video.clone()
    other[:, :, 1] = 0.1
    assert metrics.psnr(other, video)[0, 1].item() == pytest.approx(20)
    assert metrics.psnr(other, video)[0, 0].item() == np.inf


def plain_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """The definition, one window at a time."""
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    values = []
    for i in range(x.shape[0] - 10):
        for j in range(x.shape[1] - 10):
            a, b = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
            ma, mb = (window * a).sum(), (window * b).sum()
            va, vb = (window * (a - ma) ** 2).sum(), (window * (b - mb) ** 2).sum()
            cov = (window * (a - ma) * (b - mb)).sum()
            values.append((2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4)))
    return float(np.mean(values))


def test_ssim_is_the_definition():
    rng = np.random.default_rng(0)
    video, target = rng.random((2, 1, 2, 2, 14, 13))
    ssim = metrics.ssim(torch.from_numpy(video), torch.from_numpy(target))
    assert ssim.shape == (1, 2)
    for frame in range(2):
        expected = np.mean([plain_ssim(video[0, c, frame], target[0, c, frame]) for c in range(2)])
        assert ssim[0, frame].item() == pytest.approx(expected, abs=1e-9)
    assert metrics.ssim(torch.from_numpy(video), torch.from_numpy(video)).min().item() == pytest.approx(1)
    with pytest.raises(UsageError, match="smaller than"):
        metrics.ssim(torch.zeros(1, 3, 1, 8, 8), torch.zeros(1, 3, 1, 8, 8))


def test_the_bootstrap_draws_whole_videos():
    weights = metrics.resamples(["a", "a", "b", "c"], n=200, seed=1)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 0] + weights[:, 2] + weights[:, 3] == 3).all()
    assert (weights == metrics.resamples(["a", "a", "b", "c"], n=200, seed=1)).all()
    assert (weights != metrics.resamples(["a", "a", "b", "c"], n=200, seed=2)).any()


def test_the_bootstrap_interval_of_a_mean_is_the_textbook_one():
    values = np.random.default_rng(0).normal(size=400)
    low, high = metrics.bootstrap(lambda w: w @ values / w.sum(1), np.arange(400), n=4000)
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.01)
    assert high == pytest.approx(values.mean() + half, abs=0.01)
    wide = metrics.bootstrap(lambda w: w @ np.repeat(values[:100], 4) / w.sum(1), np.repeat(np.arange(100), 4))
    assert wide[1] - wide[0] > 1.5 * (high - low)  # four copies of a clip are not four clips


def test_evaluate_one_run_and_several_seeds():
    scores, targets = drawn(0)
    videos = np.arange(40) // 4
    table = metrics.evaluate(scores, targets, videos, n=200).set_index("metric")
    assert table.loc["F1", "value"] == pytest.approx(metrics.f1(scores, targets))
    assert table.loc["F1 (samples)", "value"] == pytest.approx(metrics.f1(scores, targets, average="samples"))
    assert table.loc["mAP", "value"] == pytest.approx(float(metrics.mean_average_precision(scores, targets)))
    assert (table["low"] < table["value"]).all()
    assert (table["value"] <= table["high"]).all()
    other = 1 - scores
    both = metrics.evaluate([scores, other], targets, videos, n=200).set_index("metric")
    mean = (metrics.f1(scores, targets) + metrics.f1(other, targets)) / 2
    assert both.loc["F1", "value"] == pytest.approx(mean)
    assert (both["seeds"] == 2).all()
    width = lambda t: t.loc["F1", "high"] - t.loc["F1", "low"]  # noqa: E731
    assert width(both) > 0.5 * abs(metrics.f1(scores, targets) - metrics.f1(other, targets))
    single = metrics.evaluate(np.eye(6)[[0, 1, 2]], [0, 1, 3], [0, 1, 2], n=50).set_index("metric")
    assert single.loc["top-1", "value"] == pytest.approx(2 / 3)
    assert list(single.index) == ["top-1", "top-5"]


def test_over_seeds_widens_with_disagreement():
    assert metrics.over_seeds([0.5], [0.4], [0.7]) == pytest.approx((0.5, 0.4, 0.7))
    mean, low, high = metrics.over_seeds([0.4, 0.6], [0.3, 0.5], [0.5, 0.7])
    between = 12.706204736 * 0.1  # t(0.975, 1) * std / sqrt(2)
    assert mean == pytest.approx(0.5)
    assert high - mean == pytest.approx(mean - low) == pytest.approx(np.hypot(0.1, between))


def test_spearman():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 6, 30), rng.random(30)
    rho, low, high = metrics.spearman(x, y + 0.2 * x)
    assert rho == pytest.approx(spearmanr(x, y + 0.2 * x).statistic, abs=1e-9)
    assert low < rho < high
    assert np.isnan(metrics.spearman([1, 1, 1], [1, 2, 3])[0])


def test_tables():
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8]])
    targets = np.array([[1, 0], [0, 0], [0, 1]])
    table = metrics.per_class(scores, targets, ["walk", "run"]).set_index("class")
    assert table.loc["walk", ["support", "predicted", "precision", "recall"]].tolist() == [1, 2, 0.5, 1]
    assert table.loc["walk", "ap"] == pytest.approx(0.5)
    groups = metrics.per_group(scores, targets, ["virat", "virat", "meva"]).set_index("group")
    assert groups.loc["virat", ["n", "classes", "recall"]].tolist() == [2, 1, 1]
    assert groups.loc["meva", "f1"] == 1
    bins = metrics.per_resolution(scores, targets, [128, 19, 20])
    assert bins["group"].tolist() == ["0-20", "20-40", "100-128"]
    with pytest.raises(DataError, match="128"):
        metrics.per_resolution(scores, targets, [130, 19, 20])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 0.9))
def test_macro_f1_never_exceeds_the_mean_of_precision_and_recall(seed, threshold):
    scores, targets = drawn(seed, clips=12, classes=4)
    rates = metrics.precision_recall_f1(scores, targets, threshold=threshold)
    assert rates[2] <= (rates[0] + rates[1]) / 2 + 1e-12
    order = np.random.default_rng(seed).permutation(12)
    np.testing.assert_allclose(
        metrics.average_precision(scores, targets), metrics.average_precision(scores[order], targets[order])
    )


def test_one_source_video_has_no_interval():
    scores, targets = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.7]]), np.array([[1, 0], [0, 1], [0, 1]])
    low, high = metrics.bootstrap(lambda weights: weights.sum(1), ["a", "a", "a"])
    assert np.isnan([low, high]).all()
    table = metrics.evaluate(scores, targets, ["a", "a", "a"])
    assert table[["low", "high"]].isna().all(axis=None)
    assert metrics.spelled(0.5, low, high) == "0.500"
    assert metrics.spelled(0.5, 0.25, 0.75, digits=2) == "0.50 [0.25, 0.75]"
    assert metrics.evaluate(scores, targets, ["a", "a", "b"])[["low", "high"]].notna().all(axis=None)


def test_paired_gains_leave_out_how_hard_the_clips_are():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 5)
    hard = np.repeat(rng.normal(0, 10, 40), 5)  # far larger than the gain, but shared by both
    before = hard + rng.normal(0, 0.1, (3, 200))
    value, low, high = metrics.paired(before + 1, before, groups)
    assert value == pytest.approx(1)
    assert (low, high) == (pytest.approx(1), pytest.approx(1))
    value, low, high = metrics.paired(before + rng.normal(0.5, 1, (3, 200)), before, groups)
    assert low < 0.5 < high
    assert 0.1 < high - low < 0.6


def test_paired_gains_know_that_seeds_differ():
    groups, before = np.arange(50), np.zeros((2, 50))
    after = np.stack([np.zeros(50), np.ones(50)])  # one seed gains everything, the other nothing
    value, low, high = metrics.paired(after, before, groups)
    half = 0.5 * 2**0.5  # two seeds vary among their resamples by half of their variance
    assert (value, low, high) == pytest.approx((0.5, 0.5 - half, 0.5 + half), abs=0.03)  # and 50 videos are few
    value, low, high = metrics.paired(after[0], before[0], np.zeros(50))
    assert value == 0
    assert np.isnan([low, high]).all()


def test_differences_leave_out_what_both_sides_share():
    rng = np.random.default_rng(0)
    truth = (rng.random((60, 3)) < 0.4).astype(float)
    good = np.clip(0.6 * truth + 0.4 * rng.random((2, 60, 3)), 0, 1)
    bad = np.clip(good - 0.35 * truth, 0, 1)
    videos = np.repeat(np.arange(12), 5)
    table = metrics.differences(good, bad, truth, videos).set_index("metric")
    both = [metrics.evaluate(runs, truth, videos).set_index("metric")["value"] for runs in (good, bad)]
    np.testing.assert_allclose(table["value"], both[0] - both[1])
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()
    same = metrics.differences(good, good, truth, videos)
    assert (same[["value", "low", "high"]] == 0).all(axis=None)
    with pytest.raises(DataError, match="on the other"):
        metrics.differences(good, bad[:1], truth, videos)
