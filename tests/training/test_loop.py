"""The training loop: schedules by hand, turns, growth, resuming bit for bit after `kill -9`, refusing what is wrong."""

from __future__ import annotations

import itertools
import json
import math
import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from tinylib.datasets.index import Clip, Index
from tinylib.datasets.loading import BatchTransform, ClipDataset
from tinylib.errors import DataError, UsageError
from tinylib.evaluation.metrics import f1
from tinylib.evaluation.scores import predict
from tinylib.files import locked
from tinylib.models import checkpoint
from tinylib.models.tiny import TinyR3D
from tinylib.progress import Progress
from tinylib.training import loop, run_folder
from tinylib.training.loop import FitConfig, fit
from tinylib.training.objectives.classify import Classify
from tinylib.training.optimise import lr_factor, make_optimisers
from tinylib.video import write_video

SIGNED = ("epoch", "step", "lr", "loss", "loss on the data")  # what two equal runs must agree on, to the last bit


class Dots:
    """Twenty clips whose class is their brightest colour, with per-item noise from (seed, epoch, index)."""

    seed = 3

    def __init__(self, clips: int = 20):
        self.clips, self.epoch = clips, 0

    def __len__(self) -> int:
        return self.clips

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def batch(self, positions) -> dict[str, object]:
        items = [self[int(i)] for i in positions]
        tensors = {key: torch.stack([item[key] for item in items]) for key in ("video", "label")}
        return tensors | {"clip_id": [item["clip_id"] for item in items]}

    def __getitem__(self, i: int) -> dict[str, object]:
        rng = np.random.default_rng((self.seed, self.epoch, i))
        video = rng.random((3, 2, 4, 4), dtype=np.float32) * 0.5
        video[i % 3] += 0.5
        label = np.eye(3, dtype=np.float32)[i % 3]
        return {"video": torch.from_numpy(video), "label": torch.from_numpy(label), "clip_id": f"clip {i}"}


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv3d(3, 4, 3, padding=1), nn.BatchNorm3d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3)
    return nn.Sequential(*layers, nn.Linear(4 * 2 * 4 * 4, 3))


CONFIG = FitConfig(
    epochs=4,
    batch_size=4,
    lr=0.01,
    schedule="restarts",
    cycle=0.5,
    warmup=1,
    ema=0.9,
    clip_norm=1.0,
    checkpoint_every=3,
    keep_cycles=True,
    best="-loss on the data",
)


def on_the_data(model: nn.Module) -> dict[str, float]:
    data = Dots()
    batch = [data[i] for i in range(len(data))]
    logits = model(torch.stack([item["video"] for item in batch]))
    labels = torch.stack([item["label"] for item in batch])
    return {"loss on the data": F.binary_cross_entropy_with_logits(logits, labels).item()}


def run(run_dir: Path, config: FitConfig = CONFIG, **changes: object) -> loop.FitResult:
    config = FitConfig(**(vars(config) | changes))
    return fit(Classify(network()), Dots(), config, run_dir, validate=on_the_data, description={"network": "dots"})


class Doomed(Classify):
    """Kills its own process, as `kill -9` would, inside the given step."""

    fatal = -1

    def losses(self, batch, progress):
        if progress.global_step == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().losses(batch, progress)


def doomed_run(run_dir: str, fatal: int, workers: int, fatal_write: int = -1) -> None:
    """A run that dies in the given step, or in place of moving its so many-th file where it belongs."""
    torch.set_num_threads(1)
    writes, move = itertools.count(), os.replace

    def replace(source, target):
        if next(writes) == fatal_write:
            os.kill(os.getpid(), signal.SIGKILL)
        move(source, target)

    os.replace = replace
    multiprocessing.set_start_method("fork", force=True)  # as in a process that was not born of a fork server
    objective = Doomed(network())
    objective.fatal = fatal
    config = FitConfig(**(vars(CONFIG) | {"workers": workers}))
    fit(objective, Dots(), config, run_dir, validate=on_the_data, description={"network": "dots"})


@pytest.fixture(scope="module")
def processes():
    """New processes that have everything imported, forked from a clean one."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.test_train", "accelerate"])
    return context


@pytest.fixture(scope="module")
def uninterrupted(processes, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    child = processes.Process(target=doomed_run, args=(str(folder), -1, 0))
    child.start()
    child.join(120)
    assert child.exitcode == 0
    return folder


def log(folder: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: row[key] for key in row if key in SIGNED} for row in rows]


def same_files(one: Path, other: Path) -> None:
    names = sorted(str(path.relative_to(one)) for path in one.rglob("*.safetensors"))
    assert names == sorted(str(path.relative_to(other)) for path in other.rglob("*.safetensors"))
    assert {"model.safetensors", "best.safetensors", "cycles/epoch_0002.safetensors"} < set(names)
    for name in names:  # the checkpoints among them hold weights, moments and averages
        a, b = load_file(one / name), load_file(other / name)
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a), name


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_at_random_steps_it_ends_where_it_would_have_ended(processes, uninterrupted, tmp_path, workers):
    folder = tmp_path / "run"
    steps = np.random.default_rng((11, workers)).choice(20, size=2, replace=False)
    for fatal in (*sorted(steps.tolist()), -1):
        child = processes.Process(target=doomed_run, args=(str(folder), fatal, workers))
        child.start()
        child.join(120)
        assert child.exitcode == (-signal.SIGKILL if fatal >= 0 else 0)
    assert log(folder) == log(uninterrupted)
    assert len(log(folder)) == 4
    same_files(folder, uninterrupted)
    assert len(list((folder / "checkpoints").glob("*.json"))) == run_folder.KEPT
    assert not list(folder.rglob("*.part*"))


def test_killed_while_writing_it_loses_nothing(processes, uninterrupted, tmp_path):
    folder = tmp_path / "run"
    for fatal_write in (6, 13, -1):  # in the middle of a checkpoint or between a network and its JSON
        child = processes.Process(target=doomed_run, args=(str(folder), -1, 0, fatal_write))
        child.start()
        child.join(120)
        assert child.exitcode == (-signal.SIGKILL if fatal_write >= 0 else 0)
    same_files(folder, uninterrupted)
    assert log(folder) == log(uninterrupted)


def test_a_second_training_in_a_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "PATIENCE", 0.1)
    with locked(tmp_path / "training"), pytest.raises(UsageError, match="in use by another process"):
        run(tmp_path)
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


def test_a_finished_run_is_not_trained_again(tmp_path):
    first = run(tmp_path)
    weights = load_file(first.last)
    objective = Classify(network())
    again = fit(objective, Dots(), CONFIG, tmp_path, description={"network": "dots"})
    assert again.history == first.history
    assert [path.name for path in again.cycles] == ["epoch_0002.safetensors", "epoch_0004.safetensors"]
    assert all(torch.equal(weights[name], value) for name, value in objective.model.state_dict().items())
    assert again.best.name == "best.safetensors"
    assert first.history[-1]["loss"] < first.history[0]["loss"]
    assert json.loads((tmp_path / "model.json").read_text())["description"] == {"network": "dots", "epoch": 4}


@pytest.mark.parametrize("spoil", ["cut", "flip", "empty json", "no tensors"])
def test_a_spoilt_checkpoint_falls_back_with_a_warning(tmp_path, capsys, spoil):
    whole = run(tmp_path / "a", checkpoint_every=4)
    run(tmp_path / "b", checkpoint_every=4)
    newest = max((tmp_path / "b" / "checkpoints").glob("*.safetensors"))
    content = newest.read_bytes()
    if spoil == "cut":
        newest.write_bytes(content[: len(content) // 2])
    elif spoil == "flip":
        newest.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    elif spoil == "empty json":
        newest.with_suffix(".json").write_text("")
    else:
        newest.unlink()
    (tmp_path / "b" / "checkpoints" / ".000000099.x.part.safetensors").write_bytes(b"half")
    capsys.readouterr()
    again = run(tmp_path / "b", checkpoint_every=4)
    assert "is spoilt" in capsys.readouterr().out
    assert [row["loss"] for row in again.history] == [row["loss"] for row in whole.history]
    same_files(tmp_path / "a", tmp_path / "b")
    assert not list((tmp_path / "b" / "checkpoints").glob(".*"))


def test_no_whole_checkpoint_is_an_error(tmp_path):
    run(tmp_path, epochs=1)
    for path in (tmp_path / "checkpoints").glob("*.safetensors"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="no checkpoint is whole"):
        run(tmp_path, epochs=1)


def test_another_configuration_is_refused_by_name(tmp_path):
    run(tmp_path, epochs=1)
    with pytest.raises(UsageError, match=r"config\.lr = 0\.01, not 0\.02"):
        run(tmp_path, epochs=1, lr=0.02)
    with pytest.raises(UsageError, match=r"data\.clips = 20, not 8"):
        fit(Classify(network()), Dots(8), FitConfig(**(vars(CONFIG) | {"epochs": 1})), tmp_path)
    run(tmp_path, epochs=1, workers=1, checkpoint_every=1)  # these two change nothing
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(DataError, match=r"config\.json: not JSON"):
        run(tmp_path, epochs=1)


class Explosive(Classify):
    def losses(self, batch, progress):
        parts = super().losses(batch, progress)
        return {"loss": parts["loss"] * (math.inf if progress.global_step == 6 else 1)}


def test_a_loss_that_is_not_finite_stops_the_run_and_names_its_clips(tmp_path):
    with pytest.raises(DataError, match=r"loss is inf at epoch 2, step 2 \(global 7\); its clips: clip \d+, clip"):
        fit(Explosive(network()), Dots(), FitConfig(epochs=2, batch_size=4, lr=0.1, checkpoint_every=1), tmp_path)
    newest = load_file(max((tmp_path / "checkpoints").glob("*.safetensors")))
    assert all(torch.isfinite(value).all() for value in newest.values())


class Alternating(nn.Module):
    """y is to follow x, then x to be 1: each turn sees what the one before it has learnt, and moves its own weight."""

    def __init__(self):
        super().__init__()
        self.x, self.y = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
        self.seen = []

    def turns(self, batch, progress):
        yield "follower", {"loss": (self.y - self.x.detach() - 1).sum()}
        self.seen.append(self.y.item())
        yield "leader", {"loss": (self.x * self.y).sum(), "gap": (self.y - self.x).sum()}

    def parameter_groups(self):
        return [{"params": [self.y], "turn": "follower", "lr": 0.5}, {"params": [self.x], "turn": "leader"}]


def test_turns_are_taken_one_after_another(tmp_path):
    objective = Alternating()
    config = FitConfig(epochs=1, batch_size=10, lr=0.1, optimiser="sgd", momentum=0.0)
    result = fit(objective, Dots(), config, tmp_path)
    assert objective.seen == pytest.approx([-0.5, -1.0])  # y fell by its own rate, before the leader's loss
    assert objective.y.item() == pytest.approx(-1.0)  # and the leader's gradient never reached it
    assert objective.x.item() == pytest.approx(0.05 + 0.1)  # -lr * y, at y = -0.5 and -1
    assert {"follower", "leader", "gap"} < result.history[0].keys()


class Growing(nn.Module):
    """A second weight appears in epoch 1, a third in epoch 2."""

    def __init__(self):
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(torch.zeros(1))])

    def start_epoch(self, progress):
        while len(self.weights) <= progress.epoch:
            self.weights.append(nn.Parameter(torch.randn(1)))

    def losses(self, batch, progress):
        return {"loss": sum((weight - 1).square().sum() for weight in self.weights)}

    def parameter_groups(self):
        return [{"params": list(self.weights)}]


def test_a_growing_network_keeps_its_moments_and_resumes(tmp_path):
    config = FitConfig(epochs=3, batch_size=5, lr=0.1, ema=0.5)
    whole, cut = Growing(), Growing()
    fit(whole, Dots(), config, tmp_path / "a")
    assert len(whole.weights) == 3
    state = load_file(max((tmp_path / "a" / "checkpoints").glob("*.safetensors")))
    assert [state[f"moments//step/weights.{i}"].item() for i in range(3)] == [12, 8, 4]

    class Stop(Exception):
        pass

    def stop(model):
        if len(model.weights) == 2:
            raise Stop
        return {}

    with pytest.raises(Stop):
        fit(cut, Dots(), config, tmp_path / "b", validate=stop)
    again = Growing()
    fit(again, Dots(), config, tmp_path / "b")
    assert all(torch.equal(a, b) for a, b in zip(whole.weights, again.weights, strict=True))


def test_the_caller_keeps_its_random_state(tmp_path):
    objective = Classify(nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(96, 3)))
    before = torch.random.get_rng_state()
    fit(objective, Dots(), FitConfig(epochs=1, batch_size=8, lr=0.1), tmp_path)
    assert torch.equal(before, torch.random.get_rng_state())
    assert not torch.are_deterministic_algorithms_enabled()


def test_one_line_an_epoch(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TINYLIB_PROGRESS", "lines")
    run(tmp_path, epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/2 lr 0.0009549 loss 0.")  # the rate of the epoch's last step
    assert "loss on the data 0." in lines[1]


def test_an_unknown_best_metric_is_named(tmp_path):
    with pytest.raises(UsageError, match="expected one of epoch, step, lr, loss, loss on the data, found 'F2'"):
        run(tmp_path, best="F2")


def factors(epochs: int = 12, steps: int = 2, **settings: object) -> list[float]:
    config = FitConfig(epochs=epochs, batch_size=1, lr=1.0, **settings)
    return [
        lr_factor(config, Progress(epoch, step, steps, epochs, epoch * steps + step))
        for epoch in range(epochs)
        for step in range(steps)
    ]


def test_schedules_by_hand():
    assert factors() == [1.0] * 24
    assert factors(schedule="multistep") == pytest.approx([1] * 6 + [0.1] * 6 + [0.01] * 6 + [0.001] * 6)
    assert factors(schedule="exponential", gamma=0.5, epochs=3) == [1, 1, 0.5, 0.5, 0.25, 0.25]
    cosine = [(1 + math.cos(math.pi * k / 24)) / 2 for k in range(24)]
    assert factors(schedule="cosine") == pytest.approx(cosine)
    assert factors(schedule="cosine", lr_floor=0.1) == pytest.approx([0.1 + 0.9 * value for value in cosine])
    assert factors(schedule="restarts") == pytest.approx([(1 + math.cos(math.pi * k / 8)) / 2 for k in range(8)] * 3)
    assert factors(warmup=2)[:5] == [0.25, 0.5, 0.75, 1, 1]


def test_restarts_and_one_cycle_are_those_of_torch():
    parameter = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([parameter], lr=1.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimiser, T_0=2, T_mult=2)
    expected = []
    for epoch in range(14):
        schedule.step(epoch)
        expected.append(schedule.get_last_lr()[0])
    rates = factors(epochs=14, steps=1, schedule="restarts", cycle=1 / 7, cycle_growth=2)
    assert rates == pytest.approx(expected)
    assert FitConfig(epochs=14, batch_size=1, lr=1, cycle=1 / 7, cycle_growth=2).cycle_ends() == (2, 6, 14)
    assert FitConfig(epochs=120, batch_size=1, lr=1).cycle_ends() == (40, 80, 120)
    assert FitConfig(epochs=2, batch_size=1, lr=1).cycle_ends() == (1, 2)
    one_cycle = factors(epochs=100, steps=1, schedule="one_cycle")
    assert one_cycle[0] == pytest.approx(1 / 25)
    assert max(one_cycle) == one_cycle[30] == 1
    assert one_cycle[-1] < 1e-3


def test_the_best_network_is_kept_and_a_metric_without_value_is_not_the_best(tmp_path):
    values = iter([math.nan, 0.5, 0.25, math.nan])
    config = FitConfig(epochs=4, batch_size=20, lr=0.1, best="F1")
    result = fit(Classify(network()), Dots(), config, tmp_path, validate=lambda model: {"F1": next(values)})
    assert checkpoint.load(result.best)[1]["epoch"] == 2
    assert [json.loads(line)["F1"] for line in (tmp_path / "log.jsonl").read_text().splitlines()] == [
        None,
        0.5,
        0.25,
        None,
    ]


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(UsageError, match=r"schedule: expected one of constant, .* found 'step'"):
        FitConfig(epochs=1, batch_size=1, lr=1, schedule="step")
    with pytest.raises(UsageError, match="epochs: expected 1 or more, found 0"):
        FitConfig(epochs=0, batch_size=1, lr=1)
    with pytest.raises(TypeError, match="epohcs"):
        FitConfig(epohcs=1, batch_size=1, lr=1)


def test_batch_sizes_change_with_the_epoch(tmp_path):
    config = FitConfig(epochs=3, batch_size=20, lr=0.1, batch_sizes=((1, 10), (2, 4)))
    assert [config.batch_size_at(epoch) for epoch in range(3)] == [20, 10, 4]
    result = fit(Classify(network()), Dots(), config, tmp_path)
    assert [row["step"] for row in result.history] == [1, 1 + 2, 1 + 2 + 5]


def test_groups_may_have_settings_of_their_own():
    a, b = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    config = FitConfig(epochs=1, batch_size=1, lr=0.1, optimiser="adamw", weight_decay=0.01)
    (optimiser,) = make_optimisers(
        [{"params": [a]}, {"params": [b], "lr": 0.5, "weight_decay": 0.0}], config, {}
    ).values()
    assert [group["base_lr"] for group in optimiser.param_groups] == [0.1, 0.5]
    assert [group["weight_decay"] for group in optimiser.param_groups] == [0.01, 0.0]


def in_processes(folder: str, count: int) -> None:
    """Train in so many processes; in a new one, since an Accelerator stays with its process."""
    from accelerate import debug_launcher

    multiprocessing.set_start_method("fork", force=True)
    debug_launcher(one_of, (folder, count), num_processes=count) if count > 1 else one_of(folder, count)


def one_of(folder: str, count: int) -> None:
    from accelerate import Accelerator

    torch.set_num_threads(1)
    assert Accelerator().num_processes == count
    settings = {"epochs": 2, "ema": None, "keep_cycles": False, "best": ""}
    fit(Steady(network()[5:]), Dots(), FitConfig(**(vars(CONFIG) | settings)), folder)


class Steady(Classify):
    """Without batch statistics and dropout, which two processes see otherwise than one."""

    def losses(self, batch, progress):
        video = batch["video"].flatten(1)
        return super().losses(batch | {"video": F.pad(video, (0, 128 - video.shape[1]))}, progress)


def test_two_processes_learn_what_one_learns(processes, tmp_path):
    for name, count in (("one", 1), ("two", 2)):
        child = processes.Process(target=in_processes, args=(str(tmp_path / name), count))
        child.start()
        child.join(120)
        assert child.exitcode == 0
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert all(torch.allclose(one[name], two[name], atol=1e-6) for name in one)
    assert log(tmp_path / "one")[-1]["loss"] == pytest.approx(log(tmp_path / "two")[-1]["loss"], rel=1e-5)


def test_clips_from_files_are_learnt_and_scored(tmp_path):
    clips = []
    for i in range(9):
        video = np.full((10 + i, 16, 16, 3), 60, np.uint8)
        video[..., i % 3] = 220
        write_video(tmp_path / f"{i}.mp4", video)
        clips.append(Clip(str(i), f"{i}.mp4", f"video {i}", ("rgb"[i % 3],)))
    index = Index("colours", "train", tmp_path, ("r", "g", "b"), True, tuple(clips))
    test = ClipDataset(index, sampler="contiguous", frames=8, size=16, views="test")
    transform = BatchTransform(flip=0.5)

    def validate(model: nn.Module) -> dict[str, float]:
        scores = predict(model, test, aggregate="max", transform=transform)
        return {"F1": f1(scores.scores, scores.targets)}

    torch.manual_seed(0)
    objective = Classify(TinyR3D(num_classes=3, widths=(4, 8, 8, 8)))
    data = ClipDataset(index, sampler="contiguous", frames=8, size=16)
    config = FitConfig(epochs=12, batch_size=3, lr=0.01, best="F1")
    result = fit(objective, data, config, tmp_path / "run", validate=validate, transform=transform)
    assert max(row["F1"] for row in result.history) == 1
    state, description = checkpoint.load(result.best)
    checkpoint.restore(objective.model, state)
    assert validate(objective.model) == {"F1": 1}
    assert description["epoch"] <= 12
    other = ClipDataset(index, sampler="contiguous", frames=4, size=16)
    with pytest.raises(UsageError, match=r"data\.frames = 8, not 4"):
        fit(objective, other, config, tmp_path / "run")
