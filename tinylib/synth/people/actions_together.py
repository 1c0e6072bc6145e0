"""What people do with each other: talk in turns, and embrace or take hands."""

from __future__ import annotations

import numpy as np

from tinylib.synth.people.gait import keyed, smooth, wander
from tinylib.synth.people.players import LEFT, RIGHT, Player, Stage
from tinylib.synth.places.primitives import Array


def speech(p: Player, turns: Array) -> None:
    """Nods and forearm beats at 0.6-1 Hz while `turns` (n,) is 1; a listener's stillness while 0."""
    rng, t = p.rng, p.time
    rate = rng.uniform(0.6, 1.0)
    beat = np.sin(2 * np.pi * rate * t + rng.uniform(0, 6))
    p.motion.nod = p.motion.nod + turns * 0.14 * np.sin(2 * np.pi * 1.3 * rate * t) + (1 - turns) * 0.05
    p.motion.look = wander(rng, p.n, 0.08)
    for side in (LEFT, RIGHT):
        if p.busy[side] or (side != p.hand and rng.random() < 0.5):
            continue
        lively = 1.0 if side == p.hand else 0.7
        p.motion.reaches = [r for r in p.motion.reaches if r.side != side]
        rest = (0.1, 0.2, -0.5)
        up = np.stack([0.3 + 0.06 * beat, 0.16 + 0.07 * np.cos(2 * np.pi * rate * t), -0.27 + 0.14 * lively * beat], 1)
        p.reach(side, up * turns[:, None] + np.array(rest) * (1 - turns[:, None]), weight=turns * lively + 0.0)


def turns_of_speech(rng: np.random.Generator, n: int, people: int) -> Array:
    """Who speaks when: (people, n), only one at a time, handing over every 1-3 s."""
    turns, t, speaker = np.zeros((people, n)), 0, int(rng.integers(people))
    while t < n:
        length = int(rng.uniform(28, 80))
        turns[speaker, t : t + length] = 1.0
        t, speaker = t + length, (speaker + 1 + int(rng.integers(people - 1))) % people
    return smooth(turns.T, 3.0).T


def circle(
    rng: np.random.Generator, people: int, at: tuple[float, float], gap: float
) -> list[tuple[tuple[float, float], float]]:
    """Places and yaws of people who face each other at `gap` metres."""
    radius, turn = gap / (2.0 * np.sin(np.pi / people)), rng.uniform(0, 2 * np.pi)
    angles = turn + 2 * np.pi * np.arange(people) / people
    return [((at[0] + radius * np.cos(a), at[1] + radius * np.sin(a)), a + np.pi + rng.normal(0, 0.12)) for a in angles]


def embrace(stage: Stage, at: tuple[float, float] = (0.0, 0.0), *, talking: bool = True) -> tuple[list[int], int, int]:
    """Interacts (M): two people close in to 0.35 m, embrace or take hands for 1-2 s and part.

    Returns their numbers, and the first and the last frame of it.
    """
    rng, n = stage.rng, stage.frames + 1
    hug = rng.random() < 0.6
    near, far = (0.36 if hug else 0.62), rng.uniform(0.95, 1.15)
    hold = min(rng.uniform(30, 60), 0.4 * n)
    start = 0.5 * (n - hold) * rng.uniform(0.7, 1.0)
    move = min(24.0, 0.8 * start)
    close = keyed(n, [(start - move, 0.0), (start, 1.0), (start + hold, 1.0), (start + hold + move, 0.0)])
    gap = far + (near - far) * close
    turn = rng.uniform(0, 2 * np.pi)
    turns = turns_of_speech(rng, n, 2) * (1 - close)
    numbers, taken = [], np.asarray(at)
    for k in (0, 1):
        angle = turn + np.pi * k
        p = Player(stage, at, angle + np.pi)
        p.motion.xy = taken + 0.5 * gap[:, None] * np.array([np.cos(angle), np.sin(angle)])
        if talking:
            speech(p, turns[k])
        if hug:
            p.reach(LEFT, (0.36, 0.12, 0.02 if k else -0.2), close, elbow=(0.2, 1.0, -0.5))
            p.reach(RIGHT, (0.36, 0.12, -0.2 if k else 0.02), close, elbow=(0.2, 1.0, -0.5))
            p.motion.lean = 0.1 * close
        else:
            shake = 0.03 * np.sin(2 * np.pi * 2.2 * p.time)[:, None] * np.array([0.0, 0.0, 1.0])
            meet = np.array([*taken, 1.0 * p.scale]) + shake
            p.reach(RIGHT, meet, close, frame="world")
        numbers.append(p.enter())
    return numbers, round(start - move), round(start + hold + move)
