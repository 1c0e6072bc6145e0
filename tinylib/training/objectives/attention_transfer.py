"""Spatial-temporal attention transfer from a high-resolution teacher (STAT, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tinylib.datasets.loading import Batch
from tinylib.errors import UsageError
from tinylib.models.attention_maps import match
from tinylib.models.segments import BLOCKS, SegmentNetwork
from tinylib.progress import Progress
from tinylib.training import losses
from tinylib.training.objectives.super_resolve import action_loss
from tinylib.training.optimise import ParameterGroup

FULLY_CONNECTED = ("fc1", "fc2")
Confidence = Literal["none", "label", "entropy"]


class AttentionTransfer(nn.Module):
    """A student that recognises, and attends where its teacher attends (STAT, Eq. 2 to 4).

    loss = weights[0] * cross-entropy + weights[1] * SAT + weights[2] * TAT, where SAT sums the blocks' attention
    distances and TAT those of the two layers of the temporal attention module, each layer with its own weight.
    batch: "video" (B, 3, K * L, h, w) for the student, "high" (B, 3, K * L, H, W) of the same frames for the teacher,
    "label" class numbers (or multi-hot); without labels (`supervised=False`, section 3.3.1) only SAT and TAT remain.

    block_weights, layer_weights: fixed (Table 1), or None for the rolling weights of section 3.3.2.
    power, reduce: of the attention maps and their distance, see `losses`. SAT compares each frame's map by itself and
    takes the mean over frames: Eq. 1 and 2 are of one map (H, W). joint=True makes all frames' maps of a clip one
    vector instead, which also compares how active the frames are; over_time=True averages the maps over time first.
    confidence: weighs each clip's transfer by how far the teacher is to be trusted (the later CSTAT's idea, in our
    formula, for its text was not at hand): 'label' by the probability of the true class, 'entropy' by 1 - H / log C.
    freeze_norms: batch norms but the student's first stay as they are (STAT, section 3.1.3).
    """

    def __init__(
        self,
        student: SegmentNetwork,
        teacher: SegmentNetwork,
        *,
        weights: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3),
        block_weights: Sequence[float] | None = (1 / 4, 1 / 4, 1 / 4, 1 / 4),
        layer_weights: Sequence[float] | None = (1 / 2, 1 / 2),
        roll_every: int = 10,
        hold_last: bool = False,
        supervised: bool = True,
        power: float = 1,
        reduce: str = "sum",
        over_time: bool = False,
        joint: bool = False,
        confidence: Confidence = "none",
        freeze_norms: bool = True,
    ):
        super().__init__()
        if confidence not in ("none", "label", "entropy"):
            raise UsageError(f"confidence is 'none', 'label' or 'entropy', not {confidence!r}")
        if confidence == "label" and not supervised:
            raise UsageError("confidence 'label' needs labels: use 'entropy' without supervision")
        self.model, self.teacher = student, teacher.requires_grad_(False)
        self.weights, self.supervised, self.confidence = weights, supervised, confidence
        self.block_weights, self.layer_weights = block_weights, layer_weights
        self.roll_every, self.hold_last = roll_every, hold_last
        self.power, self.reduce, self.over_time, self.joint = power, reduce, over_time, joint
        self.freeze_norms = freeze_norms

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.teacher.eval()
        if self.freeze_norms:
            norms = [module for module in self.model.modules() if isinstance(module, _BatchNorm)]
            for norm in norms[1:]:
                norm.eval()
        return self

    def layer_weights_at(self, epoch: int) -> tuple[Sequence[float], Sequence[float]]:
        """Weights of the four blocks and of the two fully connected layers in `epoch` (from 0)."""

        def roll(table: Sequence[Sequence[float]]) -> list[float]:
            return losses.rolling_weights(table, epoch, period=self.roll_every, hold=self.hold_last)

        blocks = self.block_weights if self.block_weights is not None else roll(losses.SAT_ROLL)
        layers = self.layer_weights if self.layer_weights is not None else roll(losses.TAT_ROLL)
        return blocks, layers

    def losses(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        with torch.no_grad():
            taught = self.teacher.features(batch["high"])
            trust = self._trust(taught["pooled"], batch)
        seen = self.model.features(batch["video"])
        blocks, layers = self.layer_weights_at(progress.epoch)
        spatial = [(trust * self._spatial(seen[name], taught[name])).mean() for name in BLOCKS]
        pairs = [(seen[name], taught[name]) for name in FULLY_CONNECTED]
        temporal = [(trust * losses.attention_transfer(*pair, self.reduce)).mean() for pair in pairs]
        parts = {
            "spatial": _weighted(blocks, spatial),  # Eq. 2 (STAT): the sum over blocks
            "temporal": _weighted(layers, temporal),  # Eq. 3 (STAT): the sum over the two layers
        }
        total = self.weights[1] * parts["spatial"] + self.weights[2] * parts["temporal"]
        if self.supervised:
            parts["action"] = action_loss(self.model.head(seen["pooled"]), batch["label"])
            total = total + self.weights[0] * parts["action"]  # Eq. 4 (STAT)
        return {"loss": total} | parts

    def _spatial(self, student: Tensor, teacher: Tensor) -> Tensor:
        maps = losses.activation_map(student, self.power), losses.activation_map(teacher, self.power)
        mine, given = (m.mean(1, keepdim=True) if self.over_time else m for m in maps)
        if mine.shape != given.shape:
            given = match(given, mine)
        if self.joint:
            return losses.attention_transfer(mine, given, self.reduce)
        each = losses.attention_transfer(mine.flatten(0, 1), given.flatten(0, 1), self.reduce)  # Eq. 2
        return each.unflatten(0, mine.shape[:2]).mean(1)

    def _trust(self, pooled: Tensor, batch: Batch) -> Tensor:
        """(B,) weights of the clips' transfer losses."""
        if self.confidence == "none":
            return pooled.new_ones(len(pooled))
        probability = self.teacher.head(pooled).float().softmax(1)
        if self.confidence == "label":
            return probability.gather(1, batch["label"][:, None])[:, 0]
        entropy = -(probability * probability.clamp(min=1e-12).log()).sum(1)
        return 1 - entropy / torch.tensor(float(probability.shape[1])).log()

    def parameter_groups(self) -> list[ParameterGroup]:
        return [{"params": [p for p in self.model.parameters() if p.requires_grad]}]


def _weighted(weights: Sequence[float], values: Sequence[Tensor]) -> Tensor:
    return torch.stack([weight * value for weight, value in zip(weights, values, strict=True)]).sum()
