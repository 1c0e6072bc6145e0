"""What stands still: buildings, trees, lamps, benches, a bus shelter, columns, parked cars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tinylib.synth.filming.render import Pack
from tinylib.synth.places.primitives import Capsule, Face, Shape
from tinylib.synth.vehicles.vehicles import DARK, KINDS, Vehicle, paint, parked, pick, shares

Array = NDArray[np.float64]
Spot = tuple[float, float]


@dataclass(frozen=True)
class Static:
    """One standing thing: groups of shapes drawn one after the other, and the disc of ground that it takes."""

    at: Spot
    radius: float  # m; 0 for what nobody reaches
    groups: tuple[tuple[Shape, ...] | Pack, ...]
    casts: bool = True  # a shadow


def _frame(spot: Spot, turn: float) -> tuple[Array, Array, Array]:
    c, s = math.cos(turn), math.sin(turn)
    return np.array((*spot, 0.0)), np.array((c, s, 0.0)), np.array((-s, c, 0.0))


def _up(point: Array, height: float) -> Array:
    return np.asarray(point + np.array((0.0, 0.0, height)))


def block(spot: Spot, turn: float, size: Sequence[float], colour: Array, base: float = 0.0) -> list[Shape]:
    """A box (length, width, height) standing at `base`, its corners wound outwards."""
    origin, along, across = _frame(spot, turn)
    half_l, half_w = size[0] / 2 * along, size[1] / 2 * across
    ring = [origin - half_l - half_w, origin + half_l - half_w, origin + half_l + half_w, origin - half_l + half_w]
    low = [_up(p, base) for p in ring]
    high = [_up(p, base + size[2]) for p in ring]
    tint = (float(colour[0]), float(colour[1]), float(colour[2]))
    sides: list[Shape] = [
        Face(np.array((low[i], low[(i + 1) % 4], high[(i + 1) % 4], high[i])), tint, False) for i in range(4)
    ]
    return [*sides, Face(np.array(high), tint, False)]


def building(
    rng: np.random.Generator, spot: Spot, turn: float, length: float, width: float, height: float
) -> list[Static]:
    """A plain block with rows of windows and a door on the sides that face the view."""
    tones = np.array(((0.42, 0.3, 0.22), (0.5, 0.48, 0.43), (0.3, 0.16, 0.11), (0.36, 0.37, 0.39), (0.55, 0.5, 0.4)))
    colour = tones[rng.integers(len(tones))] * rng.uniform(0.8, 1.15)
    body = block(spot, turn, (length, width, height), colour)
    origin, along, across = _frame(spot, turn)
    glass: list[Shape] = []
    bay, storey = rng.uniform(2.6, 4.0), rng.uniform(3.0, 3.8)
    wide, tall = bay * rng.uniform(0.4, 0.75), storey * rng.uniform(0.4, 0.6)
    for right, out, reach, span in ((along, -across, width / 2, length), (-across, -along, length / 2, width),
                                    (across, along, length / 2, width)):  # fmt: skip
        front = origin + out * (reach + 0.05)
        for level in range(max(1, int(height // storey))):
            for n in range(int(span // bay)):
                offset = (n + 0.5) * bay - int(span // bay) * bay / 2
                foot = level * storey + 1.0
                foot, top = (0.0, 2.3) if level == 0 and n % 5 == 2 else (foot, min(foot + tall, height))
                tone = float(rng.uniform(0.02, 0.12))
                a, b = front + right * (offset - wide / 2), front + right * (offset + wide / 2)
                corners = np.array((_up(a, foot), _up(b, foot), _up(b, top), _up(a, top)))
                glass.append(Face(corners, (tone, tone * 1.1, tone * 1.25), False))
    return [Static(spot, 0.0, (tuple(body), tuple(glass)))]


def wall(
    rng: np.random.Generator, spot: Spot, turn: float, length: float, height: float, colour: Array
) -> list[Static]:
    """A long inner wall with a skirting, doors and notice boards; its face looks to -across of `turn`."""
    origin, along, across = _frame(spot, turn)
    face = origin - across * 0.05

    def quad(x0: float, x1: float, z0: float, z1: float, tint: Array, lift: float) -> Face:
        a, b = face + along * x0 - across * lift, face + along * x1 - across * lift
        corners = np.array((_up(a, z0), _up(b, z0), _up(b, z1), _up(a, z1)))
        return Face(corners, (float(tint[0]), float(tint[1]), float(tint[2])))

    half = length / 2
    flat = [quad(-half, half, 0, height, colour, 0), quad(-half, half, 0, 0.15, colour * 0.4, 0.01)]
    fittings: list[Shape] = []
    x = -length / 2 + rng.uniform(1, 4)
    while x < length / 2 - 3:
        if rng.random() < 0.5:
            tint = np.array((0.2, 0.13, 0.08)) * rng.uniform(0.6, 1.6)
            fittings += [quad(x, x + 1.9, 0, 2.25, tint, 0.02), quad(x + 0.92, x + 0.98, 0, 2.2, tint * 0.4, 0.03)]
        else:
            tint = rng.uniform(0.1, 0.6, 3)
            fittings.append(quad(x, x + rng.uniform(1, 2.6), 1.2, 2.3, tint, 0.02))
        x += rng.uniform(3, 8)
    return [Static(spot, 0.0, (tuple(flat), tuple(fittings)), casts=False)]


def column(rng: np.random.Generator, spot: Spot, colour: Array) -> Static:
    tint = (float(colour[0]) * 0.9, float(colour[1]) * 0.9, float(colour[2]) * 0.9)
    width = float(rng.uniform(0.2, 0.35))
    bottom, top = np.array((*spot, 0.0)), np.array((*spot, 8.0))
    return Static(spot, width, ((Capsule(bottom, top, width, width, tint),),))


def lamp(rng: np.random.Generator, spot: Spot) -> Static:
    """A tall pole with an arm: the thin occluder of every parking lot."""
    high, tint = float(rng.uniform(6, 9)), (0.25, 0.26, 0.27)
    foot, top = np.array((*spot, 0.0)), np.array((*spot, high))
    turn = rng.uniform(0, 2 * math.pi)
    tip = top + np.array((math.cos(turn) * 1.6, math.sin(turn) * 1.6, 0.15))
    base = Capsule(foot, _up(foot, 0.5), 0.22, 0.22, (0.4, 0.4, 0.38))
    arm = (Capsule(top, tip, 0.05, 0.05, tint), Capsule(tip, _up(tip, -0.08), 0.16, 0.16, tint))
    return Static(spot, 0.3, ((base, Capsule(foot, top, 0.1, 0.06, tint), *arm),))


def tree(rng: np.random.Generator, spot: Spot, size: float = 1.0) -> Static:
    """A trunk under a cloud of leaves."""
    high, spread = rng.uniform(4.5, 8) * size, rng.uniform(1.6, 3.0) * size
    foot = np.array((*spot, 0.0))
    trunk = Capsule(foot, _up(foot, high * 0.6), 0.16 * size, 0.1 * size, (0.1, 0.07, 0.045))
    green = np.array((0.05, 0.09, 0.025)) * rng.uniform(0.7, 1.3) * (1 + rng.normal(0, 0.1, 3))
    direction = rng.normal(size=(150, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    place = direction * (rng.random((150, 1)) ** 0.45) * (spread, spread, spread * 1.15) + foot + (0, 0, high * 0.72)
    bright, size_of = rng.uniform([(0.7, 0.22)] * 150, [(1.35, 0.5)] * 150).T
    tone = green * bright[:, None] * (0.75 + 0.25 * (place[:, 2:] - high * 0.5) / spread)
    radius, none = size_of * spread / 2.2, np.zeros(0)
    leaves = Pack(
        np.stack((place, place), axis=1), np.stack((radius, radius), axis=1), np.clip(tone, 0.005, 1),
        none.reshape(0, 3, 3), none.reshape(0, 3), none, none.astype(bool), np.zeros(150, np.int64),
        none.astype(np.int64), (),
    )  # fmt: skip
    return Static(spot, 0.5, ((trunk,), leaves))


def bench(rng: np.random.Generator, spot: Spot, turn: float) -> Static:
    wood = np.array((0.28, 0.17, 0.09)) * rng.uniform(0.7, 1.3)
    _, _, across = _frame(spot, turn)
    back = (spot[0] + 0.22 * across[0], spot[1] + 0.22 * across[1])
    shapes = [*block(spot, turn, (1.6, 0.45, 0.06), wood, 0.42), *block(back, turn, (1.6, 0.05, 0.4), wood, 0.45)]
    for offset in (-0.6, 0.6):
        leg = (spot[0] + offset * math.cos(turn), spot[1] + offset * math.sin(turn))
        shapes = [*block(leg, turn, (0.08, 0.4, 0.42), np.array((0.1, 0.1, 0.1))), *shapes]
    return Static(spot, 1.0, (tuple(shapes),))


def bus_shelter(rng: np.random.Generator, spot: Spot, turn: float) -> list[Static]:
    """A glazed back wall, a roof on posts and a bench."""
    _, along, across = _frame(spot, turn)
    metal = np.array((0.2, 0.24, 0.28)) * rng.uniform(0.7, 1.4)

    def at(x: float, y: float) -> Spot:
        return float(spot[0] + x * along[0] + y * across[0]), float(spot[1] + x * along[1] + y * across[1])

    posts = [s for x in (-2.4, 0.0, 2.4) for s in block(at(x, 0.7), turn, (0.08, 0.08, 2.4), metal)]
    back = block(at(0, 0.75), turn, (4.8, 0.04, 1.9), np.array((0.3, 0.36, 0.38)), 0.3)
    roof = block(at(0, 0.2), turn, (5.4, 1.9, 0.12), metal, 2.4)
    seat = bench(rng, at(0, 0.3), turn)
    return [Static(spot, 2.9, (tuple(back), *seat.groups, tuple(posts), tuple(roof)))]


def parked_car(rng: np.random.Generator, spot: Spot, turn: float) -> Static:
    """A car of the moving kind, at rest."""
    name = _PARKED[pick(rng, _SHARES)]
    colour = np.array(paint(rng, name))
    dark = bool(sum(colour.tolist()) < DARK)
    origin, along, across = _frame(spot, turn)
    axes = np.array((along, across, (0.0, 0.0, 1.0)))
    car, limbs, panels = _unpainted(name, dark)
    ends = (car.ends.reshape(-1, 1, 3) @ axes).reshape(car.ends.shape) + origin
    tints, coats = car.tint.copy(), car.paint.copy()
    tints[limbs], coats[panels] = colour, colour
    return Static(spot, 2.1, (replace(car, ends=ends, corners=car.corners @ axes + origin, tint=tints, paint=coats),))


_PARKED = ("sedan", "suv", "pickup", "van")
_SHARES = shares((0.5, 0.3, 0.1, 0.1))


@lru_cache
def _unpainted(name: str, dark: bool) -> tuple[Pack, NDArray[np.bool_], NDArray[np.bool_]]:
    """A car at the origin, and which of its limbs and panels are to be painted.

    What a dark car shows inside differs from a light one.
    """
    blank = (-1.0, 0.0, 0.0) if dark else (2.0, 0.0, 0.0)  # no real paint: stands for that of a dark or a light car
    car = Pack.of([Vehicle(KINDS[name], parked(2), blank).at(0.0).shapes])
    return car, (car.tint == blank).all(1), (car.paint == blank).all(1)
