"""What notebooks 08 to 10 share: splits, the split that is measured, the paper's settings."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tinylib import models
from tinylib.datasets.index import Clip, Index
from tinylib.errors import DataError, UsageError
from tinylib.methods import pairs, snapshots
from tinylib.models import checkpoint, official
from tinylib.settings import DualResolution, Ensemble, SamplingAndBalance, Winner


def index(split, count=6, labels=("a",)):
    clips = tuple(Clip(f"{split}-{i}", f"{i}.mp4", f"v{i % 2}", labels) for i in range(count))
    return Index("x", split, Path("."), ("a", "b"), True, clips)


def test_full_is_what_the_paper_says():
    settings = Ensemble.of("full")
    csn, uniformer = settings.networks
    assert (csn.model, csn.lr, dict(csn.options)) == ("ircsn152", 1e-4, {"dropout": 0.5})
    assert (uniformer.model, uniformer.lr, dict(uniformer.options)) == ("uniformer_b", 2e-4, {"drop_path": 0.4})
    assert (settings.frames, settings.size, settings.tail, settings.alpha) == (16, 224, 500, 0.5)
    config = settings.fitting(csn, 1000, 3)
    assert (config.optimiser, config.schedule, config.lr, config.seed) == ("adamw", "restarts", 1e-4, 3)
    assert config.warmup > 0
    assert settings.fitting(csn, 4, 0).batch_size == 4


@pytest.mark.parametrize("profile", ["smoke", "demo", "full"])
def test_one_run_has_cycles_enough_for_every_stream(profile):
    settings = Winner.of(profile)
    assert len(settings.fitting(settings.networks[0], 100, 0).cycle_ends()) >= max(snapshots.COUNTS.values())
    for network in settings.networks:
        with torch.device("meta"):
            model = models.create(network.model, num_classes=8, **dict(network.options))
            assert model.eval()(torch.empty(1, 3, settings.frames, settings.size, settings.size)).shape == (1, 8)


def test_networks_start_from_converted_weights_where_they_are_given(tmp_path, monkeypatch):
    settings = Winner.of("smoke", csn_weights=str(tmp_path / "csn.safetensors"))
    source = official.SOURCES["ircsn50_mmaction2"]
    monkeypatch.setitem(official.SOURCES, "ircsn50_mmaction2", replace(source, arguments={"depth": 14, "width": 8}))
    theirs = models.create("ircsn_tiny", num_classes=7, width=8)
    checkpoint.save(tmp_path / "csn.safetensors", theirs, {"official": "ircsn50_mmaction2", "num_classes": 7})
    ours = settings.build(settings.networks[0], ("a", "b", "c"), 0)
    assert ours.fc.weight.shape[0] == 3
    same = [torch.equal(a, b) for a, b in zip(ours.layer4.parameters(), theirs.layer4.parameters(), strict=True)]
    assert all(same)
    other = settings.build(settings.networks[1], ("a", "b", "c"), 0)
    again = settings.build(settings.networks[1], ("a", "b", "c"), 0)
    assert all(torch.equal(a, b) for a, b in zip(other.parameters(), again.parameters(), strict=True))
    checkpoint.save(tmp_path / "csn.safetensors", theirs, {"official": "of our own", "num_classes": 7})
    with pytest.raises(DataError, match="not a converted official classifier"):
        settings.build(settings.networks[0], ("a", "b", "c"), 0)


def test_a_study_gets_a_long_tail_and_keeps_its_other_splits(monkeypatch):
    even = index("train", 64)
    whole = replace(even, clips=tuple(replace(c, labels=("a",) if i % 2 else ("b",)) for i, c in enumerate(even.clips)))
    monkeypatch.setattr(pairs, "splits", lambda s: {"train": whole, "val": index("val"), "test": index("test")})
    splits = SamplingAndBalance.of("demo", ratio=4.0).clips()
    labels = [clip.labels for clip in splits["train"].clips]
    assert sorted([labels.count(("a",)), labels.count(("b",))]) == [8, 32]
    assert splits["val"] == index("val")
    same = DualResolution.of("demo", ratio=4.0).clips()
    assert same == splits  # members of 08 and 09 have seen the same clips


def test_secret_labels_are_not_measured():
    settings = Winner.of("smoke")
    shown, secret = index("test"), index("test", labels=None)
    assert settings.judged({"val": index("val"), "test": shown}) == "test"
    assert settings.judged({"val": index("val"), "test": secret}) == "val"
    assert settings.judged({"val": index("val")}) == "val"


def test_data_without_a_validation_split_is_measured_on_its_test(monkeypatch):
    monkeypatch.setattr(Winner, "splits", lambda self: {"train": index("train"), "test": index("test")})
    settings = Winner.of("smoke", data="tinyvirat")
    assert settings.clips() == {"train": index("train"), "val": index("test")}
    with pytest.raises(UsageError, match="no resolution but its own"):
        settings.clean(index("train"))
    with pytest.raises(UsageError, match="several labels"):
        Winner.of("smoke", data="ucf101").clips()
