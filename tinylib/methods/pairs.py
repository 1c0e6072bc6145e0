"""The same clips at high and at low resolution, for teachers and students, from whatever data a notebook runs on.

SynthVIRAT gives a balanced study (`synth.study`): true high resolution, rendered clean, and natural low resolution,
rendered small through the camera's sensor. Real data gives its own pixels, and low resolution by STAT's camera model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tinylib.datasets.degrade import Size, pair, surveillance
from tinylib.datasets.index import Index
from tinylib.datasets.sources import source_of
from tinylib.datasets.statistics import sample
from tinylib.datasets.store import ClipStore, resize_video
from tinylib.errors import UsageError
from tinylib.files import locked
from tinylib.methods import super_resolution
from tinylib.progress import track
from tinylib.synth import studies
from tinylib.video import read_frames


class Clips(Protocol):
    """What a notebook's settings say of its clips."""

    data: str
    seed: int
    kept: int | None
    high: Size

    @property
    def root(self) -> Path: ...
    @property
    def runs(self) -> Path: ...


def splits(settings: Any) -> dict[str, Index]:
    """ "train", "val" and "test" of the notebook's data.

    SynthVIRAT: the balanced study of both domains that all notebooks share, `train_clips`, `val_clips` and `test_clips`
    a class, "train" being `portion` of them a class where that is not None. Other data: its own
    splits, at most `train_limit` and `test_limit` clips where the settings have these, in surveillance data only clips
    of `smallest` pixels and more; "val" is "test" where there is none.
    """
    if synthetic(settings):
        study = studies.study(
            settings.root,
            classes=settings.classes,
            train=settings.train_clips,
            val=getattr(settings, "val_clips", settings.test_clips),
            test=settings.test_clips,
            seed=settings.seed,
            version=2,
        )
        return study | {"train": portion(study["train"], getattr(settings, "portion", None), seed=settings.seed)}
    splits = {"train": settings.split("train"), "test": settings.split(settings.evaluation)}
    for name, index in splits.items():
        smallest, limit = getattr(settings, "smallest", 0), getattr(settings, f"{name}_limit", None)
        if settings.multi_label and smallest:
            index = super_resolution.large(index, smallest)
        splits[name] = index if limit is None else sample(index, limit, seed=settings.seed)
    return {"train": splits["train"], "val": splits["test"], "test": splits["test"]}


def portion(index: Index, clips: int | None, *, seed: int = 0) -> Index:
    """At most about so many clips of every class, drawn by seed, in index order; None is all.

    A clip is taken while any of its classes has too few.
    """
    if clips is None:
        return index
    counts: Counter[str] = Counter()
    places = []
    for place in np.random.default_rng((seed, len(index))).permutation(len(index)).tolist():
        names = index.clips[place].labels or ()
        if any(counts[name] < clips for name in names):
            counts.update(names)
            places.append(place)
    return index.select(sorted(places))


def synthetic(settings: Clips) -> bool:
    return source_of(settings.data).twins


def high(settings: Any, index: Index, size: Size) -> ClipStore:
    """Clips at high resolution; a size (height, width) that is not square is the centred part of that shape."""
    if synthetic(settings):
        return rendered(settings, index, size, sensor=False)
    file = settings.runs / f"{index.split}-high-{named(size)}.store"
    height, width = pair(size)
    recipe = {"pair": "high", "size": [height, width], "kept": settings.kept}

    def videos(start: int) -> Iterator[NDArray[np.uint8]]:
        for clip in track(index.clips[start:], f"reading {file.name}", closing_line=False):
            video = read_frames(index.file(clip))
            frames = video[studies.moments(len(video), settings.kept)]
            yield resize_video(frames, (height, width), "bicubic", "stretch" if height == width else "crop")

    return ClipStore.render(index, file, videos, origin=recipe)


def low(settings: Any, index: Index, size: Size) -> ClipStore:
    """The same frames at low resolution, as a far camera would have seen them."""
    if synthetic(settings):
        return rendered(settings, index, size, sensor=True)
    return degraded(settings, index, high(settings, index, _larger(size, settings)), size)


def rendered(settings: Any, index: Index, size: Size, *, sensor: bool) -> ClipStore:
    """The study's clips of `index` through the sensor or clean, rendered once beside the study for all notebooks.

    Clips that earlier stores hold are taken from there, so that notebooks that learn from parts of one split render
    each clip once between them. Notebooks that run side by side wait for each other.
    """
    folder, kind = index.root / "stores", "natural" if sensor else "clean"
    stem = f"{index.split}-{kind}-{named(size)}-{settings.kept or 'all'}"
    recipe = studies.recipe(size, sensor=sensor, frames=settings.kept)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / stem):
        earlier = []
        for file in sorted(folder.glob(f"{stem}-*.store")):
            store = ClipStore.made_with(file, recipe)
            if store is not None:
                whole = store.part(index)
                if whole is not None:
                    return whole
                earlier.append(store)
        file = folder / f"{stem}-{index.digest()}.store"
        return studies.render(index, file, size, sensor=sensor, frames=settings.kept, earlier=earlier)


def degraded(settings: Any, index: Index, store: ClipStore, size: Size) -> ClipStore:
    """Low resolution made out of high by blur, area average and noise (STAT, D14), the noise seeded by place."""
    height, width = pair(size)
    file = settings.runs / f"{index.split}-degraded-{named(size)}.store"

    def videos(start: int) -> Iterator[NDArray[np.uint8]]:
        for place in range(start, len(index)):
            rng = np.random.default_rng((settings.seed, place))
            yield surveillance(store[place], (height, width), rng=rng, ratio=None)

    return ClipStore.render(
        index, file, videos, origin={"degraded": [height, width], "seed": settings.seed, "from": store.recipe}
    )


def masks(settings: Any, index: Index, size: Size) -> NDArray[np.bool_]:
    """(N, T, H, W): where the actors of SynthVIRAT's clips are, in the frames of the stores."""
    if not synthetic(settings):
        raise UsageError(f"masks: {settings.data} does not know where its actors are; SynthVIRAT does")
    return studies.masks(index, size, frames=settings.kept)


def _larger(size: Size, settings: Any) -> tuple[int, int]:
    """The notebook's high resolution, in the shape of `size`."""
    height, width = pair(size)
    factor = max(1, max(pair(settings.high)) // max(height, width))
    return factor * height, factor * width


def named(size: Size) -> str:
    """ "12x16": height by width."""
    height, width = pair(size)
    return f"{height}x{width}"
