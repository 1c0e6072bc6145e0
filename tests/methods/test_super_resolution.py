"""Restoration measured against a truth that is known."""

import numpy as np
import pytest
import torch

from tinylib.datasets.index import Clip, Index
from tinylib.datasets.loading import BatchTransform, ClipDataset
from tinylib.datasets.store import ClipStore
from tinylib.errors import DataError
from tinylib.methods import super_resolution
from tinylib.models.dvsr import DVSR, ProgressiveDVSR
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
    table = super_resolution.quality(
        {"bicubic": super_resolution.bicubic(2), "truth": lambda low: next(given)},
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
    table = super_resolution.quality(
        {"bicubic": super_resolution.bicubic(2), "grey": lambda low: torch.full((len(low), 3, 4, 32, 32), 0.5)},
        dataset,
        scale=2,
        transform=BatchTransform().eval(),
    )
    gains = super_resolution.gains(table)
    assert gains.loc["bicubic", ["psnr gain", "psnr low", "psnr high"]].tolist() == [0, 0, 0]
    wide = table.pivot(index="clip_id", columns="method", values="psnr")
    assert gains.loc["grey", "psnr gain"] == pytest.approx((wide.grey - wide.bicubic).mean())
    assert gains.loc["grey", "psnr low"] <= gains.loc["grey", "psnr gain"] <= gains.loc["grey", "psnr high"]


def test_restored_video_stays_in_range():
    assert super_resolution.restore(lambda low: low * 3 - 1, torch.rand(1, 3, 2, 8, 8)).aminmax() == (0, 1)


@pytest.mark.parametrize(
    "network",
    [ProgressiveDVSR(scale=4, frames=4, channels=4), DVSR(scale=4, channels=4, growth=4, blocks=1, global_skip=True)],
    ids=["progressive", "dvsr"],
)
def test_a_network_may_begin_as_the_interpolation_it_adds_to(network):
    low = torch.rand(1, 3, 4, 8, 8)
    super_resolution.phase_one(network, 4, epochs=10, batches=(2,), lr=1e-3)
    assert not torch.allclose(network(low), super_resolution.trilinear(4)(low))
    super_resolution.phase_one(network, 4, epochs=10, batches=(2,), lr=1e-3, from_interpolation=True)
    torch.testing.assert_close(network(low), super_resolution.trilinear(4)(low))


def test_phase_one_gives_each_stage_its_batch_and_its_share():
    network = ProgressiveDVSR(scale=8, frames=8, channels=4)
    objective, config = super_resolution.phase_one(network, 100, epochs=50, batches=(32, 16, 8), lr=2e-4, fade=20)
    assert [config.batch_size_at(epoch) for epoch in (0, 9, 10, 19, 20, 49)] == [32, 32, 16, 16, 8, 8]
    table = super_resolution.growth(network, 100, 56, objective, config)
    assert table["puts out"].tolist() == ["2 x 14 x 14", "4 x 28 x 28", "8 x 56 x 56"]
    assert table["iterations"].tolist() == [10 * 4, 10 * 7, 30 * 13]
    rows = super_resolution.fading(objective, 100, config)
    assert len(rows) == table["iterations"].sum()
    assert [row["stage"] for row in (rows[39], rows[40], rows[109], rows[110])] == [1, 2, 2, 3]
    assert [row["alpha"] for row in (rows[39], rows[40], rows[50], rows[60], rows[110])] == [1, 0, 0.5, 1, 0]
    whole, config = super_resolution.phase_one(DVSR(scale=8, channels=4), 6, epochs=5, batches=(32, 16, 8), lr=2e-4)
    assert whole.schedule is None
    assert config.batch_size_at(0) == 6


def test_stages_are_measured_at_their_own_size(dataset):
    network = ProgressiveDVSR(scale=2, frames=4, channels=4)
    super_resolution.phase_one(network, 3, epochs=10, batches=(2,), lr=1e-3, from_interpolation=True)
    quality = super_resolution.StageQuality(dataset, BatchTransform().eval())(network)
    table = super_resolution.quality(
        {"trilinear": super_resolution.trilinear(2), "bicubic": super_resolution.bicubic(2)},
        dataset,
        scale=2,
        transform=BatchTransform().eval(),
    )
    means = table.groupby("method")["psnr"].mean()
    assert quality["held psnr"] == pytest.approx(means["trilinear"], abs=1e-4)
    assert quality["bicubic psnr"] == pytest.approx(means["bicubic"], abs=1e-4)
    assert quality["psnr low"] <= quality["psnr gain"] <= quality["psnr high"]
    history = [{"epoch": 1, "loss": 1.0}, {"epoch": 2, **quality}, {"epoch": 3, **quality}]
    assert super_resolution.by_stage(history)["epoch"].tolist() == [3]


def test_only_clips_that_are_large_of_themselves_teach(dataset):
    index = dataset.index
    assert len(super_resolution.large(index, 32)) == 3
    assert len(super_resolution.large(index, 32, limit=2)) == 2
    with pytest.raises(DataError, match="no clip has 33 pixels of itself"):
        super_resolution.large(index, 33)


def test_a_split_is_restored_once_and_again_when_the_network_changes(dataset, tmp_path):
    calls = []

    def twice(low):
        calls.append(tuple(low.shape))
        return super_resolution.bicubic(2)(low)

    options = {"size": 16, "frames": 3, "shown": None}
    where = dataset.store, dataset.index, tmp_path / "restored.store"
    store = super_resolution.super_resolved(twice, *where, **options, origin={"weights": "a"})
    assert calls == [(3, 3, 3, 16, 16)] * 2  # three clips of four frames together, three frames at a time
    assert [store[i].shape for i in range(3)] == [(4, 32, 32, 3)] * 3
    video = torch.from_numpy(dataset.store[1].copy()).permute(3, 0, 1, 2)[None].float() / 255
    expected = super_resolution.bicubic(2)(super_resolution.bicubic_batch(video[:, :, :3], 16))
    assert np.array_equal(store[1][:3], super_resolution.pixels(expected)[0])
    super_resolution.super_resolved(twice, *where, **options, origin={"weights": "a"})
    assert len(calls) == 2
    super_resolution.super_resolved(twice, *where, **options, origin={"weights": "b"})
    assert len(calls) == 4
    plain = super_resolution.super_resolved(
        None, *where[:2], tmp_path / "p.store", size=None, frames=3, shown=2, origin={}
    )
    assert np.array_equal(plain[0], dataset.store[0][[0, 2]])
