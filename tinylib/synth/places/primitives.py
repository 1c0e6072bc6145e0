"""The hand-over between who acts (actors, actions) and who draws (render): shapes in world metres.

World: right-handed, z up, ground plane z = 0, metres. Colours are linear-light RGB in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Capsule:
    """A limb: a segment from `a` to `b` with radii `ra`, `rb` (a sphere when a == b)."""

    a: Array  # (3,)
    b: Array  # (3,)
    ra: float
    rb: float
    colour: Colour


@dataclass(frozen=True, slots=True)
class Face:
    """A flat convex polygon: car panel, door, glass, box side, bright phone."""

    points: Array  # (n, 3), in order
    colour: Colour
    two_sided: bool = True
    emission: float = 0.0  # light of its own: lamps, screens


Shape = Capsule | Face


@dataclass(frozen=True, slots=True)
class ActorFrame:
    """One actor at one moment."""

    shapes: Sequence[Shape]
    joints: dict[str, Array] = field(default_factory=dict)  # named skeleton points; {} for vehicles and props


@dataclass(frozen=True, slots=True)
class Event:
    """A scripted activity: frames `start` to `end` of the vignette, both included."""

    name: str  # DIVA / TinyVIRAT name, or a distractor's DIVA name that no class carries
    start: int
    end: int
    actors: tuple[int, ...]  # positions in `Vignette.kinds`


class Vignette(Protocol):
    """A scripted scene of a few actors around the origin; a pure function of its seed.

    The director (script.py) moves and turns it to its place in the world.
    """

    frames: int  # length at 30 fps
    kinds: Sequence[str]  # 'person', 'vehicle', 'bike', 'prop', 'animal', one for each actor
    labels: frozenset[str]  # the classes it is meant to show (the builder, not this, labels clips)
    events: Sequence[Event]
    front: float | None  # yaw towards which a camera sees the action; None: any will do

    def at(self, time: float) -> Sequence[ActorFrame]:
        """The actors at `time`, in frames from 0 (may be fractional: motion blur)."""
