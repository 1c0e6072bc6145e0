"""Boxes that a user has already: tracks out of CSV, MOT text, KPF geometry or VIRAT Release 2 objects files."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from tinylib.annotations import kpf, virat
from tinylib.annotations.oddities import Oddities
from tinylib.annotations.tracks import Box, Track
from tinylib.errors import AnnotationError

COLUMNS = ("frame", "id", "x0", "y0", "x1", "y1")


def read_boxes(path: str | Path, notes: list[str] | None = None) -> dict[str, Track]:
    """Tracks by id, holes of at most 150 frames filled linearly; name and first line tell the format.

    `*.geom.yml`: KPF. `*.viratdata.objects.txt`: VIRAT Release 2. A first line that names columns: CSV with `frame,id,
    x0,y0,x1,y1` in any order (frames from 0, corners in pixels, right and bottom exclusive) and, if it likes, `kind`.
    Otherwise MOT challenge text: frame (from 1), id, left, top, width, height, and where the seventh is 0, to be
    ignored. Fields are set apart by commas, semicolons, tabs or blanks. A row that cannot be read is left out and named
    in `notes` with file and line; AnnotationError where there is no good one.
    """
    path, notes = Path(path), [] if notes is None else notes
    if path.name.endswith(("geom.yml", "geom.yaml")):
        tracks = kpf.read_tracks(path, notes)
    elif path.name.endswith(".viratdata.objects.txt"):
        tracks = virat.read_tracks(path, notes)
    else:
        tracks = _text(path, notes)
    if not tracks:
        raise AnnotationError(path, None, "there is no box in it")
    return tracks


def within(
    tracks: Mapping[str, Track],
    frames: int,
    width: int,
    height: int,
    source: str | Path,
    notes: list[str] | None = None,
) -> dict[str, Track]:
    """The tracks as far as they lie in a video of so many frames and pixels.

    A box that leaves the picture partly is cut at its edge. Boxes wholly outside of it, and those past the last frame,
    are left out, and counted in `notes`. AnnotationError where nothing is left: boxes of another video?
    """
    outside: list[str] = []
    late: list[str] = []
    inside: dict[str, Track] = {}
    for key, track in tracks.items():
        boxes: dict[int, Box] = {}
        for frame, (x0, y0, x1, y1) in track.boxes.items():
            box = max(0.0, x0), max(0.0, y0), min(float(width), x1), min(float(height), y1)
            if frame >= frames:
                late.append(f"track {key}, frame {frame}")
            elif box[0] >= box[2] or box[1] >= box[3]:
                outside.append(f"track {key}, frame {frame}: box ({x0:g}, {y0:g}, {x1:g}, {y1:g})")
            else:
                boxes[frame] = box
        if boxes:
            inside[key] = replace(track, boxes=boxes)
    reasons = []
    if outside:
        some = _counted(outside, "boxes")
        reasons.append(f"{some} outside the {width}x{height} picture")
    if late:
        reasons.append(f"{_counted(late, 'boxes')} past the end of a video with frames 0 to {frames - 1}")
    if not inside:
        raise AnnotationError(source, None, f"no box lies in the video: {'; '.join(reasons)}: boxes of another video?")
    if notes is not None:
        notes += [f"{Path(source).name}: {reason}: left out" for reason in reasons]
    return inside


def _counted(places: list[str], of: str) -> str:
    return f"{len(places)} {of} ({places[0]}{', ...' if len(places) > 1 else ''})"


def _text(path: Path, notes: list[str]) -> dict[str, Track]:
    boxes: dict[str, dict[int, Box]] = {}
    kinds: dict[str, str] = {}
    odd = Oddities(path)
    for line, frame, key, kind, box in _rows(path, odd, notes):
        with odd.row():
            if not 0 <= frame <= kpf.LAST_FRAME:
                raise AnnotationError(path, line, f"expected a frame number from 0 to {kpf.LAST_FRAME}, got {frame}")
            if not (box[0] < box[2] and box[1] < box[3] and max(map(abs, box)) < 1e5):  # NaN fails too
                raise AnnotationError(path, line, f"expected a box with x0 < x1 and y0 < y1, got {box}")
            if boxes.setdefault(key, {}).setdefault(frame, box) != box:
                raise AnnotationError(path, line, f"track {key} has two different boxes on frame {frame}")
            kinds.setdefault(key, kind)
    notes += odd.notes()
    return {key: Track(key, kinds[key], kpf.filled(track)) for key, track in boxes.items()}


def _fields(text: str) -> list[str]:
    """The fields of a line: by commas, or semicolons, or tabs, or blanks, whichever it has."""
    mark = next((mark for mark in ",;\t" if mark in text), None)
    return text.split() if mark is None else [field.strip() for field in next(csv.reader([text], delimiter=mark))]


def _rows(path: Path, odd: Oddities, notes: list[str]) -> Iterator[tuple[int, int, str, str, Box]]:
    """Line number, frame from 0, id, kind and box of every line; MOT's rows to be ignored are counted in `notes`."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise AnnotationError(path, None, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise AnnotationError(path, None, "expected text: CSV, MOT, KPF geometry or VIRAT objects") from None
    numbered = [(n, _fields(text)) for n, text in enumerate(lines, 1) if text.strip()]
    if not numbered:
        return
    head = [name.lower().lstrip("#").strip() for name in numbered[0][1]]
    named = any(name.isalpha() for name in head)
    mot = not named or ("x0" not in head and {"frame", "id"} <= set(head) and len(head) >= 6)
    lost = [name for name in COLUMNS if name not in head]
    if not mot and lost:
        raise AnnotationError(path, numbered[0][0], f"expected columns {','.join(COLUMNS)}, without {', '.join(lost)}")
    place = {name: i for i, name in enumerate(COLUMNS if mot else head)}
    ignored = 0
    for line, fields in numbered[named:]:
        with odd.row(counts=False):
            least = 6 if mot else len(head)
            if len(fields) < least:
                raise AnnotationError(path, line, f"expected {'6 or more' if mot else least} fields, got {len(fields)}")
            frame, key, *numbers = (fields[place[name]] for name in COLUMNS)
            kind = fields[place["kind"]] if "kind" in place else ""
            try:
                a, b, c, d = map(float, numbers)
                first = float(frame)
                flag = float(fields[6]) if mot and len(fields) > 6 else 1.0
            except ValueError:
                raise AnnotationError(path, line, f"expected numbers, got {','.join(fields)[:60]!r}") from None
            if not math.isfinite(first) or first != int(first):
                raise AnnotationError(path, line, f"expected a whole frame number, got {frame!r}")
            if flag == 0:
                ignored += 1
                odd.good += 1
                continue
            yield line, int(first) - mot, key, kind, (a, b, a + c, b + d) if mot else (a, b, c, d)
    if ignored:
        notes.append(f"{path.name}: {ignored} rows are marked to be ignored (seventh field 0): left out")
