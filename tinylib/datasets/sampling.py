"""Which frames of a clip a network sees: integer arithmetic on frame numbers, nothing else.

Every function returns int64 frame numbers in [0, frames) in temporal order. A clip that is too short is padded by its
last frame, never dropped. Whatever is random comes from the Generator passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tinylib.errors import UsageError

Indices = NDArray[np.int64]
Sampler = Callable[[int, np.random.Generator | None], Indices]


def contiguous(frames: int, n: int, *, start: int | None = None, rng: np.random.Generator | None = None) -> Indices:
    """`n` consecutive frames from `start`, else from a random place, else (no rng) from the middle (D16)."""
    return strided(frames, n, stride=1, start=start, rng=rng)


def strided(
    frames: int, n: int, *, stride: int, start: int | None = None, rng: np.random.Generator | None = None
) -> Indices:
    """`n` frames, every `stride`-th, from `start`, else from a random place, else from the middle; padded."""
    _positive(frames=frames, n=n, stride=stride)
    room = max(0, frames - ((n - 1) * stride + 1))
    if start is None:
        start = room // 2 if rng is None else int(rng.integers(room + 1))
    if not 0 <= start < frames:
        raise UsageError(f"start {start}: expected 0 to {frames - 1}")
    return np.minimum(start + stride * np.arange(n, dtype=np.int64), frames - 1)


def strided_random(frames: int, n: int, rng: np.random.Generator, *, p_stride: float = 0.5) -> Indices:
    """TinyVIRAT's training sample (D15): random start, stride 2 with probability 1/2 where long enough."""
    _positive(frames=frames, n=n)
    twice = rng.random() < p_stride and frames >= 2 * n
    return strided(frames, n, stride=2 if twice else 1, rng=rng)


def uniform_segments(
    frames: int, n: int, *, mode: Literal["random", "centre"] = "centre", rng: np.random.Generator | None = None
) -> Indices:
    """One frame of each of `n` equal segments (winner, D17): any one, or the middle one.

    Segment i is [i L, (i + 1) L) with L = frames // n, as the winner's code has it: the frames % n last ones are never
    seen. A clip shorter than n gives all its frames and then its last one again.
    """
    _positive(frames=frames, n=n)
    if frames < n:
        return _padded(frames, n)
    length = frames // n
    starts = length * np.arange(n, dtype=np.int64)
    if mode == "centre":
        return starts + length // 2
    return starts + _needed(rng, mode).integers(length, size=n)


def shifted_uniform(frames: int, n: int, *, shifts: int = 5) -> list[Indices]:
    """`shifts` deterministic uniform samplings, evenly shifted inside the segments: test-time views (D17).

    Shift k takes frame (2 k + 1) L // (2 shifts) of each segment of L frames, so an odd number includes the middle.
    """
    _positive(frames=frames, n=n, shifts=shifts)
    if frames < n:
        return [_padded(frames, n) for _ in range(shifts)]
    length = frames // n
    starts = length * np.arange(n, dtype=np.int64)
    return [starts + (2 * k + 1) * length // (2 * shifts) for k in range(shifts)]


def segment_snippets(
    frames: int,
    segments: int,
    length: int,
    *,
    mode: Literal["random", "centre"] = "centre",
    rng: np.random.Generator | None = None,
) -> Indices:
    """`length` consecutive frames from each of `segments` equal parts, flattened (STAT S1: 8 x 1 and 4 x 5).

    Part i is [i frames // segments, (i + 1) frames // segments). A snippet longer than its part starts with the part
    and runs on, up to the clip's last frame, which is repeated.
    """
    _positive(frames=frames, segments=segments, length=length)
    edges = frames * np.arange(segments + 1, dtype=np.int64) // segments
    room = np.maximum(0, np.diff(edges) - length)
    offset = room // 2 if mode == "centre" else _needed(rng, mode).integers(room + 1)
    starts = edges[:-1] + offset
    return np.minimum(starts[:, None] + np.arange(length, dtype=np.int64), frames - 1).reshape(-1)


def evenly(frames: int, n: int) -> Indices:
    """`n` frames as far apart as they can be, the first and the last among them; repeated where there are fewer."""
    _positive(frames=frames, n=n)
    return np.linspace(0, frames - 1, n).round().astype(np.int64)


def chunks(frames: int, n: int, *, tail: Literal["pad", "drop"] = "pad") -> list[Indices]:
    """All non-overlapping runs of `n` frames: the test-time views of D15 and D16.

    tail: the remainder is padded by the last frame, or dropped; a clip shorter than `n` is one padded run either way.
    """
    _positive(frames=frames, n=n)
    count = max(1, frames // n if tail == "drop" else -(-frames // n))
    return [strided(frames, n, stride=1, start=i * n) for i in range(count)]


def _padded(frames: int, n: int) -> Indices:
    return np.minimum(np.arange(n, dtype=np.int64), frames - 1)


def _needed(rng: np.random.Generator | None, mode: str) -> np.random.Generator:
    if mode != "random":
        raise UsageError(f"mode {mode!r}: expected 'random' or 'centre'")
    if rng is None:
        raise UsageError("mode 'random' needs a generator")
    return rng


def _positive(**numbers: int) -> None:
    for name, value in numbers.items():
        if value < 1:
            raise UsageError(f"{name} {value}: expected at least 1")


# (training sample, the single sample of evaluation, all views of a test); each takes frames, n and a Generator.
SAMPLERS: dict[str, tuple[Callable[..., Indices], Callable[..., Indices], Callable[..., list[Indices]]]] = {
    # winner: uniform 16
    "uniform": (
        lambda frames, n, rng: uniform_segments(frames, n, mode="random", rng=rng),
        lambda frames, n: uniform_segments(frames, n),
        lambda frames, n: shifted_uniform(frames, n),
    ),
    # TinyAction challenge
    "contiguous": (
        lambda frames, n, rng: contiguous(frames, n, rng=rng),
        lambda frames, n: contiguous(frames, n),
        lambda frames, n: chunks(frames, n),
    ),
    # TinyVIRAT
    "strided": (
        lambda frames, n, rng: strided_random(frames, n, rng),
        lambda frames, n: contiguous(frames, n),
        lambda frames, n: chunks(frames, n),
    ),
    # STAT, 2D networks: n segments of one frame
    "segments": (
        lambda frames, n, rng: segment_snippets(frames, n, 1, mode="random", rng=rng),
        lambda frames, n: segment_snippets(frames, n, 1),
        lambda frames, n: [segment_snippets(frames, n, 1)],
    ),
    # STAT, 3D networks: n / 5 segments of five frames
    "snippets": (
        lambda frames, n, rng: segment_snippets(frames, _fifth(n), 5, mode="random", rng=rng),
        lambda frames, n: segment_snippets(frames, _fifth(n), 5),
        lambda frames, n: [segment_snippets(frames, _fifth(n), 5)],
    ),
}


def _fifth(n: int) -> int:
    if n % 5:
        raise UsageError(f"frames {n}: 'snippets' takes five frames a segment, so a multiple of 5")
    return n // 5


def make_sampler(name: str, n: int, training: bool) -> Sampler:
    """A function (frames, rng) -> n frame numbers; outside training it is deterministic and ignores rng."""
    train, evaluate, _ = _entry(name)
    if training:
        return lambda frames, rng: train(frames, n, rng)
    return lambda frames, rng: evaluate(frames, n)


def make_views(name: str, n: int) -> Callable[[int], list[Indices]]:
    """A function frames -> the deterministic test-time views that belong to the sampler `name`."""
    _, _, views = _entry(name)
    return lambda frames: views(frames, n)


def _entry(name: str) -> tuple[Callable[..., Indices], Callable[..., Indices], Callable[..., list[Indices]]]:
    if name not in SAMPLERS:
        raise UsageError(f"sampler {name!r}: expected one of {', '.join(SAMPLERS)}")
    return SAMPLERS[name]
