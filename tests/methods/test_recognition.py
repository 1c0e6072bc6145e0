"""Equal runs with other seeds: taught, judged and compared."""

import numpy as np
import pytest
import torch

from tinylib import models
from tinylib.datasets.index import Clip, Index
from tinylib.datasets.store import ClipStore
from tinylib.evaluation.scores import Scores
from tinylib.methods import recognition, super_resolution
from tinylib.methods.recognition import Feed, Recognition
from tinylib.settings import Studied
from tinylib.training import FitConfig

CLASSES = ("a", "b")


def split(tmp_path, name, clips=8, size=12, seed=0):
    """Bright clips of "a", dark ones of "b", two a video; and their store."""
    rng = np.random.default_rng(seed)
    rows = tuple(Clip(f"{name}-{k}", f"{name}/{k}.mp4", f"{name}-v{k // 2}", (CLASSES[k % 2],)) for k in range(clips))
    index = Index("x", name, tmp_path, CLASSES, True, rows)
    videos = [rng.integers(100, 120, (4, size, size, 3)).astype(np.uint8) + (k % 2 == 0) * 60 for k in range(clips)]
    store = ClipStore.render(
        index, tmp_path / f"{name}-{size}.store", lambda start: (v.astype(np.uint8) for v in videos[start:]),
        origin={"size": size},
    )  # fmt: skip
    return index, store


def build(seed):
    torch.manual_seed(seed)
    return models.create("tiny_r3d", num_classes=2, widths=(4, 4, 4, 4))


@pytest.fixture
def material(tmp_path):
    indexes, stores = {}, {}
    for place, name in enumerate(("train", "val", "test")):
        indexes[name], stores[name] = split(tmp_path, name, seed=place)
    return indexes, stores


def test_runs_are_taught_judged_and_thresholded(material, tmp_path):
    indexes, stores = material
    feed, config = Feed(frames=4, batch=4, flip=0.0), FitConfig(epochs=1, batch_size=4, lr=1e-2)
    taught = recognition.learn(build, indexes["train"], stores["train"], feed, config, tmp_path / "run", seeds=(0, 1))
    assert [result.run_dir.name for result in taught.fits] == ["run-0", "run-1"]
    judged = recognition.judge(taught, indexes, stores, feed, label="row", run_dir=tmp_path)
    assert [run.split for run in judged.runs + judged.held] == ["test", "test", "val", "val"]
    assert judged.table()["metric"].tolist()[:3] == ["mAP", "F1 (fitted)", "F1"]
    assert np.asarray(judged.clips().thresholds).shape == (2, 2)
    assert set(judged.per_class()) == set(CLASSES)
    assert len(list((tmp_path / "scores").glob("row-*.npz"))) == 2
    again = recognition.learn(build, indexes["train"], stores["train"], feed, config, tmp_path / "run", seeds=(0, 1))
    for one, other in zip(taught.networks, again.networks, strict=True):  # the run folder gives them back
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_without_epochs_networks_stay_as_they_are_and_copies_are_their_own(material, tmp_path):
    indexes, _ = material
    first = recognition.learn(build, indexes["train"], None, Feed(frames=4), None, tmp_path / "a", seeds=(0, 1))
    assert first.fits == ()
    assert first.seconds == 0
    copies = recognition.learn(
        recognition.copies(first), indexes["train"], None, Feed(frames=4), None, "", seeds=(0, 1)
    )
    for one, other in zip(first.networks, copies.networks, strict=True):
        assert one is not other
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert not (tmp_path / "a-0").exists()


def judged(scores, targets):
    videos = tuple(f"v{k // 2}" for k in range(len(targets)))
    ids = tuple(map(str, range(len(targets))))
    sides = np.zeros(len(targets), np.int64)
    runs = [
        Scores("x", "test", "", ids, videos, np.float32(s), targets, CLASSES, ("",) * len(ids), sides) for s in scores
    ]
    return Recognition(tuple(runs))


def test_steps_are_paired_differences():
    truth = np.eye(2, dtype=np.float32)[[0, 1] * 6]
    good = judged([truth * 0.8 + 0.1] * 2, truth)
    bad = judged([0.9 - truth * 0.8] * 2, truth)
    table = recognition.steps({"bad": bad, "good": good, "also good": good}, "mAP")
    assert table["claim"].tolist() == ["good > bad", "also good > good", "also good > bad"]
    assert table["held"].tolist() == ["yes", "open", "yes"]
    assert table["difference"].iloc[1] == 0


def test_a_constant_answer_has_the_share_of_each_class():
    clips = tuple(Clip(str(k), "", "v", ("a",) if k < 3 else ("b",)) for k in range(4))
    index = Index("x", "test", ".", CLASSES, True, clips)
    best = recognition.constant(index)
    assert best == pytest.approx({"mAP": 0.5, "F1": (2 * 0.75 / 1.75 + 2 * 0.25 / 1.25) / 2})


def test_spread_takes_clips_of_every_part(tmp_path):
    index, _ = split(tmp_path, "test", clips=9)
    assert [clip.clip_id for clip in recognition.spread(index, 3).clips] == ["test-0", "test-4", "test-8"]
    assert recognition.spread(index, None) is index
    assert recognition.spread(index, 20) is index


RECIPE = super_resolution.Restoration(4, 1, True, 4, 10, (4,), 1e-3, "cosine", 2, 1)


class Settings:
    seed, scale, restoration = 0, 2, RECIPE

    def start(self, network):
        self.started = network
        return network

    def source(self, network):
        return "none"


@pytest.mark.parametrize("kind", super_resolution.KINDS)
def test_a_generator_is_taught_on_pairs_or_on_reductions(kind, tmp_path):
    index, low = split(tmp_path, "train", size=6)
    _, high = split(tmp_path, "train", size=12)
    feed = Feed(frames=4)
    settings, lessons = Settings(), feed.clips(index, high)
    reduced = super_resolution.generator(settings, kind, lessons, tmp_path / "reduced")
    assert settings.started is reduced.network
    assert reduced.source == "none"
    lessons.store, lessons.high = low, high
    paired = super_resolution.generator(settings, kind, lessons, tmp_path / "paired", from_nothing=True)
    assert len(paired.result.history) == 10
    assert (paired.objective.schedule is None) == (kind == "DVSR")
    one, other = (torch.nn.utils.parameters_to_vector(g.network.parameters()) for g in (reduced, paired))
    assert not torch.equal(one, other)


def test_a_generator_with_weights_learns_whole_and_briefly(tmp_path, monkeypatch):
    index, store = split(tmp_path, "train")
    monkeypatch.setattr(Settings, "source", lambda self, network: "synthvirat")
    lessons = Feed(frames=4).clips(index, store)
    tuned = super_resolution.generator(Settings(), "progressive", lessons, tmp_path / "tuned")
    assert len(tuned.result.history) == 1
    assert tuned.objective.schedule is None
    assert tuned.network.stage == tuned.network.stages


def test_starting_weights_are_named_or_said_to_lack(tmp_path, capsys, monkeypatch):
    from tinylib.models import pretrained

    monkeypatch.setattr(pretrained, "shipped", dict)
    nothing = Studied.of("demo").classifier("tiny_r3d", CLASSES, seed=3, options={"widths": (4, 4, 4, 4)})
    assert "starts from nothing: synthvirat has no weights" in capsys.readouterr().out
    torch.manual_seed(3)
    fresh = models.create("tiny_r3d", num_classes=2, widths=(4, 4, 4, 4))
    assert all(torch.equal(a, b) for a, b in zip(nothing.parameters(), fresh.parameters(), strict=True))
    Studied.of("smoke").classifier("tiny_r3d", CLASSES, seed=3)
    assert capsys.readouterr().out == ""
    assert Studied.of("demo", pretrained="x/own.safetensors").source(fresh).endswith("x/own.safetensors")
