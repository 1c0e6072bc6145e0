"""A surveillance camera: a pinhole with one radial term, on a pole at the origin, looking along +y and tilted down."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
SIZES = {"V": (1280, 720), "M": (960, 536)}  # of the views, px
KINDS = {"V": ("lot",), "M": ("stop", "hall")}  # of places, by turns of the seed
# (focal length in px at 1920 px of width, height in m, tilt in degrees): typical rows of the registered MEVA cameras
ROWS = ((1480.0, 5.9, 20.0), (2200.0, 9.0, 15.0), (3366.0, 15.0, 13.0), (4066.0, 8.0, 6.0))


@dataclass(frozen=True)
class Camera:
    """World metres to pixels of one view; (cx, cy) may lie outside the image, so a crop is a camera too."""

    width: int
    height: int
    f: float  # focal length, px
    z: float  # height of the lens above the ground, m
    tilt: float  # downwards, rad
    cx: float
    cy: float
    k1: float = 0.0  # radial distortion, in units of the focal length

    @cached_property
    def numbers(self) -> tuple[float, float, float, float, float, float, float]:
        """What the compiled loops take: focal length, height, sine and cosine of the tilt, centre, distortion."""
        sine, cosine = math.sin(self.tilt), math.cos(self.tilt)
        return tuple(float(v) for v in (self.f, self.z, sine, cosine, self.cx, self.cy, self.k1))  # type: ignore[return-value]

    def project(self, points: Array) -> tuple[Array, Array]:
        """(..., 3) metres -> (..., 2) px and (...) depth along the optical axis (at least 0.1 m)."""
        sine, cosine = math.sin(self.tilt), math.cos(self.tilt)
        x, y, dz = points[..., 0], points[..., 1], points[..., 2] - self.z
        depth = np.maximum(y * cosine - dz * sine, 0.1)
        u, v = x / depth, (-y * sine - dz * cosine) / depth
        bend = (1 + self.k1 * (u * u + v * v)) * self.f
        return np.stack((self.cx + u * bend, self.cy + v * bend), axis=-1), depth

    def rays(self, columns: NDArray[np.float32], rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """World directions (dx, dy, dz), dy > 0, through pixel positions; the distortion is inverted by iteration."""
        u0, v0 = (columns - self.cx) / self.f, (rows - self.cy) / self.f
        u, v = u0, v0
        for _ in range(2 if self.k1 else 0):
            bend = 1 + self.k1 * (u * u + v * v)
            u, v = u0 / bend, v0 / bend
        sine, cosine = math.sin(self.tilt), math.cos(self.tilt)
        return u, cosine - v * sine, -sine - v * cosine

    def ground(self, u: float, v: float) -> tuple[float, float] | None:
        """The ground point seen at a pixel, or None at and above the horizon."""
        dx, dy, dz = (float(d) for d in self.rays(np.float32(u), np.float32(v)))  # type: ignore[arg-type]
        return (-dx * self.z / dz, -dy * self.z / dz) if dz < -1e-4 else None

    def window(self, x: float, y: float, side: float, out: int) -> Camera:
        """The camera that sees the square (x, y, side) of this view, as `out` x `out` pixels."""
        s = out / side
        return replace(self, width=out, height=out, f=self.f * s, cx=(self.cx - x) * s, cy=(self.cy - y) * s)

    def scaled(self, s: float) -> Camera:
        size = {"width": round(self.width * s), "height": round(self.height * s)}
        return replace(self, **size, f=self.f * s, cx=self.cx * s, cy=self.cy * s)

    @property
    def horizon(self) -> float:
        return self.cy - self.f * math.tan(self.tilt)

    def tallest(self) -> float:
        """Height (px) of a short person who stands as near as this view allows."""
        spot = self.ground(self.width / 2, 0.93 * self.height)
        if spot is None:
            return math.inf
        ends, _ = self.project(np.array(((0.0, spot[1], 0.0), (0.0, spot[1], 1.62))))
        return float(ends[0, 1] - ends[1, 1])


def scene_camera(scene: int, domain: str, scale: float) -> tuple[Camera, np.random.Generator]:
    """The camera of a place, and the source that its other strengths are drawn from next."""
    width, height = (2 * round(side * scale / 2) for side in SIZES[domain])
    rng = np.random.default_rng((scene, 31))
    return draw_camera(rng, width, height, KINDS[domain][scene % len(KINDS[domain])]), rng


def draw_camera(rng: np.random.Generator, width: int, height: int, kind: str = "lot") -> Camera:
    """A camera near one of the real rows, scaled to the width of the view.

    Over a lot it stands on a roof and has the horizon near the upper edge, as VIRAT's do; in a hall it is low and wide.
    """
    f, z, tilt = ROWS[rng.integers({"hall": 1, "stop": 2, "lot": len(ROWS)}[kind])]
    f *= float(np.exp(rng.normal(0, 0.12))) * width / 1920
    z *= float(np.exp(rng.normal(0, 0.15)))
    angle = math.radians(tilt + float(rng.normal(-4 if kind == "hall" else 0, 1.0)))
    if kind == "hall":
        z = float(rng.uniform(3.6, 5.6))
    elif kind == "lot":
        z = min(max(z, float(rng.uniform(6.5, 8.5))), 10.0)
        angle = math.atan((0.5 - float(rng.uniform(-0.01, 0.11))) * height / f)
    return Camera(width, height, f, z, angle, width / 2, height / 2, float(rng.uniform(0, 0.03)))
