"""Multi-label splits seen as single-label ones."""

from pathlib import Path

import pytest

from tinylib.datasets.index import Clip, Index
from tinylib.datasets.single import rarest_label
from tinylib.errors import DataError


def index(split, *labels):
    clips = tuple(Clip(f"{split}{i}", f"{i}.mp4", "v", names) for i, names in enumerate(labels))
    return Index("synthvirat", split, Path("."), ("walk", "carry", "run", "talk"), True, clips)


TRAIN = index("train", ("walk",), ("walk",), ("walk", "carry"), ("walk", "carry"), ("walk", "run"), ("talk", "walk"))
TEST = index("test", ("walk",), ("walk", "carry"), ("walk", "carry"), ("walk",), ("run", "walk"), ("carry", "talk"))


def test_a_clip_goes_by_its_rarest_training_label():
    train, test = rarest_label(TRAIN, TEST, classes=4, at_least=1)
    assert train.classes == test.classes == ("walk", "carry", "run", "talk")
    assert [clip.labels for clip in test.clips] == [("walk",), ("carry",), ("carry",), ("walk",), ("run",), ("talk",)]
    assert test.targets().tolist() == [0, 1, 1, 0, 2, 3]
    assert not train.multi_label


def test_classes_with_too_few_clips_in_either_split_are_left_out():
    train, test = rarest_label(TRAIN, TEST, classes=4, at_least=2)
    assert train.classes == ("walk", "carry")
    assert (len(train), len(test)) == (4, 4)
    with pytest.raises(DataError, match="0 classes have 3 clips in both splits"):
        rarest_label(TRAIN, TEST, classes=4, at_least=3)
