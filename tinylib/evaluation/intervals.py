"""Intervals: whole source videos resampled, the spread of seeds, and how a number with its interval is spelled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]  # weights (R, N) -> values (R,)
SKEWED = 4  # groups from which on the two sides of an interval may differ


def weighted_mean(values: ArrayLike, weights: ArrayLike) -> Floats:
    """Mean of values (N,) under each row of weights (R, N): a `bootstrap` statistic once `values` is bound."""
    weight = np.asarray(weights, dtype=np.float64)
    return weight @ np.asarray(values, dtype=np.float64) / weight.sum(-1)


def resamples(groups: ArrayLike, n: int = 1000, seed: int = 0) -> Floats:
    """Weights (n, N) of a cluster bootstrap: whole groups (source videos) are drawn with replacement.

    Clips of one video show the same people minutes apart, so resampling single clips would make intervals too narrow.
    """
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    rng = np.random.default_rng((seed, 0xB007))
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=n)
    return counts[:, member].astype(np.float64)


def interval(values: Floats, level: float = 0.95) -> tuple[float, float]:
    """The central `level` share of resampled values; resamples without a value (NaN) are left out."""
    tail = 50 * (1 - level)
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return float(low), float(high)


def bootstrap(
    statistic: Statistic, groups: ArrayLike, *, n: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Interval of `statistic(weights (R, N)) -> (R,)` under resampling of whole groups; see `around`.

    NaN where there is only one group: a single source video says nothing of how much videos differ.
    """
    count = len(np.unique(np.asarray(groups)))
    if count < 2:
        return float("nan"), float("nan")
    weights = np.concatenate([np.ones((1, len(np.asarray(groups)))), resamples(groups, n, seed)])
    values = np.asarray(statistic(weights))
    return around(float(values[0]), values[1:], count, level)


def around(value: float, resampled: Floats, groups: int, level: float = 0.95) -> tuple[float, float]:
    """The expanded percentile interval of a cluster bootstrap, laid around the value: it always holds the value.

    Two corrections of the plain percentiles. Repeating clips biases rank statistics and macro rates, so the resamples'
    median is moved to the value. Few groups (source videos) vary too little among their own resamples, and a normal
    quantile is too small for them: the distances are stretched by sqrt(G / (G - 1)) t(G - 1) / z (Hesterberg 2015),
    which is 9 for two groups, 1.6 for five and 1.05 for forty; below four groups, whose few different resamples tell no
    skew, the longer side counts for both. In a simulation of 26 long-tailed classes, 95% intervals
    of F1, precision and mAP (with absent="keep") held the mean of such splits in 83 to 92% of splits of five videos and
    in 90 to 94% of splits of twelve; plain percentiles did in 62 to 80% and 79 to 84%.
    """
    from scipy.stats import norm, t

    tail = 0.5 + level / 2
    stretch = np.sqrt(groups / (groups - 1)) * t.ppf(tail, groups - 1) / norm.ppf(tail)
    low, high = interval(resampled, level)
    middle = float(np.nanmedian(resampled))
    below, above = float(stretch) * (middle - low), float(stretch) * (high - middle)
    if groups < SKEWED:
        below = above = max(below, above)
    return value - below, value + above


def paired(
    after: ArrayLike, before: ArrayLike, groups: ArrayLike, *, n: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, float, float]:
    """Mean of `after` - `before` with its interval: values (N,), or (seeds, N), of the same clips under two treatments.

    Pairing leaves out how hard the clips are. Resamples draw source videos and, among them, seeds; seed i of one is
    paired with seed i of the other. The interval is that of `around`; one source video alone has none (NaN).
    """
    gaps = np.atleast_2d(np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64))
    weights = np.concatenate([np.ones((1, gaps.shape[1])), resamples(groups, n, seed)])
    return over_runs(np.stack([weighted_mean(gap, weights) for gap in gaps]), groups, seed=seed, level=level)


def over_runs(values: Floats, groups: ArrayLike, *, seed: int = 0, level: float = 0.95) -> tuple[float, float, float]:
    """Mean over runs and its interval, each resample of videos with a resample of seeds; no interval for one video.

    values: (seeds, 1 + n), first that of the whole split, then those of n `resamples` of its groups.
    """
    value, count = float(values[:, 0].mean()), len(np.unique(np.asarray(groups)))
    if count < 2:
        return value, float("nan"), float("nan")
    runs, n = len(values), values.shape[1] - 1
    drawn = np.random.default_rng((seed, 0x5EED)).integers(runs, size=(n, runs))
    means = np.take_along_axis(values[:, 1:].T, drawn, axis=1).mean(axis=1)
    return value, *around(value, means, count, level)


def spelled(value: float, low: float, high: float, *, digits: int = 3) -> str:
    """A number with its interval, or alone where there is none."""
    alone = f"{value:.{digits}f}"
    return alone if np.isnan(low) else f"{alone} [{low:.{digits}f}, {high:.{digits}f}]"


def over_seeds(values: ArrayLike, lows: ArrayLike, highs: ArrayLike) -> tuple[float, float, float]:
    """Mean and 95% interval of runs of which only value, low and high are known.

    The half-widths are pooled (root mean square: the seeds share one split, so its noise does not average out) and the
    spread between seeds is added, as Student's t of that many seeds.
    """
    from scipy.stats import t

    value, low, high = (np.asarray(v, dtype=np.float64) for v in (values, lows, highs))
    mean, count = value.mean(), len(value)
    between = t.ppf(0.975, count - 1) * value.std(ddof=1) / np.sqrt(count) if count > 1 else 0.0
    below, above = (np.sqrt(np.mean((value - end) ** 2) + between**2) for end in (low, high))
    return float(mean), float(mean - below), float(mean + above)


def spearman(x: ArrayLike, y: ArrayLike, *, n: int = 1000, seed: int = 0) -> tuple[float, float, float]:
    """Rank correlation (ties share a mean rank) and its 95% bootstrap interval over pairs; NaN if one is constant."""
    from scipy.stats import rankdata

    pairs = np.stack([np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)])
    drawn = np.random.default_rng((seed, 0x5BEA)).integers(pairs.shape[1], size=(n, pairs.shape[1]))
    a, b = (rankdata(np.concatenate([row[None], row[drawn]]), axis=1) for row in pairs)
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    with np.errstate(invalid="ignore"):
        values = (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))
    if not np.isfinite(values[0]):
        return (float("nan"),) * 3
    return (float(values[0]), *interval(values[1:]))
