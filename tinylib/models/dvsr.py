"""Dense video super-resolution, end to end and grown progressively (TinyVIRAT, section IV-A1 and IV-A2, Fig. 5)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.spectral_norm import spectral_norm

Size3 = tuple[int, int, int]


def resize(features: Tensor, size: Size3) -> Tensor:
    """Trilinear resize of (B, C, T, H, W) to `size` = (T, H, W), pixel centres aligned."""
    if tuple(features.shape[2:]) == tuple(size):
        return features
    return F.interpolate(features, size=size, mode="trilinear", align_corners=False)


class Conv(nn.Module):
    """Optional x2 spatial upsampling, 3D convolution with 'same' padding, optional norm, optional activation.

    (B, inputs, T, H, W) -> (B, outputs, T / time_stride, H, W), twice H and W with `upsample`. With `separable` the
    kernel is split into a spatial and a temporal convolution with nothing in between.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int = 3,
        time_stride: int = 1,
        upsample: bool = False,
        separable: bool = False,
        spectral: bool = False,
        norm: nn.Module | None = None,
        activation: nn.Module | None = None,
    ):
        super().__init__()
        pad, stride = kernel // 2, (time_stride, 1, 1)
        if separable:
            spatial = nn.Conv3d(inputs, outputs, (1, kernel, kernel), padding=(0, pad, pad))
            temporal = nn.Conv3d(outputs, outputs, (kernel, 1, 1), stride=stride, padding=(pad, 0, 0))
        else:
            spatial, temporal = nn.Conv3d(inputs, outputs, kernel, stride=stride, padding=pad), None
        self.conv_spatial = spectral_norm(spatial) if spectral else spatial
        self.conv_temporal = spectral_norm(temporal) if spectral and temporal is not None else temporal
        self.norm = norm
        self.activation = activation
        self.upsample = upsample

    def forward(self, x: Tensor) -> Tensor:
        if self.upsample:
            x = resize(x, (x.shape[2], 2 * x.shape[3], 2 * x.shape[4]))
        x = self.conv_spatial(x)
        if self.conv_temporal is not None:
            x = self.conv_temporal(x)
        if self.norm is not None:
            x = self.norm(x)
        return x if self.activation is None else self.activation(x)


def leaky() -> nn.Module:
    return nn.LeakyReLU(0.2)


class ResidualDenseBlock(nn.Module):
    """3D-RDB: five densely connected convolutions and a scaled residual, x + 0.2 * conv5(...)."""

    def __init__(self, *, channels: int = 32, growth: int = 32, separable: bool = False, spectral: bool = False):
        super().__init__()
        for i in range(4):
            conv = Conv(channels + i * growth, growth, separable=separable, spectral=spectral, activation=leaky())
            self.add_module(f"conv{i + 1}", conv)
        self.conv5 = Conv(channels + 4 * growth, channels, separable=separable, spectral=spectral)

    def forward(self, x: Tensor) -> Tensor:
        dense = x
        for i in range(1, 5):
            dense = torch.cat([dense, self.get_submodule(f"conv{i}")(dense)], dim=1)
        return x + 0.2 * self.conv5(dense)


class RRDB(nn.Module):
    """3D-RRDB: three dense blocks inside one more scaled residual."""

    def __init__(self, *, channels: int = 32, growth: int = 32, separable: bool = False, spectral: bool = False):
        super().__init__()
        block = {"channels": channels, "growth": growth, "separable": separable, "spectral": spectral}
        self.RDB1 = ResidualDenseBlock(**block)  # type: ignore[arg-type]
        self.RDB2 = ResidualDenseBlock(**block)  # type: ignore[arg-type]
        self.RDB3 = ResidualDenseBlock(**block)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.2 * self.RDB3(self.RDB2(self.RDB1(x)))


class UpBlock(nn.Module):
    """Convolution, x2 spatial upsampling with convolution, convolution."""

    def __init__(self, *, channels: int = 32, separable: bool = False, spectral: bool = False):
        super().__init__()
        self.c1 = Conv(channels, channels, separable=separable, spectral=spectral, activation=leaky())
        self.c2 = Conv(channels, channels, upsample=True, separable=separable, spectral=spectral, activation=leaky())
        self.c3 = Conv(channels, channels, separable=separable, spectral=spectral, activation=leaky())

    def forward(self, x: Tensor) -> Tensor:
        return self.c3(self.c2(self.c1(x)))


class Projection(nn.Module):
    """Features to RGB in [-1, 1]: a 3x3x3 and a 1x1x1 convolution (section IV-A1)."""

    def __init__(self, *, channels: int = 32, separable: bool = False, spectral: bool = False):
        super().__init__()
        self.seq = nn.Sequential()
        hidden = Conv(channels, channels, separable=separable, spectral=spectral, activation=leaky())
        self.seq.add_module("l0", hidden)
        self.seq.add_module("l1", Conv(channels, 3, kernel=1, activation=nn.Tanh()))

    def forward(self, x: Tensor) -> Tensor:
        return self.seq(x)


def _check_scale(scale: int) -> int:
    if scale not in (2, 4, 8):
        raise ValueError(f"scale must be 2, 4 or 8, not {scale}")
    return int(math.log2(scale))


class DVSR(nn.Module):
    """Dense video super-resolution trained end to end (Table V, row 'DVSR').

    video: (B, 3, T, H, W) in [0, 1]  ->  (B, 3, T, scale * H, scale * W), close to [0, 1] (clamp to show or measure).
    The paper gives no widths; these follow the released code. `global_skip` adds the upsampled input to the output.
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        channels: int = 32,
        growth: int = 16,
        blocks: int = 4,
        spectral: bool = True,
        global_skip: bool = False,
    ):
        super().__init__()
        stages = _check_scale(scale)
        self.scale, self.global_skip = scale, global_skip
        self.convin = Conv(3, channels)
        self.res_hall = nn.Sequential()
        for i in range(blocks):
            self.res_hall.add_module(f"rrdb{i + 1}", RRDB(channels=channels, growth=growth, spectral=spectral))
        self.convbout = Conv(channels, channels, spectral=spectral)
        self.up_hall = nn.Sequential()
        for i in range(stages):
            self.up_hall.add_module(f"upconv{i + 1}", Conv(channels, channels, upsample=True, activation=leaky()))
        self.conv1 = Conv(channels, channels, activation=leaky())
        self.conv2 = Conv(channels, 3, activation=nn.Tanh())

    def signed(self, video: Tensor) -> Tensor:
        """The network itself, on pixels in [-1, 1]."""
        first = self.convin(video)
        features = first + self.convbout(self.res_hall(first))
        out = self.conv2(self.conv1(self.up_hall(features)))
        if self.global_skip:
            out = out + resize(video, tuple(out.shape[2:]))
        return out

    def forward(self, video: Tensor) -> Tensor:
        return (self.signed(video * 2 - 1) + 1) / 2


class ProgressiveDVSR(nn.Module):
    """Progressively grown DVSR (TinyVIRAT, section IV-A2, Fig. 5).

    video: (B, 3, frames, H, W) in [0, 1]  ->  (B, 3, t, s * H, s * W), close to [0, 1], where the present `stage` says
    how far: with scale 8 the stages give (t, s) = (4, 2), (8, 4), (16, 8); with 4, (8, 2), (16, 4); with 2, (16, 2).
    While a new stage fades in, encoder features and images are old * (1 - alpha) + new * alpha with one `alpha`.

    mode: 'joint' grows space and time together; 'space_time' has two half-stages a step, time first, then space, and
    each residual block serves two of them. The stage and alpha are part of the state dict.
    Differs from the paper: the upsampled input is added to the output, as in the released code; with `seamless` it
    fades like the image, so that at alpha 0 a new stage shows exactly the old one, upsampled (released code: False).
    """

    def __init__(
        self,
        *,
        scale: int = 8,
        frames: int = 16,
        channels: int = 32,
        mode: str = "joint",
        seamless: bool = True,
        separable: bool = False,
        spectral: bool = False,
    ):
        super().__init__()
        if mode not in ("joint", "space_time"):
            raise ValueError(f"mode must be 'joint' or 'space_time', not {mode!r}")
        steps = _check_scale(scale)
        if frames % 2 ** (steps - 1):
            raise ValueError(f"frames must be a multiple of {2 ** (steps - 1)} for scale {scale}, not {frames}")
        self.scale, self.frames, self.channels, self.mode = scale, frames, channels, mode
        self.seamless = seamless
        self.halves = 1 if mode == "joint" else 2
        self.stages = steps * self.halves
        self.convin = Conv(3, channels, separable=separable)
        self.res_hall = nn.ModuleList(
            RRDB(channels=channels, growth=channels, separable=separable, spectral=spectral) for _ in range(steps)
        )
        self.up_layers = nn.ModuleList()
        for stage in range(1, self.stages + 1):
            spatial = self.halves == 1 or stage % 2 == 0
            shrink = int(math.log2(frames // self.extent(stage)[0]))
            layers: list[nn.Module] = [
                Conv(channels, channels, time_stride=2, separable=separable, spectral=spectral, activation=leaky())
                for _ in range(shrink)
            ]
            if spatial:
                layers.append(UpBlock(channels=channels, separable=separable, spectral=spectral))
            elif not layers:
                layers = [Conv(channels, channels, separable=separable, spectral=spectral, activation=leaky())]
            single = len(layers) == 1 and shrink == 0
            self.up_layers.append(layers[0] if single else nn.Sequential(*layers))
        self.rgb_proj = nn.ModuleList(
            Projection(channels=channels, separable=separable, spectral=spectral) for _ in range(self.stages)
        )
        self.stage, self.alpha = self.stages, 1.0

    def extent(self, stage: int) -> tuple[int, int]:
        """(frames, spatial scale) of what `stage` (from 1) puts out."""
        step = (stage - 1) // self.halves
        spatial = self.halves == 1 or stage % 2 == 0
        last = self.stages // self.halves - 1
        return self.frames >> (last - step), 2 ** (step + int(spatial))

    def grow(self, stage: int, alpha: float = 1.0) -> None:
        """Make `stage` (1 to `stages`) the output, faded in by `alpha` in [0, 1]."""
        if not 1 <= stage <= self.stages or not 0 <= alpha <= 1:
            raise ValueError(f"stage 1 to {self.stages} and alpha 0 to 1, not stage {stage}, alpha {alpha}")
        self.stage, self.alpha = stage, float(alpha)

    def get_extra_state(self) -> Tensor:
        return torch.tensor([self.stage, self.alpha], dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        self.grow(int(state[0]), float(state[1]))

    def encode(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels in [-1, 1] to (features of the residual blocks, the same plus the first convolution's)."""
        first = self.convin(video)
        before = features = first
        for i in range(self.stage):
            before, features = features, self.res_hall[i // self.halves](features)
        if self.alpha < 1 and self.stage > 1:
            features = torch.lerp(before, features, self.alpha)
        return features, first + features

    def decode(self, video: Tensor, features: Tensor) -> Tensor:
        """Features and pixels in [-1, 1] to the present stage's image, in about [-1, 1]."""
        y, before = features, features
        for i, layer in enumerate(self.up_layers[: self.stage]):
            before = y
            if i > 0:
                size = (self.frames, y.shape[3], y.shape[4])
                y = resize(y, size) + resize(features, size)
            y = layer(y)
        size = (y.shape[2], y.shape[3], y.shape[4])
        image, skip = self.rgb_proj[self.stage - 1](y), resize(video, size)
        if self.alpha < 1 and self.stage > 1:
            image = torch.lerp(resize(self.rgb_proj[self.stage - 2](before), size), image, self.alpha)
            if self.seamless:
                coarse = (before.shape[2], before.shape[3], before.shape[4])
                skip = torch.lerp(resize(resize(video, coarse), size), skip, self.alpha)
        return image + skip

    def signed(self, video: Tensor) -> Tensor:
        """The network itself, on pixels in [-1, 1]."""
        if video.shape[2] != self.frames:
            raise ValueError(f"this network takes {self.frames} frames, not {video.shape[2]}")
        return self.decode(video, self.encode(video)[1])

    def forward(self, video: Tensor) -> Tensor:
        return (self.signed(video * 2 - 1) + 1) / 2
