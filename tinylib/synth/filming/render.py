"""The rasteriser: shapes in metres to anti-aliased pixels over a painted background.

Everything is drawn enlarged with sub-pixel corners inside the actor's own box and averaged down, so that motion
of a fraction of a pixel stays visible at 20 px. Painter's order; a limb is put in front of or behind a panel by the
side of the panel's plane that it is on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from tinylib.synth.filming.camera import Camera
from tinylib.synth.places.primitives import Capsule, Shape

Array = NDArray[np.float64]
Image = NDArray[np.uint8]
GAMMA = 2.2
SHIFT = 4  # fractional bits of cv2's corners
_ARC = np.linspace(0.0, 1.0, 7)


@dataclass(frozen=True, slots=True)
class Light:
    """Sun, sky and air of a scene."""

    sun: Array  # (3,) unit, towards the sun
    power: float = 0.75  # of direct light on a surface that faces it
    ambient: float = 0.42
    shadow: float = 0.5  # what is left of the light in a shadow
    haze: tuple[float, float, float] = (0.62, 0.66, 0.7)
    visibility: float = 600.0  # metres until haze takes 63 %

    @property
    def slope(self) -> Array:
        """(3,): where a point's shadow falls, metres on the ground for each metre of height."""
        return np.asarray(self.sun * (1, 1, 0) / max(float(self.sun[2]), 0.2))

    def shadows(self, points: Array) -> Array:
        """Where the shadows of points (n, 3) fall on the ground."""
        return np.asarray(points * (1, 1, 0) - points[:, 2:] * self.slope)

    def lit(
        self, colour: Array, facing: Array, depth: Array, sunlit: float = 1.0, emission: Array | float = 0.0
    ) -> Array:
        """Linear colours (n, 3) under this light -> 8-bit values with gamma, as floats."""
        strength = self.ambient + self.power * sunlit * np.clip(facing, 0, 1) + emission
        air = np.exp(-depth / self.visibility)[:, None]
        linear = colour * strength[:, None] * air + np.asarray(self.haze) * (1 - air)
        return np.asarray(255 * np.clip(linear, 0, 1) ** (1 / GAMMA))


@dataclass(frozen=True)
class Pack:
    """Shapes as arrays, in world metres: n capsules, and m faces padded to k corners by repeating the last."""

    ends: Array  # (n, 2, 3)
    radii: Array  # (n, 2)
    tint: Array  # (n, 3)
    corners: Array  # (m, k, 3)
    paint: Array  # (m, 3)
    glow: Array  # (m,)
    two_sided: NDArray[np.bool_]  # (m,)
    limb_of: NDArray[np.int64]  # (n,) which actor
    panel_of: NDArray[np.int64]  # (m,)

    @staticmethod
    def of(actors: Sequence[Sequence[Shape]]) -> Pack:
        """All actors of one moment, in the order given."""
        shapes = [shape for actor in actors for shape in actor]
        owner = [(number, shape) for number, actor in enumerate(actors) for shape in actor]
        capsules = [s for s in shapes if isinstance(s, Capsule)]
        faces = [s for s in shapes if not isinstance(s, Capsule)]
        k = max((len(f.points) for f in faces), default=3)
        corners = np.empty((len(faces), k, 3))
        for i, face in enumerate(faces):
            n = len(face.points)
            corners[i, :n] = face.points
            corners[i, n:] = face.points[-1]
        return Pack(
            np.array([(c.a, c.b) for c in capsules], float).reshape(-1, 2, 3),
            np.array([(c.ra, c.rb) for c in capsules], float).reshape(-1, 2),
            np.array([c.colour for c in capsules], float).reshape(-1, 3),
            corners,
            np.array([f.colour for f in faces], float).reshape(-1, 3),
            np.array([f.emission for f in faces], float),
            np.array([f.two_sided for f in faces], bool),
            np.array([i for i, s in owner if isinstance(s, Capsule)], np.int64),
            np.array([i for i, s in owner if not isinstance(s, Capsule)], np.int64),
        )

    def points(self) -> Array:
        return np.concatenate((self.ends.reshape(-1, 3), self.corners.reshape(-1, 3)))

    def moved(self, turn: Array, shift: Array) -> Pack:
        """Turned by the (3, 3) matrix, then shifted."""
        return replace(self, ends=self.ends @ turn.T + shift, corners=self.corners @ turn.T + shift)

    def towards(self, other: Pack, share: float) -> Pack:
        """A pose between two frames (for motion blur); itself where the shapes changed in number."""
        if self.ends.shape != other.ends.shape or self.corners.shape != other.corners.shape:
            return self
        ends, corners = self.ends * (1 - share) + other.ends * share, self.corners * (1 - share) + other.corners * share
        return replace(self, ends=ends, corners=corners)


def stadiums(a: Array, b: Array, ra: Array, rb: Array) -> Array:
    """Hulls of two circles each: (n, 2), (n, 2), (n), (n) -> (n, 14, 2) polygons."""
    step = b - a
    length = np.hypot(step[:, 0], step[:, 1])
    inner = length <= np.abs(ra - rb) + 1e-9  # one circle holds the other
    big = np.where(rb > ra, 1, 0)[:, None]
    a, b = np.where(inner[:, None] & (big == 1), b, a), np.where(inner[:, None] & (big == 0), a, b)
    largest = np.maximum(ra, rb)
    ra, rb = np.where(inner, largest, ra), np.where(inner, largest, rb)
    angle = np.arctan2(step[:, 1], step[:, 0])[:, None]
    beta = np.arccos(np.clip((ra - rb) / np.maximum(length, 1e-9), -1, 1))[:, None]
    beta = np.where(inner[:, None], np.pi / 2, beta)
    first = angle + beta + (2 * np.pi - 2 * beta) * _ARC
    second = angle - beta + 2 * beta * _ARC
    arc_a = a[:, None] + ra[:, None, None] * np.stack((np.cos(first), np.sin(first)), -1)
    arc_b = b[:, None] + rb[:, None, None] * np.stack((np.cos(second), np.sin(second)), -1)
    return np.concatenate((arc_a, arc_b), axis=1)


@dataclass(frozen=True)
class Drawing:
    """Polygons of one pose on one view, back to front, ready to fill."""

    polygons: list[Array]  # (k, 2) px
    colours: list[tuple[float, ...]]
    owners: list[int]  # which actor each polygon belongs to
    shadows: list[Array]
    box: tuple[float, float, float, float]  # of polygons and shadows, px
    tight: tuple[float, float, float, float]  # of polygons
    depth: float  # mean distance along the optical axis, m


def _normals(corners: Array) -> Array:
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)


def _inside(point: Array, polygons: Array) -> NDArray[np.bool_]:
    """Which convex polygons (m, k, 2) hold which points (n, 2) -> (n, m)."""
    edge = np.roll(polygons, -1, axis=1) - polygons
    to = point[:, None, None] - polygons[None]
    cross = edge[None, ..., 0] * to[..., 1] - edge[None, ..., 1] * to[..., 0]
    return np.asarray((cross >= -1e-9).all(2) | (cross <= 1e-9).all(2))


def outline(pack: Pack, camera: Camera) -> tuple[Array, float]:
    """The tight box (x0, y0, x1, y1) of a pose, and its depth, without drawing it."""
    points, depth = camera.project(pack.points())
    reach = np.zeros(len(points))
    n = 2 * len(pack.ends)
    reach[:n] = pack.radii.ravel() * camera.f / depth[:n]
    low, high = (points - reach[:, None]).min(0), (points + reach[:, None]).max(0)
    return np.array((*low, *high)), float(depth.mean())


def draw(pack: Pack, camera: Camera, light: Light, *, sunlit: float = 1.0, shrink: float = 0.0) -> Drawing:
    """Order and shade one pose.

    shrink: taken off every limb's radius, px: what cv2's filling adds to an outline.
    """
    n, m = len(pack.ends), pack.corners.shape[0] * pack.corners.shape[1]
    eye, middle = np.array((0.0, 0.0, camera.z)), pack.ends.mean(1)
    solid_points = np.concatenate((pack.ends.reshape(-1, 3), pack.corners.reshape(-1, 3)))
    casts = sunlit > 0 and light.shadow < 1
    ground = light.shadows(solid_points) if casts else solid_points[:0]
    spots, depths = camera.project(np.concatenate((solid_points, middle + 0.2 * light.sun, ground)))
    uv, depth = spots[: 2 * n].reshape(n, 2, 2), depths[: 2 * n].reshape(n, 2)
    corners = spots[2 * n : 2 * n + m].reshape(*pack.corners.shape[:2], 2)
    distance = depths[2 * n : 2 * n + m].reshape(pack.corners.shape[:2])
    tip, cast, cast_depth = spots[2 * n + m : 3 * n + m], spots[3 * n + m :], depths[3 * n + m :]
    away = depth.mean(1)
    radii = np.maximum(pack.radii * camera.f / depth - shrink, 0.6 * shrink)
    # The sun across the limb: its part across the axis on the image picks the bright side.
    sunward = tip - uv.mean(1)
    sunward /= np.maximum(np.linalg.norm(sunward, axis=1, keepdims=True), 1e-9)
    bright = uv + 0.34 * sunward[:, None] * radii[..., None]
    ends, reach = [uv, bright], [radii, 0.62 * radii]
    squash = np.array((1.0, 1.0))
    if casts and n:  # a limb's shadow: the same hull, seen as flat as the ground is
        squash = np.array((1.0, 1 / np.clip(camera.z / cast_depth[: 2 * n].mean(), 0.05, 1.0)))
        ends.append(cast[: 2 * n].reshape(n, 2, 2) * squash)
        reach.append(pack.radii * camera.f / cast_depth[: 2 * n].reshape(n, 2))
    pairs, sizes = np.concatenate(ends), np.concatenate(reach)
    both = stadiums(pairs[:, 0], pairs[:, 1], sizes[:, 0], sizes[:, 1])
    hulls, bright = both[:n], both[n : 2 * n]
    shadows = list(both[2 * n :] / squash)
    if casts and m:
        below = cast[2 * n :].reshape(corners.shape)
        for owner in np.unique(pack.panel_of):
            hull = cv2.convexHull(below[pack.panel_of == owner].reshape(-1, 2).astype(np.float32))
            shadows.append(np.asarray(hull[:, 0], float))

    normal = _normals(pack.corners) if len(pack.corners) else np.zeros((0, 3))
    to_eye = ((eye - pack.corners.mean(1)) * normal).sum(1) if len(normal) else np.zeros(0)
    facing = np.where(to_eye[:, None] < 0, -normal, normal)
    seen = pack.two_sided | (to_eye > 0)
    shaded = light.lit(
        np.concatenate((pack.tint, pack.tint, pack.paint)),
        np.concatenate((np.full(n, 0.18), np.full(n, 0.8), facing @ light.sun)),
        np.concatenate((away, away, distance.mean(1))),
        sunlit,
        np.concatenate((np.zeros(2 * n), pack.glow)),
    )
    tones = [tuple(tone) for tone in shaded.tolist()]

    far = distance.mean(1)
    faces = [i for i in np.argsort(-far).tolist() if seen[i]]
    if n and faces:
        # A limb goes before the first panel that holds its middle and lies in front of it, else after the last.
        rank = np.full(len(far), np.nan)
        rank[faces] = np.arange(len(faces))
        hit = _inside(uv.mean(1), corners[faces])
        front = ((middle[:, None] - pack.corners[None, faces, 0]) * facing[None, faces]).sum(-1) > 0
        place = rank[faces]
        first_over = np.where(hit & ~front, place, np.inf).min(1)
        last_under = np.where(hit, place + 1, -np.inf).max(1)
        by_depth = (far[faces][None] > away[:, None]).sum(1)
        slot = np.where(np.isfinite(first_over), first_over, np.where(hit.any(1), last_under, by_depth))
        order = [*zip((slot - 0.5 + 1e-4 / away).tolist(), range(n), strict=True)]
    else:
        order = [*zip((-away).tolist(), range(n), strict=True)]
    order += [(float(at), n + face) for at, face in enumerate(faces)]

    polygons: list[Array] = []
    colours: list[tuple[float, ...]] = []
    owners: list[int] = []
    for _, i in sorted(order):
        if i >= n:
            polygons.append(corners[i - n])
            colours.append(tones[n + i])
            owners.append(int(pack.panel_of[i - n]))
        else:
            polygons += (hulls[i], bright[i])
            colours += (tones[i], tones[n + i])
            owners += [int(pack.limb_of[i])] * 2

    solid = np.concatenate(polygons) if polygons else np.zeros((1, 2))
    everything = np.concatenate((solid, *shadows))
    mean = float(np.concatenate((away, distance.mean(1))).mean()) if polygons else np.inf
    box, tight = (*everything.min(0), *everything.max(0)), (*solid.min(0), *solid.max(0))
    return Drawing(polygons, colours, owners, shadows, box, tight, mean)


def fixed(polygon: Array, origin: tuple[float, float], zoom: float) -> NDArray[np.int32]:
    """Corners in cv2's fixed point on an enlarged canvas whose pixel (0, 0) starts at `origin`."""
    return np.rint(((polygon - origin) * zoom - 0.5) * (1 << SHIFT)).astype(np.int32)


def fill(canvas: NDArray, drawing: Drawing, origin: tuple[float, float], zoom: float, *, ids: bool = False) -> None:
    """Paint the polygons, back to front; `ids` paints actor number + 1 instead of colours."""
    inks = [(owner + 1.0,) for owner in drawing.owners] if ids else drawing.colours
    for polygon, ink in zip(_grid(drawing.polygons, origin, zoom), inks, strict=True):
        cv2.fillConvexPoly(canvas, polygon, ink, cv2.LINE_8, SHIFT)


def _grid(polygons: list[Array], origin: tuple[float, float], zoom: float) -> list[NDArray[np.int32]]:
    """`fixed` of many polygons at once."""
    if not polygons:
        return []
    whole, ends = fixed(np.concatenate(polygons), origin, zoom), np.cumsum([len(p) for p in polygons]).tolist()
    return [whole[i:j] for i, j in zip([0, *ends[:-1]], ends, strict=True)]


def shade_table(light: Light) -> Image:
    """8-bit values in the light -> in a shadow."""
    return np.rint(np.arange(256) * light.shadow ** (1 / GAMMA)).astype(np.uint8)


@dataclass(frozen=True)
class Backdrop:
    """What never moves, painted: colours, and what may stand before an actor."""

    image: Image  # (H, W, 3)
    depth: NDArray[np.float32]  # (H, W): of standing things, m; inf where the ground or sky is seen
    cover: Image  # (H, W): how much of the pixel a standing thing fills, 0 to 255
    shade: Image  # (H, W): 255 in the static shadows


@dataclass(frozen=True)
class Patch:
    """Where a frame was changed: rows y0:y1, columns x0:x1."""

    x0: int
    y0: int
    x1: int
    y1: int


def zoom_for(height: float) -> int:
    return 4 if height < 24 else 3 if height < 96 else 2


def composite(frame: Image, backdrop: Backdrop, poses: Sequence[Drawing], light: Light, zoom: int) -> Patch | None:
    """Put a group of actors into `frame` (in place): the mean of its poses while the shutter is open."""
    boxes = np.array([pose.box for pose in poses])
    height, width = frame.shape[:2]
    x0, y0 = (int(np.floor(v)) - 1 for v in boxes[:, :2].min(0))
    x1, y1 = (int(np.ceil(v)) + 2 for v in boxes[:, 2:].max(0))
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    if x0 >= x1 or y0 >= y1:
        return None
    rows, columns = slice(y0, y1), slice(x0, x1)
    before = frame[rows, columns]
    size = ((x1 - x0) * zoom, (y1 - y0) * zoom)
    ground = cv2.resize(before, size, interpolation=cv2.INTER_NEAREST)
    standing = backdrop.cover[rows, columns]
    table = shade_table(light)
    drawn = []
    for pose in poses:
        canvas = ground.copy() if len(poses) > 1 else ground
        if pose.shadows:
            mask = np.zeros(size[::-1], np.uint8)
            for polygon in _grid(pose.shadows, (x0, y0), zoom):
                cv2.fillConvexPoly(mask, polygon, 255, cv2.LINE_8, SHIFT)
            shaded = cv2.max(standing, backdrop.shade[rows, columns])
            if shaded.any():
                mask[cv2.resize(shaded, size, interpolation=cv2.INTER_NEAREST) > 127] = 0
            cv2.copyTo(cv2.LUT(canvas, table), mask, canvas)
        fill(canvas, pose, (x0, y0), zoom)
        drawn.append(cv2.resize(canvas, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA))
    after = drawn[0] if len(drawn) == 1 else np.mean(drawn, axis=0).astype(np.uint8)
    if standing.any():
        alpha = np.where(backdrop.depth[rows, columns] < poses[0].depth, standing, 0)[..., None] / np.float32(255)
        after = (before * alpha + after * (1 - alpha)).astype(np.uint8)
    frame[rows, columns] = after
    return Patch(x0, y0, x1, y1)


def part(pack: Pack, actor: int) -> Pack:
    """One actor's shapes."""
    limbs, panels = pack.limb_of == actor, pack.panel_of == actor
    return Pack(
        pack.ends[limbs], pack.radii[limbs], pack.tint[limbs], pack.corners[panels], pack.paint[panels],
        pack.glow[panels], pack.two_sided[panels], pack.limb_of[limbs], pack.panel_of[panels],
    )  # fmt: skip
