"""How well an attention map finds the actor.

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

from tinylib.evaluation import metrics


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
        measured = {name: measure(values, masks) for name, values in maps.items()}
        measured |= {"chance": chance / (2 - chance) if metric == "area IoU" else chance}
        for name, values in measured.items():
            of_clips = values.double().numpy()[shown]
            low, high = metrics.bootstrap(
                partial(metrics.weighted_mean, of_clips), np.asarray(groups)[shown], seed=seed
            )
            low, high = max(low, 0.0), min(high, 1.0)  # every measure is a share
            rows.append(
                {"map": name, "metric": metric, "value": of_clips.mean(), "low": low, "high": high, "n": len(of_clips)}
            )
    return pd.DataFrame(rows)


def _over_frames(values: Tensor, masks: Tensor) -> Tensor:
    shown = masks.flatten(2).any(-1)
    return (values * shown).sum(1) / torch.where(shown.any(1), shown.sum(1), torch.nan)
