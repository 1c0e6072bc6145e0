"""Pre-training on SynthVIRAT: what makes the weights that the package ships (`tinylib pretrain`).

Each network is a `Lesson`. Classifiers learn all 26 classes from clips of 8 to 112 px (`pretraining_data`); generators
learn from pairs of a natural 14 px clip and its clean truth, so that they restore what the camera took, not what a
reduction took; the foreground branch learns beside a frozen generator and a frozen classifier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tinylib import models
from tinylib.datasets.labels import CLASSES, mirror_permutation
from tinylib.datasets.loading import BatchTransform, ClipDataset
from tinylib.degrade import Size, area_batch, pair
from tinylib.errors import UsageError
from tinylib.methods.pretraining_data import Amount, PretrainingSet
from tinylib.models import pretrained
from tinylib.models.dvsr import DVSR, ProgressiveDVSR
from tinylib.objectives.classify import Classify
from tinylib.objectives.foreground import Foreground
from tinylib.progress import Progress
from tinylib.restore import phase_one
from tinylib.train import FitConfig, FitResult, fit

GENERATORS = ("dvsr", "progressive_dvsr")
Batch = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """One network, and how it is taught."""

    model: str  # in `models.CLASSIFIERS`, or in `models.pretrained.OTHERS`
    options: dict[str, Any] = field(default_factory=dict)  # of its constructor
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

    def description(self) -> dict[str, Any]:
        """What the weights file says of itself; a classifier's is a `ModelCard`, so that `open_model` takes the file."""
        about: dict[str, Any] = {"model": self.model, "options": dict(self.options), "data": "synthvirat pre-training"}
        if not self.classifier:
            return about
        about |= {"classes": list(CLASSES), "multi_label": True, "frames": self.frames, "sampler": "uniform"}
        return about | {"size": self.sizes[-1], "stills": list(self.stills)}


NARROW = {"widths": [8, 16, 32, 64], "stem": "low"}
SMALL = {"widths": [8, 16, 32, 64], "stem": "paper"}
SHALLOW = {"blocks": [1, 1, 1, 1]}
LOW = (10, 14, 14, 20, 28)
LESSONS: dict[str, Lesson] = {
    "tiny_r3d": Lesson(model="tiny_r3d", sizes=LOW, native=True, stills=(1.0, 0.3), epochs=6, lr=3e-3),
    "tiny_r3d_small": Lesson(model="tiny_r3d", options=SMALL, sizes=(40, 48, 56), epochs=7, lr=4e-3),
    "segments_resnet10_narrow": Lesson(
        model="segments",
        options={"backbone": "resnet10_narrow", "segments": 4, "length": 1},
        frames=4,
        sizes=((48, 64),),
        epochs=10,
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
        model="progressive_dvsr", options={"scale": 2, "frames": 8, "channels": 8}, epochs=10, batch=8, lr=2e-3
    ),
    "progressive_dvsr_x4": Lesson(
        model="progressive_dvsr", options={"scale": 4, "frames": 8, "channels": 8}, epochs=10, batch=8, lr=2e-3
    ),
    "uniformer_tiny": Lesson(model="uniformer_tiny", sizes=(28, 32), epochs=7, lr=2e-3, weight_decay=0.05),
    "ircsn_tiny": Lesson(model="ircsn_tiny", sizes=(28, 32), epochs=6, lr=3e-3),
    "tiny_r3d_own_video": Lesson(
        model="tiny_r3d", options={"widths": [12, 24, 48, 96], "stem": "paper"}, sizes=(32, 40), epochs=6, lr=3e-3
    ),
    "r3d18_narrow": Lesson(model="r3d18", options=NARROW | {"stem_channels": 8}, sizes=(24, 28), epochs=3, lr=3e-3),
    "r3d50_2018_narrow": Lesson(
        model="r3d50_2018", options=SHALLOW | NARROW | {"stem_channels": 8}, sizes=(24, 28), epochs=3, lr=3e-3
    ),
    "r2plus1d50_narrow": Lesson(model="r2plus1d50", options=SHALLOW | NARROW, sizes=(24, 28), epochs=3, lr=3e-3),
    "wrn50_narrow": Lesson(
        model="wrn50", options=SHALLOW | NARROW | {"stem_channels": 8}, sizes=(24, 28), epochs=3, lr=3e-3
    ),
    "foreground_x4": Lesson(model="foreground", options={"channels": 8, "scale": 4}, epochs=3, batch=8, lr=2e-3),
    "dvsr_x4": Lesson(
        model="dvsr",
        options={"scale": 4, "channels": 8, "growth": 4, "blocks": 2, "global_skip": True},
        epochs=10,
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
        model="progressive_dvsr", options={"scale": 8, "frames": 8, "channels": 8}, epochs=10, batch=8, lr=2e-3
    ),
}


class Views(nn.Module):
    """A loader's batch to a classifier's: mirrored, a window of it, at one size; uint8 (B, T, H, W, 3) -> (B, 3, T, h, w).

    Training draws window and size a batch, from the seed of its first clip; in eval mode whole clips are brought to
    `sizes[-1]`, or with `native` left as they are unless they are larger. Enlarged bilinearly, reduced with antialiasing.
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


class Dimmed(Classify):
    """Classification that shows what stands still in full and dimmed by turns, so that one network serves both."""

    def __init__(self, model: nn.Module, stills: Sequence[float]):
        super().__init__(model)
        self.stills = tuple(stills)

    def losses(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        self.model.still = self.stills[progress.global_step % len(self.stills)]  # type: ignore[assignment]
        return super().losses(batch, progress)


class Branch(Foreground):
    """The foreground branch alone: it learns beside a generator and a classifier that stay as they are."""

    @property
    def model(self) -> nn.Module:
        return self.attention

    def turns(self, batch: Batch, progress: Progress) -> Iterator[tuple[str, dict[str, Tensor]]]:
        turns = super().turns(batch, progress)
        next(turns)  # the classifier's, which knows already
        yield from turns

    def train(self, mode: bool = True) -> Branch:
        super().train(mode)
        self.generator.eval()
        self.classifier.eval()
        return self

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.attention.parameters()), "turn": "generator"}]


def clips_for(lesson: Lesson, data: PretrainingSet) -> ClipDataset:
    """What the network learns from."""
    if not lesson.classifier:
        index, low = data.natural(data.amount.pairs)
        high = data.clean(data.amount.pairs)[1]
        return ClipDataset(index, store=low, high=high, sampler="uniform", frames=lesson.frames, size=None)
    index, store = data.mixed()
    return ClipDataset(
        index, store=store, sampler=sampler_of(lesson), frames=lesson.frames, size=None, seed=lesson.seed
    )


def sampler_of(lesson: Lesson) -> Any:
    """Random snippets of a segment network, else frames spread evenly."""
    if lesson.segments is None:
        return "uniform"
    from tinylib.transfer import Backbone

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


def teach(lesson: Lesson, data: PretrainingSet, run_dir: Path, out: Path) -> tuple[nn.Module, FitResult]:
    """Train the network, or go on with the run that was interrupted. out: where the branch's companions lie."""
    clips, network = clips_for(lesson, data), network_of(lesson)
    config = FitConfig(
        epochs=lesson.epochs,
        batch_size=lesson.batch,
        lr=lesson.lr,
        optimiser="adamw",
        weight_decay=lesson.weight_decay,
        schedule="one_cycle",
        clip_norm=5.0,
        checkpoint_every=100,
        seed=lesson.seed,
    )
    objective: nn.Module
    if lesson.generator:
        assert isinstance(network, DVSR | ProgressiveDVSR)
        objective, config = phase_one(
            network,
            len(clips.index),
            epochs=lesson.epochs,
            batches=(lesson.batch,),
            lr=lesson.lr,
            fade=20,
            schedule="cosine",
            from_interpolation=True,
            seed=lesson.seed,
        )
    elif lesson.classifier:
        objective = Dimmed(network, lesson.stills)
    else:
        objective = Branch(companion("progressive_dvsr_x4", out), network, companion("tiny_r3d_small", out))  # type: ignore
    about = {name: value for name, value in asdict(lesson).items() if name not in ("epochs", "batch", "lr")}
    result = fit(objective, clips, config, run_dir, transform=transform_of(lesson), description=about)
    if lesson.classifier:
        network.still = 1.0  # type: ignore[assignment]
    return network.eval(), result


def companion(name: str, out: Path) -> nn.Module:
    """A network that was taught before, for the branch; UsageError where it was not."""
    file = out / f"{name}.safetensors"
    if not file.is_file():
        raise UsageError(f"foreground_x4 learns beside {name}: teach that first ({file} is not there)")
    return pretrained.start(network_of(LESSONS[name]), file).eval().requires_grad_(False)


def pretrain(
    names: Sequence[str], out: str | Path, *, root: str | Path | None = None, amount: Amount | None = None
) -> list[Path]:
    """Teach the networks of these names (none: all) one after another; weights and cards into `out`.

    root: where the study and its stores lie (default: out/data). What is finished is left as it is; killed and called
    again, the rest goes on where it was. Notes go to out/pretrain.log. UsageError: a name that is no lesson.
    """
    from tinylib.methods.pretraining_card import finished, publish

    unknown = [name for name in names if name not in LESSONS]
    if unknown:
        raise UsageError(f"pretrain: no network {unknown[0]!r}; there are {', '.join(LESSONS)}")
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    data, say = PretrainingSet(Path(root) if root else out / "data", amount or Amount()), _log(out / "pretrain.log")
    files = []
    for name in names or LESSONS:
        lesson = LESSONS[name]
        files.append(out / f"{name}.safetensors")
        if finished(name, lesson, data, out):
            say(f"{name}: finished before")
            continue
        say(f"{name}: begins, {lesson.epochs} epochs")
        network, result = teach(lesson, data, out / "runs" / name, out)
        say(f"{name}: taught in {result.seconds / 60:.1f} minutes, last loss {result.history[-1]['loss']:.4f}")
        say(f"{name}: {publish(name, lesson, network, result, data, out)}")
    return files


def _log(file: Path) -> Callable[[str], None]:
    def say(line: str) -> None:
        stamped = f"{datetime.now():%Y-%m-%d %H:%M:%S} {line}"
        print(stamped, flush=True)
        with open(file, "a", encoding="utf-8") as log:
            log.write(stamped + "\n")

    return say
