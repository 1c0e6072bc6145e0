"""Decisions against worked examples; submissions that pass and mutated ones that are refused by line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tinylib.annotations.labels import CLASSES as TINY
from tinylib.errors import AnnotationError, DataError, UsageError
from tinylib.evaluation import ensemble
from tinylib.evaluation.metrics import f1
from tinylib.evaluation.scores import Scores

CLASSES = ("left", "right", "walking")
GROUPS = {"turning": ("left", "right")}


def test_average_of_members_and_weights():
    members = [[[0.2, 0.8]], [[0.6, 0.4]]]
    np.testing.assert_allclose(ensemble.average(members), [[0.4, 0.6]])
    np.testing.assert_allclose(ensemble.average(members, weights=[3, 1]), [[0.3, 0.7]])


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([[[0.1]], [[0.1], [0.2]]], r"member 1 has scores \(2, 1\), member 0 \(1, 1\)"),
        ([[[0.1]], [[1.7]]], r"member 1 has scores outside \[0, 1\]"),
    ],
)
def test_members_that_do_not_fit_are_named(members, message):
    with pytest.raises(DataError, match=message):
        ensemble.average(members)


def test_no_members():
    with pytest.raises(UsageError, match="at least one member"):
        ensemble.average([])


def test_best_threshold_separates_the_best_cut():
    scores, truth = np.array([0.9, 0.8, 0.3, 0.2]), np.array([True, True, False, False])
    assert ensemble.best_threshold(scores, truth) == pytest.approx(0.55)
    assert ensemble.best_threshold(scores, ~truth) == pytest.approx(0.1)  # all of them: F1 2/3
    assert ensemble.best_threshold(scores, np.zeros(4, bool)) == 0.5


@given(
    arrays(np.float64, 12, elements=st.integers(1, 20).map(lambda x: x / 20)),
    arrays(np.bool_, 12).filter(lambda truth: truth.any()),
)
def test_best_threshold_is_the_best_there_is(scores, truth):
    def quality(threshold):
        chosen = scores > threshold
        return 2 * (chosen & truth).sum() / max(1, chosen.sum() + truth.sum())

    best = max(quality(threshold) for threshold in np.linspace(0.025, 0.975, 20))
    assert quality(ensemble.best_threshold(scores, truth)) == pytest.approx(best)


def test_thresholds_rise_with_class_size():
    rng = np.random.default_rng(0)
    truth = rng.random((200, 3)) < [0.02, 0.2, 0.6]
    scores = (truth * 0.5 + rng.random((200, 3)) * 0.5) * [0.4, 0.7, 1.0]  # rare classes score low
    free = ensemble.fit_thresholds(scores, truth, monotone=False)
    tied = ensemble.fit_thresholds(scores, truth, counts=[10, 100, 1000])
    assert (np.diff(tied) >= 0).all()
    assert f1(scores, truth, threshold=free) >= f1(scores, truth, threshold=tied) - 1e-12
    assert f1(scores, truth, threshold=tied) > f1(scores, truth)


def test_a_class_unseen_in_validation_takes_its_sizes_threshold():
    truth = np.array([[1, 0, 0], [1, 0, 1], [0, 0, 1], [0, 0, 0]])
    scores = np.array([[0.4, 0.1, 0.9], [0.4, 0.1, 0.9], [0.2, 0.1, 0.9], [0.2, 0.1, 0.5]])
    thresholds = ensemble.fit_thresholds(scores, truth, counts=[10, 99, 1000])
    np.testing.assert_allclose(thresholds[[0, 2]], [0.3, 0.7])
    assert thresholds[0] < thresholds[1] < thresholds[2]


def test_a_group_keeps_its_highest_class():
    scores = np.array([[0.9, 0.7, 0.8], [0.6, 0.9, 0.1], [0.9, 0.2, 0.9], [0.1, 0.2, 0.9]])
    decisions = ensemble.one_of_each_group(ensemble.decide(scores), scores, CLASSES, GROUPS)
    assert decisions.astype(int).tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1], [0, 0, 1]]


def test_a_class_below_its_threshold_cannot_win_its_group():
    scores = np.array([[0.8, 0.7, 0.0]])
    decisions = ensemble.decide(scores, [0.9, 0.1, 0.5])  # only 'right' was chosen
    assert ensemble.one_of_each_group(decisions, scores, CLASSES, GROUPS).tolist() == [[False, True, False]]


def test_a_group_of_unknown_classes_is_named():
    with pytest.raises(UsageError, match="group phones: no class 'texting'"):
        ensemble.one_of_each_group(np.zeros((1, 3), bool), np.zeros((1, 3)), CLASSES, {"phones": ("texting",)})


def test_never_empty():
    scores = np.array([[0.1, 0.3, 0.2], [0.9, 0.1, 0.8]])
    filled = ensemble.never_empty(ensemble.decide(scores), scores)
    assert filled.astype(int).tolist() == [[0, 1, 0], [1, 0, 1]]


@pytest.fixture
def answer(tmp_path):
    rng = np.random.default_rng(1)
    decisions = rng.random((ensemble.CHALLENGE_ROWS, ensemble.CHALLENGE_COLUMNS)) < 0.1
    order = rng.permutation(ensemble.CHALLENGE_ROWS)
    path = tmp_path / "answer.txt"
    ensemble.write_submission(path, [f"{i:05d}" for i in order], decisions[order])
    return path, decisions


def test_a_submission_is_read_back_in_order(answer):
    path, decisions = answer
    np.testing.assert_array_equal(ensemble.check_submission(path), decisions)
    assert path.read_text().startswith("00000 ")


@pytest.mark.parametrize(
    ("mutate", "message"),
    [
        (lambda lines: lines[:-1], ":6096: expected 6097 rows, found 6096"),
        (lambda lines: [*lines, lines[-1]], ":6098: expected 6097 rows and no more"),
        (lambda lines: [*lines[:4], *lines[5:]], ":5: expected clip 00004, found '00005'"),
        (lambda lines: [*lines[:9], lines[9] + " 1", *lines[10:]], ":10: expected 26 values, found 27"),
        (lambda lines: [*lines[:2], lines[2][:-1] + "2", *lines[3:]], ":3: expected 0 or 1, found '2'"),
        (lambda lines: [*lines[:7], "", *lines[7:]], ":8: expected clip 00007, found ''"),
    ],
)
def test_mutated_submissions_are_refused_by_line(answer, mutate, message):
    path, _ = answer
    path.write_text("\n".join(mutate(path.read_text().splitlines())) + "\n")
    with pytest.raises(AnnotationError) as error:
        ensemble.check_submission(path)
    assert str(error.value) == f"{path}{message}"


def test_clips_without_numbers_cannot_be_submitted(tmp_path):
    with pytest.raises(DataError, match="'v_Archery_g01_c01' has no number"):
        ensemble.write_submission(tmp_path / "answer.txt", ["v_Archery_g01_c01"], np.zeros((1, 26)))


def scores_of(split, values, targets=None, domains=None):
    ids = tuple(f"{i:05d}" for i in range(len(values)))
    return Scores(
        "tinyvirat-v2",
        split,
        "hash",
        ids,
        ids,
        np.asarray(values, np.float32),
        targets,
        TINY,
        domains or ("virat",) * len(values),
        np.zeros(len(values), np.int64),
    )


def test_an_ensembles_submission(tmp_path):
    values = np.full((3, 26), 0.1)
    opening, closing, walking = (TINY.index(name) for name in ("Opening", "Closing", "activity_walking"))
    values[0, [opening, closing]] = 0.9, 0.8
    values[1, [opening, closing]] = 0.9, 0.8
    values[2, walking] = 0.3
    members = [scores_of("test", values + shift, domains=("virat", "meva", "virat")) for shift in (-0.05, 0.05)]
    decisions = ensemble.submit(members, tmp_path / "answer.txt", groups=True)
    assert [np.flatnonzero(row).tolist() for row in decisions] == [[opening], [opening, closing], [walking]]
    assert (tmp_path / "answer.txt").read_text().splitlines()[2].split()[1 + walking] == "1"


def test_thresholds_come_from_validation(tmp_path):
    validation = scores_of("val", np.full((4, 26), 0.2), np.ones((4, 26), np.float32))
    decisions = ensemble.submit([scores_of("test", np.full((2, 26), 0.3))], tmp_path / "a.txt", validation=[validation])
    assert decisions.all()


@pytest.mark.parametrize(
    ("members", "validation", "message"),
    [
        ([scores_of("test", np.zeros((2, 26)), np.zeros((2, 26), np.float32))], [], "these scores carry labels"),
        ([scores_of("test", np.zeros((2, 26))), scores_of("test", np.zeros((3, 26)))], [], "not of one split"),
        ([scores_of("test", np.zeros((2, 26)))], [scores_of("val", np.zeros((2, 26)))], "need labelled scores"),
    ],
)
def test_what_cannot_be_submitted_is_refused(tmp_path, members, validation, message):
    with pytest.raises(DataError, match=message):
        ensemble.submit(members, tmp_path / "answer.txt", validation=validation)
    assert not (tmp_path / "answer.txt").exists()
