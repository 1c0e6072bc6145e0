from pathlib import Path

import pytest

from tinylib.datasets import statistics
from tinylib.datasets.index import Clip, Index
from tinylib.datasets.sources import open_split


def clip(name, labels, frames=10, side=30):
    return Clip(name, f"{name}.mp4", f"v{name[0]}", labels, frames, side, side)


@pytest.fixture
def index():
    clips = (
        clip("a1", ("x",), 40, 8),
        clip("a2", ("x", "y"), 60, 20),
        clip("b1", ("y",), 80, 128),
        clip("b2", None, None, None),
    )
    return Index("n", "train", Path("."), ("y", "x", "z"), True, clips)


@pytest.mark.parametrize(
    ("pixels", "group"),
    [(8, "0-20"), (19, "0-20"), (20, "20-40"), (99, "80-100"), (100, "100-128"), (128, "100-128"), (129, "over 128")],
)
def test_groups_include_their_lower_edge_and_the_last_both(pixels, group):
    assert statistics.size_bin(pixels) == group


def test_counts_by_hand(index):
    assert statistics.class_counts(index) == {"y": 2, "x": 2, "z": 0}
    assert statistics.bin_counts(index) == {"0-20": 1, "20-40": 1, "40-60": 0, "60-80": 0, "80-100": 0, "100-128": 1}
    assert statistics.bin_shares(index)["x"] == [50, 50, 0, 0, 0, 0]
    assert statistics.bin_shares(index)["z"] == [0] * 6
    assert statistics.mean_sides(index) == {"x": 14, "y": 74}
    table = statistics.summary({"train": index})
    assert table.loc["all", ["clips", "source videos", "classes", "mean frames"]].tolist() == [4, 2, 2, 60]
    assert table.loc["train", "labels a clip"] == pytest.approx(4 / 3)


def test_the_facts_of_the_real_indexes_are_consistent():
    first, second = statistics.real()["tinyvirat"], statistics.real()["tinyvirat-v2"]
    assert sum(first["bins"]) == first["clips"]["train"] == 7663
    assert all(counts[0] == sum(counts[1:]) for counts in first["classes"].values())
    assert len(first["classes"]) == len(second["classes"]) == 26
    assert all(sum(row[2:]) == pytest.approx(100, abs=0.3) for row in second["classes"].values())


def test_the_real_validation_index_has_the_recorded_counts(shared_data):
    index = open_split("tinyvirat-v2", shared_data / "tinyvirat_v2", "val")
    counts = statistics.class_counts(index)
    assert counts == {name: row[1] for name, row in statistics.real()["tinyvirat-v2"]["classes"].items()}
    assert len(index) == 3308


def test_videos_are_measured_and_compared(tmp_path, index):
    import numpy as np

    from tinylib.video import write_video

    frames = [np.full((12, 16, 3), 9 * i, np.uint8) for i in range(5)]
    clips = tuple(Clip(n, f"{n}.mp4", n, ("x",), *size) for n, size in {"a": (5, 16, 12), "b": (6, 16, 12)}.items())
    for name in "ab":
        write_video(tmp_path / f"{name}.mp4", frames)
    declared = Index("n", "train", tmp_path, ("x",), True, clips)
    table = statistics.disagreements(declared)
    assert table.to_dict("records") == [{"clip_id": "b", "declared": (6, 16, 12), "found": (5, 16, 12)}]
    bare = Index("n", "train", tmp_path, ("x",), True, tuple(Clip(n, f"{n}.mp4", n, ("x",)) for n in "abc"))
    measured = statistics.measured(bare, 5)
    assert [(c.frames, c.width, c.height) for c in measured.clips] == [(5, 16, 12)] * 2
    assert statistics.measured(declared, 1) is declared
    assert len(statistics.sample(bare, 1)) == 1
