"""I3D: Inception-v1 inflated to video (Carreira and Zisserman 2017, Fig. 3), with the released networks' key names."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tinylib.errors import UsageError
from tinylib.models.common import Stem, Step, Triple, VideoClassifier, early_stride

# name: (1x1; 1x1 and 3x3; 1x1 and 3x3; 1x1 after the pool)
MIXED: dict[str, tuple[int, int, int, int, int, int]] = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME padding of one axis: (front, back), the odd one at the back."""
    total = max(kernel - (size % stride or stride), 0)
    return total // 2, total - total // 2


class Unit3D(nn.Module):
    """Convolution with SAME padding of the run-time size, batch norm (eps 1e-3, momentum 0.01), ReLU.

    Pads the tensor only where front and back differ: the first layer's three channels. Elsewhere the convolution pads.
    """

    def __init__(self, cin: int, cout: int, kernel: int = 1, stride: tuple[int, int, int] = (1, 1, 1)) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(cin, cout, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm3d(cout, eps=1e-3, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        conv = self.conv3d
        pads = [same_padding(n, k, s) for n, k, s in zip(x.shape[2:], conv.kernel_size, conv.stride, strict=True)]
        if any(front != back for front, back in pads):
            (t0, t1), (h0, h1), (w0, w1) = pads
            x = F.conv3d(F.pad(x, (w0, w1, h0, h1, t0, t1)), conv.weight, None, conv.stride)
        else:
            x = F.conv3d(x, conv.weight, None, conv.stride, [front for front, _ in pads])
        return F.relu(self.bn(x), inplace=True)


class MaxPoolSame(nn.Module):
    """Max pool with SAME padding, which the official code fills with zeros.

    Every input here comes out of a ReLU, so zeros change nothing: the pool's own padding and ceil mode do the same
    without a padded copy.
    """

    def __init__(self, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        sizes = zip(x.shape[2:], self.kernel, self.stride, strict=True)
        front = [same_padding(n, k, s)[0] for n, k, s in sizes]
        return F.max_pool3d(x, self.kernel, self.stride, front, ceil_mode=True)


class Mixed(nn.Module):
    """Inception block: four branches side by side, (B, cin, T, H, W) -> (B, w0 + w2 + w4 + w5, T, H, W)."""

    def __init__(self, cin: int, widths: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        w0, w1, w2, w3, w4, w5 = widths
        self.b0 = Unit3D(cin, w0)
        self.b1a, self.b1b = Unit3D(cin, w1), Unit3D(w1, w2, 3)
        self.b2a, self.b2b = Unit3D(cin, w3), Unit3D(w3, w4, 3)
        self.b3a = MaxPoolSame((3, 3, 3), (1, 1, 1))
        self.b3b = Unit3D(cin, w5)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], dim=1)


class Logits(nn.Module):
    """The 1x1x1 convolution with a bias that scores each moment, under its official name."""

    def __init__(self, cin: int, num_classes: int) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(cin, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3d(x)


class I3D(VideoClassifier):
    """I3D of the released PyTorch weights, 157 (Charades) or 400 (Kinetics) classes, and of TinyVIRAT (section V-A).

    video: (B, 3, T, H, W)  ->  maps stem (1/4), mixed_3b, mixed_3c (1/8), mixed_4b..4f (1/16), mixed_5b, 5c (1/32)
    second_pool=False is TinyVIRAT's change (only MaxPool3d_2a_3x3 removed), which brings 112 pixels to the 7x7 map.
    time: how the scores of the moments (T' = ceil(T / 8) - 1) join: "mean", or "max" as TinyAction evaluates.
    Differs from the official code: pools over the whole map instead of 7x7, equal at 193..224 pixels (97..112 without
    the second pool), and over the one moment there is below 9 frames; `moments` gives the official output. He
    initialisation, so that the running variances, which move by 0.01 a step, start near the truth.
    stem="low" removes the first convolution's spatial stride and the second pool: mixed_5c is at 1/8 of the size.
    """

    head_name = "logits.conv3d"

    def __init__(
        self,
        *,
        num_classes: int = 400,
        dropout: float = 0.5,
        second_pool: bool = True,
        time: Literal["mean", "max"] = "mean",
        stem: Stem = "paper",
        mean: Triple = (0.5, 0.5, 0.5),
        std: Triple = (0.5, 0.5, 0.5),
    ) -> None:
        if time not in ("mean", "max"):
            raise UsageError(f'time is "mean" or "max", not {time!r}')
        super().__init__(dropout=dropout, mean=mean, std=std)
        self.time = time
        self.Conv3d_1a_7x7 = Unit3D(3, 64, 7, early_stride(stem, (2, 2, 2)))
        second_pool = second_pool and stem == "paper"
        self.MaxPool3d_2a_3x3 = MaxPoolSame((1, 3, 3), (1, 2, 2)) if second_pool else nn.Identity()
        self.Conv3d_2b_1x1 = Unit3D(64, 64)
        self.Conv3d_2c_3x3 = Unit3D(64, 192, 3)
        self.MaxPool3d_3a_3x3 = MaxPoolSame((1, 3, 3), (1, 2, 2))
        self.MaxPool3d_4a_3x3 = MaxPoolSame((3, 3, 3), (2, 2, 2))
        self.MaxPool3d_5a_2x2 = MaxPoolSame((2, 2, 2), (2, 2, 2))
        channels = 192
        for name, widths in MIXED.items():
            self.add_module(name, Mixed(channels, widths))
            channels = widths[0] + widths[2] + widths[4] + widths[5]
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        self.logits = Logits(channels, num_classes)

    def steps(self) -> list[Step]:
        stem = (self.Conv3d_1a_7x7, self.MaxPool3d_2a_3x3, self.Conv3d_2b_1x1, self.Conv3d_2c_3x3)
        pools = {
            "Mixed_3b": self.MaxPool3d_3a_3x3,
            "Mixed_4b": self.MaxPool3d_4a_3x3,
            "Mixed_5b": self.MaxPool3d_5a_2x2,
        }
        steps: list[Step] = [("stem", nn.Sequential(*stem))]
        for name in MIXED:
            block = getattr(self, name)
            steps.append((name.lower(), nn.Sequential(pools[name], block) if name in pools else block))
        return steps

    def windows(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C, T', 1, 1): means over the whole picture and two neighbouring moments."""
        return F.avg_pool3d(x, (min(2, x.shape[2]), x.shape[3], x.shape[4]), stride=1)

    def pool(self, x: Tensor) -> Tensor:
        return self.windows(x).mean(dim=(2, 3, 4))

    def moments(self, video: Tensor) -> Tensor:
        """Logits (B, num_classes, T') before they join over time: the official network's output."""
        x = self.normalise(video)
        for _, step in self.steps():
            x = step(x)
        return self.logits(self.dropout(self.windows(x))).flatten(2)

    def forward(self, video: Tensor) -> Tensor:
        moments = self.moments(video)
        return moments.amax(dim=2) if self.time == "max" else moments.mean(dim=2)

    def reset_classifier(self, num_classes: int) -> None:
        old = self.logits.conv3d
        self.logits.conv3d = nn.Conv3d(
            old.in_channels, num_classes, 1, device=old.weight.device, dtype=old.weight.dtype
        )
