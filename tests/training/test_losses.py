"""Losses against hand-computed cases and, where they are at hand, the official implementations' recorded values."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from tinylib.training import losses


def test_reconstruction_weighs_errors_by_attention_and_gives_it_no_gradient():
    prediction = torch.tensor([[[[[1.0, 3.0]]]]], requires_grad=True)
    attention = torch.tensor([[[[[0.5, 0.0]]]]], requires_grad=True)
    target = torch.zeros(1, 1, 1, 1, 2)
    assert losses.reconstruction(prediction, target).item() == 2.0
    weighted = losses.reconstruction(prediction, target, attention)
    assert weighted.item() == 0.25
    weighted.backward()
    assert attention.grad is None
    assert prediction.grad.flatten().tolist() == [0.25, 0.0]


def test_sparsity_is_the_mean():
    assert losses.sparsity(torch.tensor([[0.0, 1.0], [0.5, 0.5]])).item() == 0.5


def test_activation_map_sums_magnitudes_over_channels():
    features = torch.tensor([[[[1.0, -2.0]], [[3.0, 0.5]]]])  # (1, 2, 1, 2)
    assert losses.activation_map(features).tolist() == [[[4.0, 2.5]]]
    assert losses.activation_map(features, power=2).tolist() == [[[10.0, 4.25]]]
    assert losses.activation_map(torch.zeros(2, 3, 4, 5, 6)).shape == (2, 4, 5, 6)


def test_attention_transfer_of_orthogonal_maps():
    student, teacher = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 5.0]])
    assert losses.attention_transfer(student, teacher).item() == pytest.approx(2.0)
    assert losses.attention_transfer(student, teacher, reduce="norm").item() == pytest.approx(math.sqrt(2))
    assert losses.attention_transfer(student, teacher, reduce="mean").item() == pytest.approx(1.0)
    assert losses.attention_transfer(student, student * 7).item() == pytest.approx(0.0, abs=1e-12)


def test_attention_transfer_gives_the_teacher_no_gradient():
    student = torch.rand(2, 3, requires_grad=True)
    teacher = torch.rand(2, 3, requires_grad=True)
    losses.attention_transfer(student, teacher).sum().backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


def test_attention_transfer_refuses_maps_of_different_size():
    with pytest.raises(ValueError, match=r"\(1, 4\).*\(1, 9\)"):
        losses.attention_transfer(torch.rand(1, 4), torch.rand(1, 9))


def test_rolling_weights_follow_the_printed_schedule():
    rows = [losses.rolling_weights(losses.SAT_ROLL, epoch) for epoch in (0, 9, 10, 20, 39, 40)]
    assert rows == [[0.4, 0.3, 0.2, 0.1]] * 2 + [
        [0.3, 0.4, 0.2, 0.1],
        [0.2, 0.3, 0.4, 0.1],
        [0.1, 0.2, 0.3, 0.4],
        [0.4, 0.3, 0.2, 0.1],
    ]
    assert losses.rolling_weights(losses.SAT_ROLL, 99, hold=True) == [0.1, 0.2, 0.3, 0.4]
    assert losses.rolling_weights(losses.TAT_ROLL, 15) == pytest.approx([1 / 3, 2 / 3])
    assert losses.rolling_weights(losses.TAT_ROLL, 20) == pytest.approx([2 / 3, 1 / 3])


@given(st.integers(0, 500), st.integers(1, 30), st.booleans())
def test_rolling_weights_sum_to_one(epoch, period, hold):
    for table in (losses.SAT_ROLL, losses.TAT_ROLL):
        assert sum(losses.rolling_weights(table, epoch, period=period, hold=hold)) == pytest.approx(1)


def test_score_distillation_compares_sigmoid_scores():
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, math.log(3)]])  # scores .5 .5 and .5 .75
    assert losses.score_distillation(student, teacher).item() == pytest.approx(0.03125)


def test_asymmetric_without_focus_or_shift_is_binary_cross_entropy():
    logits, targets = torch.randn(4, 6), (torch.rand(4, 6) < 0.3).float()
    ours = losses.asymmetric(logits, targets, gamma_negative=0, gamma_positive=0, clip=0)
    torch.testing.assert_close(ours, F.binary_cross_entropy_with_logits(logits, targets, reduction="sum"))


def test_asymmetric_ignores_easy_negatives():
    logits = torch.tensor([[math.log(0.04 / 0.96)]], requires_grad=True)  # p = 0.04 < clip
    loss = losses.asymmetric(logits, torch.zeros(1, 1))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.item() == 0


def test_asymmetric_leaves_the_grad_mode_alone():
    with torch.no_grad():
        losses.asymmetric(torch.zeros(1, 2), torch.zeros(1, 2))
        assert not torch.is_grad_enabled()


def test_fades():
    assert [losses.fade_by_iteration(i) for i in (0, 100, 200, 500)] == [0.0, 0.5, 1.0, 1.0]
    assert [losses.fade_by_epoch(time) for time in (0, 0.5, 1, 2, 7)] == [0.0, 0.25, 0.5, 1.0, 1.0]


def test_asymmetric_matches_the_official_values_and_gradients(parity):
    record = json.loads((parity / "losses.json").read_text())["asl"]
    arrays = np.load(parity / "losses.npz")
    targets = torch.from_numpy(arrays["targets"])
    compared = 0
    for case in record["cases"]:
        if case.get("error") or case["grad_has_nan"] or not case.get("loss"):
            continue
        logits = torch.from_numpy(arrays["logits"]).requires_grad_()
        loss = losses.asymmetric(
            logits,
            targets,
            gamma_negative=case["gamma_neg"],
            gamma_positive=case["gamma_pos"],
            clip=case["clip"] or 0,
            eps=case["eps"],
            detach_focus=case["disable_torch_grad_focal_loss"],
        )
        loss.backward()
        assert loss.item() == pytest.approx(case["loss"], rel=2e-6), case
        np.testing.assert_allclose(logits.grad.numpy(), arrays[case["grad_key"]], rtol=2e-4, atol=2e-6)
        compared += 1
    assert compared >= 30


def test_attention_transfer_matches_the_reference_where_definitions_coincide(parity):
    record = json.loads((parity / "losses.json").read_text())["attention_transfer"]
    arrays = {k: torch.from_numpy(v) for k, v in np.load(parity / "losses.npz").items() if k.startswith("at_")}
    for name, student, teacher in (("2d", "at_s2d", "at_t2d"), ("3d_flat_THW", "at_s3d", "at_t3d")):
        features = arrays[student].requires_grad_()
        # the reference takes the mean over channels of squares: the same direction as the sum
        maps = [losses.activation_map(x, power=2) for x in (features, arrays[teacher])]
        loss = losses.attention_transfer(*maps, reduce="mean").mean()
        loss.backward()
        assert loss.item() == pytest.approx(record[name]["loss"], rel=1e-5)
        assert features.grad.norm().item() == pytest.approx(record[name]["grad_l2"], rel=1e-4)


def test_generator_losses_match_the_released_code(parity):
    """The foreground phase (222l), joint training (209sa, 146sa) and reconstruction (155p) of Tiny-VIRAT."""
    record = json.loads((parity / "tinyvirat_losses.json").read_text())
    arrays = {k: torch.from_numpy(v) for k, v in np.load(parity / "tinyvirat_losses.npz").items()}
    cases = {case["name"]: case for case in record["cases"]}
    matrix = arrays["W"]

    def classify(video):
        return video.mean((2, 3, 4)) @ matrix.T

    video = arrays["rec"].clone().requires_grad_()
    attention = arrays["loc"].clone().requires_grad_()
    total = (
        losses.reconstruction(video, arrays["tgt"], attention)
        + 0.5 * F.cross_entropy(classify(video.detach() * attention), arrays["labels"])
        + 5e-4 * losses.sparsity(attention)
    )
    total.backward()
    assert total.item() == pytest.approx(cases["222l"]["total"], rel=1e-6)
    assert video.grad.norm().item() == pytest.approx(cases["222l"]["grad_rec_l2"], rel=1e-5)
    assert attention.grad.norm().item() == pytest.approx(cases["222l"]["grad_loc_l2"], rel=1e-5)

    l1 = losses.reconstruction(arrays["rec"], arrays["tgt"])
    assert l1.item() == pytest.approx(cases["155p"]["total"], rel=1e-6)
    joint = 100 * l1 + 0.5 * F.cross_entropy(classify(arrays["rec"]), arrays["labels"])
    assert joint.item() == pytest.approx(cases["209sa"]["total"], rel=1e-6)
    many = 100 * l1 + F.binary_cross_entropy_with_logits(classify(arrays["rec"]), arrays["multilabels"].float())
    assert many.item() == pytest.approx(cases["146sa_multilabel"]["total"], rel=1e-6)


def test_fade_matches_the_released_schedule(parity):
    for row in json.loads((parity / "tinyvirat_losses.json").read_text())["fadein"]:
        time = row["epoch"] - row["range"][0] + row["i"] / row["niter"]
        old = 1 - losses.fade_by_epoch(time, epochs=row["nfade"])
        assert old == pytest.approx(row["w"])
