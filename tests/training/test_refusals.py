"""What cannot be meant is refused in one line: loss and labels that do not fit, variables that change a training."""

import pytest
import torch
from torch import nn

from tests.training.test_loop import Dots, network
from tinylib.errors import UsageError
from tinylib.evaluation.ensemble import best_threshold, fit_thresholds
from tinylib.training import environment
from tinylib.training.loop import FitConfig, fit
from tinylib.training.objectives.classify import Classify


class Single(Dots):
    def __getitem__(self, i):
        return super().__getitem__(i) | {"label": torch.tensor(i % 3)}


def train(folder, *, data=None, loss="bce", classes=3):
    layers = [*network()][:-1]
    model = nn.Sequential(*layers, nn.Linear(4 * 2 * 4 * 4, classes))
    return fit(Classify(model, loss=loss), data or Dots(), FitConfig(epochs=1, batch_size=10, lr=0.1), folder)


def test_single_labels_and_a_loss_for_several_are_told_apart(tmp_path):
    with pytest.raises(UsageError, match=r"'bce' is of clips with several labels.* use 'cross_entropy'"):
        train(tmp_path / "a", data=Single())
    assert train(tmp_path / "b", data=Single(), loss="cross_entropy").last.exists()


def test_another_number_of_classes_is_named(tmp_path):
    with pytest.raises(UsageError, match="the network has 5 classes and the labels have 3"):
        train(tmp_path / "a", classes=5)
    with pytest.raises(UsageError, match="the network has 2 classes, and a clip is of class number 2"):
        train(tmp_path / "b", data=Single(), loss="cross_entropy", classes=2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4"),
        ("ACCELERATE_MIXED_PRECISION", "fp16"),
        ("ACCELERATE_MIXED_PRECISION", "fp8"),
        ("ACCELERATE_DYNAMO_BACKEND", "INDUCTOR"),
        ("ACCELERATE_USE_FSDP", "true"),
    ],
)
def test_a_variable_that_would_change_a_training_is_refused_by_name(tmp_path, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=f"{name}={value}: would change this training"):
        train(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_variables_that_change_nothing_are_let_through():
    environment.check({name: harmless[-1].upper() for name, harmless in environment.HARMLESS.items()})


def test_a_class_whose_scores_are_all_zero_has_some_threshold():
    assert best_threshold(torch.zeros(4).numpy(), torch.tensor([1, 0, 1, 0]).bool().numpy()) == 0.5
    scores = torch.tensor([[0.0, 0.9], [0.0, 0.1]]).numpy()
    assert fit_thresholds(scores, torch.eye(2).numpy(), monotone=False).tolist() == [0.5, pytest.approx(0.05)]
