"""Learning to super-resolve: from high-resolution clips alone, or guided by what the classifier recognises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinylib.datasets.degrade import bicubic_batch
from tinylib.datasets.loading import Batch
from tinylib.errors import UsageError
from tinylib.models.dvsr import DVSR, ProgressiveDVSR
from tinylib.progress import Progress
from tinylib.training import losses
from tinylib.training.optimise import ParameterGroup

SHARES = {8: (0.2, 0.2, 0.6), 4: (0.2, 0.8), 2: (1.0,)}  # of the run's iterations, a stage each


def low_resolution(video: Tensor, scale: int) -> Tensor:
    """What a generator of `scale` gets to see of a high-resolution clip (TinyVIRAT, section V-A)."""
    height, width = video.shape[-2:]
    if height % scale or width % scale:
        raise UsageError(f"scale {scale} does not divide clips of {height}x{width} pixels")
    return bicubic_batch(video, (height // scale, width // scale))


def pair_of(batch: Batch, scale: int) -> tuple[Tensor, Tensor]:
    """What a generator sees and what it should put out: the batch's own pair ("video", "high"), or a reduction."""
    if "high" in batch:
        return batch["video"], batch["high"]
    return low_resolution(batch["video"], scale), batch["video"]


def stage_target(video: Tensor, network: DVSR | ProgressiveDVSR) -> Tensor:
    """What the network's present stage should put out: every (16 / t)-th frame, bicubic at the stage's size."""
    if isinstance(network, DVSR):
        return video
    frames, factor = network.extent(network.stage)
    height, width = (factor * side // network.scale for side in video.shape[-2:])
    return bicubic_batch(video[:, :, :: network.frames // frames], (height, width))


class StageSchedule(nn.Module):
    """Which stage a progressive generator is in, and how far it has faded in (TinyVIRAT, section IV-A2).

    The stages take fixed shares of the run, since "after it converges" gives no length. fade: 'iterations' adds
    `fade_step` to alpha each update (paper); 'epochs' rises linearly over the first `fade_epochs` (released code).
    """

    def __init__(
        self, *, shares: tuple[float, ...], fade: str = "iterations", fade_step: float = 5e-3, fade_epochs: float = 2
    ):
        super().__init__()
        if fade not in ("iterations", "epochs"):
            raise UsageError(f"fade is 'iterations' or 'epochs', not {fade!r}")
        self.starts = tuple(sum(shares[:i]) / sum(shares) for i in range(len(shares)))
        self.fade, self.fade_step, self.fade_epochs = fade, fade_step, fade_epochs

    def at(self, progress: Progress) -> tuple[int, float]:
        """(stage from 1, alpha); the first stage has nothing to fade from."""
        share = progress.time / progress.epochs + 1e-9
        stage = sum(start <= share for start in self.starts)
        epochs = progress.time - self.starts[stage - 1] * progress.epochs
        if stage == 1:
            return 1, 1.0
        if self.fade == "epochs":
            return stage, losses.fade_by_epoch(epochs, epochs=self.fade_epochs)
        return stage, losses.fade_by_iteration(round(epochs * progress.steps_per_epoch), step=self.fade_step)


def stage_schedule(network: DVSR | ProgressiveDVSR, **fade: Any) -> StageSchedule | None:
    """The schedule for `network`: SHARES by its scale, half-stages halved; None where nothing grows."""
    if isinstance(network, DVSR):
        return None
    halves = network.halves
    return StageSchedule(shares=tuple(share / halves for share in SHARES[network.scale] for _ in range(halves)), **fade)


class SuperResolve(nn.Module):
    """Phase 1: reconstruct high-resolution clips from their bicubic reductions (TinyVIRAT, Eq. 1 with F = 1).

    batch: "video" (B, 3, T, H, W) in [0, 1], clips that are large of themselves (the paper: above 112 x 112). Differs
    from the paper where a batch has "high" beside it, the truth of "video" at `scale` times its size: then the network
    learns to undo what the camera did.
    """

    def __init__(self, network: DVSR | ProgressiveDVSR, *, schedule: StageSchedule | None = None):
        super().__init__()
        self.model = network
        self.schedule = schedule

    def start_epoch(self, progress: Progress) -> None:
        self._grow(progress)

    def _grow(self, progress: Progress) -> None:
        if self.schedule is not None and isinstance(self.model, ProgressiveDVSR):
            self.model.grow(*self.schedule.at(progress))

    def losses(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        self._grow(progress)
        low, video = pair_of(batch, self.model.scale)
        image = self.model.signed(low * 2 - 1)
        loss = losses.reconstruction(image, stage_target(video, self.model) * 2 - 1)
        return {"loss": loss, "psnr": batch_psnr(image, stage_target(video, self.model))}

    def parameter_groups(self) -> list[ParameterGroup]:
        return [{"params": list(self.model.parameters())}]


def batch_psnr(image: Tensor, target: Tensor) -> Tensor:
    """Of the batch, peak 1, on clamped pixels; `image` is on the [-1, 1] scale."""
    error = ((image.detach() + 1) / 2).clamp(0, 1) - target
    return -10 * error.square().mean().clamp(min=1e-12).log10()


class SuperResolveAndClassify(nn.Module):
    """Super-resolution and recognition trained together, without attention (TinyVIRAT, section IV-B; released '…sa').

    Each step first updates the classifier on super-resolved clips that give the generator no gradient, then the
    generator on reconstruction * `reconstruction_weight` + action loss * `action_weight`.
    batch: "video" as in `SuperResolve`, "label" multi-hot float or class numbers.
    """

    def __init__(
        self,
        generator: DVSR | ProgressiveDVSR,
        classifier: nn.Module,
        *,
        reconstruction_weight: float = 100.0,
        action_weight: float = 1.0,
    ):
        super().__init__()
        self.generator, self.classifier = generator, classifier
        self.reconstruction_weight, self.action_weight = reconstruction_weight, action_weight

    @property
    def model(self) -> nn.Module:
        return self.generator

    def turns(self, batch: Batch, progress: Progress) -> Iterator[tuple[str, dict[str, Tensor]]]:
        video, label = batch["video"], batch["label"]
        image = self.generator.signed(low_resolution(video, self.generator.scale) * 2 - 1)
        yield "classifier", {"loss": action_loss(self.classifier((image.detach() + 1) / 2), label)}
        yield "generator", self._generator_losses(image, video, label)

    def _generator_losses(self, image: Tensor, video: Tensor, label: Tensor) -> dict[str, Tensor]:
        rebuilt = losses.reconstruction(image, video * 2 - 1)
        action = frozen(self.classifier, (image + 1) / 2, label)
        total = self.reconstruction_weight * rebuilt + self.action_weight * action
        return {"loss": total, "reconstruction": rebuilt, "action": action, "psnr": batch_psnr(image, video)}

    def losses(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        """The generator's turn alone, for logging on held-out clips."""
        *_, (_, last) = self.turns(batch, progress)
        return last

    def parameter_groups(self) -> list[ParameterGroup]:
        return [
            {"params": [p for p in self.classifier.parameters() if p.requires_grad], "turn": "classifier"},
            {"params": list(self.generator.parameters()), "turn": "generator"},
        ]


def action_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Cross-entropy for class numbers, binary cross-entropy for multi-hot labels (TinyVIRAT, Eq. 4), in float32."""
    logits = logits.float()
    if label.is_floating_point():
        return F.binary_cross_entropy_with_logits(logits, label)  # Eq. 4 (TinyVIRAT), several labels
    return F.cross_entropy(logits, label)  # Eq. 4 (TinyVIRAT)


def frozen(classifier: nn.Module, video: Tensor, label: Tensor, loss: Callable[..., Tensor] = action_loss) -> Tensor:
    """The action loss as a function of the video alone: the classifier is a constant for this one call.

    Its batch norms normalise by this batch where it trains, and their running statistics stay as they are.
    """
    weights = {name: parameter.detach() for name, parameter in classifier.named_parameters()}
    statistics = {name: buffer.clone() for name, buffer in classifier.named_buffers()}
    return loss(torch.func.functional_call(classifier, weights | statistics, (video,)), label)
