"""The networks that are pre-trained, how each is taught, and how it sees clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tinylib import models
from tinylib.annotations.labels import CLASSES, mirror_permutation
from tinylib.datasets.degrade import Size, area_batch, pair
from tinylib.datasets.loading import Batch, BatchTransform
from tinylib.errors import UsageError
from tinylib.files import Json
from tinylib.methods.attention_transfer import Backbone
from tinylib.models import pretrained

GENERATORS = ("dvsr", "progressive_dvsr")


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """One network, and how it is taught."""

    model: str  # in `models.CLASSIFIERS`, or in `models.pretrained.OTHERS`
    options: Json = field(default_factory=dict)  # of its constructor
    frames: int = 8
    sizes: tuple[Size, ...] = ()  # px that batches have by turns: drawn a batch; of a classifier
    native: bool = False  # clips are read at their own size, up to the largest of `sizes`; else all at the last one
    stills: tuple[float, ...] = (1.0,)  # shares of what stands still that batches show by turns
    crop: float = 0.75  # smallest window of a clip in training, as a share of its sides
    epochs: int
    batch: int = 32
    lr: float
    weight_decay: float = 0.02
    seed: int = 0

    @property
    def generator(self) -> bool:
        return self.model in GENERATORS

    @property
    def classifier(self) -> bool:
        return self.model in models.CLASSIFIERS or self.model == "segments"

    @property
    def segments(self) -> tuple[int, int] | None:
        """(intervals, frames of each) of a segment network."""
        return (self.options["segments"], self.options["length"]) if self.model == "segments" else None

    def description(self) -> Json:
        """What the weights file says of itself; of a classifier a `ModelCard`, so that `open_model` takes the file."""
        about: Json = {"model": self.model, "options": dict(self.options), "data": "synthvirat pre-training"}
        if not self.classifier:
            return about
        about |= {"classes": list(CLASSES), "multi_label": True, "frames": self.frames, "sampler": "uniform"}
        return about | {"size": self.sizes[-1], "stills": list(self.stills)}


NARROW = {"widths": [8, 16, 32, 64], "stem": "low"}
SMALL = {"widths": [8, 16, 32, 64], "stem": "paper"}
SHALLOW = {"blocks": [1, 1, 1, 1]}
LOW = (10, 14, 14, 20, 28)
LESSONS: dict[str, Lesson] = {
    "tiny_r3d": Lesson(model="tiny_r3d", sizes=LOW, native=True, stills=(1.0, 0.3), epochs=4, lr=3e-3),
    "tiny_r3d_small": Lesson(model="tiny_r3d", options=SMALL, sizes=(40, 48, 56), epochs=5, lr=4e-3),
    "segments_resnet10_narrow": Lesson(
        model="segments",
        options={"backbone": "resnet10_narrow", "segments": 4, "length": 1},
        frames=4,
        sizes=((48, 64),),
        epochs=6,
        lr=4e-3,
    ),
    "segments_resnet10": Lesson(
        model="segments",
        options={"backbone": "resnet10", "segments": 8, "length": 1, "stem": "low"},
        sizes=LOW,
        native=True,
        epochs=5,
        lr=3e-3,
    ),
    "progressive_dvsr_x2": Lesson(
        model="progressive_dvsr", options={"scale": 2, "frames": 8, "channels": 8}, epochs=5, batch=8, lr=2e-3
    ),
    "progressive_dvsr_x4": Lesson(
        model="progressive_dvsr", options={"scale": 4, "frames": 8, "channels": 8}, epochs=5, batch=8, lr=2e-3
    ),
    "uniformer_tiny": Lesson(model="uniformer_tiny", sizes=(32, 40), epochs=4, lr=2e-3, weight_decay=0.05),
    "ircsn_tiny": Lesson(model="ircsn_tiny", sizes=(28, 32), epochs=6, lr=3e-3),
    "tiny_r3d_own_video": Lesson(
        model="tiny_r3d", options={"widths": [12, 24, 48, 96], "stem": "paper"}, sizes=(32, 40), epochs=3, lr=3e-3
    ),
    "r3d18_narrow": Lesson(model="r3d18", options=NARROW | {"stem_channels": 8}, sizes=(24, 28), epochs=3, lr=3e-3),
    "r3d50_2018_narrow": Lesson(
        model="r3d50_2018", options=SHALLOW | NARROW | {"stem_channels": 8}, sizes=(24, 28), epochs=2, lr=3e-3
    ),
    "r2plus1d50_narrow": Lesson(model="r2plus1d50", options=SHALLOW | NARROW, sizes=(24, 28), epochs=3, lr=3e-3),
    "wrn50_narrow": Lesson(
        model="wrn50", options=SHALLOW | NARROW | {"stem_channels": 8}, sizes=(24, 28), epochs=2, lr=3e-3
    ),
    "foreground_x4": Lesson(model="foreground", options={"channels": 8, "scale": 4}, epochs=3, batch=8, lr=2e-3),
    "dvsr_x2": Lesson(
        model="dvsr",
        options={"scale": 2, "channels": 8, "growth": 4, "blocks": 2, "global_skip": True},
        epochs=5,
        batch=8,
        lr=2e-3,
    ),
    "dvsr_x4": Lesson(
        model="dvsr",
        options={"scale": 4, "channels": 8, "growth": 4, "blocks": 2, "global_skip": True},
        epochs=5,
        batch=8,
        lr=2e-3,
    ),
    "tiny_r2plus1d": Lesson(model="tiny_r2plus1d", sizes=LOW, native=True, epochs=4, lr=3e-3),
    "segments_r2plus1d10": Lesson(
        model="segments",
        options={"backbone": "r2plus1d10", "segments": 4, "length": 2},
        sizes=((48, 64),),
        epochs=3,
        lr=3e-3,
    ),
    "progressive_dvsr_x8": Lesson(
        model="progressive_dvsr", options={"scale": 8, "frames": 8, "channels": 8}, epochs=5, batch=8, lr=2e-3
    ),
}


class Views(nn.Module):
    """A loader's batch to a classifier's, uint8 (B, T, H, W, 3) -> (B, 3, T, h, w): mirrored, a window, at one size.

    Training draws window and size a batch, from the seed of its first clip; in eval mode whole clips are brought to
    `sizes[-1]`, or with `native` left as they are unless they are larger. Enlarged bilinearly, reduced by antialiasing.
    """

    def __init__(self, sizes: Sequence[Size], *, native: bool = False, crop: float = 1.0):
        super().__init__()
        self.sizes, self.native, self.crop = tuple(pair(size) for size in sizes), native, crop
        self.base = BatchTransform(flip=0.5, mirror=mirror_permutation(CLASSES))

    def forward(self, batch: Batch) -> Batch:
        batch = self.base(batch)
        video: Tensor = batch["video"]
        size = self.sizes[-1]
        if self.training:
            rng = np.random.default_rng((int(batch["seed"][0]), 3))
            size = self.sizes[int(rng.integers(len(self.sizes)))]
            rows, columns = (round(side * rng.uniform(self.crop, 1.0)) for side in video.shape[-2:])
            top = int(rng.integers(video.shape[-2] - rows + 1))
            left = int(rng.integers(video.shape[-1] - columns + 1))
            video = video[..., top : top + rows, left : left + columns]
        elif self.native and video.shape[-2] <= size[0]:
            size = (video.shape[-2], video.shape[-1])
        return batch | {"video": resized(shaped(video, size), size)}


def shaped(video: Tensor, size: tuple[int, int]) -> Tensor:
    """The largest centred part of (..., H, W) with the sides' ratio of `size`."""
    height, width = video.shape[-2:]
    rows, columns = min(height, round(width * size[0] / size[1])), min(width, round(height * size[1] / size[0]))
    top, left = (height - rows) // 2, (width - columns) // 2
    return video[..., top : top + rows, left : left + columns]


def resized(video: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, 3, T, H, W) at `size`."""
    if tuple(video.shape[-2:]) == size:
        return video
    frames = video.transpose(1, 2).flatten(0, 1)
    frames = F.interpolate(frames, size, mode="bilinear", antialias=True, align_corners=False)
    return frames.unflatten(0, (video.shape[0], video.shape[2])).transpose(1, 2)


class PairViews(nn.Module):
    """A loader's batch of pairs to a generator's: mirrored; "video" 14 px (7 at scale 8), "high" `scale` times that."""

    def __init__(self, scale: int):
        super().__init__()
        self.scale, self.base = scale, BatchTransform(flip=0.5, mirror=mirror_permutation(CLASSES))

    def forward(self, batch: Batch) -> Batch:
        batch = self.base(batch)
        low = batch["video"] if self.scale < 8 else area_batch(batch["video"], batch["video"].shape[-1] // 2)
        side = low.shape[-1] * self.scale
        high = batch["high"] if batch["high"].shape[-1] == side else area_batch(batch["high"], side)
        return batch | {"video": low, "high": high}


def sampler_of(lesson: Lesson) -> Any:
    """Random snippets of a segment network, else frames spread evenly."""
    if lesson.segments is None:
        return "uniform"
    return Backbone("", lesson.options["backbone"], *lesson.segments).sampler()


def transform_of(lesson: Lesson) -> nn.Module:
    if lesson.classifier:
        return Views(lesson.sizes, native=lesson.native, crop=lesson.crop)
    return PairViews(lesson.options["scale"])


def network_of(lesson: Lesson) -> nn.Module:
    """A fresh network, the same for equal seeds."""
    torch.manual_seed(lesson.seed)
    options = dict(lesson.options) | ({"num_classes": len(CLASSES)} if lesson.classifier else {})
    if lesson.model in pretrained.OTHERS:
        return pretrained.OTHERS[lesson.model](**options)
    return models.create(lesson.model, **options)


def companion(name: str, out: Path) -> nn.Module:
    """A network that was taught before, for the branch; UsageError where it was not."""
    file = out / f"{name}.safetensors"
    if not file.is_file():
        raise UsageError(f"foreground_x4 learns beside {name}: teach that first ({file} is not there)")
    return pretrained.start(network_of(LESSONS[name]), file).eval().requires_grad_(False)
