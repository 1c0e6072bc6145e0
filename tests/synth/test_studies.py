"""Balanced studies: what is asked for is what comes out, and every resolution shows the same event."""

from collections import Counter

import numpy as np
import pytest

from tinylib.datasets import degrade
from tinylib.errors import DataError, UsageError
from tinylib.synth import studies
from tinylib.synth.write import Stand

CLASSES = ("activity_walking", "activity_running")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    return root, studies.study(root, classes=CLASSES, train=3, val=1, test=2, seed=3, workers=0)


def test_it_has_as_many_clips_of_each_class_as_asked_for(small):
    _, study = small
    assert {name: len(index) for name, index in study.items()} == {"train": 6, "val": 2, "test": 4}
    assert set(study["train"].classes) == set(CLASSES)
    for index in study.values():
        rarest = Counter(
            "activity_running" if "activity_running" in clip.labels else clip.labels[0] for clip in index.clips
        )
        assert len(set(rarest.values())) == 1
        assert all(set(clip.labels) <= set(CLASSES) for clip in index.clips)
    places = [{clip.video_id for clip in index.clips} for index in study.values()]
    assert not places[0] & places[1]
    assert not places[0] & places[2]


def test_it_is_made_once_and_equal_arguments_give_equal_clips(small, tmp_path):
    root, study = small
    again = studies.study(root, classes=CLASSES, train=3, val=1, test=2, seed=3, workers=0)
    assert again == study
    rows = studies.script_clips(
        next(studies.plan_videos(study["train"].classes, {"train": 3, "validate": 1, "test": 2}, 3, ("V",))),
        str(tmp_path),
    )
    (file,) = (tmp_path / "truth").iterdir()
    assert file.read_bytes() == (study["train"].root / "truth" / file.name).read_bytes()
    assert {clip.path for clip in study["train"].clips} <= {studies.clip_of(row | {"id": ""}).path for row in rows}


def test_resolutions_show_the_same_event(small, tmp_path):
    _, study = small
    index = study["val"]
    high = studies.render(index, tmp_path / "high.store", 48, sensor=False, frames=4, workers=0)
    low = studies.render(index, tmp_path / "low.store", 24, sensor=True, frames=4, workers=0)
    wide = studies.render(index, tmp_path / "wide.store", (36, 48), sensor=False, frames=4, workers=0)
    assert (high.size, low.size, wide.size) == ((48, 48), (24, 24), (36, 48))
    assert high.frames.tolist() == [4, 4]
    for i in range(len(index)):
        assert np.array_equal(high[i][:, 6:42], wide[i])
        shrunk = degrade.area(high[i], 24).astype(float).ravel()
        assert np.corrcoef(shrunk, low[i].astype(float).ravel())[0, 1] > 0.8
    masks = studies.masks(index, 48, frames=4)
    assert masks.shape == (2, 4, 48, 48)
    assert 0.005 < masks.mean() < 0.6


def test_bytes_do_not_depend_on_workers(small, tmp_path):
    _, study = small
    one = studies.render(study["val"], tmp_path / "one.store", 16, sensor=True, frames=2, workers=0)
    two = studies.render(study["val"], tmp_path / "two.store", 16, sensor=True, frames=2, workers=2)
    assert [entry.sha256 for entry in one.entries] == [entry.sha256 for entry in two.entries]


def test_what_is_left_undrawn_is_out_of_view(small, tmp_path, monkeypatch):
    _, study = small
    shows, skipped = Stand.shows, []
    monkeypatch.setattr(Stand, "shows", lambda stand, time: skipped.append(not shows(stand, time)) or not skipped[-1])
    quick = studies.render(study["test"], tmp_path / "quick.store", 16, sensor=True, frames=6, workers=0)
    assert any(skipped)
    assert not all(skipped)
    monkeypatch.setattr(Stand, "shows", lambda stand, time: True)
    whole = studies.render(study["test"], tmp_path / "whole.store", 16, sensor=True, frames=6, workers=0)
    assert [entry.sha256 for entry in quick.entries] == [entry.sha256 for entry in whole.entries]


def test_asking_for_too_much_or_too_little_is_refused(tmp_path):
    with pytest.raises(UsageError, match="a clip a class in each split, not 3, 0 and 2"):
        studies.study(tmp_path, classes=CLASSES, train=3, val=0, test=2)
    with pytest.raises(UsageError, match="there are 500 places"):
        studies.study(tmp_path, classes=CLASSES, train=20000, val=1, test=1, workers=0)


def test_moments_are_spread_from_the_first_frame_to_the_last():
    assert studies.moments(9, 3).tolist() == [0, 4, 8]
    assert studies.moments(4, None).tolist() == [0, 1, 2, 3]
    assert studies.moments(2, 4).tolist() == [0, 0, 1, 1]


def test_wrong_classes_and_lost_truth_are_named(small, tmp_path):
    _, study = small
    with pytest.raises(UsageError, match="no class 'swimming'"):
        studies.study(tmp_path, classes=("swimming",), train=1, val=1, test=1)
    index = study["train"]
    (index.root / "truth" / f"{index.clips[0].video_id}.json").rename(tmp_path / "away.json")
    studies._script.cache_clear()
    with pytest.raises(DataError, match="to make the study again"):
        studies.render(index, tmp_path / "lost.store", 16, sensor=False, frames=2, workers=0)
    (tmp_path / "away.json").rename(index.root / "truth" / f"{index.clips[0].video_id}.json")
