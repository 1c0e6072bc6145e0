"""Which clips a split has: `Clip` records, and an `Index` of them for every dataset we read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinylib.files import inside


@dataclass(frozen=True, slots=True)
class Clip:
    """One row of a dataset's index; sizes are what the index declares, `None` where it says nothing."""

    clip_id: str  # unique within its dataset
    path: str  # of the video file, relative to `Index.root`, with forward slashes
    video_id: str  # the source video (or subject, or group): the unit of splits and of bootstrap intervals
    labels: tuple[str, ...] | None  # None: withheld (public test splits)
    frames: int | None = None
    width: int | None = None
    height: int | None = None
    domain: str = ""  # 'virat', 'meva', 'ucf101', ...
    window: str | None = None  # MEVA rows: '<activity id>_<Old_Name>_<first>_<last>'


@dataclass(frozen=True)
class Index:
    """The clips of one split of one dataset."""

    name: str
    split: str
    root: Path
    classes: tuple[str, ...]
    multi_label: bool
    clips: tuple[Clip, ...]
    notes: tuple[str, ...] = ()  # what was odd but readable, such as duplicate rows left out

    def __len__(self) -> int:
        return len(self.clips)

    def file(self, clip: Clip) -> Path:
        return inside(self.root, clip.path)

    def targets(self) -> NDArray[np.float32] | NDArray[np.int64]:
        """(N, classes) multi-hot float32 where clips carry several labels, else (N,) int64 class numbers."""
        column = {name: i for i, name in enumerate(self.classes)}
        if not self.multi_label:
            return np.array([column[(clip.labels or ("",))[0]] for clip in self.clips], dtype=np.int64)
        hot = np.zeros((len(self.clips), len(self.classes)), dtype=np.float32)
        for row, clip in enumerate(self.clips):
            for name in clip.labels or ():
                hot[row, column[name]] = 1
        return hot

    def select(self, keep: Callable[[Clip], bool] | Sequence[int]) -> Index:
        """The same index with the clips that `keep` accepts, or those at the given positions."""
        clips = tuple(filter(keep, self.clips)) if callable(keep) else tuple(self.clips[i] for i in keep)
        return replace(self, clips=clips)

    def digest(self) -> str:
        """Hash of what the index says (not of the videos): 16 hex digits."""
        rows = [self.name, self.split, self.classes]
        rows += [[c.clip_id, c.path, c.video_id, c.labels, c.frames, c.width, c.height] for c in self.clips]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]
