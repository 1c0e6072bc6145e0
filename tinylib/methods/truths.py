"""Clips whose high resolution is known, to teach super-resolution with and to measure it on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tinylib.datasets.index import Index
from tinylib.datasets.loading import ClipDataset
from tinylib.datasets.store import ClipStore
from tinylib.errors import UsageError
from tinylib.methods import pairs, super_resolution
from tinylib.methods.recognition import spread

REDUCED, NATURAL = "reduced", "natural"


@dataclass(frozen=True)
class Truths:
    """The clips of "train" and "test", their truth, and, where known, what a far camera saw of them."""

    splits: Mapping[str, Index]
    high: Mapping[str, ClipStore]
    low: Mapping[str, ClipStore] | None
    frames: int
    seed: int
    truth: str  # in words

    @property
    def train(self) -> Index:
        return self.splits["train"]

    @property
    def test(self) -> Index:
        return self.splits["test"]

    def dataset(self, split: str, *, pairs: bool) -> ClipDataset:
        """The truth alone, which is then reduced, or pairs of natural clips and their truth ("high")."""
        if pairs and self.low is None:
            raise UsageError("pairs: only SynthVIRAT's study knows what a far camera saw of the same moments")
        low, high = self.low, self.high[split]
        return ClipDataset(
            self.splits[split],
            store=low[split] if pairs and low is not None else high,
            high=high if pairs else None,
            views="train" if split == "train" else "centre",
            sampler="strided",
            frames=self.frames,
            size=None,
            seed=self.seed,
        )

    def exams(self) -> dict[str, ClipDataset]:
        """What restorers are measured on, by what they see of the test clips."""
        exams = {REDUCED: self.dataset("test", pairs=False)}
        return exams if self.low is None else exams | {NATURAL: self.dataset("test", pairs=True)}


class Needs(Protocol):
    """What notebook 04's settings say of its clips."""

    profile: str
    seed: int
    scale: int
    size: int
    clips: int | None
    held: int | None
    balanced: bool
    twins: bool
    restoration: super_resolution.Restoration

    @property
    def runs(self) -> Path: ...
    @property
    def evaluation(self) -> str: ...
    def split(self, name: str) -> Index: ...
    def dataset(self) -> Path: ...


def truths(settings: Any) -> Truths:
    """The clips of notebook 04: of the study, or of other data those that are large of themselves (or their twins)."""
    needs: Needs = settings
    size, frames = needs.size, needs.restoration.frames
    if needs.balanced and pairs.synthetic(settings):
        study = pairs.splits(settings)
        splits = {"train": spread(study["train"], needs.clips), "test": spread(study["test"], needs.held)}
        small = size // needs.scale
        for name in splits:  # whole, for every notebook; parts of them are then taken from there
            pairs.high(settings, study[name], size)
            pairs.low(settings, study[name], small)
        return Truths(
            splits,
            {name: pairs.high(settings, index, size) for name, index in splits.items()},
            {name: pairs.low(settings, index, small) for name, index in splits.items()},
            frames,
            needs.seed,
            f"truth: clips rendered clean at {size} pixels; natural: the same moments at {small} pixels",
        )
    splits = {
        name: super_resolution.large(needs.split(split), size, limit=limit, seed=needs.seed)
        for name, split, limit in (("train", "train", needs.clips), ("test", needs.evaluation, needs.held))
    }
    said = "twins rendered at" if needs.twins else "clips recorded with at least"
    recorded = {name: _recorded(needs, index) for name, index in splits.items()}
    return Truths(splits, recorded, None, frames, needs.seed, f"truth: {said} {size} pixels a side")


def _recorded(needs: Needs, index: Index) -> ClipStore:
    """The clips' own pixels, or those of their twins, at the high resolution."""
    if not needs.twins:
        file = needs.runs / f"{index.split}-{needs.size}.store"
        return ClipStore.build(index, file, size=needs.size, resize="bicubic", fit="crop")
    from tinylib.synth.twins import twin

    root, file = needs.dataset(), needs.runs / f"{index.split}-twins-{needs.size}.store"
    return ClipStore.render(
        index,
        file,
        lambda start: (twin(root, clip, needs.size).video for clip in index.clips[start:]),
        origin={"twins": needs.size},
    )
