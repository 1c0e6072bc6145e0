"""The stage of a vignette under construction, and the players directed on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tinylib.synth.people.actors import Motion, Person, Puppet, Reach, draw_look, merge
from tinylib.synth.people.gait import FPS
from tinylib.synth.places.primitives import Array, Event

LEFT, RIGHT = 0, 1
_DOWN = (-0.5, 0.6, -1.0)


class Stage:
    """A vignette under construction: its length, its random source, actors and events."""

    def __init__(self, frames: int, domain: str, rng: np.random.Generator) -> None:
        self.frames, self.domain, self.rng = frames, domain, rng
        self.puppets: list[Puppet] = []
        self.kinds: list[str] = []
        self.events: list[Event] = []
        self.front: float | None = None

    def add(self, puppet: Puppet, kind: str) -> int:
        """Put an actor on stage; its number."""
        self.puppets.append(puppet)
        self.kinds.append(kind)
        return len(self.puppets) - 1

    def event(self, name: str, actors: Sequence[int], start: int = 0, end: int | None = None) -> None:
        """Note that `actors` do `name` from `start` to `end` (the last frame)."""
        last = self.frames - 1
        self.events.append(Event(name, max(0, start), last if end is None else min(end, last), tuple(actors)))


class Player:
    """A person being directed: motion and look now, things in hand and beside once the joints are known."""

    def __init__(self, stage: Stage, at: tuple[float, float], yaw: float) -> None:
        self.stage, self.rng, self.n = stage, stage.rng, stage.frames + 1
        self.look = draw_look(self.rng)
        self.scale = self.look.stature / 1.70
        self.motion = Motion(np.tile(np.asarray(at, dtype=np.float64), (self.n, 1)), np.full(self.n, float(yaw)))
        self.held: list[Callable[[Person], Puppet]] = []
        self.beside: list[tuple[Callable[[Person], Puppet], str]] = []
        self.events: list[tuple[str, int, int | None, bool]] = []
        self.hand = RIGHT if self.rng.random() < 0.8 else LEFT  # the preferred one
        self.busy = [False, False]

    @property
    def time(self) -> Array:
        """Seconds from the start, (n,)."""
        return np.arange(self.n) / FPS

    def reach(
        self, side: int, target: object, weight: object = 1.0, frame: str = "chest", elbow: Sequence[float] = _DOWN
    ) -> None:
        """Send a hand to a target; chest and head targets scale with stature."""
        goal = np.asarray(target, dtype=np.float64) * (self.scale if frame != "world" else 1.0)
        self.motion.reaches.append(
            Reach(
                side,
                np.broadcast_to(goal, (self.n, 3)),
                np.broadcast_to(np.asarray(weight, dtype=np.float64), (self.n,)),
                frame,
                elbow,
            )
        )
        self.busy[side] = True

    def note(self, name: str, start: int = 0, end: int | None = None, *, together: bool = False) -> None:
        """This player does `name`; `together` counts what is beside as an actor of it."""
        self.events.append((name, start, end, together))

    def enter(self) -> int:
        """Solve the motion and go on stage; the player's number."""
        person = Person(self.motion, self.look, self.rng)
        number = self.stage.add(merge(person, *(make(person) for make in self.held)), "person")
        beside = [self.stage.add(make(person), kind) for make, kind in self.beside]
        for name, start, end, together in self.events:
            self.stage.event(name, [number, *(beside if together else [])], start, end)
        return number
