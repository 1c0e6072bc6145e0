"""Reader of VIRAT Ground Release 2 annotations: the events, mapping and objects text files of one video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tinylib.annotations.kpf import LAST_FRAME
from tinylib.annotations.labels import VIRAT_EVENT_NAMES
from tinylib.annotations.oddities import Oddities
from tinylib.annotations.tracks import Activity, Box, Track, VideoAnnotation
from tinylib.errors import AnnotationError

OBJECT_KINDS = {1: "person", 2: "car", 3: "vehicle", 4: "object", 5: "bike"}


def read_virat(events: str | Path) -> VideoAnnotation:
    """Read `X.viratdata.events.txt` with the mapping and objects files beside it.

    An event's actors are the objects that the mapping gives it; where it gives none, or none with a box during the
    event, the event's own box stands in (track `event:<id>`). An odd row is left out and named in `notes` with file
    and line; AnnotationError where a file has no good row.
    """
    events = Path(events)
    video_id = events.name.removesuffix(".viratdata.events.txt")
    if video_id == events.name:
        raise AnnotationError(events, None, "expected a file named '<video>.viratdata.events.txt'")
    mapping, objects = (events.with_name(f"{video_id}.viratdata.{part}.txt") for part in ("mapping", "objects"))
    notes: list[str] = []
    tracks = _objects(objects, notes)
    spans, event_boxes = _events(events, notes)
    actors = _mapping(mapping, spans, tracks, notes)

    activities = []
    for event, (kind, start, end) in spans.items():
        if event not in actors:
            notes.append(f"{mapping.name}: event {event} has no line; its own box stands in for its objects")
        seen = tuple(k for k in actors.get(event, ()) if any(start <= frame <= end for frame in tracks[k].boxes))
        if not seen:
            key = f"event:{event}"
            tracks[key] = Track(key, "event", event_boxes[event])
            seen = (key,)
        activities.append(Activity(str(event), VIRAT_EVENT_NAMES[kind], start, end, seen))
    return VideoAnnotation(video_id, "virat", tuple(activities), tracks, (events, mapping, objects), tuple(notes))


def read_tracks(objects: str | Path, notes: list[str] | None = None) -> dict[str, Track]:
    """The tracks of an objects file (`X.viratdata.objects.txt`) alone; what was odd is added to `notes`."""
    return _objects(Path(objects), [] if notes is None else notes)


def _rows(path: Path, columns: int, odd: Oddities, *, more: bool = False) -> Iterator[tuple[int, list[int]]]:
    """Line numbers and integers of a text file with `columns` numbers a line (or at least so many)."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = (text if text.isascii() else text.encode("ascii").decode()).splitlines()
    except OSError as error:
        raise AnnotationError(path, None, f"cannot be read: {error.strerror}") from None
    except UnicodeError:
        raise AnnotationError(path, None, "expected plain text with numbers") from None
    for number, row in enumerate(lines, 1):
        fields = row.split()
        if not fields:
            continue
        with odd.row(counts=False):
            if len(fields) < columns or (len(fields) > columns and not more):
                raise AnnotationError(path, number, f"expected {columns}{' or more' * more} numbers, got {len(fields)}")
            try:
                numbers = [int(field) for field in fields]
            except ValueError:
                raise AnnotationError(path, number, f"expected whole numbers, got {row.strip()[:60]!r}") from None
            yield number, numbers


def _box(odd: Oddities, line: int, x: int, y: int, width: int, height: int) -> Box:
    path = odd.path
    if width <= 0 or height <= 0 or max(abs(x), abs(y), width, height) >= 100_000:
        raise AnnotationError(path, line, f"expected width, height > 0, got {x} {y} {width} {height}")
    if x + width <= 0 or y + height <= 0:
        raise AnnotationError(path, line, f"box {x} {y} {width} {height} is outside the picture")
    if x < 0 or y < 0:
        odd.mend(line, f"box {x} {y} {width} {height} is cut at the picture's edge")
    return float(max(x, 0)), float(max(y, 0)), float(x + width), float(y + height)


def _put(path: Path, line: int, boxes: dict[int, Box], frame: int, box: Box) -> None:
    if not 0 <= frame <= LAST_FRAME:
        raise AnnotationError(path, line, f"expected a frame number from 0 to {LAST_FRAME}, got {frame}")
    if boxes.setdefault(frame, box) != box:
        raise AnnotationError(path, line, f"frame {frame} has two different boxes")


def _objects(path: Path, notes: list[str]) -> dict[str, Track]:
    tracks: dict[str, Track] = {}
    declared: dict[str, int] = {}
    odd = Oddities(path)
    for line, (key, duration, frame, x, y, width, height, kind) in _rows(path, 8, odd):
        with odd.row():
            box = _box(odd, line, x, y, width, height)
            if kind not in OBJECT_KINDS and str(key) not in tracks:
                odd.mend(line, f"object {key} has type {kind}, not 1 to 5: its kind is unknown")
            track = tracks.setdefault(str(key), Track(str(key), OBJECT_KINDS.get(kind, ""), {}))
            declared[str(key)] = duration
            _put(path, line, track.boxes, frame, box)
    tracks = {key: track for key, track in tracks.items() if track.boxes}
    for name, track in tracks.items():
        if len(track.boxes) != declared[name]:
            notes.append(f"{path.name}: object {name} lasts {len(track.boxes)} frames, {declared[name]} declared")
    notes += odd.notes()
    return tracks


def _events(path: Path, notes: list[str]) -> tuple[dict[int, tuple[int, int, int]], dict[int, dict[int, Box]]]:
    """Type, first and last frame of every event, and its boxes."""
    spans: dict[int, tuple[int, int, int]] = {}
    boxes: dict[int, dict[int, Box]] = {}
    odd = Oddities(path)
    for line, (event, kind, duration, start, end, frame, x, y, width, height) in _rows(path, 10, odd):
        with odd.row():
            box = _box(odd, line, x, y, width, height)
            if kind not in VIRAT_EVENT_NAMES:
                raise AnnotationError(path, line, f"expected an event type from 1 to 12, got {kind}")
            if not 0 <= start <= end <= LAST_FRAME:
                raise AnnotationError(path, line, f"expected 0 <= start <= end, got {start} and {end}")
            if not start <= frame <= end:
                raise AnnotationError(path, line, f"frame {frame} is outside its event ({start} to {end})")
            if spans.setdefault(event, (kind, start, end)) != (kind, start, end):
                raise AnnotationError(
                    path, line, f"event {event} was type {spans[event][0]}, frames {spans[event][1:]} before"
                )
            if not boxes.get(event) and duration != end - start + 1:
                notes.append(f"{path.name}:{line}: event {event} lasts {end - start + 1} frames, {duration} declared")
            _put(path, line, boxes.setdefault(event, {}), frame, box)
    notes += odd.notes()
    return spans, boxes


def _mapping(
    path: Path, spans: dict[int, tuple[int, int, int]], tracks: dict[str, Track], notes: list[str]
) -> dict[int, tuple[str, ...]]:
    """Object tracks of every event: column 7 + k is 1 where object k takes part."""
    actors: dict[int, tuple[str, ...]] = {}
    odd = Oddities(path)
    for line, (event, kind, _, start, end, count, *flags) in _rows(path, 6, odd, more=True):
        with odd.row():
            if event not in spans:
                raise AnnotationError(path, line, f"event {event} is not in the events file")
            if event in actors:
                raise AnnotationError(path, line, f"event {event} is listed twice")
            if (kind, start, end) != spans[event]:
                raise AnnotationError(
                    path, line, f"event {event} is type, start, end {spans[event]} in the events file"
                )
            if set(flags) - {0, 1} or sum(flags) != count:
                raise AnnotationError(
                    path, line, f"expected {count} ones among zeros, got {sum(f == 1 for f in flags)}"
                )
            keys = tuple(str(k) for k, flag in enumerate(flags) if flag)
            if lost := [key for key in keys if key not in tracks]:
                raise AnnotationError(path, line, f"object {lost[0]} is not in the objects file")
            actors[event] = keys
    notes += odd.notes()
    return actors
