"""Restoration measured against a truth that is known."""

import numpy as np
import pytest
import torch

from tinylib import restore
from tinylib.datasets.index import Clip, Index
from tinylib.datasets.loading import BatchTransform, ClipDataset
from tinylib.datasets.store import ClipStore
from tinylib.video import write_video


@pytest.fixture
def dataset(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(3):
        write_video(tmp_path / f"{k}.mp4", rng.integers(0, 255, (4, 32, 32, 3), np.uint8))
    clips = tuple(Clip(str(k), f"{k}.mp4", f"video{k // 2}", ("a",)) for k in range(3))
    index = Index("folder", "test", tmp_path, ("a",), False, clips)
    store = ClipStore.build(index, tmp_path / "clips.store", size=32)
    return ClipDataset(index, sampler="contiguous", frames=4, size=32, store=store, views="centre")


def test_the_truth_restores_perfectly_and_bicubic_does_not(dataset):
    truth = torch.from_numpy(dataset.batch([0, 1, 2])["video"].numpy()).permute(0, 4, 1, 2, 3) / 255
    given = iter(truth.split(2))
    table = restore.quality(
        {"bicubic": restore.bicubic(2), "truth": lambda low: next(given)},
        dataset,
        scale=2,
        transform=BatchTransform().eval(),
        batch_size=2,
    )
    assert list(table.columns) == ["method", "clip_id", "video_id", "psnr", "ssim"]
    assert len(table) == 6
    assert np.isinf(table[table.method == "truth"].psnr).all()
    np.testing.assert_allclose(table[table.method == "truth"].ssim, 1)
    assert (table[table.method == "bicubic"].ssim < 0.9).all()


def test_gains_are_over_the_same_clips(dataset):
    table = restore.quality(
        {"bicubic": restore.bicubic(2), "grey": lambda low: torch.full((len(low), 3, 4, 32, 32), 0.5)},
        dataset,
        scale=2,
        transform=BatchTransform().eval(),
    )
    found = restore.gains(table)
    assert found.loc["bicubic", ["psnr gain", "psnr low", "psnr high"]].tolist() == [0, 0, 0]
    wide = table.pivot(index="clip_id", columns="method", values="psnr")
    assert found.loc["grey", "psnr gain"] == pytest.approx((wide.grey - wide.bicubic).mean())
    assert found.loc["grey", "psnr low"] <= found.loc["grey", "psnr gain"] <= found.loc["grey", "psnr high"]


def test_restored_video_stays_in_range():
    assert restore.restore(lambda low: low * 3 - 1, torch.rand(1, 3, 2, 8, 8)).aminmax() == (0, 1)
