"""How bodies move: minimum-jerk keys, natural drift, two-link reach and footsteps that stay where they land.

All tracks are sampled once a frame at 30 fps; time is in frames, lengths in metres, angles in radians.
Arrays have the time axis first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from tinylib.synth.places.primitives import Array

FPS = 30.0
_PAD = 60  # frames of gait before and after a clip, so that it starts and ends in mid-stride


def minimum_jerk(u: Array) -> Array:
    """Ease 0 to 1 with zero velocity and acceleration at both ends (Flash & Hogan)."""
    u = np.clip(u, 0.0, 1.0)
    return u**3 * (10.0 - 15.0 * u + 6.0 * u * u)


def keyed(n: int, keys: Sequence[tuple[float, object]]) -> Array:
    """A track of `n` frames through key poses (frame, value), each move a minimum-jerk one; held before and after."""
    times = np.array([time for time, _ in keys], dtype=np.float64)
    values = np.array([value for _, value in keys], dtype=np.float64)
    if len(times) == 1:
        return np.broadcast_to(values[0], (n, *values.shape[1:])).copy()
    t = np.arange(n, dtype=np.float64)
    i = np.clip(np.searchsorted(times, t, side="right") - 1, 0, len(times) - 2)
    u = minimum_jerk((t - times[i]) / np.maximum(times[i + 1] - times[i], 1e-6))
    u = u.reshape(n, *([1] * (values.ndim - 1)))
    return np.asarray(values[i] + (values[i + 1] - values[i]) * u)


def smooth(track: Array, sigma: float) -> Array:
    """Gaussian smoothing over time with the ends held."""
    radius = max(1, round(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    flat = track.reshape(len(track), -1)
    padded = np.concatenate([np.repeat(flat[:1], radius, 0), flat, np.repeat(flat[-1:], radius, 0)])
    columns = [np.convolve(padded[:, k], kernel, mode="valid") for k in range(flat.shape[1])]
    return np.stack(columns, axis=1).reshape(track.shape)


def wander(rng: np.random.Generator, n: int, sigma: float, tau: float = 1.5) -> Array:
    """Ornstein-Uhlenbeck drift of standard deviation `sigma` and time constant `tau` seconds, made smooth."""
    decay = float(np.exp(-1.0 / (tau * FPS)))
    noise = rng.normal(0.0, sigma * np.sqrt(1.0 - decay * decay), n)
    track, _ = lfilter([1.0], [1.0, -decay], noise, zi=[decay * rng.normal(0.0, sigma)])
    return smooth(track, 5.0)


def unit(v: Array) -> Array:
    """Vectors scaled to length one (a null vector stays null)."""
    return np.asarray(v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9))


def heading(yaw: Array) -> Array:
    """Unit vectors (..., 3) on the ground that face `yaw`."""
    return np.stack([np.cos(yaw), np.sin(yaw), np.zeros_like(yaw)], axis=-1)


def leftward(yaw: Array) -> Array:
    """Unit vectors (..., 3) on the ground, a quarter turn left of `yaw`."""
    return np.stack([-np.sin(yaw), np.cos(yaw), np.zeros_like(yaw)], axis=-1)


def two_link(root: Array, tip: Array, upper: float, lower: float, pole: Array) -> tuple[Array, Array]:
    """The middle joint and the reached tip of a two-link limb that bends towards `pole`; all (n, 3)."""
    offset = tip - root
    distance = np.linalg.norm(offset, axis=-1, keepdims=True)
    along = np.where(distance > 1e-6, offset / np.maximum(distance, 1e-9), np.array([0.0, 0.0, -1.0]))
    reach = np.clip(distance, abs(upper - lower) + 0.02, 0.999 * (upper + lower))
    near = (upper**2 - lower**2 + reach**2) / (2.0 * reach)
    aside = unit(pole - np.sum(pole * along, axis=-1, keepdims=True) * along)
    joint = root + along * near + aside * np.sqrt(np.maximum(upper**2 - near**2, 0.0))
    return np.asarray(joint), np.asarray(root + along * reach)


@dataclass(frozen=True, slots=True)
class Feet:
    """Both feet over a clip: left is 0, right is 1."""

    ankles: Array  # (n, 2, 3)
    toes: Array  # (n, 2, 3)
    planted: Array  # (n, 2) 1 while the toe carries the body and may not move
    swinging: Array  # (n, 2) 1 while the foot is in the air


_Spot = tuple[float, float, float]  # x, y, yaw


@dataclass(slots=True)
class _Swing:
    start: float
    end: float
    origin: _Spot  # of the flat foot
    target: _Spot


def footsteps(xy: Array, yaw: Array, *, stature: float, running: bool = False, tempo: float = 1.0) -> Feet:
    """Feet under a body that goes along `xy` (n, 2) and faces `yaw` (n,): steps are planned, then never slide.

    A foot leaves the ground only when its place under the body has moved on, so that standing, starting, pacing,
    side steps and turns on the spot need no cases of their own. Cadence 1.0 + 0.65 v steps/s.
    """
    n = len(xy)
    rise = np.arange(1, _PAD + 1)[:, None]
    before, after = xy[0] - rise[::-1] * (xy[1] - xy[0]), xy[-1] + rise * (xy[-1] - xy[-2])
    path = np.concatenate([before, xy, after])
    turn = np.concatenate([np.full(_PAD, yaw[0]), yaw, np.full(_PAD, yaw[-1])])
    speed = np.linalg.norm(np.gradient(path, axis=0), axis=1) * FPS
    ahead = np.lib.stride_tricks.sliding_window_view(np.pad(speed, (0, 15), mode="edge"), 16).max(axis=1)
    last = len(path) - 1
    half = stature * (0.045 if running else 0.06)  # feet come closer in than the hips
    duty, lead = (0.36, 1.0) if running else (0.59, 0.8)  # a walker lands close and leaves late, over the toe

    xs, ys, yaws = path[:, 0].tolist(), path[:, 1].tolist(), turn.tolist()
    cosines, sines = np.cos(turn).tolist(), np.sin(turn).tolist()
    back = -0.014 * stature  # the body's weight falls in front of the ankles

    def home(foot: int, time: float) -> _Spot:
        i = min(round(time), last)
        side, splay = (half, 0.12) if foot == 0 else (-half, -0.12)
        c, s = cosines[i], sines[i]
        return xs[i] + c * back - s * side, ys[i] + s * back + c * side, yaws[i] + splay

    swings: list[list[_Swing]] = [[], []]
    place, free = [home(0, 0.0), home(1, 0.0)], [0.0, 0.0]
    time, foot = 0.0, round(xy[0, 0] * 1000) % 2
    while time < last:
        cadence = tempo * min(max(1.0 + 0.65 * float(ahead[min(round(time), last)]), 1.25), 3.3)
        step = FPS / cadence
        for candidate in (foot, 1 - foot):
            flight = 2.0 * step * (1.0 - duty)
            target = home(candidate, time + flight + lead * step * duty)
            moved = float(np.hypot(target[0] - place[candidate][0], target[1] - place[candidate][1]))
            if free[candidate] <= time and (moved > 0.05 or abs(target[2] - place[candidate][2]) > 0.22):
                swings[candidate].append(_Swing(time, time + flight, place[candidate], target))
                place[candidate], free[candidate] = target, time + flight
                foot, time = 1 - candidate, time + step
                break
        else:
            time += 1.0
    tracks = [_foot(swings[k], home(k, 0.0), len(path), stature, running) for k in (0, 1)]
    ankles, toes, planted, air = (np.stack(parts, axis=1)[_PAD : _PAD + n] for parts in zip(*tracks, strict=True))
    return Feet(ankles, toes, planted, air)


def _foot(swings: list[_Swing], start: _Spot, n: int, stature: float, running: bool) -> tuple[Array, ...]:
    """One foot's ankle and toe (n, 3), planted and in-air masks (n,), from its swings."""
    length, height, sole = 0.115 * stature, 0.039 * stature, 0.012 * stature
    flat = np.repeat(np.array([start]), n, 0)
    pitch, lift, air = np.zeros(n), np.zeros(n), np.zeros(n)
    frames = np.arange(n, dtype=np.float64)
    from_push, travel = np.zeros(n), np.zeros(n)

    def between(first: float, end: float) -> slice:  # frames from `first` to before `end`
        return slice(max(math.ceil(first), 0), max(math.ceil(end), 0))

    for i, swing in enumerate(swings):
        target, origin = np.array(swing.target), np.array(swing.origin)
        flat[between(swing.end, n)] = target
        stride = min(1.0, float(np.hypot(*(target - origin)[:2])) / (0.75 * stature))
        rise, strike = (1.0 if running else 0.9) * stride, (0.1 if running else 0.3) * stride
        stood = swings[i - 1].end if i else 0.0
        window = min(0.45 * (swing.start - stood), 11.0)
        pushing = between(swing.start - window, swing.start)
        pitch[pushing] = rise * minimum_jerk((frames[pushing] - swing.start + window) / max(window, 1e-6))
        flying = between(swing.start, swing.end)
        u = (frames[flying] - swing.start) / (swing.end - swing.start)
        air[flying] = 1.0
        travel[flying] = minimum_jerk(u)
        from_push[flying] = rise
        lift[flying] = (0.16 * stride if running else 0.03 + 0.005 * stride) * stature * np.sin(np.pi * u**0.75)
        pitch[flying] = rise + (-strike - rise) * minimum_jerk(u * 1.1)
        landing = between(swing.end, swing.end + 4.0)
        pitch[landing] = -strike * (1.0 - minimum_jerk((frames[landing] - swing.end) / 4.0))
        flat[flying] = origin + (target - origin) * travel[flying, None]
    forward = heading(flat[:, 2])
    base = np.concatenate([flat[:, :2], np.full((n, 1), height)], axis=1)
    up = np.array([0.0, 0.0, 1.0])
    drop = height - sole

    def about_toe(angle: Array) -> Array:  # ankle of a foot that rolls over its planted toe
        back = -length * np.cos(angle) + drop * np.sin(angle) + length
        return forward * back[:, None] + up * (length * np.sin(angle) + drop * np.cos(angle) - drop)[:, None]

    rolled = np.where(air > 0, from_push * (1.0 - travel), np.maximum(pitch, 0.0))
    ankle = base + about_toe(rolled) + up * lift[:, None]
    reach, fall = length * np.cos(pitch) - drop * np.sin(pitch), length * np.sin(pitch) + drop * np.cos(pitch)
    toe = ankle + forward * reach[:, None] - up * fall[:, None]
    planted = ((air == 0) & (pitch >= 0.0)).astype(np.float64)
    return ankle, toe, planted, air
