"""Things people hold, push, pull, ride, touch and are followed by."""

from __future__ import annotations

import numpy as np

from tinylib.synth.people.actors import Model, Person, Puppet, merge, rotation, tint
from tinylib.synth.people.gait import FPS, heading
from tinylib.synth.places.primitives import Array, Colour

DARK: Colour = (0.02, 0.02, 0.02)
STEEL: Colour = (0.35, 0.36, 0.38)
_STUFF = [
    [0.02, 0.02, 0.02],
    [0.3, 0.05, 0.04],
    [0.05, 0.08, 0.2],
    [0.45, 0.3, 0.15],
    [0.6, 0.6, 0.55],
    [0.06, 0.2, 0.1],
]


def stuff(rng: np.random.Generator) -> Colour:
    """A colour of bags and goods."""
    return tint(_STUFF[rng.integers(len(_STUFF))], rng)


def upright(position: Array, yaw: Array) -> tuple[Array, Array]:
    """A ground track (n, 2) and yaw (n,) as the pose of a thing that stands."""
    return np.concatenate([position, np.zeros((len(position), 1))], axis=1), rotation(yaw)


def hand_bag(rng: np.random.Generator, size: float = 1.0) -> Model:
    """A shopping bag, briefcase or jerrycan that hangs from the hand."""
    length, width, height = size * np.array([[0.38, 0.16, 0.4], [0.45, 0.1, 0.32], [0.26, 0.18, 0.34]][rng.integers(3)])
    colour = stuff(rng)
    return (
        Model()
        .box((length, width, height), (0, 0, -0.14 - height / 2), colour)
        .capsule((-0.1, 0, -0.15), (0, 0, 0), 0.012, colour)
        .capsule((0.1, 0, -0.15), (0, 0, 0), 0.012, colour)
    )


def hang(person: Person, side: int, model: Model) -> Puppet:
    """A model that hangs from a hand, its length along the walk."""
    return model.pose(person.hand(side), rotation(person.motion.yaw))


def backpack(person: Person, rng: np.random.Generator) -> Puppet:
    """A pack on the back that leans with the trunk."""
    h = person.look.stature
    spine = person.joint("neck") - person.joint("pelvis")
    yaw = person.motion.yaw
    ahead = heading(yaw)
    lean = np.arctan2(np.sum(spine * ahead, axis=1), spine[:, 2])
    colour = stuff(rng)
    size = rng.uniform(0.8, 1.15)
    model = Model().box((0.1 * h * size, 0.17 * h, 0.25 * h * size), (-0.1 * h, 0, -0.01 * h), colour)
    model.box((0.05 * h, 0.13 * h, 0.1 * h), (-0.15 * h * size, 0, -0.06 * h), tint(colour, rng, 0.2))
    return model.pose(person.joint("chest"), rotation(yaw, lean))


def between_hands(person: Person, model: Model) -> Puppet:
    """A model held in both hands, its y axis from right hand to left."""
    left, right = person.hand(0), person.hand(1)
    across = left - right
    yaw = np.arctan2(-across[:, 0], across[:, 1])
    return model.pose((left + right) / 2.0, rotation(yaw))


def carton(size: tuple[float, float, float], rng: np.random.Generator) -> Model:
    """A box held from its sides."""
    return Model().box(size, (0.0, 0.0, 0.02), tint([0.42, 0.28, 0.14], rng) if rng.random() < 0.6 else stuff(rng))


def phone(person: Person, side: int, *, at_ear: bool, glow: float = 0.4) -> Puppet:
    """A bright slab of 0.15 m, flat in the palm or upright at the ear."""
    n = len(person.tracks)
    model = Model()
    size = (0.02, 0.05, 0.15) if at_ear else (0.15, 0.08, 0.015)
    model.box(size, (0.02, 0, 0.03), DARK if at_ear else STEEL)
    if not at_ear:
        model.face(
            [(-0.055, -0.04, 0.042), (0.095, -0.04, 0.042), (0.095, 0.04, 0.042), (-0.055, 0.04, 0.042)],
            (0.7, 0.75, 0.8),
            glow=glow,
        )
    return model.pose(person.hand(side), rotation(person.motion.yaw, np.full(n, 0.0 if at_ear else -0.5)))


def pole(rng: np.random.Generator) -> Model:
    """A long tool, 1.5 m: broom, rake or detector; +x is its working end, the hands are near its origin."""
    model = Model().capsule((-0.45, 0, 0), (1.05, 0, 0), 0.02, tint([0.4, 0.25, 0.1], rng))
    if rng.random() < 0.5:
        return model.box((0.08, 0.4, 0.1), (1.07, 0, 0), stuff(rng))
    return model.capsule((1.0, -0.12, 0), (1.0, 0.12, 0), 0.06, DARK)


def blower(rng: np.random.Generator) -> Model:
    """A leaf blower: motor at the hand, nozzle of 1.1 m along +x."""
    return (
        Model()
        .capsule((-0.15, 0, -0.05), (0.1, 0, -0.05), 0.11, stuff(rng))
        .capsule((0.1, 0, -0.03), (1.0, 0, -0.05), 0.05, DARK)
    )


def trolley(rng: np.random.Generator) -> Model:
    """A wheeled case standing on its wheels at the origin, its handle up along +z, leaned by its pose."""
    colour = stuff(rng)
    model = Model().box((0.28, 0.42, 0.6), (0.0, 0, 0.38), colour)
    for y in (-0.15, 0.15):
        model.capsule((0, y, 0.68), (0, y, 1.05), 0.012, STEEL).capsule((-0.08, y, 0.05), (-0.08, y, 0.05), 0.05, DARK)
    return model.capsule((0, -0.15, 1.05), (0, 0.15, 1.05), 0.016, STEEL)


def cart(rng: np.random.Generator) -> Model:
    """A four-wheeled cart, its handle bar at x = -0.5, z = 1.0, its load ahead."""
    model, colour = Model(), stuff(rng)
    if rng.random() < 0.5:  # shopping trolley
        for y in (-0.26, 0.26):
            model.face([(-0.4, y, 0.5), (0.45, y, 0.55), (0.5, y, 0.95), (-0.45, y, 0.95)], (0.4, 0.42, 0.44))
        model.face([(-0.4, -0.26, 0.5), (0.45, -0.26, 0.55), (0.45, 0.26, 0.55), (-0.4, 0.26, 0.5)], (0.25, 0.26, 0.28))
        model.face([(0.45, -0.26, 0.55), (0.5, -0.26, 0.95), (0.5, 0.26, 0.95), (0.45, 0.26, 0.55)], (0.4, 0.42, 0.44))
        model.box((0.5, 0.4, 0.3), (0.0, 0, 0.75), colour)
    else:  # platform truck
        model.box((0.95, 0.6, 0.08), (0.05, 0, 0.22), STEEL).box((0.7, 0.5, 0.5), (0.1, 0, 0.52), colour)
    for y in (-0.26, 0.26):
        model.capsule((-0.45, y, 0.22), (-0.5, y, 1.0), 0.016, STEEL)
        for x in (-0.35, 0.42):
            model.capsule((x, y, 0.08), (x, y, 0.08), 0.08, DARK).capsule((x, y, 0.1), (x, y, 0.5), 0.014, STEEL)
    return model.capsule((-0.5, -0.28, 1.0), (-0.5, 0.28, 1.0), 0.02, DARK)


def stroller(rng: np.random.Generator) -> Model:
    """A pushchair: handle at x = -0.5, z = 1.0, seat and hood ahead on four wheels."""
    colour, model = stuff(rng), Model()
    model.capsule((0.0, 0, 0.45), (0.3, 0, 0.4), 0.16, DARK).capsule((-0.1, 0, 0.85), (0.08, 0, 0.9), 0.2, colour)
    model.capsule((-0.12, 0, 0.5), (-0.12, 0, 0.8), 0.16, colour)
    for y in (-0.22, 0.22):
        model.capsule((-0.5, y, 1.0), (0.3, y, 0.15), 0.015, STEEL).capsule(
            (-0.12, y, 0.6), (-0.3, y, 0.15), 0.015, STEEL
        )
        for x in (-0.3, 0.32):
            model.capsule((x, y, 0.1), (x, y, 0.1), 0.1, DARK)
    return model.capsule((-0.5, -0.22, 1.0), (-0.5, 0.22, 1.0), 0.018, DARK)


def skateboard(rng: np.random.Generator) -> Model:
    """A board of 0.8 m, its deck at z = 0.1."""
    model = Model().box((0.8, 0.22, 0.03), (0, 0, 0.1), stuff(rng))
    for x in (-0.28, 0.28):
        model.capsule((x, -0.08, 0.04), (x, 0.08, 0.04), 0.04, (0.5, 0.5, 0.45))
    return model


def dog(xy: Array, yaw: Array, rng: np.random.Generator) -> tuple[Puppet, Array]:
    """A dog that trots along a path, and its collar (n, 3)."""
    _n, size = len(xy), rng.uniform(0.75, 1.25)
    colour = tint([[0.3, 0.18, 0.08], [0.02, 0.02, 0.02], [0.6, 0.55, 0.45]][rng.integers(3)], rng)
    speed = np.linalg.norm(np.gradient(xy, axis=0), axis=1) * FPS
    phase = np.cumsum(2 * np.pi * (0.4 + speed / (0.75 * size)) / FPS) * np.minimum(1.0, 1.0)
    bob = 0.015 * np.sin(2 * phase) * np.minimum(1.0, speed)
    position = np.concatenate([xy, bob[:, None]], axis=1)
    turned = rotation(yaw)
    body = Model().capsule(
        (-0.25 * size, 0, 0.42 * size), (0.22 * size, 0, 0.44 * size), 0.1 * size, colour, 0.12 * size
    )
    body.capsule((0.25 * size, 0, 0.5 * size), (0.36 * size, 0, 0.62 * size), 0.07 * size, colour)
    body.capsule((0.36 * size, 0, 0.64 * size), (0.5 * size, 0, 0.6 * size), 0.075 * size, colour, 0.04 * size)
    body.capsule((-0.3 * size, 0, 0.48 * size), (-0.45 * size, 0, 0.65 * size), 0.025 * size, colour)
    legs = []
    for x, y, lag in ((0.2, 0.08, 0.0), (0.2, -0.08, np.pi), (-0.22, 0.08, np.pi), (-0.22, -0.08, 0.0)):
        leg = Model().capsule((0, 0, 0), (0, 0, -0.36 * size), 0.045 * size, colour, 0.03 * size)
        hip = position + np.einsum("nij,j->ni", turned, np.array([x, y, 0.4]) * size)
        legs.append(leg.pose(hip, rotation(yaw, 0.5 * np.sin(phase + lag) * np.minimum(1.0, speed))))
    collar = position + np.einsum("nij,j->ni", turned, np.array([0.3, 0.0, 0.58]) * size)
    return merge(body.pose(position, turned), *legs), collar


def cord(a: Array, b: Array, radius: float = 0.008, colour: Colour = DARK) -> Puppet:
    """A straight line between two tracks (n, 3): a leash, a tow rope."""
    model = Model().capsule((0, 0, 0), (1, 0, 0), radius, colour)
    basis = np.zeros((len(a), 3, 3))
    basis[:, :, 0] = b - a  # x carries the whole line; y and z are not drawn
    return model.pose(a, basis)


def bench() -> Model:
    """A bench, its seat at 0.45 m and its back on the -x side."""
    model = (
        Model()
        .box((0.45, 1.6, 0.06), (0, 0, 0.45), (0.22, 0.12, 0.05))
        .box((0.06, 1.6, 0.4), (-0.24, 0, 0.75), (0.22, 0.12, 0.05))
    )
    for y in (-0.65, 0.65):
        model.box((0.4, 0.07, 0.42), (0, y, 0.21), DARK)
    return model


def meter(rng: np.random.Generator) -> Model:
    """A parking meter or ticket machine, its face at 1.2 m towards +x."""
    if rng.random() < 0.5:
        return (
            Model()
            .capsule((0, 0, 0), (0, 0, 1.1), 0.04, STEEL)
            .capsule((0, 0, 1.15), (0, 0, 1.35), 0.1, (0.12, 0.13, 0.15))
        )
    colour = stuff(rng)
    screen = [(0.16, -0.15, 1.1), (0.16, 0.15, 1.1), (0.16, 0.15, 1.35), (0.16, -0.15, 1.35)]
    return Model().box((0.3, 0.45, 1.6), (0, 0, 0.8), colour).face(screen, (0.5, 0.55, 0.6), glow=0.2)


def dumpster(rng: np.random.Generator) -> Model:
    """A waste container with a dark lid, 1.1 m high."""
    colour = tint([0.04, 0.14, 0.07], rng)
    return Model().box((1.1, 1.7, 1.05), (0, 0, 0.58), colour).box((1.15, 1.75, 0.06), (0, 0, 1.13), DARK)
