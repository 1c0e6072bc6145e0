"""How far a SynthVIRAT set lies from the label statistics of the real one, and how near it can lie at its size."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tinylib.synth.plan import combos, support


def divergence(label_sets: Iterable[tuple[str, ...]], domain: str = "V") -> float:
    """Kullback-Leibler divergence (nat) of the real label histogram from ours; an absent class counts as half a clip.

    The histogram is over label occurrences: a clip with two labels counts twice.
    """
    real, ours = support(domain), Counter(name for labels in label_sets for name in labels)
    p = np.array(list(real.values()), float)
    q = np.array([max(ours[name], 0.5) for name in real], float)
    p, q = p / p.sum(), q / q.sum()
    return float((p * np.log(p / q)).sum())


def least_divergence(train: int, rest: int, floor: int, domain: str = "V") -> float:
    """The smallest divergence of `train` clips, `floor` of every class at least, and `rest` with the real rarities.

    With the real mean number of labels a clip there are (train + rest) * mean occurrences to hand out, of which every
    class must get its floor and its real share of the rest. The divergence is convex in them, so the best is what a
    common factor of the real shares gives, raised to these bounds where it lies below: water-filling.
    """
    count = np.array(list(support(domain).values()), float)
    clips = sum(combos(domain).values())
    low = floor + rest * count / clips
    whole = (train + rest) * count.sum() / clips
    if low.sum() >= whole:
        return math.nan  # the floor alone asks for more
    little, much = 0.0, whole / count.min()
    for _ in range(200):
        level = (little + much) / 2
        if np.maximum(low, level * count).sum() > whole:
            much = level
        else:
            little = level
    ours = np.maximum(low, little * count)
    p, q = count / count.sum(), ours / ours.sum()
    return float((p * np.log(p / q)).sum())


def top_sets(label_sets: Iterable[tuple[str, ...]], domain: str = "V", top: int = 20) -> dict[str, float]:
    """Is the order of the most frequent real label sets kept? Rank correlation, and the pairs that chance cannot swap.

    `swapped`: share of the pairs whose real shares would differ by more than two standard deviations of the difference
    in a sample of this size, and which stand the other way round.
    """
    table = {tuple(sorted(labels)): n for labels, n in combos(domain).items()}
    ours = Counter(tuple(sorted(labels)) for labels in label_sets)
    names = sorted(table, key=lambda labels: -table[labels])[:top]
    ranks = np.argsort(np.argsort([-ours[labels] for labels in names], kind="stable"))
    scale = sum(ours.values()) / sum(table.values())
    plain = swapped = 0
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            a, b = scale * table[one], scale * table[other]
            if a - b > 2 * math.sqrt(a + b):
                plain += 1
                swapped += ours[one] < ours[other]
    return {
        "rank_correlation": float(np.corrcoef(ranks, np.arange(len(names)))[0, 1]),
        "clear_pairs": plain,
        "swapped": swapped / max(plain, 1),
    }


# Where `noise` of a recording has to lie: no camera is free of noise, none is as rough as white noise or raw blocks.
NOISE_BANDS = {"sigma": (0.15, 6.0), "high": (0.1, 0.75), "blockiness": (0.9, 1.5)}


def noise(video: NDArray[np.uint8]) -> dict[str, float]:
    """Noise and blockiness of a still view (T, H, W, 3).

    sigma: standard deviation over time, 8-bit steps; high: share of the noise power above 0.25 cycles a pixel (0.80
    where it is white, less after a lens, demosaicing and a codec); blockiness: mean step across the borders of the
    codec's 8x8 blocks over the mean step elsewhere (1 where there is no codec).
    """
    grey = video.astype(np.float64).mean(-1)
    change = np.diff(grey, axis=0)
    height, width = grey.shape[1:]
    power = (np.abs(np.fft.fft2(change - change.mean((1, 2), keepdims=True))) ** 2).mean(0)
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    step = np.abs(np.diff(grey, axis=2)).mean((0, 1))
    border = np.arange(1, width) % 8 == 0
    return {
        "sigma": float(change.std() / math.sqrt(2)),
        "high": float(power[radius > 0.25].sum() / max(power.sum(), 1e-9)),
        "blockiness": float(step[border].mean() / max(step[~border].mean(), 1e-9)),
    }
