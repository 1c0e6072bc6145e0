"""STAT's objective: what it adds up, what stays frozen, and how its weights roll."""

import pytest
import torch
from torch import nn

from tinylib.errors import UsageError
from tinylib.models.segments import SegmentNetwork
from tinylib.progress import Progress
from tinylib.training.objectives.attention_transfer import AttentionTransfer


def network(**options):
    return SegmentNetwork(num_classes=3, backbone="resnet10", segments=4, length=1, **options)


def at(epoch):
    return Progress(epoch=epoch, step=0, steps_per_epoch=1, epochs=50, global_step=epoch)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    high = torch.rand(2, 3, 4, 48, 64)
    low = nn.functional.avg_pool3d(high, (1, 4, 4))
    return {"high": high, "video": low, "label": torch.tensor([0, 2])}


def objective(student=None, **options):
    torch.manual_seed(1)
    return AttentionTransfer(student or network(size=(48, 64)), network(), **options)


def test_the_loss_is_the_weighted_sum_of_its_parts(batch):
    losses = objective(weights=(0.5, 0.2, 0.3)).losses(batch, at(0))
    total = 0.5 * losses["action"] + 0.2 * losses["spatial"] + 0.3 * losses["temporal"]
    torch.testing.assert_close(losses["loss"], total)


def test_a_student_equal_to_its_teacher_and_seeing_the_same_has_nothing_to_learn(batch):
    teacher = network().eval()
    student = network().eval()
    student.load_state_dict(teacher.state_dict())
    batch["video"] = batch["high"]
    losses = AttentionTransfer(student, teacher).eval().losses(batch, at(0))
    assert losses["spatial"].item() == pytest.approx(0, abs=1e-10)
    assert losses["temporal"].item() == pytest.approx(0, abs=1e-10)


def test_only_the_student_learns(batch):
    step = objective().train()
    step.losses(batch, at(0))["loss"].backward()
    assert all(p.grad is None for p in step.teacher.parameters())
    assert [n for n, p in step.model.named_parameters() if p.grad is None] == []
    mine = {id(p) for group in step.parameter_groups() for p in group["params"]}
    assert mine == {id(p) for p in step.model.parameters()}


def test_norms_but_the_first_are_frozen_in_training():
    step = objective().train()
    norms = [m for m in step.model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert [norm.training for norm in norms] == [True] + [False] * (len(norms) - 1)
    assert not any(m.training for m in step.teacher.modules())
    assert all(m.training for m in objective(freeze_norms=False).train().model.modules())


def test_rolling_weights_follow_the_schedule_epoch_by_epoch():
    step = objective(block_weights=None, layer_weights=None)
    blocks = [[0.4, 0.3, 0.2, 0.1], [0.3, 0.4, 0.2, 0.1], [0.2, 0.3, 0.4, 0.1], [0.1, 0.2, 0.3, 0.4]]
    for epoch in range(80):
        found_blocks, found_layers = step.layer_weights_at(epoch)
        assert found_blocks == blocks[epoch // 10 % 4]
        assert found_layers == pytest.approx([2 / 3, 1 / 3] if epoch // 10 % 2 == 0 else [1 / 3, 2 / 3])


def test_block_weights_choose_the_blocks(batch):
    one = [objective(block_weights=tuple(float(i == k) for i in range(4))).losses(batch, at(0)) for k in range(4)]
    even = objective().losses(batch, at(0))
    torch.testing.assert_close(even["spatial"], sum(each["spatial"] for each in one) / 4)


def test_native_size_students_are_compared_with_area_averaged_maps(batch):
    losses = objective(network(stem="low")).losses(batch, at(0))
    assert torch.isfinite(losses["spatial"])
    assert losses["spatial"] > 0


def test_without_supervision_labels_are_not_needed(batch):
    del batch["label"]
    losses = objective(supervised=False).losses(batch, at(0))
    assert set(losses) == {"loss", "spatial", "temporal"}


def test_an_unsure_teacher_weighs_nothing(batch):
    step = objective(confidence="entropy")
    step.teacher.fc.weight.zero_()
    step.teacher.fc.bias.zero_()  # every class equally likely
    assert step.losses(batch, at(0))["spatial"].item() == pytest.approx(0, abs=1e-6)
    step.teacher.fc.bias[0] = 100  # sure of class 0
    plain = objective().losses(batch, at(0))["spatial"]
    torch.testing.assert_close(step.losses(batch, at(0))["spatial"], plain)
    sure_of_half = objective(confidence="label")  # true of the first clip only
    sure_of_half.teacher.fc.weight.zero_()
    sure_of_half.teacher.fc.bias.copy_(torch.tensor([100.0, 0, 0]))
    assert 0 < sure_of_half.losses(batch, at(0))["spatial"] < plain


def test_each_frame_s_map_is_compared_by_itself():
    teacher = torch.rand(2, 5, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    louder = teacher * torch.tensor([3.0, 1, 1, 1])[:, None, None]  # the same maps, one frame three times as active
    assert objective()._spatial(louder, teacher).tolist() == pytest.approx([0, 0], abs=1e-6)
    assert objective(joint=True)._spatial(louder, teacher).min() > 0.1
    other = teacher.clone()
    other[:, :, 0] = other[:, :, 0].flip(-1)  # a quarter of the frames differ
    alone = objective()._spatial(other[:, :, :1], teacher[:, :, :1])
    torch.testing.assert_close(objective()._spatial(other, teacher), alone / 4)


@pytest.mark.parametrize("options", [{"confidence": "maybe"}, {"confidence": "label", "supervised": False}])
def test_impossible_options_are_named(options):
    with pytest.raises(UsageError, match="confidence"):
        objective(**options)
