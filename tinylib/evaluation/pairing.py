"""Two numbers of the same clips: their difference, its interval, and which of many are more than luck."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from tinylib.evaluation.clips import Clips
from tinylib.evaluation.intervals import Floats, around, over_seeds_too, resamples, weighted_mean

BEST = re.compile(r"(?:.* )?(?:accuracy|top-(?P<top>\d)|[Pp]rec@(?P<prec>\d))")  # names of top-k in the papers


@dataclass(frozen=True)
class Difference:
    """After minus before, over the same clips, with its 95% interval over source videos and seeds."""

    value: float
    low: float  # NaN where there is one source video alone
    high: float
    p: float  # of no difference, two-sided: Student's t of the resamples' spread, videos - 1 degrees of freedom
    seeds: int  # of the side that has fewer, where sides without any chance do not count; 0: neither has any


def difference(
    after: Clips, before: Clips, metric: str, *, n: int = 1000, seed: int = 0, level: float = 0.95
) -> Difference | None:
    """Of a metric between two networks on the same clips; None where they cannot be paired.

    Both sides see the same resamples of videos. Seed i of one is paired with seed i of the other where both have as
    many; otherwise (a side of one) the seeds of each are resampled by themselves.
    """
    if not after.same_clips(before):
        return None
    now, then = (resampled(clips, metric, n, seed) for clips in (after, before))
    if now is None or then is None:
        return None
    videos = len(np.unique(np.asarray(after.groups)))
    value = float(now[:, 0].mean() - then[:, 0].mean())
    seeds = min(len(now), len(then))
    if videos < 2:
        return Difference(value, math.nan, math.nan, math.nan, seeds)
    if len(now) == len(then):
        moved = over_seeds_too(now - then, seed)
    else:
        moved = over_seeds_too(now, seed) - over_seeds_too(then, seed + 1)
    low, high = around(value, moved, videos, level)
    return Difference(value, low, high, _p(value, moved, videos), seeds)


def _p(value: float, moved: Floats, videos: int) -> float:
    from scipy.stats import t

    error = float(np.nanstd(moved)) * math.sqrt(videos / (videos - 1))
    if error == 0:
        return float(value == 0)
    return float(2 * t.sf(abs(value) / error, videos - 1))


@lru_cache(maxsize=512)
def resampled(clips: Clips, metric: str, n: int = 1000, seed: int = 0) -> Floats | None:
    """A metric of each seed, (seeds, 1 + n): of the split, then of n resamples of its videos; None: not of these."""
    from tinylib.evaluation import metrics

    scores, cuts = np.asarray(clips.scores), clips.thresholds
    weights = np.concatenate([np.ones((1, len(clips))), resamples(clips.groups, n, seed)])
    if clips.targets is None:
        return np.stack([weighted_mean(run, weights) for run in scores])
    truth = np.asarray(clips.targets)
    if truth.ndim == 1:
        best = BEST.fullmatch(metric)
        k = int(best["top"] or best["prec"] or 1) if best else 0
        if not 0 < k < scores.shape[2]:
            return None
        return np.stack([metrics.topk(run, truth, k, weights=weights) for run in scores])
    if metric == "mAP":
        return np.stack([metrics.mean_average_precision(run, truth, weights=weights, absent="keep") for run in scores])
    rate = re.fullmatch(r"(Precision|Recall|F1)(?: \((micro|samples|fitted)\))?", metric)
    if rate is None or (rate[2] == "fitted" and cuts is None):
        return None
    column = ("Precision", "Recall", "F1").index(rate[1])
    each = cuts if rate[2] == "fitted" else np.full((len(scores), scores.shape[2]), 0.5)
    kinds: dict[str | None, metrics.Average] = {"micro": "micro", "samples": "samples"}
    average = kinds.get(rate[2], "macro")
    return np.stack(
        [
            metrics.precision_recall_f1(run, truth, threshold=cut, average=average, weights=weights, absent="keep")[
                :, column
            ]
            for run, cut in zip(scores, np.asarray(each), strict=True)
        ]
    )


@lru_cache(maxsize=4096)
def recorded(folder: Path, after: str, before: str, metric: str) -> Difference | None:
    """`difference` of two rows' clips, by the names that they have in the folder (files of one name never change)."""
    return difference(_opened(folder, after), _opened(folder, before), metric)


@lru_cache(maxsize=256)
def _opened(folder: Path, name: str) -> Clips:
    return Clips.load(folder, name)


def holm(p: Sequence[float], level: float = 0.95) -> list[bool]:
    """Which of many differences are decided, all claims together being wrong in 5% at most (Holm 1979).

    A p that is not known (NaN) decides nothing, and counts among the many.
    """
    known = [math.inf if math.isnan(value) else value for value in p]
    order = sorted(range(len(known)), key=known.__getitem__)
    decided = [False] * len(known)
    for rank, index in enumerate(order):
        if known[index] > (1 - level) / (len(known) - rank):
            break
        decided[index] = True
    return decided
