"""Where people and vehicles move in a video that nobody has annotated: what differs from the background, over time.

Classical and without training: OpenCV's background subtraction (MOG2 or KNN), morphology, connected components, and our
`tracking`. One pass after a look at the first seconds, in memory that does not grow with the video. What does not move
is not found: somebody who stands still from the first frame to the last is background here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinylib.annotations.tracks import Box, Track
from tinylib.errors import ClipError, UsageError
from tinylib.recognise.tracking import Tracker, TrackerConfig
from tinylib.video import iter_pictures, probe_damaged

if TYPE_CHECKING:
    from cv2.typing import MatLike

Frame = NDArray[np.uint8]

WARM = 25  # frames whose median is the first background
SHADOW = 127  # what OpenCV writes where it sees a shadow
SHAKE_SIDE = 320  # pixels: frames are registered at this width


@dataclass(frozen=True)
class ProposalConfig:
    """How to find what moves; the defaults are for 360 to 1080 lines and people from 12 pixels up."""

    method: str = "mog2"  # or "knn"
    width: int = 960  # wider frames are searched at this width
    memory: float = 20.0  # seconds until what has stopped becomes background
    threshold: float = 40.0  # squared distance from the background, in its standard deviations (KNN: x 25)
    shadows: bool = True  # shadows are told apart and left out
    shake: bool = True  # frames are brought over the background first
    min_side: float = 6.0  # pixels of the full frame: the longer side of the smallest box
    min_area: float = 40.0  # moving pixels of the full frame in the smallest box
    max_share: float = 0.2  # of the frame: larger boxes are light, not people
    flood: float = 0.4  # a frame of which more than this has changed is left out: light, or a moved camera
    margin: float = 0.05  # by which boxes are grown, of their sides
    travel: float = 1.0  # how far a track must get, in its mean side: what trembles in one place is left out
    far: float = 0.06  # of the frame's width: this far is far enough, however large the track
    tracker: TrackerConfig = field(default_factory=TrackerConfig)

    def __post_init__(self) -> None:
        if self.method not in ("mog2", "knn"):
            raise UsageError(f"method: expected 'mog2' or 'knn', got {self.method!r}")
        for name in ("width", "memory", "threshold", "min_side", "min_area", "max_share", "flood"):
            if not 0 < getattr(self, name) < 1e6:
                raise UsageError(f"{name}: expected a positive number, got {getattr(self, name)}")


@dataclass(frozen=True)
class Proposals:
    """What moved, in the order in which it appeared, and what was odd."""

    tracks: tuple[Track, ...]
    frames: int
    flooded: int  # frames left out
    shaken: float  # mean displacement of the camera that was undone, pixels


def propose(path: str | Path, config: ProposalConfig | None = None, *, threads: int = 1) -> Proposals:
    """Tracks of what moves in a video file. ClipError."""
    config = config or ProposalConfig()
    info = probe_damaged(path)
    fps = info.fps if 1 <= info.fps <= 240 else 25.0
    first = range(0, min(info.frames, max(WARM, round(20 * fps))))
    every = max(1, len(first) // WARM)
    sample = [f for n, f in iter_pictures(path, stop=len(first), threads=threads) if n % every == 0][:WARM]
    if not sample:
        raise ClipError(path, "the frames at its beginning do not decode")
    detector = Detector(np.median(sample, axis=0).astype(np.uint8), fps, config)
    del sample
    return _follow(iter_pictures(path, threads=threads), detector)


def follow(frames: Iterable[Frame], detector: Detector) -> Proposals:
    """Run a detector over frames and link what it finds."""
    return _follow(enumerate(frames), detector)


def _follow(frames: Iterable[tuple[int, Frame]], detector: Detector) -> Proposals:
    tracker = Tracker(detector.fps, detector.config.tracker)
    ended: list[Track] = []
    count = 0
    for number, frame in frames:
        ended += tracker.update(number, detector(frame))
        count += 1
    ended += tracker.finish()
    enough = detector.config.far * detector.shape[1]
    moving = [track for track in ended if travelled(track, enough) >= detector.config.travel]
    moving = [t for t in (_inside(track, detector.shape) for track in moving) if t.boxes]
    moving.sort(key=lambda track: (min(track.boxes), int(track.id)))
    tracks = tuple(replace(track, id=str(number)) for number, track in enumerate(moving, 1))
    return Proposals(tracks, count, detector.flooded, detector.shaken / max(count, 1))


class Detector:
    """Boxes of what moves, frame by frame: call it with the frames (H, W, 3) of one camera in their order.

    background: (H, W, 3) uint8, the scene without anybody as far as known.
    """

    def __init__(self, background: Frame, fps: float, config: ProposalConfig | None = None):
        import cv2

        self.config, self.fps, self.shape = config or ProposalConfig(), fps, background.shape[:2]
        self.scale = min(1.0, self.config.width / background.shape[1])
        history = max(2, round(self.config.memory * fps))
        self.rate = 1 / history
        make: Any = cv2.createBackgroundSubtractorMOG2
        threshold = self.config.threshold
        if self.config.method == "knn":
            make, threshold = cv2.createBackgroundSubtractorKNN, 25 * threshold
        self.subtractor = make(history, threshold, self.config.shadows)
        self.flooded, self.shaken, self.recover = 0, 0.0, 0
        small = self._small(background)
        for _ in range(5):
            self.subtractor.apply(self._smooth(small), learningRate=0.5)
        self.reference: MatLike = self._thumb(small)
        self.window: MatLike = cv2.createHanningWindow(self.reference.shape[::-1], cv2.CV_32F)

    def __call__(self, frame: Frame) -> list[Box]:
        import cv2

        small = self._small(frame)
        moved = self._shift(small) if self.config.shake else (0.0, 0.0)
        if moved != (0.0, 0.0):
            matrix: MatLike = np.array([[1, 0, -moved[0]], [0, 1, -moved[1]]], np.float32)
            size = small.shape[1], small.shape[0]
            small = cv2.warpAffine(small, matrix, size, borderMode=cv2.BORDER_REPLICATE)
        mask = self.subtractor.apply(self._smooth(small), learningRate=0.1 if self.recover else self.rate)
        self.recover = max(0, self.recover - 1)
        moving = _without_shadows(mask)
        if moving.mean() > self.config.flood:
            self.flooded, self.recover = self.flooded + 1, max(5, round(self.fps / 3))
            return []
        return self._boxes(moving, moved)

    def _small(self, frame: Frame) -> MatLike:
        import cv2

        if self.scale == 1:
            return frame
        return cv2.resize(frame, None, fx=self.scale, fy=self.scale, interpolation=cv2.INTER_AREA)

    def _smooth(self, small: MatLike) -> MatLike:
        import cv2

        return cv2.GaussianBlur(small, (5, 5), 1.0)

    def _thumb(self, small: MatLike) -> MatLike:
        import cv2

        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        factor = min(1.0, SHAKE_SIDE / grey.shape[1])
        return cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA).astype(np.float32)

    def _shift(self, small: MatLike) -> tuple[float, float]:
        """How far the camera has moved since the first background, in pixels of the searched frame."""
        import cv2

        thumb = self._thumb(small)
        (dx, dy), sure = cv2.phaseCorrelate(self.reference.copy(), thumb.copy(), self.window)  # it writes into both
        factor = small.shape[1] / thumb.shape[1]
        length = float(np.hypot(dx, dy)) * factor
        if sure < 0.15 or not 0.5 <= length <= 0.1 * small.shape[1]:
            return 0.0, 0.0
        matrix: MatLike = np.array([[1, 0, -dx], [0, 1, -dy]], np.float32)
        back = cv2.warpAffine(thumb, matrix, thumb.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
        if np.abs(back - self.reference).mean() > 0.9 * np.abs(thumb - self.reference).mean():
            return 0.0, 0.0  # a displacement that explains nothing
        self.shaken += length / self.scale
        return float(dx) * factor, float(dy) * factor

    def _boxes(self, moving: NDArray[np.uint8], moved: tuple[float, float]) -> list[Box]:
        import cv2

        config, scale = self.config, self.scale
        moving = cv2.morphologyEx(moving, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))  # type: ignore[assignment]
        tall = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 9))
        moving = cv2.morphologyEx(moving, cv2.MORPH_CLOSE, tall)  # type: ignore[assignment]
        count, _, stats, _ = cv2.connectedComponentsWithStats(moving, connectivity=8)
        components = stats[1:count].astype(np.float64)
        area, sides = components[:, 4] / scale**2, components[:, 2:4] / scale
        large = (area >= config.min_area) & (sides.max(1) >= config.min_side)
        small_enough = components[:, 2] * components[:, 3] <= config.max_share * moving.size
        boxes = _stacked(
            np.concatenate([components[:, :2], components[:, :2] + components[:, 2:4]], 1)[large & small_enough]
        )
        boxes = (boxes + np.array([*moved, *moved])) / scale
        margin = config.margin * (boxes[:, 2:] - boxes[:, :2])
        return [tuple(row) for row in np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], 1).tolist()]


def _without_shadows(mask: MatLike) -> NDArray[np.uint8]:
    """What moves, 0 or 1. A shadow lies; where one with what casts it stands upright, it is somebody's grey coat."""
    import cv2

    sure = (mask > SHADOW).astype(np.uint8)
    if not (mask == SHADOW).any():
        return sure
    count, parts, stats, _ = cv2.connectedComponentsWithStats((mask > 0).astype(np.uint8), connectivity=8)
    seeds = np.bincount(parts[sure > 0], minlength=count)
    width, height, area = stats[:, 2], stats[:, 3], stats[:, 4]
    upright = (height >= 1.6 * width) & (seeds >= 0.05 * area)
    upright[0] = False
    whole: NDArray[np.uint8] = sure | upright[parts].astype(np.uint8)
    return whole


def _stacked(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pieces that stand above each other, as head, trunk and legs do, joined; what is wide stays apart."""
    boxes = boxes[np.argsort(boxes[:, 1], kind="stable")]
    joined: list[NDArray[np.float64]] = []
    for box in boxes:
        for place, other in enumerate(joined):
            common = min(box[2], other[2]) - max(box[0], other[0])
            narrow, wide = sorted((box[2] - box[0], other[2] - other[0]))
            whole = np.array([*np.minimum(box[:2], other[:2]), *np.maximum(box[2:], other[2:])])
            width, height = whole[2:] - whole[:2]
            alike, near = narrow > 0.4 * wide, box[1] - other[3] < 0.25 * height
            if common > 0.5 * narrow and alike and near and 1.3 * width <= height <= 3.2 * width:
                joined[place] = whole
                break
        else:
            joined.append(box)
    return np.array(joined).reshape(-1, 4)


def travelled(track: Track, longest: float = np.inf) -> float:
    """How far a track gets from where it began, in its mean side or in `longest` pixels, whichever is less."""
    boxes = np.array(list(track.boxes.values()))
    centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    return float(np.linalg.norm(centres - centres[0], axis=1).max() / min(longest, np.sqrt(sides.prod(1)).mean()))


def _inside(track: Track, shape: tuple[int, ...]) -> Track:
    """The track as far as it lies in the frame."""
    height, width = shape
    boxes = {
        frame: (max(0.0, x0), max(0.0, y0), min(float(width), x1), min(float(height), y1))
        for frame, (x0, y0, x1, y1) in track.boxes.items()
    }
    return replace(track, boxes={n: box for n, box in boxes.items() if box[2] - box[0] >= 2 and box[3] - box[1] >= 2})
