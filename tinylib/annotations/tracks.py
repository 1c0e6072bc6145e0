"""What every annotation reader returns: activities of tracked actors in one source video."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the full frame, exclusive right and bottom


@dataclass(frozen=True, slots=True)
class Track:
    """One annotated object: its boxes by frame number (0-based, only annotated frames)."""

    id: str
    kind: str  # 'person', 'vehicle', ... or '' where the file does not say
    boxes: dict[int, Box]


@dataclass(frozen=True, slots=True)
class Activity:
    """One annotated activity: frames `start` to `end`, both included; `actors` are keys of `VideoAnnotation.tracks`."""

    id: str
    name: str  # as the file spells it
    start: int
    end: int
    actors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VideoAnnotation:
    """All annotations of one source video."""

    video_id: str
    domain: str  # 'virat' or 'meva'
    activities: tuple[Activity, ...]
    tracks: dict[str, Track]
    sources: tuple[Path, ...] = ()
    notes: tuple[str, ...] = field(default=())  # what was odd but readable
