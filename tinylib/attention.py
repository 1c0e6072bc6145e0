"""From activations to attention maps, and how well a map finds the actor.

Maps and masks are (B, T, H, W); maps are non-negative, masks true on the actor. Scores come one a clip, as the mean
over the frames whose mask is not empty (NaN where none is), so that intervals can be taken over clips or videos.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from tinylib import metrics
from tinylib.models.common import VideoClassifier


def to_size(maps: Tensor, size: tuple[int, int, int]) -> Tensor:
    """Maps (B, T, H, W) brought to `size` = (T, H, W), trilinear."""
    return F.interpolate(maps[:, None], size=size, mode="trilinear", align_corners=False)[:, 0]


def match(teacher: Tensor, student: Tensor) -> Tensor:
    """The teacher's maps averaged over areas to the size of the student's (STAT, native-size reading of Eq. 2)."""
    frames, height, width = student.shape[1:]
    return F.adaptive_avg_pool3d(teacher[:, None], (frames, height, width))[:, 0]


def stretch(maps: Tensor) -> Tensor:
    """Each clip's maps stretched to [0, 1], for showing; a constant map becomes 0."""
    low, high = maps.amin((1, 2, 3), keepdim=True), maps.amax((1, 2, 3), keepdim=True)
    return (maps - low) / (high - low).clamp(min=1e-12)


def gradient_map(
    network: VideoClassifier, video: Tensor, layer: str, targets: Tensor, *, local: bool = False
) -> Tensor:
    """Grad-CAM (Selvaraju et al. 2017) of `layer`: channels weighed by the mean gradient of the target's logit.

    video: (B, 3, T, H, W) in [0, 1]; targets: (B,) class numbers  ->  (B, T', H', W'), non-negative. local: each place
    by its own gradient (HiResCAM, Draelos and Carin 2020): the same at the last layer, and true to the network before
    it, where a mean gradient may leave nothing.
    """
    with torch.enable_grad():
        maps = network.features(video.detach().requires_grad_())
        logits = network.get_submodule(network.head_name)(maps["pooled"])
        (gradient,) = torch.autograd.grad(logits.gather(1, targets[:, None]).sum(), maps[layer])
    weights = gradient if local else gradient.mean((2, 3, 4), keepdim=True)
    return F.relu((weights * maps[layer].detach()).sum(1))


def centre_baseline(size: tuple[int, int, int], *, spread: float = 0.25) -> Tensor:
    """A Gaussian at the middle of the frame, `spread` of its side wide: (1, T, H, W). Clips are cut around actors."""
    frames, height, width = size
    y = (torch.arange(height) + 0.5) / height - 0.5
    x = (torch.arange(width) + 0.5) / width - 0.5
    bump = torch.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / (2 * spread**2))
    return bump.expand(1, frames, height, width)


def motion_baseline(video: Tensor, *, blur: int = 5) -> Tensor:
    """What moves: smoothed absolute difference to the frames before and after, (B, 3, T, H, W) -> (B, T, H, W)."""
    difference = (video[:, :, 1:] - video[:, :, :-1]).abs().mean(1)
    both = torch.cat([difference[:, :1], difference, difference[:, -1:]], dim=1)
    return F.avg_pool2d((both[:, 1:] + both[:, :-1]) / 2, blur, stride=1, padding=blur // 2)


def pointing_game(maps: Tensor, masks: Tensor, *, tolerance: int = 0) -> Tensor:
    """Share of frames whose highest point lies on the actor, or within `tolerance` pixels of it: (B,)."""
    if tolerance:
        masks = F.max_pool2d(masks.float(), 2 * tolerance + 1, stride=1, padding=tolerance) > 0
    peaks = maps.flatten(2).argmax(-1, keepdim=True)
    return _over_frames(masks.flatten(2).gather(2, peaks)[..., 0].float(), masks)


def mass_inside(maps: Tensor, masks: Tensor) -> Tensor:
    """Share of the map's mass that lies on the actor: (B,). A map of zeros has none inside."""
    inside = (maps * masks).sum((2, 3))
    return _over_frames(inside / maps.sum((2, 3)).clamp(min=1e-12), masks)


def area_iou(maps: Tensor, masks: Tensor) -> Tensor:
    """Intersection over union of the mask with the map's highest pixels, as many as the mask has: (B,).

    Matching the area leaves no threshold to tune, so maps of different scale compare.
    """
    flat, truth = maps.flatten(2), masks.flatten(2).bool()
    rank = flat.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    chosen = rank < truth.sum(-1, keepdim=True)
    intersection, union = (chosen & truth).sum(-1), (chosen | truth).sum(-1)
    return _over_frames(intersection / union.clamp(min=1), masks)


MEASURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "pointing game": pointing_game,
    "mass inside": mass_inside,
    "area IoU": area_iou,
}


def compare(maps: Mapping[str, Tensor], masks: Tensor, groups: Sequence[str], *, seed: int = 0) -> pd.DataFrame:
    """Every measure of every map on the same clips: map, metric, value, low, high (95%, over groups), n.

    maps: name -> (B, T, H, W); masks alike; groups: the clips' source videos. Clips without an actor do not count. The
    row "chance" is a map that is the same everywhere: what each measure is worth when nothing is known.
    """
    share = masks.float().mean((2, 3))
    shown = masks.flatten(1).any(1).numpy()
    chance = _over_frames(share, masks)
    rows = []
    for metric, measure in MEASURES.items():
        found = {name: measure(values, masks) for name, values in maps.items()}
        found |= {"chance": chance / (2 - chance) if metric == "area IoU" else chance}
        for name, values in found.items():
            kept = values.double().numpy()[shown]
            low, high = metrics.bootstrap(partial(metrics.weighted_mean, kept), np.asarray(groups)[shown], seed=seed)
            low, high = max(low, 0.0), min(high, 1.0)  # every measure is a share
            rows.append({"map": name, "metric": metric, "value": kept.mean(), "low": low, "high": high, "n": len(kept)})
    return pd.DataFrame(rows)


def _over_frames(values: Tensor, masks: Tensor) -> Tensor:
    shown = masks.flatten(2).any(-1)
    return (values * shown).sum(1) / torch.where(shown.any(1), shown.sum(1), torch.nan)
