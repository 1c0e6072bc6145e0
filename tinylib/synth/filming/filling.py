"""Filling polygons as OpenCV fills them, compiled by numba: an actor a call instead of a polygon a call.

`fill_convex` repeats cv2.fillConvexPoly (LINE_8, corners in sixteenths of a pixel) pixel by pixel, and `drawn` the
averaging of cv2.INTER_AREA, so that pictures are those that OpenCV draws. Compiled on first use and cached.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

ONE = 1 << 16  # cv2 walks along edges in 16 fractional bits
FINE = 12  # from the sixteenths of the corners to those bits


@intrinsic
def _fused(_context, a, b, c):
    """a * b + c in single precision, rounded once."""

    def generate(_context, builder: ir.IRBuilder, _signature, arguments):
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), generate


@njit(cache=True)
def _over(a: int, b: int) -> int:
    """a / b, rounded towards zero as in C."""
    q = abs(a) // abs(b)
    return q if (a >= 0) == (b >= 0) else -q


@njit(cache=True)
def _clipped(width: int, height: int, x1: int, y1: int, x2: int, y2: int) -> tuple[bool, int, int, int, int]:
    """cv2.clipLine: the part of a line inside width x height, and whether there is one."""
    right, bottom = width - 1, height - 1
    c1 = (x1 < 0) + (x1 > right) * 2 + (y1 < 0) * 4 + (y1 > bottom) * 8
    c2 = (x2 < 0) + (x2 > right) * 2 + (y2 < 0) * 4 + (y2 > bottom) * 8
    if (c1 & c2) == 0 and (c1 | c2) != 0:
        if c1 & 12:
            a = 0 if c1 < 8 else bottom
            x1 += int(float(a - y1) * (x2 - x1) / (y2 - y1))
            y1 = a
            c1 = (x1 < 0) + (x1 > right) * 2
        if c2 & 12:
            a = 0 if c2 < 8 else bottom
            x2 += int(float(a - y2) * (x2 - x1) / (y2 - y1))
            y2 = a
            c2 = (x2 < 0) + (x2 > right) * 2
        if (c1 & c2) == 0 and (c1 | c2) != 0:
            if c1:
                a = 0 if c1 == 1 else right
                y1 += int(float(a - x1) * (y2 - y1) / (x2 - x1))
                x1 = a
                c1 = 0
            if c2:
                a = 0 if c2 == 1 else right
                y2 += int(float(a - x2) * (y2 - y1) / (x2 - x1))
                x2 = a
                c2 = 0
    return (c1 | c2) == 0, x1, y1, x2, y2


@njit(cache=True)
def _line(canvas, x1, y1, x2, y2, ink):
    """cv2's 8-connected line between points in 16 fractional bits."""
    height, width = canvas.shape
    inside, x1, y1, x2, y2 = _clipped(width << 16, height << 16, x1, y1, x2, y2)
    if not inside:
        return
    dx, dy = x2 - x1, y2 - y1
    if abs(dx) > abs(dy):
        if dx < 0:
            x1, y1, x2, y2, dx, dy = x2, y2, x1, y1, -dx, -dy
        step = _over(dy * ONE, dx | 1)
        count = (x2 - x1) >> 16
    else:
        if dy < 0:
            x1, y1, x2, y2, dx, dy = x2, y2, x1, y1, -dx, -dy
        step = _over(dx * ONE, dy | 1)
        count = (y2 - y1) >> 16
    x1 += ONE >> 1
    y1 += ONE >> 1
    x, y = (x2 + (ONE >> 1)) >> 16, (y2 + (ONE >> 1)) >> 16
    if 0 <= x < width and 0 <= y < height:
        canvas[y, x] = ink
    if abs(dx) > abs(dy):
        x = x1 >> 16
        for _ in range(count + 1):
            y = y1 >> 16
            if 0 <= x < width and 0 <= y < height:
                canvas[y, x] = ink
            x += 1
            y1 += step
    else:
        y = y1 >> 16
        for _ in range(count + 1):
            x = x1 >> 16
            if 0 <= x < width and 0 <= y < height:
                canvas[y, x] = ink
            y += 1
            x1 += step


@njit(cache=True)
def _edge(corners, here, turn, y, edges):
    """The next edge below row y, `turn` corners on at a time: its corner, last row, column, step; and edges left."""
    while edges > 0:
        edges -= 1
        there = (here + turn) % len(corners)
        until = (corners[there, 1] + 8) >> 4
        if until > y:
            start, stop = corners[here, 0] << FINE, corners[there, 0] << FINE
            return there, until, start, _over((stop - start) * 2 + (until - y), 2 * (until - y)), edges
        here = there
    return here, y, 0, 0, -1


@njit(cache=True)
def fill_convex(canvas, corners, ink):
    """Fill a polygon (k, 2) with corners in sixteenths of a pixel, as cv2.fillConvexPoly(..., LINE_8, 4) does."""
    height, width = canvas.shape
    count = len(corners)
    first = 0
    left = right = corners[0, 0]
    top = bottom = corners[0, 1]
    x0, y0 = corners[count - 1, 0] << FINE, corners[count - 1, 1] << FINE
    for i in range(count):
        x, y = corners[i, 0], corners[i, 1]
        if y < top:
            top, first = y, i
        bottom, left, right = max(bottom, y), min(left, x), max(right, x)
        x, y = x << FINE, y << FINE
        _line(canvas, x0, y0, x, y, ink)
        x0, y0 = x, y
    left, right, top, bottom = (left + 8) >> 4, (right + 8) >> 4, (top + 8) >> 4, (bottom + 8) >> 4
    if count < 3 or right < 0 or bottom < 0 or left >= width or top >= height:
        return
    bottom = min(bottom, height - 1)
    at0 = at1 = first  # the two edges that bound a row: forwards and backwards around the polygon
    end0 = end1 = top
    ex0 = ex1 = -ONE
    step0 = step1 = 0
    edges = count
    for y in range(top, bottom + 1):
        if y >= end0:
            at0, end0, ex0, step0, edges = _edge(corners, at0, 1, y, edges)
        if y >= end1:
            at1, end1, ex1, step1, edges = _edge(corners, at1, count - 1, y, edges)
        if edges < 0:
            return
        if y >= 0:
            a, b = (min(ex0, ex1) + (ONE >> 1)) >> 16, (max(ex0, ex1) + (ONE >> 1)) >> 16
            if b >= 0 and a < width:
                for x in range(max(a, 0), min(b, width - 1) + 1):
                    canvas[y, x] = ink
        ex0 += step0
        ex1 += step1


@njit(cache=True)
def fill_grid(canvas, points, ends, x0, y0, zoom, inks):
    """Fill polygons (one after another in `points`, each up to its place in `ends`) on an enlarged canvas."""
    corners = np.empty((len(points), 2), np.int64)
    for i in range(len(points)):
        corners[i, 0] = int(np.rint(((points[i, 0] - x0) * zoom - 0.5) * 16))
        corners[i, 1] = int(np.rint(((points[i, 1] - y0) * zoom - 0.5) * 16))
    first = 0
    for i in range(len(ends)):
        fill_convex(canvas, corners[first : ends[i]], inks[i])
        first = ends[i]


@njit(cache=True)
def _spans(corners, zoom, left, right):
    """Widen the columns (small pixels) of every row that a polygon on the enlarged canvas can touch."""
    x0, y0 = corners[:, 0].min() // 16 // zoom - 1, corners[:, 1].min() // 16 // zoom - 1
    x1, y1 = corners[:, 0].max() // 16 // zoom + 2, corners[:, 1].max() // 16 // zoom + 2
    for row in range(max(y0, 0), min(y1, len(left) - 1) + 1):
        left[row], right[row] = min(left[row], x0), max(right[row], x1)


@njit(cache=True)
def _shrunk(before, canvas, colours, table, shaded, zoom, left, right):
    """The enlarged canvas of inks (0: nothing, 1: shadow, 2 on: polygons) over `before`, averaged down as cv2 does."""
    height, width = before.shape[:2]
    out = before.copy()
    scale = np.float32(1.0) / np.float32(zoom * zoom)
    for y in range(height):
        for x in range(max(left[y], 0), min(right[y], width - 1) + 1):
            bare = dark = red = green = blue = 0
            for v in range(y * zoom, (y + 1) * zoom):
                for u in range(x * zoom, (x + 1) * zoom):
                    ink = canvas[v, u]
                    if ink == 0:
                        bare += 1
                    elif ink == 1:
                        dark += 1
                    else:
                        red += colours[ink - 2, 0]
                        green += colours[ink - 2, 1]
                        blue += colours[ink - 2, 2]
            if bare == zoom * zoom:
                continue
            if shaded[y, x] > 127:  # already dark: no second shadow
                bare, dark = bare + dark, 0
            for c in range(3):
                total = red if c == 0 else green if c == 1 else blue
                total += bare * before[y, x, c] + dark * table[before[y, x, c]]
                if zoom == 2:
                    out[y, x, c] = (total + 2) >> 2
                else:
                    out[y, x, c] = np.uint8(np.rint(np.float32(total) * scale))
    return out


@njit(cache=True)
def drawn(before, points, ends, colours, shadow_points, shadow_ends, shaded, table, x0, y0, zoom):
    """One pose over `before` (h, w, 3), whose first pixel is (x0, y0): enlarged, filled, averaged down."""
    height, width = before.shape[:2]
    canvas = np.zeros((height * zoom, width * zoom), np.int16)
    left, right = np.full(height, width, np.int64), np.full(height, -1, np.int64)
    for part in range(2):
        spots, until = (shadow_points, shadow_ends) if part == 0 else (points, ends)
        corners = np.empty((len(spots), 2), np.int64)
        for i in range(len(spots)):
            corners[i, 0] = int(np.rint(((spots[i, 0] - x0) * zoom - 0.5) * 16))
            corners[i, 1] = int(np.rint(((spots[i, 1] - y0) * zoom - 0.5) * 16))
        first = 0
        for i in range(len(until)):
            if until[i] > first:
                outline = corners[first : until[i]]
                fill_convex(canvas, outline, 1 if part == 0 else i + 2)
                _spans(outline, zoom, left, right)
            first = until[i]
    return _shrunk(before, canvas, colours, table, shaded, zoom, left, right)


@njit(cache=True)
def mean_of(one, other):
    """The mean of two pictures, rounded down."""
    out = np.empty_like(one)
    for y in range(one.shape[0]):
        for x in range(one.shape[1]):
            for c in range(one.shape[2]):
                out[y, x, c] = (np.int64(one[y, x, c]) + np.int64(other[y, x, c])) >> 1
    return out


@njit(cache=True)
def blend(frame, x0, y0, after, cover, depth, near):
    """Put `after` into the frame, behind what stands nearer than `near` metres."""
    distance = np.float32(near)
    for y in range(after.shape[0]):
        for x in range(after.shape[1]):
            filled = cover[y0 + y, x0 + x]
            if filled == 0 or not depth[y0 + y, x0 + x] < distance:
                for c in range(3):
                    frame[y0 + y, x0 + x, c] = after[y, x, c]
            else:
                alpha = np.float32(filled) / np.float32(255)
                rest = np.float32(1) - alpha
                for c in range(3):
                    old, new = np.float32(frame[y0 + y, x0 + x, c]), np.float32(after[y, x, c])
                    frame[y0 + y, x0 + x, c] = np.uint8(old * alpha + new * rest)


@njit(cache=True)
def nearest(ids, depths, enlarge):
    """The least depth in each block of an enlarged map of inks (0: nothing), and where there is an ink (0 or 1)."""
    height, width = ids.shape[0] // enlarge, ids.shape[1] // enlarge
    near, standing = np.empty((height, width), np.float32), np.zeros(ids.shape, np.uint8)
    for y in range(height):
        for x in range(width):
            least = np.float32(np.inf)
            for v in range(y * enlarge, (y + 1) * enlarge):
                for u in range(x * enlarge, (x + 1) * enlarge):
                    if ids[v, u]:
                        least = min(least, depths[ids[v, u]])
                        standing[v, u] = 1
            near[y, x] = least
    return near, standing


@njit(cache=True)
def hissed(frame, hiss, out):
    """frame + hiss, kept within 0 to 255 (all of one size)."""
    pixels, noise, to = frame.reshape(-1), hiss.reshape(-1), out.reshape(-1)
    for i in range(pixels.size):
        to[i] = np.uint8(min(max(np.int16(pixels[i]) + np.int16(noise[i]), 0), 255))


@njit(cache=True)
def noisy(frame, sigma, roll, out, x0, y0, x1, y1):
    """A part of the frame with noise as strong as its light makes it: sigma in sixteenths, roll in 1/32."""
    for y in range(y0, y1):
        for x in range(x0, x1):
            for c in range(frame.shape[2]):
                value = frame[y, x, c]
                strength = np.float32(np.int32(sigma[value]) * np.int32(roll[y, x, c])) * np.float32(1 / 512)
                out[y, x, c] = np.uint8(min(max(np.int32(value) + np.int32(np.rint(strength)), 0), 255))


@njit(cache=True)
def shaken(frame, dx, dy, out):
    """The frame (H, W, 3) moved by less than a pixel, as cv2.warpAffine does it (bilinear, borders repeated)."""
    height, width, channels = frame.shape
    left, above = np.float32(-dx), np.float32(-dy)
    start, first = int(np.floor(left)), int(np.floor(above))
    size = width * channels
    shares = np.empty(size, np.float32)  # of the right-hand neighbour
    for x in range(width):
        share = np.float32(np.float32(x) + left) - np.float32(x + start)
        for c in range(channels):
            shares[x * channels + c] = share
    pixels, to = frame.reshape(height, size), out.reshape(height, size)
    low = min(max(0, -start), width) * channels
    high = max(min(width, width - 1 - start) * channels, low)
    step = start * channels
    for y in range(height):
        down = np.float32(np.float32(y) + above) - np.float32(y + first)
        upper = pixels[min(max(y + first, 0), height - 1)]
        lower = pixels[min(max(y + first + 1, 0), height - 1)]
        line = to[y]
        p, q = upper[low + step : high + step], upper[low + step + channels : high + step + channels]
        r, t = lower[low + step : high + step], lower[low + step + channels : high + step + channels]
        inner, near = line[low:high], shares[low:high]
        for i in range(high - low):
            a, b, c, d = np.float32(p[i]), np.float32(q[i]), np.float32(r[i]), np.float32(t[i])
            over, under = _fused(near[i], b - a, a), _fused(near[i], d - c, c)
            inner[i] = np.uint8(np.int32(np.rint(_fused(down, under - over, over))))
        for side in range(2):
            for i in range(0 if side == 0 else high, low if side == 0 else size):
                x, c = i // channels, i % channels
                at = min(max(x + start, 0), width - 1) * channels + c
                beside = min(max(x + start + 1, 0), width - 1) * channels + c
                a, b = np.float32(upper[at]), np.float32(upper[beside])
                over = _fused(shares[i], b - a, a)
                a, b = np.float32(lower[at]), np.float32(lower[beside])
                under = _fused(shares[i], b - a, a)
                line[i] = np.uint8(np.rint(_fused(down, under - over, over)))
