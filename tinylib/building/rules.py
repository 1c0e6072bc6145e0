"""Activities to tiny clips: which frames, which square, which labels. Pure rules; `build.py` cuts the video."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from tinylib.annotations.labels import in_class_order, meva_clip_name, tiny_labels
from tinylib.annotations.tracks import Activity, Box, VideoAnnotation
from tinylib.errors import UsageError


@dataclass(frozen=True)
class ViratRule:
    """TinyVIRAT v1 (section III): merge what overlaps, split where labels change, chunk, crop a square.

    The paper is silent on the numbers. Lengths uniform on 40..150, even square sides of 8..128 and at least 10 clips a
    class are what the released index shows; merging by anchor and not transitively is what its MEVA part shows.
    """

    merge: str = "anchor"  # 'anchor': a stream of clips an activity; 'component': one a set of touching activities
    split_on_change: bool = True
    min_frames: int = 40
    max_frames: int = 150
    min_side: int = 8
    max_side: int = 128
    min_clips: int = 10  # classes with fewer training clips in the whole build are removed

    def __post_init__(self) -> None:
        if self.merge not in ("anchor", "component"):
            raise UsageError(f"merge: expected 'anchor' or 'component', got {self.merge!r}")
        if not 2 <= self.min_frames <= self.max_frames:
            raise UsageError("min_frames, max_frames: expected 2 <= min_frames <= max_frames")


@dataclass(frozen=True)
class MevaRule:
    """The MEVA part of TinyVIRAT-v2, recovered from its index: 64-frame windows, squares of 56, 112 or up to 128 px.

    Departs from the released clips in one thing: odd sides above 112 are made even, as H.264 4:2:0 wants them.
    """

    frames: int = 64
    min_frames: int = 2
    sides: tuple[int, ...] = (56, 112)  # the box's longer side goes up to the next of these, or stays if beyond
    max_side: int = 128
    min_clips: int = 0


Rule = ViratRule | MevaRule


@dataclass(frozen=True, slots=True)
class Window:
    """One tiny clip to cut: frames `start` to `end`, both included, of a fixed square that may leave the frame."""

    video_id: str
    anchor: str  # id of the activity that it follows
    start: int
    end: int
    box: tuple[int, int, int, int]  # x0, y0, x1, y1
    labels: tuple[str, ...]  # in class order
    clip_id: str | None = None  # '<activity id>_<Old_Name>_<first>_<last>' (MEVA rule)

    @property
    def frames(self) -> int:
        return self.end - self.start + 1

    @property
    def side(self) -> int:
        return self.box[2] - self.box[0]


def windows(annotation: VideoAnnotation, rule: Rule, *, seed: int = 0) -> list[Window]:
    """The clips of one video, in the order of its activities and then of time; `seed` draws the chunk lengths."""
    tubes = _tubes(annotation)
    cut = _meva(annotation, tubes, rule) if isinstance(rule, MevaRule) else _virat(annotation, tubes, rule, seed)
    return list(cut)


def rare_classes(classes: Iterable[str], counted: Iterable[Window], min_clips: int) -> dict[str, int]:
    """Those of `classes` that fewer than `min_clips` of the counted windows have, and how many."""
    counts = Counter(name for window in counted for name in window.labels)
    return {name: counts[name] for name in sorted(classes) if counts[name] < min_clips}


class _Tube:
    """The union of an activity's actors on every frame of its span; `inf` where nobody is annotated."""

    def __init__(self, first: int, low: NDArray[np.float64], high: NDArray[np.float64]):
        self.first, self.low, self.high = first, low, high

    def part(self, start: int, end: int) -> slice:
        return slice(max(start - self.first, 0), max(end - self.first + 1, 0))

    def union(self, start: int, end: int) -> Box | None:
        """The box around everything on frames `start` to `end`."""
        part = self.part(start, end)
        if not len(self.low[part]):
            return None
        (x0, y0), (x1, y1) = self.low[part].min(axis=0), self.high[part].max(axis=0)
        return (float(x0), float(y0), float(x1), float(y1)) if x0 < x1 else None

    def touches(self, other: _Tube, start: int, end: int) -> bool:
        """Whether the two overlap on some frame from `start` to `end`."""
        start, end = max(start, self.first, other.first), min(end, self.last, other.last)
        if start > end:
            return False
        a, b = self.part(start, end), other.part(start, end)
        apart = (self.low[a] >= other.high[b]) | (other.low[b] >= self.high[a])
        return bool((~apart.any(axis=1)).any())

    @property
    def last(self) -> int:
        return self.first + len(self.low) - 1


def _tubes(annotation: VideoAnnotation) -> list[_Tube | None]:
    tracks = {}
    for key, track in annotation.tracks.items():
        order = np.array(sorted(track.boxes), dtype=np.int64)
        tracks[key] = order, np.array([track.boxes[f] for f in order.tolist()], dtype=np.float64).reshape(-1, 4)
    tubes: list[_Tube | None] = []
    for activity in annotation.activities:
        parts = []
        for actor in activity.actors:
            frames, boxes = tracks[actor]
            inside = slice(*np.searchsorted(frames, [activity.start, activity.end + 1]))
            if len(frames[inside]):
                parts.append((frames[inside], boxes[inside]))
        if not parts:
            tubes.append(None)
            continue
        first, last = min(int(f[0]) for f, _ in parts), max(int(f[-1]) for f, _ in parts)
        low, high = np.full((last - first + 1, 2), np.inf), np.full((last - first + 1, 2), -np.inf)
        for frames, boxes in parts:
            low[frames - first] = np.minimum(low[frames - first], boxes[:, :2])
            high[frames - first] = np.maximum(high[frames - first], boxes[:, 2:])
        tubes.append(_Tube(first, low, high))
    return tubes


def square(box: Box, side: int) -> tuple[int, int, int, int]:
    """The square of that side about the middle of a box; it may leave the frame."""
    x = math.floor((box[0] + box[2] - side + 1) / 2)
    y = math.floor((box[1] + box[3] - side + 1) / 2)
    return x, y, x + side, y + side


def even(length: float) -> int:
    """The next even number: H.264 wants even sides."""
    return 2 * math.ceil(length / 2)


def _meva(annotation: VideoAnnotation, tubes: Sequence[_Tube | None], rule: MevaRule) -> Iterator[Window]:
    labelled = [
        (activity, tube, labels)
        for activity, tube in zip(annotation.activities, tubes, strict=True)
        if tube and (labels := tiny_labels(activity.name, "meva"))
    ]
    for anchor, tube in zip(annotation.activities, tubes, strict=True):
        if tube is None:
            continue
        grid = range(anchor.start, anchor.end + 1, rule.frames)
        for start in grid[max(0, (tube.first - anchor.start) // rule.frames) :]:
            end = min(start + rule.frames - 1, anchor.end)
            if start > tube.last or end - start + 1 < rule.min_frames:
                break
            box = tube.union(start, end)
            longer = max(box[2] - box[0], box[3] - box[1]) if box else math.inf
            if box is None or longer > rule.max_side:
                continue
            side = next((s for s in rule.sides if longer < s or s == rule.sides[-1] == longer), longer)
            cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
            crop = cx - side / 2, cy - side / 2, cx + side / 2, cy + side / 2
            names: set[str] = set()
            for activity, other, labels in labelled:
                first, last = max(start, activity.start), min(end, activity.end)
                if first <= last and (common := other.union(first, last)) and _meet(common, crop):
                    names.update(labels)
            if names:
                clip_id = f"{anchor.id}_{meva_clip_name(anchor.name)}_{start}_{end}"
                cut = square(box, even(side))
                yield Window(annotation.video_id, anchor.id, start, end, cut, in_class_order(names), clip_id)


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


@dataclass(frozen=True)
class _Stream:
    """What one row of v1 clips follows: `cropped` activities give the square, `members` the labels."""

    anchor: Activity
    cropped: list[tuple[Activity, _Tube]]
    members: list[tuple[Activity, _Tube]]


def _streams(known: list[tuple[Activity, _Tube]], merge: str) -> Iterator[_Stream]:
    touching = [[a is b or s.touches(t, a.start, a.end) for b, t in known] for a, s in known]
    if merge == "anchor":
        for i, pair in enumerate(known):
            yield _Stream(pair[0], [pair], [other for other, touch in zip(known, touching[i], strict=True) if touch])
        return
    left = set(range(len(known)))
    while left:
        component, front = set(), [min(left)]
        while front:
            i = front.pop()
            component.add(i)
            front += [j for j in left - component if touching[i][j]]
        left -= component
        pairs = [known[i] for i in sorted(component)]
        yield _Stream(min((a for a, _ in pairs), key=lambda a: a.start), pairs, pairs)


def _virat(annotation: VideoAnnotation, tubes: Sequence[_Tube | None], rule: ViratRule, seed: int) -> Iterator[Window]:
    known = [(a, t) for a, t in zip(annotation.activities, tubes, strict=True) if t]
    video = annotation.video_id
    for stream in _streams(known, rule.merge):
        rng = np.random.default_rng((seed, crc32(video.encode()), crc32(stream.anchor.id.encode())))
        first, last = min(t.first for _, t in stream.cropped), max(t.last for _, t in stream.cropped)
        cuts = {first, last + 1}
        if rule.split_on_change:
            ends = (edge for a, _ in stream.members for edge in (a.start, a.end + 1) if tiny_labels(a.name, "virat"))
            cuts.update(edge for edge in ends if first < edge <= last)
        marks = sorted(cuts)
        for piece in pairwise(marks):
            for start, end in _chunks(*piece, rule, rng):
                boxes = [box for _, tube in stream.cropped if (box := tube.union(start, end))]
                if not boxes:
                    continue
                low, high = np.min(boxes, axis=0), np.max(boxes, axis=0)
                box = (float(low[0]), float(low[1]), float(high[2]), float(high[3]))
                side = max(rule.min_side, even(max(box[2] - box[0], box[3] - box[1])))
                if side > rule.max_side:
                    continue
                names: set[str] = set()
                for activity, tube in stream.members:
                    if any(tube is other or tube.touches(other, start, end) for _, other in stream.cropped):
                        names.update(tiny_labels(activity.name, "virat") if _during(activity, start, end) else ())
                if names:
                    yield Window(video, stream.anchor.id, start, end, square(box, side), in_class_order(names))


def _during(activity: Activity, start: int, end: int) -> bool:
    return activity.start <= end and start <= activity.end


def _chunks(start: int, stop: int, rule: ViratRule, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Consecutive pieces of 40 to 150 frames, uniformly; a last shorter one stays if it has 40 frames."""
    while stop - start >= rule.min_frames:
        length = min(int(rng.integers(rule.min_frames, rule.max_frames + 1)), stop - start)
        yield start, start + length - 1
        start += length
