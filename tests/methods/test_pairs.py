"""One study for all notebooks: parts of it, and what is rendered of it once."""

from collections import Counter

import numpy as np
import pytest

from tinylib.datasets.index import Clip, Index
from tinylib.methods import pairs
from tinylib.settings import Studied
from tinylib.synth import studies


@pytest.fixture
def index(tmp_path):
    clips = tuple(Clip(f"train-{k:02d}", f"{k}.mp4", f"v{k // 4}", ("a",) if k % 3 else ("a", "b")) for k in range(24))
    return Index("study", "train", tmp_path, ("a", "b"), True, clips)


def test_a_portion_has_so_many_clips_of_each_class_and_is_the_same_again(index):
    part = pairs.portion(index, 4, seed=1)
    counts = Counter(name for clip in part.clips for name in clip.labels)
    assert counts["b"] == 4
    assert 4 <= counts["a"] <= 8
    assert part == pairs.portion(index, 4, seed=1) != pairs.portion(index, 4, seed=2)
    assert [c.clip_id for c in part.clips] == sorted(c.clip_id for c in part.clips)
    assert pairs.portion(index, None) is index
    assert len(pairs.portion(index, 100)) == len(index)


@pytest.fixture
def drawn(index, monkeypatch):
    """Clips whose pixels are their place, and the names of those that were drawn so far."""
    names = []
    value = {clip.clip_id: place for place, clip in enumerate(index.clips)}

    def draw(root, clips, size, sensor, frames):
        names.extend(clip.clip_id for clip in clips)
        return [np.full((frames, *size, 3), value[clip.clip_id], np.uint8) for clip in clips]

    monkeypatch.setattr(studies, "rendered", draw)
    monkeypatch.setattr(studies, "cores", lambda: 1)
    return names


def test_what_one_notebook_rendered_serves_the_others_and_parts_of_it(index, drawn):
    settings = Studied.of("smoke", kept=2)
    whole = pairs.rendered(settings, index, 8, sensor=True)
    assert drawn == [clip.clip_id for clip in index.clips]
    other = pairs.rendered(settings, index.select([5, 20]), 8, sensor=True)
    assert other.file == whole.file
    assert other[1].max() == 20
    assert other.take(np.array([1, 0]), np.array([[0], [1]]))[:, 0, 0, 0, 0].tolist() == [20, 5]
    assert len(drawn) == 24
    pairs.rendered(settings, index.select([3]), 8, sensor=False)
    pairs.rendered(Studied.of("smoke", kept=3), index.select([3]), 8, sensor=True)
    assert drawn[24:] == ["train-03", "train-03"]
    assert {file.parent for file in index.root.rglob("*.store")} == {index.root / "stores"}


def test_only_what_no_earlier_store_holds_is_rendered(index, drawn):
    settings = Studied.of("smoke", kept=2)
    pairs.rendered(settings, index.select([3, 7]), 8, sensor=True)
    pairs.rendered(settings, index.select([7, 9]), 8, sensor=True)
    assert drawn == ["train-03", "train-07", "train-09"]
    store = pairs.rendered(settings, index.select([2, 3, 9, 11]), 8, sensor=True)
    assert drawn[3:] == ["train-02", "train-11"]
    assert [store[place].max() for place in range(4)] == [2, 3, 9, 11]
    store.verify()
    whole = studies.render(index.select([2, 3, 9, 11]), index.root / "whole.store", 8, sensor=True, frames=2)
    assert store.file.read_bytes() == whole.file.read_bytes()


def test_a_larger_portion_holds_the_smaller_one(index):
    small, large = (pairs.portion(index, clips, seed=3) for clips in (3, 6))
    assert {clip.clip_id for clip in small.clips} < {clip.clip_id for clip in large.clips}
