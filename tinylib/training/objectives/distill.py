"""Dual-resolution distillation (winner, section 3): a teacher on super-resolved video, a student on what is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinylib.datasets.loading import Batch
from tinylib.errors import UsageError
from tinylib.progress import Progress
from tinylib.training import losses
from tinylib.training.optimise import ParameterGroup


class Distillation(nn.Module):
    """alpha * loss(student, labels) + (1 - alpha) * mean over classes of (p - k)^2 (winner, Eq. 1).

    batch: "video" (B, 3, T, h, w) for the student, "high" (B, 3, T, H, W), the same frames and the same flips, for the
    teacher, "label" multi-hot (B, classes). p and k are sigmoid scores: the paper says "prediction score".
    alpha is not given in the paper; 0.5 is our default. loss: of logits and labels, BCE or `losses.asymmetric`.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        *,
        alpha: float = 0.5,
        loss: Callable[[Tensor, Tensor], Tensor] = F.binary_cross_entropy_with_logits,
    ):
        super().__init__()
        if not 0 <= alpha <= 1:
            raise UsageError(f"alpha is a share from 0 to 1, not {alpha}")
        self.model, self.teacher = student, teacher.requires_grad_(False)
        self.alpha, self.loss = alpha, loss

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.teacher.eval()
        return self

    def losses(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        with torch.no_grad():
            taught = self.teacher(batch["high"]).float()
        logits = self.model(batch["video"]).float()
        action, distance = self.loss(logits, batch["label"]), losses.score_distillation(logits, taught)
        total = self.alpha * action + (1 - self.alpha) * distance  # Eq. 1 (winner)
        return {"loss": total, "action": action, "distance": distance}

    def parameter_groups(self) -> list[ParameterGroup]:
        return [{"params": [parameter for parameter in self.model.parameters() if parameter.requires_grad]}]
