"""Bootstrap intervals where they are hard: few source videos, and classes that only one or two of them hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinylib.evaluation import metrics


def long_tailed(videos: int, seed: int, classes: int = 8):
    """A split whose classes occur in ever fewer videos, and are ever harder to find."""
    rng = np.random.default_rng(seed)
    share = np.geomspace(0.6, 0.04, classes)
    scores, targets, groups = [], [], []
    for video in range(videos):
        clips = rng.integers(6, 16)
        there = rng.random((clips, classes)) < np.clip(share * rng.gamma(0.5, 2, classes), 0, 0.95)
        margin = np.linspace(3.0, 1.5, classes)
        logits = -1.5 + margin * there + rng.normal(0, 0.6, classes) + rng.normal(0, 1, (clips, classes))
        scores.append(1 / (1 + np.exp(-logits)))
        targets.append(there.astype(float))
        groups += [f"v{video}"] * clips
    return np.concatenate(scores), np.concatenate(targets), groups


def test_a_class_that_a_resample_lacks_keeps_its_value_there():
    scores = np.array([[0.9, 0.6, 0.1], [0.2, 0.7, 0.9], [0.8, 0.4, 0.1]])
    targets = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]])
    weights = np.array([[1, 1, 1], [2, 0, 1]])  # the second has lost class 1; no clip has class 2
    # class 0: AP 1 and predicted {0, 2}: F1 2/3, then, with clip 0 twice, 4/5; class 1: AP 1, predicted {0, 1}: F1 2/3
    for absent, second in (("keep", (4 / 5 + 2 / 3) / 3), ("zero", 4 / 15)):
        rates = metrics.precision_recall_f1(scores, targets, weights=weights, absent=absent)
        assert rates[:, 2] == pytest.approx([4 / 9, second])
    hard = np.array([[0.9, 0.8, 0.1], [0.2, 0.7, 0.9], [0.8, 0.4, 0.1]])  # class 1 found second: AP 1/2
    means = metrics.mean_average_precision(hard, targets, weights=weights, absent="keep")
    assert means == pytest.approx([0.75, 0.75])
    assert metrics.mean_average_precision(hard, targets, weights=weights) == pytest.approx([0.75, 1.0])
    assert float(metrics.mean_average_precision(hard, targets, absent="keep")) == pytest.approx(0.75)


def test_losing_hard_rare_classes_no_longer_lifts_the_interval_off_its_value():
    """One easy class in every video, twenty hard ones in one video each."""
    videos, rare = 20, 20
    targets, scores = np.zeros((4 * videos, 1 + rare)), np.zeros((4 * videos, 1 + rare))
    groups = np.arange(4 * videos) // 4
    targets[::2, 0] = scores[::2, 0] = 1
    for number in range(rare):
        targets[4 * number, 1 + number] = 1
        scores[:, 1 + number] = 0.3
        scores[4 * number, 1 + number] = 0.1  # last of all
    weights = metrics.resamples(groups, 300)
    plain = metrics.interval(metrics.mean_average_precision(scores, targets, weights=weights))
    value = float(metrics.mean_average_precision(scores, targets))
    assert plain[0] > value  # the old way: over the classes that were drawn
    table = metrics.evaluate(scores, targets, groups, n=300).set_index("metric")
    assert table.loc["mAP", "low"] <= value == table.loc["mAP", "value"] <= table.loc["mAP", "high"]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 9), st.integers(1, 2))
def test_an_interval_holds_its_value_and_stays_within_bounds(seed, videos, seeds):
    scores, targets, groups = long_tailed(videos, seed)
    runs = [scores, np.clip(scores + 0.1, 0, 1)][:seeds]
    table = metrics.evaluate(runs, targets, groups, n=60, seed=seed)
    table = table.dropna(subset="value")
    assert (table["low"] <= table["value"] + 1e-12).all()
    assert (table["value"] <= table["high"] + 1e-12).all()
    assert (table[["low", "high"]].to_numpy() >= 0).all()
    assert (table[["low", "high"]].to_numpy() <= 1).all()


def test_few_groups_make_the_interval_of_student():
    values = np.random.default_rng(3).normal(size=(300, 5))
    ends = [metrics.bootstrap(lambda w, row=row: metrics.weighted_mean(row, w), np.arange(5), n=200) for row in values]
    low, high = np.array(ends).T
    held = ((low <= 0) & (high >= 0)).mean()
    assert 0.91 <= held <= 0.98  # plain percentiles of five: 0.83
    half = 2.776 * values.std(axis=1, ddof=1) / np.sqrt(5)
    assert np.median((high - low) / (2 * half)) == pytest.approx(1, abs=0.06)


def test_coverage_on_long_tailed_splits():
    """95% intervals hold the mean over such splits about as often as they say; plain percentiles did not."""
    whole = [long_tailed(8, seed) for seed in range(1000, 1250)]
    there = np.array([targets.sum(0) > 0 for _, targets, _ in whole])
    f1 = np.array([metrics.per_class(s, t, range(8))["f1"] for s, t, _ in whole])
    ap = np.array([metrics.average_precision(s, t) for s, t, _ in whole])
    mean_f1 = np.where(there, f1, 0).sum(0) / there.sum(0)
    mean_ap = np.nansum(ap, axis=0) / there.sum(0)
    held, plain = [], []
    for seed in range(80):
        scores, targets, groups = long_tailed(8, seed)
        has = targets.sum(0) > 0
        aims = {"F1": mean_f1[has].sum() / 8, "mAP": mean_ap[has].mean()}
        table = metrics.evaluate(scores, targets, groups, n=120).set_index("metric")
        held.append([table.loc[k, "low"] <= aim <= table.loc[k, "high"] for k, aim in aims.items()])
        weights = metrics.resamples(groups, 120)
        values = (
            metrics.precision_recall_f1(scores, targets, weights=weights)[:, 2],
            metrics.mean_average_precision(scores, targets, weights=weights),
        )
        ends = [metrics.interval(value) for value in values]
        plain.append([low <= aim <= high for (low, high), aim in zip(ends, aims.values(), strict=True)])
    after, before = np.mean(held, axis=0), np.mean(plain, axis=0)
    assert (after >= 0.85).all(), after
    assert (before <= after).all(), (before, after)


def test_three_groups_or_fewer_tell_no_skew():
    def lopsided(weights):  # 1 unless the first group is left out
        return np.where(weights[:, 0] == 0, 0.0, 1.0)

    low, high = metrics.bootstrap(lopsided, ["a", "b", "c"], n=200)
    assert high - 1 == pytest.approx(1 - low)
    assert low < 0
    low, high = metrics.bootstrap(lopsided, ["a", "b", "c", "d"], n=200)
    assert (low < 0, high) == (True, 1)
