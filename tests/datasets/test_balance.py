"""Copies for the long tail, counted by hand."""

from pathlib import Path

import numpy as np
import pytest

from tinylib.annotations.labels import mirror_permutation
from tinylib.datasets import balance
from tinylib.datasets.index import Clip, Index
from tinylib.datasets.loading import ClipDataset
from tinylib.datasets.store import ClipStore
from tinylib.errors import UsageError

CLASSES = ("walking", "turning_left", "turning_right", "riding", "never")


def index(*labels, split="train"):
    clips = tuple(Clip(f"{i}", f"{i}.mp4", f"v{i % 3}", tuple(names)) for i, names in enumerate(labels))
    return Index("x", split, Path("."), CLASSES, True, clips)


TRAIN = index(
    ["walking"],
    ["walking", "turning_left"],
    ["walking"],
    ["turning_left"],
    ["riding", "walking"],
    ["turning_right", "walking", "riding"],
)  # walking 5, left 2, right 1, riding 2, never 0


def test_the_tail_is_what_has_fewer_clips_and_any():
    assert balance.tail_classes(TRAIN, tail=2) == ("turning_right",)
    assert balance.tail_classes(TRAIN, tail=3) == ("turning_left", "turning_right", "riding")
    assert balance.tail_classes(TRAIN) == CLASSES[:4]  # 500 by default
    assert balance.tail_classes(TRAIN, tail=0) == ()


def test_every_clip_with_a_tail_label_gets_one_mirrored_copy():
    assert balance.flipped_tail(TRAIN, tail=2) == [(5, True)]
    assert balance.flipped_tail(TRAIN, tail=3) == [(1, True), (3, True), (4, True), (5, True)]
    assert balance.flipped_tail(TRAIN, tail=1) == []


def test_label_wise_items_are_as_many_as_labels():
    extra = balance.label_wise(TRAIN)
    assert extra == [(1, False), (4, False), (5, False), (5, False)]
    assert len(TRAIN) + len(extra) == sum(len(clip.labels) for clip in TRAIN.clips)


def test_counts_swap_left_and_right_in_mirrored_copies():
    table = balance.counts(TRAIN, balance.flipped_tail(TRAIN, tail=3)).set_index("class")
    assert list(table.index) == ["walking", "turning_left", "riding", "turning_right", "never"]
    assert table["clips"].to_dict() == {
        "walking": 5,
        "turning_left": 2,
        "turning_right": 1,
        "riding": 2,
        "never": 0,
    }
    assert table["with copies"].to_dict() == {
        "walking": 8,  # clips 1, 4 and 5 again
        "turning_left": 3,  # clip 5, a right turn, mirrored
        "turning_right": 3,  # clips 1 and 3
        "riding": 4,
        "never": 0,
    }
    plain = balance.counts(TRAIN, balance.label_wise(TRAIN)).set_index("class")["with copies"]
    assert plain.to_dict() == {"walking": 9, "turning_left": 3, "turning_right": 3, "riding": 5, "never": 0}


def test_the_dataset_shows_the_copies_as_counted(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 3, 4, 6, 3), np.uint8)
    store = ClipStore.render(TRAIN, tmp_path / "x.store", lambda start: iter(pixels[start:]), origin={})
    extra = balance.flipped_tail(TRAIN, tail=3) + balance.label_wise(TRAIN)
    mirror = mirror_permutation(CLASSES)
    data = ClipDataset(TRAIN, store=store, frames=3, size=None, views="centre", extra=extra, mirror=mirror)
    batch = data.batch(range(len(data)))
    table = balance.counts(TRAIN, extra).set_index("class")["with copies"]
    assert dict(zip(CLASSES, batch["label"].sum(0).int().tolist(), strict=True)) == table.to_dict()
    np.testing.assert_array_equal(batch["video"][6].numpy(), pixels[1][:, :, ::-1])
    assert batch["label"][6].tolist() == [1, 0, 1, 0, 0]
    np.testing.assert_array_equal(batch["video"][10].numpy(), pixels[1])


def test_a_long_tail_falls_geometrically_and_by_seed():
    even = index(*([name] for name in CLASSES[:3] for _ in range(16)))
    drawn = balance.long_tail(even, ratio=16, seed=3)
    sizes = np.array(sorted(balance.counts(drawn)["clips"], reverse=True))
    assert sizes.tolist() == [16, 4, 1, 0, 0]
    assert drawn == balance.long_tail(even, ratio=16, seed=3)
    assert drawn != balance.long_tail(even, ratio=16, seed=4)
    assert balance.long_tail(even, ratio=1) == even
    with pytest.raises(UsageError, match="ratio"):
        balance.long_tail(even, ratio=0.5)


def test_a_single_label_index_is_balanced_alike():
    single = Index("x", "train", Path("."), CLASSES, False, TRAIN.clips[:1] + TRAIN.clips[3:4])
    assert balance.flipped_tail(single, tail=2) == [(0, True), (1, True)]
    assert balance.counts(single, [(1, True)])["with copies"].tolist() == [1, 1, 1, 0, 0]
