"""RealBasicVSR: clean the frames, align them along the optical flow, propagate both ways, upsample four times."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tinylib.errors import UsageError


def warp(features: Tensor, flow: Tensor, *, padding: str = "zeros") -> Tensor:
    """Features (N, C, H, W) read where `flow` (N, 2, H, W), x before y and in pixels, points to.

    Positions are float32 at least: bfloat16 cannot tell neighbouring pixels apart beyond 256.
    """
    height, width = flow.shape[2:]
    dtype = torch.promote_types(flow.dtype, torch.float32)
    x = torch.arange(width, device=flow.device, dtype=dtype) + flow[:, 0]
    y = torch.arange(height, device=flow.device, dtype=dtype)[:, None] + flow[:, 1]
    grid = torch.stack((2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1), dim=-1)
    read = F.grid_sample(features.to(dtype), grid, mode="bilinear", padding_mode=padding, align_corners=True)
    return read.to(features.dtype)


class ConvReLU(nn.Module):
    """A 7x7 convolution, and the ReLU after it unless it is the last one."""

    def __init__(self, *, channels: int, out: int, last: bool):
        super().__init__()
        self.conv = nn.Conv2d(channels, out, 7, padding=3)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) if self.last else F.relu(self.conv(x), inplace=True)


class SPyNetLevel(nn.Module):
    """One level of the pyramid: reference, warped neighbour, flow so far (N, 8, h, w) -> what to add (N, 2, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        widths = (8, 32, 64, 32, 16, 2)
        self.basic_module = nn.Sequential(
            *(ConvReLU(channels=widths[i], out=widths[i + 1], last=i == 4) for i in range(5))
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.basic_module(x)


class SPyNet(nn.Module):
    """Optical flow by a spatial pyramid of six levels (Ranjan and Black, CVPR 2017), as BasicVSR uses it.

    reference, neighbour: (N, 3, H, W) in [0, 1]  ->  flow: (N, 2, H, W) in pixels, from reference to neighbour
    Any size: frames are stretched to multiples of 32 and the flow is shrunk back. `mean` and `std` belong to the
    released state dict, so here they are saved with the weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, *, levels: int = 6):
        super().__init__()
        self.basic_module = nn.ModuleList(SPyNetLevel() for _ in range(levels))
        self.register_buffer("mean", torch.tensor((0.485, 0.456, 0.406)).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor((0.229, 0.224, 0.225)).view(1, 3, 1, 1))

    def forward(self, reference: Tensor, neighbour: Tensor) -> Tensor:
        height, width = reference.shape[2:]
        multiple = 2 ** (len(self.basic_module) - 1)
        size = (-(-height // multiple) * multiple, -(-width // multiple) * multiple)

        def pyramid(image: Tensor) -> list[Tensor]:
            image = (F.interpolate(image, size=size, mode="bilinear", align_corners=False) - self.mean) / self.std
            images = [image]
            for _ in self.basic_module[1:]:
                images.insert(0, F.avg_pool2d(images[0], 2))
            return images

        flow = reference.new_zeros(len(reference), 2, size[0] // multiple, size[1] // multiple)
        for level, (ours, theirs) in enumerate(zip(pyramid(reference), pyramid(neighbour), strict=True)):
            if level:
                flow = F.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=True) * 2.0
            seen = torch.cat((ours, warp(theirs, flow, padding="border"), flow), dim=1)
            flow = flow + self.basic_module[level](seen)
        flow = F.interpolate(flow, size=(height, width), mode="bilinear", align_corners=False)
        return flow * flow.new_tensor((width / size[1], height / size[0])).view(1, 2, 1, 1)


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))), without normalisation."""

    def __init__(self, *, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        for name, parameter in self.named_parameters():  # a deep stack starts near the identity
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                nn.init.kaiming_normal_(parameter)
                with torch.no_grad():
                    parameter.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(x), inplace=True))


class ResidualBlocks(nn.Module):
    """A convolution to `out` channels, LeakyReLU 0.1, then `blocks` residual blocks: (N, C, H, W) -> (N, out, H, W)."""

    def __init__(self, *, channels: int, out: int, blocks: int):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, out, 3, padding=1),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Sequential(*(ResidualBlock(channels=out) for _ in range(blocks))),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.main(x)


class PixelShuffle(nn.Module):
    """A 3x3 convolution to four times the channels, rearranged to twice the height and width."""

    def __init__(self, *, channels: int, out: int):
        super().__init__()
        self.upsample_conv = nn.Conv2d(channels, 4 * out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.upsample_conv(x), 2)


class BasicVSR(nn.Module):
    """Recurrent super-resolution by 4 with flow-aligned propagation both ways (Chan et al., CVPR 2021, section 3).

    video: (B, 3, T, H, W) in [0, 1]  ->  (B, 3, T, 4H, 4W), not clipped; any size and any number of frames
    Parameters are named as in mmedit and mmagic. `blocks` is 30 for REDS, 20 inside RealBasicVSR. `frames_at_once`
    bounds the memory of the last part, the only one at full resolution. Where the released code asserts or warns below
    64 px, this goes on. Its shortcut for mirrored sequences is left out: both directions take one batched call.
    """

    def __init__(self, *, channels: int = 64, blocks: int = 30, frames_at_once: int = 16):
        super().__init__()
        self.channels, self.frames_at_once = channels, frames_at_once
        self.spynet = SPyNet()
        self.backward_resblocks = ResidualBlocks(channels=channels + 3, out=channels, blocks=blocks)
        self.forward_resblocks = ResidualBlocks(channels=channels + 3, out=channels, blocks=blocks)
        self.fusion = nn.Conv2d(2 * channels, channels, 1)
        self.upsample1 = PixelShuffle(channels=channels, out=channels)
        self.upsample2 = PixelShuffle(channels=channels, out=64)
        self.conv_hr = nn.Conv2d(64, 64, 3, padding=1)
        self.conv_last = nn.Conv2d(64, 3, 3, padding=1)

    def forward(self, video: Tensor) -> Tensor:
        if video.ndim != 5 or video.shape[1] != 3:
            raise UsageError(f"a super-resolver takes video (B, 3, T, H, W), got {tuple(video.shape)}")
        return self.upsample_frames(video.transpose(1, 2)).transpose(1, 2)

    def upsample_frames(self, frames: Tensor) -> Tensor:
        """The same in the layout of the released code: (B, T, 3, H, W) -> (B, T, 3, 4H, 4W)."""
        batch, length = frames.shape[:2]
        to_previous, to_next = self.flows(frames)
        nothing = frames.new_zeros(batch, self.channels, *frames.shape[3:])
        past, future = [nothing] * length, [nothing] * length
        state = nothing
        for t in reversed(range(length)):
            if t < length - 1:
                state = warp(state, to_next[:, t])
            state = future[t] = self.backward_resblocks(torch.cat((frames[:, t], state), dim=1))
        state = nothing
        for t in range(length):
            if t > 0:
                state = warp(state, to_previous[:, t - 1])
            state = past[t] = self.forward_resblocks(torch.cat((frames[:, t], state), dim=1))
        both = torch.cat((torch.stack(future, 1), torch.stack(past, 1)), dim=2).flatten(0, 1)
        parts = zip(both.split(self.frames_at_once), frames.flatten(0, 1).split(self.frames_at_once), strict=True)
        return torch.cat([self.reconstruct(*part) for part in parts]).unflatten(0, (batch, length))

    def flows(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Flows (B, T - 1, 2, H, W) of frames (B, T, 3, H, W): from each frame to the previous one, to the next one."""
        batch, length = frames.shape[:2]
        if length == 1:
            none = frames.new_zeros(batch, 0, 2, *frames.shape[3:])
            return none, none
        earlier, later = frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1)
        flows = self.spynet(torch.cat((later, earlier)), torch.cat((earlier, later)))
        to_previous, to_next = flows.unflatten(0, (2, batch, length - 1))
        return to_previous, to_next

    def reconstruct(self, both: Tensor, frames: Tensor) -> Tensor:
        """Features of both directions (N, 2 * channels, H, W) and frames (N, 3, H, W) -> frames (N, 3, 4H, 4W)."""
        x = F.leaky_relu(self.fusion(both), 0.1)
        x = F.leaky_relu(self.upsample1(x), 0.1)
        x = F.leaky_relu(self.upsample2(x), 0.1)
        x = F.leaky_relu(self.conv_hr(x), 0.1)
        return self.conv_last(x) + F.interpolate(frames, scale_factor=4, mode="bilinear", align_corners=False)


class RealBasicVSR(nn.Module):
    """BasicVSR behind a cleaning module, for real footage (Chan et al., CVPR 2022, sections 3.1 and 3.2).

    video: (B, 3, T, H, W) in [0, 1]  ->  (B, 3, T, 4H, 4W), not clipped; any size and any number of frames
    Cleaning is repeated, at most `cleaning_passes` times, while the mean absolute residue of a clip is at least
    `refine_threshold` / 255: 255 is the released default, one pass in practice; the authors' test configurations say
    5 (with GAN) and 1.5 (without). SPyNet is frozen, as in the paper's training.
    Differs from the released code: each clip decides for itself, not the whole batch, so that a result does not depend
    on its neighbours; the caller's tensor is never written to.
    """

    def __init__(
        self,
        *,
        channels: int = 64,
        propagation_blocks: int = 20,
        cleaning_blocks: int = 20,
        refine_threshold: float = 255.0,
        cleaning_passes: int = 3,
        frames_at_once: int = 16,
    ):
        super().__init__()
        self.refine_threshold, self.cleaning_passes = refine_threshold, cleaning_passes
        self.image_cleaning = nn.Sequential(
            ResidualBlocks(channels=3, out=channels, blocks=cleaning_blocks),
            nn.Conv2d(channels, 3, 3, padding=1),
        )
        self.basicvsr = BasicVSR(channels=channels, blocks=propagation_blocks, frames_at_once=frames_at_once)
        self.basicvsr.spynet.requires_grad_(False)

    def forward(self, video: Tensor) -> Tensor:
        return self.basicvsr(self.clean(video))

    def clean(self, video: Tensor) -> Tensor:
        """The cleaned low-resolution video, (B, 3, T, H, W), that the paper's cleaning loss (eq. 2) compares."""
        if video.ndim != 5 or video.shape[1] != 3:
            raise UsageError(f"a super-resolver takes video (B, 3, T, H, W), got {tuple(video.shape)}")
        frames = video.transpose(1, 2)
        going = torch.ones(len(frames), dtype=torch.bool, device=frames.device)
        for _ in range(self.cleaning_passes):
            residues = self.image_cleaning(frames.flatten(0, 1)).view_as(frames)
            frames = frames + residues * going.view(-1, 1, 1, 1, 1)
            going = going & (residues.detach().abs().mean((1, 2, 3, 4)) >= self.refine_threshold / 255)
            if not going.any():
                break
        return frames.transpose(1, 2)

    def upsample_frames(self, frames: Tensor) -> Tensor:
        """The same in the layout of the released code: (B, T, 3, H, W) -> (B, T, 3, 4H, 4W)."""
        return self.forward(frames.transpose(1, 2)).transpose(1, 2)
