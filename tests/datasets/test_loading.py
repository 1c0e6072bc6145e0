"""The same items for any number of workers, and the same draws on any device."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from tests.datasets.test_store import SIZES, make_index
from tinylib.datasets.loading import BatchTransform, ClipDataset, batches, collate, item_seeds, mirrored
from tinylib.datasets.sampling import uniform_segments
from tinylib.datasets.store import ClipStore, resize_video
from tinylib.errors import UsageError
from tinylib.video import read_frames


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return make_index(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def native(index, tmp_path_factory):
    return ClipStore.build(index, tmp_path_factory.mktemp("store") / "native.store")


@pytest.fixture(scope="module")
def square(index, tmp_path_factory):
    return ClipStore.build(index, tmp_path_factory.mktemp("store") / "square.store", size=24)


def same(a, b) -> None:
    assert a.keys() == b.keys()
    for key, value in a.items():
        if isinstance(value, torch.Tensor):
            assert value.dtype == b[key].dtype, key
            assert torch.equal(value, b[key]), key
        else:
            assert value == b[key], key


def test_item(index, native):
    data = ClipDataset(index, frames=4, size=20, store=native, views="centre")
    item = data[2]
    assert len(data) == len(SIZES)
    assert item["video"].dtype == torch.uint8
    assert (item["clip_id"], int(item["index"]), int(item["view"])) == ("clip2", 2, 0)
    assert item["label"].tolist() == [1.0, 1.0]
    expected = resize_video(native[2][uniform_segments(20, 4)], 20)
    np.testing.assert_array_equal(item["video"].numpy(), expected)
    with pytest.raises(IndexError):
        data[len(SIZES)]


def test_bilinear_is_the_official_loaders(native):
    video = native[2]
    frames = torch.from_numpy(video.copy()).permute(0, 3, 1, 2).float()
    there = torch.nn.functional.interpolate(frames, 112, mode="bilinear", align_corners=False)
    difference = resize_video(video, 112) - there.permute(0, 2, 3, 1).numpy()
    assert np.abs(difference).max() < 1
    assert abs(difference.mean()) < 0.05


@pytest.mark.parametrize("size", [24, 20])
def test_store_or_no_store_batch_or_items_all_the_same(index, native, square, size):
    stores = [None, native] if size == 20 else [square]
    for store in stores:
        data = ClipDataset(index, frames=5, size=size, store=store, seed=3)
        data.set_epoch(2)
        same(data.batch([4, 0, 5]), collate([data[4], data[0], data[5]]))
        same(data.batch([4, 0, 5]), dataset_at(index, stores[0], size).batch([4, 0, 5]))


def dataset_at(index, store, size):
    data = ClipDataset(index, frames=5, size=size, store=store, seed=3)
    data.set_epoch(2)
    return data


def test_workers_do_not_change_a_bit(index, native):
    data = ClipDataset(index, frames=5, size=16, store=native, seed=1)
    without = list(batches(data, 4, shuffle=True, workers=0, epoch=3))
    within = list(batches(data, 4, shuffle=True, workers=2, epoch=3))
    assert [len(batch["clip_id"]) for batch in without] == [4, 2]
    for a, b in itertools.zip_longest(without, within):
        same(a, b)


def test_skip_resumes_bit_for_bit_and_epochs_differ(index, native):
    data = ClipDataset(index, sampler="contiguous", frames=3, size=16, store=native, seed=1)
    epoch = list(batches(data, 2, shuffle=True, epoch=1))
    for skip in range(4):
        for a, b in itertools.zip_longest(epoch[skip:], batches(data, 2, shuffle=True, epoch=1, skip=skip)):
            same(a, b)
    other = list(batches(data, 2, shuffle=True, epoch=2))
    assert [b["clip_id"] for b in other] != [b["clip_id"] for b in epoch]
    assert sorted(clip for b in other for clip in b["clip_id"]) == [f"clip{i}" for i in range(6)]
    assert not set(torch.cat([b["seed"] for b in other]).tolist()) & set(torch.cat([b["seed"] for b in epoch]).tolist())
    assert [len(b["clip_id"]) for b in batches(data, 4, drop_last=True)] == [4]


def test_deterministic_views_ignore_epoch_and_seed(index, native):
    a = ClipDataset(index, frames=4, size=16, store=native, views="centre", seed=1)
    b = ClipDataset(index, frames=4, size=16, store=native, views="centre", seed=2)
    b.set_epoch(7)
    assert torch.equal(a.batch(range(6))["video"], b.batch(range(6))["video"])


def test_test_views_are_items_of_their_own(index, native):
    data = ClipDataset(index, sampler="contiguous", frames=8, size=16, store=native, views="test")
    assert data.clips.tolist() == [0, 0, 1, 2, 2, 2, 3, 4, 4, 5]  # 12, 7, 20, 1, 9, 5 frames in eights
    batch = data.batch(range(10))
    assert batch["view"].tolist() == [0, 1, 0, 0, 1, 2, 0, 0, 1, 0]
    assert batch["index"].tolist() == data.clips.tolist()
    np.testing.assert_array_equal(
        batch["video"][5].numpy(), resize_video(native[2][[16, 17, 18, 19, 19, 19, 19, 19]], 16)
    )
    without = ClipDataset(index, sampler="contiguous", frames=8, size=16, views="test")  # counts frames itself
    same(without.batch([5]), data.batch([5]))


def test_equal_views_of_a_short_clip_are_one_item_that_counts_for_all(index, native):
    data = ClipDataset(index, sampler="uniform", frames=4, size=16, store=native, views="test")
    batch = data.batch(range(len(data)))
    repeats = [batch["repeats"][batch["index"] == clip].tolist() for clip in range(6)]
    # 12, 7, 20, 1, 9, 5 frames in quarters of 3, 1, 5, 0, 2 and 1: five views start 0, 0, 1, 1 and 2 frames in, ...
    assert [sum(each) for each in repeats] == [5] * 6
    assert [len(each) for each in repeats] == [3, 1, 5, 1, 2, 1]
    for clip in range(6):
        views = batch["video"][batch["index"] == clip]
        assert len({view.numpy().tobytes() for view in views}) == len(views)
    assert ClipDataset(index, frames=4, size=16, store=native)[0]["repeats"] == 1


def test_extra_copies_are_mirrored_with_their_labels(index, native):
    data = ClipDataset(
        index, frames=2, size=16, store=native, extra=[(1, True), (1, False)], mirror=[1, 0], views="centre"
    )
    assert len(data) == 8
    plain, flipped, again = data[1], data[6], data[7]
    assert torch.equal(flipped["video"], plain["video"].flip(2))
    assert (plain["label"].tolist(), flipped["label"].tolist()) == ([1, 0], [0, 1])
    assert torch.equal(again["video"], plain["video"])
    assert int(flipped["index"]) == 1


def test_native_sizes_need_a_size_to_be_batched(index, native):
    data = ClipDataset(index, frames=2, size=None, store=native)
    assert data[2]["video"].shape == (2, 56, 72, 3)
    with pytest.raises(UsageError, match="give a size"):
        data.batch([0, 2])


def test_an_own_sampler_and_wrong_calls(index, native):
    data = ClipDataset(index, sampler=lambda frames, rng: np.array([frames - 1]), frames=1, size=None, store=native)
    np.testing.assert_array_equal(data[0]["video"].numpy(), read_frames(index.file(index.clips[0]), [11]))
    with pytest.raises(UsageError, match="expected 'train', 'centre' or 'test'"):
        ClipDataset(index, views="val")
    with pytest.raises(UsageError, match="another index"):
        ClipDataset(index.select([0]), store=native)
    with pytest.raises(UsageError, match="batch_size 0"):
        next(batches(data, 0))


def test_seeds_are_spread_and_depend_on_every_part():
    positions = np.arange(20_000)
    seeds = item_seeds(0, 0, positions)
    assert seeds.dtype == np.int64
    assert seeds.min() >= 0
    assert len({*seeds, *item_seeds(1, 0, positions), *item_seeds(0, 1, positions)}) == 60_000
    assert item_seeds(0, 0, positions[7:8])[0] == seeds[7]
    assert abs(((seeds[:, None] >> np.arange(63)) & 1).mean(0) - 0.5).max() < 0.02


# on the device


def toy_batch(n: int = 32, height: int = 10, width: int = 12):
    video = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (n, 2, height, width, 3), np.uint8))
    label = torch.eye(4)[torch.arange(n) % 4]
    return {
        "video": video,
        "label": label,
        "clip_id": [""] * n,
        "seed": torch.from_numpy(item_seeds(0, 0, np.arange(n))),
    }


def test_plain_transform_is_only_units_and_order():
    batch = toy_batch()
    out = BatchTransform()(batch)["video"]
    torch.testing.assert_close(out, batch["video"].permute(0, 4, 1, 2, 3) / 255, rtol=0, atol=0)


def test_reused_memory_holds_the_newest_batch():
    transform, first, second = BatchTransform(reuse=True), toy_batch(), toy_batch(5)
    second["video"] = 255 - second["video"]
    memory = transform(first)["video"].data_ptr()
    out = transform(second)["video"]
    assert out.data_ptr() == memory
    assert torch.equal(out, BatchTransform()(second)["video"])


def test_crops_are_windows_random_in_training_and_central_in_evaluation():
    batch, transform = toy_batch(), BatchTransform(size=(8, 9))
    whole, out = BatchTransform()(batch)["video"], transform(batch)["video"]
    places = set()
    for sample, window in zip(whole, out, strict=True):
        corners = [(y, x) for y in range(3) for x in range(4) if torch.equal(sample[..., y : y + 8, x : x + 9], window)]
        assert len(corners) == 1
        places.add(corners[0])
    assert len(places) > 8
    assert torch.equal(transform.eval()(batch)["video"], whole[..., 1:9, 2:11])
    with pytest.raises(UsageError, match="the clips are 10x12"):
        BatchTransform(size=16)(batch)


def test_flip_takes_the_labels_along():
    batch = toy_batch(64)
    whole = BatchTransform()(batch)["video"]
    out = BatchTransform(flip=0.5, mirror=[1, 0, 2, 3])(batch)
    flipped = torch.tensor([torch.equal(a, b.flip(-1)) for a, b in zip(out["video"], whole, strict=True)])
    assert 16 < int(flipped.sum()) < 48
    assert torch.equal(out["video"][~flipped], whole[~flipped])
    assert torch.equal(out["label"], torch.where(flipped[:, None], batch["label"][:, [1, 0, 2, 3]], batch["label"]))
    assert torch.equal(BatchTransform(flip=1.0).eval()(batch)["video"], whole)


def test_class_numbers_are_mirrored_too():
    which = torch.tensor([True, False, True])
    assert mirrored(torch.tensor([0, 0, 2]), torch.tensor([1, 0, 2]), which).tolist() == [1, 0, 2]


def test_a_sample_does_not_depend_on_its_batch():
    transform = BatchTransform(size=8, flip=0.5, scale=(0.7, 1.0))
    batch = toy_batch()
    part = {key: value[5:9] for key, value in batch.items()}
    whole = transform(batch)["video"]
    assert whole.shape == (32, 3, 2, 8, 8)
    torch.testing.assert_close(transform(part)["video"], whole[5:9], rtol=0, atol=0)
    assert float(whole.min()) >= 0
    assert float(whole.max()) <= 1


def test_degrade_hook_sees_video_and_seeds():
    seen = {}

    def hook(video, seeds):
        seen["seeds"] = seeds
        return video[..., ::2, ::2]

    batch = toy_batch(4)
    assert BatchTransform(degrade=hook)(batch)["video"].shape == (4, 3, 2, 5, 6)
    assert torch.equal(seen["seeds"], batch["seed"])
