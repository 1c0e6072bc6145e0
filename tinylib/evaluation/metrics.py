"""The numbers the papers report, each with its rule for the doubtful cases written down, and their intervals.

Rates lie in [0, 1]. Wherever `weights` may be given they count each clip, (R, N) for R resamples at once, and the
answer is (R,); that is what makes the bootstrap one matrix product. Scores are probabilities, (N, classes).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional as F

from tinylib.errors import DataError, UsageError
from tinylib.evaluation.intervals import (  # noqa: F401  # numbers and their intervals through one door
    Floats,
    Statistic,
    around,
    bootstrap,
    interval,
    over_runs,
    over_seeds,
    paired,
    resamples,
    spearman,
    spelled,
    weighted_mean,
)

Average = Literal["macro", "micro", "samples"]
RESOLUTION_BINS = (0, 20, 40, 60, 80, 100, 128)  # TinyAction Fig. 3; a bin holds its lower edge, the last both


def _checked(scores: ArrayLike, targets: ArrayLike) -> tuple[Floats, NDArray[np.number]]:
    given, truth = np.asarray(scores, dtype=np.float64), np.asarray(targets)
    if given.ndim != 2 or len(given) != len(truth) or (truth.ndim == 2 and truth.shape != given.shape):
        raise DataError(f"scores {given.shape} and targets {truth.shape} do not belong together")
    if not np.isfinite(given).all():
        raise DataError(f"score row {int(np.argmin(np.isfinite(given).all(axis=1)))} is not finite")
    return given, truth


def _divide(above: Floats, below: Floats) -> Floats:
    """Quotient, with 0 / 0 = 0 (`zero_division=0`): a class never predicted, or never there, scores nothing."""
    return np.divide(above, below, out=np.zeros(np.broadcast_shapes(above.shape, below.shape)), where=below > 0)


def _rates(predicted: Floats, truth: Floats, right: Floats) -> Floats:
    """Counts (...,) of predicted, true and right -> precision, recall, F1 stacked last."""
    return np.stack([_divide(right, predicted), _divide(right, truth), _divide(2 * right, predicted + truth)], axis=-1)


def precision_recall_f1(
    scores: ArrayLike,
    targets: ArrayLike,
    *,
    threshold: ArrayLike = 0.5,
    average: Average = "macro",
    weights: ArrayLike | None = None,
    absent: Literal["zero", "keep"] = "zero",
) -> Floats:
    """Precision, recall and F1 stacked: (3,), or (R, 3) with weights (R, N); a score must exceed its threshold.

    macro: mean over all classes of the per-class rates, absent ones counting 0 (the challenge's F1; not the F1 of the
    mean precision and recall). micro: of the pooled counts. samples: mean over clips. threshold: one, or (classes,).
    absent="keep" (macro): a class that the split has and a resample lacks keeps the split's rates there; as a zero it
    would say that rare classes may be missed by the draw, which is not what the network is asked.
    """
    given, truth = _checked(scores, targets)
    guess, true = (given > np.asarray(threshold)).astype(np.float64), (truth > 0).astype(np.float64)
    weight = np.ones((1, len(given))) if weights is None else np.atleast_2d(np.asarray(weights, dtype=np.float64))
    if average == "samples":
        per_clip = _rates(guess.sum(1), true.sum(1), (guess * true).sum(1))
        rates = _divide(weight @ per_clip, weight.sum(1, keepdims=True))
    elif average in ("macro", "micro"):
        counts = [weight @ guess, weight @ true, weight @ (guess * true)]  # (R, classes) each
        if average == "micro":
            counts = [count.sum(1, keepdims=True) for count in counts]
        each = _rates(*counts)
        if absent == "keep" and average == "macro":
            every = _rates(guess.sum(0), true.sum(0), (guess * true).sum(0))
            each = np.where((counts[1] == 0)[..., None], every * (true.sum(0) > 0)[:, None], each)
        rates = each.mean(axis=1)
    else:
        raise UsageError(f"average: expected macro, micro or samples, found {average!r}")
    return rates[0] if weights is None else rates


def f1(scores: ArrayLike, targets: ArrayLike, *, threshold: ArrayLike = 0.5, average: Average = "macro") -> float:
    return float(precision_recall_f1(scores, targets, threshold=threshold, average=average)[2])


def precision(
    scores: ArrayLike, targets: ArrayLike, *, threshold: ArrayLike = 0.5, average: Average = "macro"
) -> float:
    return float(precision_recall_f1(scores, targets, threshold=threshold, average=average)[0])


def recall(scores: ArrayLike, targets: ArrayLike, *, threshold: ArrayLike = 0.5, average: Average = "macro") -> float:
    return float(precision_recall_f1(scores, targets, threshold=threshold, average=average)[1])


def average_precision(scores: ArrayLike, targets: ArrayLike, *, weights: ArrayLike | None = None) -> Floats:
    """Average precision of each class: (classes,), or (R, classes) with weights; NaN where no clip has the class.

    Sum over the distinct scores of (step in recall) x precision, without interpolation; equal scores enter together,
    so the order of the clips never matters.
    """
    given, truth = _checked(scores, targets)
    weight = np.ones((1, len(given))) if weights is None else np.atleast_2d(np.asarray(weights, dtype=np.float64))
    result = np.full((len(weight), given.shape[1]), np.nan)
    for column in range(given.shape[1]):
        order = np.argsort(-given[:, column], kind="stable")
        ranked = given[order, column]
        last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else np.zeros(0, dtype=int)
        counted = weight[:, order]
        every = np.cumsum(counted, axis=1)[:, last]
        right = np.cumsum(counted * (truth[order, column] > 0), axis=1)[:, last]
        positives = right[:, -1] if len(last) else np.zeros(len(weight))
        steps = np.diff(right, axis=1, prepend=0)
        area = (steps * _divide(right, every)).sum(axis=1)
        there = positives > 0
        result[there, column] = area[there] / positives[there]
    return result[0] if weights is None else result


def mean_average_precision(
    scores: ArrayLike,
    targets: ArrayLike,
    *,
    absent: Literal["drop", "zero", "keep"] = "drop",
    weights: ArrayLike | None = None,
) -> Floats:
    """Mean of the classes' average precision, () or (R,); NaN when no class has a positive.

    A class without positives has no average precision. "drop" leaves it out, since a zero would measure which classes
    the split lacks and not the network; "zero" counts it as 0, as scikit-learn and torchmetrics do. "keep" is "drop"
    for the split, and gives a class that only a resample lacks the split's value there: rare classes are the hard ones,
    and a mean that loses them at random lies above the mean over all.
    """
    areas = average_precision(scores, targets, weights=weights)
    if absent == "keep" and weights is not None:
        areas = np.where(np.isnan(areas), average_precision(scores, targets), areas)
    there = ~np.isnan(areas)
    size = np.full(there.shape[:-1], areas.shape[-1]) if absent == "zero" else there.sum(-1)
    total = np.where(there, areas, 0.0).sum(-1)
    return np.where(size > 0, total / np.maximum(size, 1), np.nan)


def topk(scores: ArrayLike, targets: ArrayLike, k: int = 1, *, weights: ArrayLike | None = None) -> Floats:
    """Share of clips whose class is among the k best, () or (R,); targets are class numbers, (N,).

    A tie counts against the true class, so that a network saying the same for every class is never right.
    """
    given, truth = _checked(scores, targets)
    if truth.ndim != 1:
        raise UsageError("topk: targets must be class numbers, one a clip; these are multi-label")
    right = given[np.arange(len(given)), truth]
    hit = ((given >= right[:, None]).sum(1) - 1 < k).astype(np.float64)
    weight = np.ones(len(hit)) if weights is None else np.asarray(weights, dtype=np.float64)
    return _divide(weight @ hit, weight.sum(-1))


def psnr(video: Tensor, target: Tensor, *, peak: float = 1.0) -> Tensor:
    """Peak signal-to-noise ratio in dB of each frame: (B, C, T, H, W) in [0, peak] -> (B, T); infinite if equal."""
    error = (video.double() - target.double()).square().mean(dim=(1, 3, 4))
    return 10 * torch.log10(peak**2 / error)


def ssim(video: Tensor, target: Tensor, *, peak: float = 1.0, size: int = 11, sigma: float = 1.5) -> Tensor:
    """Structural similarity of each frame (Wang et al. 2004): (B, C, T, H, W) in [0, peak] -> (B, T).

    Gaussian window, K1 = 0.01, K2 = 0.03, population covariance, mean over channels and over the windows that lie
    wholly inside the frame; a frame smaller than the window is a UsageError.
    """
    batch, channels, frames, height, width = video.shape
    if min(height, width) < size:
        raise UsageError(f"ssim: frames of {height}x{width} are smaller than its {size}x{size} window")
    offsets = torch.arange(size, dtype=torch.float64, device=video.device) - (size - 1) / 2
    line = torch.exp(-offsets.square() / (2 * sigma**2))
    line = line / line.sum()

    def blurred(frame: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(frame, line.view(1, 1, size, 1)), line.view(1, 1, 1, size))

    x, y = (v.double().transpose(1, 2).reshape(-1, 1, height, width) for v in (video, target))
    mean_x, mean_y = blurred(x), blurred(y)
    var_x, var_y = blurred(x * x) - mean_x**2, blurred(y * y) - mean_y**2
    cov = blurred(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * cov + c2) / (var_x + var_y + c2)
    return (luminance * structure).mean(dim=(1, 2, 3)).view(batch, frames, channels).mean(-1)


def _summaries(
    scores: Floats, targets: NDArray[np.generic], threshold: ArrayLike, weights: Floats
) -> dict[str, Floats]:
    if targets.ndim == 1:
        return {f"top-{k}": topk(scores, targets, k, weights=weights) for k in (1, 5) if k < scores.shape[1]}
    values: dict[str, Floats] = {}
    for average in ("macro", "micro", "samples"):
        rates = precision_recall_f1(
            scores, targets, threshold=threshold, average=average, weights=weights, absent="keep"
        )
        suffix = "" if average == "macro" else f" ({average})"
        values |= {f"{name}{suffix}": rates[:, i] for i, name in enumerate(("Precision", "Recall", "F1"))}
    return values | {"mAP": mean_average_precision(scores, targets, weights=weights, absent="keep")}


def evaluate(
    scores: ArrayLike | Sequence[ArrayLike],
    targets: ArrayLike,
    groups: ArrayLike,
    *,
    threshold: ArrayLike = 0.5,
    fitted: ArrayLike | None = None,
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """Every metric of one split with its interval: columns metric, value, low, high, seeds, n (clips).

    scores: (N, classes), or (seeds, N, classes) of equal runs with other seeds: the value is then the mean over the
    seeds, and each resample draws source videos and, among them, seeds. One source video alone has no interval (NaN).
    A class that a resample lacks keeps its value of the whole split; the interval is that of `around`, within [0, 1].
    fitted: thresholds from other clips, (classes,) or (seeds, classes), for a line "F1 (fitted)" beside F1.
    """
    resampled = _resampled(scores, targets, groups, threshold, n, seed)
    if fitted is not None:
        resampled |= {"F1 (fitted)": _f1_at(scores, targets, groups, fitted, n, seed)}
    seeds = len(next(iter(resampled.values())))
    return _spread(resampled, groups, seed, level, 0.0).assign(seeds=seeds, n=len(np.asarray(targets)))


def differences(
    after: ArrayLike | Sequence[ArrayLike],
    before: ArrayLike | Sequence[ArrayLike],
    targets: ArrayLike,
    groups: ArrayLike,
    *,
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """`evaluate` of `after` minus that of `before`, with intervals of the difference: metric, value, low, high.

    The same clips, the same number of seeds; both sides see the same resamples of videos and of seeds, so how hard the
    clips are, and how lucky a seed was, cancels out.
    """
    shapes = np.asarray(after).shape, np.asarray(before).shape
    if shapes[0] != shapes[1]:
        raise DataError(f"differences: {shapes[0]} scores on one side, {shapes[1]} on the other")
    now, then = (_resampled(scores, targets, groups, 0.5, n, seed) for scores in (after, before))
    return _spread({metric: now[metric] - then[metric] for metric in now}, groups, seed, level, -1.0)


def _resampled(
    scores: ArrayLike | Sequence[ArrayLike],
    targets: ArrayLike,
    groups: ArrayLike,
    threshold: ArrayLike,
    n: int,
    seed: int,
) -> dict[str, Floats]:
    """Each metric of each run, (seeds, 1 + n): first of the split itself, then of n resamples of its videos."""
    runs, truth = np.asarray(scores, dtype=np.float64), np.asarray(targets)
    runs = runs[None] if runs.ndim == 2 else runs
    weights = np.concatenate([np.ones((1, runs.shape[1])), resamples(groups, n, seed)])
    table = [_summaries(run, truth, threshold, weights) for run in runs]
    return {metric: np.stack([run[metric] for run in table]) for metric in table[0]}


def _f1_at(
    scores: ArrayLike | Sequence[ArrayLike], targets: ArrayLike, groups: ArrayLike, cuts: ArrayLike, n: int, seed: int
) -> Floats:
    """Macro F1 at thresholds of each run's own, (seeds, 1 + n) as `_resampled`."""
    runs, truth = np.asarray(scores, dtype=np.float64), np.asarray(targets)
    runs = runs[None] if runs.ndim == 2 else runs
    each = np.broadcast_to(np.asarray(cuts, dtype=np.float64), (len(runs), runs.shape[-1]))
    weights = np.concatenate([np.ones((1, runs.shape[1])), resamples(groups, n, seed)])
    return np.stack(
        [
            precision_recall_f1(run, truth, threshold=cut, weights=weights, absent="keep")[:, 2]
            for run, cut in zip(runs, each, strict=True)
        ]
    )


def _spread(resampled: Mapping[str, Floats], groups: ArrayLike, seed: int, level: float, least: float) -> pd.DataFrame:
    """metric, value, low, high of `_resampled` values, which cannot lie outside `least` to 1."""
    rows = []
    for metric, values in resampled.items():
        value, *ends = over_runs(values, groups, seed=seed, level=level)
        low, high = np.clip(ends, least, 1.0).tolist()
        rows.append({"metric": metric, "value": value, "low": low, "high": high})
    return pd.DataFrame(rows)


def per_class(
    scores: ArrayLike, targets: ArrayLike, classes: Sequence[str], *, threshold: ArrayLike = 0.5
) -> pd.DataFrame:
    """One row a class: support, predicted, precision, recall, f1, ap (NaN where the class is absent)."""
    given, truth = _checked(scores, targets)
    guess, true = given > np.asarray(threshold), truth > 0
    rates = _rates(*(v.sum(0).astype(np.float64) for v in (guess, true, guess & true)))
    return pd.DataFrame(
        {"class": list(classes), "support": true.sum(0), "predicted": guess.sum(0)}
        | {name: rates[:, i] for i, name in enumerate(("precision", "recall", "f1"))}
        | {"ap": average_precision(given, truth)}
    )


def per_group(scores: ArrayLike, targets: ArrayLike, groups: ArrayLike, *, threshold: ArrayLike = 0.5) -> pd.DataFrame:
    """One row a group of clips (a domain, say): n, classes there, precision, recall, f1 over those classes, micro f1.

    Macro rates of a slice are over the classes that occur in it; else a slice would be scored on what it cannot hold.
    """
    given, truth = _checked(scores, targets)
    labels = np.asarray(groups)
    rows = []
    for name in pd.unique(pd.Series(labels)):
        inside = labels == name
        there = truth[inside].sum(0) > 0
        cut = np.broadcast_to(np.asarray(threshold, dtype=np.float64), truth.shape[1])
        rates = (
            precision_recall_f1(given[inside][:, there], truth[inside][:, there], threshold=cut[there])
            if there.any()
            else np.full(3, np.nan)
        )
        rows.append(
            {"group": name, "n": int(inside.sum()), "classes": int(there.sum())}
            | dict(zip(("precision", "recall", "f1"), rates, strict=True))
            | {"micro f1": f1(given[inside], truth[inside], threshold=threshold, average="micro")}
        )
    return pd.DataFrame(rows)


def per_resolution(
    scores: ArrayLike, targets: ArrayLike, sides: ArrayLike, *, threshold: ArrayLike = 0.5
) -> pd.DataFrame:
    """`per_group` over the papers' bins of the clip's side in pixels (0-20, ..., 100-128), in order."""
    side = np.asarray(sides, dtype=np.float64)
    if ((side <= 0) | (side > RESOLUTION_BINS[-1])).any():
        raise DataError(f"sides must lie in 1..{RESOLUTION_BINS[-1]} pixels, found {side.min():g}..{side.max():g}")
    names = [f"{low}-{high}" for low, high in pairwise(RESOLUTION_BINS)]
    bins = np.minimum(np.digitize(side, RESOLUTION_BINS), len(names)) - 1
    table = per_group(scores, targets, bins, threshold=threshold).sort_values("group", ignore_index=True)
    return table.assign(group=[names[i] for i in table["group"]])
