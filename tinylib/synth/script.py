"""The director: puts vignettes into a place and a time so that each can be cut out alone, at its size.

A vignette's distance follows from the side that its clips should have (Z = f E / S); its heading is turned until the
actor stays large enough in its square; its moment is the first at which its crop meets nobody else's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tinylib.building.rules import Window
from tinylib.synth.filming.camera import Camera, scene_camera
from tinylib.synth.filming.render import Backdrop, Pack, outline
from tinylib.synth.filming.sensor import Sensor
from tinylib.synth.people.actors import Puppet
from tinylib.synth.places.primitives import Vignette
from tinylib.synth.places.scene import Scene, make_scene, paint
from tinylib.synth.plan import Order, Shoot

Array = NDArray[np.float64]
STEP = 15  # frames between the poses that placing looks at
MARGIN = 16  # px between what is cut out and anybody else
GAP = 8  # frames between two vignettes in one place
LONGEST = 9000  # frames of a video: five minutes


class Cast(Protocol):
    """Who acts: the functions of `tinylib.synth.actions`."""

    vignette: Callable[..., Vignette]
    distractor: Callable[..., Vignette]
    crowd: Callable[..., Vignette]


@dataclass(frozen=True)
class Placed:
    """A vignette in its place: turned by `heading`, its origin at (x, y) m, from frame `start` of the video."""

    order: Order
    heading: float
    x: float
    y: float
    start: int
    frames: int


class Act:
    """A placed vignette that can be posed, in world metres; performed when it is first looked at."""

    def __init__(self, placed: Placed, cast: object, domain: str, vignette: Vignette | None = None):
        """vignette: what `perform` gives, where that is at hand."""
        self.placed = placed
        self._cast, self._domain = cast, domain
        if vignette is not None:
            self.vignette = vignette
        c, s = math.cos(placed.heading), math.sin(placed.heading)
        self.turn = np.array(((c, -s, 0.0), (s, c, 0.0), (0.0, 0.0, 1.0)))
        self.shift = np.array((placed.x, placed.y, 0.0))
        self._kept: dict[float, Pack] = {}

    @cached_property
    def vignette(self) -> Vignette:
        return perform(self.placed.order, self._domain, self._cast)

    def pose(self, time: float) -> Pack:
        """Shapes in the world, `time` in frames of the vignette; held at its end."""
        time = min(time, self.placed.frames - 1.0)
        if time not in self._kept:
            pack = self._poser(float(time))
            self._kept = dict([*list(self._kept.items())[-1:], (time, pack)])
        return self._kept[time]

    @cached_property
    def _poser(self) -> Callable[[float], Pack]:
        return placer(self.vignette, self.turn, self.shift)

    def joints(self, time: float) -> list[dict[str, Array]]:
        """Named skeleton points of every actor, world metres (empty for vehicles and things)."""
        actors = self.vignette.at(min(time, self.placed.frames - 1.0))
        return [{name: self.turn @ at + self.shift for name, at in actor.joints.items()} for actor in actors]


@dataclass(frozen=True)
class _Puppets:
    """What the puppets of a vignette are drawn from."""

    still: Pack
    limbs: NDArray[np.int64]  # (n, 2) which points are the ends of each limb
    panels: NDArray[np.int64]  # (m, k) which points are the corners of each panel

    @staticmethod
    def of(puppets: Sequence[Puppet]) -> _Puppets:
        still = Pack.of([puppet.at(0.0).shapes for puppet in puppets])
        limbs: list[tuple[int, int]] = []
        panels: list[list[int]] = []
        first = 0
        for puppet in puppets:
            for draw in puppet.draws:
                if draw.radii is None:
                    panels.append([first + min(i, draw.count - 1) for i in range(still.corners.shape[1])])
                else:
                    limbs.append((first, first + 1))
                first += draw.count
        ends, corners = np.array(limbs, np.int64).reshape(-1, 2), np.array(panels, np.int64)
        return _Puppets(still, ends, corners.reshape(still.corners.shape[:2]))

    def shaped(self, points: Array) -> Pack:
        still = self.still
        return Pack(
            points[self.limbs],
            still.radii,
            still.tint,
            points[self.panels],
            still.paint,
            still.glow,
            still.two_sided,
            still.limb_of,
            still.panel_of,
            still.panels_by_actor,
        )


def placer(vignette: Vignette, turn: Array, shift: Array) -> Callable[[float], Pack]:
    """The shapes of a vignette, turned and shifted, at a time: `poser` for pictures, compiled for puppets."""
    puppets: Sequence[Puppet] | None = getattr(vignette, "puppets", None)
    if puppets is None or len({len(puppet.tracks) for puppet in puppets}) != 1:
        pose = poser(vignette)
        return lambda time: pose(time).moved(turn, shift)
    from tinylib.synth.filming import projection

    gathered = _Puppets.of(puppets)
    tracks = np.concatenate([puppet.tracks for puppet in puppets], axis=1)
    columns = np.cumsum([0, *(puppet.tracks.shape[1] for puppet in puppets)])
    entries = [np.nonzero(puppet.weights) for puppet in puppets]
    joints = np.concatenate([column + first for (_, column), first in zip(entries, columns, strict=False)])
    weights = np.concatenate([puppet.weights[at] for puppet, at in zip(puppets, entries, strict=True)])
    counts = np.concatenate([np.count_nonzero(puppet.weights, axis=1) for puppet in puppets])
    starts = np.concatenate(([0], np.cumsum(counts)))
    return lambda time: gathered.shaped(projection.posed(tracks, time, starts, joints, weights, turn, shift))


def poser(vignette: Vignette) -> Callable[[float], Pack]:
    """`Pack.of` a vignette's actors at a time; puppets, which only move, are gathered without a shape in between."""
    puppets: Sequence[Puppet] | None = getattr(vignette, "puppets", None)
    if puppets is None:
        return lambda time: Pack.of([actor.shapes for actor in vignette.at(time)])
    gathered = _Puppets.of(puppets)

    def posed(time: float) -> Pack:
        return gathered.shaped(np.concatenate([puppet.weights @ puppet.joints_at(time) for puppet in puppets]))

    return posed


@dataclass(frozen=True)
class Script:
    """A whole video, ready to shoot."""

    shoot: Shoot
    camera: Camera
    scene: Scene
    sensor: Sensor
    acts: tuple[Act, ...]
    frames: int
    missed: int  # orders that found no place


def perform(order: Order, domain: str, cast: Any) -> Vignette:
    """The vignette of an order."""
    if order.crowd:
        return cast.crowd(order.seed, domain, order.frames or 600)
    if not order.labels:
        return cast.distractor(order.seed, domain)
    return cast.vignette(
        frozenset(order.labels), domain=domain, seed=order.seed, frames=order.frames, confuser=order.confuser
    )


def stage(shoot: Shoot, *, looks: bool = True) -> tuple[Scene, Camera, Sensor, Backdrop]:
    """The empty set of a video: place, camera, sensor and the painted view (see `paint` for `looks`)."""
    scene = make_scene(shoot.scene, shoot.domain)
    camera, rng = scene_camera(shoot.scene, shoot.domain, shoot.scale)
    return scene, camera, Sensor.draw(rng, indoor=scene.kind == "hall"), paint(scene, camera, looks=looks)


class _Outline:
    """The boxes of a vignette's keyframes as it stands somewhere, all frames at once."""

    def __init__(self, packs: list[Pack], times: Array):
        self.times = times
        self.points = np.concatenate([pack.points() for pack in packs])
        reach = [np.concatenate((p.radii.ravel(), np.zeros(p.corners.size // 3))) for p in packs]
        self.reach = np.concatenate(reach)
        self.first = np.cumsum([0, *(len(r) for r in reach)])
        means = np.array([pack.points().mean(0) for pack in packs])
        self.middle = (means.min(0) + means.max(0)) / 2 * (1, 1, 0)
        self.way = means[-1] - means[0]
        self._chunks: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

    def at(self, turn: Array, shift: Array, camera: Camera) -> tuple[Array, Array]:
        """(k, 4) boxes and (k) depths."""
        from tinylib.synth.filming import projection

        boxes, depths = projection.framed(self.points, self.reach, self.first, turn, shift, camera.numbers)
        return np.asarray(boxes), np.asarray(depths)

    def ground(self, turn: Array, shift: Array) -> Array:
        """Some ground points (n, 2) under it."""
        return np.asarray((self.points[:: max(1, len(self.times) // 2 * 2 + 1)] @ turn.T + shift)[:, :2])

    def side(self, boxes: Array, chunk: int) -> float:
        """The longer side of what `chunk` frames cover, on average over where the chunk starts."""
        from tinylib.synth.filming import projection

        if chunk not in self._chunks:
            spans = []
            for i, first in enumerate(self.times):
                last = int(np.searchsorted(self.times, first + chunk, "right"))
                if i and self.times[last - 1] - first < 0.7 * min(chunk, self.times[-1]):
                    break
                spans.append((i, last))
            firsts, lasts = np.array(spans, np.int64).T
            self._chunks[chunk] = firsts.copy(), lasts.copy()
        return float(np.mean(projection.longest(boxes, *self._chunks[chunk])))


def _turned(heading: float) -> Array:
    c, s = math.cos(heading), math.sin(heading)
    return np.array(((c, -s, 0.0), (s, c, 0.0), (0.0, 0.0, 1.0)))


def _square(box: Array) -> Array:
    half = max(box[2] - box[0], box[3] - box[1]) / 2 + MARGIN
    cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return np.array((cx - half, cy - half, cx + half, cy + half))


def _meets(a: Array, b: Array) -> NDArray[np.bool_]:
    """Whether box (4) meets boxes (n, 4)."""
    return np.asarray((a[0] < b[:, 2]) & (b[:, 0] < a[2]) & (a[1] < b[:, 3]) & (b[:, 1] < a[3]))


class _Diary:
    """Who is where and when, on the image."""

    def __init__(self) -> None:
        self.boxes, self.squares, self.spans = np.zeros((0, 4)), np.zeros((0, 4)), np.zeros((0, 2))

    def earliest(self, box: Array, frames: int) -> int:
        square = _square(box)
        clash = self.spans[_meets(square, self.boxes) | _meets(box, self.squares)]
        for start in np.unique(np.concatenate(([4.0], clash[:, 1] + GAP))):
            if not ((start < clash[:, 1] + GAP) & (clash[:, 0] < start + frames + GAP)).any():
                return int(start)
        raise AssertionError("after the last one there is always time")

    def add(self, box: Array, start: int, frames: int) -> None:
        self.boxes = np.concatenate((self.boxes, box[None]))
        self.squares = np.concatenate((self.squares, _square(box)[None]))
        self.spans = np.concatenate((self.spans, np.array(((start, start + frames),), float)))


def _hidden(boxes: Array, depths: Array, backdrop: Backdrop) -> float:
    """The largest share of any keyframe's box that something standing covers."""
    worst = 0.0
    for (x0, y0, x1, y1), depth in zip(boxes, depths, strict=True):
        view = slice(max(int(y0), 0), max(int(y1) + 1, 1)), slice(max(int(x0), 0), max(int(x1) + 1, 1))
        if backdrop.cover[view].any():
            worst = max(worst, float((backdrop.cover[view] / 255 * (backdrop.depth[view] < depth)).mean()))
    return worst


def _candidates(order: Order, shape: _Outline, camera: Camera, scene: Scene, backdrop: Backdrop, wide: bool,
                front: float | None,
                rng: np.random.Generator) -> list[tuple[float, float, float, float, Array]]:  # fmt: skip
    """Places that fit: (penalty, heading, x, y, box on the image of the whole vignette)."""
    places: list[tuple[float, float, float, float, Array]] = []
    # Of the actor, behind poles, trees and cars; what asks to be seen from one side is seen.
    tolerated = 0.45 if rng.random() < 0.17 and front is None else 0.04
    for _ in range(48 if wide else 28):
        u = rng.uniform(0.03, 0.97) - 0.5
        heading = rng.uniform(0, 2 * math.pi)
        if front is not None and rng.random() < 0.97:  # what happens behind a car or a back cannot be recognised
            heading = -math.pi / 2 - math.atan(u * camera.width / camera.f) - front + rng.uniform(-0.9, 0.9)
        elif np.hypot(*shape.way[:2]) > 5 and rng.random() < 0.5:  # towards the camera or away
            ahead = rng.choice((-1, 1)) * math.pi / 2 + rng.normal(0, 0.25)
            heading = ahead - math.atan2(shape.way[1], shape.way[0])
        turn = _turned(heading)
        v = rng.uniform(max(camera.horizon + 6, 0.06 * camera.height), camera.height * 0.94)
        spot = camera.ground(camera.width / 2, v)
        y = spot[1] if spot else 40.0
        side = 0.0
        for _ in range(4):
            y = min(max(float(y), 5.0), 400.0)
            x = u * camera.width * y / camera.f
            middle = turn @ shape.middle
            boxes, depths = shape.at(turn, np.array((x, y, 0.0)) - middle, camera)
            side = shape.side(boxes, order.chunk)
            if abs(side / order.side - 1) < 0.03:
                break
            y *= min(max(side / order.side, 0.4), 2.5)
        whole = np.array((*boxes[:, :2].min(0), *boxes[:, 2:].max(0)))
        if whole[0] < 3 or whole[1] < 3 or whole[2] > camera.width - 3 or whole[3] > camera.height - 3:
            continue
        shift = np.array((x, y, 0.0)) - middle
        feet = shape.ground(turn, shift)
        if not scene.free(feet, 0.5, paved=wide) or _hidden(boxes, depths, backdrop) > tolerated:
            continue
        size = float(np.median((boxes[:, 2:] - boxes[:, :2]).max(1)))
        penalty = abs(math.log(side / order.side)) * 4 + max(0.0, 0.4 - size / side) * 3
        places.append((penalty, heading, float(shift[0]), float(shift[1]), whole))
        if sum(f[0] < 0.35 for f in places) >= 5:
            break
    return places


def compose(shoot: Shoot, cast: object, *, looks: bool = True) -> tuple[Script, Backdrop]:
    """Place every order of a video; a pure function of the shoot. looks=False leaves the backdrop black."""
    scene, camera, sensor, backdrop = stage(shoot, looks=looks)
    rng = np.random.default_rng((shoot.seed, 32))
    diary, acts, missed = _Diary(), [], 0
    crowd = None
    todo = sorted(shoot.orders, key=lambda order: -(order.frames or 120) * max(order.side, 30))
    for order in todo:
        if order.crowd:
            crowd = order
            continue
        vignette = perform(order, shoot.domain, cast)
        times = np.append(np.arange(0, vignette.frames - 1, STEP), vignette.frames - 1.0)
        at = poser(vignette)
        shape = _Outline([at(float(t)) for t in times], times)
        wide = any(kind in ("vehicle", "bike") for kind in vignette.kinds)
        if wide and scene.kind == "hall":
            continue
        # Of the side, where the wanted one has no room; some luck is in it, so that once more helps.
        for factor in (1.0, 0.88, 1.15, 0.75, 1.35, 1.7, 0.5) * (2 if order.labels else 1):
            wanted = replace(order, side=min(order.side * factor, 122.0))
            if places := _candidates(wanted, shape, camera, scene, backdrop, wide, vignette.front, rng):
                break
        else:
            missed += 1
            continue
        timed = [(p[0] + diary.earliest(p[4], vignette.frames) / 400, p) for p in places]
        _, (_, heading, x, y, whole) = min(timed, key=lambda item: item[0])
        start = diary.earliest(whole, vignette.frames)
        if order.reckless and len(diary.spans):
            start = int(rng.integers(4, max(5, int(diary.spans[:, 1].max()) - vignette.frames)))
        if start + vignette.frames > LONGEST:
            missed += 1
            continue
        diary.add(whole, start, vignette.frames)
        acts.append(Act(Placed(order, heading, x, y, start, vignette.frames), cast, shoot.domain, vignette))
    frames = int(diary.spans[:, 1].max()) + 6 if len(diary.spans) else 60
    if crowd is not None:
        far = Placed(crowd, 0.0, *_far(scene, camera), 0, frames)
        acts.append(Act(far, cast, shoot.domain))
    acts.sort(key=lambda act: act.placed.start)
    return Script(shoot, camera, scene, sensor, tuple(acts), frames, missed), backdrop


def _far(scene: Scene, camera: Camera) -> tuple[float, float]:
    """Where a person is less than 8 px high, or as far as the place goes."""
    return 0.0, min(camera.f * 1.7 / 7.0, 420.0)


def close_up(act: Act, camera: Camera, name: str) -> Window | None:
    """The span and the square of what an act shows of `name`, as exactly as no annotator would cut it."""
    shown = next((event for event in act.vignette.events if event.name == name), None)
    if shown is None:
        return None
    boxes = np.stack([outline(act.pose(float(t)), camera)[0] for t in np.linspace(shown.start, shown.end, 8)])
    low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
    side = 2 * math.ceil(1.04 * float((high - low).max()) / 2)
    x, y = (math.floor(v) for v in ((low + high - side) / 2).tolist())
    start, end = shown.start + act.placed.start, shown.end + act.placed.start
    return Window("", "", start, end, (x, y, x + side, y + side), (name,))


def relight(scene: Scene, backdrop: Backdrop, camera: Camera, placed: Placed) -> float:
    """1 where the place of a vignette is in the sun, less in a standing shadow."""
    spot, _ = camera.project(np.array((placed.x, placed.y, 0.0)))
    column, row = int(np.clip(spot[0], 0, camera.width - 1)), int(np.clip(spot[1], 0, camera.height - 1))
    return 1.0 - 0.8 * float(backdrop.shade[row, column]) / 255
