"""A frozen network with a small head that learns: the cheapest way to use a network that knows other video."""

from __future__ import annotations

from typing import Literal, Self

import torch
from torch import Tensor, nn

from tinylib.errors import UsageError
from tinylib.models.common import IMAGENET_MEAN, IMAGENET_STD, Step, VideoClassifier

Kind = Literal["linear", "attentive"]
KINDS: tuple[Kind, ...] = ("linear", "attentive")


class Probe(VideoClassifier):
    """The features of a frozen `body` and a head that learns: linear, or attentive (Bardes et al. 2024, V-JEPA).

    video: (B, 3, T, H, W) in [0, 1]  ->  logits (B, num_classes). linear: batch norm without learnt scale, as features
    come in all sizes, and one linear layer over the body's pooled vector (B, C). attentive: one learnt query attends
    over the tokens of its last map (B, C, T', H', W'), `heads` heads, before the linear layer. The body stays in eval
    mode, norms and all, and gets no gradient; its dropout and head are not used.
    """

    def __init__(self, body: VideoClassifier, *, kind: Kind = "linear", num_classes: int, heads: int = 8) -> None:
        super().__init__(dropout=0.0, mean=IMAGENET_MEAN, std=IMAGENET_STD)
        if kind not in KINDS:
            raise UsageError(f"probe: expected one of {', '.join(KINDS)}, found {kind!r}")
        channels = body.get_parameter(f"{body.head_name}.weight").shape[1]
        self.body, self.kind, self.name, self.still = body.requires_grad_(False), kind, body.name, body.still
        self.norm: nn.Module = nn.BatchNorm1d(channels, affine=False) if kind == "linear" else nn.LayerNorm(channels)
        if kind == "attentive":
            heads = next(n for n in range(min(heads, channels), 0, -1) if channels % n == 0)
            self.query = nn.Parameter(torch.randn(1, 1, channels) * 0.02)
            self.attention = nn.MultiheadAttention(channels, heads, batch_first=True)
        self.fc = nn.Linear(channels, num_classes)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.body.eval()
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Of the head alone: the body never learns."""
        super().requires_grad_(requires_grad)
        self.body.requires_grad_(False)
        return self

    def steps(self) -> list[Step]:
        raise NotImplementedError("a probe's network runs as a whole; `features` gives its maps")

    def features(self, video: Tensor) -> dict[str, Tensor]:
        """The body's maps, and as "pooled" what the head sees: (B, C)."""
        maps = self.body.features(video)  # no gradient is kept, as nothing in it wants one
        pooled = maps.pop("pooled")
        if self.kind == "linear":
            return maps | {"pooled": self.norm(pooled)}
        tokens = self.norm(list(maps.values())[-1].flatten(2).transpose(1, 2))
        answer, _ = self.attention(self.query.expand(len(video), -1, -1), tokens, tokens, need_weights=False)
        return maps | {"pooled": answer[:, 0]}

    def forward(self, video: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.features(video)["pooled"])
        return logits
