"""The weakly supervised foreground attention branch (TinyVIRAT, section IV-A3, Fig. 6)."""

from __future__ import annotations

import math

from torch import Tensor, nn

from tinylib.models.dvsr import Conv, leaky


class ForegroundAttention(nn.Sequential):
    """Encoder features to a map of where the action is (section IV-A3, Fig. 6).

    features: (B, channels, T, H, W) of the DVSR encoder, before its skip  ->  map: (B, 1, T, scale * H, scale * W) in
    [0, 1].
    Differs from the paper: none; widths (16, 8, 1 at scale 8; 8, 1 at 4; 1 at 2) follow the released code.
    """

    def __init__(self, *, channels: int = 32, scale: int = 8):
        widths = [2 ** (2 + i) for i in range(int(math.log2(scale)) - 1, 0, -1)]
        layers: list[nn.Module] = []
        for width in widths:
            layers.append(Conv(channels, width, upsample=True, norm=nn.BatchNorm3d(width), activation=leaky()))
            channels = width
        super().__init__(*layers, Conv(channels, 1, upsample=True, activation=nn.Sigmoid()))

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features)
