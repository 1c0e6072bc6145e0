"""UniFormer: local relations by depthwise convolution first, global space-time attention later."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tinylib.errors import UsageError
from tinylib.models.common import Stem, Step, Triple, VideoClassifier, early_stride


class DropPath(nn.Module):
    """Stochastic depth: in training a sample skips the branch with probability `rate`, the others are scaled up."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        mask = torch.empty((x.shape[0],) + (1,) * (x.ndim - 1), dtype=x.dtype, device=x.device).bernoulli_(keep)
        return x * (mask / keep)


class PatchEmbed(nn.Module):
    """Convolve, then LayerNorm over the channels (section 3.1): (B, C, T, H, W) -> (B, dim, T', H', W').

    Every spatial size is floored to a multiple of the stride; a stride of 1 keeps the size whatever the kernel.
    `channels_last` leaves the channels last in memory, so that the tokens of global blocks are views; local blocks are
    faster on channels-first memory, which depthwise 3D convolutions copy to.
    """

    def __init__(
        self,
        *,
        channels: int,
        dim: int,
        kernel: tuple[int, int, int],
        stride: tuple[int, int, int],
        channels_last: bool,
    ):
        super().__init__()
        self.norm = nn.LayerNorm(dim)  # eps 1e-5 here, 1e-6 in the blocks: as released
        self.proj = nn.Conv3d(channels, dim, kernel, stride=stride, padding=(kernel[0] // 2, 0, 0))
        rest = kernel[1] - stride[1]
        self.pad = (rest // 2, rest - rest // 2) * 2 if rest else None
        self.channels_last = channels_last

    def forward(self, x: Tensor) -> Tensor:
        x = self.proj(x if self.pad is None else F.pad(x, self.pad))
        x = self.norm(x.movedim(1, -1)).movedim(-1, 1)
        return x if self.channels_last else x.contiguous()


class ConvMlp(nn.Module):
    """The feed-forward part of a local block, as 1x1x1 convolutions."""

    def __init__(self, *, dim: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Conv3d(dim, hidden, 1)
        self.fc2 = nn.Conv3d(hidden, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Mlp(nn.Module):
    """The feed-forward part of a global block."""

    def __init__(self, *, dim: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Attention(nn.Module):
    """Multi-head self-attention over tokens (B, N, dim), scaled by head_dim ** -0.5."""

    def __init__(self, *, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class LocalBlock(nn.Module):
    """Dynamic position embedding, local relation aggregation in a 5x5x5 tube, feed-forward (eqs. 1-3, 5)."""

    def __init__(self, *, dim: int, mlp_ratio: int, drop_path: float):
        super().__init__()
        self.pos_embed = nn.Conv3d(dim, dim, 3, padding=1, groups=dim)
        self.norm1 = nn.BatchNorm3d(dim)
        self.conv1 = nn.Conv3d(dim, dim, 1)
        self.conv2 = nn.Conv3d(dim, dim, 1)
        self.attn = nn.Conv3d(dim, dim, 5, padding=2, groups=dim)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.BatchNorm3d(dim)
        self.mlp = ConvMlp(dim=dim, hidden=mlp_ratio * dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pos_embed(x)
        x = x + self.drop_path(self.conv2(self.attn(self.conv1(self.norm1(x)))))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class GlobalBlock(nn.Module):
    """Dynamic position embedding, attention between all T*H*W tokens, feed-forward (eqs. 1-3, 6)."""

    def __init__(self, *, dim: int, heads: int, mlp_ratio: int, drop_path: float, eps: float):
        super().__init__()
        self.pos_embed = nn.Conv3d(dim, dim, 3, padding=1, groups=dim)
        self.norm1 = nn.LayerNorm(dim, eps=eps)
        self.attn = Attention(dim=dim, heads=heads)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(dim, eps=eps)
        self.mlp = Mlp(dim=dim, hidden=mlp_ratio * dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pos_embed(x)
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.drop_path(self.attn(self.norm1(tokens)))
        tokens = tokens + self.drop_path(self.mlp(self.norm2(tokens)))
        return tokens.transpose(1, 2).unflatten(2, x.shape[2:])


class SplitBlock(GlobalBlock):
    """A global block whose attention is divided: first along time, then within the frame (the released `SPLIT`).

    The spatial attention reads what the temporal attention wrote, but adds to the input of both, as released. No
    published Kinetics weights use it.
    """

    def __init__(self, *, dim: int, heads: int, mlp_ratio: int, drop_path: float, eps: float):
        super().__init__(dim=dim, heads=heads, mlp_ratio=mlp_ratio, drop_path=drop_path, eps=eps)
        self.t_norm = nn.LayerNorm(dim, eps=eps)
        self.t_attn = Attention(dim=dim, heads=heads)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pos_embed(x)
        batch, _, frames, height, width = x.shape
        grid = x.flatten(3).permute(0, 2, 3, 1)  # (B, T, HW, C)
        along = grid.transpose(1, 2).flatten(0, 1)  # (B * HW, T, C)
        along = along + self.drop_path(self.t_attn(self.t_norm(along)))
        within = along.unflatten(0, (batch, -1)).transpose(1, 2).flatten(0, 1)  # (B * T, HW, C)
        tokens = grid.flatten(0, 1) + self.drop_path(self.attn(self.norm1(within)))
        tokens = tokens.reshape(batch, frames * height * width, -1)
        tokens = tokens + self.drop_path(self.mlp(self.norm2(tokens)))
        return tokens.transpose(1, 2).unflatten(2, (frames, height, width))


class UniFormer(VideoClassifier):
    """UniFormer for video (Li et al., ICLR 2022), the winner's transformer.

    video: (B, 3, T, H, W)  ->  maps blocks1 at 1/4 of the size .. blocks4 at 1/32, all at half the frames, and norm.
    Any size from 32 px on. Base as by default; small: depth (3, 4, 8, 3). Parameters are named as released.
    The rate of `drop_path` grows linearly from 0 in the first block: released at 0.3 for base and 0.1 for small, 0.4 in
    the winner's training. `temporal_embed` gives patch embeddings 2-4 a temporal kernel of 3 (the released `STD`).
    `eps` is that of the blocks' LayerNorms, 1e-6 as released and 1e-5 in mmaction2.
    Differs from the paper: `dropout` before the head, 0 there. stem="low" takes the spatial stride out of the first
    patch embedding and keeps its kernel, so that blocks4 is at 1/8 of the size and 8 px are enough.
    """

    head_name = "head"

    def __init__(
        self,
        *,
        num_classes: int = 400,
        depth: tuple[int, int, int, int] = (5, 8, 20, 7),
        dims: tuple[int, int, int, int] = (64, 128, 320, 512),
        head_dim: int = 64,
        mlp_ratio: int = 4,
        drop_path: float = 0.3,
        split: bool = False,
        temporal_embed: bool = False,
        eps: float = 1e-6,
        dropout: float = 0.0,
        stem: Stem = "paper",
        mean: Triple = (0.45, 0.45, 0.45),
        std: Triple = (0.225, 0.225, 0.225),
    ) -> None:
        super().__init__(dropout=dropout, mean=mean, std=std)
        self.smallest = 32 if stem == "paper" else 8
        rates = iter(torch.linspace(0, drop_path, sum(depth), device="cpu").tolist())
        channels = 3
        for number, (blocks, dim) in enumerate(zip(depth, dims, strict=True), start=1):
            embed = PatchEmbed(
                channels=channels,
                dim=dim,
                kernel=(3, 4, 4) if number == 1 else (3 if temporal_embed else 1, 2, 2),
                stride=early_stride(stem, (2, 4, 4)) if number == 1 else (1, 2, 2),
                channels_last=number > 2,
            )
            self.add_module(f"patch_embed{number}", embed)
            stage = nn.ModuleList()
            for _ in range(blocks):
                if number < 3:
                    stage.append(LocalBlock(dim=dim, mlp_ratio=mlp_ratio, drop_path=next(rates)))
                else:
                    block = SplitBlock if split else GlobalBlock
                    heads = dim // head_dim
                    stage.append(block(dim=dim, heads=heads, mlp_ratio=mlp_ratio, drop_path=next(rates), eps=eps))
            self.add_module(f"blocks{number}", stage)
            channels = dim
        self.norm = nn.BatchNorm3d(channels)
        self.head = nn.Linear(channels, num_classes)
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                if name.endswith("t_attn.qkv"):  # the temporal branch starts as a no-op that can still learn
                    nn.init.zeros_(module.weight)
                elif name.endswith("t_attn.proj"):
                    nn.init.ones_(module.weight)
                else:
                    nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def normalise(self, video: Tensor) -> Tensor:
        video = super().normalise(video)
        if min(video.shape[3:]) < self.smallest:
            raise UsageError(f"UniFormer needs frames of at least {self.smallest} px, not {tuple(video.shape[3:])}")
        return video

    def steps(self) -> list[Step]:
        stages = [
            (f"blocks{n}", nn.Sequential(getattr(self, f"patch_embed{n}"), *getattr(self, f"blocks{n}")))
            for n in (1, 2, 3, 4)
        ]
        return [*stages, ("norm", self.norm)]
