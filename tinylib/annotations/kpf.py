"""Reader of KPF annotations (activities, geometry, types in YAML): MEVA's dialect and the DIVA dialect of VIRAT."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from tinylib.annotations.labels import is_known, video_domain
from tinylib.annotations.oddities import Oddities
from tinylib.annotations.tracks import Activity, Box, Track, VideoAnnotation
from tinylib.errors import AnnotationError
from tinylib.files import Json

LAST_FRAME = 100_000_000  # 38 days at 30 fps: a larger frame number is a mistake
LONGEST_GAP = 150  # boxes missing for at most this many frames are interpolated; beyond it the actor was away

# One geometry record a line, as MEVA writes 6,000 of a video: thirty times faster than a YAML parser.
_Q, _INT, _NUMBER = r"""['"]?""", r"(0|[1-9]\d*)", r"(-?[\d.]+)"
_GEOM = re.compile(
    rf"- *\{{ *{_Q}geom{_Q}: *\{{ *{_Q}id1{_Q}: *{_INT}, *{_Q}id0{_Q}: *\d+, *{_Q}ts0{_Q}: *{_INT}, *"
    rf"{_Q}ts1{_Q}: *[\d.]+, *{_Q}g0{_Q}: *{_NUMBER} {_NUMBER} {_NUMBER} {_NUMBER}"
    rf"(?:, *{_Q}[a-z_]+{_Q}: *[\w.-]+)* *\}} *\}} *"
)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_kpf(activities: str | Path, *, fast: bool = True) -> VideoAnnotation:
    """Read `X.activities.yml` (or `X-activities.yml`) with the geometry and types files beside it.

    Two dialects: one record a line (`act2: {name: 1.0}`), and one YAML list (`act2: !!set {name: null}`). Holes of at
    most 150 frames between two boxes of a track are filled linearly. `fast=False` parses everything as YAML.
    An odd row is left out, or mended where that is plain (a box is cut at the picture's edge), and named in `notes`
    with file and line; so is an activity whose actor has no box. AnnotationError where a file has no good row.
    """
    activities = Path(activities)
    match = re.fullmatch(r"(.+)([.-])activities\.yml", activities.name)
    if not match:
        raise AnnotationError(activities, None, "expected a file named '<video>.activities.yml'")
    video_id, mark = match.groups()
    geometry, types = (activities.with_name(f"{video_id}{mark}{part}.yml") for part in ("geom", "types"))
    notes = [] if types.exists() else [f"{types.name} is missing: kinds of actors are unknown"]
    kinds = _kinds(types, notes) if types.exists() else {}
    boxes = _boxes(geometry, fast, notes)

    listed: list[Activity] = []
    lines: dict[str, int] = {}
    odd = Oddities(activities)
    for line, key, record in _records(activities, odd=odd):
        if key != "act":
            continue
        with odd.row():
            activity = _activity(activities, line, record)
            if activity.id in lines:
                raise AnnotationError(
                    activities, line, f"activity id2 {activity.id} is already on line {lines[activity.id]}"
                )
            lines[activity.id] = line
            lost = [actor for actor in activity.actors if actor not in boxes]
            unknown = [actor for actor in lost if kinds and actor not in kinds]
            if unknown:
                raise AnnotationError(
                    activities, line, f"actor id1 {unknown[0]} is in neither {geometry.name} nor {types.name}"
                )
            if lost:
                notes.append(f"{activities.name}:{line}: {activity.name} left out, actor {lost[0]} has no geometry")
            else:
                listed.append(activity)
    notes += odd.notes()
    tracks = {key: Track(key, kinds.get(key, ""), filled(track)) for key, track in boxes.items()}
    files = tuple(path for path in (activities, geometry, types) if path.exists())
    return VideoAnnotation(video_id, video_domain(video_id), tuple(listed), tracks, files, tuple(notes))


def read_tracks(geometry: str | Path, notes: list[str] | None = None) -> dict[str, Track]:
    """The tracks of a geometry file (`X.geom.yml` or `X-geom.yml`) alone, kinds from the types file if it is there.

    What was odd is added to `notes`.
    """
    notes = [] if notes is None else notes
    geometry = Path(geometry)
    match = re.fullmatch(r"(.+[.-])geom\.yml", geometry.name)
    if not match:
        raise AnnotationError(geometry, None, "expected a file named '<video>.geom.yml'")
    types = geometry.with_name(f"{match[1]}types.yml")
    kinds = _kinds(types, notes) if types.exists() else {}
    boxes = _boxes(geometry, True, notes)
    return {key: Track(key, kinds.get(key, ""), filled(track)) for key, track in boxes.items()}


def _records(path: Path, fast: bool = False, *, odd: Oddities) -> Iterator[tuple[int, str, object]]:
    """Line number, key and value of every `- {key: value}` of a KPF file; a line that is no YAML costs itself."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise AnnotationError(path, None, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise AnnotationError(path, None, "expected UTF-8 text") from None
    rows = [(n, row) for n, row in enumerate(text.splitlines(), 1) if row.strip() and not row.lstrip().startswith("#")]
    if all(row.startswith("- ") for _, row in rows):
        for line, row in rows:
            if fast and (m := _GEOM.fullmatch(row)):
                yield line, "geom", m.groups()
                continue
            with odd.row(counts=False):
                yield from list(_parsed(path, row, line - 1))
    else:
        yield from _parsed(path, text, 0)


def _parsed(path: Path, text: str, offset: int) -> Iterator[tuple[int, str, object]]:
    try:
        loader = _LOADER(text)
        root = loader.get_single_node()
        if not isinstance(root, yaml.SequenceNode):
            raise AnnotationError(path, offset + 1, "expected a list of '- { key: value }' records")
        for node in root.value:
            line = offset + node.start_mark.line + 1
            value = loader.construct_object(node, deep=True)
            if not isinstance(value, dict) or len(value) != 1:
                raise AnnotationError(path, line, "expected '{ key: value }' with one key")
            yield line, *next(iter(value.items()))
    except yaml.YAMLError as error:
        problem = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or "not YAML"
        line = offset + 1 + min(problem.line if problem else 0, text.rstrip().count("\n"))
        raise AnnotationError(path, line, f"malformed YAML: {reason}") from None
    except (ValueError, TypeError, RecursionError) as error:  # unhashable keys, impossible dates, absurd nesting
        raise AnnotationError(path, offset + 1, f"malformed YAML: {error}") from None


def _field(path: Path, line: int, record: object, name: str) -> object:
    if not isinstance(record, dict) or record.get(name) is None:
        raise AnnotationError(path, line, f"expected a field '{name}'")
    return record[name]


def _frame(path: Path, line: int, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LAST_FRAME:
        raise AnnotationError(path, line, f"expected a frame number from 0 to {LAST_FRAME}, got {value!r}")
    return value


def _span(path: Path, line: int, record: Json) -> tuple[int, int]:
    """First and last frame of `timespan: [{tsr0: [first, last]}, ...]`; several spans are taken as one."""
    spans = _field(path, line, record, "timespan")
    if not isinstance(spans, list) or not spans:
        raise AnnotationError(path, line, "expected 'timespan: [{tsr0: [first, last]}]'")
    ends: list[int] = []
    for span in spans:
        pair = _field(path, line, span, "tsr0")
        if not isinstance(pair, list) or len(pair) != 2:
            raise AnnotationError(path, line, f"expected 'tsr0: [first, last]', got {pair!r}")
        first, last = (_frame(path, line, value) for value in pair)
        if last < first:
            raise AnnotationError(path, line, f"the time span ends before it starts: [{first}, {last}]")
        ends += [first, last]
    return min(ends), max(ends)


def _activity(path: Path, line: int, record: Any) -> Activity:
    name = _name(path, line, record, ("act2", "act3"))
    if not is_known(name):
        raise AnnotationError(path, line, f"unknown activity name {name!r}")
    start, end = _span(path, line, record)
    actors = _field(path, line, record, "actors")
    if not isinstance(actors, list) or not actors:
        raise AnnotationError(path, line, "expected a list of one or more actors")
    keys: list[str] = []
    for actor in actors:
        keys.append(_id(path, line, actor, "id1"))
        first, last = _span(path, line, actor)
        if last < start or first > end:
            raise AnnotationError(
                path, line, f"actor {keys[-1]} [{first}, {last}] is outside the activity [{start}, {end}]"
            )
    return Activity(_id(path, line, record, "id2"), name, start, end, tuple(dict.fromkeys(keys)))


def _id(path: Path, line: int, record: object, name: str) -> str:
    value = _field(path, line, record, name)
    if isinstance(value, bool) or not re.fullmatch(r"[\w-]{1,80}", str(value)):
        raise AnnotationError(path, line, f"expected an identifier in '{name}', got {value!r}")
    return str(value)


def _name(path: Path, line: int, record: object, fields: tuple[str, ...]) -> str:
    """The likeliest name of `{name: confidence, ...}` or of `!!set {name, ...}`."""
    present = [record[f] for f in fields if isinstance(record, dict) and record.get(f)]
    if not present or not isinstance(present[0], dict | set):
        raise AnnotationError(path, line, f"expected '{fields[0]}: {{name: 1.0}}'")
    names = dict.fromkeys(present[0], 1.0) if isinstance(present[0], set) else present[0]
    best = sorted(names, key=lambda name: -(names[name] if isinstance(names[name], int | float) else 1.0))
    if len(best) > 1 and names[best[0]] == names[best[1]]:
        raise AnnotationError(path, line, f"expected one name, got {', '.join(map(str, names))}")
    return str(best[0])


def _kinds(path: Path, notes: list[str]) -> dict[str, str]:
    kinds: dict[str, str] = {}
    odd = Oddities(path)
    for line, key, record in _records(path, odd=odd):
        if key == "types":
            with odd.row():
                kind = _name(path, line, record, ("cset3", "cset2", "obj_type"))
                kinds[_id(path, line, record, "id1")] = "" if kind in ("Null", "None") else kind.lower()
    notes += odd.notes()
    return kinds


def _boxes(path: Path, fast: bool, notes: list[str]) -> dict[str, dict[int, Box]]:
    tracks: dict[str, dict[int, Box]] = {}
    odd = Oddities(path)
    for line, key, record in _records(path, fast, odd=odd):
        if key != "geom":
            continue
        with odd.row():
            if isinstance(record, tuple):
                actor, frame, numbers = record[0], _frame(path, line, int(record[1])), record[2:]
            else:
                actor, frame = _id(path, line, record, "id1"), _frame(path, line, _field(path, line, record, "ts0"))
                numbers = tuple(str(_field(path, line, record, "g0")).split())
            box = _box(path, line, numbers)
            if min(box) < 0:
                cut = max(box[0], 0.0), max(box[1], 0.0), box[2], box[3]
                if cut[0] >= cut[2] or cut[1] >= cut[3]:
                    raise AnnotationError(path, line, f"box {' '.join(numbers)} is outside the picture")
                odd.mend(line, f"box {' '.join(numbers)} is cut at the picture's edge")
                box = cut
            track = tracks.setdefault(actor, {})
            if track.setdefault(frame, box) != box:
                raise AnnotationError(path, line, f"track {actor} has two different boxes on frame {frame}")
    notes += odd.notes()
    return tracks


def _box(path: Path, line: int, numbers: tuple[str, ...]) -> Box:
    try:
        x0, y0, x1, y1 = map(float, numbers)
    except ValueError:
        raise AnnotationError(path, line, f"expected 'g0: x0 y0 x1 y1', got {' '.join(numbers)!r}") from None
    if not (-1e5 < x0 < x1 < 1e5 and -1e5 < y0 < y1 < 1e5):  # NaN fails too
        raise AnnotationError(path, line, f"expected x0 < x1 and y0 < y1, got {' '.join(numbers)}")
    return x0, y0, x1, y1


def filled(track: dict[int, Box]) -> dict[int, Box]:
    """The track in frame order, linear between keyframes that are not too far apart."""
    frames = sorted(track)
    boxes = {frames[0]: track[frames[0]]}
    for a, b in pairwise(frames):
        if 1 < b - a <= LONGEST_GAP + 1:
            for f in range(a + 1, b):
                w = (f - a) / (b - a)
                x0, y0, x1, y1 = ((1 - w) * p + w * q for p, q in zip(track[a], track[b], strict=True))
                boxes[f] = (x0, y0, x1, y1)
        boxes[b] = track[b]
    return boxes
