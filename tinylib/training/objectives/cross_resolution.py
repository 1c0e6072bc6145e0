"""The combined recipe's training step (ours): labels, a teacher that sees more pixels, several resolutions at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinylib.datasets.degrade import area_batch, bilinear_batch
from tinylib.datasets.loading import Batch
from tinylib.errors import UsageError
from tinylib.progress import Progress
from tinylib.training.objectives.classify import Loss
from tinylib.training.optimise import ParameterGroup


class CrossResolution(nn.Module):
    """alpha * loss(student, labels) + (1 - alpha) * distance to a teacher, trusted as far as it is right.

    batch: "video" (B, 3, T, h, w) for the student, "label" (B, classes) multi-hot or (B,) class numbers, and, with a
    teacher, "high" (B, 3, T, H, W), the same frames and flips (the winner's Eq. 1 is the case without trust).
    trust: each clip's distance counts by the probability that the teacher gives to the clip's true labels (after CSTAT,
    the later form of STAT), so that a teacher that is wrong teaches nothing.
    factors: the student sees the batch shrunk by one of these, drawn anew every step, and enlarged again (after
    ResFormer's multi-resolution training); 1 is the batch as it is. The draw is torch's, which `fit` seeds by step.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module | None = None,
        *,
        loss: Loss,
        alpha: float = 0.5,
        trust: bool = True,
        factors: Sequence[float] = (1.0,),
    ):
        super().__init__()
        if not 0 <= alpha <= 1 or not factors or not all(0 < factor <= 1 for factor in factors):
            raise UsageError(f"alpha {alpha} and factors {tuple(factors)} are shares from 0 to 1")
        self.model, self.teacher = student, None if teacher is None else teacher.requires_grad_(False)
        self.loss, self.alpha, self.trust, self.factors = loss, alpha, trust, tuple(factors)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def losses(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        video = batch["video"]
        if len(self.factors) > 1:
            video = coarser(video, self.factors[int(torch.randint(len(self.factors), ()))])
        logits, label = self.model(video).float(), batch["label"]
        action = self.loss(logits, label)
        if self.teacher is None:
            return {"loss": action}
        with torch.no_grad():
            taught = self.teacher(batch["high"]).float()
        distance = distances(logits, taught, label)
        weight = confidence(taught, label) if self.trust else torch.ones_like(distance)
        taught_loss = (weight * distance).mean()
        return {
            "loss": self.alpha * action + (1 - self.alpha) * taught_loss,
            "action": action,
            "distance": taught_loss,
            "trust": weight.mean(),
        }

    def parameter_groups(self) -> list[ParameterGroup]:
        return [{"params": [parameter for parameter in self.model.parameters() if parameter.requires_grad]}]


def coarser(video: Tensor, factor: float) -> Tensor:
    """Video with the detail of `factor` of its resolution: averaged over areas, and enlarged to its size again."""
    if factor == 1:
        return video
    height, width = video.shape[-2:]
    small = area_batch(video, (max(1, round(factor * height)), max(1, round(factor * width))))
    return bilinear_batch(small, (height, width))


def distances(student: Tensor, teacher: Tensor, label: Tensor) -> Tensor:
    """(B,): how far the student's answer is from the teacher's, logits (B, C) both.

    Class numbers: KL divergence of the softmaxes. Multi-hot: the same of each class's sigmoid, mean over classes, which
    is the winner's squared distance with a gradient that does not vanish where the student is sure and wrong.
    """
    teacher = teacher.detach()
    if label.is_floating_point():
        soft = teacher.sigmoid()
        cross = F.binary_cross_entropy_with_logits(student, soft, reduction="none")
        least = F.binary_cross_entropy_with_logits(teacher, soft, reduction="none")
        return (cross - least).mean(1)
    return F.kl_div(student.log_softmax(1), teacher.log_softmax(1), reduction="none", log_target=True).sum(1)


def confidence(teacher: Tensor, label: Tensor) -> Tensor:
    """(B,): the teacher's probability of a clip's label, or the mean over its labels; 1 where a clip has none."""
    if not label.is_floating_point():
        return teacher.softmax(1).gather(1, label[:, None])[:, 0]
    shown = label.sum(1)
    return torch.where(shown > 0, (teacher.sigmoid() * label).sum(1) / shown.clamp(min=1), 1.0)
