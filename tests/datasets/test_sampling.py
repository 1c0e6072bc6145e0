"""Frame numbers by hand, and what holds for every clip length."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinylib.datasets.sampling import (
    SAMPLERS,
    chunks,
    contiguous,
    evenly,
    make_sampler,
    make_views,
    segment_snippets,
    shifted_uniform,
    strided,
    strided_random,
    uniform_segments,
)
from tinylib.errors import UsageError

FRAMES = st.integers(1, 400)
COUNT = st.integers(1, 64)
SEED = st.integers(0, 2**32 - 1)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_by_hand():
    assert contiguous(10, 4).tolist() == [3, 4, 5, 6]
    assert contiguous(10, 4, start=8).tolist() == [8, 9, 9, 9]
    assert contiguous(3, 5, rng=rng()).tolist() == [0, 1, 2, 2, 2]
    assert strided(9, 4, stride=2).tolist() == [1, 3, 5, 7]
    assert uniform_segments(8, 4).tolist() == [1, 3, 5, 7]
    assert uniform_segments(70, 16).tolist() == [4 * i + 2 for i in range(16)]
    assert uniform_segments(3, 5).tolist() == [0, 1, 2, 2, 2]
    assert [view.tolist() for view in shifted_uniform(20, 2)] == [[1, 11], [3, 13], [5, 15], [7, 17], [9, 19]]
    assert segment_snippets(80, 8, 1).tolist() == [4, 14, 24, 34, 44, 54, 64, 74]
    assert segment_snippets(28, 4, 5).reshape(4, 5).tolist() == [[7 * i + 1 + j for j in range(5)] for i in range(4)]
    assert segment_snippets(8, 4, 5).reshape(4, 5)[-1].tolist() == [6, 7, 7, 7, 7]
    assert evenly(9, 5).tolist() == [0, 2, 4, 6, 8]
    assert evenly(2, 3).tolist() == [0, 0, 1]
    assert [view.tolist() for view in chunks(7, 3)] == [[0, 1, 2], [3, 4, 5], [6, 6, 6]]
    assert [view.tolist() for view in chunks(7, 3, tail="drop")] == [[0, 1, 2], [3, 4, 5]]
    assert [view.tolist() for view in chunks(2, 3, tail="drop")] == [[0, 1, 1]]


def test_stride_two_comes_half_the_time_and_only_where_the_clip_is_long_enough():
    steps = [int(np.diff(strided_random(32, 16, rng(seed)))[0]) for seed in range(400)]
    assert set(steps) == {1, 2}
    assert 160 < steps.count(2) < 240
    assert {int(np.diff(strided_random(31, 16, rng(seed)))[0]) for seed in range(50)} == {1}


def test_every_start_and_every_offset_occurs():
    assert {int(contiguous(7, 4, rng=rng(seed))[0]) for seed in range(100)} == {0, 1, 2, 3}
    assert {int(uniform_segments(6, 2, mode="random", rng=rng(seed))[1]) for seed in range(100)} == {3, 4, 5}


@given(FRAMES, COUNT, SEED, st.sampled_from(sorted(SAMPLERS)), st.booleans())
def test_every_sampler_gives_n_frames_of_the_clip_in_order(frames, n, seed, name, training):
    n = 5 * n if name == "snippets" else n
    sample = make_sampler(name, n, training)
    indices = sample(frames, rng(seed))
    assert indices.dtype == np.int64
    assert indices.shape == (n,)
    assert indices.min() >= 0
    assert indices.max() < frames
    assert name == "snippets" or (np.diff(indices) >= 0).all()
    np.testing.assert_array_equal(indices, sample(frames, rng(seed)))
    if not training:
        np.testing.assert_array_equal(indices, sample(frames, None))


@given(FRAMES, COUNT, SEED)
def test_uniform_frames_lie_in_their_segments(frames, n, seed):
    if frames < n:
        expected = [*range(frames), *[frames - 1] * (n - frames)]
        assert uniform_segments(frames, n, mode="random", rng=rng(seed)).tolist() == expected
        return
    for indices in (uniform_segments(frames, n, mode="random", rng=rng(seed)), *shifted_uniform(frames, n)):
        np.testing.assert_array_equal(indices // (frames // n), np.arange(n))


@given(FRAMES, st.integers(1, 16), st.integers(1, 8), SEED)
def test_snippets_are_consecutive_and_start_in_their_part(frames, segments, length, seed):
    for mode in ("random", "centre"):
        snippets = segment_snippets(frames, segments, length, mode=mode, rng=rng(seed)).reshape(segments, length)
        starts = snippets[:, 0]
        assert (snippets == np.minimum(starts[:, None] + np.arange(length), frames - 1)).all()
        for i, start in enumerate(starts):
            low, high = i * frames // segments, (i + 1) * frames // segments
            assert low <= start
            assert start + length <= high or start == low


@given(FRAMES, COUNT)
def test_chunks_cover_every_frame_once(frames, n):
    padded = np.concatenate(chunks(frames, n))
    np.testing.assert_array_equal(padded[:frames], np.arange(frames))
    assert (padded[frames:] == frames - 1).all()
    dropped = np.concatenate(chunks(frames, n, tail="drop"))
    if frames >= n:
        np.testing.assert_array_equal(dropped, np.arange(frames // n * n))


@given(FRAMES, COUNT)
def test_five_shifts_are_ordered_and_hold_the_middle(frames, n):
    views = shifted_uniform(frames, n)
    assert len(views) == 5
    assert (np.diff(np.stack(views), axis=0) >= 0).all()
    np.testing.assert_array_equal(views[2], uniform_segments(frames, n))


def test_views_belong_to_their_sampler():
    assert [len(make_views(name, 20)(90)) for name in SAMPLERS] == [5, 5, 5, 1, 1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: contiguous(0, 4), "frames 0"),
        (lambda: contiguous(5, 0), "n 0"),
        (lambda: contiguous(5, 2, start=5), "start 5"),
        (lambda: uniform_segments(9, 3, mode="random"), "needs a generator"),
        (lambda: uniform_segments(9, 3, mode="center", rng=rng()), "expected 'random' or 'centre'"),
        (lambda: make_sampler("unifrom", 8, True), "expected one of uniform, contiguous"),
        (lambda: make_sampler("snippets", 8, True)(50, rng()), "multiple of 5"),
    ],
)
def test_wrong_calls_are_named(call, message):
    with pytest.raises(UsageError, match=message):
        call()
