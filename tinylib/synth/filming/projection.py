"""From shapes in metres to polygons on a view, compiled by numba: poses, projection, hulls, order and light.

Sums are taken in the order of NumPy's and of BLAS (`_fused`): where a limb lies in the plane of a panel, the last bit
decides which is in front. Compiled on first use and cached.
"""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

ARC = 7  # corners of each end of a limb
GAMMA = 2.2


@intrinsic
def _fused(_context, a, b, c):
    """a * b + c, rounded once: how BLAS sums a product of matrices."""

    def generate(_context, builder: ir.IRBuilder, _signature, arguments):
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), generate


@njit(cache=True)
def _seen(x, y, z, view):
    """`Camera.project` of one point: (u, v, depth)."""
    f, height, sine, cosine, cx, cy, k1 = view
    dz = z - height
    depth = max(y * cosine - dz * sine, 0.1)
    u, v = x / depth, (-y * sine - dz * cosine) / depth
    bend = (1 + k1 * (u * u + v * v)) * f
    return cx + u * bend, cy + v * bend, depth


@njit(cache=True)
def projected(ends, corners, sun, slope, casts, view):
    """Limbs (n, 2, 3) and panels (m, k, 3) as (u, v, depth); the same of shadows and of points sunward of limbs."""
    n, m, k = len(ends), corners.shape[0], corners.shape[1]
    limbs, tips, panels = np.empty((n, 2, 3)), np.empty((n, 2)), np.empty((m, k, 3))
    cast_limbs, cast_panels = np.empty((n if casts else 0, 2, 3)), np.empty((m if casts else 0, k, 2), np.float32)
    for i in range(n):
        for j in range(2):
            x, y, z = ends[i, j, 0], ends[i, j, 1], ends[i, j, 2]
            limbs[i, j] = _seen(x, y, z, view)
            if casts:
                cast_limbs[i, j] = _seen(x - z * slope[0], y - z * slope[1], 0.0, view)
        middle = (ends[i, 0] + ends[i, 1]) / 2 + 0.2 * sun
        u, v, _ = _seen(middle[0], middle[1], middle[2], view)
        tips[i, 0], tips[i, 1] = u, v
    far = np.empty(m)
    for i in range(m):
        total = 0.0
        for j in range(k):
            x, y, z = corners[i, j, 0], corners[i, j, 1], corners[i, j, 2]
            panels[i, j] = _seen(x, y, z, view)
            total += panels[i, j, 2]
            if casts:
                u, v, _ = _seen(x - z * slope[0], y - z * slope[1], 0.0, view)
                cast_panels[i, j, 0], cast_panels[i, j, 1] = u, v
        far[i] = total / k
    return limbs, tips, panels, far, cast_limbs, cast_panels


@njit(cache=True)
def _stadium(out, ax, ay, bx, by, ra, rb):
    """The hull of two circles as 14 corners (see `render.stadiums`)."""
    dx, dy = bx - ax, by - ay
    length = np.hypot(dx, dy)
    beta = math.acos(min(max((ra - rb) / max(length, 1e-9), -1.0), 1.0))
    if length <= abs(ra - rb) + 1e-9:  # one circle holds the other
        if rb > ra:
            ax, ay = bx, by
        else:
            bx, by = ax, ay
        ra = rb = max(ra, rb)
        beta = np.pi / 2
    angle = math.atan2(dy, dx)
    for i in range(ARC):
        share = i / (ARC - 1)
        first, second = angle + beta + (2 * np.pi - 2 * beta) * share, angle - beta + 2 * beta * share
        out[i, 0], out[i, 1] = ax + ra * math.cos(first), ay + ra * math.sin(first)
        out[ARC + i, 0], out[ARC + i, 1] = bx + rb * math.cos(second), by + rb * math.sin(second)


@njit(cache=True)
def _lit(colour, facing, depth, sunlit, emission, light, out):
    """`Light.lit` of one colour."""
    power, ambient, _, visibility, haze = light
    strength = ambient + power * sunlit * min(max(facing, 0.0), 1.0) + emission
    air = math.exp(-depth / visibility)
    for c in range(3):
        linear = colour[c] * strength * air + haze[c] * (1 - air)
        out[c] = 255 * min(max(linear, 0.0), 1.0) ** (1 / GAMMA)


@njit(cache=True)
def _holds(panel, x, y):
    """Whether a convex polygon on the image holds a point."""
    k = len(panel)
    plus = minus = True
    for i in range(k):
        j = i + 1 if i + 1 < k else 0
        ex, ey = panel[j, 0] - panel[i, 0], panel[j, 1] - panel[i, 1]
        cross = ex * (y - panel[i, 1]) - ey * (x - panel[i, 0])
        plus &= cross >= -1e-9
        minus &= cross <= 1e-9
    return plus or minus


@njit(cache=True)
def arranged(ends, radii, tint, corners, paint, glow, two_sided, limb_of, panel_of, limbs, tips, panels, far, farthest,
             cast_limbs, light, sun, height, f, sunlit, shrink):  # fmt: skip
    """Limbs and panels as polygons, back to front, with their colours; and the limbs' shadows (see `render.draw`).

    farthest: panels by falling distance. Returns points, ends, colours, owners, shadow points and the mean depth.
    """
    n, m, k = len(ends), corners.shape[0], corners.shape[1]
    hulls, bright = np.empty((n, 2 * ARC, 2)), np.empty((n, 2 * ARC, 2))
    away, tones, total = np.empty(n), np.empty((2 * n + m, 3)), 0.0
    for i in range(n):
        away[i] = (limbs[i, 0, 2] + limbs[i, 1, 2]) / 2
        total += away[i]
        ra = max(radii[i, 0] * f / limbs[i, 0, 2] - shrink, 0.6 * shrink)
        rb = max(radii[i, 1] * f / limbs[i, 1, 2] - shrink, 0.6 * shrink)
        ax, ay, bx, by = limbs[i, 0, 0], limbs[i, 0, 1], limbs[i, 1, 0], limbs[i, 1, 1]
        # The sun across the limb: its part across the axis on the image picks the bright side.
        sx, sy = tips[i, 0] - (ax + bx) / 2, tips[i, 1] - (ay + by) / 2
        norm = max(math.sqrt(sx * sx + sy * sy), 1e-9)
        sx, sy = sx / norm, sy / norm
        _stadium(hulls[i], ax, ay, bx, by, ra, rb)
        _stadium(bright[i], ax + 0.34 * sx * ra, ay + 0.34 * sy * ra, bx + 0.34 * sx * rb, by + 0.34 * sy * rb,
                 0.62 * ra, 0.62 * rb)  # fmt: skip
        _lit(tint[i], 0.18, away[i], sunlit, 0.0, light, tones[i])
        _lit(tint[i], 0.8, away[i], sunlit, 0.0, light, tones[n + i])

    shadows = np.empty((len(cast_limbs), 2 * ARC, 2))
    if len(cast_limbs):  # a limb's shadow: the same hull, seen as flat as the ground is
        squash = 1 / min(max(height / cast_limbs[:, :, 2].mean(), 0.05), 1.0)
        for i in range(n):
            a, b = cast_limbs[i, 0], cast_limbs[i, 1]
            _stadium(shadows[i], a[0], a[1] * squash, b[0], b[1] * squash, radii[i, 0] * f / a[2],
                     radii[i, 1] * f / b[2])  # fmt: skip
            for j in range(2 * ARC):
                shadows[i, j, 1] /= squash

    facing, seen = np.empty((m, 3)), np.empty(m, np.bool_)
    for i in range(m):
        p, q, r = corners[i, 0], corners[i, 1], corners[i, 2]
        ux, uy, uz, vx, vy, vz = q[0] - p[0], q[1] - p[1], q[2] - p[2], r[0] - p[0], r[1] - p[1], r[2] - p[2]
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        norm = max(math.sqrt(x * x + y * y + z * z), 1e-12)
        x, y, z = x / norm, y / norm, z / norm
        mx = my = mz = 0.0
        for j in range(k):
            mx, my, mz = mx + corners[i, j, 0], my + corners[i, j, 1], mz + corners[i, j, 2]
        to_eye = (0.0 - mx / k) * x + (0.0 - my / k) * y + (height - mz / k) * z
        if to_eye < 0:
            x, y, z = -x, -y, -z
        facing[i, 0], facing[i, 1], facing[i, 2] = x, y, z
        seen[i] = two_sided[i] or to_eye > 0
        total += far[i]
        _lit(paint[i], x * sun[0] + y * sun[1] + z * sun[2], far[i], sunlit, glow[i], light, tones[2 * n + i])

    faces = np.empty(m, np.int64)
    count = 0
    for i in farthest:
        if seen[i]:
            faces[count] = i
            count += 1
    keys = np.empty(n + count)
    for i in range(n):
        if not count:
            keys[i] = -away[i]
            continue
        # A limb goes before the first panel that holds its middle and lies in front of it, else after the last.
        x, y = (limbs[i, 0, 0] + limbs[i, 1, 0]) / 2, (limbs[i, 0, 1] + limbs[i, 1, 1]) / 2
        first_over, last_under, by_depth = -1, -1, 0
        for place in range(count):
            j = faces[place]
            by_depth += far[j] > away[i]
            if first_over < 0 and _holds(panels[j], x, y):
                front = 0.0
                for c in range(3):
                    front += ((ends[i, 0, c] + ends[i, 1, c]) / 2 - corners[j, 0, c]) * facing[j, c]
                if not front > 0:
                    first_over = place
                last_under = place + 1
        slot = first_over if first_over >= 0 else last_under if last_under >= 0 else by_depth
        keys[i] = slot - 0.5 + 1e-4 / away[i]
    for place in range(count):
        keys[n + place] = place

    points = np.empty((n * 4 * ARC + count * k, 2))
    until = np.empty(2 * n + count, np.int64)
    colours, owners = np.empty((2 * n + count, 3), np.uint8), np.empty(2 * n + count, np.int64)
    at = number = 0
    for i in np.argsort(keys, kind="mergesort"):
        if i < n:
            for j in range(2):
                points[at : at + 2 * ARC] = hulls[i] if j == 0 else bright[i]
                at += 2 * ARC
                until[number], owners[number] = at, limb_of[i]
                for c in range(3):
                    colours[number, c] = np.uint8(np.rint(tones[i + j * n, c]))
                number += 1
        else:
            face = faces[i - n]
            for j in range(k):
                points[at + j, 0], points[at + j, 1] = panels[face, j, 0], panels[face, j, 1]
            at += k
            until[number], owners[number] = at, panel_of[face]
            for c in range(3):
                colours[number, c] = np.uint8(np.rint(tones[2 * n + face, c]))
            number += 1
    return points, until, colours, owners, shadows.reshape(-1, 2), total / max(n + m, 1)


@njit(cache=True)
def bounds(points, shadows):
    """The box of points (n, 2), zeros where there are none, and that of points and shadows: two of four numbers."""
    x0 = y0 = np.inf
    x1 = y1 = -np.inf
    if not len(points):
        x0 = y0 = x1 = y1 = 0.0
    for i in range(len(points)):
        x0, y0, x1, y1 = min(x0, points[i, 0]), min(y0, points[i, 1]), max(x1, points[i, 0]), max(y1, points[i, 1])
    tight = (x0, y0, x1, y1)
    for i in range(len(shadows)):
        x0, y0, x1, y1 = min(x0, shadows[i, 0]), min(y0, shadows[i, 1]), max(x1, shadows[i, 0]), max(y1, shadows[i, 1])
    return tight, (x0, y0, x1, y1)


@njit(cache=True)
def outlined(ends, radii, corners, view):
    """The tight box (4) of a pose and its mean depth."""
    box = np.array((np.inf, np.inf, -np.inf, -np.inf))
    total = 0.0
    for i in range(len(ends)):
        for j in range(2):
            u, v, depth = _seen(ends[i, j, 0], ends[i, j, 1], ends[i, j, 2], view)
            reach = radii[i, j] * view[0] / depth
            total += depth
            box[0], box[1] = min(box[0], u - reach), min(box[1], v - reach)
            box[2], box[3] = max(box[2], u + reach), max(box[3], v + reach)
    for i in range(corners.shape[0]):
        for j in range(corners.shape[1]):
            u, v, depth = _seen(corners[i, j, 0], corners[i, j, 1], corners[i, j, 2], view)
            total += depth
            box[0], box[1] = min(box[0], u), min(box[1], v)
            box[2], box[3] = max(box[2], u), max(box[3], v)
    return box, total / max(2 * len(ends) + corners.shape[0] * corners.shape[1], 1)


@njit(cache=True)
def stretch(points, slope, view):
    """The box (4) of points (n, 3) and of their shadows on the ground, and the least depth among them."""
    box = np.array((np.inf, np.inf, -np.inf, -np.inf))
    least = np.inf
    for i in range(len(points)):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        for part in range(2):
            if part == 0:
                u, v, depth = _seen(x, y, z, view)
            else:
                u, v, depth = _seen(x - z * slope[0], y - z * slope[1], 0.0, view)
            least = min(least, depth)
            box[0], box[1], box[2], box[3] = min(box[0], u), min(box[1], v), max(box[2], u), max(box[3], v)
    return box, least


@njit(cache=True)
def travel(before, after, view):
    """How far on the image, along an axis, the fastest of points (n, 3) goes."""
    most = 0.0
    for i in range(len(before)):
        u, v, _ = _seen(before[i, 0], before[i, 1], before[i, 2], view)
        p, q, _ = _seen(after[i, 0], after[i, 1], after[i, 2], view)
        most = max(most, abs(p - u), abs(q - v))
    return most


@njit(cache=True)
def posed(tracks, time, first, joints, weights, turn, shift):
    """Points (n, 3) in the world at `time`: each a weighted sum of joints (its part of `joints` and `weights`)."""
    last = len(tracks) - 1
    time = min(max(time, 0.0), float(last))
    i = min(int(time), last - 1)
    u = time - i
    now = tracks[i] * (1.0 - u) + tracks[i + 1] * u
    out = np.empty((len(first) - 1, 3))
    for p in range(len(first) - 1):
        x = y = z = 0.0
        for e in range(first[p], first[p + 1]):
            j, w = joints[e], weights[e]
            x, y, z = _fused(w, now[j, 0], x), _fused(w, now[j, 1], y), _fused(w, now[j, 2], z)
        for c in range(3):
            out[p, c] = _fused(z, turn[c, 2], _fused(y, turn[c, 1], x * turn[c, 0])) + shift[c]
    return out


@njit(cache=True)
def in_sight(points, first, radii, slope, view, width, height):
    """Which groups of points (group i from first[i] to first[i + 1]), or their shadows, can be in the view."""
    out = np.zeros(len(radii), np.bool_)
    for i in range(len(radii)):
        if first[i + 1] > first[i]:
            box, least = stretch(points[first[i] : first[i + 1]], slope, view)
            room = 8 + radii[i] * view[0] / least
            out[i] = box[2] > -room and box[3] > -room and box[0] < width + room and box[1] < height + room
    return out


@njit(cache=True)
def framed(points, reach, first, turn, shift, view):
    """Boxes (k, 4) of the moments of a turned and shifted outline, and the depth (k) of the first point of each.

    points: (n, 3) of all moments, moment i from first[i] to first[i + 1]; reach: (n) radius of each, m.
    """
    count = len(first) - 1
    boxes, depths = np.empty((count, 4)), np.empty(count)
    for i in range(count):
        x0 = y0 = np.inf
        x1 = y1 = -np.inf
        for p in range(first[i], first[i + 1]):
            a, b, c = points[p, 0], points[p, 1], points[p, 2]
            x = _fused(c, turn[0, 2], _fused(b, turn[0, 1], a * turn[0, 0])) + shift[0]
            y = _fused(c, turn[1, 2], _fused(b, turn[1, 1], a * turn[1, 0])) + shift[1]
            z = _fused(c, turn[2, 2], _fused(b, turn[2, 1], a * turn[2, 0])) + shift[2]
            u, v, depth = _seen(x, y, z, view)
            r = reach[p] * view[0] / depth
            x0, y0, x1, y1 = min(x0, u - r), min(y0, v - r), max(x1, u + r), max(y1, v + r)
            if p == first[i]:
                depths[i] = depth
        boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3] = x0, y0, x1, y1
    return boxes, depths


@njit(cache=True)
def longest(boxes, firsts, lasts):
    """The longer side of what boxes firsts[i] to lasts[i] cover, for every i."""
    out = np.empty(len(firsts))
    for i in range(len(firsts)):
        x0 = y0 = np.inf
        x1 = y1 = -np.inf
        for j in range(firsts[i], lasts[i]):
            x0, y0 = min(x0, boxes[j, 0]), min(y0, boxes[j, 1])
            x1, y1 = max(x1, boxes[j, 2]), max(y1, boxes[j, 3])
        out[i] = max(x1 - x0, y1 - y0)
    return out
