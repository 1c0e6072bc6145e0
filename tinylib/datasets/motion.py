"""What moves, as pictures: the second stream of two-stream recognition (STAT, Table 4), from any clip at any size.

Each function takes (T, H, W, 3) uint8 and gives as many pictures of the same size, so that whatever takes clips takes
motion: picture t is what happens between frames t and t + 1, the last one repeated. Grey (128) means that nothing
moves. The paper says "optical stream" and no more; the ways and their scales are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinylib.datasets.index import Index
from tinylib.datasets.store import ClipStore
from tinylib.errors import UsageError

Video = NDArray[np.uint8]


def difference(video: Video) -> Video:
    """Half the change of each channel, around 128: nothing is lost but the lowest bit."""
    frames = video.astype(np.int16)
    return _repeat_last(((frames[1:] - frames[:-1]) // 2 + 128).astype(np.uint8), video)


def flow(video: Video, *, reach: float = 1 / 8) -> Video:
    """Dense optical flow (Farneback 2003): motion to the right, motion downwards, speed.

    reach: the motion that saturates a channel, as a share of the picture's width; so clips of one scene at several
    sizes have like pictures. A mirrored picture is not the flow of the mirrored video (see `MIRRORED`).
    """
    import cv2

    height, width = video.shape[1:3]
    window, rim = max(5, round(min(height, width) / 6) | 1), 8
    grey = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in video]
    grey = [cv2.copyMakeBorder(frame, rim, rim, rim, rim, cv2.BORDER_REPLICATE) for frame in grey]  # its own is noisy
    pictures = np.full((max(0, len(video) - 1), height, width, 3), 128, np.uint8)
    for before, after, picture in zip(grey, grey[1:], pictures, strict=False):
        empty = np.zeros((*before.shape, 2), np.float32)
        field = cv2.calcOpticalFlowFarneback(before, after, empty, 0.5, 3, window, 3, 5, 1.1, 0)[rim:-rim, rim:-rim]
        speed = np.hypot(field[..., 0], field[..., 1])
        scaled = np.dstack([field, speed]) * (127 / (reach * width))
        picture[:] = np.rint(128 + scaled.clip(-127, 127)).astype(np.uint8)
    return _repeat_last(pictures, video)


MOTIONS: dict[str, Callable[[Video], Video]] = {"difference": difference, "flow": flow}
MIRRORED = {"difference": True, "flow": False}  # whether mirrored pictures are those of the mirrored video


def _repeat_last(pictures: Video, video: Video) -> Video:
    if not len(pictures):  # a clip of one frame stands still
        return np.full_like(video, 128)
    return np.concatenate([pictures, pictures[-1:]])


def moving(kind: str, source: ClipStore, index: Index, file: str | Path) -> ClipStore:
    """The store `source` of `index` as pictures of its motion, made once into `file`."""
    if kind not in MOTIONS:
        raise UsageError(f"motion {kind!r}: expected one of {', '.join(MOTIONS)}")
    pictures = MOTIONS[kind]
    return ClipStore.render(
        index,
        file,
        lambda start: (pictures(source[i]) for i in range(start, len(source))),
        origin={"motion": kind, "of": source.recipe},
    )
