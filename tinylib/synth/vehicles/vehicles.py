"""Cars, vans, buses, carts, bicycles and trailers: panels, wheels, hinged doors and lids on a kinematic-bicycle path.

Body frame: origin on the ground under the middle of the wheelbase, x forward, y left, z up; metres and radians.
Panels are quads, so that a painter's renderer may order them by their middles.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tinylib.synth.people.actors import Model, Puppet, merge, rotation, tint
from tinylib.synth.people.gait import FPS
from tinylib.synth.places.primitives import Array, Colour

GLASS: Colour = (0.03, 0.04, 0.05)
RUBBER: Colour = (0.012, 0.012, 0.012)
INSIDE: Colour = (0.015, 0.014, 0.013)
_TRIM: Colour = (0.17, 0.14, 0.11)  # of the inside of dark cars, so that an open door is seen
DARK = 0.4  # sum of the channels of a paint under which a car is dark
_PAINT = [[0.8, 0.8, 0.8], [0.5, 0.5, 0.5], [0.02, 0.02, 0.025], [0.15, 0.15, 0.16], [0.4, 0.02, 0.02],
          [0.03, 0.08, 0.3],
          [0.25, 0.22, 0.15], [0.03, 0.12, 0.06]]  # fmt: skip


def shares(weights: Sequence[float]) -> NDArray[np.float64]:
    """Cumulated, for `pick`."""
    total = np.cumsum(weights)
    return np.asarray(total / total[-1])


def pick(rng: np.random.Generator, cumulated: NDArray[np.float64]) -> int:
    """What `rng.choice(n, p=weights)` draws, eight times as fast."""
    return int(cumulated.searchsorted(rng.random(), side="right"))


_COMMON = shares((0.25, 0.2, 0.15, 0.12, 0.09, 0.09, 0.06, 0.04))  # of `_PAINT`


@dataclass(frozen=True, slots=True)
class Kind:
    """The side profile of a type of vehicle."""

    name: str
    width: float
    wheelbase: float
    wheel: float  # radius
    deck: tuple[tuple[float, float], ...]  # (x, z) of bonnet, belt line and boot, front to rear
    cabin: tuple[float, float, float, float]  # x of windscreen foot and top, rear window top and foot
    roof: float
    doors: tuple[float, float, float]  # x of the front door's hinge, of the pillar, of the rear door's end; equal: none
    lid: tuple[tuple[float, float], tuple[float, float]] | None = None  # (x, z) of the lid's hinge and of its edge
    bed: bool = False
    open_cabin: bool = False


KINDS: dict[str, Kind] = {
    k.name: k
    for k in (
        Kind("sedan", 1.8, 2.7, 0.32, ((2.3, 0.6), (2.2, 0.76), (1.0, 0.93), (-1.65, 0.96), (-2.2, 0.93), (-2.3, 0.65)),
             (1.0, 0.25, -0.95, -1.65), 1.43, (0.92, -0.1, -0.98), ((-1.62, 0.97), (-2.24, 0.93))),
        Kind("suv", 1.9, 2.75, 0.37, ((2.3, 0.7), (2.2, 0.95), (1.1, 1.08), (-2.2, 1.1), (-2.3, 0.8)),
             (1.1, 0.5, -1.95, -2.22), 1.75, (0.98, -0.05, -0.95), ((-1.97, 1.74), (-2.31, 0.75))),
        Kind("pickup", 1.95, 3.4, 0.39, ((2.6, 0.7), (2.5, 1.0), (1.35, 1.1), (-2.75, 1.1), (-2.8, 0.8)),
             (1.35, 0.75, -0.5, -0.65), 1.82, (1.2, 0.2, -0.6), None, bed=True),
        Kind("van", 2.0, 3.1, 0.35, ((2.5, 0.7), (2.4, 1.05), (2.0, 1.15), (-2.5, 1.15), (-2.55, 0.7)),
             (2.0, 1.35, -2.45, -2.5), 2.15, (1.75, 0.65, 0.65), ((-2.44, 2.13), (-2.56, 0.7))),
        Kind("bus", 2.5, 6.0, 0.48, ((5.4, 0.8), (5.35, 1.3), (-5.35, 1.3), (-5.4, 0.8)),
             (5.35, 5.2, -5.25, -5.35), 3.0, (4.6, 4.6, 4.6)),
        Kind("cart", 1.25, 1.7, 0.22, ((1.2, 0.45), (1.1, 0.75), (0.55, 0.8), (-1.1, 0.75), (-1.15, 0.5)),
             (0.6, 0.35, -0.85, -0.95), 1.8, (0.3, 0.3, 0.3), open_cabin=True),
    )
}  # fmt: skip


@dataclass(slots=True)
class Drive:
    """Where a vehicle is, frame by frame, and how its parts stand."""

    xy: Array  # (n, 2) middle of the wheelbase
    yaw: Array  # (n,)
    speed: Array  # (n,) m/s, negative in reverse
    steer: Array  # (n,) front wheel angle, left positive
    doors: Mapping[str, Array] = field(default_factory=dict)  # 'fl', 'fr', 'rl', 'rr', 'lid' -> opening angle (n,)
    lamps: Array | None = None  # (n,) 1 while the brake lights are on; None never
    pitch: Array | float = 0.0  # nose down positive

    def shifted(self, by: Array) -> Drive:
        """The same drive moved on the ground by (2,) metres."""
        return replace(self, xy=self.xy + by)


def drive(speed: Array, yaw_rate: Array, *, yaw: float = 0.0, wheelbase: float = 2.7) -> Drive:
    """The kinematic bicycle: positions and steering from speed (n,) m/s and yaw rate (n,) rad/s, about the origin."""
    turn = yaw + np.concatenate([[0.0], np.cumsum((yaw_rate[1:] + yaw_rate[:-1]) / 2.0)]) / FPS
    step = speed[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1) / FPS
    xy = np.concatenate([np.zeros((1, 2)), np.cumsum((step[1:] + step[:-1]) / 2.0, axis=0)])
    steer = np.arctan2(yaw_rate * wheelbase, np.maximum(np.abs(speed), 0.5)) * np.where(speed < 0, -1.0, 1.0)
    braking = np.gradient(speed) * FPS
    pitch = np.clip(-0.012 * np.convolve(np.pad(braking, 4, mode="edge"), np.ones(9) / 9.0, mode="valid"), -0.03, 0.03)
    return Drive(xy - (xy.max(0) + xy.min(0)) / 2.0, turn, speed, np.clip(steer, -0.6, 0.6), pitch=pitch)


def parked(n: int, xy: tuple[float, float] = (0.0, 0.0), yaw: float = 0.0) -> Drive:
    """A vehicle that stands still."""
    return Drive(np.tile(np.asarray(xy, dtype=np.float64), (n, 1)), np.full(n, yaw), np.zeros(n), np.zeros(n))


class Vehicle(Puppet):
    """A vehicle of a `Kind` on a `Drive`; its anchors (handles, seats, boot) can be asked for in the world."""

    def __init__(self, kind: Kind, motion: Drive, paint: Colour) -> None:
        self.kind, self.motion = kind, motion
        n = len(motion.xy)
        self.position = np.concatenate([motion.xy, np.zeros((n, 1))], axis=1)
        self.rotation = rotation(motion.yaw, motion.pitch)
        parts = [_body(kind, paint).pose(self.position, self.rotation), *self._wheels(), *self._panels(paint)]
        if motion.lamps is not None:
            parts.append(self._lamps(motion.lamps))
        whole = merge(parts[0], *parts[1:])
        super().__init__(whole.tracks, whole.weights, whole.draws)

    def point(self, local: Array) -> Array:
        """A body-frame point (3,) or track (n, 3) in the world, (n, 3)."""
        local = np.broadcast_to(local, self.position.shape)
        return np.asarray(self.position + np.einsum("nij,nj->ni", self.rotation, local))

    def handle(self, door: str) -> Array:
        """The outer edge of a door or lid, where a hand takes it, (n, 3) in the world."""
        hinge, edge = self.hinge(door)
        hold = edge * np.array([1.0, 1.0, 0.0]) + np.array([0.0, 0.0, 0.92 - hinge[2]]) if door != "lid" else edge
        return self.point(hinge + np.einsum("nij,j->ni", self._swing(door), hold))

    def hinge(self, door: str) -> tuple[Array, Array]:
        """A door's hinge and the offset from it to the far edge when closed, both (3,) in the body frame."""
        k = self.kind
        if door == "lid":
            assert k.lid is not None
            (x0, z0), (x1, z1) = k.lid
            return np.array([x0, 0.0, z0]), np.array([x1 - x0, 0.0, z1 - z0])
        x0, x1 = k.doors[:2] if door[0] == "f" else k.doors[1:]
        side = k.width / 2.0 + 0.01
        return np.array([x0, side if door[1] == "l" else -side, 0.3]), np.array([x1 - x0 + 0.06, 0.0, 0.0])

    def _swing(self, door: str) -> Array:
        angle = np.broadcast_to(self.motion.doors.get(door, np.zeros(1)), (len(self.position),))
        if door == "lid":
            return rotation(np.zeros(1), angle)
        return rotation(angle * (-1.0 if door[1] == "l" else 1.0))

    def _panels(self, paint: Colour) -> list[Puppet]:
        """The hinged doors and the lid."""
        k = self.kind
        names = [door for door, (a, b) in {"f": k.doors[:2], "r": k.doors[1:]}.items() if a > b]
        puppets = []
        for door in [name + side for name in names for side in "lr"] + (["lid"] if k.lid else []):
            hinge, edge = self.hinge(door)
            model = Model()
            if door == "lid":
                (half, tall) = (k.width / 2.0 - 0.15, abs(edge[2]) > 0.3)
                a, b, middle = np.zeros(3), edge, edge * 0.45
                across = np.array([0.0, half, 0.0])
                model.face([a + across, a - across, middle - across, middle + across], GLASS if tall else paint)
                model.face([middle + across, middle - across, b - across, b + across], paint)
            else:
                span, belt, inward = (
                    edge[0] + 0.04,
                    _belt(k, hinge[0] + edge[0] / 2) - 0.3,
                    -0.16 if door[1] == "l" else 0.16,
                )
                high, lean = k.roof - 0.38, 0.28 * (1 if door[0] == "f" and k.name != "van" else 0)
                skin = [(0, 0, 0), (span, 0, 0), (span, 0, belt), (0, 0, belt)]  # counter-clockwise from the left
                outer, inner = (skin, skin[::-1]) if inward < 0 else (skin[::-1], skin)
                model.face(outer, paint, closed=True)
                model.face(inner, _inside(paint), closed=True)
                model.face([(0, 0, belt), (span, 0, belt), (span, inward, high), (-lean - 0.15, inward, high)], GLASS)
                model.capsule((span + 0.06, 0, 0.6), (span + 0.16, 0, 0.6), 0.015, (0.3, 0.3, 0.3))
            angle = np.einsum("nij,njk->nik", self.rotation, np.broadcast_to(self._swing(door), self.rotation.shape))
            puppets.append(model.pose(self.point(hinge), angle))
        return puppets

    def _wheels(self) -> list[Puppet]:
        k, m = self.kind, self.motion
        roll = np.concatenate([[0.0], np.cumsum(m.speed[1:] / FPS)]) / k.wheel
        puppets = []
        for x in (k.wheelbase / 2, -k.wheelbase / 2):
            for side in (1.0, -1.0):
                y = side * (k.width / 2.0 + 0.02)
                local = rotation(m.steer if x > 0 else np.zeros(len(roll)))
                spin = np.einsum("nij,njk->nik", local, rotation(np.zeros(len(roll)), roll))
                hub = self.point(np.array([x, y, k.wheel]))
                puppets.append(_wheel(k.wheel, side).pose(hub, np.einsum("nij,njk->nik", self.rotation, spin)))
        return puppets

    def _lamps(self, lit: Array) -> Puppet:
        k = self.kind
        x, z = k.deck[-1]
        model = Model()
        for side in (1.0, -1.0):
            y = side * (k.width / 2.0 - 0.2)
            quad = [(-0.04, y + dy, dz) for dy, dz in ((-0.16, -0.07), (-0.16, 0.07), (0.16, 0.07), (0.16, -0.07))]
            model.face(quad, (0.9, 0.03, 0.02), closed=True, glow=0.8)
        return model.pose(self.point(np.array([x, 0.0, z + 0.06])), self.rotation * lit[:, None, None])


def _wheel(radius: float, side: float) -> Model:
    """A tyre with a dark spoke across its hub, which faces `side`."""
    model = Model()

    def slab(
        r: float, low: tuple[float, float], high: tuple[float, float], y: float, colour: Colour, turn: float = 0.0
    ) -> None:
        c, s = np.cos(turn), np.sin(turn)
        corners = [(-low[1], low[0]), (low[1], low[0]), (high[1], high[0]), (-high[1], high[0])]
        model.face([(r * (c * a - s * b), y, r * (s * a + c * b)) for a, b in corners], colour)

    for r, y, colour in (
        (radius, 0.0, RUBBER),
        (0.6 * radius, side * 0.015, (0.3, 0.3, 0.3)),
    ):  # octagons of three quads
        for low, high in (((-0.98, 0.41), (-0.41, 0.98)), ((-0.41, 0.98), (0.41, 0.98)), ((0.41, 0.98), (0.98, 0.41))):
            slab(r, low, high, y, colour)
    slab(0.6 * radius, (-1.0, 0.22), (1.0, 0.22), side * 0.02, (0.03, 0.03, 0.03), 0.6)
    return model


def _inside(paint: Colour) -> Colour:
    return _TRIM if sum(paint) < DARK else INSIDE


def _belt(k: Kind, x: float) -> float:
    xs, zs = zip(*reversed(k.deck), strict=True)
    return float(np.interp(x, xs, zs))


def _body(k: Kind, paint: Colour) -> Model:
    """Bonnet, boot, sides with dark door openings, cabin with glass, lamps."""
    model, half = Model(), k.width / 2.0
    front, rear, sill, floor = k.deck[0][0], k.deck[-1][0], 1.7 * k.wheel, 0.75 * k.wheel
    for (x0, z0), (x1, z1) in zip(k.deck, k.deck[1:], strict=False):
        pieces = np.linspace(0.0, 1.0, max(2, int((x0 - x1) / 0.45) + 1))
        for a, b in itertools.pairwise(pieces):
            p, q = (x0 + a * (x1 - x0), z0 + a * (z1 - z0)), (x0 + b * (x1 - x0), z0 + b * (z1 - z0))
            middle = (p[0] + q[0]) / 2.0
            if k.cabin[3] < middle < k.cabin[0] and not k.open_cabin:
                continue  # under the cabin
            boot = k.name == "sedan" and k.lid is not None and k.lid[1][0] < middle < k.lid[0][0]
            sunk, wide = (0.15, half - 0.1) if boot else (0.0, half)  # below its lid
            left = [(x, wide, z - sunk) for x, z in (p, q)]
            top = [*left, *((x, -y, z) for x, y, z in reversed(left))]
            model.face(top, INSIDE if boot or (k.bed and z0 == z1) else paint, closed=True)
    for x, z, sign in ((front, k.deck[0][1], 1.0), (rear, k.deck[-1][1], -1.0)):
        end = [(x, -half, floor), (x, half, floor), (x, half, z), (x, -half, z)]
        model.face(end if sign > 0 else end[::-1], paint, closed=True)
        for y in (half - 0.2, -half + 0.2):
            light = (x + sign * 0.02, y, z - 0.02)
            quad = [
                (light[0], y + dy, light[2] + dz)
                for dy, dz in ((-0.16, -0.07), (0.16, -0.07), (0.16, 0.07), (-0.16, 0.07))
            ]
            model.face(
                quad if sign > 0 else quad[::-1], (0.7, 0.7, 0.6) if sign > 0 else (0.25, 0.01, 0.01), closed=True
            )
    _sides(model, k, paint, sill, floor)
    _cabin(model, k, paint)
    return model


def _sides(model: Model, k: Kind, paint: Colour, sill: float, floor: float) -> None:
    half = k.width / 2.0
    axles = (k.wheelbase / 2, -k.wheelbase / 2)
    arches = [axle + sign * 1.12 * k.wheel for axle in axles for sign in (1, -1)]
    doors = sorted({*k.doors}, reverse=True)
    cuts = {x for x, _ in k.deck} | set(arches) | (set(doors) if len(doors) > 1 else set())
    spans = sorted(cuts, reverse=True)

    def panel(
        x0: float, x1: float, low: float, tops: tuple[float, float], colour: Colour, inset: float, s: float
    ) -> None:
        y = s * (half - inset)
        quad = [(x0, y, low), (x0, y, tops[0]), (x1, y, tops[1]), (x1, y, low)]
        model.face(quad if s < 0 else quad[::-1], colour, closed=True)

    for side in (1.0, -1.0):
        for x0, x1 in itertools.pairwise(spans):
            middle, tops = (x0 + x1) / 2.0, (_belt(k, x0), _belt(k, x1))
            opening = len(doors) > 1 and doors[-1] < middle < doors[0]
            over_wheel = any(abs(middle - axle) < 1.1 * k.wheel for axle in axles)
            if opening:
                panel(x0, x1, 0.35, tops, _inside(paint), 0.25, side)
                panel(x0, x1, floor, (0.36, 0.36), paint, 0.0, side)
            else:
                panel(x0, x1, sill if over_wheel else floor, tops, paint, 0.0, side)


def _cabin(model: Model, k: Kind, paint: Colour) -> None:
    half, (x0, x1, x2, x3) = k.width / 2.0, k.cabin
    tops, narrow = k.roof, 0.16 if k.name in ("sedan", "suv", "pickup") else 0.06
    z0, z3 = _belt(k, x0), _belt(k, x3)
    if k.open_cabin:
        for x, foot in ((x1, x0), (x2, x3)):
            for y in (half - 0.1, 0.1 - half):
                model.capsule((foot, y, 0.75), (x, y, tops), 0.025, (0.2, 0.2, 0.2))
        model.box((x1 - x2 + 0.3, 2 * half, 0.06), ((x1 + x2) / 2, 0, tops), paint)
        model.box((0.5, 2 * half - 0.2, 0.35), (-0.35, 0, 0.75), (0.1, 0.08, 0.06))
        return

    def quad(a: tuple[float, float, float], b: tuple[float, float, float], colour: Colour) -> None:
        (xa, ya, za), (xb, yb, zb) = a, b
        model.face([(xa, ya, za), (xb, yb, zb), (xb, -yb, zb), (xa, -ya, za)], colour, closed=True)

    quad((x0, half - 0.04, z0), (x1, half - narrow, tops), GLASS)
    for u, v in ((0.0, 0.5), (0.5, 1.0)):
        quad((x1 + u * (x2 - x1), half - narrow, tops), (x1 + v * (x2 - x1), half - narrow, tops), paint)
    quad((x2, half - narrow, tops), (x3, half - 0.04, z3), GLASS if k.name != "van" else INSIDE)
    posts = [x1, *(d for d in sorted({*k.doors}, reverse=True) if x2 + 0.2 < d < x1 - 0.2), x2]
    feet = [x0, *posts[1:-1], x3]
    blind = k.name == "van"
    gap = 0.05  # width of a pillar
    for side in (1.0, -1.0):
        y0, y1 = side * (half - 0.03), side * (half - narrow)
        for i, ((u0, u1), (f0, f1)) in enumerate(zip(itertools.pairwise(posts), itertools.pairwise(feet), strict=True)):
            low, high = _belt(k, f0), _belt(k, f1)
            window = [(f0, y0, low), (u0, y1, tops - 0.04), (u1 + gap, y1, tops - 0.04), (f1 + gap, y0, high)]
            pillar = [(f1 + gap, y0, high), (u1 + gap, y1, tops), (u1, y1, tops), (f1, y0, high)]
            for corners, colour in ((window, paint if blind and i else GLASS), (pillar, paint)):
                model.face(corners if side < 0 else corners[::-1], colour, closed=True)


def paint(rng: np.random.Generator, kind: str) -> Colour:
    """A car colour, common ones first."""
    if kind == "bus" and rng.random() < 0.5:
        return tint([0.7, 0.45, 0.02], rng, 0.1)
    return tint(_PAINT[pick(rng, _COMMON)], rng)


def bicycle(motion: Drive, colour: Colour) -> Puppet:
    """Two spoked wheels and a frame; saddle 0.95 m, bars at (0.42, 1.02), cranks at (0, 0.28)."""
    n = len(motion.xy)
    position, turned = np.concatenate([motion.xy, np.zeros((n, 1))], axis=1), rotation(motion.yaw)
    frame, (rear, front, crank, seat, bar) = (
        Model(),
        ((-0.5, 0, 0.34), (0.55, 0, 0.34), (0, 0, 0.28), (-0.18, 0, 0.93), (0.42, 0, 1.0)),
    )
    for a, b in ((rear, crank), (crank, seat), (rear, seat), (crank, bar), (seat, bar), (front, bar)):
        frame.capsule(a, b, 0.02, colour)
    frame.capsule((-0.28, 0, 0.95), (-0.06, 0, 0.95), 0.045, RUBBER).capsule(
        (0.42, -0.26, 1.02), (0.42, 0.26, 1.02), 0.018, RUBBER
    )
    roll = np.concatenate([[0.0], np.cumsum(motion.speed[1:] / FPS)]) / 0.34
    wheel = Model()
    rim: list[tuple[float, float, float]] = [
        (0.34 * np.cos(a), 0.0, 0.34 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 9)
    ]
    for i in range(8):
        wheel.capsule(rim[i], rim[i + 1], 0.022, RUBBER)
    for i in (0, 2):
        wheel.capsule(rim[i], rim[i + 4], 0.007, (0.3, 0.3, 0.3))
    spin = np.einsum("nij,njk->nik", turned, rotation(np.zeros(n), roll))
    hubs = [position + np.einsum("nij,j->ni", turned, np.array(p)) for p in (rear, front)]
    return merge(frame.pose(position, turned), *(wheel.pose(hub, spin) for hub in hubs))


def trailer(towing: Vehicle, colour: Colour, load: bool) -> Puppet:
    """A two-wheeled trailer whose hitch follows the towing vehicle."""
    n = len(towing.position)
    hitch = towing.point(np.array([towing.kind.deck[-1][0] - 0.15, 0.0, 0.45]))[:, :2]
    length, yaw = 2.3, np.empty(n)
    yaw[0] = towing.motion.yaw[0]
    for i in range(1, n):  # the axle is pulled along the draw bar
        step = hitch[i] - hitch[i - 1]
        yaw[i] = yaw[i - 1] + (step[1] * np.cos(yaw[i - 1]) - step[0] * np.sin(yaw[i - 1])) / length
    turned = rotation(yaw)
    axle = np.concatenate([hitch, np.zeros((n, 1))], axis=1) - turned[:, :, 0] * length
    model = Model().box((2.4, 1.5, 0.5), (0.1, 0, 0.75), colour).capsule((1.2, 0, 0.45), (2.3, 0, 0.45), 0.05, RUBBER)
    if load:
        model.box((1.6, 1.2, 0.5), (0.1, 0, 1.25), (0.2, 0.15, 0.1))
    speed = np.gradient(np.sum(np.diff(axle, axis=0, prepend=axle[:1]) * turned[:, :, 0], axis=1).cumsum())
    spin = rotation(yaw, np.cumsum(speed) / 0.32)
    wheels = [
        _wheel(0.32, s).pose(axle + turned[:, :, 1] * (s * 0.82) + np.array([0, 0, 0.32]), spin) for s in (1.0, -1.0)
    ]
    return merge(model.pose(axle, turned), *wheels)
