"""What an annotator would have written: shaky boxes, spans a few frames off, as KPF and VIRAT Release 2 files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from zlib import crc32

import numpy as np

from tinylib.annotations.labels import VIRAT_EVENT_NAMES, is_known
from tinylib.annotations.tracks import Activity, Box, Track, VideoAnnotation
from tinylib.files import write_text
from tinylib.synth.filming.render import outline, part
from tinylib.synth.places.primitives import Event
from tinylib.synth.script import Act, Script

# MEVA has no name for the rest: walking, standing and plain carrying go unlabelled.
MEVA_NAMES = {
    "Opening": "person_opens_vehicle_door", "Closing": "person_closes_vehicle_door",
    "Entering": "person_enters_vehicle",
    "Exiting": "person_exits_vehicle", "Loading": "person_loads_vehicle", "Unloading": "person_unloads_vehicle",
    "Talking": "person_talks_to_person", "Interacts": "person_embraces_person",
    "specialized_talking_phone": "person_talks_on_phone", "specialized_texting_phone": "person_texts_on_phone",
    "Transport_HeavyCarry": "person_carries_heavy_object", "vehicle_starting": "vehicle_starts",
    "vehicle_stopping": "vehicle_stops", "vehicle_turning_left": "vehicle_turns_left",
    "vehicle_turning_right": "vehicle_turns_right", "u_turn": "vehicle_makes_u_turn",
    "Open_Trunk": "person_opens_trunk", "Closing_Trunk": "person_closes_trunk", "PickUp": "person_picks_up_object",
    "SetDown": "person_puts_down_object",
}  # fmt: skip
KINDS = {"person": "person", "vehicle": "vehicle", "bike": "bike", "prop": "other", "animal": "other"}
RELEASE2_KINDS = {"person": 1, "vehicle": 2, "other": 4, "bike": 5}


@dataclass(frozen=True)
class Hand:
    """How careful the annotator is."""

    shake: float = 0.015  # sigma of a corner, share of the box's side
    late: int = 5  # frames that a start or an end may be off
    missed: float = 0.015  # share of short activities that are overlooked
    short: int = 60  # frames


def annotate(script: Script, video_id: str, hand: Hand | None = None) -> VideoAnnotation:
    """The annotation of a composed video: a pure function of the script."""
    rng, hand = np.random.default_rng((script.shoot.seed, 41)), hand or Hand()
    meva = script.shoot.domain == "M"
    tracks: dict[str, Track] = {}
    activities: list[Activity] = []
    used: set[str] = set()
    for act in script.acts:
        placed = act.placed
        if placed.order.crowd:
            continue
        keys = []
        for boxes, kind in zip(_tracks(act, script, rng, hand), act.vignette.kinds, strict=True):
            keys.append(str(len(tracks)))
            tracks[keys[-1]] = Track(keys[-1], KINDS[kind], boxes)
        spans = [_span(event, placed.frames, rng, hand) for event in act.vignette.events]
        common = _common(spans, placed.frames)
        for event, (first, last) in zip(act.vignette.events, spans, strict=True):
            name = MEVA_NAMES.get(event.name, event.name) if meva else event.name
            short = last - first < hand.short
            overlooked = short and rng.random() < hand.missed
            actors = tuple(key for i, key in enumerate(keys) if i in event.actors and tracks[key].boxes)
            seen = [f for key in actors for f in (min(tracks[key].boxes), max(tracks[key].boxes))]
            known = is_known(name) and (not meva or name.split("_")[0] in ("person", "vehicle", "hand"))
            if overlooked or not actors or not known:
                continue
            first, last = max(first + placed.start, min(seen)), min(last + placed.start, max(seen))
            if first >= last:
                continue
            whole = common if common and last - first + 1 >= common else None
            wanted = max(1, round(((whole or last - first + 1) - 16) / (placed.order.chunk if whole else 64)))
            cuts = {at + placed.start for span in spans for at in (span[0], span[1] + 1)}
            marks = [] if meva else sorted({first, last + 1} | {at for at in cuts if first < at <= last})
            extent = _Extent([tracks[key].boxes for key in actors], first, last)
            key = _number(video_id, marks, wanted, extent, used, rng, endless=whole is not None)
            activities.append(Activity(key, name, first, last, actors))
    named = {actor for activity in activities for actor in activity.actors}
    shown = {key: track for key, track in tracks.items() if track.boxes and (not meva or key in named)}
    return VideoAnnotation(video_id, "meva" if meva else "virat", tuple(activities), shown)


def _span(event: Event, frames: int, rng: np.random.Generator, hand: Hand) -> tuple[int, int]:
    late = min(hand.late, (event.end - event.start) // 15)  # nobody is five frames off in what takes fifty
    off = rng.integers(-late, late + 1, 2)
    first, last = max(0, event.start + int(off[0])), min(frames - 1, event.end + int(off[1]))
    return (first, last) if first < last else (event.start, event.end)


def _common(spans: list[tuple[int, int]], frames: int) -> int | None:
    """Frames that all activities share, where all of them last for (nearly) the whole vignette."""
    if not spans or any(last - first + 1 < 0.85 * frames for first, last in spans):
        return None
    return min(last for _, last in spans) - max(first for first, _ in spans) + 1


def _number(
    video_id: str,
    marks: list[int],
    wanted: int,
    extent: _Extent,
    used: set[str],
    rng: np.random.Generator,
    *,
    endless: bool = True,
) -> str:
    """A number for an activity: one whose chunks (drawn from it by the v1 rule) all make clips, if any does.

    The rule drops what is larger than 128 px or left under 40 frames and keeps longer rests, which would favour small
    and short clips. marks: where the labels change; wanted: how many chunks there should be; endless: whether the
    activity may be cut anywhere, so that no chunk has to end with it.
    """
    best, least = "", math.inf
    for _ in range(80):
        key = str(int(rng.integers(1000, 1_000_000)))
        if key in used:
            continue
        chunks, bad, count = np.random.default_rng((0, crc32(video_id.encode()), crc32(key.encode()))), 0, 0
        for start, stop in pairwise(marks):
            while stop - start >= 40:
                length = int(chunks.integers(40, 151))
                bad += endless and length > stop - start
                bad += 3 * (extent.side(start, min(start + length, stop)) > 126)
                start, count = start + length, count + 1
        bad += abs(count - wanted) if marks else 0
        if bad < least:
            best, least = key, bad
        if not bad:
            break
    used.add(best)
    return best


class _Extent:
    """The square that an activity's actors fill over any of its frames."""

    def __init__(self, boxes: list[dict[int, Box]], first: int, last: int):
        self.first = first
        self.low, self.high = np.full((last - first + 1, 2), np.inf), np.full((last - first + 1, 2), -np.inf)
        for track in boxes:
            frames = np.array([f for f in track if first <= f <= last], int)
            if len(frames):
                rows = np.array([track[f] for f in frames.tolist()])
                self.low[frames - first] = np.minimum(self.low[frames - first], rows[:, :2])
                self.high[frames - first] = np.maximum(self.high[frames - first], rows[:, 2:])

    def side(self, start: int, stop: int) -> float:
        part = slice(start - self.first, stop - self.first)
        return float((self.high[part].max(0) - self.low[part].min(0)).max())


def _tracks(act: Act, script: Script, rng: np.random.Generator, hand: Hand) -> list[dict[int, Box]]:
    """Whole-pixel boxes of every actor and frame: shaky at the key frames, linear between them."""
    placed, camera = act.placed, script.camera
    frames = [0]
    while frames[-1] < placed.frames - 1:
        frames.append(min(frames[-1] + int(rng.integers(10, 21)), placed.frames - 1))
    count = len(act.vignette.kinds)
    corners = np.full((count, len(frames), 4), np.nan)
    for k, frame in enumerate(frames):
        pack = act.pose(float(frame))
        for i in range(count):
            of_actor = part(pack, i)
            if len(of_actor.ends) or len(of_actor.corners):
                corners[i, k] = outline(of_actor, camera)[0]
    tracks: list[dict[int, Box]] = []
    for rows in corners:
        there = ~np.isnan(rows[:, 0])
        if not there.any():
            tracks.append({})
            continue
        keys = np.asarray(frames)[there]
        side = np.maximum(rows[there, 2] - rows[there, 0], rows[there, 3] - rows[there, 1])
        shaken = rows[there] + rng.normal(0, hand.shake, (int(there.sum()), 4)) * side[:, None]
        every = np.arange(keys[0], keys[-1] + 1)
        boxes = np.stack([np.interp(every, keys, shaken[:, c]) for c in range(4)], axis=1)
        limit = np.array((camera.width, camera.height, camera.width, camera.height))
        boxes = np.clip(np.rint(boxes), 0, limit)
        track: dict[int, Box] = {}
        for frame, (x0, y0, x1, y1) in zip(every.tolist(), boxes.tolist(), strict=True):
            if x1 - x0 >= 1 and y1 - y0 >= 1:
                track[frame + placed.start] = (x0, y0, x1, y1)
        tracks.append(track)
    return tracks


def write_kpf(annotation: VideoAnnotation, folder: Path) -> None:
    """`X.geom.yml`, `X.types.yml`, `X.activities.yml`: one record a line, as MEVA's own files."""
    stem = annotation.video_id
    head = f'- {{ meta: "{stem}" }}\n'
    rows: list[str] = []
    for key, track in annotation.tracks.items():
        for frame, (x0, y0, x1, y1) in track.boxes.items():
            box = f"{x0:.0f} {y0:.0f} {x1:.0f} {y1:.0f}"
            row = f"id1: {key}, id0: {len(rows) + 1}, ts0: {frame}, ts1: {frame / 30:.2f}, g0: {box}, keyframe: true"
            rows.append(f"- {{ geom: {{{row} }} }}\n")
    write_text(folder / f"{stem}.geom.yml", head + "".join(rows))
    kinds = [f"- {{ types: {{ id1: {k}, cset3: {{ {t.kind}: 1.0 }} }} }}\n" for k, t in annotation.tracks.items()]
    write_text(folder / f"{stem}.types.yml", head + "".join(kinds))
    acts = []
    for a in annotation.activities:
        span = f"timespan: [{{tsr0: [{a.start}, {a.end}]}}]"
        actors = ", ".join(f"{{id1: {key}, {span}}}" for key in a.actors)
        acts.append(f"- {{ act: {{ act2: {{{a.name}: 1.0}}, id2: {a.id}, {span}, actors: [{actors}] }} }}\n")
    write_text(folder / f"{stem}.activities.yml", head + "".join(acts))


def write_release2(annotation: VideoAnnotation, folder: Path) -> None:
    """`X.viratdata.{objects,events,mapping}.txt`: what Release 2 has a number for."""
    numbers = {name: n for n, name in VIRAT_EVENT_NAMES.items()}
    order = {key: n for n, key in enumerate(annotation.tracks)}
    objects, events, mapping = [], [], []
    for key, track in annotation.tracks.items():
        for frame, (x0, y0, x1, y1) in track.boxes.items():
            objects.append(f"{order[key]} {len(track.boxes)} {frame} {x0:.0f} {y0:.0f} {x1 - x0:.0f} {y1 - y0:.0f} "
                           f"{RELEASE2_KINDS[track.kind]}\n")  # fmt: skip
    for event, a in enumerate([a for a in annotation.activities if a.name in numbers]):
        start, end = a.start, a.end
        kind, duration = numbers[a.name], end - start + 1
        flags = ["1" if key in a.actors else "0" for key in order]
        mapping.append(f"{event} {kind} {duration} {start} {end} {flags.count('1')}  {' '.join(flags)}\n")
        for frame in range(start, end + 1):
            boxes = [annotation.tracks[key].boxes[frame] for key in a.actors if frame in annotation.tracks[key].boxes]
            if boxes:
                low, high = np.min(boxes, axis=0), np.max(boxes, axis=0)
                box = f"{low[0]:.0f} {low[1]:.0f} {high[2] - low[0]:.0f} {high[3] - low[1]:.0f}"
                events.append(f"{event} {kind} {duration} {start} {end} {frame} {box}\n")
    for name, rows in (("objects", objects), ("events", events), ("mapping", mapping)):
        write_text(folder / f"{annotation.video_id}.viratdata.{name}.txt", "".join(rows))
