"""Networks of other libraries behind the contract of ours: torchvision's video networks, image networks frame by frame.

An adapted network is a body that answers one vector a clip, and a linear head of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from tinylib.errors import UsageError
from tinylib.models.common import IMAGENET_MEAN, IMAGENET_STD, Stem, Step, Triple, VideoClassifier

TORCHVISION_MEAN: Triple = (0.43216, 0.394666, 0.37645)
TORCHVISION_STD: Triple = (0.22803, 0.22145, 0.216989)


class Published(NamedTuple):
    """A video network of torchvision: its input, the modules whose outputs are its maps, and where its head stands."""

    mean: Triple
    std: Triple
    maps: dict[str, str]  # name of the map -> module
    head: str  # the last layer's key in torchvision's weights
    least: tuple[int, int, int] = (1, 1, 1)  # frames, height, width below which video is enlarged
    fixed: bool = False  # takes video of exactly `least`
    channels_last: bool = False  # its maps are (B, T, H, W, C)


_RESNET = Published(
    TORCHVISION_MEAN, TORCHVISION_STD, {name: name for name in ("stem", "layer1", "layer2", "layer3", "layer4")}, "fc"
)
_S3D = Published(
    TORCHVISION_MEAN,
    TORCHVISION_STD,
    {"stem": "features.3", "mixed_3c": "features.6", "mixed_4f": "features.12", "mixed_5c": "features.15"},
    "classifier.1",
    (14, 224, 224),
)
_SWIN = Published(
    IMAGENET_MEAN,
    IMAGENET_STD,
    {f"stage{n}": f"features.{2 * n - 2}" for n in (1, 2, 3, 4)},
    "head",
    channels_last=True,
)


def _mvit(*ends: int) -> Published:
    """ends: the last block of each stage."""
    maps = {f"stage{n}": f"blocks.{end}" for n, end in enumerate(ends, start=1)}
    return Published((0.45, 0.45, 0.45), (0.225, 0.225, 0.225), maps, "head.1", (16, 224, 224), fixed=True)


TORCHVISION: dict[str, Published] = {
    "r3d_18": _RESNET,
    "mc3_18": _RESNET,
    "r2plus1d_18": _RESNET,
    "s3d": _S3D,
    "mvit_v1_b": _mvit(0, 2, 13, 15),
    "mvit_v2_s": _mvit(0, 2, 13, 15),
    "swin3d_t": _SWIN,
    "swin3d_s": _SWIN,
    "swin3d_b": _SWIN,
}


class Adapted(VideoClassifier):
    """Any `body` that answers a vector a clip, with named maps, [0, 1] input and a head of ours.

    body: video (B, 3, T, H, W), normalised by mean and std  ->  (B, channels). maps: name of the map -> module of the
    body whose output it is: (B, C, T, H, W), (B, T, H, W, C) with channels_last, or tokens (B, N, C) with their grid
    beside them, all handed on as (B, C, T, H, W). least: video smaller than (T, H, W) is enlarged, trilinear; fixed: to
    exactly that. by_frame: the body is an image network (B, 3, H, W) -> (B, channels), its answers averaged over time.
    """

    def __init__(
        self,
        body: nn.Module,
        *,
        channels: int,
        num_classes: int,
        maps: dict[str, str],
        mean: Triple = IMAGENET_MEAN,
        std: Triple = IMAGENET_STD,
        least: tuple[int, int, int] = (1, 1, 1),
        fixed: bool = False,
        by_frame: bool = False,
        channels_last: bool = False,
        dropout: float = 0.0,
        published: str = "",
    ) -> None:
        super().__init__(dropout=dropout, mean=mean, std=std)
        modules = dict(body.named_modules())
        if lacking := [module for module in maps.values() if module not in modules]:
            raise UsageError(f"maps: the network has no module {lacking[0]!r}")
        self.body, self.maps, self.least, self.fixed = body, dict(maps), least, fixed
        self.by_frame, self.channels_last = by_frame, channels_last
        self.published = published  # the name under which torchvision has its weights
        self.fc = nn.Linear(channels, num_classes)

    def steps(self) -> list[Step]:
        raise NotImplementedError("an adapted network runs as a whole; `features` gives its maps")

    def enlarge(self, video: Tensor) -> Tensor:
        """Video as large as the body needs it."""
        size = tuple(video.shape[2:])
        wanted = self.least if self.fixed else tuple(max(a, b) for a, b in zip(size, self.least, strict=True))
        return video if wanted == size else F.interpolate(video, size=wanted, mode="trilinear", align_corners=False)

    def vector(self, video: Tensor) -> Tensor:
        """(B, 3, T, H, W) in [0, 1]  ->  (B, channels)."""
        x = self.enlarge(self.normalise(video))
        if self.by_frame:
            batch, _, frames = x.shape[:3]
            vector: Tensor = self.body(x.transpose(1, 2).flatten(0, 1)).unflatten(0, (batch, frames)).mean(1)
        else:
            vector = self.body(x)
        if vector.ndim != 2 or vector.shape[1] != self.fc.in_features:
            raise UsageError(f"the body answers {tuple(vector.shape)}, expected (B, {self.fc.in_features})")
        return vector

    def forward(self, video: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.dropout(self.vector(video)))
        return logits

    def features(self, video: Tensor) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = {}

        def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], object], None]:
            return lambda module, given, output: outputs.update({name: self._map(name, output, video)})

        hooks = [self.body.get_submodule(at).register_forward_hook(keep(name)) for name, at in self.maps.items()]
        try:
            pooled = self.vector(video)
        finally:
            for hook in hooks:
                hook.remove()
        return {name: outputs[name] for name in self.maps} | {"pooled": pooled}

    def _map(self, name: str, output: object, video: Tensor) -> Tensor:
        x, grid = output if isinstance(output, tuple) else (output, None)
        if not isinstance(x, Tensor):
            raise UsageError(f"maps: {name} is a {type(x).__name__}, not a tensor")
        if self.by_frame:
            return _image(name, x, grid).unflatten(0, (len(video), -1)).transpose(1, 2)
        if x.ndim == 5:
            return x.movedim(-1, 1) if self.channels_last else x
        return _tokens(name, x, grid)


def _tokens(name: str, x: Tensor, grid: Sequence[int] | None) -> Tensor:
    """(B, N, C) with its grid (T, H, W)  ->  (B, C, T, H, W); a class token before the grid is left out."""
    if x.ndim != 3 or grid is None:
        raise UsageError(f"maps: {name} has shape {tuple(x.shape)}: neither a map nor tokens on a grid")
    frames, height, width = (int(n) for n in grid)
    return x[:, -frames * height * width :].transpose(1, 2).unflatten(2, (frames, height, width))


def _image(name: str, x: Tensor, grid: Sequence[int] | None) -> Tensor:
    """An image network's map (B, C, H, W), or tokens on a square (a class token left out), as (B, C, H, W)."""
    if x.ndim == 4:
        return x
    side = int(max(x.shape[1], 1) ** 0.5) if x.ndim == 3 else 0
    if not side:
        raise UsageError(f"maps: {name} has shape {tuple(x.shape)}: neither a map nor tokens")
    return x[:, -side * side :].transpose(1, 2).unflatten(2, (side, side))


def torchvision_network(
    name: str, *, num_classes: int = 400, dropout: float = 0.0, stem: Stem = "paper"
) -> VideoClassifier:
    """A video network of torchvision by its name there, with fresh weights; its head is the network's `fc`.

    r3d_18, mc3_18, r2plus1d_18: any size; swin3d_t, _s, _b: any size; s3d: video below 14 x 224 x 224 is enlarged to
    it; mvit_v1_b, mvit_v2_s: all video is brought to 16 x 224 x 224. There is no low stem.
    """
    from torchvision.models import get_model

    if stem != "paper":
        raise UsageError(f'{name}: torchvision\'s networks have one stem ("paper"), not {stem!r}')
    entry = TORCHVISION[name]
    body = get_model(name, weights=None)
    channels = body.get_submodule(entry.head).weight.shape[1]
    top = entry.head.split(".")[0]
    setattr(body, top, nn.Identity())  # the head is ours, after the vector; S3D's mean and its 1x1 convolution commute
    return Adapted(
        body,
        channels=channels,
        num_classes=num_classes,
        maps=entry.maps,
        mean=entry.mean,
        std=entry.std,
        least=entry.least,
        fixed=entry.fixed,
        channels_last=entry.channels_last,
        dropout=dropout,
        published=name,
    )
