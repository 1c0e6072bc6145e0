"""Attention transfer at work: STAT's rows and weights, schedule and networks, and what both resolutions share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from tinylib.datasets import sampling
from tinylib.datasets.loading import Batch, BatchTransform, ClipDataset, batches
from tinylib.errors import UsageError
from tinylib.models import checkpoint, official
from tinylib.models.segments import BLOCKS, SegmentNetwork
from tinylib.training.losses import activation_map
from tinylib.training.objectives.attention_transfer import AttentionTransfer, Confidence
from tinylib.training.optimise import FitConfig

Reading = Literal["enlarged", "native"]
READINGS = ("enlarged", "native")
EVEN, HALVES = (1 / 4, 1 / 4, 1 / 4, 1 / 4), (1 / 2, 1 / 2)
DOUBLING, THIRDS = (1 / 15, 2 / 15, 4 / 15, 8 / 15), (1 / 3, 2 / 3)


class Scheme(NamedTuple):
    """How a student's second stage weighs its losses, and whether unlabelled clips come before it."""

    overall: tuple[float, float, float]  # cross-entropy, SAT, TAT
    blocks: tuple[float, ...] | None = EVEN  # of SAT; None: rolling (section 3.3.2)
    layers: tuple[float, ...] | None = HALVES  # of TAT; None: rolling
    unlabelled: bool = False  # SAT and TAT alone, on clips without labels, first (section 3.3.1)
    confidence: Confidence = "none"

    @property
    def name(self) -> str:
        """For folders: such as '33-33-33_25-25-25-25_50-50', or '33-33-33_rolling_unlabelled'."""

        def percent(weights: tuple[float, ...] | None) -> str:
            return "rolling" if weights is None else "-".join(f"{100 * w:.0f}" for w in weights)

        parts = [percent(self.overall), percent(self.blocks), percent(self.layers)]
        parts += ["unlabelled"] * self.unlabelled + [self.confidence] * (self.confidence != "none")
        return "_".join(dict.fromkeys(parts))


CE, THIRD = (1.0, 0.0, 0.0), (1 / 3, 1 / 3, 1 / 3)
ROLLING = Scheme(THIRD, None, None)
THIRD_OF_CE = "Student, a third of CE"  # ours: with transfer CE weighs a third; is a gain more than its smaller step?
SCHEMES: dict[str, Scheme] = {  # Table 3, by the row's first words, and two of ours; confidence is after CSTAT
    "Student": Scheme(CE),
    "SAT": Scheme((0.5, 0.5, 0.0)),
    "TAT": Scheme((0.5, 0.0, 0.5)),
    "SAT+TAT": Scheme(THIRD),
    "SAT+TAT+rc": ROLLING,
    "SAT+TAT+rc+ut": ROLLING._replace(unlabelled=True),
    THIRD_OF_CE: Scheme((1 / 3, 0.0, 0.0)),
    "SAT+TAT+rc, by the teacher's confidence": ROLLING._replace(confidence="label"),
}
WEIGHTINGS: dict[str, Scheme] = {  # Table 1, by the row
    "Fixed | overall CE-SAT-TAT 1/7-4/7-2/7 | SAT 1/4-1/4-1/4-1/4 | TAT 1/2-1/2": Scheme((1 / 7, 4 / 7, 2 / 7)),
    "Fixed | overall CE-SAT-TAT 4/7-1/7-2/7 | SAT 1/15-2/15-4/15-8/15 | TAT 1/3-2/3": Scheme(
        (4 / 7, 1 / 7, 2 / 7), DOUBLING, THIRDS
    ),
    "Fixed | overall CE-SAT-TAT 1/3-1/3-1/3 | SAT 1/4-1/4-1/4-1/4 | TAT 1/2-1/2": Scheme(THIRD),
    "Fixed | overall CE-SAT-TAT 1/3-1/3-1/3 | SAT 1/15-2/15-4/15-8/15 | TAT 1/3-2/3": Scheme(THIRD, DOUBLING, THIRDS),
    "Fixed | overall CE-SAT-TAT 1/3-1/3-1/3 | SAT 0-0-0-1 | TAT 0-1": Scheme(THIRD, (0, 0, 0, 1), (0, 1)),
    "Rolling | overall CE-SAT-TAT - | SAT - | TAT -": ROLLING,
}


class Backbone(NamedTuple):
    """A segment network and the name that its rows have in the paper's tables."""

    row: str
    network: str  # a name in `models.segments.SEGMENT_BACKBONES`
    segments: int
    length: int  # consecutive frames of the store, a segment

    def sampler(self) -> sampling.Sampler:
        """Random snippets in training (with a generator), the middle ones else."""
        segments, length = self.segments, self.length

        def sample(frames: int, rng: np.random.Generator | None) -> sampling.Indices:
            mode: Literal["random", "centre"] = "centre" if rng is None else "random"
            return sampling.segment_snippets(frames, segments, length, mode=mode, rng=rng)

        return sample

    def make(
        self,
        count: int,
        seed: int,
        *,
        reading: Reading = "enlarged",
        size: Sequence[int] | None = None,
        initial: str | Path = "",
    ) -> SegmentNetwork:
        """A network of `count` classes; `size` (height, width) of the teacher's input makes it a student in `reading`.

        initial: a file with an official backbone (torchvision's resnet34, r2plus1d_18, ...); "" starts from nothing.

        The paper gives both one architecture at 256x340 and 12x16, whose maps then differ in size, and does not say
        how Eq. 2 was formed. enlarged: the student's input is brought to `size` first. native: its early strides are
        removed instead, and the teacher's maps are averaged to its own.
        """
        if reading not in READINGS:
            raise UsageError(f"reading must be one of {', '.join(READINGS)}, not {reading!r}")
        torch.manual_seed(seed)
        network = SegmentNetwork(
            num_classes=count,
            backbone=self.network,
            segments=self.segments,
            length=self.length,
            stem="low" if reading == "native" and size is not None else "paper",
            size=(size[0], size[1]) if reading == "enlarged" and size is not None else None,
        )
        if initial:
            content = official.read(initial)
            state = content.get("state_dict", content)
            body = {name: value for name, value in state.items() if not name.startswith("fc.")}
            checkpoint.restore(network.backbone, body, source=initial)
        return network


def schedule(epochs: int, *, batch: int, lr: float, seed: int) -> FitConfig:
    """Section 4.2, scaled to `epochs` of its 50: SGD 0.9, 5 epochs of warm-up, a tenth after 20 and 40.

    The paper clips gradients and does not say where: at norm 40, as temporal segment networks do.
    """
    return FitConfig(
        epochs=epochs,
        batch_size=batch,
        lr=lr,
        optimiser="sgd",
        momentum=0.9,
        schedule="multistep",
        milestones=(0.4, 0.8),
        warmup=epochs / 10,
        clip_norm=40.0,
        seed=seed,
    )


def transfer(
    student: SegmentNetwork,
    teacher: SegmentNetwork,
    scheme: Scheme,
    epochs: int,
    *,
    supervised: bool = True,
    freeze_norms: bool = True,
    joint: bool = False,
) -> AttentionTransfer:
    """The objective of one row; rolling weights turn every fifth of the run, as every 10 of 50 epochs.

    Without labels only SAT and TAT remain, in equal parts. joint: the maps of all frames as one vector (Eq. 2 prints
    one map).
    """
    return AttentionTransfer(
        student.requires_grad_(True),
        teacher,
        weights=scheme.overall if supervised else (0.0, 0.5, 0.5),
        block_weights=scheme.blocks,
        layer_weights=scheme.layers,
        roll_every=max(1, round(epochs / 5)),
        supervised=supervised,
        confidence=scheme.confidence if supervised else "none",
        freeze_norms=freeze_norms,
        joint=joint,
    )


class Jitter(nn.Module):
    """A loader's batch to a network's: mirrored, and the same random window of both resolutions (section 4.2).

    "video", and "high" where there is one: uint8 (B, T, H, W, 3) -> (B, 3, T, H, W) in [0, 1], sizes unchanged. The
    window's sides are `scale` of the picture's, its place is anywhere inside; it is resampled bilinearly, the low
    resolution by itself, so that a student never sees what its pixels do not hold. In eval mode nothing is moved.
    """

    def __init__(
        self, *, scale: tuple[float, float] = (0.7, 1.0), flip: float = 0.5, mirror: ArrayLike | None = None
    ) -> None:
        super().__init__()
        self.scale = scale
        self.base = BatchTransform(flip=flip, mirror=None if mirror is None else np.asarray(mirror))

    def forward(self, batch: Batch) -> Batch:
        batch = self.base(batch)
        if not self.training or self.scale == (1.0, 1.0):
            return batch
        draws = np.stack([np.random.default_rng((int(seed), 2)).random(3) for seed in batch["seed"]])
        side = self.scale[0] + (self.scale[1] - self.scale[0]) * draws[:, 0]
        windows = np.zeros((len(side), 2, 3), np.float32)
        windows[:, 0, 0] = windows[:, 1, 1] = side
        windows[:, :, 2] = (1 - side[:, None]) * (2 * draws[:, 1:] - 1)
        cut = torch.from_numpy(windows)
        return batch | {name: _cut(batch[name], cut) for name in ("video", "high") if name in batch}


def _cut(video: Tensor, windows: Tensor) -> Tensor:
    """The windows (B, 2, 3), affine as in `affine_grid`, of every frame."""
    batch, _, frames = video.shape[:3]
    flat = video.transpose(1, 2).flatten(0, 1)
    where = windows.to(video.device).repeat_interleave(frames, 0)
    grid = F.affine_grid(where, list(flat.shape), align_corners=False)
    cut = F.grid_sample(flat, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return cut.unflatten(0, (batch, frames)).transpose(1, 2)


@torch.no_grad()
def features(
    network: SegmentNetwork, dataset: ClipDataset, *, batch_size: int = 32, maps: bool = False
) -> dict[str, NDArray[np.float32]]:
    """Of every clip of `dataset`, in order: "pooled" (N, C), "attention" (N, K), and with `maps` each block's.

    Maps are Eq. 1, (N, T, H, W). The network stays on its device; it is left in eval mode.
    """
    device, prepare = next(network.parameters()).device, BatchTransform().eval()
    network.eval()
    parts: dict[str, list[NDArray[np.float32]]] = {}
    for batch in batches(dataset, batch_size):
        seen = network.features(prepare(batch)["video"].to(device))
        outputs = {name: seen[name] for name in ("pooled", "attention")}
        outputs |= {name: activation_map(seen[name]) for name in BLOCKS if maps}
        for name, values in outputs.items():
            parts.setdefault(name, []).append(values.float().cpu().numpy())
    return {name: np.concatenate(values) for name, values in parts.items()}
