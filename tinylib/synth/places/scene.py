"""Places: a parking lot, a bus stop, a hall. Each is a pure function of its seed, painted once for a camera.

The camera stands at the origin and looks along +y; what is built there is turned by the scene's own angle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from tinylib.synth.filming.camera import KINDS, Camera
from tinylib.synth.filming.render import GAMMA, Backdrop, Light, Pack, draw, fill, fixed
from tinylib.synth.places.furniture import Static, bench, building, bus_shelter, column, lamp, parked_car, tree, wall

Array = NDArray[np.float64]
Float = NDArray[np.float32]
STRIP = 64  # rows painted at once: bounds the memory


@dataclass(frozen=True)
class Scene:
    """One place with its light; `statics` are what stands in it."""

    seed: int
    kind: str  # 'lot', 'stop' or 'hall'
    angle: float  # of the layout against the view, rad
    half: tuple[float, float]  # of the paved rectangle in layout metres
    centre: tuple[float, float]  # of the paved rectangle, world
    rows: tuple[float, ...]  # layout q of parking rows
    light: Light
    statics: tuple[Static, ...]

    @cached_property
    def packs(self) -> list[tuple[Static, list[Pack]]]:
        """What stands before the camera, the farthest first, with the shapes of its groups."""
        before = sorted((static for static in self.statics if static.at[1] > 1), key=lambda static: -static.at[1])
        return [
            (static, [group if isinstance(group, Pack) else Pack.of([group]) for group in static.groups])
            for static in before
        ]

    @cached_property
    def corners(self) -> tuple[Array, NDArray[np.int64], Array]:
        """All points of `packs` (n, 3), where each pack's begin and the last ones end, and its largest limb, m."""
        packs = [pack for _, packs in self.packs for pack in packs]
        points = [pack.points() for pack in packs]
        solid = np.concatenate(points) if points else np.zeros((0, 3))
        first = np.cumsum([0, *(len(p) for p in points)])
        return solid, first, np.array([pack.radii.max(initial=0.0) for pack in packs])

    def layout(self, x, y):  # type: ignore[no-untyped-def]
        """World ground coordinates -> layout coordinates (p along the rows, q across them)."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        dx, dy = x - self.centre[0], y - self.centre[1]
        return dx * c + dy * s, -dx * s + dy * c

    def world(self, p: float, q: float) -> tuple[float, float]:
        c, s = math.cos(self.angle), math.sin(self.angle)
        return self.centre[0] + p * c - q * s, self.centre[1] + p * s + q * c

    def free(self, points: Array, radius: float, *, paved: bool = False) -> bool:
        """Whether nothing stands within `radius` of the ground points (n, 2)."""
        if paved or self.kind == "hall":
            p, q = self.layout(points[:, 0], points[:, 1])
            if (np.abs(p) > self.half[0] - radius).any() or (np.abs(q) > self.half[1] - radius).any():
                return False
        spots, radii = self._obstacles
        reach = radius + radii
        near = ((spots + reach[:, None] > points.min(0)) & (spots - reach[:, None] < points.max(0))).all(1)
        x, y = np.moveaxis(points[:, None] - spots[near], -1, 0)
        return not (np.hypot(x, y) < reach[near]).any()

    @cached_property
    def _obstacles(self) -> tuple[Array, Array]:
        """Where something stands on the ground (n, 2), and how far it reaches (n)."""
        standing = [static for static in self.statics if static.radius]
        spots = np.array([static.at for static in standing], float).reshape(-1, 2)
        return spots, np.array([static.radius for static in standing], float)


def make_scene(seed: int, domain: str) -> Scene:
    """The place of a seed: V is an outdoor lot, M a bus stop (even seeds) or a hall (odd ones)."""
    rng = np.random.default_rng((seed, 11))
    kind = KINDS[domain][seed % len(KINDS[domain])]
    if kind == "hall":
        light = Light(_sun(rng, 60, 80), 0.35, 0.6, 0.72, (0.5, 0.5, 0.5), 4000.0)
    else:
        high = rng.uniform(28, 65)
        light = Light(
            _sun(rng, high, high), float(rng.uniform(0.6, 0.85)), float(rng.uniform(0.34, 0.46)),
            float(rng.uniform(0.4, 0.6)), (0.6, 0.65, 0.7), float(rng.uniform(700, 1500)),
        )  # fmt: skip
    angle = float(rng.normal(0, 0.22))
    half = {"lot": (rng.uniform(60, 90), rng.uniform(85, 110)), "stop": (rng.uniform(50, 70), rng.uniform(36, 46)),
            "hall": (rng.uniform(11, 16), rng.uniform(24, 34))}[kind]  # fmt: skip
    half = (float(half[0]), float(half[1]))
    near = {"lot": -10.0, "stop": 2.0, "hall": -4.0}[kind]
    shell = Scene(seed, kind, angle if kind != "hall" else angle * 0.3, half, (0.0, near + half[1]), (), light, ())
    rows, statics = {"lot": _lot, "stop": _stop, "hall": _hall}[kind](shell, rng)
    return Scene(seed, kind, shell.angle, half, shell.centre, rows, light, tuple(statics))


def _sun(rng: np.random.Generator, low: float, high: float) -> Array:
    up, around = math.radians(rng.uniform(low, high)), rng.uniform(0, 2 * math.pi)
    return np.array((math.cos(up) * math.cos(around), math.cos(up) * math.sin(around), math.sin(up)))


def _lot(scene: Scene, rng: np.random.Generator) -> tuple[tuple[float, ...], list[Static]]:
    """Parking rows at the sides and the back, lamps, trees on the verge, buildings behind."""
    p_half, q_half = scene.half
    rows = tuple(float(q) for q in np.arange(-q_half + 30, q_half - 4, 19.0) if rng.random() < 0.75)
    statics: list[Static] = []
    for q in rows:
        for side in (-1, 1):
            for stall in np.arange(-p_half + 5, p_half - 5, 2.75):
                x, y = scene.world(stall, q + side * 2.6)
                # The middle stays mostly empty: that is where people act.
                crowded = 0.55 if abs(stall) > 0.22 * y + 6 or y > 130 else 0.05
                if y > 12 and abs(x) < 0.75 * y + 10 and rng.random() < crowded:
                    turn = scene.angle + math.pi / 2 * side + rng.normal(0, 0.03)
                    statics.append(parked_car(rng, (x, y), turn))
        for stall in np.arange(-p_half + 12, p_half, 26.0):
            statics.append(lamp(rng, scene.world(stall + rng.normal(0, 2), q)))
    for p in np.arange(-p_half, p_half, 9.0):
        if rng.random() < 0.5:
            statics.append(tree(rng, scene.world(p + rng.normal(0, 2), q_half + rng.uniform(16, 26))))
    for side in (-1, 1):
        for q in np.arange(-q_half + 25, q_half, 11.0):
            if rng.random() < 0.55:
                statics.append(tree(rng, scene.world(side * (p_half + rng.uniform(2, 7)), q)))
    for _ in range(rng.integers(1, 4)):
        x, y = scene.world(rng.uniform(-0.3, 0.3) * p_half, rng.uniform(-0.75, 0.5) * q_half)
        if y > 22:
            statics.append(tree(rng, (x, y), size=0.7))
    p = -p_half - 10.0
    while p < p_half + 10:
        width = rng.uniform(16, 34)
        spot = scene.world(p + width / 2, q_half + rng.uniform(36, 46))
        statics += building(rng, spot, scene.angle, width, rng.uniform(10, 18), rng.uniform(5, 16))
        p += width + rng.uniform(1, 12)
    return rows, statics


def _stop(scene: Scene, rng: np.random.Generator) -> tuple[tuple[float, ...], list[Static]]:
    """A plaza with a bus shelter, benches, lamps and a long building behind the road."""
    p_half, q_half = scene.half
    statics: list[Static] = list(bus_shelter(rng, scene.world(rng.uniform(-14, 14), q_half * 0.55), scene.angle))
    for p in np.arange(-p_half + 6, p_half - 6, rng.uniform(14, 20)):
        statics.append(lamp(rng, scene.world(p, q_half * 0.78)))
    for _ in range(rng.integers(2, 5)):
        spot = scene.world(rng.uniform(-0.5, 0.5) * p_half, rng.uniform(-0.2, 0.5) * q_half)
        statics.append(bench(rng, spot, scene.angle))
    for p in np.arange(-p_half, p_half, 10.0):
        if rng.random() < 0.6:
            statics.append(tree(rng, scene.world(p, q_half + rng.uniform(12, 15))))
    spot = scene.world(rng.uniform(-8, 8), q_half + 26)
    statics += building(rng, spot, scene.angle, 2 * p_half + 40, 14, rng.uniform(7, 13))
    return (), statics


def _hall(scene: Scene, rng: np.random.Generator) -> tuple[tuple[float, ...], list[Static]]:
    """Walls, columns and benches under a soft light."""
    p_half, q_half = scene.half
    tone = np.array((0.55, 0.53, 0.48)) * rng.uniform(0.8, 1.1) * (1 + rng.normal(0, 0.03, 3))
    statics = [
        *wall(rng, scene.world(0, q_half + 0.1), scene.angle, 2 * p_half, 8.0, tone),
        *wall(rng, scene.world(-p_half - 0.1, 6), scene.angle + math.pi / 2, 2 * q_half - 12, 8.0, tone * 0.9),
        *wall(rng, scene.world(p_half + 0.1, 6), scene.angle - math.pi / 2, 2 * q_half - 12, 8.0, tone * 0.95),
    ]
    for q in np.arange(-q_half + 14, q_half - 3, rng.uniform(9, 13)):
        for side in (-1, 1):
            statics.append(column(rng, scene.world(side * p_half * 0.72, q), tone))
            if rng.random() < 0.5:
                statics.append(bench(rng, scene.world(side * (p_half - 0.8), q + 4), scene.angle + math.pi / 2))
    return (), statics


# --- paint ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _tile(seed: int, roughness: float, size: int = 512) -> Float:
    """Fractal noise that wraps around: zero mean, unit variance."""
    rng = np.random.default_rng((seed, 12))
    spectrum = np.fft.rfft2(rng.normal(size=(size, size))) * _falloff(roughness, size)
    noise = np.fft.irfft2(spectrum, s=(size, size))
    return np.asarray(noise / noise.std(), dtype=np.float32)


@lru_cache(maxsize=4)
def _falloff(roughness: float, size: int) -> Array:
    """Amplitudes of fractal noise by frequency, nothing at zero."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = np.inf
    return np.asarray(frequency**-roughness)


def _look(tile: Float, x: Float, y: Float, per_metre: float) -> Float:
    k = np.float32(per_metre)
    side = np.float32(len(tile))
    return np.asarray(
        cv2.remap(tile, np.mod(x * k, side), np.mod(y * k, side), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    )


def _stripe(distance: Float, half_width: float, blur: Float) -> Float:
    """Coverage of a painted line by how far its middle is, with the pixel's own size as blur."""
    return np.clip((half_width - np.abs(distance)) / blur + 0.5, 0, 1) * np.minimum(1, 2 * half_width / blur)


def _ground(scene: Scene, x: Float, y: Float, foot: Float, tiles: Sequence[Float]) -> Float:
    """Linear colour of the ground (rows, columns, 3); `foot`: metres that a pixel covers in depth."""
    p, q = scene.layout(x, y)
    rough, fine = tiles
    slow = _look(rough, x, y, 2.1)  # stains of tens of metres
    middle = _look(rough, y, x, 17.0) * np.clip(0.5 / foot, 0, 1)
    grain = _look(fine, x, y, 60.0) * np.clip(0.06 / foot, 0, 1)
    rng = np.random.default_rng((scene.seed, 13))
    base = {"lot": 0.12, "stop": 0.34, "hall": 0.38}[scene.kind] * rng.uniform(0.85, 1.2)
    hue = np.array((1.0, 0.99, 0.96), np.float32) * (1 + rng.normal(0, 0.015, 3)).astype(np.float32)
    tone = base * (1 + 0.10 * slow + 0.09 * middle + 0.08 * grain)
    if scene.kind == "lot":
        crack = np.abs(_look(rough, x + 31, y, 9.0))
        tone *= 1 - 0.35 * np.clip(1 - crack / (0.035 + 0.15 * foot), 0, 1)  # tar in the cracks
        near_row = np.minimum.reduce([np.abs(q - row) for row in scene.rows]) if scene.rows else np.full_like(q, 1e3)
        beside = np.abs(np.mod(p + 1.375, 2.75) - 1.375)
        across = foot * abs(math.sin(scene.angle)) + 0.02
        stall = _stripe(beside, 0.06, across) * (near_row < 5.1) + _stripe(near_row, 0.06, foot)
        wear = np.clip(0.75 + 0.2 * middle, 0, 1)
        tone += 0.36 * np.clip(stall, 0, 1) * wear
        oil = np.clip(_look(rough, y + 7, x, 8.0) - 1.3, 0, 1) * (near_row < 5)
        tone *= 1 - 0.4 * oil
    else:
        size = {"stop": 3.0, "hall": 0.9}[scene.kind]
        joint = _stripe(np.mod(p, size) - size / 2, 0.012, foot * 0.4 + 0.01)
        joint += _stripe(np.mod(q, size) - size / 2, 0.012, foot)
        tone *= 1 - 0.3 * np.clip(joint, 0, 1)
        if scene.kind == "hall":
            tone *= 0.93 + 0.07 * np.where((np.floor(p / 3.6) + np.floor(q / 3.6)) % 2, 1, -1)
    colour = tone[..., None] * hue
    if scene.kind == "hall":
        return np.asarray(colour, np.float32)
    out = np.maximum(np.abs(p) - scene.half[0], np.abs(q) - scene.half[1])  # metres beyond the pavement
    lawn = (1 + 0.22 * slow + 0.2 * middle + 0.3 * grain)[..., None]
    grass = np.array((0.075, 0.105, 0.035), np.float32) * (1 + rng.normal(0, 0.1, 3)).astype(np.float32) * lawn
    colour = np.where(out[..., None] > 1.8, grass, colour)
    walk = (out > 0) & (out <= 1.8)
    colour = np.where(walk[..., None], (0.33 + 0.02 * middle + 0.02 * grain)[..., None] * hue, colour)
    kerb = _stripe(out, 0.1, foot)[..., None]
    colour = colour * (1 - kerb) + 0.42 * kerb
    road = q - scene.half[1] - 7.0  # a street behind the lot
    asphalt = (0.095 * (1 + 0.1 * slow + 0.08 * middle))[..., None] * hue
    colour = np.where((np.abs(road) < 4)[..., None], asphalt, colour)
    centre = (_stripe(road, 0.08, foot) * (np.mod(p, 9) < 4))[..., None]
    return np.asarray(colour * (1 - centre) + np.array((0.5, 0.38, 0.08), np.float32) * centre, np.float32)


def _in_sight(scene: Scene, camera: Camera) -> NDArray[np.bool_]:
    """Which of `scene.packs`, or their shadows, can be in the view, with room to spare: (n,)."""
    from tinylib.synth.filming import projection

    points, first, radii = scene.corners
    slope, width, height = scene.light.slope, float(camera.width), float(camera.height)
    return np.asarray(projection.in_sight(points, first, radii, slope, camera.numbers, width, height))


def paint(scene: Scene, camera: Camera, *, enlarge: int = 2, looks: bool = True) -> Backdrop:
    """The empty view, `enlarge` times finer than the camera and averaged down.

    looks=False leaves colours and shadows black: what stands where is all that placing asks for.
    """
    from tinylib.synth.filming import filling

    big = camera.scaled(enlarge)
    width, height = big.width, big.height
    light = scene.light
    sun_high = float(light.sun[2])
    tiles: tuple[Float, ...] = (_tile(scene.seed, 1.15), _tile(scene.seed + 1, 0.35)) if looks else ()
    sight = iter(_in_sight(scene, big))
    things = [(static, [draw(pack, big, light) for pack in packs if next(sight)]) for static, packs in scene.packs]

    shade = np.zeros((height, width), np.uint8)
    for drawing in (drawing for static, group in things if static.casts and looks for drawing in group):
        box = drawing.box
        if box[2] < -2 or box[3] < -2 or box[0] > width + 2 or box[1] > height + 2:
            continue
        for polygon in drawing.shadows:
            (left, top), (right, bottom) = polygon.min(0), polygon.max(0)
            if right < -2 or bottom < -2 or left > width + 2 or top > height + 2:
                continue
            if max(-left, -top, right, bottom) < 30000:
                cv2.fillPoly(shade, [fixed(polygon, (0, 0), 1)], 255, cv2.LINE_AA, 4)
    if looks:
        shade = np.asarray(cv2.GaussianBlur(shade, (0, 0), 0.8 * enlarge), np.uint8)

    image = np.zeros((height, width, 3), np.uint8)
    columns = np.arange(width, dtype=np.float32)[None] + 0.5
    for top in range(0, height, STRIP) if looks else ():
        rows = np.arange(top, min(top + STRIP, height), dtype=np.float32)[:, None] + 0.5
        dx, dy, dz = big.rays(*np.broadcast_arrays(columns, rows))
        far = np.minimum(camera.z / np.maximum(-dz, 1e-4), 3000.0).astype(np.float32)
        x, y = dx * far, dy * far
        foot = far * far / (big.f * camera.z)
        lit = light.ambient + light.power * sun_high
        dark = 1 - (1 - light.shadow) * shade[top : top + len(rows), :, None] / np.float32(255)
        colour = _ground(scene, x, y, foot, tiles) * lit * dark
        air = np.exp(-far / light.visibility)[..., None]
        haze = np.asarray(light.haze, np.float32)
        above = (0.45, 0.45, 0.43) if scene.kind == "hall" else (0.97, 1.0, 1.06)  # a ceiling or the sky
        sky = haze * np.clip(1.0 + 2.0 * dz, 0.8, 1.3)[..., None] * np.array(above, np.float32)
        colour = np.where((dz < -2e-3)[..., None], colour * air + haze * (1 - air), sky)
        image[top : top + len(rows)] = 255 * np.clip(colour, 0, 1) ** np.float32(1 / GAMMA)

    shown = [
        drawing
        for _, group in things
        for drawing in group
        if not (drawing.box[2] < 0 or drawing.box[0] > width or max(map(abs, drawing.tight)) > 60000)
    ]
    ids, first = np.zeros((height, width), np.int32), 1  # 0: nothing stands there
    for drawing in shown:
        fill(ids, drawing, (0, 0), 1, np.arange(first, first + len(drawing.ends)))
        first += len(drawing.ends)
    depths = np.repeat([np.inf, *(d.depth for d in shown)], [1, *(len(d.ends) for d in shown)]).astype(np.float32)
    if looks and shown:
        there = ids > 0
        inks = np.concatenate([np.zeros((1, 3), np.uint8), *(drawing.colours for drawing in shown)])
        image[there] = inks[ids[there]]
    near, standing = filling.nearest(ids, depths, enlarge)
    if looks:
        across, down = np.arange(width, dtype=np.float32) - np.float32(big.cx), np.arange(height, dtype=np.float32)
        x, y = np.meshgrid(across, down - np.float32(big.cy))
        speckle = _look(tiles[1], x, y, 1600.0 / big.f)
        gain = 1 + np.float32(0.035) * speckle * standing
        image = np.clip(image * np.expand_dims(gain, -1), 0, 255).astype(np.uint8)
    size = (camera.width, camera.height)

    def small(layer: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.asarray(cv2.resize(layer, size, interpolation=cv2.INTER_AREA), np.uint8)

    return Backdrop(small(image), near, small(standing * np.uint8(255)), small(shade))
