"""Splits as a classifier may see them: sharp, tiny, and restored from tiny by a frozen super-resolver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tinylib.datasets.index import Index
from tinylib.datasets.loading import ClipDataset
from tinylib.datasets.single import rarest_label
from tinylib.datasets.statistics import sample
from tinylib.datasets.store import ClipStore, Fit
from tinylib.files import Json
from tinylib.methods import pairs, super_resolution
from tinylib.methods.recognition import spread

Stores = dict[str, ClipStore]


@dataclass(frozen=True)
class Splits:
    """The splits to recognise in, sharp and tiny, and the clips that teach super-resolution.

    sharp: at the high resolution. tiny: what super-resolution sees, None where it is the reduction of `sharp`. natural:
    whether `tiny` is what a far camera saw of the very moments of `sharp`, so that the two are pairs.
    """

    splits: Mapping[str, Index]
    sharp: Stores
    tiny: Stores | None
    teach: ClipDataset
    show: Index  # test clips whose truth is known
    show_sharp: ClipStore
    natural: bool
    frames: int
    shown: int | None  # frames of a clip around its middle; None is all
    runs: Path
    rendering: int
    learned: bool  # whether classifiers learn from restored video, so that the training split is restored too

    @property
    def train(self) -> Index:
        return self.splits["train"]

    @property
    def test(self) -> Index:
        return self.splits["test"]

    def restored(self, method: str, restorer: super_resolution.Restorer | None, *, size: int | None = None) -> Stores:
        """Each split through a frozen restorer (None: the sharp pixels), rendered once: stores by split.

        size: px that clips are reduced to first. The training split is left out where no classifier learns from it.
        """
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        source = self.sharp if restorer is None or self.tiny is None else self.tiny
        return {
            name: super_resolution.super_resolved(
                restorer,
                source[name],
                index,
                self.runs / f"{name}-{method.replace(' ', '')}.store",
                size=size if restorer is not None else None,
                frames=self.frames,
                shown=self.shown,
                origin={"method": method},
                device=device,
                workers=self.rendering if isinstance(restorer, torch.nn.Module) else 0,
            )
            for name, index in self.splits.items()
            if name != "train" or self.learned
        }

    def exam(self, clips: int | None) -> ClipDataset:
        """So many test clips at the high resolution, spread evenly over the videos, to measure restorers on."""
        index = spread(self.test, clips)
        store = part(self.sharp["test"], self.test, index)
        return ClipDataset(index, store=store, views="centre", sampler="strided", frames=self.frames, size=None)

    def seen(self) -> ClipDataset:
        """The clips to show: natural ones beside their truth ("high"), or the truth alone."""
        low = self.tiny["test"] if self.natural and self.tiny is not None else None
        return ClipDataset(
            self.show,
            store=self.show_sharp if low is None else part(low, self.test, self.show),
            high=None if low is None else self.show_sharp,
            views="centre",
            sampler="strided",
            frames=self.frames,
            size=None,
        )


def of_foreground(settings: Any) -> Splits:
    """The clips of notebook 05: of the study natural ones, else the data's own, brought to `settings.size` pixels."""
    size, high, frames = settings.size, settings.high, settings.restoration.frames
    if settings.balanced and pairs.synthetic(settings):
        study = pairs.splits(settings)
        splits = study | {"test": spread(study["test"], settings.test)}
        sharp, tiny = _study(settings, study, splits, high, size)
        teach = spread(study["train"], settings.large)
        lessons = ClipDataset(
            teach, store=part(tiny["train"], splits["train"], teach),
            high=part(sharp["train"], splits["train"], teach),
            sampler="strided", frames=frames, size=None, seed=settings.seed,
        )  # fmt: skip
        show = spread(splits["test"], settings.shown)
        shown = part(sharp["test"], splits["test"], show)
        return Splits(splits, sharp, tiny, lessons, show, shown, True, **_common(settings))
    every = {"train": settings.split("train"), "test": settings.split(settings.evaluation)}
    limits = {"train": settings.train, "test": settings.test}
    splits = {
        name: sample(index, limits[name], seed=settings.seed) if limits[name] else index
        for name, index in every.items()
    }
    teach = super_resolution.large(every["train"], high, limit=settings.large, seed=settings.seed)
    show = super_resolution.large(every["test"], high, limit=settings.shown, seed=settings.seed)
    sharp = _decoded(settings, splits | {"teach": teach, "show": show}, high)
    tiny = _decoded(settings, splits, size)
    lessons = ClipDataset(teach, store=sharp["teach"], sampler="strided", frames=frames, size=high, seed=settings.seed)
    return Splits(splits, sharp, tiny, lessons, show, sharp["show"], False, **_common(settings))


def of_low_resolution(settings: Any) -> Splits:
    """The clips of notebook 06, one label each: of the study clean ones, else those of `settings.smallest` pixels."""
    high, frames = settings.high, settings.restoration.frames
    if settings.balanced and pairs.synthetic(settings):
        study = pairs.splits(settings)
        train, test = rarest_label(study["train"], study["test"], classes=settings.largest)
        splits = {"train": train, "test": spread(test, settings.test)}
        sharp = {
            name: part(pairs.high(settings, study[name], high), study[name], index) for name, index in splits.items()
        }
    else:
        names = {"train": "train", "test": settings.evaluation}
        indexes = [super_resolution.large(settings.split(name), settings.smallest) for name in names.values()]
        if settings.multi_label:
            indexes = list(rarest_label(indexes[0], indexes[1], classes=settings.largest))
        splits = {
            name: sample(index, limit, seed=settings.seed) if limit else index
            for name, index, limit in zip(names, indexes, (settings.train, settings.test), strict=True)
        }
        sharp = _decoded(settings, splits, high, fit="crop")
    teach = spread(splits["train"], settings.large)
    store = sharp["train"] if teach is splits["train"] else None
    lessons = ClipDataset(
        teach,
        store=store or part(sharp["train"], splits["train"], teach),
        sampler="strided", frames=frames, size=None, seed=settings.seed,
    )  # fmt: skip
    return Splits(splits, sharp, None, lessons, splits["test"], sharp["test"], False, **_common(settings))


def part(store: ClipStore, index: Index, some: Index) -> ClipStore:
    """The clips of `some` out of the store of `index`, which they are a part of."""
    entries = dict(zip((clip.clip_id for clip in index.clips), store.entries, strict=True))
    return ClipStore(
        store.file, store.recipe | {"index": some.digest()}, tuple(entries[clip.clip_id] for clip in some.clips)
    )


def _study(
    settings: pairs.Clips, study: Mapping[str, Index], splits: Mapping[str, Index], high: int, low: int
) -> tuple[Stores, Stores]:
    """Clean and natural stores of parts of a study, rendered whole for every notebook."""
    whole = {
        name: (pairs.high(settings, index, high), pairs.low(settings, index, low)) for name, index in study.items()
    }
    sharp, tiny = ({name: part(whole[name][k], study[name], index) for name, index in splits.items()} for k in (0, 1))
    return sharp, tiny


def _decoded(settings: Any, splits: Mapping[str, Index], side: int, *, fit: Fit = "stretch") -> Stores:
    return {
        name: ClipStore.build(index, settings.runs / f"{name}-{side}.store", size=side, resize="bicubic", fit=fit)
        for name, index in splits.items()
    }


def _common(settings: Any) -> Json:
    return {
        "frames": settings.restoration.frames,
        "shown": settings.kept,
        "runs": settings.runs,
        "rendering": settings.rendering,
        "learned": settings.epochs > 0,
    }
