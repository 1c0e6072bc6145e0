"""Who acts: puppets drawn from moving joints, and the person with gait, reach and clothes.

A puppet is a table of joint tracks and a weight matrix that makes every drawn point from them, so that a moment of an
actor costs one interpolation and one matrix product. Faces of closed solids are wound counter-clockwise as seen from
outside. A body faces +x at yaw 0, its left is +y.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tinylib.synth.people.gait import FPS, footsteps, heading, leftward, smooth, two_link, unit, wander
from tinylib.synth.places.primitives import ActorFrame, Array, Capsule, Colour, Face, Shape

SIDES = ("l", "r")
_LIMBS = ("shoulder", "elbow", "wrist", "hand", "hip", "knee", "ankle", "toe")
JOINTS = ("pelvis", "chest", "neck", "head", *(f"{side}_{name}" for side in SIDES for name in _LIMBS))
_HIDDEN = ("forward", "gaze")  # unit vectors from chest and head, carried as joints so that points stay linear in them


@dataclass(frozen=True, slots=True)
class Draw:
    """How the next `count` points become a shape: a capsule when `radii` is given, else a face."""

    count: int
    colour: Colour
    radii: tuple[float, float] | None = None
    two_sided: bool = True
    emission: float = 0.0


class Puppet:
    """Joint tracks (n, J, 3), weights (P, J) from joints to drawn points, and what to draw with them."""

    def __init__(self, tracks: Array, weights: Array, draws: Sequence[Draw], names: Sequence[str] = ()) -> None:
        self.tracks, self.weights, self.draws, self.names = tracks, weights, tuple(draws), tuple(names)

    def joints_at(self, time: float) -> Array:
        """(J, 3) at `time` in frames, linear between frames, held outside the clip."""
        time = min(max(time, 0.0), len(self.tracks) - 1.0)
        i = min(int(time), len(self.tracks) - 2)
        u = time - i
        return np.asarray(self.tracks[i] * (1.0 - u) + self.tracks[i + 1] * u)

    def at(self, time: float) -> ActorFrame:
        """The shapes and named joints at `time`."""
        joints = self.joints_at(time)
        points = self.weights @ joints
        shapes: list[Shape] = []
        i = 0
        for draw in self.draws:
            if draw.radii is None:
                shapes.append(Face(points[i : i + draw.count], draw.colour, draw.two_sided, draw.emission))
            else:
                shapes.append(Capsule(points[i], points[i + 1], *draw.radii, draw.colour))
            i += draw.count
        return ActorFrame(shapes, dict(zip(self.names, joints, strict=False)))

    def joint(self, name: str) -> Array:
        """The track (n, 3) of a named joint."""
        return np.asarray(self.tracks[:, self.names.index(name)])


def merge(first: Puppet, *others: Puppet) -> Puppet:
    """One actor from several puppets (a person and what it holds); the first one's joints keep their names."""
    everyone = (first, *others)
    rows = sum(p.weights.shape[0] for p in everyone)
    columns = sum(p.weights.shape[1] for p in everyone)
    weights = np.zeros((rows, columns))
    r = c = 0
    for p in everyone:
        weights[r : r + p.weights.shape[0], c : c + p.weights.shape[1]] = p.weights
        r, c = r + p.weights.shape[0], c + p.weights.shape[1]
    tracks = np.concatenate([p.tracks for p in everyone], axis=1)
    return Puppet(tracks, weights, [d for p in everyone for d in p.draws], first.names)


class Model:
    """A rigid thing in its own frame (x forward, y left, z up), to be posed over time."""

    def __init__(self) -> None:
        self.points: list[Array] = []
        self.draws: list[Draw] = []

    def capsule(self, a: Sequence[float], b: Sequence[float], radius: float, colour: Colour, end: float = 0.0) -> Model:
        """A limb from `a` to `b`; `end` is the radius at b (0: the same)."""
        self.points += [np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)]
        self.draws.append(Draw(2, colour, (radius, end or radius)))
        return self

    def face(
        self, points: Sequence[Sequence[float]], colour: Colour, *, closed: bool = False, glow: float = 0.0
    ) -> Model:
        """A convex polygon; `closed` faces are seen from their counter-clockwise side alone."""
        self.points += [np.asarray(p, dtype=np.float64) for p in points]
        self.draws.append(Draw(len(points), colour, None, not closed, glow))
        return self

    def prism(
        self, left: Sequence[Sequence[float]], right: Sequence[Sequence[float]], colours: Sequence[Colour]
    ) -> Model:
        """A closed convex solid between two like polygons; `colours`: left, right, then each strip."""
        a, b = np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)
        centre = np.concatenate([a, b]).mean(0)
        k = len(a)
        strips = [np.stack([a[i], a[(i + 1) % k], b[(i + 1) % k], b[i]]) for i in range(k)]
        for i, points in enumerate([a, b, *strips]):
            normal = np.cross(points[1] - points[0], points[2] - points[1])
            outward = points if normal @ (points.mean(0) - centre) >= 0 else points[::-1]
            self.face(list(outward), colours[min(i, len(colours) - 1)], closed=True)
        return self

    def box(self, size: Sequence[float], centre: Sequence[float], colour: Colour) -> Model:
        """A box of `size` (x, y, z) about `centre`."""
        x, y, z = (s / 2.0 for s in size)
        c = np.asarray(centre, dtype=np.float64)
        profile = np.array([[x, 0, z], [-x, 0, z], [-x, 0, -z], [x, 0, -z]])
        side = np.array([0.0, y, 0.0])
        return self.prism(list(profile + c + side), list(profile + c - side), [colour])

    def pose(self, position: Array, rotation: Array) -> Puppet:
        """The model carried along `position` (n, 3) and turned by `rotation` (n, 3, 3)."""
        local = np.stack(self.points)
        axes = np.swapaxes(rotation, 1, 2)  # rows are the images of x, y, z
        tracks = np.concatenate([position[:, None], position[:, None] + axes], axis=1)
        weights = np.concatenate([1.0 - local.sum(1, keepdims=True), local], axis=1)
        return Puppet(tracks, weights, self.draws)


def rotation(yaw: Array, pitch: Array | float = 0.0, roll: Array | float = 0.0) -> Array:
    """Rotations (n, 3, 3): roll about x, then pitch (nose down positive) about y, then yaw about z."""
    yaw, pitch, roll = np.broadcast_arrays(np.asarray(yaw, dtype=np.float64), pitch, roll)
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin))
    rows = [
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


@dataclass(frozen=True, slots=True)
class Look:
    """A person's build and clothes, drawn independently of what it does."""

    stature: float
    girth: float
    top: Colour
    bottom: Colour
    skin: Colour
    hair: Colour
    hat: bool
    skirt: bool
    vest: bool
    sleeves: bool


_CLOTHES = np.array(
    [[0.02, 0.02, 0.025], [0.03, 0.05, 0.12], [0.1, 0.12, 0.16], [0.28, 0.3, 0.32], [0.75, 0.75, 0.72],
     [0.35, 0.03, 0.03],
     [0.04, 0.16, 0.08], [0.5, 0.4, 0.25], [0.08, 0.2, 0.45], [0.6, 0.5, 0.1], [0.2, 0.1, 0.05], [0.45, 0.12, 0.25]]
)  # fmt: skip


def tint(colour: Sequence[float], rng: np.random.Generator, spread: float = 0.25) -> Colour:
    """The colour with its brightness and channels jittered by a factor of about 1 +- `spread`."""
    c = np.asarray(colour) * np.exp(rng.normal(0.0, spread)) * np.exp(rng.normal(0.0, 0.15 * spread, 3))
    r, g, b = (float(x) for x in np.clip(c, 0.004, 0.95))
    return (r, g, b)


def draw_look(rng: np.random.Generator) -> Look:
    """Stature N(1.70, 0.09) m; colours of clothes, skin and hair; a few hats, skirts and hi-vis vests."""
    skin = np.array([0.55, 0.33, 0.22]) * rng.choice([0.25, 0.5, 0.85, 1.1])
    vest = rng.random() < 0.06
    return Look(
        stature=float(np.clip(rng.normal(1.70, 0.09), 1.48, 1.95)),
        girth=float(np.clip(rng.normal(1.0, 0.1), 0.82, 1.25)),
        top=tint([0.75, 0.85, 0.05] if vest else _CLOTHES[rng.integers(len(_CLOTHES))], rng),
        bottom=tint(_CLOTHES[rng.integers(5)] if rng.random() < 0.7 else _CLOTHES[rng.integers(len(_CLOTHES))], rng),
        skin=tint(skin, rng, 0.1),
        hair=tint(
            [[0.01, 0.01, 0.01], [0.06, 0.03, 0.015], [0.3, 0.2, 0.08], [0.4, 0.4, 0.4]][
                rng.choice(4, p=[0.4, 0.35, 0.15, 0.1])
            ],
            rng,
        ),
        hat=bool(rng.random() < 0.15),
        skirt=bool(rng.random() < 0.1),
        vest=vest,
        sleeves=bool(rng.random() < 0.6),
    )


@dataclass(slots=True)
class Reach:
    """Where a hand goes: `target` (n, 3) in the world, chest or head frame, held with `weight` (n,) over the gait."""

    side: int  # 0 left, 1 right
    target: Array
    weight: Array
    frame: str = "world"  # 'world' | 'chest' (turns with the body) | 'head'
    elbow: Sequence[float] = (-0.5, 0.6, -1.0)  # pole in the chest frame, y outwards


@dataclass(slots=True)
class Motion:
    """What a body is asked to do; every track has one entry a frame."""

    xy: Array  # (n, 2) ground path of the pelvis
    yaw: Array  # (n,)
    lean: Array = field(default_factory=lambda: np.zeros(1))  # trunk pitch, forwards positive
    twist: Array = field(default_factory=lambda: np.zeros(1))  # chest yaw against pelvis
    drop: Array = field(default_factory=lambda: np.zeros(1))  # pelvis lowered by, metres
    nod: Array = field(default_factory=lambda: np.zeros(1))  # head pitch, down positive
    look: Array = field(default_factory=lambda: np.zeros(1))  # head yaw against chest
    swing: tuple[float, float] = (1.0, 1.0)  # arm swing of left and right, 1 natural
    reaches: list[Reach] = field(default_factory=list)
    feet: Array | None = None  # (n, 2, 3) ankles that replace the gait's (seat, pedals)
    feet_weight: Array = field(default_factory=lambda: np.ones(1))
    running: bool = False
    tempo: float = 1.0  # steps against the natural number

    @property
    def n(self) -> int:
        """Frames in the track."""
        return len(self.xy)


class Person(Puppet):
    """A body that carries out a `Motion` wearing a `Look` (segment lengths as shares of stature: Drillis & Contini)."""

    def __init__(self, motion: Motion, look: Look, rng: np.random.Generator) -> None:
        self.motion, self.look = motion, look
        tracks, self.planted = _solve(motion, look, rng)
        weights, draws = _dress(look)
        super().__init__(tracks, weights, draws, JOINTS)

    def hand(self, side: int) -> Array:
        """The track (n, 3) of a hand."""
        return self.joint(f"{SIDES[side]}_hand")


def _solve(m: Motion, look: Look, rng: np.random.Generator) -> tuple[Array, Array]:
    """Joint tracks (n, J + 2, 3) and the planted-toe mask (n, 2) of a motion."""
    n, h = m.n, look.stature
    lean, twist, drop, nod, gaze, feet_weight = (
        np.broadcast_to(a, (n,)) for a in (m.lean, m.twist, m.drop, m.nod, m.look, m.feet_weight)
    )
    feet = footsteps(m.xy, m.yaw, stature=h, running=m.running, tempo=m.tempo)
    ankles, toes = feet.ankles.copy(), feet.toes.copy()
    forward, left = heading(m.yaw), leftward(m.yaw)
    speed = np.linalg.norm(np.gradient(m.xy, axis=0), axis=1) * FPS
    still = np.exp(-((smooth(speed, 4.0) / 0.3) ** 2))
    sway = (
        np.stack([wander(rng, n, 0.018), wander(rng, n, 0.022)], axis=1)
        * (still * (1.0 - feet_weight * (m.feet is not None)))[:, None]
    )
    stance = smooth(feet.planted[:, 0] - feet.planted[:, 1], 3.0) * 0.02 * (1.0 - still)
    pelvis = np.zeros((n, 3))
    pelvis[:, :2] = m.xy + sway + (left[:, :2] * stance[:, None])
    if m.feet is not None:
        w = feet_weight[:, None, None]
        seat = np.asarray(m.feet)
        ankles = ankles * (1 - w) + seat * w
        toes = toes * (1 - w) + (seat + forward[:, None] * 0.115 * h - np.array([0, 0, 0.02 * h])) * w
    pelvis[:, 2] = _height(m, pelvis, ankles, feet.swinging, h, feet_weight) - drop
    # the hips turn with the leading foot, the shoulders against it
    lead = np.sum((ankles - pelvis[:, None]) * forward[:, None], axis=2)
    lead = smooth(lead - lead.mean(axis=1, keepdims=True), 2.0) * (1.0 - feet_weight * (m.feet is not None))[:, None]
    hip_yaw = m.yaw - 0.25 * (lead[:, 0] - lead[:, 1])
    chest_yaw = m.yaw + twist + 0.22 * (lead[:, 0] - lead[:, 1])
    pitch = lean + wander(rng, n, 0.012) + (0.14 if m.running else 0.02)
    across, ahead = leftward(chest_yaw), heading(chest_yaw)
    up = np.array([0.0, 0.0, 1.0])
    spine = unit(ahead * np.sin(pitch)[:, None] + up * np.cos(pitch)[:, None] + left * (-1.5 * stance)[:, None])
    neck = pelvis + spine * 0.288 * h
    chest = pelvis + spine * 0.19 * h
    head_yaw = chest_yaw + gaze + wander(rng, n, 0.12)
    head_pitch = nod + 0.5 * pitch + wander(rng, n, 0.04)
    skull = heading(head_yaw) * np.sin(head_pitch)[:, None] + up * np.cos(head_pitch)[:, None]
    head = neck + skull * 0.115 * h
    face = heading(head_yaw) * np.cos(head_pitch)[:, None] - up * np.sin(head_pitch)[:, None]
    joints = {"pelvis": pelvis, "chest": chest, "neck": neck, "head": head, "forward": ahead, "gaze": face}
    hip_across = leftward(hip_yaw)
    for k in (0, 1):
        sign = 1.0 if k == 0 else -1.0
        shoulder = neck + across * (sign * 0.122 * h) - spine * 0.012 * h
        swing = -m.swing[k] * lead[:, k] * (1.35 if m.running else 1.15) / (0.245 * h / 0.42)
        bend = 1.5 if m.running else 0.22 + 0.5 * np.maximum(swing, 0.0)
        hand = _hanging_hand(shoulder, ahead, across * sign, swing + 0.3 * pitch, np.broadcast_to(bend, (n,)), h)
        pole = ahead * -1.0 + across * (0.35 * sign)
        for reach in (r for r in m.reaches if r.side == k):
            w = np.broadcast_to(reach.weight, (n,))[:, None]
            target = _place(reach, neck, head, ahead, across, head_yaw)
            hand = hand * (1 - w) + target * w
            x, y, z = reach.elbow
            pole = pole * (1 - w) + (ahead * x + across * (y * sign) + up * z) * w
        elbow, hand = two_link(shoulder, hand, 0.186 * h, 0.2 * h, pole)
        hip = pelvis + hip_across * (sign * 0.085 * h)
        out = ahead + across * (0.12 * sign)
        pull = ankles[:, k] - hip  # a leg gives a little before its foot slips
        slip = pull * np.minimum(0.0, 0.52 * h / np.maximum(np.linalg.norm(pull, axis=1), 1e-9) - 1.0)[:, None]
        ankles[:, k], toes[:, k] = ankles[:, k] + slip, toes[:, k] + slip
        knee, _ = two_link(hip, ankles[:, k], 0.245 * h, 0.246 * h, out + 0.3 * up * np.minimum(drop, 0.5)[:, None])
        wrist = elbow + (hand - elbow) * 0.73
        parts = (shoulder, elbow, wrist, hand, hip, knee, ankles[:, k], toes[:, k])
        joints |= dict(zip(JOINTS[4 + 8 * k : 12 + 8 * k], parts, strict=True))
    return np.stack([joints[name] for name in JOINTS + _HIDDEN], axis=1), feet.planted


def _height(m: Motion, pelvis: Array, ankles: Array, swinging: Array, h: float, seated: Array) -> Array:
    """Pelvis height (n,): as high as the standing legs allow, so that walking rises over each stance leg."""
    leg = 0.491 * h
    apart = np.linalg.norm(ankles[:, :, :2] - pelvis[:, None, :2], axis=2)
    allowed = ankles[:, :, 2] + np.sqrt(np.maximum((0.994 * leg) ** 2 - apart**2, 0.04))
    if m.feet is not None:
        allowed = np.where(seated[:, None] > 0.5, 9.0, allowed)
    ceiling = allowed.min(axis=1)
    if m.running:
        flight = smooth(swinging.min(axis=1), 2.5)
        return np.asarray(smooth(np.minimum(0.5 * h, ceiling + 0.03), 2.0) + 0.075 * (flight - 0.25))
    ceiling = np.clip(ceiling, 0.465 * h, 0.53 * h)  # nobody sinks far for the sake of a late step
    return smooth(np.minimum(smooth(ceiling, 1.5), ceiling), 0.7)


def _hanging_hand(shoulder: Array, ahead: Array, outward: Array, swing: Array, bend: Array, h: float) -> Array:
    """The hand of an arm that hangs, swung by `swing` and bent at the elbow by `bend`."""
    down = np.array([0.0, 0.0, -1.0])

    def ray(angle: Array) -> Array:
        return np.asarray(ahead * np.sin(angle)[:, None] + down * np.cos(angle)[:, None])

    upper = unit(ray(swing) + outward * 0.14)
    return np.asarray(shoulder + upper * 0.186 * h + unit(ray(swing + bend) + outward * 0.02) * 0.2 * h)


def _place(reach: Reach, neck: Array, head: Array, ahead: Array, across: Array, head_yaw: Array) -> Array:
    """A reach's target in the world; in body frames y points outwards on the reaching side."""
    target = np.broadcast_to(reach.target, neck.shape)
    if reach.frame == "world":
        return target
    sign = 1.0 if reach.side == 0 else -1.0
    origin, x, y = (neck, ahead, across) if reach.frame == "chest" else (head, heading(head_yaw), leftward(head_yaw))
    return np.asarray(
        origin + x * target[:, :1] + y * (sign * target[:, 1:2]) + np.array([0.0, 0.0, 1.0]) * target[:, 2:]
    )


def _dress(look: Look) -> tuple[Array, list[Draw]]:
    """Weights from joints to drawn points, and the capsules of limbs, trunk, head and clothes."""
    names = JOINTS + _HIDDEN
    h, g = look.stature, look.girth
    rows: list[Array] = []
    draws: list[Draw] = []

    def mix(spec: dict[str, float]) -> Array:
        row = np.zeros(len(names))
        for name, weight in spec.items():
            row[names.index(name)] = weight
        return row

    def limb(a: dict[str, float], b: dict[str, float], ra: float, rb: float, colour: Colour) -> None:
        rows.extend([mix(a), mix(b)])
        draws.append(Draw(2, colour, (ra * h, rb * h)))

    legs = look.skin if look.skirt else look.bottom
    shoe: Colour = (0.02, 0.02, 0.02) if sum(look.bottom) < 1.0 else (0.3, 0.3, 0.3)
    for s in SIDES:
        limb({f"{s}_hip": 1}, {f"{s}_knee": 1}, 0.052 * g, 0.036 * g, legs)
        limb({f"{s}_knee": 1}, {f"{s}_ankle": 1}, 0.034 * g, 0.022, legs)
        limb({f"{s}_ankle": 1}, {f"{s}_toe": 1}, 0.022, 0.016, shoe)
        limb({f"{s}_shoulder": 1}, {f"{s}_elbow": 1}, 0.033 * g, 0.025 * g, look.top)
        limb({f"{s}_elbow": 1}, {f"{s}_wrist": 1}, 0.024 * g, 0.019, look.top if look.sleeves else look.skin)
        limb({f"{s}_wrist": 1}, {f"{s}_hand": 1}, 0.02, 0.022, look.skin)
        limb({f"{s}_shoulder": 0.62, "neck": 0.38}, {f"{s}_hip": 0.62, "pelvis": 0.38}, 0.062 * g, 0.056 * g, look.top)
    limb({"neck": 0.8, "chest": 0.2}, {"pelvis": 0.8, "chest": 0.2}, 0.062 * g, 0.06 * g, look.top)
    limb({"pelvis": 0.5, "l_hip": 0.5}, {"pelvis": 0.5, "r_hip": 0.5}, 0.06 * g, 0.06 * g, look.bottom)
    limb({"neck": 1}, {"head": 1}, 0.03, 0.03, look.skin)
    limb({"head": 1, "gaze": 0.012 * h}, {"head": 1, "gaze": 0.012 * h}, 0.057, 0.057, look.skin)
    crown = {"head": 1.12, "neck": -0.12, "gaze": -0.016 * h}
    limb(crown, crown, 0.058, 0.058, look.top if look.hat else look.hair)
    if look.hat:
        limb({**crown, "gaze": 0.05 * h}, {**crown, "gaze": 0.07 * h}, 0.02, 0.015, look.top)
    if look.skirt:
        for s in SIDES:
            limb(
                {"pelvis": 0.4, f"{s}_hip": 0.6}, {f"{s}_knee": 0.9, f"{s}_hip": 0.1}, 0.062 * g, 0.085 * g, look.bottom
            )
    if look.vest:
        band = {"chest": 0.5, "pelvis": 0.5}
        limb({**band, "forward": -0.045}, {**band, "forward": 0.045}, 0.058 * g, 0.058 * g, (0.8, 0.8, 0.8))
    return np.stack(rows), draws
