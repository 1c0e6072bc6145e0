"""How well classes lie apart among a network's features: as a picture (t-SNE) and as numbers.

Features are (N, D), one row a clip; scores come one a clip, so that intervals can be taken over source videos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from tinylib.errors import UsageError
from tinylib.evaluation import metrics
from tinylib.files import Json

Floats = NDArray[np.float64]


def project(features: ArrayLike, *, perplexity: float = 30.0, seed: int = 0) -> Floats:
    """Two dimensions by t-SNE (STAT, Fig. 6), started from the principal components: (N, 2).

    The perplexity is lowered where there are too few clips for it. Distances between clusters mean nothing in it.
    """
    from sklearn.manifold import TSNE

    points = np.asarray(features, np.float64)
    if len(points) < 4:
        raise UsageError(f"t-SNE of {len(points)} clips: expected 4 or more")
    flat = TSNE(perplexity=min(perplexity, (len(points) - 1) / 3), init="pca", random_state=seed)
    return np.asarray(flat.fit_transform(points), np.float64)


def silhouettes(features: ArrayLike, labels: ArrayLike) -> Floats:
    """How much nearer each clip is to its own class than to the next one (Rousseeuw 1987): (N,) in [-1, 1].

    0 for a clip that is alone in its class; NaN for all where every clip is, or where there is one class.
    """
    from sklearn.metrics import silhouette_samples

    if not 2 <= len(np.unique(np.asarray(labels))) < len(np.asarray(labels)):
        return np.full(len(np.asarray(labels)), np.nan)
    return np.asarray(silhouette_samples(np.asarray(features, np.float64), np.asarray(labels)), np.float64)


def purity(features: ArrayLike, labels: ArrayLike, groups: ArrayLike, *, neighbours: int = 5) -> Floats:
    """Share of each clip's nearest neighbours that are of its class: (N,).

    Only clips of other source videos (`groups`) are neighbours: those of the same one look alike whatever happens in
    them. NaN where a clip has fewer than `neighbours` of them.
    """
    points, label, group = np.asarray(features, np.float64), np.asarray(labels), np.asarray(groups)
    square = (points**2).sum(1)
    distance = square[:, None] + square - 2 * points @ points.T
    distance[group[:, None] == group] = np.inf
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :neighbours]
    there = np.isfinite(np.take_along_axis(distance, nearest, 1)).sum(1) == neighbours
    same = (label[nearest] == label[:, None]).mean(1)
    return np.where(there, same, np.nan)


def separation(
    features: Mapping[str, Sequence[ArrayLike]],
    labels: ArrayLike,
    groups: ArrayLike,
    *,
    neighbours: int = 5,
    seed: int = 0,
) -> pd.DataFrame:
    """Silhouette and neighbour purity of each network's features: columns network, metric, value, low, high, n.

    features: name -> one (N, D) a training seed, whose scores are averaged clip by clip. Intervals (95%) are over
    source videos. The row "chance" is the purity that features without any information would have.
    """
    classes, count = np.unique(np.asarray(labels), return_counts=True)
    if len(classes) < 2:
        raise UsageError("separation: one class has nothing to be apart from")
    rows: list[Json] = []
    for name, runs in features.items():
        scores = {
            "silhouette": np.mean([silhouettes(run, labels) for run in runs], axis=0),
            "neighbour purity": np.mean([purity(run, labels, groups, neighbours=neighbours) for run in runs], axis=0),
        }
        for metric, values in scores.items():
            finite = np.isfinite(values)
            statistic = partial(metrics.weighted_mean, values[finite])
            low, high = metrics.bootstrap(statistic, np.asarray(groups)[finite], seed=seed)
            mean = values[finite].mean() if finite.any() else np.nan
            rows.append({"network": name, "metric": metric, "value": mean, "low": low, "high": high, "n": finite.sum()})
    share = count / count.sum()
    chance = {"value": (share**2).sum(), "low": np.nan, "high": np.nan, "n": int(count.sum())}
    return pd.DataFrame([*rows, {"network": "chance", "metric": "neighbour purity"} | chance])
