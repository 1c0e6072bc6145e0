"""The classification objective: its losses by hand, and gradients into every weight."""

import math

import pytest
import torch
from torch import nn

from tinylib.errors import UsageError
from tinylib.progress import Progress
from tinylib.training.objectives.classify import Classify

HERE = Progress(epoch=0, step=0, steps_per_epoch=1, epochs=1, global_step=0)


class Pool(nn.Module):
    """Mean colour, then a linear layer."""

    def __init__(self, classes: int):
        super().__init__()
        self.fc = nn.Linear(3, classes)

    def forward(self, video):
        return self.fc(video.mean((2, 3, 4)))


def test_losses_of_an_undecided_network():
    model = Pool(4)
    nn.init.zeros_(model.fc.weight)
    nn.init.zeros_(model.fc.bias)
    video = torch.rand(2, 3, 2, 4, 4)
    several = {"video": video, "label": torch.tensor([[1.0, 0, 0, 1], [0, 0, 0, 0]])}
    assert Classify(model).losses(several, HERE)["loss"].item() == pytest.approx(math.log(2))
    one = {"video": video, "label": torch.tensor([3, 0])}
    assert Classify(model, loss="cross_entropy").losses(one, HERE)["loss"].item() == pytest.approx(math.log(4))


def test_bce_is_the_whole_of_it():
    model = Pool(1)
    nn.init.zeros_(model.fc.weight)
    nn.init.constant_(model.fc.bias, 2.0)
    batch = {"video": torch.rand(1, 3, 1, 2, 2), "label": torch.zeros(1, 1)}
    # the printed Eq. 4 would be 0 here; a false alarm must cost
    assert Classify(model).losses(batch, HERE)["loss"].item() == pytest.approx(math.log(1 + math.exp(2)), rel=1e-6)


def test_gradients_reach_every_weight_but_the_frozen():
    objective = Classify(nn.Sequential(nn.Conv3d(3, 3, 1), Pool(5)))
    objective.model[0].bias.requires_grad_(False)
    batch = {"video": torch.rand(2, 3, 2, 4, 4), "label": torch.ones(2, 5)}
    objective.losses(batch, HERE)["loss"].backward()
    (group,) = objective.parameter_groups()
    assert len(group["params"]) == 3
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in group["params"])


def test_a_function_may_be_the_loss_and_a_wrong_name_is_refused():
    objective = Classify(Pool(2), loss=lambda logits, labels: (logits - labels).square().sum())
    batch = {"video": torch.rand(1, 3, 1, 2, 2), "label": torch.ones(1, 2)}
    expected = (objective.model(batch["video"]) - 1).square().sum()
    assert torch.equal(objective.losses(batch, HERE)["loss"], expected)
    with pytest.raises(UsageError, match="focal"):
        Classify(Pool(2), loss="focal")
