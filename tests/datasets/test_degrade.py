"""Low resolution by hand, and the same on both sides of the loader."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tinylib.datasets import degrade
from tinylib.errors import UsageError


def clip(frames: int = 3, height: int = 112, width: int = 112, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8)


def batch(video: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(video).permute(3, 0, 1, 2)[None].double() / 255


def back(video: torch.Tensor) -> np.ndarray:
    return video[0].permute(1, 2, 3, 0).numpy() * 255


def test_area_of_whole_blocks_is_their_mean():
    video = clip(2, 24, 32)
    expected = video.reshape(2, 12, 2, 16, 2, 3).mean((2, 4))
    np.testing.assert_array_equal(degrade.area(video, (12, 16)), np.floor(expected + 0.5))


def test_area_shares_a_pixel_between_neighbours():
    video = np.zeros((1, 1, 3, 3), np.uint8)
    video[0, 0, :, 0] = 0, 100, 200  # two new pixels of 1.5 old ones: (0 + 50) / 1.5 and (50 + 200) / 1.5
    assert degrade.area(video, (1, 2))[0, 0, :, 0].tolist() == [33, 167]


def test_area_keeps_the_mean_and_refuses_to_enlarge():
    video = clip(1, 70, 71)
    small = degrade.area_batch(batch(video), (13, 17))
    torch.testing.assert_close(small.mean(), batch(video).mean())
    with pytest.raises(UsageError, match="28 pixels cannot become 56"):
        degrade.area(clip(1, 28, 28), 56)


@pytest.mark.parametrize("size", [(12, 16), (13, 17), (6, 8)])
def test_area_is_exact_on_the_device(size):
    video = clip(2, 96, 128)
    exact = back(degrade.area_batch(batch(video), size))
    np.testing.assert_allclose(degrade.area(video, size), exact, atol=0.5 + 1e-9)


@pytest.mark.parametrize("size", [14, 28, 56])
def test_bicubic_agrees_with_pil_within_rounding_down_and_up(size):
    smooth = degrade.bicubic(clip(3, 14, 14) // 2 + 64, 112)  # near 0 and 255 PIL clips between its two passes
    for video, target in ((smooth, size), (degrade.bicubic(smooth, size), 112)):
        there = degrade.bicubic(video, target)
        assert there.shape == (3, target, target, 3)
        assert np.abs(back(degrade.bicubic_batch(batch(video), target)) - there).max() <= 1.5


def test_a_constant_stays_constant():
    video = np.full((2, 112, 112, 3), 77, np.uint8)
    assert (degrade.bicubic(video, 14) == 77).all()
    assert (degrade.area(video, 14) == 77).all()
    assert (degrade.surveillance(video, (12, 16), rng=np.random.default_rng(0), noise=0) == 77).all()


def test_training_pair():
    high, low = degrade.bicubic_pair(clip(2, 128, 128), 112, 14)
    assert high.shape == (2, 112, 112, 3)
    np.testing.assert_array_equal(low, degrade.bicubic(high, 14))


def test_centre_crop():
    video = clip(1, 128, 170)
    np.testing.assert_array_equal(degrade.centre_crop(video), video[:, 1:127, 1:169])
    np.testing.assert_array_equal(degrade.centre_crop(clip(1, 30, 20)), clip(1, 30, 20)[:, 7:22, :])
    with pytest.raises(UsageError, match="3:4"):
        degrade.centre_crop(clip(1, 2, 9))


def test_blur_is_half_a_low_resolution_pixel_wide():
    """A bright line keeps its mass, and its spread is the blur's and the pixel's together."""
    video = np.zeros((1, 48, 64, 3), np.uint8)
    video[:, :, 30] = 255
    row = degrade.surveillance(video, (48, 64), rng=np.random.default_rng(0), blur=2.0, noise=0)[0, 20, :, 0].astype(
        float
    )
    x = np.arange(64)
    centre = (row * x).sum() / row.sum()
    assert centre == pytest.approx(30, abs=0.01)
    assert np.sqrt((row * (x - centre) ** 2).sum() / row.sum()) == pytest.approx(2.0, abs=0.05)


def test_noise_has_the_strength_asked_for_and_comes_from_the_seed():
    video = np.full((20, 96, 128, 3), 128, np.uint8)
    noisy = degrade.surveillance(video, (12, 16), rng=np.random.default_rng(1))
    assert noisy.shape == (20, 12, 16, 3)
    assert noisy.std() == pytest.approx(2, abs=0.1)
    np.testing.assert_array_equal(noisy, degrade.surveillance(video, (12, 16), rng=np.random.default_rng(1)))
    assert (noisy != degrade.surveillance(video, (12, 16), rng=np.random.default_rng(2))).any()


def test_surveillance_agrees_on_the_device():
    video = clip(2, 96, 128)
    here = degrade.surveillance(video, (12, 16), rng=np.random.default_rng(0), noise=0)
    there = degrade.surveillance_batch(batch(video), (12, 16), seeds=[0], noise=0)
    np.testing.assert_allclose(here, back(there), atol=0.5 + 1e-6)


def test_device_noise_follows_the_sample_not_the_batch():
    video = torch.rand(3, 3, 2, 24, 32)
    whole = degrade.surveillance_batch(video, (12, 16), seeds=torch.tensor([5, 6, 7]))
    torch.testing.assert_close(degrade.surveillance_batch(video[1:2], (12, 16), seeds=[6]), whole[1:2])
    assert (whole - degrade.surveillance_batch(video, (12, 16), seeds=[5, 6, 8]))[2].abs().max() > 0


def test_plain_bilinear_is_the_official_loaders():
    video = torch.rand(2, 3, 4, 70, 70)
    one = torch.nn.functional.interpolate(video[1].transpose(0, 1), 112, mode="bilinear", align_corners=False)
    torch.testing.assert_close(degrade.bilinear_batch(video, 112)[1].transpose(0, 1), one)
