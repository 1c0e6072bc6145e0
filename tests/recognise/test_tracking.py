import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinylib.annotations.tracks import Track
from tinylib.errors import UsageError
from tinylib.recognise.tracking import Tracker, TrackerConfig, agreement, filled, iou


def run(frames, fps=10.0, **config):
    tracker = Tracker(fps, TrackerConfig(**config))
    tracks = [track for number, boxes in enumerate(frames) for track in tracker.update(number, boxes)]
    return [*tracks, *tracker.finish()]


def walk(x, speed, y=50.0, width=10.0, height=30.0, frames=40):
    return [(x + speed * t, y, x + speed * t + width, y + height) for t in range(frames)]


def test_overlap_by_hand():
    a, b = np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 1, 3, 3], [5, 5, 6, 6], [0, 0, 2, 2]])
    np.testing.assert_allclose(iou(a, b), [[1 / 7, 0, 1]])
    assert iou(np.zeros((0, 4)), b).shape == (0, 3)


def test_one_box_that_moves_is_one_track_of_all_its_frames():
    (track,) = run([[box] for box in walk(5, 2)])
    assert sorted(track.boxes) == list(range(40))
    middles = [(b[0] + b[2]) / 2 for b in track.boxes.values()]
    np.testing.assert_allclose(middles, [10 + 2 * t for t in range(40)], atol=2.0)


def test_a_hole_is_filled_and_a_long_one_ends_the_track():
    boxes = [[box] for box in walk(5, 2)]
    short = [[] if 15 <= t < 20 else b for t, b in enumerate(boxes)]
    (track,) = run(short)
    assert sorted(track.boxes) == list(range(40))
    long = [[] if 12 <= t < 28 else b for t, b in enumerate(boxes)]
    assert [(min(t.boxes), max(t.boxes)) for t in run(long, patience=0.5)] == [(0, 11), (28, 39)]


def test_who_meets_in_one_box_comes_out_as_who_went_in():
    left, right = walk(0, 3, frames=41), walk(120, -3, y=52, frames=41)
    frames = []
    for a, b in zip(left, right, strict=True):
        joined = (min(a[0], b[0]), 50.0, max(a[2], b[2]), 82.0)
        frames.append([joined] if a[2] > b[0] and b[2] > a[0] else [a, b])
    tracks = run(frames)
    ends = {(round(t.boxes[min(t.boxes)][0]), round(t.boxes[max(t.boxes)][0], -1)) for t in tracks if len(t.boxes) > 35}
    assert ends == {(0, 120), (120, 0)}


def test_pieces_of_a_known_track_are_joined():
    frames = [[box] for box in walk(5, 1)]
    frames[20] = [(25.0, 50, 35, 60), (25.0, 68, 35, 80)]  # head and legs
    (track,) = run(frames)
    assert track.boxes[20] == pytest.approx((25, 50, 35, 80), abs=3)


def test_noise_is_no_track():
    rng = np.random.default_rng(0)
    spots = [[(x, y, x + 4, y + 4) for x, y in rng.uniform(0, 2000, (3, 2)).tolist()] for _ in range(60)]
    assert run(spots) == []


def test_configuration_is_checked():
    with pytest.raises(UsageError, match="patience"):
        TrackerConfig(patience=0)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.tuples(*[st.floats(0, 50)] * 2, *[st.floats(1, 30)] * 2), max_size=4), max_size=30))
def test_whatever_comes_tracks_are_whole_and_numbered(frames):
    boxes = [[(x, y, x + w, y + h) for x, y, w, h in frame] for frame in frames]
    tracks = run(boxes)
    assert [t.id for t in tracks] == [str(n) for n in range(1, len(tracks) + 1)]
    for track in tracks:
        assert sorted(track.boxes) == list(range(min(track.boxes), max(track.boxes) + 1))
        assert all(x0 < x1 and y0 < y1 for x0, y0, x1, y1 in track.boxes.values())


def test_filled_by_hand():
    assert filled({0: (0.0, 0, 2, 2), 2: (2.0, 2, 4, 4)})[1] == (1, 1, 3, 3)
    assert filled({}) == {}


def test_agreement_by_hand():
    truth = [Track("a", "", {0: (0.0, 0, 10, 10), 1: (0.0, 0, 10, 10)}), Track("b", "", {0: (50.0, 0, 60, 10)})]
    tracks = [Track("1", "", {0: (0.0, 0, 10, 10), 1: (4.0, 0, 24, 10)}), Track("2", "", {0: (90.0, 0, 99, 10)})]
    score = agreement(tracks, truth)
    assert score == {"recall": 1 / 3, "precision": 1 / 3, "covered": 2 / 3, "whole": 1 / 2}
    assert np.isnan(agreement(tracks, [])["recall"])
