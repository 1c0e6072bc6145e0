"""What a dataset is like: the numbers of TinyVIRAT's Table I and Figs 2-4 and of TinyAction's Table 1 and Figs 2-3.

They are counted from indexes, so no video is needed where the index declares lengths and sizes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from importlib import resources
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tinylib.datasets.index import Clip, Index
from tinylib.files import Json
from tinylib.video import probe

EDGES = (0, 20, 40, 60, 80, 100, 128)  # pixels of a clip's longer side; the last bin includes 128 (TinyAction Fig. 3)
BINS = tuple(f"{low}-{high}" for low, high in pairwise(EDGES))


@cache
def real() -> Json:
    """Facts of the released indexes of 'tinyvirat' and 'tinyvirat-v2', for comparison."""
    import yaml

    return yaml.safe_load(
        resources.files("tinylib.datasets").joinpath("real_statistics.yaml").read_text(encoding="utf-8")
    )


def side(clip: Clip) -> int | None:
    """The longer side in pixels, where the index says."""
    return max(clip.width, clip.height) if clip.width and clip.height else None


def size_bin(pixels: int | None) -> str:
    """Name of the resolution group, 'over 128' above them all, 'unknown' for None."""
    if pixels is None:
        return "unknown"
    if pixels > EDGES[-1]:
        return f"over {EDGES[-1]}"
    return BINS[min(int(np.searchsorted(EDGES, pixels, side="right")) - 1, len(BINS) - 1)]


def sides(index: Index) -> NDArray[np.int64]:
    return np.array([s for clip in index.clips if (s := side(clip)) is not None], dtype=np.int64)


def lengths(index: Index) -> NDArray[np.int64]:
    return np.array([clip.frames for clip in index.clips if clip.frames is not None], dtype=np.int64)


def class_counts(index: Index) -> dict[str, int]:
    """Clips a class, in the index's class order; a clip counts once for each of its labels."""
    counts = Counter(name for clip in index.clips for name in clip.labels or ())
    return {name: counts[name] for name in index.classes}


def bin_counts(index: Index) -> dict[str, int]:
    """Clips a resolution group."""
    counts = Counter(size_bin(side(clip)) for clip in index.clips)
    return {name: counts[name] for name in (*BINS, f"over {EDGES[-1]}") if name in BINS or counts[name]}


def bin_shares(index: Index) -> dict[str, list[float]]:
    """Class -> per cent of its clips in each resolution group (TinyAction Fig. 3)."""
    counts = {name: dict.fromkeys(BINS, 0) for name in index.classes}
    for clip in index.clips:
        if (group := size_bin(side(clip))) in BINS:
            for name in clip.labels or ():
                counts[name][group] += 1
    return {name: [100 * n / max(1, sum(of.values())) for n in of.values()] for name, of in counts.items()}


def mean_sides(index: Index) -> dict[str, float]:
    """Class -> mean longer side of its clips in pixels; classes without a known size are left out."""
    pixels = [(name, side(clip)) for clip in index.clips for name in clip.labels or ()]
    known = pd.DataFrame([(n, s) for n, s in pixels if s is not None], columns=["name", "side"])
    return {str(name): float(value) for name, value in known.groupby("name")["side"].mean().items()}


def summary(splits: Mapping[str, Index]) -> pd.DataFrame:
    """One row a split and one for all: clips, source videos, classes, mean frames and side, labels a clip."""
    rows = []
    for name, clips in [*((n, i.clips) for n, i in splits.items()), ("all", _all(splits.values()))]:
        frames = [c.frames for c in clips if c.frames is not None]
        pixels = [s for c in clips if (s := side(c)) is not None]
        labels = [len(c.labels) for c in clips if c.labels is not None]
        rows.append(
            {"split": name, "clips": len(clips), "source videos": len({c.video_id for c in clips})}
            | {"classes": len({label for c in clips for label in c.labels or ()})}
            | {
                "mean frames": np.mean(frames) if frames else None,
                "mean side (px)": np.mean(pixels) if pixels else None,
            }
            | {"smallest": min(pixels, default=None), "largest": max(pixels, default=None)}
            | {"labels a clip": np.mean(labels) if labels else None}
        )
    return pd.DataFrame(rows).set_index("split")


def _all(indexes: Iterable[Index]) -> tuple[Clip, ...]:
    return tuple(clip for index in indexes for clip in index.clips)


def sample(index: Index, limit: int, *, seed: int = 0) -> Index:
    """At most `limit` clips whose videos are there, drawn by seed, in index order."""
    there = [i for i, clip in enumerate(index.clips) if index.file(clip).exists()]
    if len(there) > limit:
        there = sorted(np.random.default_rng((seed, len(there))).choice(there, limit, replace=False).tolist())
    return index.select(there)


def measured(index: Index, limit: int, *, seed: int = 0) -> Index:
    """The index itself where it declares lengths and sizes, else a sample of it with those of the videos."""
    if all(clip.frames and clip.width and clip.height for clip in index.clips):
        return index
    drawn = sample(index, limit, seed=seed)
    clips = []
    for clip in drawn.clips:
        info = probe(drawn.file(clip), exact=False)
        clips.append(replace(clip, frames=info.frames, width=info.width, height=info.height))
    return replace(
        drawn, clips=tuple(clips), notes=(*drawn.notes, f"sizes measured on {len(clips)} of {len(index)} clips")
    )


def disagreements(index: Index) -> pd.DataFrame:
    """Clips whose videos have other frames or another size than the index says: clip_id, declared, found."""
    rows = []
    for clip in index.clips:
        info = probe(index.file(clip))
        decoded = (info.frames, info.width, info.height)
        if (clip.frames, clip.width, clip.height) != decoded:
            rows.append({"clip_id": clip.clip_id, "declared": (clip.frames, clip.width, clip.height), "found": decoded})
    return pd.DataFrame(rows, columns=["clip_id", "declared", "found"])
