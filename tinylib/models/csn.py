"""ir-CSN: channel-separated 3D residual networks with reduced interactions."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from tinylib.errors import UsageError
from tinylib.models.common import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Stem,
    Step,
    Triple,
    VideoClassifier,
    early_stride,
    kaiming_fan_out,
)

DEPTHS = {14: (1, 1, 1, 1), 26: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1x1, depthwise 3x3x3, 1x1x1, and the shortcut (Tran et al. 2019, Fig. 2d); the depthwise layer strides.

    x: (B, channels, T, H, W)  ->  (B, 4 * width, T / stride, H / stride, W / stride)
    """

    def __init__(self, *, channels: int, width: int, stride: int, eps: float):
        super().__init__()
        out = EXPANSION * width
        self.conv1 = nn.Sequential(
            nn.Conv3d(channels, width, 1, bias=False), nn.BatchNorm3d(width, eps=eps), nn.ReLU(inplace=True)
        )
        self.conv2 = nn.Sequential(
            nn.Conv3d(width, width, 3, stride=stride, padding=1, groups=width, bias=False),
            nn.BatchNorm3d(width, eps=eps),
            nn.ReLU(inplace=True),
        )
        self.conv3 = nn.Sequential(nn.Conv3d(width, out, 1, bias=False), nn.BatchNorm3d(out, eps=eps))
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(
                nn.Conv3d(channels, out, 1, stride=stride, bias=False), nn.BatchNorm3d(out, eps=eps)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv3(self.conv2(self.conv1(x)))
        return F.relu(y.add_(x if self.downsample is None else self.downsample(x)), inplace=True)


class CSN(VideoClassifier):
    """Interaction-reduced channel-separated network (Tran et al., ICCV 2019, section 3.2), the winner's CNN.

    video: (B, 3, T, H, W)  ->  maps stem, layer1 at 1/4 of the size, layer2..layer4 at 1/8 .. 1/32 and 1/2 .. 1/8 of
    the frames. Parameters are named as in the released VMZ networks. `depth` is 152 in the papers (14, 26 and 50 are
    for small machines), `width` that of the stem. `eps` is 1e-3 in VMZ and mmaction2, 1e-5 in pytorchvideo; mean and
    std are mmaction2's. Differs from the VMZ code: momentum is 0.1, as in mmaction2; its 0.9 is Caffe2's convention.
    stem="low" strides neither the stem nor its pool, so layer4 is at 1/8 of the size.
    """

    def __init__(
        self,
        *,
        num_classes: int = 400,
        depth: int = 152,
        width: int = 64,
        eps: float = 1e-3,
        dropout: float = 0.5,
        stem: Stem = "paper",
        mean: Triple = IMAGENET_MEAN,
        std: Triple = IMAGENET_STD,
    ) -> None:
        if depth not in DEPTHS:
            raise UsageError(f"depth is one of {', '.join(map(str, DEPTHS))}, not {depth}")
        super().__init__(dropout=dropout, mean=mean, std=std)
        self.stem = nn.Sequential(
            nn.Conv3d(3, width, (3, 7, 7), early_stride(stem, (1, 2, 2)), (1, 3, 3), bias=False),
            nn.BatchNorm3d(width, eps=eps),
            nn.ReLU(inplace=True),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)) if stem == "paper" else nn.Identity(),
        )
        channels = width
        for number, blocks in enumerate(DEPTHS[depth], start=1):
            size = width * 2 ** (number - 1)
            stage = nn.Sequential()
            for i in range(blocks):
                stride = 2 if number > 1 and i == 0 else 1
                stage.append(Bottleneck(channels=channels, width=size, stride=stride, eps=eps))
                channels = EXPANSION * size
            self.add_module(f"layer{number}", stage)
        self.fc = nn.Linear(channels, num_classes)
        kaiming_fan_out(self)

    def steps(self) -> list[Step]:
        return [("stem", self.stem), *((f"layer{n}", getattr(self, f"layer{n}")) for n in (1, 2, 3, 4))]
