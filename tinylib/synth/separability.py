"""Are the classes distinct before anything is drawn? A descriptor of pose and motion, and its nearest neighbours.

Acceptance test 8 of the benchmark: leave-one-out neighbours over the descriptors of all 26 classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinylib.synth.actions import CLASSES, Scene, vignette
from tinylib.synth.people.actors import JOINTS, Puppet
from tinylib.synth.people.gait import FPS
from tinylib.synth.places.primitives import Array
from tinylib.synth.vehicles.vehicles import Vehicle
from tinylib.workers import in_order

# Each class among the labels it usually comes with in TinyVIRAT.
USUAL: dict[str, tuple[str, ...]] = {
    "Opening": ("activity_standing",), "Closing": ("activity_standing",), "Loading": ("activity_standing",),
    "Interacts": ("activity_standing",), "Talking": ("activity_standing",),
    "activity_gesturing": ("Talking", "activity_standing"),
    "specialized_talking_phone": ("activity_walking",),
    "specialized_texting_phone": ("activity_standing", "activity_carrying"),
    "activity_carrying": ("activity_walking",), "Transport_HeavyCarry": ("activity_walking",),
    "Pull": ("activity_walking",),
    "Push": ("activity_walking",), "Riding": ("vehicle_moving",), "vehicle_starting": ("vehicle_moving",),
    "vehicle_stopping": ("vehicle_moving",), "vehicle_turning_left": ("vehicle_moving",),
    "vehicle_turning_right": ("vehicle_moving",), "specialized_using_tool": ("activity_carrying", "activity_walking"),
    "specialized_miscellaneous": ("activity_standing",), "Misc": ("activity_walking",),
}  # fmt: skip
_BODY = ("head", "chest", "l_knee", "r_knee", "l_ankle", "r_ankle")
_MOMENTS = 24


def usual(name: str) -> frozenset[str]:
    """A class with its usual co-labels."""
    return frozenset({name, *USUAL.get(name, ())})


def _sampled(track: Array, start: int, end: int) -> Array:
    return np.asarray(track[np.linspace(start, end, _MOMENTS).astype(int)])


def _summary(track: Array) -> Array:
    """Mean, spread and drift (last third less first third) of a track (moments, k)."""
    third = len(track) // 3
    return np.concatenate([track.mean(0), track.std(0), track[-third:].mean(0) - track[:third].mean(0)])


def _person(puppet: Puppet, start: int, end: int) -> Array:
    """A body in its own frame, busier hand first, what it holds, how fast it goes."""
    at = dict(zip(puppet.names, np.moveaxis(_sampled(puppet.tracks[:, : len(JOINTS)], start, end), 1, 0), strict=False))
    across = (at["l_shoulder"] - at["r_shoulder"]) * np.array([1.0, 1.0, 0.0])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    ahead = np.stack([across[:, 1], -across[:, 0], np.zeros(len(across))], axis=1)

    def local(points: Array) -> Array:
        offset = points - at["pelvis"]
        return np.stack([np.sum(offset * ahead, 1), np.sum(offset * across, 1), offset[:, 2]], axis=1)

    hands = [local(at[f"{side}_hand"]) * np.array([1.0, sign, 1.0]) for side, sign in (("l", 1.0), ("r", -1.0))]
    hands.sort(key=lambda hand: -(hand[:, 2].mean() + 2.0 * hand.std(0).sum()))
    dense = puppet.joint("pelvis")[start : end + 1]
    speed = np.linalg.norm(np.diff(dense[:, :2], axis=0), axis=1).mean() * FPS if len(dense) > 1 else 0.0
    shake = [
        np.abs(np.diff(puppet.joint(f"{side}_hand")[start : end + 1] - dense, axis=0)).mean() * FPS for side in "lr"
    ]
    body = [_summary(local(at[name])) for name in _BODY]
    lift = np.ptp(_sampled(puppet.joint("pelvis"), start, end)[:, 2])
    face = (at["head"] - at["neck"]) / np.linalg.norm(at["head"] - at["neck"], axis=1, keepdims=True)
    bow = np.sum(face * ahead, axis=1).mean()
    held = puppet.tracks[:, len(JOINTS) + 2 :]
    load = np.zeros(7)
    if held.shape[1]:
        points = np.einsum("pj,njk->npk", puppet.weights[:, len(JOINTS) + 2 :], _sampled(held, start, end))
        points = points[:, np.abs(puppet.weights[:, len(JOINTS) + 2 :]).sum(1) > 0]
        middle = local(points.mean(1)) if points.size else np.zeros((_MOMENTS, 3))
        size = np.ptp(points[0], axis=0)
        load = np.array(
            [
                1.0,
                *middle.mean(0)[[0, 2]],
                3.0 * middle[:, 1].std(),
                size.max(),
                np.sort(size)[1],
                abs(middle.mean(0)[1]),
            ]
        )
    return np.concatenate(
        [*map(_summary, hands), *body, [2.0 * speed, *np.sort(shake)[::-1], 3.0 * lift, 3.0 * bow], 2.0 * load]
    )


def _vehicle(car: Puppet, start: int, end: int) -> Array:
    """How a vehicle moves, and how its doors and lid do."""
    if not isinstance(car, Vehicle):
        return np.zeros(8)
    m = car.motion
    speed = np.broadcast_to(m.speed, m.yaw.shape)[start : end + 1]
    third = max(1, len(speed) // 3)
    doors = [np.broadcast_to(a, m.yaw.shape)[start : end + 1] for name, a in m.doors.items() if name != "lid"]
    swing = doors[0][-1] - doors[0][0] if len(doors) == 1 else 0.0
    turned = m.yaw[end] - m.yaw[start]
    faster = np.sign(speed[-third:].mean() - speed[:third].mean()) * (speed.min() < 0.5)
    driven = [1.0, speed.mean() / 4.0, 2.0 * faster, 3.0 * np.tanh(2.0 * turned), float(speed.max() > 0.2)]
    return np.array([*driven, 2.0 * swing, float("lid" in m.doors), float(len(doors) > 0)])


def describe(scene: Scene, name: str) -> Array:
    """What those who do `name` look and move like, from skeletons and poses of things alone."""
    event = next(event for event in scene.events if event.name == name)
    start, end = event.start, event.end
    cast = [(scene.puppets[i], scene.kinds[i]) for i in event.actors]
    people = [puppet for puppet, kind in cast if kind == "person"]
    counts = np.array([sum(kind == k for _, kind in cast) for k in ("person", "vehicle", "bike", "prop", "animal")])
    body = np.mean([_person(p, start, end) for p in people], axis=0) if people else np.zeros(0)
    road = next((_vehicle(p, start, end) for p, kind in cast if kind == "vehicle"), np.zeros(8))
    aside = np.zeros(5)
    if people and len(cast) > 1:
        pelvis = _sampled(people[0].joint("pelvis"), start, end)
        forward = _sampled(people[0].tracks[:, len(JOINTS)], start, end)
        other = next((p for p, kind in cast if p is not people[0]), people[0])
        middle = (
            (other.weights.mean(0) @ _sampled(other.tracks, start, end)) - pelvis
            if not isinstance(other, Vehicle)
            else other.motion.xy[0] - pelvis[:, :2]
        )
        gap = np.linalg.norm(middle[:, :2], axis=1)
        inside = np.zeros(_MOMENTS)
        if isinstance(other, Vehicle):
            inside = np.clip(other.kind.width / 2 - np.abs(pelvis[:, 1] - other.motion.xy[0, 1]), -0.6, 0.4)
        aside = np.array(
            [
                np.sum(middle[:, :2] * forward[:, :2], 1).mean(),
                gap.mean() / 2,
                4.0 * (inside[-4:].mean() - inside[:4].mean()),
                inside.mean(),
                np.ptp(other.weights @ other.tracks[0], axis=0)[2],
            ]
        )
    if not people:
        body = np.zeros(_BODY_SIZE)
    return np.concatenate([4.0 * counts, 3.0 * road, body, 2.0 * aside])


_BODY_SIZE = 9 * (2 + len(_BODY)) + 5 + 7


def _describe_one(name: str, seed: int) -> Array:
    return describe(vignette(usual(name), seed=seed), name)


def descriptors(seeds: Sequence[int], workers: int = 0) -> tuple[Array, list[str]]:
    """Descriptors (26 * seeds, k) and class names; seeds differ between classes, so that nobody appears twice."""
    jobs = [(name, seed * 26 + i) for i, name in enumerate(sorted(CLASSES)) for seed in seeds]
    rows = list(in_order(_describe_one, jobs, workers, name=lambda job: job[0]))
    return np.stack(rows), [name for name, _ in jobs]


def neighbours(features: Array, names: Sequence[str], k: int = 1) -> tuple[float, list[tuple[str, str, int]]]:
    """Leave-one-out accuracy of the k nearest, and (true, taken for, times), most frequent first."""
    features = (features - features.mean(0)) / (features.std(0) + 0.15)
    distance = np.linalg.norm(features[:, None] - features[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    confused: dict[tuple[str, str], int] = {}
    right = 0
    for i, row in enumerate(np.argsort(distance, axis=1)[:, :k]):
        votes = [names[j] for j in row]
        guess = max(votes, key=votes.count)
        right += guess == names[i]
        if guess != names[i]:
            confused[names[i], guess] = confused.get((names[i], guess), 0) + 1
    ranked = sorted(((a, b, count) for (a, b), count in confused.items()), key=lambda row: -row[2])
    return right / len(names), ranked
