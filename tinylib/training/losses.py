"""The losses of the four papers as pure functions of tensors, each with its equation."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def reconstruction(prediction: Tensor, target: Tensor, attention: Tensor | None = None) -> Tensor:
    """Mean absolute error, weighted by foreground attention (TinyVIRAT, Eq. 1).

    prediction, target: (B, 3, T, H, W) on the [-1, 1] scale of the paper; attention: (B, 1, T, H, W) or None for 1.
    The attention is a constant here: with its gradient, attending to nothing would be the best reconstruction.
    Differs from the paper: the mean is of the weighted error, pixel by pixel (the printed norm of a product of a norm
    is not well formed).
    """
    error = (prediction - target).abs()
    return error.mean() if attention is None else (error * attention.detach()).mean()  # Eq. 1 (TinyVIRAT)


def sparsity(attention: Tensor) -> Tensor:
    """The L1 term that keeps the attention small (TinyVIRAT, Eq. 2): its mean, not the printed sum, as released."""
    return attention.float().abs().mean()  # Eq. 2 (TinyVIRAT), second term


def activation_map(features: Tensor, power: float = 1) -> Tensor:
    """Spatial attention: sum over channels of |activation| ** power (STAT, Eq. 1, power 1).

    features: (B, C, H, W) or (B, C, T, H, W)  ->  (B, H, W) or (B, T, H, W).
    """
    return features.float().abs().pow(power).sum(dim=1)  # Eq. 1 (STAT)


def unit(vectors: Tensor) -> Tensor:
    """Each sample flattened and divided by its Euclidean norm: (B, ...) -> (B, N)."""
    return F.normalize(vectors.float().flatten(1), dim=1, eps=1e-12)


def attention_transfer(student: Tensor, teacher: Tensor, reduce: str = "sum") -> Tensor:
    """Distance of one student attention vector from the teacher's (STAT, Eq. 2 and 3), a value a sample: (B,).

    student, teacher: (B, ...) of equal shape, compared as unit vectors. The teacher is a constant.
    reduce: 'sum', the squared norm of the difference, in [0, 4] (the paper: "we square the subtracted data"); 'norm',
    the norm as printed; 'mean', squares averaged over positions, as Zagoruyko and Komodakis do.
    """
    if student.shape != teacher.shape:
        raise ValueError(
            f"attention of student {tuple(student.shape)} and teacher {tuple(teacher.shape)} differ in shape"
        )
    difference = unit(student) - unit(teacher.detach())  # Eq. 2 (STAT), Eq. 3 (STAT): what the norm is of
    if reduce == "norm":
        return difference.norm(dim=1)
    if reduce in ("sum", "mean"):
        square = difference.square()
        return square.sum(dim=1) if reduce == "sum" else square.mean(dim=1)
    raise ValueError(f"reduce must be 'sum', 'norm' or 'mean', not {reduce!r}")


SAT_ROLL = ((40, 30, 20, 10), (30, 40, 20, 10), (20, 30, 40, 10), (10, 20, 30, 40))
TAT_ROLL = ((66, 33), (33, 66))


def rolling_weights(
    table: Sequence[Sequence[float]], epoch: int, *, period: int = 10, hold: bool = False
) -> list[float]:
    """The layers' weights in `epoch` (from 0), the table's next row every `period` epochs (STAT, section 3.3.2).

    Rows are divided by their sum. After the last row the table starts again, or stays with `hold`.
    """
    turn = epoch // period
    row = table[min(turn, len(table) - 1) if hold else turn % len(table)]
    return [weight / sum(row) for weight in row]


def score_distillation(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of prediction scores (winner, Eq. 1, second term).

    student, teacher: logits (B, C); the teacher is a constant.
    """
    return F.mse_loss(student.sigmoid(), teacher.detach().sigmoid())  # Eq. 1 (winner), L_kd


def asymmetric(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma_negative: float = 4,
    gamma_positive: float = 1,
    clip: float = 0.05,
    eps: float = 1e-8,
    detach_focus: bool = True,
    reduce: str = "sum",
) -> Tensor:
    """Asymmetric loss for long-tailed multi-label data (ASL, Ridnik et al. 2021; used by the winner, section 5).

    logits, targets: (B, C). Negatives' probabilities are shifted down by `clip` before focusing. `detach_focus` keeps
    the focusing weight out of the gradient, as the reference does by default. reduce: 'sum' over batch and classes, or
    'mean' of the sums a sample.
    """
    positive = logits.sigmoid()
    negative = (1 - positive + clip).clamp(max=1) if clip > 0 else 1 - positive
    loss = targets * positive.clamp(min=eps).log() + (1 - targets) * negative.clamp(min=eps).log()
    if gamma_negative > 0 or gamma_positive > 0:
        focused = positive * targets + negative * (1 - targets)
        weight = (1 - focused).pow(gamma_positive * targets + gamma_negative * (1 - targets))
        loss = loss * (weight.detach() if detach_focus else weight)
    total = -loss.sum()
    return total / len(logits) if reduce == "mean" else total


def fade_by_iteration(iteration: int, *, step: float = 5e-3) -> float:
    """alpha of a new stage after `iteration` updates (TinyVIRAT, section IV-A2): 0 to 1, 5e-3 each."""
    return min(1.0, iteration * step)


def fade_by_epoch(time: float, *, epochs: float = 2) -> float:
    """alpha as the released code has it: linear over a stage's first `epochs` epochs, of which `time` have gone."""
    return min(1.0, max(0.0, time / epochs))


def prior_adjusted(logits: Tensor, targets: Tensor, prior: Tensor, *, strength: float = 1.0) -> Tensor:
    """Loss of logits to which the classes' log odds (or log frequencies) in training data are added while learning.

    What a rare class's logit has to overcome is given to it, so without the shift, at test, scores are of balanced
    classes (logit adjustment, Menon et al. 2021; the multi-label form, ours, is BCE per class). logits: (B, C); targets
    multi-hot (B, C) or class numbers (B,); prior: (C,) shares of training clips in (0, 1).
    """
    share = prior.clamp(1e-4, 1 - 1e-4).to(logits)
    if targets.is_floating_point():
        return F.binary_cross_entropy_with_logits(logits + strength * (share / (1 - share)).log(), targets)
    return F.cross_entropy(logits + strength * share.log(), targets)
