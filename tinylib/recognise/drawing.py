"""A video with its timeline drawn into it: boxes, actions, scores; and attention maps laid over clips."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinylib.recognise.timeline import Seen, Timeline
from tinylib.video import iter_pictures, write_video

if TYPE_CHECKING:
    from cv2.typing import MatLike

Frame = NDArray[np.uint8]
Colour = tuple[int, int, int]
Rect = tuple[int, int, int, int]

# Okabe and Ito's colours, bright enough for white or black text on them
COLOURS: tuple[Colour, ...] = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
)
GREY: Colour = (128, 128, 128)
SMALL = 540  # lines: smaller videos are drawn at twice their size, so that words fit beside people


def annotate(video: str | Path, timeline: Timeline, path: str | Path, *, crf: int = 23) -> None:
    """Write the video with boxes and words (H.264, even sides, constant rate), one frame at a time."""
    write_video(
        path, drawn(_every_moment(video, timeline.frames), timeline), timeline.fps or 25.0, crf=crf, preset="veryfast"
    )


def _every_moment(video: str | Path, frames: int) -> Iterator[Frame]:
    """All frames of a video; one that does not decode shows the picture before it."""
    count, last = 0, None
    for number, frame in iter_pictures(video):
        for _ in range(count, number):
            yield frame if last is None else last
        yield frame
        count, last = number + 1, frame
    for _ in range(count, frames if last is not None else 0):
        yield last  # type: ignore[misc]


def drawn(frames: Iterable[Frame], timeline: Timeline, *, start: int = 0) -> Iterator[Frame]:
    """Frames from number `start` on with what the timeline has to say of each."""
    at: dict[str, list[Seen]] = {}
    for clip in timeline.clips:
        at.setdefault(clip.track, []).append(clip)
    foot = "scores calibrated" if timeline.calibrated else "scores not calibrated"
    for number, frame in enumerate(frames, start):
        marks = []
        for place, track in enumerate(timeline.tracks.values()):
            if number in track.boxes:
                now = [clip for clip in at.get(track.id, ()) if clip.first <= number <= clip.last]
                words = label(timeline, now[0]) if now else ""
                marks.append((track.boxes[number], words, COLOURS[place % len(COLOURS)] if words else GREY))
        yield draw(frame, marks, footer=f"{timeline.times[number]:.1f} s   {foot}")


def label(timeline: Timeline, clip: Seen, *, most: int = 2) -> str:
    """The surest classes of a clip and their scores, short: '3 walking 0.71, carrying 0.55'."""
    said = [f"{short_name(timeline.classes[c])} {clip.scores[c]:.2f}" for c in timeline.said(clip)[:most]]
    sure = clip.scores[clip.best] >= timeline.threshold
    return f"{clip.track} {', '.join(said)}{'' if sure else ' ?'}"


def short_name(name: str) -> str:
    return name.removeprefix("activity_").removeprefix("specialized_").replace("_", " ")


def draw(frame: Frame, marks: Sequence[tuple[Sequence[float], str, Colour]], *, footer: str = "") -> Frame:
    """A copy of the frame, even-sided, with (box, words, colour) marks; words keep out of each other's way.

    Frames of fewer than 540 lines come out at twice their size.
    """
    import cv2

    scale = 2 if frame.shape[0] < SMALL else 1
    height, width = (scale * side for side in frame.shape[:2])
    if scale > 1:
        picture: Any = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
    else:
        picture = frame.copy()
    even = (height % 2, width % 2)
    if any(even):
        picture = np.pad(picture, ((0, even[0]), (0, even[1]), (0, 0)), mode="edge")
    line, text = max(2, round(height / 480)), max(11, round(height / 48))  # thinner lines lose their colour when coded
    rects = [_scaled(box, scale, width, height) for box, _, _ in marks]
    for (x0, y0, x1, y1), (_, words, colour) in zip(rects, marks, strict=True):
        cv2.rectangle(picture, (x0, y0), (x1, y1), colour, line if words else 1)
    taken: list[Rect] = []
    for rect, (_, words, colour) in zip(rects, marks, strict=True):
        if words:
            tile = _tile(words, colour, text)
            place = _free(rect, tile.shape[1], tile.shape[0], picture.shape[1], picture.shape[0], taken, rects)
            taken.append(place)
            _paste(picture, tile, place)
    if footer:
        tile = _tile(footer, (34, 34, 34), text)
        x, y = 0, picture.shape[0] - tile.shape[0]
        _paste(picture, tile, (x, y, x + tile.shape[1], y + tile.shape[0]))
    done: Frame = picture
    return done


def overlay(clip: Frame, maps: NDArray[np.floating], *, side: int = 224) -> Iterator[Frame]:
    """A clip (T, H, W, 3), enlarged, and beside it the same under its map (T, h, w) in [0, 1]."""
    import cv2

    factor = max(1, round(side / max(clip.shape[1:3])))
    width, height = (2 * ((length * factor + 1) // 2) for length in (clip.shape[2], clip.shape[1]))
    for frame, values in zip(clip, maps, strict=True):
        large = cv2.resize(frame, (width, height), interpolation=cv2.INTER_NEAREST)
        grey = (np.clip(values, 0, 1) * 255).astype(np.uint8)
        hot = cv2.applyColorMap(cv2.resize(grey, (width, height)), cv2.COLORMAP_INFERNO)[..., ::-1]
        yield np.concatenate([large, cv2.addWeighted(large, 0.5, hot, 0.5, 0)], axis=1).astype(np.uint8)


def _scaled(box: Sequence[float], scale: int, width: int, height: int) -> Rect:
    x0, y0, x1, y1 = (round(side * scale) for side in box)
    return max(0, x0), max(0, y0), min(width - 1, x1), min(height - 1, y1)


@lru_cache(maxsize=512)
def _tile(words: str, colour: Colour, size: int) -> Frame:
    """Words on their colour, white or black, whichever is easier to read."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(words)
    pad = max(2, size // 5)
    bright = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 140
    image = Image.new("RGB", (int(right - left) + 2 * pad, size + 2 * pad), colour)
    at = pad - left, pad + (size - (bottom - top)) / 2 - top
    ImageDraw.Draw(image).text(at, words, fill=(0, 0, 0) if bright else (255, 255, 255), font=font)
    return np.asarray(image)


def _free(box: Rect, w: int, h: int, width: int, height: int, taken: Sequence[Rect], boxes: Sequence[Rect]) -> Rect:
    """Where a label goes: above its box, below, beside, or further up; the first place that covers least."""
    x0, y0, x1, y1 = box
    spots = [(x0, y0 - h), (x1 - w, y0 - h), (x0, y1), (x1 - w, y1), (x1, y0), (x0 - w, y0)]
    spots += [(x0, y0 - (n + 1) * h) for n in range(1, 5)] + [(x0, y1 + n * h) for n in range(1, 5)]
    best, least = (0, 0, w, h), float("inf")
    for x, y in spots:
        x, y = min(max(0, x), max(0, width - w)), min(max(0, y), max(0, height - h))
        rect = x, y, x + w, y + h
        covers = sum(_meet(rect, other) for other in taken) * 4 + sum(_meet(rect, other) for other in boxes)
        if covers < least:
            best, least = rect, covers
    return best


def _meet(a: Rect, b: Rect) -> int:
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def _paste(picture: MatLike, tile: Frame, rect: Rect) -> None:
    part = picture[rect[1] : rect[3], rect[0] : rect[2]]
    part[:] = tile[: part.shape[0], : part.shape[1]]
