"""What one step of super-resolution training means, on networks small enough to follow."""

import pytest
import torch
from torch import nn

from tinylib.errors import UsageError
from tinylib.models.dvsr import DVSR, ProgressiveDVSR
from tinylib.models.foreground import ForegroundAttention
from tinylib.progress import Progress
from tinylib.training.objectives.foreground import Foreground
from tinylib.training.objectives.super_resolve import (
    StageSchedule,
    SuperResolve,
    SuperResolveAndClassify,
    frozen,
    low_resolution,
    stage_schedule,
    stage_target,
)

START = Progress(epoch=0, step=0, steps_per_epoch=100, epochs=10, global_step=0)


def at(epoch, step=0):
    return Progress(epoch=epoch, step=step, steps_per_epoch=100, epochs=10, global_step=100 * epoch + step)


class Classifier(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.fc = nn.Linear(3, classes)

    def forward(self, video):
        return self.fc(video.mean((2, 3, 4)))


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return {"video": torch.rand(2, 3, 16, 16, 16), "label": torch.tensor([0, 2])}


def test_stages_take_their_shares_and_fade_by_iteration():
    schedule = StageSchedule(shares=(0.2, 0.2, 0.6))
    stages = [schedule.at(at(*when)) for when in ((0, 0), (1, 99), (2, 0), (2, 50), (3, 99), (4, 0), (5, 0), (9, 99))]
    assert [stage for stage, _ in stages] == [1, 1, 2, 2, 2, 3, 3, 3]
    assert [alpha for _, alpha in stages] == pytest.approx([1, 1, 0, 0.25, 0.995, 0, 0.5, 1])


def test_stages_fade_by_epoch_as_released():
    schedule = StageSchedule(shares=(0.2, 0.8), fade="epochs", fade_epochs=2)
    assert [schedule.at(at(*when)) for when in ((2, 0), (2, 50), (3, 0), (4, 0))] == [
        (2, 0.0),
        (2, 0.25),
        (2, 0.5),
        (2, 1.0),
    ]


def test_space_time_halves_share_their_stages_time():
    schedule = stage_schedule(ProgressiveDVSR(scale=8, channels=4, mode="space_time"))
    assert schedule.starts == pytest.approx((0, 0.1, 0.2, 0.3, 0.4, 0.7))
    assert stage_schedule(DVSR(scale=4, channels=4)) is None


def test_targets_are_every_nth_frame_at_the_stages_size(batch):
    network = ProgressiveDVSR(scale=8, channels=4)
    network.grow(1)
    target = stage_target(batch["video"], network)
    assert target.shape == (2, 3, 4, 4, 4)
    torch.testing.assert_close(target[:, :, 1], low_resolution(batch["video"], 4)[:, :, 4])
    network.grow(3)
    assert torch.equal(stage_target(batch["video"], network), batch["video"])


def test_a_scale_that_does_not_divide_is_named(batch):
    with pytest.raises(UsageError, match="scale 3 does not divide clips of 16x16"):
        low_resolution(batch["video"], 3)


def test_the_network_grows_with_the_run(batch):
    network = ProgressiveDVSR(scale=4, channels=4)
    objective = SuperResolve(network, schedule=stage_schedule(network))
    for progress, expected in ((START, (1, 1.0)), (at(2), (2, 0.0)), (at(2, 100), (2, 0.5)), (at(9), (2, 1.0))):
        loss = objective.losses(batch, progress)["loss"]
        assert (network.stage, network.alpha) == (expected[0], pytest.approx(expected[1]))
        assert torch.isfinite(loss)


def test_a_perfect_reconstruction_costs_nothing(batch):
    objective = SuperResolve(DVSR(scale=2, channels=4, growth=2, blocks=1, spectral=False))
    objective.model.signed = lambda small: batch["video"] * 2 - 1
    losses = objective.losses(batch, START)
    assert losses["loss"] == 0
    assert losses["psnr"] == pytest.approx(120)


def gradients(module):
    return [p.grad is not None and bool(p.grad.any()) for p in module.parameters()]


def test_joint_training_alternates_and_keeps_each_turn_to_its_own_network(batch):
    generator, classifier = DVSR(scale=4, channels=4, growth=2, blocks=1, spectral=False), Classifier()
    objective = SuperResolveAndClassify(generator, classifier)
    turns = objective.turns(batch, START)
    name, losses = next(turns)
    losses["loss"].backward()
    assert name == "classifier"
    assert all(gradients(classifier))
    assert not any(gradients(generator))
    objective.zero_grad(set_to_none=True)
    name, losses = next(turns)
    losses["loss"].backward()
    assert name == "generator"
    assert all(gradients(generator))
    assert not any(gradients(classifier))


@pytest.mark.parametrize("label", [torch.tensor([0, 2]), torch.tensor([[1.0, 0, 0], [0, 1, 1]])])
def test_foreground_turns(batch, label):
    batch["label"] = label
    generator, classifier = ProgressiveDVSR(scale=4, channels=4), Classifier()
    objective = Foreground(generator, ForegroundAttention(channels=4, scale=4), classifier)
    turns = objective.turns(batch, START)
    next(turns)[1]["loss"].backward()
    assert all(gradients(classifier))
    assert not any(gradients(generator))
    objective.zero_grad(set_to_none=True)
    name, losses = next(turns)
    parts = losses["reconstruction"] + 0.5 * losses["action"] + 5e-4 * losses["area"]
    torch.testing.assert_close(losses["loss"], parts)
    losses["loss"].backward()
    assert name == "generator"
    assert all(gradients(objective.attention))
    assert not any(gradients(classifier))


def test_the_action_term_reaches_the_attention_but_not_the_images(batch):
    objective = Foreground(
        ProgressiveDVSR(scale=4, channels=4),
        ForegroundAttention(channels=4, scale=4),
        Classifier(),
        reconstruction_weight=0,
        sparsity=0,
    )
    objective.losses(batch, START)["loss"].backward()
    assert all(gradients(objective.attention))
    assert not any(gradients(objective.generator.rgb_proj))
    assert not any(gradients(objective.generator.up_layers))


def test_the_reconstruction_term_gives_the_attention_no_gradient(batch):
    objective = Foreground(
        ProgressiveDVSR(scale=4, channels=4),
        ForegroundAttention(channels=4, scale=4),
        Classifier(),
        attention_weight=0,
        sparsity=0,
    )
    objective.losses(batch, START)["loss"].backward()
    assert not any(gradients(objective.attention))
    assert any(gradients(objective.generator.up_layers))


def test_every_parameter_has_one_turn():
    objective = Foreground(ProgressiveDVSR(scale=4, channels=4), ForegroundAttention(channels=4, scale=4), Classifier())
    groups = objective.parameter_groups()
    mine = [id(p) for group in groups for p in group["params"]]
    assert sorted(mine) == sorted(id(p) for p in objective.parameters())
    assert {group["turn"]: group.get("weight_decay", 0) for group in groups} == {"classifier": 0, "generator": 5e-5}


def test_a_frozen_classifier_still_answers_with_its_present_weights(batch):
    classifier = Classifier()
    video = batch["video"].requires_grad_()
    loss = frozen(classifier, video, batch["label"])
    torch.testing.assert_close(loss, nn.functional.cross_entropy(classifier(video), batch["label"]))
    loss.backward()
    assert video.grad.any()
    assert classifier.fc.weight.grad is None


def test_a_classifier_that_is_held_constant_keeps_its_running_statistics(batch):
    classifier = nn.Sequential(nn.BatchNorm3d(3), Classifier()).train()
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    video = batch["video"].clone().requires_grad_()
    frozen(classifier, video, batch["label"]).backward()
    assert video.grad.abs().sum() > 0
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())
