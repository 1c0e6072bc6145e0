"""A super-resolver and a classifier as one classifier (TinyVIRAT, section IV-B)."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from tinylib.datasets.degrade import bicubic_batch
from tinylib.models.dvsr import DVSR, ProgressiveDVSR


class SuperResolvedClassifier(nn.Module):
    """The classifier of super-resolved video; the generator stays as it is (TinyVIRAT, final phase).

    video: (B, 3, T, H, W) in [0, 1], of any size  ->  logits (B, num_classes). Clips are brought to `size` pixels
    (bicubic), super-resolved, clamped to [0, 1] and classified. Size 28 with scale 4 is the released configurations'
    for surveillance clips; the paper writes 14 with scale 8, and says nothing of how a 70-pixel clip enters.
    """

    def __init__(self, generator: DVSR | ProgressiveDVSR, classifier: nn.Module, *, size: int = 28):
        super().__init__()
        self.generator, self.classifier, self.size = generator.requires_grad_(False), classifier, size

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.generator.eval()
        return self

    @torch.no_grad()
    def super_resolve(self, video: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> (B, 3, T, scale * size, scale * size), in [0, 1]."""
        small = video if video.shape[-2:] == (self.size, self.size) else bicubic_batch(video, self.size)
        return self.generator(small).clamp(0, 1)

    def forward(self, video: Tensor) -> Tensor:
        return self.classifier(self.super_resolve(video))

    def features(self, video: Tensor) -> dict[str, Tensor]:
        """The classifier's maps, and "super_resolved" before them."""
        image = self.super_resolve(video)
        return {"super_resolved": image} | self.classifier.features(image)  # type: ignore[operator]

    def reset_classifier(self, num_classes: int) -> None:
        self.classifier.reset_classifier(num_classes)  # type: ignore[operator]
