"""What vehicles do, and what people do at their doors.

A parked car stands at the origin and faces +x, so that the world is its body frame; directors turn the whole vignette.
Time-reversed pairs (open and close, get in and out, load and unload, start and stop) are one list of key poses each,
played forwards or backwards.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinylib.synth.people.actions_people import stand
from tinylib.synth.people.actors import Puppet
from tinylib.synth.people.gait import FPS, heading, keyed, minimum_jerk, smooth, wander
from tinylib.synth.people.players import LEFT, RIGHT, Player, Stage
from tinylib.synth.places import props
from tinylib.synth.places.primitives import Array
from tinylib.synth.vehicles.vehicles import KINDS, Drive, Vehicle, bicycle, drive, paint, parked, trailer

DOORS = ("fl", "fr", "rl", "rr")


def draw_kind(
    rng: np.random.Generator, allowed: Sequence[str] = ("sedan", "suv", "pickup", "van", "bus", "cart")
) -> str:
    """A type of vehicle, common ones first."""
    share = {"sedan": 0.42, "suv": 0.25, "pickup": 0.13, "van": 0.11, "bus": 0.04, "cart": 0.05}
    weight = np.array([share[name] for name in allowed])
    return str(rng.choice(list(allowed), p=weight / weight.sum()))


def _lamps(rng: np.random.Generator, n: int) -> Array | None:
    """Brake lights that tell nothing: never, always, or at random times."""
    mode = rng.integers(3)
    if mode == 0:
        return None
    return np.ones(n) if mode == 1 else (wander(rng, n, 1.0, 1.0) > 0.3).astype(np.float64)


def profile(
    rng: np.random.Generator, n: int, *, starting: bool = False, stopping: bool = False, turning: bool = False
) -> Array:
    """Speed (n,) m/s: steady, from rest, or to rest; starting is stopping backwards."""
    t, length = np.arange(n) / FPS, n / FPS
    if not (starting or stopping):
        top = rng.uniform(3.0, 6.0) if turning else rng.uniform(2.5, 8.0)
        return np.asarray(top * (1.0 + wander(rng, n, 0.03)))
    rest = min(rng.uniform(0.4, 1.0), 0.3 * length)
    rate = rng.uniform(1.2, 2.6)
    top = min(rng.uniform(3.5, 7.5), rate * (length - rest))
    speed = np.asarray(top * minimum_jerk((t - rest) / (1.3 * top / rate)))
    return speed[::-1].copy() if stopping and not starting else speed


def turn_rate(rng: np.random.Generator, speed: Array, direction: float, total: float | None = None) -> Array:
    """Yaw rate (n,) that bends the drive by `total` radians (60-100 degrees) to one side, at most 42 degrees/s."""
    n = len(speed)
    total = total if total is not None else np.radians(rng.uniform(60, 100))
    bell = np.sin(np.pi * np.linspace(0.0, 1.0, n)) ** 0.6 * np.minimum(1.0, np.abs(speed) / 2.0)
    bell = smooth(bell, 3.0)
    rate = bell * min(total * FPS / bell.sum(), np.radians(42) / bell.max())
    return np.asarray(direction * rate)


def on_the_road(
    stage: Stage, names: frozenset[str], at: tuple[float, float] = (0.0, 0.0), *, towing: bool = False
) -> int:
    """A vehicle that moves, starts, stops or turns, as `names` say; with `towing` it pulls a trailer."""
    rng, n = stage.rng, stage.frames + 1
    kind = KINDS[draw_kind(rng, ("sedan", "suv", "pickup", "van", "cart") if towing else tuple(KINDS))]
    starting, stopping = "vehicle_starting" in names, "vehicle_stopping" in names
    direction = float("vehicle_turning_left" in names) - float("vehicle_turning_right" in names)
    speed = profile(rng, n, starting=starting, stopping=stopping, turning=direction != 0)
    rate = turn_rate(rng, speed, direction) if direction else wander(rng, n, 0.02) * np.minimum(1.0, speed)
    motion = drive(speed, rate, yaw=rng.uniform(0, 2 * np.pi), wheelbase=kind.wheelbase).shifted(np.asarray(at))
    motion.lamps = _lamps(rng, n)
    colour = paint(rng, kind.name)
    car = Vehicle(kind, motion, colour)
    actors = [stage.add(car, "vehicle")]
    if towing:
        actors.append(stage.add(trailer(car, props.stuff(rng), bool(rng.random() < 0.5)), "vehicle"))
        stage.event("Pull", actors)
    for name in sorted(names - {"Pull"}):
        stage.event(name, actors[:1])
    return actors[0]


def manoeuvre(stage: Stage, kind_of: str) -> int:
    """An unlabelled drive: 'u_turn' or 'reverse'."""
    rng, n = stage.rng, stage.frames + 1
    kind = KINDS[draw_kind(rng)]
    if kind_of == "u_turn":
        speed = np.full(n, rng.uniform(2.5, 4.0))
        bell = smooth(np.sin(np.pi * np.linspace(0, 1, n)) ** 0.4, 3.0)
        rate = bell * (np.pi * FPS / bell.sum()) * (1.0 if rng.random() < 0.5 else -1.0)
    else:
        speed = -profile(rng, n, starting=bool(rng.random() < 0.5), turning=True) * 0.4
        rate = wander(rng, n, 0.08) * np.minimum(1.0, np.abs(speed))
    motion = drive(speed, rate, yaw=rng.uniform(0, 2 * np.pi), wheelbase=kind.wheelbase)
    motion.lamps = _lamps(rng, n)
    number = stage.add(Vehicle(kind, motion, paint(rng, kind.name)), "vehicle")
    stage.event("vehicle_u_turn" if kind_of == "u_turn" else "vehicle_reverses", [number])
    return number


def ride(stage: Stage, names: frozenset[str], at: tuple[float, float] = (0.0, 0.0)) -> int:
    """A cyclist at 3-6 m/s whose legs circle at 1-1.5 Hz; in one of eight, somebody riding on a golf cart's bed."""
    rng, n = stage.rng, stage.frames + 1
    if rng.random() < 0.12:
        return _ride_cart(stage, names, at)
    speed = rng.uniform(3.0, 6.0) * (1.0 + wander(rng, n, 0.03))
    motion = drive(speed, wander(rng, n, 0.05), yaw=rng.uniform(0, 2 * np.pi)).shifted(np.asarray(at))
    p = Player(stage, (0.0, 0.0), 0.0)
    m, ahead = p.motion, heading(motion.yaw)
    m.xy, m.yaw = motion.xy - 0.2 * ahead[:, :2], motion.yaw
    m.drop = np.full(p.n, 0.53 * p.look.stature - 1.0)
    m.lean, m.nod, m.swing = np.full(p.n, rng.uniform(0.45, 0.75)), np.full(p.n, -0.25), (0.0, 0.0)
    phase = 2 * np.pi * (np.cumsum(speed) / FPS * (rng.uniform(1.0, 1.5) / speed.mean()) + rng.random())
    left = np.stack([-np.sin(motion.yaw), np.cos(motion.yaw), np.zeros(n)], 1)
    crank, up = np.concatenate([motion.xy, np.full((n, 1), 0.28)], 1), np.array([0.0, 0.0, 1.0])
    feet = []
    for side in (LEFT, RIGHT):
        sign = 1.0 if side == LEFT else -1.0
        a = phase + (0.0 if side == LEFT else np.pi)
        feet.append(
            crank
            + 0.17 * (ahead * np.sin(a)[:, None] + up * np.cos(a)[:, None])
            + left * (0.1 * sign)
            + up * 0.06
            - ahead * 0.1
        )
        grip = np.concatenate([motion.xy, np.full((n, 1), 1.03)], 1) + ahead * 0.4 + left * (0.23 * sign)
        p.reach(side, grip, frame="world", elbow=(-0.3, 0.8, -0.8))
    m.feet = np.stack(feet, axis=1)
    if "activity_carrying" in names:
        p.held.append(lambda person: props.backpack(person, rng))
        p.note("activity_carrying")
    number = p.enter()
    bike = stage.add(bicycle(motion, paint(rng, "")), "bike")
    stage.event("Riding", [number, bike])
    if "vehicle_moving" in names:
        stage.event("vehicle_moving", [bike])
    return number


def _ride_cart(stage: Stage, names: frozenset[str], at: tuple[float, float]) -> int:
    rng, n = stage.rng, stage.frames + 1
    kind = KINDS["cart"]
    speed = rng.uniform(2.0, 4.5) * (1.0 + wander(rng, n, 0.03))
    motion = drive(speed, wander(rng, n, 0.04), yaw=rng.uniform(0, 2 * np.pi), wheelbase=kind.wheelbase).shifted(
        np.asarray(at)
    )
    car = Vehicle(kind, motion, paint(rng, "cart"))
    p = Player(stage, (0.0, 0.0), 0.0)
    p.motion.xy, p.motion.yaw = car.point(np.array([-1.0, 0.0, 0.0]))[:, :2], motion.yaw + np.pi
    _sit(p, np.ones(p.n), 0.85)
    if "activity_carrying" in names:
        p.held.append(lambda person: props.backpack(person, rng))
        p.note("activity_carrying")
    number, vehicle = p.enter(), stage.add(car, "vehicle")
    stage.event("Riding", [number, vehicle])
    if "vehicle_moving" in names:
        stage.event("vehicle_moving", [vehicle])
    return number


def _sit(p: Player, seated: Array, seat: float) -> None:
    """Lower the pelvis to `seat` metres with the feet out in front, by `seated` (n,) in [0, 1]."""
    m, h = p.motion, p.look.stature
    m.drop = (0.53 * h - seat) * seated
    ankle = np.concatenate([m.xy, np.full((p.n, 1), max(seat - 0.42, 0.07))], 1) + heading(m.yaw) * (0.25 * h)
    left = np.stack([-np.sin(m.yaw), np.cos(m.yaw), np.zeros(p.n)], 1) * (0.06 * h)
    m.feet, m.feet_weight = np.stack([ankle + left, ankle - left], axis=1), seated


# ---- at a parked car


class Keys:
    """Key poses over the span of an event, played forwards or backwards."""

    def __init__(self, n: int, start: float, end: float, *, backwards: bool) -> None:
        self.n, self.start, self.length, self.backwards = n, start, end - start, backwards

    def __call__(self, *keys: tuple[float, object]) -> Array:
        """The track of keys (share of the span, value)."""
        if self.backwards:
            keys = tuple((1.0 - u, value) for u, value in reversed(keys))
        return keyed(self.n, [(self.start + u * self.length, value) for u, value in keys])

    def share(self) -> Array:
        """How far into the list of keys each frame is, (n,)."""
        u = np.clip((np.arange(self.n) - self.start) / self.length, 0.0, 1.0)
        return np.asarray(1.0 - u if self.backwards else u)


def _outward(door: str) -> float:
    return 1.0 if door[1] == "l" else -1.0


def visible_from(doors: Sequence[str]) -> float:
    """The yaw from the car towards a camera that sees what happens at `doors`."""
    sides = [np.array([-1.0, 0.0]) if door == "lid" else np.array([-0.25, _outward(door)]) for door in doors]
    x, y = np.sum(sides, axis=0)
    return float(np.arctan2(y, x))


def lid_angle(rng: np.random.Generator) -> float:
    """How far a boot lid or tailgate stands open: high enough to stand under."""
    return float(np.radians(rng.uniform(82, 92)))


def work_door(stage: Stage, door: str, span: tuple[int, int], *, closing: bool) -> tuple[Array, float]:
    """The door's angle (n,) for an Opening or Closing, and by how much of the span it moves late; a closing slams.

    Half way through the span the door may stand at any angle, whichever way it goes.
    """
    n, rng = stage.frames + 1, stage.rng
    full = np.radians(rng.uniform(55, 65)) if door != "lid" else lid_angle(rng)
    keys, late = Keys(n, *span, backwards=closing), float(rng.uniform(-0.17, 0.17))
    u = np.clip((keys.share() - 0.3 - late) / 0.45, 0.0, 1.0)
    return full * (1.0 - (1.0 - u) ** 1.8 if closing else minimum_jerk(u)), late


def at_door(stage: Stage, car: Vehicle, door: str, span: tuple[int, int], late: float, *, closing: bool) -> Player:
    """The person who opens or closes a side door: hand to handle, walk with the door, half a step back."""
    out, keys = _outward(door), Keys(stage.frames + 1, *span, backwards=closing)
    handle = car.handle(door)
    swung = np.abs(car.motion.doors[door]) / np.radians(60)
    touch, leave = 0.28 + late, 0.78 + late
    away = keys((0.0, 0.3), (touch, 0.0), (leave, 0.0), (1.0, 0.32))
    offset = np.stack([-0.3 - 0.1 * swung - 0.6 * away, out * (0.36 - 0.52 * swung + 0.5 * away)], 1)
    spot = smooth(handle[:, :2] + offset, 2.0)
    p = Player(stage, (0.0, 0.0), 0.0)
    stand(p, idle=False)
    p.motion.xy = spot
    facing = handle[:, :2] - spot
    p.motion.yaw = smooth(np.unwrap(np.arctan2(facing[:, 1], facing[:, 0])), 4.0)
    p.motion.lean = keys((0.0, 0.03), (touch, 0.16), (leave - 0.08, 0.12), (1.0, 0.03))
    p.motion.nod = np.full(p.n, 0.2)
    p.hand = LEFT if door[1] == "l" else RIGHT
    p.reach(
        p.hand,
        handle,
        keys((0.3 * touch, 0.0), (touch, 1.0), (leave, 1.0), (1.0, 0.0)),
        frame="world",
        elbow=(-0.4, 0.6, -0.8),
    )
    return p


def in_or_out(stage: Stage, car: Vehicle, door: str, span: tuple[int, int], *, leaving: bool, walk_off: bool) -> Player:
    """The person who gets into the car by an open door, or out of it (the same poses backwards, then off on foot)."""
    out, n = _outward(door), stage.frames + 1
    keys = Keys(n, *span, backwards=leaving)
    hinge, edge = car.hinge(door)
    corner = np.array([hinge[0], hinge[1]])

    def spot(x: float, y: float) -> Array:
        return corner + np.array([x, out * y])

    p = Player(stage, (0.0, 0.0), 0.0)
    far = spot(-0.95, 0.75)
    if walk_off:  # as far as a calm walk comes in its share of the time
        stride = min(stage.rng.uniform(0.8, 2.0), 0.8 * 0.32 * (span[1] - span[0]) / FPS)
        bearing = stage.rng.uniform(0.4, 1.2)
        far = spot(-0.95 - stride * np.cos(bearing), 0.62 + stride * np.sin(bearing))
    middle = 0.5 * edge[0] - 0.15
    path = keys(
        (0.0, far),
        (0.32, spot(-0.95, 0.62)),
        (0.42, spot(-0.9, 0.55)),
        (0.74, spot(middle, -0.42)),
        (1.0, spot(middle, -0.42)),
    )
    way = (spot(-0.95, 0.62) - far) * (-1.0 if leaving else 1.0)
    facing = float(np.arctan2(way[1], way[0])) if walk_off else -out * 0.8
    turn = keys((0.0, facing), (0.22, facing), (0.44, 0.0), (1.0, 0.0))
    seated = keys((0.42, 0.0), (0.74, 1.0))
    p.motion.xy, p.motion.yaw = path, turn
    _sit(p, seated, 0.42 if car.kind.name == "sedan" else 0.7)
    p.motion.lean = keys((0.4, 0.04), (0.6, 0.6), (0.8, 0.05))
    p.motion.nod = keys((0.4, 0.1), (0.6, 0.4), (0.8, 0.05))
    frame_hand = np.array([*spot(-0.55, 0.12), 1.25])
    p.reach(
        RIGHT if door[1] == "l" else LEFT,
        frame_hand,
        keys((0.3, 0.0), (0.42, 0.8), (0.55, 0.6), (0.66, 0.0)),
        frame="world",
    )
    return p


def entry_door(stage: Stage, span: tuple[int, int], *, leaving: bool) -> Array:
    """The angle of the door somebody gets through: open throughout, or swung open at one end or shut at the other."""
    rng = stage.rng
    full = np.radians(rng.uniform(55, 65))
    keys = Keys(stage.frames + 1, *span, backwards=leaving)
    opened, shut = rng.random() < 0.5, rng.random() < 0.6
    return keys((0.05, 0.0 if opened else full), (0.25, full), (0.8, full), (0.97, 0.1 if shut else full))


def load(stage: Stage, car: Vehicle, span: tuple[int, int], *, unloading: bool) -> Player:
    """A box from the chest into the open boot with both hands, arms back empty; unloading is the same backwards."""
    rng, keys = stage.rng, Keys(stage.frames + 1, *span, backwards=unloading)
    rear = car.kind.deck[-1][0]
    p = Player(stage, (0.0, 0.0), 0.0)
    back = keys((0.0, rear - 0.75), (0.3, rear - 0.38), (0.72, rear - 0.38), (1.0, rear - 0.7))
    p.motion.xy = np.stack([back, np.full(p.n, rng.uniform(-0.3, 0.3))], 1)
    p.motion.lean = keys((0.1, -0.05), (0.5, 0.62), (0.62, 0.62), (0.9, 0.04))
    p.motion.nod = keys((0.1, 0.1), (0.5, 0.25), (0.9, 0.05))
    width = rng.uniform(0.35, 0.5)
    inside = np.array([rear + 0.22, p.motion.xy[0, 1], 0.78])
    holding = keys((0.64, 1.0), (0.92, 0.0))
    sink = keys((0.15, 0.0), (0.52, 1.0))[:, None]
    chest = np.concatenate([p.motion.xy + np.array([0.36, 0.0]), np.full((p.n, 1), 1.08 * p.scale)], 1)
    centre = chest * (1 - sink) + inside * sink
    for side in (LEFT, RIGHT):
        p.reach(side, centre + np.array([0.0, (width / 2) * (1 if side == LEFT else -1), 0.0]), holding, frame="world")
    size = (rng.uniform(0.28, 0.4), width, rng.uniform(0.25, 0.38))
    model = props.carton(size, rng)
    slide = keys((0.52, 0.0), (0.64, 0.5))  # the box goes on inwards and is out of sight

    def goods(person: object) -> Puppet:
        place = centre + np.stack([slide, np.zeros(p.n), -0.2 * slide], 1)
        return model.pose(place, np.broadcast_to(np.eye(3), (p.n, 3, 3)))

    p.held.append(goods)
    return p


def work_lid(stage: Stage, car: Vehicle, span: tuple[int, int], late: float, *, closing: bool) -> Player:
    """The person who lifts or shuts the boot lid: a hand at its edge all the way."""
    keys, rear = Keys(stage.frames + 1, *span, backwards=closing), car.kind.deck[-1][0]
    p = Player(stage, (0.0, 0.0), 0.0)
    edge = car.handle("lid")
    near = smooth(np.minimum(rear - 0.38, edge[:, 0] - 0.35), 4.0)  # out of the lid's way
    touch, leave = 0.28 + late, 0.76 + late
    back = near - keys((0.0, 0.35), (touch, 0.0), (leave + 0.04, 0.0), (1.0, 0.2))
    p.motion.xy = np.stack([back, np.full(p.n, 0.1)], 1)
    p.motion.lean = keys((0.0, 0.0), (touch, 0.25), (leave - 0.06, -0.05), (1.0, 0.0))
    p.reach(p.hand, edge, keys((0.3 * touch, 0.0), (touch, 1.0), (leave, 1.0), (1.0, 0.0)), frame="world")
    return p


def parked_car(stage: Stage, angles: dict[str, Array], kinds: Sequence[str], colour_seed: int | None = None) -> Vehicle:
    """A car that stands at the origin with its doors moving as told."""
    rng = stage.rng
    kind = KINDS[draw_kind(rng, kinds)]
    motion: Drive = parked(stage.frames + 1)
    motion.doors, motion.lamps = angles, _lamps(rng, stage.frames + 1)
    return Vehicle(kind, motion, paint(rng, kind.name))
