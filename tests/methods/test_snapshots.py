"""Several networks out of one run."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tinylib.datasets.index import Clip, Index
from tinylib.datasets.loading import BatchTransform, ClipDataset
from tinylib.datasets.store import ClipStore
from tinylib.errors import DataError
from tinylib.evaluation.scores import predict
from tinylib.methods import snapshots
from tinylib.models import checkpoint
from tinylib.training.loop import FitConfig
from tinylib.training.objectives.classify import Classify


class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 2)

    def forward(self, video):
        return self.head(video.mean((2, 3, 4)))


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    clips = tuple(Clip(str(i), f"{i}.mp4", f"v{i % 3}", (("a",), ("b",), ("a", "b"))[i % 3]) for i in range(9))
    index = Index("x", "train", Path("."), ("a", "b"), True, clips)
    pixels = rng.integers(0, 256, (9, 8, 4, 4, 3), np.uint8)
    store = ClipStore.render(index, tmp_path / "x.store", lambda start: iter(pixels[start:]), origin={})
    return lambda views: ClipDataset(index, store=store, frames=4, size=None, views=views)


def run(data, folder, **options):
    torch.manual_seed(0)
    objective = Classify(Mean())
    config = FitConfig(epochs=4, batch_size=4, lr=0.1, schedule="restarts", cycle=0.25, ema=0.9, keep_cycles=True)
    result, scored = snapshots.train(
        objective, data("train"), config, folder, exams={"val": data("test")}, transform=BatchTransform(), **options
    )
    return objective, result, scored


def test_one_run_gives_the_networks_of_its_last_cycles(data, tmp_path):
    objective, result, scored = run(data, tmp_path / "run", count=3, raw=True)
    assert list(scored) == [snapshots.RAW, "epoch 2", "epoch 3", "epoch 4"]
    last, before = scored["epoch 4"]["val"].scores, scored["epoch 3"]["val"].scores
    assert not np.array_equal(last, before)
    assert not np.array_equal(last, scored[snapshots.RAW]["val"].scores)
    again = predict(objective.model, data("test"))  # what the run delivers is what the objective is left with
    np.testing.assert_array_equal(again.scores, last)
    model = Mean()
    checkpoint.restore(model, checkpoint.load(result.cycles[1])[0])
    np.testing.assert_array_equal(predict(model, data("test")).scores, scored["epoch 2"]["val"].scores)
    _, _, resumed = run(data, tmp_path / "run", count=1)
    np.testing.assert_array_equal(resumed["epoch 4"]["val"].scores, last)
    with pytest.raises(DataError, match="6 networks of one run need as many cycles; this one keeps 4"):
        run(data, tmp_path / "run", count=6)


def test_members_are_found_again_if_they_are_of_the_same_clips(data, tmp_path):
    _, _, scored = run(data, tmp_path / "run", count=3)
    index = data("test").index
    saved = list(scored.values())
    snapshots.save(tmp_path / "kept", "ir-CSN(SR+KD)", saved)
    snapshots.save(tmp_path / "kept", "ir-CSN", saved[:1])
    assert {path.name for path in (tmp_path / "kept").glob("*.npz")} == {
        "ir_CSN_SR_KD-0-val.npz",
        "ir_CSN_SR_KD-1-val.npz",
        "ir_CSN_SR_KD-2-val.npz",
        "ir_CSN-0-val.npz",
    }
    members = snapshots.load(tmp_path / "kept", "ir-CSN(SR+KD)", {"val": index})
    assert [f["val"].scores.tolist() for f in members] == [s["val"].scores.tolist() for s in saved]
    assert snapshots.load(tmp_path / "kept", "ir-CSN(SR+KD)", {"val": index.select(range(8))}) == []
    assert snapshots.load(tmp_path / "kept", "ir-CSN(SR+KD)", {"val": index, "test": index}) == []
    assert snapshots.load(tmp_path / "nowhere", "UniFormer", {"val": index}) == []
    snapshots.save(tmp_path / "kept", "ir-CSN(SR+KD)", saved[:1])
    assert len(snapshots.load(tmp_path / "kept", "ir-CSN(SR+KD)", {"val": index})) == 1


def test_the_recipe_is_the_papers_twelve():
    assert sum(snapshots.COUNTS.values()) == 12
