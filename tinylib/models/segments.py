"""STAT's segment networks: one backbone over K intervals of a video, weighed by a temporal attention module."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinylib.errors import UsageError
from tinylib.models.common import IMAGENET_MEAN, IMAGENET_STD, Stem, Step, Triple, VideoClassifier, early_stride
from tinylib.models.r2plus1d import R2Plus1D


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016), under torchvision's key names."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + shortcut)


class FrameResNet(VideoClassifier):
    """A 2D residual network on every frame by itself; torchvision's keys (34 layers: `resnet34` checkpoints load).

    video: (B, 3, T, H, W)  ->  maps stem, layer1..layer4 (B, C, T, H', W'); logits are of the mean over frames.
    """

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        blocks: tuple[int, int, int, int] = (3, 4, 6, 3),
        widths: tuple[int, int, int, int] = (64, 128, 256, 512),
        dropout: float = 0.0,
        stem: Stem = "paper",
        mean: Triple = IMAGENET_MEAN,
        std: Triple = IMAGENET_STD,
    ) -> None:
        super().__init__(dropout=dropout, mean=mean, std=std)
        step = early_stride(stem, (1, 2, 2))[1]
        self.conv1 = nn.Conv2d(3, widths[0], 7, stride=step, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if stem == "paper" else nn.Identity()
        inputs = widths[0]
        for number, (count, outputs) in enumerate(zip(blocks, widths, strict=True), start=1):
            first = BasicBlock(inputs, outputs, stride=1 if number == 1 else 2)
            rest = [BasicBlock(outputs, outputs, stride=1) for _ in range(count - 1)]
            self.add_module(f"layer{number}", nn.Sequential(first, *rest))
            inputs = outputs
        self.fc = nn.Linear(inputs, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def steps(self) -> list[Step]:
        layers = [f"layer{number}" for number in range(1, 5)]
        return [("stem", self._stem)] + [(name, _per_frame(self.get_submodule(name))) for name in layers]

    def _stem(self, video: Tensor) -> Tensor:
        return _per_frame(lambda x: self.maxpool(F.relu(self.bn1(self.conv1(x)))))(video)


def _per_frame(layer: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """`layer` of (N, C, H, W) as one of (B, C, T, H, W)."""

    def apply(x: Tensor) -> Tensor:
        batch, frames = x.shape[0], x.shape[2]
        y = layer(x.transpose(1, 2).flatten(0, 1))
        return y.unflatten(0, (batch, frames)).transpose(1, 2)

    return apply


class TemporalAttention(nn.Module):
    """Importance of each interval from all intervals' features (STAT, section 3.1.2, Fig. 3).

    features: (B, K, C)  ->  hidden (B, width), scores (B, K), weights (B, K) = softmax of the scores.
    The paper does not say how features are put together, nor name a nonlinearity: concatenation and ReLU are ours.
    """

    def __init__(self, *, segments: int, channels: int, width: int = 64) -> None:
        super().__init__()
        self.fc1 = nn.Linear(segments * channels, width)
        self.fc2 = nn.Linear(width, segments)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden = self.fc1(features.flatten(1))
        scores = self.fc2(F.relu(hidden))
        return hidden, scores, scores.softmax(dim=1)


SEGMENT_BACKBONES: dict[str, Callable[..., VideoClassifier]] = {
    "resnet34": partial(FrameResNet, blocks=(3, 4, 6, 3)),
    "resnet10": partial(FrameResNet, blocks=(1, 1, 1, 1), widths=(16, 32, 64, 128)),  # ours, for CPUs
    "resnet10_narrow": partial(FrameResNet, blocks=(1, 1, 1, 1), widths=(8, 16, 32, 64)),
    "r2plus1d18": partial(R2Plus1D, blocks=(2, 2, 2, 2)),
    "r2plus1d34": partial(R2Plus1D, blocks=(3, 4, 6, 3), shared_middle=False, eps=1e-3),
    "r2plus1d10": partial(R2Plus1D, blocks=(1, 1, 1, 1), widths=(16, 32, 64, 128), stem_middle=12),  # ours, for CPUs
}
BLOCKS = ("layer1", "layer2", "layer3", "layer4")


class SegmentNetwork(nn.Module):
    """A backbone over K intervals, their features summed by temporal attention, one classifier (STAT, section 3.1).

    video: (B, 3, segments * length, H, W) in [0, 1], intervals one after the other  ->  logits: (B, num_classes)
    Paper: ResNet-34 with 8 segments of 1 frame; R(2+1)D-18 and -34 with 4 segments of 5 frames.
    size: pixels (H, W) that the input is enlarged to (bilinear) before the backbone. The paper gives teacher (256x340)
    and student (12x16) one architecture, whose maps then differ in size so that Eq. 2 cannot be formed; it does not say
    how it resolved this. Default of our experiments: the student's input is enlarged to the teacher's size. The other
    reading is stem="low" at native size, with the teacher's maps averaged to the student's (`match` in attention.py).
    """

    def __init__(
        self,
        *,
        num_classes: int,
        backbone: str = "resnet34",
        segments: int = 8,
        length: int = 1,
        hidden: int = 64,
        dropout: float = 0.0,
        stem: Stem = "paper",
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        if backbone not in SEGMENT_BACKBONES:
            raise UsageError(f"no segment backbone {backbone!r}; there are {', '.join(SEGMENT_BACKBONES)}")
        self.segments, self.length, self.size, self.name = segments, length, size, backbone
        self.backbone = SEGMENT_BACKBONES[backbone](num_classes=1, stem=stem)
        head = self.backbone.get_submodule("fc")
        assert isinstance(head, nn.Linear)
        channels = head.in_features
        self.backbone.fc = nn.Identity()  # the head here comes after the intervals' sum
        self.temporal = TemporalAttention(segments=segments, channels=channels, width=hidden)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels, num_classes)

    def features(self, video: Tensor) -> dict[str, Tensor]:
        """layer1..layer4 (B, C, K * T', H', W'), fc1 (B, hidden), fc2 (B, K), attention (B, K), pooled (B, C)."""
        batch, frames = video.shape[0], video.shape[2]
        expected = self.segments * self.length
        if frames != expected:
            raise UsageError(f"{self.segments} segments of {self.length} frames take {expected} frames, not {frames}")
        intervals = video.unflatten(2, (self.segments, self.length)).transpose(1, 2).flatten(0, 1)
        if self.size is not None and tuple(video.shape[-2:]) != tuple(self.size):
            intervals = F.interpolate(intervals, size=(self.length, *self.size), mode="trilinear", align_corners=False)
        maps_and_pooled = self.backbone.features(intervals)
        maps = {name: _join(maps_and_pooled[name], batch) for name in BLOCKS}
        pooled = maps_and_pooled["pooled"].unflatten(0, (batch, self.segments))
        hidden, scores, weights = self.temporal(pooled)
        total = torch.einsum("bk,bkc->bc", weights, pooled)
        return maps | {"fc1": hidden, "fc2": scores, "attention": weights, "pooled": total}

    def head(self, pooled: Tensor) -> Tensor:
        return self.fc(self.dropout(pooled))

    def forward(self, video: Tensor) -> Tensor:
        return self.head(self.features(video)["pooled"])

    def reset_classifier(self, num_classes: int) -> None:
        self.fc = nn.Linear(self.fc.in_features, num_classes, device=self.fc.weight.device, dtype=self.fc.weight.dtype)


def _join(x: Tensor, batch: int) -> Tensor:
    """(B * K, C, T, H, W) to (B, C, K * T, H, W)."""
    return x.unflatten(0, (batch, -1)).transpose(1, 2).flatten(2, 3)
