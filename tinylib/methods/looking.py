"""Whether maps of attention lie on the actors, beside what needs no learning: motion, and the middle of the frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from tinylib.datasets.degrade import Size
from tinylib.datasets.index import Index
from tinylib.datasets.sampling import evenly
from tinylib.datasets.store import ClipStore
from tinylib.errors import UsageError
from tinylib.evaluation import localisation
from tinylib.methods import pairs
from tinylib.models import attention_maps
from tinylib.synth import studies


def masks(settings: Any, index: Index, size: Size, frames: int) -> NDArray[np.bool_]:
    """(N, frames, H, W): the actors in so many frames of each clip, evenly spaced among those that stores keep.

    Clips of unequal length (`settings.kept` None) take part as well.
    """
    if not pairs.synthetic(settings):
        raise UsageError(f"masks: {settings.data} does not know where its actors are; SynthVIRAT does")
    if settings.kept is None:
        return studies.masks(index, size, frames=frames)
    return studies.masks(index, size, frames=settings.kept)[:, evenly(settings.kept, min(frames, settings.kept))]


def moments(store: ClipStore, places: Sequence[int], frames: int) -> Tensor:
    """(N, 3, frames, H, W) in [0, 1]: the frames that `masks` are of, of the clips at these places."""
    clips = [store[place] for place in places]
    video = np.stack([clip[evenly(len(clip), min(frames, len(clip)))] for clip in clips])
    return torch.from_numpy(video).permute(0, 4, 1, 2, 3).float() / 255


def against_actors(
    maps: Mapping[str, Tensor], actors: NDArray[np.bool_], video: Tensor, groups: Sequence[str], *, seed: int = 0
) -> tuple[pd.DataFrame, dict[str, Tensor]]:
    """`localisation.compare` of maps (N, t, h, w) and of "motion" and "centre"; and all maps at the actors' size.

    actors: (N, T, H, W); video: (N, 3, T, H, W) in [0, 1], of the same frames.
    """
    there = torch.from_numpy(actors)
    size = (there.shape[1], there.shape[2], there.shape[3])
    sized = {name: attention_maps.to_size(values.cpu(), size) for name, values in maps.items()}
    sized["motion"] = attention_maps.motion_baseline(video)
    sized["centre"] = attention_maps.centre_baseline(size).expand(there.shape)
    return localisation.compare(sized, there, groups, seed=seed), sized
