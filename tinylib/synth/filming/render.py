"""The rasteriser: shapes in metres to anti-aliased pixels over a painted background.

Everything is drawn enlarged with sub-pixel corners inside the actor's own box and averaged down, so that motion
of a fraction of a pixel stays visible at 20 px. Painter's order; a limb is put in front of or behind a panel by the
side of the panel's plane that it is on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from tinylib.synth.filming.camera import Camera
from tinylib.synth.places.primitives import Capsule, Shape

Array = NDArray[np.float64]
Image = NDArray[np.uint8]
Places = NDArray[np.int64]
GAMMA = 2.2
SHIFT = 4  # fractional bits of cv2's corners
_ARC = np.linspace(0.0, 1.0, 7)


@dataclass(frozen=True)
class Light:
    """Sun, sky and air of a scene."""

    sun: Array  # (3,) unit, towards the sun
    power: float = 0.75  # of direct light on a surface that faces it
    ambient: float = 0.42
    shadow: float = 0.5  # what is left of the light in a shadow
    haze: tuple[float, float, float] = (0.62, 0.66, 0.7)
    visibility: float = 600.0  # metres until haze takes 63 %

    @cached_property
    def numbers(self) -> tuple[float, float, float, float, tuple[float, float, float]]:
        """What the compiled loops take."""
        red, green, blue = self.haze
        return float(self.power), float(self.ambient), float(self.shadow), float(self.visibility), (
            float(red), float(green), float(blue))  # fmt: skip

    @cached_property
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
    panels_by_actor: tuple[Places, ...]  # which panels are of the same actor, for each actor that has any

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
            (panel_of := np.array([i for i, s in owner if not isinstance(s, Capsule)], np.int64)),
            by_actor(panel_of),
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


def by_actor(panel_of: Places) -> tuple[Places, ...]:
    """The places of each number in `panel_of`, by rising number."""
    return tuple(np.flatnonzero(panel_of == owner) for owner in np.unique(panel_of))


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
    """Polygons of one pose on one view, back to front, ready to fill; each ends at its place in `ends`."""

    points: Array  # (p, 2) px: the corners of all polygons, one after another
    ends: Places  # (n,)
    colours: Image  # (n, 3)
    owners: Places  # (n,) which actor each polygon belongs to
    shadow_points: Array  # (q, 2) px
    shadow_ends: Places
    box: tuple[float, float, float, float]  # of polygons and shadows, px
    tight: tuple[float, float, float, float]  # of polygons
    depth: float  # mean distance along the optical axis, m

    @property
    def polygons(self) -> list[Array]:
        """Each polygon's corners, px."""
        return np.split(self.points, self.ends[:-1]) if len(self.ends) else []

    @property
    def shadows(self) -> list[Array]:
        """Each shadow's corners, px."""
        return np.split(self.shadow_points, self.shadow_ends[:-1]) if len(self.shadow_ends) else []


def outline(pack: Pack, camera: Camera) -> tuple[Array, float]:
    """The tight box (x0, y0, x1, y1) of a pose, and its depth, without drawing it."""
    from tinylib.synth.filming import projection

    box, depth = projection.outlined(pack.ends, pack.radii, pack.corners, camera.numbers)
    return np.asarray(box), float(depth)


def draw(pack: Pack, camera: Camera, light: Light, *, sunlit: float = 1.0, shrink: float = 0.0) -> Drawing:
    """Order and shade one pose.

    shrink: taken off every limb's radius, px: what cv2's filling adds to an outline.
    """
    from tinylib.synth.filming import projection

    casts, view, sun = sunlit > 0 and light.shadow < 1, camera.numbers, light.sun
    limbs, tips, panels, far, cast_limbs, below = projection.projected(
        pack.ends, pack.corners, sun, light.slope, casts, view
    )
    points, ends, colours, owners, shadows, depth = projection.arranged(
        pack.ends, pack.radii, pack.tint, pack.corners, pack.paint, pack.glow, pack.two_sided, pack.limb_of,
        pack.panel_of, limbs, tips, panels, far, np.argsort(-far), cast_limbs, light.numbers, sun, camera.z, camera.f,
        sunlit, shrink,
    )  # fmt: skip
    counts = [shadows.shape[0] // len(cast_limbs)] * len(cast_limbs) if len(cast_limbs) else []
    if casts and len(below):
        hulls = [cv2.convexHull(below[owned].reshape(-1, 2))[:, 0] for owned in pack.panels_by_actor]
        shadows = np.concatenate((shadows, *hulls))
        counts += [len(hull) for hull in hulls]
    tight, box = projection.bounds(points, shadows)
    depth = float(depth) if len(points) else np.inf
    return Drawing(points, ends, colours, owners, shadows, np.cumsum(counts, dtype=np.int64), box, tight, depth)


def fixed(polygon: Array, origin: tuple[float, float], zoom: float) -> NDArray[np.int32]:
    """Corners in cv2's fixed point on an enlarged canvas whose pixel (0, 0) starts at `origin`."""
    return np.rint(((polygon - origin) * zoom - 0.5) * (1 << SHIFT)).astype(np.int32)


def fill(canvas: NDArray[np.generic], drawing: Drawing, origin: tuple[float, float], zoom: float,
         inks: Places) -> None:  # fmt: skip
    """Paint the polygons, back to front, onto a canvas of one channel: each with its ink."""
    from tinylib.synth.filming import filling

    filling.fill_grid(canvas, drawing.points, drawing.ends, float(origin[0]), float(origin[1]), float(zoom), inks)


@cache
def shade_table(shadow: float) -> Image:
    """8-bit values in the light -> in a shadow that leaves so much of it."""
    return np.rint(np.arange(256) * shadow ** (1 / GAMMA)).astype(np.uint8)


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
    from tinylib.synth.filming import filling

    rows, columns = slice(y0, y1), slice(x0, x1)
    before, cover = frame[rows, columns].copy(), backdrop.cover[rows, columns]
    shaded, table = cv2.max(cover, backdrop.shade[rows, columns]), shade_table(light.shadow)
    after = [
        filling.drawn(
            before, pose.points, pose.ends, pose.colours, pose.shadow_points, pose.shadow_ends, shaded, table,
            x0, y0, zoom,
        )
        for pose in poses
    ]  # fmt: skip
    mean = after[0] if len(after) == 1 else filling.mean_of(after[0], after[1])
    filling.blend(frame, x0, y0, mean, backdrop.cover, backdrop.depth, poses[0].depth)
    return Patch(x0, y0, x1, y1)


def part(pack: Pack, actor: int) -> Pack:
    """One actor's shapes."""
    limbs, panels = pack.limb_of == actor, pack.panel_of == actor
    return Pack(
        pack.ends[limbs], pack.radii[limbs], pack.tint[limbs], pack.corners[panels], pack.paint[panels],
        pack.glow[panels], pack.two_sided[panels], pack.limb_of[limbs], pack.panel_of[panels],
        by_actor(pack.panel_of[panels]),
    )  # fmt: skip
