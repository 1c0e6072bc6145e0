"""From RGB to the planes that a video encoder takes, compiled by numba: the same values as FFmpeg's own conversion.

BT.601, video range, one chroma sample for two by two pixels: swscale's arithmetic for rgb24 to yuv420p with its
bilinear filter, in integers, rounding where it rounds. Compiled on first use and cached.
"""

from __future__ import annotations

import numpy as np
from numba import njit

LUMA, BLUENESS, REDNESS = (8414, 16519, 3208), (-4865, -9528, 14392), (14392, -12061, -2332)  # in 1/32768


@njit(cache=True)
def _chroma(red, green, blue, weights, out):
    """One chroma row (W / 2), in 1/128, of one picture row."""
    r, g, b = np.int32(weights[0]), np.int32(weights[1]), np.int32(weights[2])
    half = np.int32((256 << 15) + (1 << 9))
    for x in range(len(out)):
        reds = np.int32(red[2 * x]) + np.int32(red[2 * x + 1])
        greens = np.int32(green[2 * x]) + np.int32(green[2 * x + 1])
        blues = np.int32(blue[2 * x]) + np.int32(blue[2 * x + 1])
        out[x] = (np.int32(r * reds + g * greens + b * blues + half) >> np.int32(10)) << np.int32(1)


@njit(cache=True)
def planar(red, green, blue, out):
    """The channels (H, W) of a frame of even sides as yuv420p: Y, U and V one after another in out (3 H / 2, W)."""
    height, width = red.shape
    ry, gy, by = np.int32(LUMA[0]), np.int32(LUMA[1]), np.int32(LUMA[2])
    half_up, nine, six, more = np.int32((32 << 14) + (1 << 8)), np.int32(9), np.int32(6), np.int32(32)
    for y in range(height):
        r, g, b, line = red[y], green[y], blue[y], out[y]
        for x in range(width):
            value = np.int32(ry * np.int32(r[x]) + gy * np.int32(g[x]) + by * np.int32(b[x]) + half_up)
            line[x] = np.uint8(np.int32((value >> nine) + more) >> six)
    shift, main, side = np.int32(16), np.int32(1536), np.int32(512)
    half, wide = height // 2, width // 2
    flat = out.reshape(-1)
    rows = np.empty((height, wide), np.int32)
    for part in range(2):
        weights = BLUENESS if part == 0 else REDNESS
        for y in range(height):
            _chroma(red[y], green[y], blue[y], weights, rows[y])
        start = height * width + part * half * wide
        for y in range(half):
            before, a, b, after = max(2 * y - 1, 0), 2 * y, 2 * y + 1, min(2 * y + 2, height - 1)
            # above the first row there is none, and its weight goes to the first; the last is repeated
            w0, wa = (np.int32(512), np.int32(1536)) if y else (np.int32(0), np.int32(2048))
            line = flat[start + y * wide : start + (y + 1) * wide]
            p, q, r, t = rows[before], rows[a], rows[b], rows[after]
            if y < half - 1:  # FFmpeg's vector code cuts every product off; its plain code does the last row
                for x in range(wide):
                    total = np.int32((w0 * p[x]) >> shift) + np.int32((wa * q[x]) >> shift)
                    total += np.int32((main * r[x]) >> shift) + np.int32((side * t[x]) >> shift) + np.int32(5)
                    line[x] = np.uint8(min(max(np.int32(total) >> np.int32(3), np.int32(0)), np.int32(255)))
            else:
                for x in range(wide):
                    total = (w0 * p[x] + wa * q[x] + 2048 * r[x] + (64 << 12)) >> 19
                    line[x] = min(max(total, 0), 255)
