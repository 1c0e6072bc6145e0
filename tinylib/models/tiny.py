"""Small networks that train in a minute on two cores, for tests, demonstrations and CPU-only machines."""

from __future__ import annotations

from tinylib.models.common import Stem, Triple
from tinylib.models.resnet3d import TORCHVISION_MEAN, TORCHVISION_STD, Blocks, VideoResNet


class TinyR3D(VideoResNet):
    """R3D-10 at a quarter of the width (0.9 M parameters), our own, for 14 to 56 pixels and 8 to 16 frames.

    video: (B, 3, T, H, W)  ->  maps stem, layer1 at full size, layer2..layer4 at 1/2 .. 1/8 of size and frames.
    A 3x3x3 stem, by default without stride ("low"); stem="paper" halves the size first, for larger input.
    """

    def __init__(
        self,
        *,
        num_classes: int = 26,
        blocks: Blocks = (1, 1, 1, 1),
        widths: Blocks = (16, 32, 64, 128),
        dropout: float = 0.0,
        stem: Stem = "low",
        mean: Triple = TORCHVISION_MEAN,
        std: Triple = TORCHVISION_STD,
    ) -> None:
        super().__init__(
            num_classes=num_classes,
            blocks=blocks,
            widths=widths,
            stem_kernel=3,
            dropout=dropout,
            stem=stem,
            mean=mean,
            std=std,
        )


class TinyR2Plus1D(VideoResNet):
    """R(2+1)D-10 at a quarter of the width (0.8 M parameters), our own; maps and stem as `TinyR3D`."""

    def __init__(
        self,
        *,
        num_classes: int = 26,
        blocks: Blocks = (1, 1, 1, 1),
        widths: Blocks = (16, 32, 64, 128),
        dropout: float = 0.0,
        stem: Stem = "low",
        mean: Triple = TORCHVISION_MEAN,
        std: Triple = TORCHVISION_STD,
    ) -> None:
        super().__init__(
            num_classes=num_classes,
            blocks=blocks,
            widths=widths,
            factorised=True,
            shared_middle=True,
            stem_middle=widths[0],
            stem_kernel=3,
            dropout=dropout,
            stem=stem,
            mean=mean,
            std=std,
        )
