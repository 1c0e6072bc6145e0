"""Super-resolution guided by weakly supervised foreground attention (TinyVIRAT, section IV-A4, Eq. 1 to 3)."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from tinylib.datasets.loading import Batch
from tinylib.models.dvsr import ProgressiveDVSR
from tinylib.models.foreground import ForegroundAttention
from tinylib.progress import Progress
from tinylib.training import losses
from tinylib.training.objectives.super_resolve import action_loss, batch_psnr, frozen, pair_of
from tinylib.training.optimise import ParameterGroup


class Foreground(nn.Module):
    """Phase 2: the attention branch finds the action, and weighs the reconstruction.

    Each step: the classifier learns from super-resolved clips, unmasked and detached; then generator and branch from
    reconstruction_weight * mean(|error| * F.detach()) + attention_weight * action(A(V.detach() * F)) +
    sparsity * mean(F), with the classifier A held constant. Both detaches matter: without the first F = 0 is the best
    reconstruction, without the second masking rewrites the super-resolution. Masking happens on the [-1, 1] scale, as
    released, so what is masked turns mid-grey.
    batch: "video" (B, 3, T, H, W) in [0, 1] at the generator's output size, "label" multi-hot float or class numbers;
    with "high", the truth of "video", it is a pair that the camera made instead of a reduction.
    Differs from the paper: lambda_att stands there for two things; here it is the weight of the action loss (0.5), and
    the sparsity weighs a mean (5e-4, released), not a sum.
    """

    def __init__(
        self,
        generator: ProgressiveDVSR,
        attention: ForegroundAttention,
        classifier: nn.Module,
        *,
        reconstruction_weight: float = 1.0,
        attention_weight: float = 0.5,
        sparsity: float = 5e-4,
        weight_decay: float = 5e-5,
    ):
        super().__init__()
        self.generator, self.attention, self.classifier = generator, attention, classifier
        self.reconstruction_weight, self.attention_weight = reconstruction_weight, attention_weight
        self.sparsity, self.weight_decay = sparsity, weight_decay
        generator.grow(generator.stages)

    def forward(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """Low-resolution video (B, 3, T, h, w) in [0, 1] -> super-resolved video, attention (B, 1, T, H, W)."""
        image, attention = self._see(video)
        return (image + 1) / 2, attention

    def _see(self, video: Tensor) -> tuple[Tensor, Tensor]:
        signed = video * 2 - 1
        plain, features = self.generator.encode(signed)
        return self.generator.decode(signed, features), self.attention(plain)

    def turns(self, batch: Batch, progress: Progress) -> Iterator[tuple[str, dict[str, Tensor]]]:
        low, video = pair_of(batch, self.generator.scale)
        label = batch["label"]
        image, attention = self._see(low)
        yield "classifier", {"loss": action_loss(self.classifier((image.detach() + 1) / 2), label)}
        rebuilt = losses.reconstruction(image, video * 2 - 1, attention)  # Eq. 1 (TinyVIRAT)
        masked = (image.detach() * attention + 1) / 2
        action = frozen(self.classifier, masked, label)  # Eq. 2 (TinyVIRAT), first term
        sparse = losses.sparsity(attention)  # Eq. 2 (TinyVIRAT), second term
        total = (  # Eq. 3 (TinyVIRAT), with the two terms of Eq. 2 weighed apart
            self.reconstruction_weight * rebuilt + self.attention_weight * action + self.sparsity * sparse
        )
        yield (
            "generator",
            {
                "loss": total,
                "reconstruction": rebuilt,
                "action": action,
                "area": sparse,
                "psnr": batch_psnr(image, video),
            },
        )

    def losses(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        """The generator's turn alone, for logging on held-out clips."""
        *_, (_, last) = self.turns(batch, progress)
        return last

    def parameter_groups(self) -> list[ParameterGroup]:
        generating = [*self.generator.parameters(), *self.attention.parameters()]
        return [
            {"params": [p for p in self.classifier.parameters() if p.requires_grad], "turn": "classifier"},
            {"params": generating, "turn": "generator", "weight_decay": self.weight_decay},
        ]
