"""The winner's distillation, Eq. 1, against a case worked by hand."""

import math

import pytest
import torch
from torch import nn

from tinylib.errors import UsageError
from tinylib.progress import Progress
from tinylib.training.objectives.distill import Distillation

START = Progress(epoch=0, step=0, steps_per_epoch=1, epochs=1, global_step=0)


class Constant(nn.Module):
    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, video):
        return self.logits.expand(len(video), -1)


@pytest.fixture
def batch():
    return {
        "video": torch.zeros(1, 3, 2, 4, 4),
        "high": torch.zeros(1, 3, 2, 8, 8),
        "label": torch.tensor([[1.0, 0.0]]),
    }


def test_equation_one(batch):
    student, teacher = Constant([0.0, 0.0]), Constant([math.log(9), -math.log(3)])  # scores .5 .5; .9 .25
    losses = Distillation(student, teacher, alpha=0.7).losses(batch, START)
    assert losses["action"].item() == pytest.approx(math.log(2))
    assert losses["distance"].item() == pytest.approx((0.4**2 + 0.25**2) / 2)
    assert losses["loss"].item() == pytest.approx(0.7 * math.log(2) + 0.3 * (0.4**2 + 0.25**2) / 2)


def test_the_teacher_is_a_constant_in_eval_mode(batch):
    objective = Distillation(Constant([0.1, 0.2]), nn.Sequential(nn.Dropout(), Constant([1.0, 2.0]))).train()
    objective.losses(batch, START)["loss"].backward()
    assert not objective.teacher[0].training
    assert objective.teacher[1].logits.grad is None
    assert objective.model.logits.grad.abs().sum() > 0
    assert [id(p) for g in objective.parameter_groups() for p in g["params"]] == [id(objective.model.logits)]


def test_alpha_outside_its_range_is_named():
    with pytest.raises(UsageError, match=r"alpha is a share from 0 to 1, not 1.5"):
        Distillation(nn.Identity(), nn.Identity(), alpha=1.5)
