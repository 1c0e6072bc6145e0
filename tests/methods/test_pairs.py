"""One study for all notebooks: parts of it, and what is rendered of it once."""

from collections import Counter

import numpy as np
import pytest

from tinylib.datasets.index import Clip, Index
from tinylib.datasets.store import ClipStore
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


def test_what_one_notebook_rendered_serves_the_others_and_parts_of_it(index, monkeypatch):
    calls = []

    def render(some, file, size, *, sensor, kept):
        calls.append(len(some))
        value = {clip.clip_id: place for place, clip in enumerate(index.clips)}
        videos = [np.full((kept, size, size, 3), value[clip.clip_id], np.uint8) for clip in some.clips]
        made = studies.recipe(size, sensor=sensor, kept=kept)
        return ClipStore.render(some, file, lambda start: iter(videos[start:]), made=made)

    monkeypatch.setattr(studies, "render", render)
    settings = Studied.of("smoke", kept=2)
    part = index.select([3, 7])
    alone = pairs.rendered(settings, part, 8, sensor=True)
    whole = pairs.rendered(settings, index, 8, sensor=True)
    assert calls == [2, 24]
    assert alone.file != whole.file
    other = pairs.rendered(settings, index.select([5, 20]), 8, sensor=True)
    assert calls == [2, 24]
    assert other.file == whole.file
    assert other[1].max() == 20
    assert other.take(np.array([1, 0]), np.array([[0], [1]]))[:, 0, 0, 0, 0].tolist() == [20, 5]
    pairs.rendered(settings, part, 8, sensor=False)
    pairs.rendered(Studied.of("smoke", kept=3), part, 8, sensor=True)
    assert calls == [2, 24, 2, 2]
    assert {file.parent for file in index.root.rglob("*.store")} == {index.root / "stores"}
