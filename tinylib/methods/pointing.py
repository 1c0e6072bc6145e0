"""What a foreground branch looks at: pictures of Fig. 7, and its maps beside the actors' own masks."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from tinylib.datasets.degrade import bicubic_batch
from tinylib.datasets.index import Index
from tinylib.datasets.loading import BatchTransform, ClipDataset
from tinylib.datasets.sampling import strided
from tinylib.evaluation import localisation
from tinylib.evaluation.clips import Clips
from tinylib.methods import pairs
from tinylib.methods.prerender import pixels
from tinylib.methods.restored import Splits, part
from tinylib.models import attention_maps
from tinylib.models.dvsr import resize
from tinylib.training.objectives.foreground import Foreground

BATCH = 8


class Adds(Protocol):
    """A log of results."""

    def add(self, ref: str, row: str, metric: str, value: float, low: float, high: float, **more: object) -> object: ...


def pictures(truth: Tensor, low: Tensor, image: Tensor, focus: Tensor) -> dict[str, NDArray[np.uint8]]:
    """TinyVIRAT, Fig. 7: what is masked turns mid-grey. Videos (B, 3, T, H, W), focus (B, 1, T, H, W)."""
    image = image.clamp(0, 1)
    panels = {
        "ground truth": truth,
        "low resolution": resize(low, (truth.shape[2], truth.shape[3], truth.shape[4])),
        "super-resolved": image,
        "SR x F": ((image * 2 - 1) * focus + 1) / 2,
        "F": focus.expand_as(image),
        "F > 0.5": (focus > 0.5).float().expand_as(image),
    }
    return {name: pixels(video) for name, video in panels.items()}


@torch.no_grad()
def maps_and_masks(
    settings: Any, foreground: Foreground, material: Splits, index: Index, *, device: torch.device | str = "cpu"
) -> tuple[dict[str, Tensor], Tensor]:
    """Of test clips, as the network gets them: each map (B, T, H, W) by name, and the actors' masks alike.

    The branch competes with the middle of the frame and with motion, which need no learning.
    """
    frames, high = settings.restoration.frames, settings.high
    assert material.tiny is not None
    store = part(material.tiny["test"], material.test, index)

    def chosen(length: int, rng: object = None) -> NDArray[np.int64]:
        return strided(length, frames, stride=1)

    clips = ClipDataset(index, store=store, views="centre", sampler=chosen, size=None)
    tiny = BatchTransform().eval()(clips.batch(range(len(index))))["video"]
    if tiny.shape[-1] != settings.size:
        tiny = bicubic_batch(tiny, settings.size)
    foreground.eval()
    focus = torch.cat([foreground(part.to(device))[1][:, 0].cpu() for part in tiny.split(BATCH)])
    if settings.balanced:
        seen = list(pairs.masks(settings, index, high))
    else:
        from tinylib.synth.twins import twin

        seen = [twin(settings.dataset(), clip, high).foreground() for clip in index.clips]
    masks = torch.from_numpy(np.stack([mask[chosen(len(mask))] for mask in seen]))
    large = torch.cat([bicubic_batch(part, high) for part in tiny.split(BATCH)])
    maps = {
        "foreground attention": focus,
        "centre": attention_maps.centre_baseline((frames, high, high)).expand_as(focus),
        "motion": attention_maps.motion_baseline(large),
    }
    return maps, masks


def record(log: Adds, compared: pd.DataFrame, maps: dict[str, Tensor], masks: Tensor, index: Index, size: int) -> None:
    """`localisation.compare`'s rows into the log, with each clip's own value, so that maps are compared in pairs."""
    videos = np.array([clip.video_id for clip in index.clips])
    shown = masks.flatten(1).any(1).numpy()
    for name, metric, value, low, high, n in (
        compared[["map", "metric", "value", "low", "high", "n"]].to_numpy().tolist()
    ):
        clips = None
        if name in maps:
            values = localisation.MEASURES[metric](maps[name], masks).double().numpy()
            clips = Clips(values[shown], videos[shown])
        taught = int(name == "foreground attention")
        where = f"{size}x{size}"
        log.add("attention and actors", name, metric, value, low, high, input=where, n=n, clips=clips, seeds=taught)
