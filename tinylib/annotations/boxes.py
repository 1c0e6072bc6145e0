"""Boxes that a user has already: tracks out of CSV, MOT text, KPF geometry or VIRAT Release 2 objects files."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from tinylib.annotations import kpf, virat
from tinylib.annotations.tracks import Box, Track
from tinylib.errors import AnnotationError

COLUMNS = ("frame", "id", "x0", "y0", "x1", "y1")


def read_boxes(path: str | Path) -> dict[str, Track]:
    """Tracks by id, holes of at most 150 frames filled linearly; name and first line tell the format.

    `*.geom.yml`: KPF. `*.viratdata.objects.txt`: VIRAT Release 2. A first line that names columns: CSV with `frame,id,
    x0,y0,x1,y1` in any order (frames from 0, corners in pixels, right and bottom exclusive) and, if it likes, `kind`.
    Otherwise MOT challenge text: frame (from 1), id, left, top, width, height, ... AnnotationError with file and line.
    """
    path = Path(path)
    if path.name.endswith(("geom.yml", "geom.yaml")):
        tracks = kpf.read_tracks(path)
    elif path.name.endswith(".viratdata.objects.txt"):
        tracks = virat.read_tracks(path)
    else:
        tracks = _text(path)
    if not tracks:
        raise AnnotationError(path, None, "there is no box in it")
    return tracks


def within(tracks: Mapping[str, Track], frames: int, width: int, height: int, source: str | Path) -> dict[str, Track]:
    """The tracks as far as they lie in a video; AnnotationError names the first box that is wholly outside of it.

    A box that leaves the picture partly is cut at its edge.
    """
    kept: dict[str, Track] = {}
    late = sum(max(track.boxes) >= frames for track in tracks.values())
    if late:
        last = max(max(track.boxes) for track in tracks.values())
        raise AnnotationError(
            source, None, f"boxes up to frame {last} of a video with frames 0 to {frames - 1}: boxes of another video?"
        )
    for key, track in tracks.items():
        boxes: dict[int, Box] = {}
        for frame, (x0, y0, x1, y1) in track.boxes.items():
            box = max(0.0, x0), max(0.0, y0), min(float(width), x1), min(float(height), y1)
            if box[0] >= box[2] or box[1] >= box[3]:
                where = f"({x0:g}, {y0:g}, {x1:g}, {y1:g})"
                raise AnnotationError(
                    source, None, f"track {key}, frame {frame}: box {where} is outside the {width}x{height} picture"
                )
            boxes[frame] = box
        kept[key] = replace(track, boxes=boxes)
    return kept


def _text(path: Path) -> dict[str, Track]:
    boxes: dict[str, dict[int, Box]] = {}
    kinds: dict[str, str] = {}
    for line, frame, key, kind, box in _rows(path):
        if not 0 <= frame <= kpf.LAST_FRAME:
            raise AnnotationError(path, line, f"expected a frame number from 0 to {kpf.LAST_FRAME}, got {frame}")
        if not (box[0] < box[2] and box[1] < box[3] and max(map(abs, box)) < 1e5):  # NaN fails too
            raise AnnotationError(path, line, f"expected a box with x0 < x1 and y0 < y1, got {box}")
        kinds.setdefault(key, kind)
        if boxes.setdefault(key, {}).setdefault(frame, box) != box:
            raise AnnotationError(path, line, f"track {key} has two different boxes on frame {frame}")
    return {key: Track(key, kinds[key], kpf.filled(own)) for key, own in boxes.items()}


def _rows(path: Path) -> Iterator[tuple[int, int, str, str, Box]]:
    """Line number, frame from 0, id, kind and box of every line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise AnnotationError(path, None, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise AnnotationError(path, None, "expected text: CSV, MOT, KPF geometry or VIRAT objects") from None
    numbered = [(n, [f.strip() for f in next(csv.reader([text]))]) for n, text in enumerate(lines, 1) if text.strip()]
    if not numbered:
        return
    head = [name.lower() for name in numbered[0][1]]
    named = any(name.isalpha() for name in head)
    if named and (lost := [name for name in COLUMNS if name not in head]):
        raise AnnotationError(path, numbered[0][0], f"expected columns {','.join(COLUMNS)}, without {', '.join(lost)}")
    place = {name: i for i, name in enumerate(head)} if named else {name: i for i, name in enumerate(COLUMNS)}
    for line, fields in numbered[named:]:
        if len(fields) < len(head) if named else len(fields) < 6:
            raise AnnotationError(
                path, line, f"expected {len(head) if named else '6 or more'} fields, got {len(fields)}"
            )
        frame, key, *numbers = (fields[place[name]] for name in COLUMNS)
        kind = fields[place["kind"]] if "kind" in place and named else ""
        try:
            a, b, c, d = map(float, numbers)
            first = float(frame)
        except ValueError:
            raise AnnotationError(path, line, f"expected numbers, got {','.join(fields)[:60]!r}") from None
        if not math.isfinite(first) or first != int(first):
            raise AnnotationError(path, line, f"expected a whole frame number, got {frame!r}")
        box = (a, b, c, d) if named else (a, b, a + c, b + d)
        yield line, int(first) - (not named), key, kind, box
