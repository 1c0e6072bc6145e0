import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tinylib.errors import UsageError
from tinylib.progress import Progress
from tinylib.training import losses
from tinylib.training.objectives.cross_resolution import CrossResolution, coarser, confidence, distances

AT = Progress(0, 0, 1, 1, 0)


class Mean(nn.Module):
    """Logits that are a linear function of the clip's mean colour."""

    def __init__(self, classes=3):
        super().__init__()
        self.fc = nn.Linear(3, classes)

    def forward(self, video):
        return self.fc(video.mean((2, 3, 4)))


def batch(multi=True):
    torch.manual_seed(0)
    label = torch.tensor([[1.0, 0, 1], [0, 0, 0]]) if multi else torch.tensor([2, 0])
    return {
        "video": torch.rand(2, 3, 4, 8, 8),
        "high": torch.rand(2, 3, 4, 16, 16),
        "label": label,
        "clip_id": ["a", "b"],
    }


def test_without_a_teacher_it_is_the_loss_alone():
    student, given = Mean(), batch()
    losses = CrossResolution(student, loss=F.binary_cross_entropy_with_logits).losses(given, AT)
    wanted = F.binary_cross_entropy_with_logits(student(given["video"]), given["label"])
    torch.testing.assert_close(losses["loss"], wanted)


@pytest.mark.parametrize("multi", [True, False])
def test_labels_and_teacher_are_weighed_and_the_teacher_learns_nothing(multi):
    student, teacher, given = Mean(), Mean(), batch(multi)
    loss = F.binary_cross_entropy_with_logits if multi else F.cross_entropy
    objective = CrossResolution(student, teacher, loss=loss, alpha=0.25).train()
    losses = objective.losses(given, AT)
    taught, logits = teacher(given["high"]), student(given["video"])
    distance = (confidence(taught, given["label"]) * distances(logits, taught, given["label"])).mean()
    torch.testing.assert_close(losses["loss"], 0.25 * loss(logits, given["label"]) + 0.75 * distance)
    losses["loss"].backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert all(p.grad is not None for p in student.parameters())
    assert not teacher.training


@pytest.mark.parametrize("multi", [True, False])
def test_distance_is_zero_at_the_teacher_and_positive_elsewhere(multi):
    teacher = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]])
    label = batch(multi)["label"]
    torch.testing.assert_close(distances(teacher, teacher, label), torch.zeros(2), atol=1e-6, rtol=0)
    assert (distances(teacher + torch.tensor([1.0, 0, 0]), teacher, label) > 1e-3).all()


def test_confidence_is_the_probability_of_the_true_labels():
    logits = torch.tensor([[0.0, 0.0, 100.0], [5.0, 5.0, 5.0]])
    multi = confidence(logits, torch.tensor([[1.0, 0, 1], [0, 0, 0]]))
    torch.testing.assert_close(multi, torch.tensor([0.75, 1.0]))  # a clip without labels counts in full
    torch.testing.assert_close(confidence(logits, torch.tensor([2, 0])), torch.tensor([1.0, 1 / 3]))


def test_coarser_video_keeps_size_and_mean_and_loses_detail():
    video = torch.rand(1, 3, 2, 8, 8)
    assert coarser(video, 1.0) is video
    half = coarser(video, 0.5)
    assert half.shape == video.shape
    torch.testing.assert_close(half.mean(), video.mean(), atol=0.03, rtol=0)
    assert half.var() < 0.6 * video.var()


def test_prior_shifts_the_logits_by_the_classes_log_odds():
    prior = torch.tensor([0.5, 0.1])
    logits, label = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
    wanted = -(torch.tensor(0.5).log() + torch.tensor(0.9).log()) / 2
    torch.testing.assert_close(losses.prior_adjusted(logits, label, prior), wanted)
    single = losses.prior_adjusted(logits, torch.tensor([1]), torch.tensor([0.75, 0.25]))
    torch.testing.assert_close(single, -torch.tensor(0.25).log())


@pytest.mark.parametrize("wrong", [{"alpha": 1.5}, {"factors": ()}, {"factors": (2.0,)}])
def test_shares_outside_0_to_1_are_refused(wrong):
    with pytest.raises(UsageError, match="shares"):
        CrossResolution(Mean(), loss=F.cross_entropy, **wrong)
