import json

import numpy as np
import pytest

from tinylib.errors import DataError, UsageError
from tinylib.evaluation.calibration import Calibration, expected_error, fit_calibration

CLASSES = ("a", "b", "c")


def miscalibrated(n=4000, slope=0.5, intercept=-1.0, seed=0):
    """Scores of a network that is too sure, and labels: p(label) = sigmoid(slope * logit(score) + intercept)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (n, 3))
    targets = rng.random(logits.shape) < 1 / (1 + np.exp(-(slope * logits + intercept)))
    return (1 / (1 + np.exp(-logits))).astype(np.float32), targets.astype(np.float32)


def test_platt_finds_the_law_that_made_the_labels():
    scores, targets = miscalibrated()
    calibration = fit_calibration(scores, targets, CLASSES, weights="w")
    assert calibration.kind == "platt"
    np.testing.assert_allclose(calibration.slopes, 0.5, atol=0.06)
    np.testing.assert_allclose(calibration.intercepts, -1.0, atol=0.15)
    fresh, truth = miscalibrated(seed=1)
    assert expected_error(calibration.apply(fresh), truth) < 0.02 < 0.1 < expected_error(fresh, truth)
    assert calibration.before > calibration.after


def test_a_class_without_clips_leans_on_the_others_and_order_is_kept():
    scores, targets = miscalibrated(n=300)
    targets[:, 2] = 0
    targets[0, 2] = 1
    calibration = fit_calibration(scores, targets, CLASSES)
    assert 0.1 < calibration.slopes[2] < 2
    assert calibration.intercepts[2] < calibration.intercepts[0]
    for column in range(3):
        order = np.argsort(scores[:, column], kind="stable")
        assert (np.diff(calibration.apply(scores)[order, column]) >= -1e-6).all()


def test_a_network_that_knows_nothing_ends_at_the_base_rate():
    rng = np.random.default_rng(0)
    scores, targets = rng.random((2000, 3)).astype(np.float32), (rng.random((2000, 3)) < 0.2).astype(np.float32)
    assert np.abs(fit_calibration(scores, targets, CLASSES).apply(scores) - 0.2).max() < 0.12


def test_one_label_has_a_temperature():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (5000, 3))
    true = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (true.cumsum(1) < rng.random((5000, 1))).sum(1)
    sure = np.exp(3 * logits) / np.exp(3 * logits).sum(1, keepdims=True)
    calibration = fit_calibration(sure.astype(np.float32), labels, CLASSES)
    assert calibration.kind == "temperature"
    assert calibration.slopes[0] == pytest.approx(1 / 3, abs=0.03)
    np.testing.assert_allclose(calibration.apply(sure).sum(1), 1, atol=1e-5)
    assert (calibration.apply(sure).argmax(1) == sure.argmax(1)).all()


def test_expected_error_by_hand():
    scores, targets = np.array([[0.25], [0.25], [0.95], [0.95]]), np.array([[0], [1], [1], [1]])
    assert expected_error(scores, targets) == pytest.approx((abs(0.5 - 1) + abs(1.9 - 2)) / 4)


def test_it_survives_its_file(tmp_path):
    scores, targets = miscalibrated(n=100)
    calibration = fit_calibration(scores, targets, CLASSES, weights="abc")
    calibration.save(tmp_path / "calibration.json")
    assert Calibration.load(tmp_path / "calibration.json") == calibration
    spoilt = json.loads((tmp_path / "calibration.json").read_text()) | {"kind": "magic"}
    (tmp_path / "b.json").write_text(json.dumps(spoilt))
    (tmp_path / "c.json").write_text("[1")
    for name, says in (("b", "expected kind platt or temperature"), ("c", "not a calibration"), ("d", "no such")):
        with pytest.raises(DataError, match=says):
            Calibration.load(tmp_path / f"{name}.json")


def test_what_cannot_be_fitted():
    scores, targets = miscalibrated(n=10)
    with pytest.raises(DataError, match="too few"):
        fit_calibration(scores, targets * 0, CLASSES)
    with pytest.raises(UsageError, match="and 2 classes"):
        fit_calibration(scores, targets, ("a", "b"))
    with pytest.raises(UsageError, match="3 classes, scores of shape"):
        fit_calibration(scores, targets, CLASSES).apply(scores[:, :2])
