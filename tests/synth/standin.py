"""A cast of one walking capsule person, for tests of everything around the actors."""

import numpy as np

from tinylib.synth.places.primitives import ActorFrame, Capsule, Event, Face


class Walker:
    def __init__(self, labels=frozenset(), *, domain="V", seed=0, frames=None, confuser=False, speed=1.2):
        self.frames = frames or 90
        self.kinds, self.labels, self.front = ("person",), frozenset(labels), None
        self.events = [Event(name, 0, self.frames - 1, (0,)) for name in sorted(labels)]
        rng = np.random.default_rng(seed)
        self.speed = 0.0 if "activity_standing" in labels else speed
        self.top, self.legs = (tuple(float(v) for v in rng.uniform(0.02, 0.5, 3)) for _ in range(2))

    def at(self, time):
        x = self.speed * (time - self.frames / 2) / 30
        swing = 0.35 * np.sin(2 * np.pi * time / 30) * (self.speed > 0)

        def at(dx, dy, z):
            return np.array((x + dx, dy, z))

        skin = (0.45, 0.3, 0.22)
        shapes = [
            Capsule(at(0, 0, 1.42), at(0, 0, 0.95), 0.19, 0.15, self.top),
            Capsule(at(0, 0, 1.66), at(0, 0, 1.66), 0.11, 0.11, skin),
        ]
        for side in (-1, 1):
            foot, hand = side * swing, -side * swing * 0.8
            shapes.append(Capsule(at(0, 0.1 * side, 0.92), at(foot / 2, 0.1 * side, 0.48), 0.09, 0.07, self.legs))
            shapes.append(Capsule(at(foot / 2, 0.1 * side, 0.48), at(foot, 0.1 * side, 0.06), 0.07, 0.05, self.legs))
            shapes.append(Capsule(at(0, 0.22 * side, 1.4), at(hand, 0.26 * side, 0.85), 0.06, 0.04, self.top))
        if "activity_carrying" in self.labels:
            box = np.array([at(0.3, -0.2, 0.8), at(0.3, 0.2, 0.8), at(0.3, 0.2, 1.2), at(0.3, -0.2, 1.2)])
            shapes.append(Face(box, (0.3, 0.2, 0.1)))
        return [ActorFrame(shapes, {"head": at(0, 0, 1.66)})]


def vignette(labels, *, domain="V", seed=0, frames=None, confuser=False):
    return Walker(labels, domain=domain, seed=seed, frames=frames, confuser=confuser)


def distractor(seed, domain):
    return Walker(frozenset(), domain=domain, seed=seed, frames=80)


def crowd(seed, domain, frames):
    return Walker(frozenset(), domain=domain, seed=seed, frames=frames)
