"""A batch in parts, and in processes: the same network, for every objective."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from tests.training.test_loop import Dots
from tinylib.errors import UsageError
from tinylib.models.dvsr import ProgressiveDVSR
from tinylib.models.foreground import ForegroundAttention
from tinylib.models.segments import SegmentNetwork
from tinylib.training import (
    AttentionTransfer,
    Classify,
    CrossResolution,
    Distillation,
    FitConfig,
    Foreground,
    SuperResolve,
    fit,
)
from tinylib.training.objectives.super_resolve import SuperResolveAndClassify
from tinylib.training.processes import parts

ALTERNATING = ("Foreground", "SuperResolveAndClassify")


class Pairs(Dots):
    """Dots at 8 px beside 16 px, 16 frames, one label."""

    def __getitem__(self, i):
        item = super().__getitem__(i)
        generator = torch.Generator().manual_seed(i)
        high = torch.rand(3, 16, 16, 16, generator=generator)
        return item | {"high": high, "video": F.avg_pool3d(high, (1, 2, 2)), "label": torch.tensor(i % 3)}

    def batch(self, positions):
        batch = super().batch(positions)
        return batch | {"high": torch.stack([self[int(i)]["high"] for i in positions])}


class Large(Pairs):
    """The high resolution alone, which reductions are made of."""

    def batch(self, positions):
        batch = super().batch(positions)
        return {name: value for name, value in batch.items() if name != "high"} | {"video": batch["high"]}


def classifier() -> nn.Module:
    """Without batch statistics, which parts and processes see otherwise than the whole."""
    return nn.Sequential(
        nn.Conv3d(3, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 3)
    )


def still(module: nn.Module) -> nn.Module:
    """A network whose power iterations and batch statistics stand still."""
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) or hasattr(part, "weight_u"):
            part.train = lambda mode=True, part=part: part  # type: ignore[method-assign]
            part.training = False
    return module


def segments(**options) -> SegmentNetwork:
    return SegmentNetwork(num_classes=3, backbone="resnet10_narrow", segments=4, length=4, **options)


def objective(name: str) -> tuple[nn.Module, Dots]:
    torch.manual_seed(0)
    match name:
        case "Classify":
            return Classify(classifier(), loss="cross_entropy"), Pairs()
        case "CrossResolution":
            return CrossResolution(classifier(), classifier(), loss=F.cross_entropy), Pairs()
        case "Distillation":
            return Distillation(classifier(), classifier(), loss=F.cross_entropy), Pairs()
        case "AttentionTransfer":
            return still(AttentionTransfer(segments(size=(16, 16)), segments())), Pairs()
        case "SuperResolve":
            return still(SuperResolve(ProgressiveDVSR(scale=2, channels=4))), Pairs()
        case "SuperResolveAndClassify":
            return still(SuperResolveAndClassify(ProgressiveDVSR(scale=2, channels=4), classifier())), Large()
        case "Foreground":
            generator = ProgressiveDVSR(scale=2, channels=4)
            return still(Foreground(generator, ForegroundAttention(channels=4, scale=2), classifier())), Pairs()
    raise ValueError(name)


OBJECTIVES = ("Classify", "CrossResolution", "Distillation", "AttentionTransfer", "SuperResolve", *ALTERNATING)


def learn(name: str, folder: Path, *, micro: int = 0) -> dict[str, torch.Tensor]:
    """Two epochs of plain gradient descent: what is left is the sum of the gradients."""
    torch.set_num_threads(1)
    task, clips = objective(name)
    clips.clips = 6
    config = FitConfig(epochs=2, batch_size=6, lr=0.01, optimiser="sgd", momentum=0.0, micro=micro)
    return load_file(fit(task, clips, config, folder).last)


def test_a_batch_is_split_as_evenly_as_can_be():
    batch = {"clip_id": list("abcdefg"), "video": torch.arange(7)}
    assert [part["clip_id"] for part in parts(batch, 3)] == [["a", "b"], ["c", "d", "e"], ["f", "g"]]
    assert [part["video"].tolist() for part in parts(batch, 4)] == [[0, 1, 2, 3], [4, 5, 6]]
    assert parts(batch, 0) == parts(batch, 7) == [batch]


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name not in ALTERNATING])
def test_parts_give_the_gradients_of_the_whole(name, tmp_path):
    whole, split = learn(name, tmp_path / "whole"), learn(name, tmp_path / "split", micro=4)
    start = {key: value for key, value in objective(name)[0].model.state_dict().items() if key in whole}
    assert any(not torch.equal(whole[key], value) for key, value in start.items())
    for key, value in whole.items():
        torch.testing.assert_close(split[key], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ALTERNATING)
def test_what_alternates_takes_whole_batches(name, tmp_path):
    with pytest.raises(UsageError, match=f"micro: {name} alternates optimisers and takes a batch as a whole"):
        learn(name, tmp_path, micro=2)


def in_two(folder: str) -> None:
    from accelerate import debug_launcher

    multiprocessing.set_start_method("fork", force=True)
    debug_launcher(every_objective, (folder, 2), num_processes=2)


def every_objective(folder: str, processes: int) -> None:
    from accelerate import Accelerator

    assert Accelerator().num_processes == processes
    for name in OBJECTIVES:
        learn(name, Path(folder) / name)


def test_two_processes_learn_what_one_learns_in_every_objective(tmp_path):
    child = multiprocessing.get_context("spawn").Process(target=in_two, args=(str(tmp_path / "two"),))
    child.start()
    every_objective(str(tmp_path / "one"), 1)
    child.join(240)
    assert child.exitcode == 0
    for name in OBJECTIVES:
        one, two = (load_file(tmp_path / count / name / "model.safetensors") for count in ("one", "two"))
        for key, value in one.items():
            torch.testing.assert_close(two[key], value, rtol=1e-4, atol=1e-6, msg=f"{name}, {key}")


def test_fp16_by_environment_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    with pytest.raises(UsageError, match="ACCELERATE_MIXED_PRECISION=fp16: would change this training"):
        learn("Classify", tmp_path)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses_are_float32_under_bf16(name):
    from tinylib.progress import Progress

    task, clips = objective(name)
    with torch.autocast("cpu", torch.bfloat16):
        losses = task.losses(clips.batch(range(4)), Progress(0, 0, 1, 1, 0))
    assert {key: value.dtype for key, value in losses.items() if value.dtype != torch.float32} == {}
