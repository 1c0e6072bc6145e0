"""3D residual networks, under the two sets of official key names: Hara's and torchvision's."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from tinylib.errors import UsageError
from tinylib.models.common import Stem, Step, Triple, VideoClassifier, early_stride, kaiming_fan_out

Blocks = tuple[int, int, int, int]
HARA_2018_MEAN: Triple = (114.77 / 255, 107.74 / 255, 99.48 / 255)  # trained on 0..255 minus the mean, undivided
HARA_2018_STD: Triple = (1 / 255, 1 / 255, 1 / 255)
HARA_2020_MEAN: Triple = (0.4345, 0.4051, 0.3775)
HARA_2020_STD: Triple = (0.2768, 0.2713, 0.2737)
TORCHVISION_MEAN: Triple = (0.43216, 0.394666, 0.37645)
TORCHVISION_STD: Triple = (0.22803, 0.22145, 0.216989)


def factorised_channels(in_channels: int, out_channels: int, *, time: int = 3, space: int = 3) -> int:
    """Channels between the two halves of a (2+1)D convolution that keep the 3D one's weight count (R(2+1)D, 3.5)."""
    full = time * space * space * in_channels * out_channels
    return full // (space * space * in_channels + time * out_channels)


def strided_identity(x: Tensor, channels: int, stride: int) -> Tensor:
    """Shortcut A: every `stride`-th position, missing channels zero (He et al. 2016, option A).

    The official 3D code detaches the result, so nothing learns through its down-sampling shortcuts; here it does.
    """
    x = x[:, :, ::stride, ::stride, ::stride]
    return F.pad(x, (0, 0, 0, 0, 0, 0, 0, channels - x.shape[1]))


class _Units(nn.Module):
    """Convolutions and their norms under flat names: conv1, bn1, ... or, factorised, conv1_s, bn1_s, conv1_t, bn1_t."""

    def __init__(self) -> None:
        super().__init__()
        self.units: list[str] = []

    def add(
        self,
        number: int,
        in_channels: int,
        out_channels: int,
        *,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        factorised: bool,
    ) -> None:
        """kernel and stride: (time, space)."""
        (t, s), (dt, ds) = kernel, stride
        if factorised:
            middle = factorised_channels(in_channels, out_channels, time=t, space=s)
            self._unit(f"{number}_s", in_channels, middle, (1, s), (1, ds))
            self._unit(f"{number}_t", middle, out_channels, (t, 1), (dt, 1))
        else:
            self._unit(f"{number}", in_channels, out_channels, kernel, stride)

    def _unit(self, suffix: str, cin: int, cout: int, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
        (t, s), (dt, ds) = kernel, stride
        conv = nn.Conv3d(cin, cout, (t, s, s), (dt, ds, ds), (t // 2, s // 2, s // 2), bias=False)
        self.add_module(f"conv{suffix}", conv)
        self.add_module(f"bn{suffix}", nn.BatchNorm3d(cout))
        self.units.append(suffix)

    def chain(self, x: Tensor) -> Tensor:
        """Convolution and norm in turn, ReLU between them and none at the end."""
        for suffix in self.units:
            if suffix != self.units[0]:
                x = F.relu(x, inplace=True)
            x = getattr(self, f"bn{suffix}")(getattr(self, f"conv{suffix}")(x))
        return x


class HaraBlock(_Units):
    """Basic (3, 3) or bottleneck (1, 3, 1) residual block, with its stride in the first 3x3x3."""

    def __init__(
        self,
        *,
        in_channels: int,
        width: int,
        out_channels: int,
        stride: int,
        bottleneck: bool,
        shortcut: Literal["A", "B"],
        factorised: bool,
    ) -> None:
        super().__init__()
        self.out_channels, self.stride = out_channels, stride
        if bottleneck:
            plan = [(in_channels, width, 1, 1), (width, width, 3, stride), (width, out_channels, 1, 1)]
        else:
            plan = [(in_channels, width, 3, stride), (width, out_channels, 3, 1)]
        for number, (cin, cout, k, d) in enumerate(plan, start=1):
            self.add(number, cin, cout, kernel=(k, k), stride=(d, d), factorised=factorised and k > 1)
        self.identity = stride == 1 and in_channels == out_channels
        self.downsample: nn.Module | None = None
        if not self.identity and shortcut == "B":
            self.downsample = nn.Sequential(
                nn.Conv3d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm3d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.chain(x)
        if self.downsample is not None:
            x = self.downsample(x)
        elif not self.identity:
            x = strided_identity(x, self.out_channels, self.stride)
        return F.relu(y.add_(x), inplace=True)


class ResNet3D(VideoClassifier, _Units):
    """3D ResNet and Wide ResNet of Hara et al. (2018, 2020), key for key; both years are one graph.

    video: (B, 3, T, H, W)  ->  maps stem, layer1..layer4 at 1/4 .. 1/32 of the size and 1/2 .. 1/16 of the frames.
    18: blocks (2, 2, 2, 2); 34: (3, 4, 6, 3), no bottleneck; 50: (3, 4, 6, 3); Wide-50: widen 2, whose stem is 64 wide
    in 2018 and TinyAction, 128 in 2020. Trained by their authors with shortcut A at 18 and 34 in 2018, else B.
    Differs from the official code: the 2018 pooling of one fixed size is a mean over whatever is left, equal at that
    size; shortcut A lets the gradient through. stem="low" takes the spatial stride out of conv1 and drops the max pool
    (which also halves time), so layer4 is at 1/8 of the size and frames.
    """

    def __init__(
        self,
        *,
        num_classes: int = 700,
        blocks: Blocks = (3, 4, 6, 3),
        bottleneck: bool = True,
        widths: Blocks = (64, 128, 256, 512),
        widen: int = 1,
        stem_channels: int = 64,
        conv1_t_size: int = 7,
        conv1_t_stride: int = 1,
        max_pool: bool = True,
        shortcut: Literal["A", "B"] = "B",
        factorised: bool = False,
        dropout: float = 0.0,
        stem: Stem = "paper",
        mean: Triple = HARA_2020_MEAN,
        std: Triple = HARA_2020_STD,
    ) -> None:
        if widen > 1 and not bottleneck:
            raise UsageError("widen is for bottleneck blocks")
        super().__init__(dropout=dropout, mean=mean, std=std)
        dt, ds, _ = early_stride(stem, (conv1_t_stride, 2, 2))
        self.add(1, 3, stem_channels, kernel=(conv1_t_size, 7), stride=(dt, ds), factorised=factorised)
        self.maxpool = nn.MaxPool3d(3, 2, 1) if max_pool and stem == "paper" else nn.Identity()
        channels = stem_channels
        for number, (count, width) in enumerate(zip(blocks, widths, strict=True), start=1):
            stage = nn.Sequential()
            for i in range(count):
                block = HaraBlock(
                    in_channels=channels,
                    width=width * widen,
                    out_channels=width * 4 if bottleneck else width,
                    stride=2 if number > 1 and i == 0 else 1,
                    bottleneck=bottleneck,
                    shortcut=shortcut,
                    factorised=factorised,
                )
                stage.append(block)
                channels = block.out_channels
            self.add_module(f"layer{number}", stage)
        self.fc = nn.Linear(channels, num_classes)
        kaiming_fan_out(self)

    def stem(self, x: Tensor) -> Tensor:
        return self.maxpool(F.relu(self.chain(x), inplace=True))

    def steps(self) -> list[Step]:
        return [("stem", self.stem), *((f"layer{n}", getattr(self, f"layer{n}")) for n in (1, 2, 3, 4))]


def _convolution(cin: int, cout: int, middle: int, stride: int, factorised: bool, eps: float) -> nn.Module:
    if not factorised:
        return nn.Conv3d(cin, cout, 3, stride, 1, bias=False)
    return nn.Sequential(
        nn.Conv3d(cin, middle, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False),
        nn.BatchNorm3d(middle, eps=eps),
        nn.ReLU(inplace=True),
        nn.Conv3d(middle, cout, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False),
    )


class VideoBlock(nn.Module):
    """Basic residual block under torchvision's names, of 3D or (2+1)D convolutions.

    shared_middle: the second factorised convolution takes the first one's middle width, as torchvision has it; the
    Caffe2 networks count each for itself.
    """

    def __init__(
        self, *, in_channels: int, out_channels: int, stride: int, factorised: bool, shared_middle: bool, eps: float
    ) -> None:
        super().__init__()
        first = factorised_channels(in_channels, out_channels)
        second = first if shared_middle else factorised_channels(out_channels, out_channels)
        self.conv1 = nn.Sequential(
            _convolution(in_channels, out_channels, first, stride, factorised, eps),
            nn.BatchNorm3d(out_channels, eps=eps),
            nn.ReLU(inplace=True),
        )
        self.conv2 = nn.Sequential(
            _convolution(out_channels, out_channels, second, 1, factorised, eps),
            nn.BatchNorm3d(out_channels, eps=eps),
        )
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv3d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm3d(out_channels, eps=eps)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.conv1(x))
        return F.relu(y.add_(x if self.downsample is None else self.downsample(x)), inplace=True)


class VideoResNet(VideoClassifier):
    """R3D of Tran et al. 2018 (R(2+1)D paper, section 3.2) in torchvision's form: no max pool, time halved by stages.

    video: (B, 3, T, H, W)  ->  maps stem, layer1 at 1/2 of the size, layer2..layer4 at 1/4 .. 1/16 and 1/2 .. 1/8 of
    the frames. `factorised` makes every convolution (2+1)D: see `r2plus1d.py`.
    stem="low" takes the spatial stride out of the stem, so layer4 is at 1/8 of the size.
    """

    def __init__(
        self,
        *,
        num_classes: int = 400,
        blocks: Blocks = (2, 2, 2, 2),
        widths: Blocks = (64, 128, 256, 512),
        factorised: bool = False,
        shared_middle: bool = True,
        stem_middle: int = 45,
        stem_kernel: int = 7,
        eps: float = 1e-5,
        dropout: float = 0.0,
        stem: Stem = "paper",
        mean: Triple = TORCHVISION_MEAN,
        std: Triple = TORCHVISION_STD,
    ) -> None:
        super().__init__(dropout=dropout, mean=mean, std=std)
        k, p, stride = stem_kernel, stem_kernel // 2, early_stride(stem, (1, 2, 2))
        width = widths[0]
        layers: list[nn.Module]
        if factorised:
            layers = [
                nn.Conv3d(3, stem_middle, (1, k, k), stride, (0, p, p), bias=False),
                nn.BatchNorm3d(stem_middle, eps=eps),
                nn.ReLU(inplace=True),
                nn.Conv3d(stem_middle, width, (3, 1, 1), 1, (1, 0, 0), bias=False),
            ]
        else:
            layers = [nn.Conv3d(3, width, (3, k, k), stride, (1, p, p), bias=False)]
        self.stem = nn.Sequential(*layers, nn.BatchNorm3d(width, eps=eps), nn.ReLU(inplace=True))
        channels = width
        for number, (count, width) in enumerate(zip(blocks, widths, strict=True), start=1):
            stage = nn.Sequential()
            for i in range(count):
                block = VideoBlock(
                    in_channels=channels,
                    out_channels=width,
                    stride=2 if number > 1 and i == 0 else 1,
                    factorised=factorised,
                    shared_middle=shared_middle,
                    eps=eps,
                )
                stage.append(block)
                channels = width
            self.add_module(f"layer{number}", stage)
        self.fc = nn.Linear(channels, num_classes)
        kaiming_fan_out(self)
        nn.init.normal_(self.fc.weight, 0, 0.01)
        nn.init.zeros_(self.fc.bias)

    def steps(self) -> list[Step]:
        return [("stem", self.stem), *((f"layer{n}", getattr(self, f"layer{n}")) for n in (1, 2, 3, 4))]
