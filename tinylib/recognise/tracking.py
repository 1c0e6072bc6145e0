"""Boxes of single frames linked into tracks: a small tracker that holds numbers and no pixels.

A track predicts where it is next (constant velocity), takes the box that fits best (optimal assignment by overlap, by
distance where small boxes miss each other), and is filled up linearly where it was not seen. A box in which several
tracks disappear belongs to none of them: they go on unseen until they come out of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinylib.annotations.tracks import Box, Track
from tinylib.errors import UsageError

SIZE_GAIN, PLACE_GAIN, SPEED_GAIN = 0.2, 0.7, 0.15  # how much a new box moves what is known of a track
FAR = -1.0  # the fit of what must not be linked
GROUP_SHARE = 0.6  # a track is in a box where this share of it is
FRAGMENT = 1.6  # pieces of a track are joined as long as they are no larger than this many of its area
FULL = 0.45  # and fill this much of the whole: people who part are two

Boxes = NDArray[np.float64]  # (N, 4): x0, y0, x1, y1


@dataclass(frozen=True)
class TrackerConfig:
    """Times in seconds, so that they mean the same at every frame rate."""

    patience: float = 1.0  # a track not seen for longer has ended
    hidden: float = 3.0  # the same while it is in a group
    confirm: float = 0.5  # shorter tracks are noise
    seen: float = 0.4  # share of its frames on which a track must have been seen
    reach: float = 0.7  # boxes that do not overlap are linked up to this distance, in their mean side

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value < 1e6:
                raise UsageError(f"{name}: expected a positive number, got {value}")


@dataclass(eq=False)
class _Live:
    """A track that may go on: centre, size and speed as far as known, and where it was seen."""

    first: int
    last: int
    centre: NDArray[np.float64]
    size: NDArray[np.float64]
    speed: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    seen: dict[int, Box] = field(default_factory=dict)
    grouped: bool = False

    def box(self) -> NDArray[np.float64]:
        return np.concatenate([self.centre - self.size / 2, self.centre + self.size / 2])

    def see(self, frame: int, box: NDArray[np.float64]) -> None:
        """Move towards a box; the speed follows from how far the prediction was off."""
        off = (box[:2] + box[2:]) / 2 - self.centre
        self.speed = self.speed + SPEED_GAIN * off / max(1, frame - self.last)
        self.centre = self.centre + PLACE_GAIN * off
        self.size = self.size + SIZE_GAIN * (box[2:] - box[:2] - self.size)
        self.last, self.grouped = frame, False
        x0, y0, x1, y1 = self.box().tolist()
        self.seen[frame] = x0, y0, x1, y1


class Tracker:
    """Feed it the boxes of each frame in turn: `update` yields the tracks that have ended, `finish` the others."""

    def __init__(self, fps: float, config: TrackerConfig | None = None):
        self.fps, self.config = fps, config or TrackerConfig()
        self.live: list[_Live] = []
        self.ended = 0

    def update(self, frame: int, boxes: Sequence[Box]) -> Iterator[Track]:
        """Link the boxes of `frame`; frames come in increasing order."""
        for track in self.live:
            track.centre = track.centre + track.speed
        expected = np.array([track.box() for track in self.live]).reshape(-1, 4)
        sure = np.array([len(track.seen) >= self._frames(self.config.confirm) / 2 for track in self.live], bool)
        joined = _joined(np.asarray(boxes, np.float64).reshape(-1, 4), expected[sure])
        inside = (_share(expected, joined) > GROUP_SHARE) & sure[:, None]  # (tracks, boxes)
        crowd = inside.sum(0) > 1
        for track, hidden in zip(self.live, inside[:, crowd].any(1), strict=True):
            track.grouped = bool(hidden) or (track.grouped and track.last < frame)
        single = np.flatnonzero(~crowd)
        fits = self._fits(expected, joined[single])
        taken = set()
        for row, column in _assigned(fits):
            self.live[row].see(frame, joined[single[column]])
            taken.add(int(single[column]))
        for place in single.tolist():
            if place not in taken:
                self.live.append(_begun(frame, joined[place]))
        waits = [self._frames(self.config.hidden if t.grouped else self.config.patience) for t in self.live]
        over = [t for t, wait in zip(self.live, waits, strict=True) if frame - t.last > wait]
        self.live = [t for t in self.live if t not in over]
        yield from self._tracks(over)

    def finish(self) -> Iterator[Track]:
        over, self.live = self.live, []
        yield from self._tracks(over)

    def _frames(self, seconds: float) -> float:
        return max(2.0, seconds * self.fps)

    def _tracks(self, over: list[_Live]) -> Iterator[Track]:
        for track in over:
            length = track.last - track.first + 1
            if length >= self._frames(self.config.confirm) and len(track.seen) >= self.config.seen * length:
                self.ended += 1
                yield Track(str(self.ended), "", filled(track.seen))

    def _fits(self, expected: Boxes, boxes: Boxes) -> NDArray[np.float64]:
        """How well each box fits each track: overlap (0..1) above 0, nearness below it, FAR where neither."""
        overlap = iou(expected, boxes)
        sides = [np.sqrt(np.prod(b[:, 2:] - b[:, :2], axis=1)) for b in (expected, boxes)]
        centres = [(b[:, :2] + b[:, 2:]) / 2 for b in (expected, boxes)]
        reach = self.config.reach * (sides[0][:, None] + sides[1][None]) / 2
        distance = np.linalg.norm(centres[0][:, None] - centres[1][None], axis=-1) / np.maximum(reach, 1e-9)
        alike = np.abs(np.log(np.maximum(sides[0][:, None], 1e-9) / np.maximum(sides[1][None], 1e-9))) < np.log(2.5)
        near = np.where((distance < 1) & alike, -0.5 * distance, FAR)
        return np.where((overlap > 0.1) & alike, overlap, near)


def _begun(frame: int, box: NDArray[np.float64]) -> _Live:
    track = _Live(frame, frame, (box[:2] + box[2:]) / 2, box[2:] - box[:2])
    track.see(frame, box)
    return track


def _assigned(fits: NDArray[np.float64]) -> list[tuple[int, int]]:
    """The pairs that fit best together, without those that are too far."""
    from scipy.optimize import linear_sum_assignment

    pairs: Any = zip(*linear_sum_assignment(fits, maximize=True), strict=True)
    return [(int(row), int(column)) for row, column in pairs if fits[row, column] > FAR]


def _joined(boxes: Boxes, expected: Boxes) -> Boxes:
    """`found` with the pieces of one track, where they fit into its box together, made one box."""
    if len(boxes) < 2 or not len(expected):
        return boxes
    home = _share(boxes, _grown(expected)) > 0.7  # (boxes, tracks)
    pieces = home & (home.sum(1) == 1)[:, None]
    left, wholes = np.ones(len(boxes), bool), []
    for track, mine in enumerate(pieces.T):
        if mine.sum() > 1:
            whole = np.concatenate([boxes[mine, :2].min(0), boxes[mine, 2:].max(0)])
            area = _areas(whole[None])[0]
            if area <= FRAGMENT * _areas(expected[track][None])[0] and _areas(boxes[mine]).sum() >= FULL * area:
                wholes.append(whole)
                left &= ~mine
    return np.concatenate([boxes[left], np.array(wholes).reshape(-1, 4)])


def _grown(boxes: Boxes, by: float = 0.15) -> Boxes:
    margin = by * (boxes[:, 2:] - boxes[:, :2])
    return np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1)


def _areas(boxes: Boxes) -> NDArray[np.float64]:
    areas: NDArray[np.float64] = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
    return areas


def _common(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    common: NDArray[np.float64] = np.prod(np.maximum(high - low, 0), axis=-1)
    return common


def iou(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """Intersection over union of every box of `a` with every box of `b`: (len(a), len(b))."""
    common = _common(a, b)
    return common / np.maximum(_areas(a)[:, None] + _areas(b)[None] - common, 1e-9)


def _share(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """The share of every box of `a` that lies in every box of `b`."""
    return _common(a, b) / np.maximum(_areas(a)[:, None], 1e-9)


def filled(seen: dict[int, Box]) -> dict[int, Box]:
    """Boxes of every frame from the first to the last, linear where there was none."""
    frames = sorted(seen)
    boxes = {frames[0]: seen[frames[0]]} if frames else {}
    for a, b in pairwise(frames):
        for frame in range(a + 1, b + 1):
            w = (frame - a) / (b - a)
            x0, y0, x1, y1 = ((1 - w) * p + w * q for p, q in zip(seen[a], seen[b], strict=True))
            boxes[frame] = (x0, y0, x1, y1)
    return boxes


def agreement(tracks: Iterable[Track], truth: Iterable[Track], *, least: float = 0.3) -> dict[str, float]:
    """How far tracks agree with annotated ones, box by box on every annotated frame.

    recall and precision: of boxes that pair up one to one with an IoU of `least`; covered: share of the annotated boxes
    whose middle lies in some found box; whole: share of annotated tracks that are found on half of their frames.
    """
    at: dict[int, list[Box]] = {}
    for track in tracks:
        for frame, box in track.boxes.items():
            at.setdefault(frame, []).append(box)
    annotated: dict[int, list[tuple[str, Box]]] = {}
    for track in truth:
        for frame, box in track.boxes.items():
            annotated.setdefault(frame, []).append((track.id, box))
    paired, shown, covered, there = 0, 0, 0, 0
    hits: dict[str, list[bool]] = {}
    for frame, boxes in annotated.items():
        real = np.array([box for _, box in boxes]).reshape(-1, 4)
        ours = np.array(at.get(frame, [])).reshape(-1, 4)
        overlap = iou(real, ours)
        pairs = {row for row, _ in _assigned(np.where(overlap >= least, overlap, FAR))}
        middle = (real[:, None, :2] + real[:, None, 2:]) / 2
        inside = ((middle >= ours[None, :, :2]) & (middle <= ours[None, :, 2:])).all(-1).any(-1)
        paired, shown, covered, there = (
            paired + len(pairs),
            shown + len(ours),
            covered + inside.sum(),
            there + len(boxes),
        )
        for row, (key, _) in enumerate(boxes):
            hits.setdefault(key, []).append(row in pairs)
    whole = [2 * sum(hit) >= len(hit) for hit in hits.values()]
    values = {"recall": (paired, there), "precision": (paired, shown), "covered": (covered, there)}
    values["whole"] = sum(whole), len(whole)
    return {name: float(part / all_) if all_ else float("nan") for name, (part, all_) in values.items()}
