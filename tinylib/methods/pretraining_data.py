"""The set for pre-training: SynthVIRAT's stand-in for Kinetics, in places and with actors that no benchmark has.

A balanced study of all 26 classes and both domains under the seed `PRETRAINING`, kept as clip stores of eight frames.
How 8 to 112 px are covered: "mixed" draws a size for every clip, films it at that size, and brings it to 56 px, as a
recogniser meets clips of all sizes. Three quarters of its clips are natural, of 8 to 112 px drawn evenly on a
logarithmic scale; one quarter is clean at 56 px. "natural 14" and "clean 56" are aligned pairs for super-resolution.
Held-out clips come from the study's test places, at each size by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinylib.annotations.labels import CLASSES
from tinylib.datasets.index import Clip, Index
from tinylib.datasets.store import ClipStore, resize_video
from tinylib.files import Json
from tinylib.progress import track
from tinylib.synth import studies
from tinylib.synth.plan import DOMAINS, PRETRAINING
from tinylib.workers import cores, in_order

Video = NDArray[np.uint8]
SIDE = 56  # px of the mixed store, and of the sharp clips
FRAMES = 8  # kept of a clip, evenly spaced
SIZES = (8, 112)  # px, of natural clips in the mixed store
CLEAN = 0.25  # share of the mixed store's clips that no sensor has touched
HELD_SIZES = (8, 14, 28, 56)  # px, natural, at which networks are scored; besides sharp
MIXED_VERSION = 1  # raise when equal arguments give another mixture


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How much of it: clips a class in the splits, and pairs for super-resolution in all."""

    train: int = 480
    val: int = 2  # nothing is chosen on it, but a study has one
    test: int = 24
    pairs: int = 1500


@dataclass(frozen=True)
class PretrainingSet:
    """The indexes and stores, made on first use below `root`."""

    root: Path
    amount: Amount = Amount()
    workers: int | None = None

    def split(self, name: str) -> Index:
        amount = self.amount
        return studies.study(
            self.root,
            train=amount.train,
            val=amount.val,
            test=amount.test,
            seed=PRETRAINING,
            version=2,
            workers=self.workers,
        )[name]

    def part(self, clips: int) -> Index:
        """So many training clips, spread evenly over the videos."""
        index = self.split("train")
        places = np.unique(np.linspace(0, len(index) - 1, min(clips, len(index))).round().astype(int))
        return index.select(places.tolist())

    def mixed(self) -> tuple[Index, ClipStore]:
        """All training clips, each at a size of its own, brought to 56 px."""
        index = self.split("train")
        return index, mixed(index, self._file(index, "mixed"), workers=self.workers)

    def natural(self, clips: int) -> tuple[Index, ClipStore]:
        """So many training clips, filmed at 14 px."""
        index = self.part(clips)
        return index, self.plain(index, 14, sensor=True)

    def clean(self, clips: int) -> tuple[Index, ClipStore]:
        """So many training clips, at 56 px and without a sensor."""
        index = self.part(clips)
        return index, self.plain(index, SIDE, sensor=False)

    def held(self, size: int, *, sensor: bool) -> tuple[Index, ClipStore]:
        """The held-out clips at a size."""
        index = self.split("test")
        return index, self.plain(index, size, sensor=sensor)

    def prepare(self) -> None:
        """Make all of it, before a network's threads run in this process: processes forked after that may never end."""
        self.mixed()
        self.natural(self.amount.pairs)
        self.clean(self.amount.pairs)
        self.held(SIDE, sensor=False)
        for size in HELD_SIZES:
            self.held(size, sensor=True)

    def plain(self, index: Index, size: int, *, sensor: bool) -> ClipStore:
        """The clips of an index at a size, natural or clean."""
        file = self._file(index, f"{'natural' if sensor else 'clean'}-{size}")
        return studies.render(index, file, size, sensor=sensor, frames=FRAMES, workers=self.workers)

    def _file(self, index: Index, kind: str) -> Path:
        return index.root / "stores" / f"{index.split}-{kind}-{FRAMES}-{index.digest()}.store"


def probe(root: str | Path, clips: int = 12) -> Index:
    """A handful of the held-out clips, from the first video of each domain, scripted anew in seconds.

    They are the whole set's: the same windows of the same two videos, some of which it left out.
    """
    root = Path(root)
    amounts = {"train": Amount().train, "validate": Amount().val, "test": Amount().test}
    shoots = [
        shoot
        for shoot in studies.plan_videos(CLASSES, amounts, PRETRAINING, DOMAINS)
        if (shoot.split, shoot.number) == ("test", 0)
    ]
    rows = [row for shoot in shoots for row in studies.script_clips(shoot, str(root))[:clips]]
    return Index(
        name="synthvirat pre-training (probe)",
        split="test",
        root=root,
        classes=CLASSES,
        multi_label=True,
        clips=tuple(studies.clip_of(row | {"id": f"probe-{rank:02d}"}) for rank, row in enumerate(rows)),
    )


def drawn_size(clip: Clip) -> tuple[int, bool]:
    """(px, through the sensor?) at which the mixed store films a clip; of its id alone."""
    rng = np.random.default_rng((PRETRAINING, *clip.clip_id.encode()))
    if rng.random() < CLEAN:
        return SIDE, False
    low, high = np.log(SIZES)
    return 2 * round(float(np.exp(rng.uniform(low, high))) / 2), True


def mixed(index: Index, file: str | Path, *, workers: int | None = None) -> ClipStore:
    """The clips of an index, each filmed at its `drawn_size` and brought to 56 px: bilinear upwards, area downwards."""
    recipe: Json = {"mixed": MIXED_VERSION, "study": studies.VERSION, "generator": studies.GENERATOR}
    recipe |= {"side": SIDE, "frames": FRAMES, "sizes": SIZES, "clean": CLEAN, "seed": PRETRAINING}

    def videos(start: int) -> Iterator[Any]:
        tasks = [(str(index.root), clip) for clip in index.clips[start:]]
        jobs = cores() if workers is None else workers
        films = in_order(_mixed, tasks, min(jobs, len(tasks)), name=lambda task: task[1].clip_id)
        return iter(track(films, "rendering mixed sizes", total=len(tasks), closing_line=False))

    return ClipStore.render(index, file, videos, origin=recipe)


def _mixed(root: str, clip: Clip) -> Video:
    size, sensor = drawn_size(clip)
    (video,) = studies.rendered(root, (clip,), (size, size), sensor, FRAMES)
    return resize_video(video, SIDE, "area" if size > SIDE else "bilinear")
