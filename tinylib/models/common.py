"""What every classifier shares: [0, 1] input normalised inside, named maps, a pooled vector, a replaceable head."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from tinylib.errors import UsageError

Stem = Literal["paper", "low"]
Triple = tuple[float, float, float]
Step = tuple[str, Callable[[Tensor], Tensor]]

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)


@contextmanager
def channels_last(network: nn.Module) -> Iterator[None]:
    """Inside, on a CPU, the weights of a network's convolutions lie channels last in memory; their values stay.

    PyTorch's CPU convolutions take 1.1 to 2.5 times as many clips a second so. A GPU keeps its own layout.
    """
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    changed = []
    for weight in network.parameters():
        layout = layouts.get(weight.dim())
        if weight.device.type == "cpu" and layout is not None and not weight.is_contiguous(memory_format=layout):
            weight.data = weight.data.contiguous(memory_format=layout)
            changed.append(weight)
    try:
        yield
    finally:
        for weight in changed:
            weight.data = weight.data.contiguous()


class VideoClassifier(nn.Module):
    """A network as a list of named steps, a mean over (T, H, W), dropout and one linear head.

    video: (B, 3, T, H, W) in [0, 1]  ->  logits: (B, num_classes)
    A subclass answers `steps` and holds its head under the name `head_name` says (the official key name).
    `mean` and `std` are in [0, 1] units and never part of the state dict, so that official keys load strictly.
    `still` below 1 dims what stands still (ours; the published networks see all of it): of each pixel the mean over the
    clip's frames is kept in that share, and what differs from it is doubled.
    """

    mean: Tensor
    std: Tensor
    still = 1.0
    name = ""  # in `models.CLASSIFIERS`, where `models.create` built it
    head_name = "fc"

    def __init__(self, *, dropout: float, mean: Triple, std: Triple) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1, 1), persistent=False)
        self.avgpool = nn.AdaptiveAvgPool3d(1)
        self.dropout = nn.Dropout(dropout)

    def steps(self) -> list[Step]:
        """The network in order: (name of the map, what makes it from the map before)."""
        raise NotImplementedError

    def normalise(self, video: Tensor) -> Tensor:
        if video.ndim != 5 or video.shape[1] != 3:
            raise UsageError(f"a classifier takes video (B, 3, T, H, W) in [0, 1], not {tuple(video.shape)}")
        video = (video - self.mean) / self.std
        if self.still == 1:
            return video
        rest = video.mean(2, keepdim=True)
        return 2 * (video - rest) + self.still * rest

    def pool(self, x: Tensor) -> Tensor:
        return self.avgpool(x).flatten(1)

    def forward(self, video: Tensor) -> Tensor:
        x = self.normalise(video)
        for _, step in self.steps():  # keeps no map alive longer than the next step needs it
            x = step(x)
        return self.get_submodule(self.head_name)(self.dropout(self.pool(x)))

    def features(self, video: Tensor) -> dict[str, Tensor]:
        """Every named map (B, C, T', H', W') in network order, then "pooled" (B, C)."""
        x, maps = self.normalise(video), {}
        for name, step in self.steps():
            maps[name] = x = step(x)
        maps["pooled"] = self.pool(x)
        return maps

    def reset_classifier(self, num_classes: int) -> None:
        """A fresh head for `num_classes` classes, on the device and in the type of the old one."""
        old = self.get_submodule(self.head_name)
        if not isinstance(old, nn.Linear):
            raise TypeError(f"{self.head_name} is a {type(old).__name__}: this network must replace its head itself")
        new = nn.Linear(old.in_features, num_classes, device=old.weight.device, dtype=old.weight.dtype)
        parent, _, name = self.head_name.rpartition(".")
        setattr(self.get_submodule(parent), name, new)


def early_stride(stem: Stem, stride: tuple[int, int, int]) -> tuple[int, int, int]:
    """The stride of an early layer: as published ("paper"), or with both spatial steps removed ("low")."""
    if stem not in ("paper", "low"):
        raise UsageError(f'stem is "paper" or "low", not {stem!r}')
    return stride if stem == "paper" else (stride[0], 1, 1)


def kaiming_fan_out(model: nn.Module) -> None:
    """He initialisation of every convolution by its outputs, as all official residual networks here do."""
    for module in model.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
