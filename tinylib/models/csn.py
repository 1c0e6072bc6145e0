"""ir-CSN: channel-separated 3D residual networks with reduced interactions."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

DEPTHS = {26: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1x1, depthwise 3x3x3, 1x1x1, and the shortcut (Tran et al. 2019, Fig. 2d); the depthwise layer strides.

    video features: (B, channels, T, H, W)  ->  (B, 4 * width, T / stride, H / stride, W / stride)
    """

    def __init__(self, *, channels: int, width: int, stride: int, bn_eps: float, bn_momentum: float):
        super().__init__()

        def norm(size: int) -> nn.BatchNorm3d:
            return nn.BatchNorm3d(size, eps=bn_eps, momentum=bn_momentum)

        out = EXPANSION * width
        self.conv1 = nn.Sequential(nn.Conv3d(channels, width, 1, bias=False), norm(width), nn.ReLU(inplace=True))
        self.conv2 = nn.Sequential(
            nn.Conv3d(width, width, 3, stride=stride, padding=1, groups=width, bias=False),
            norm(width),
            nn.ReLU(inplace=True),
        )
        self.conv3 = nn.Sequential(nn.Conv3d(width, out, 1, bias=False), norm(out))
        self.relu = nn.ReLU(inplace=True)
        self.downsample = (
            nn.Sequential(nn.Conv3d(channels, out, 1, stride=stride, bias=False), norm(out))
            if stride != 1 or channels != out
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(self.conv3(self.conv2(self.conv1(x))) + shortcut)


class CSN(nn.Module):
    """Interaction-reduced channel-separated network (Tran et al., ICCV 2019, section 3.2), the winner's CNN.

    video: (B, 3, T, H, W) in [0, 1]  ->  logits: (B, num_classes)
    Parameters are named as in the released VMZ models. `width` is that of the stem (64 in the paper; less for tests).
    `bn_eps` is 1e-3 in VMZ and mmaction2 and 1e-5 in pytorchvideo; the running statistics take 0.1 of a new batch,
    which is what VMZ means by the Caffe2 number 0.9 that it writes into PyTorch's field.
    Differs from the paper: `stem="low"` strides neither the stem nor its pool, so that 14 px and 4 frames are enough.
    """

    def __init__(
        self,
        *,
        depth: int = 152,
        width: int = 64,
        num_classes: int = 400,
        dropout: float = 0.5,
        stem: Literal["paper", "low"] = "paper",
        bn_eps: float = 1e-3,
        bn_momentum: float = 0.1,
        mean: tuple[float, float, float] = (0.485, 0.456, 0.406),
        std: tuple[float, float, float] = (0.229, 0.224, 0.225),
    ):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(
                3, width, (3, 7, 7), stride=(1, 2, 2) if stem == "paper" else 1, padding=(1, 3, 3), bias=False
            ),
            nn.BatchNorm3d(width, eps=bn_eps, momentum=bn_momentum),
            nn.ReLU(inplace=True),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)) if stem == "paper" else nn.Identity(),
        )
        stages, channels = [], width
        for stage, blocks in enumerate(DEPTHS[depth]):
            size = width * 2**stage
            layer = []
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                layer.append(
                    Bottleneck(channels=channels, width=size, stride=stride, bn_eps=bn_eps, bn_momentum=bn_momentum)
                )
                channels = EXPANSION * size
            stages.append(nn.Sequential(*layer))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels, num_classes)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1, 1), persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, video: Tensor) -> dict[str, Tensor]:
        """Outputs of the stem and of the four stages, (B, C, T, H, W), and "pooled", (B, C)."""
        maps = {"stem": self.stem((video - self.mean) / self.std)}
        for previous, name in (("stem", "layer1"), ("layer1", "layer2"), ("layer2", "layer3"), ("layer3", "layer4")):
            maps[name] = getattr(self, name)(maps[previous])
        maps["pooled"] = maps["layer4"].mean((2, 3, 4))
        return maps

    def forward(self, video: Tensor) -> Tensor:
        return self.fc(self.dropout(self.features(video)["pooled"]))

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer by a new one for `num_classes`."""
        self.fc = nn.Linear(self.fc.in_features, num_classes, device=self.fc.weight.device)
