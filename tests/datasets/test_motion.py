"""Motion as pictures: signs, scales, mirrors, and stores of them."""

import numpy as np
import pytest

from tinylib.datasets import motion
from tinylib.datasets.index import Clip, Index
from tinylib.datasets.store import ClipStore
from tinylib.errors import UsageError


def sliding(step, *, frames=4, height=36, width=48, axis=2):
    """A smooth random texture that moves `step` pixels a frame."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    texture = gaussian_filter(rng.random((height, width)), 3, mode="wrap")
    texture = (255 * (texture - texture.min()) / np.ptp(texture)).astype(np.uint8)
    grey = np.stack([np.roll(texture, step * t, axis=axis - 1) for t in range(frames)])
    return np.repeat(grey[..., None], 3, axis=-1)


def test_a_difference_is_half_the_change_around_grey():
    video = np.zeros((3, 2, 2, 3), np.uint8)
    video[1, 0, 0, 0], video[1, 1, 1, 2] = 255, 10
    pictures = motion.difference(video)
    assert pictures.shape == video.shape
    assert pictures[0, 0, 0].tolist() == [255, 128, 128]
    assert pictures[0, 1, 1].tolist() == [128, 128, 133]
    assert pictures[1, 0, 0].tolist() == [0, 128, 128]
    np.testing.assert_array_equal(pictures[2], pictures[1])


@pytest.mark.parametrize(("step", "axis", "channel"), [(2, 2, 0), (-2, 2, 0), (2, 1, 1), (-2, 1, 1)])
def test_flow_has_the_direction_and_the_speed_of_what_moves(step, axis, channel):
    pictures = motion.flow(sliding(step, axis=axis))
    inside = pictures[:-1, 10:-10, 12:-12].astype(float) - 128
    expected = step * 127 / (48 / 8)
    assert np.median(inside[..., channel]) == pytest.approx(expected, rel=0.2)
    assert abs(np.median(inside[..., 1 - channel])) < 4
    assert np.median(inside[..., 2]) == pytest.approx(abs(expected), rel=0.2)


def test_flow_reads_twelve_by_sixteen_pixels():
    pictures = motion.flow(sliding(1, height=12, width=16))
    assert pictures.shape == (4, 12, 16, 3)
    assert np.median(pictures[:-1, 3:-3, 4:-4, 0]) > 140


@pytest.mark.parametrize("kind", motion.MOTIONS)
def test_what_stands_still_is_grey(kind):
    still = np.repeat(sliding(0)[:1], 3, axis=0)
    assert (motion.MOTIONS[kind](still) == 128).all()
    assert (motion.MOTIONS[kind](still[:1]) == 128).all()


@pytest.mark.parametrize("kind", motion.MOTIONS)
def test_mirrors_are_said_truly(kind):
    video = sliding(2)
    of_mirrored = motion.MOTIONS[kind](np.ascontiguousarray(video[:, :, ::-1]))
    mirrored = motion.MOTIONS[kind](video)[:, :, ::-1]
    away = np.abs(of_mirrored.astype(int) - mirrored).mean()
    assert (away < 1) == motion.MIRRORED[kind]


def test_a_store_becomes_a_store_of_its_motion(tmp_path):
    index = Index("x", "train", tmp_path, ("a",), False, tuple(Clip(c, c, "v", ("a",)) for c in "pq"))
    videos = [sliding(1), sliding(-1)]
    source = ClipStore.render(index, tmp_path / "rgb.store", lambda start: videos[start:], origin={})
    store = motion.moving("difference", source, index, tmp_path / "motion.store")
    np.testing.assert_array_equal(store[1], motion.difference(videos[1]))
    assert store.size == source.size
    with pytest.raises(UsageError, match="motion 'heat': expected one of difference, flow"):
        motion.moving("heat", source, index, tmp_path / "heat.store")
