"""Many networks' scores into one decision (winner, section 4), and the challenge's submission file.

Scores are probabilities (N, classes); decisions are boolean (N, classes). Every step is a function of its own, so its
effect can be measured by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from tinylib.errors import AnnotationError, DataError, UsageError
from tinylib.evaluation.metrics import Average, over_runs, precision_recall_f1, resamples
from tinylib.files import Json, write_text

if TYPE_CHECKING:
    from tinylib.evaluation.scores import Scores

Floats = NDArray[np.float64]
Decisions = NDArray[np.bool_]
CHALLENGE_ROWS, CHALLENGE_COLUMNS = 6097, 26


def average(members: Sequence[ArrayLike], weights: ArrayLike | None = None) -> Floats:
    """Mean of the members' scores; weights need not sum to 1."""
    if not members:
        raise UsageError("an ensemble needs at least one member")
    stack = [np.asarray(member, dtype=np.float64) for member in members]
    for number, scores in enumerate(stack):
        if scores.shape != stack[0].shape:
            raise DataError(f"member {number} has scores {scores.shape}, member 0 {stack[0].shape}")
        if not ((scores >= 0) & (scores <= 1)).all():
            raise DataError(f"member {number} has scores outside [0, 1]: average probabilities, not logits")
    return np.average(stack, axis=0, weights=None if weights is None else np.asarray(weights, dtype=np.float64))


def best_threshold(scores: Floats, truth: Decisions) -> float:
    """The threshold with the highest F1, halfway between the two scores it separates; 0.5 where none can be chosen.

    That is where no clip is positive, and where every score is 0. Of thresholds that do equally well the one nearest
    to 0.5.
    """
    if not truth.any() or not (scores > 0).any():
        return 0.5
    order = np.argsort(-scores, kind="stable")
    ranked, right = scores[order], np.cumsum(truth[order])
    taken = np.arange(1, len(scores) + 1)
    quality = 2 * right / (taken + truth.sum())
    below = np.append(ranked[1:], 0.0)
    cut = ranked > below  # between equal scores there is no threshold
    middles, quality = (ranked[cut] + below[cut]) / 2, quality[cut]
    best = np.flatnonzero(quality >= quality.max() - 1e-12)
    return float(middles[best[np.argmin(np.abs(middles[best] - 0.5))]])


def fit_thresholds(
    scores: ArrayLike, targets: ArrayLike, *, counts: ArrayLike | None = None, monotone: bool = True
) -> Floats:
    """A threshold a class, fitted on validation scores: (classes,).

    `monotone` keeps the winner's rule that larger classes get higher thresholds: isotonic regression of the best
    thresholds on the classes' training `counts` (their order is all that matters), weighed by validation positives, so
    that a class with one clip does not choose for itself. Classes without positives take what the regression gives
    their size.
    """
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(targets) > 0.5
    if values.shape != truth.shape:
        raise DataError(f"scores {values.shape} and targets {truth.shape} do not belong together")
    best = np.array([best_threshold(values[:, c], truth[:, c]) for c in range(values.shape[1])])
    positives = truth.sum(0)
    if not monotone or not positives.any():
        return best
    from sklearn.isotonic import IsotonicRegression

    size = np.log1p(positives if counts is None else np.asarray(counts, dtype=np.float64))
    seen = positives > 0
    rule = IsotonicRegression(increasing=True, out_of_bounds="clip")
    return rule.fit(size[seen], best[seen], sample_weight=positives[seen]).predict(size)


def out_of_fold(
    scores: ArrayLike,
    targets: ArrayLike,
    groups: ArrayLike,
    *,
    folds: int = 5,
    counts: ArrayLike | None = None,
    monotone: bool = True,
    seed: int = 0,
) -> Floats:
    """Thresholds a clip and class, (N, classes), none of them fitted on the clip's own source video.

    Source videos are dealt into `folds` parts of about equal size; each part's thresholds come from the others. For
    splits that must serve both for fitting and for measuring, as the challenge's validation split.
    """
    values, truth, names = np.asarray(scores, dtype=np.float64), np.asarray(targets), np.asarray(groups)
    videos, sizes = np.unique(names, return_counts=True)
    if len(videos) < 2:
        raise DataError("thresholds out of fold need clips of two source videos at least")
    order = np.random.default_rng((seed, 0xF01D)).permutation(len(videos))
    filled = np.zeros(min(folds, len(videos)))
    part: dict[str, int] = {}
    for video in order[np.argsort(-sizes[order], kind="stable")]:
        part[str(videos[video])] = int(filled.argmin())
        filled[filled.argmin()] += sizes[video]
    whose = np.array([part[str(name)] for name in names])
    thresholds = np.empty_like(values)
    for fold in range(len(filled)):
        inside = whose == fold
        thresholds[inside] = fit_thresholds(values[~inside], truth[~inside], counts=counts, monotone=monotone)
    return thresholds


def decide(scores: ArrayLike, thresholds: ArrayLike = 0.5) -> Decisions:
    return np.asarray(scores, dtype=np.float64) > np.asarray(thresholds, dtype=np.float64)


def one_of_each_group(
    decisions: Decisions, scores: ArrayLike, classes: Sequence[str], groups: Mapping[str, Sequence[str]]
) -> Decisions:
    """Of the chosen classes of a group only the one with the highest score stays (winner, section 4)."""
    values, remaining = np.asarray(scores, dtype=np.float64), decisions.copy()
    for name, members in groups.items():
        missing = [member for member in members if member not in classes]
        if missing:
            raise UsageError(f"group {name}: no class {missing[0]!r}")
        columns = np.array([classes.index(member) for member in members])
        contested = np.flatnonzero(decisions[:, columns].sum(1) > 1)
        chosen = np.where(decisions[:, columns], values[:, columns], -np.inf)[contested].argmax(1)
        remaining[np.ix_(contested, columns)] = False
        remaining[contested, columns[chosen]] = True
    return remaining


def group_prior(decisions: Decisions, scores: ArrayLike, classes: Sequence[str], domains: Sequence[str]) -> Decisions:
    """`one_of_each_group` with `labels.GROUPS`, without those that the long windows of MEVA clips break.

    Clips of an unknown domain ("") may be MEVA's and are treated as such. Groups of which fewer than two classes are
    there say nothing.
    """
    from tinylib.annotations.labels import GROUPS, GROUPS_OFF_FOR_MEVA

    there = {name: [member for member in members if member in classes] for name, members in GROUPS.items()}
    usable = {name: members for name, members in there.items() if len(members) > 1}
    fewer = {name: members for name, members in usable.items() if name not in GROUPS_OFF_FOR_MEVA}
    meva, values, remaining = (
        np.array([domain in ("meva", "") for domain in domains]),
        np.asarray(scores),
        decisions.copy(),
    )
    for rows, groups in ((~meva, usable), (meva, fewer)):
        remaining[rows] = one_of_each_group(decisions[rows], values[rows], classes, groups)
    return remaining


def never_empty(decisions: Decisions, scores: ArrayLike) -> Decisions:
    """Clips with no class get the one with the highest score: every clip of the dataset shows something."""
    filled = decisions.copy()
    empty = np.flatnonzero(~decisions.any(1))
    filled[empty, np.asarray(scores)[empty].argmax(1)] = True
    return filled


def waterfall(
    steps: Mapping[str, Sequence[ArrayLike]],
    targets: ArrayLike,
    groups: ArrayLike,
    *,
    average: Average = "macro",
    n: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """F1 of each step's decisions and what it gained on the step before: a row a step, intervals by source video.

    steps: name -> decisions (N, classes), of one system or of several alternatives whose F1s are averaged ("a single
    network" is every network alone). Gains are paired: both steps are measured on the same resamples.
    """
    weights = np.concatenate([np.ones((1, len(np.asarray(targets)))), resamples(groups, n, seed)])

    def ends(values: Floats) -> tuple[float, float]:
        return over_runs(values[None], groups)[1:]

    rows: list[Json] = []
    before: Floats | None = None
    for name, systems in steps.items():
        rates = [
            precision_recall_f1(
                np.asarray(each, dtype=float), targets, average=average, weights=weights, absent="keep"
            )[:, 2]
            for each in systems
        ]
        values = np.mean(rates, axis=0)
        row: Json = {"step": name, "systems": len(systems), "F1": values[0]}
        row |= dict(zip(("low", "high"), ends(values), strict=True)) | {"gain": float("nan")}
        row |= {"gain low": float("nan"), "gain high": float("nan")}
        if before is not None:
            gain = values - before
            row |= {"gain": gain[0]} | dict(zip(("gain low", "gain high"), ends(gain), strict=True))
        rows.append(row)
        before = values
    return pd.DataFrame(rows)


def write_submission(target: str | Path, clip_ids: Sequence[str], decisions: ArrayLike) -> None:
    """The challenge's answer.txt: a line a clip in order of its number, the number with five digits, then 0s and 1s."""
    chosen = np.asarray(decisions)
    if chosen.ndim != 2 or len(chosen) != len(clip_ids):
        raise DataError(f"{len(clip_ids)} clips and decisions {chosen.shape} do not belong together")
    numbers = [int(clip_id) if clip_id.isdecimal() else -1 for clip_id in clip_ids]
    if min(numbers, default=0) < 0:
        raise DataError(
            f"clip {clip_ids[numbers.index(-1)]!r} has no number: submissions are of TinyVIRAT-v2's test split"
        )
    lines = [f"{n:05d} {' '.join('01'[int(bool(x))] for x in row)}" for n, row in zip(numbers, chosen, strict=True)]
    write_text(target, "\n".join(sorted(lines)) + "\n")


def check_submission(
    path: str | Path,
    *,
    rows: int = CHALLENGE_ROWS,
    columns: int = CHALLENGE_COLUMNS,
    clip_ids: Sequence[str] | None = None,
) -> NDArray[np.int64]:
    """Read a submission back: (rows, columns) of 0 and 1, or an AnnotationError that names the line.

    Without `clip_ids` the clips must be numbered 0 to rows - 1, as in the challenge.
    """
    expected = sorted(clip_ids) if clip_ids is not None else [f"{number:05d}" for number in range(rows)]
    answers = []
    for line, text in enumerate(Path(path).read_text().splitlines(), start=1):
        name, *values = text.split(" ")
        if line > len(expected):
            raise AnnotationError(path, line, f"expected {len(expected)} rows and no more")
        if name != expected[line - 1]:
            raise AnnotationError(path, line, f"expected clip {expected[line - 1]}, found {name!r}")
        if len(values) != columns:
            raise AnnotationError(path, line, f"expected {columns} values, found {len(values)}")
        wrong = next((value for value in values if value not in ("0", "1")), None)
        if wrong is not None:
            raise AnnotationError(path, line, f"expected 0 or 1, found {wrong!r}")
        answers.append([int(value) for value in values])
    if len(answers) < len(expected):
        raise AnnotationError(path, len(answers), f"expected {len(expected)} rows, found {len(answers)}")
    return np.array(answers, dtype=np.int64)


def submit(
    members: Sequence[Scores], target: str | Path, *, validation: Sequence[Scores] = (), groups: bool = False
) -> Decisions:
    """Write and check the submission of an ensemble: (rows, classes) as decided, by row of the members.

    validation: the same members' scores of the validation split, to fit thresholds on (else 0.5). groups: apply
    `labels.GROUPS`, except to MEVA clips those that its long windows break. Scores that carry labels are refused: what
    is submitted, or fitted on, must not know the private ones.
    """
    first = members[0]
    for member in members:
        if member.targets is not None:
            raise DataError(f"{member.name} {member.split}: these scores carry labels; submit the public test split's")
        if member.clip_ids != first.clip_ids or member.classes != first.classes:
            raise DataError("the members' clips or classes differ: they are not of one split")
    scores = average([member.scores for member in members])
    thresholds: ArrayLike = 0.5
    if validation:
        if len(validation) != len(members):
            raise UsageError(f"{len(members)} members need as many validation scores, not {len(validation)}")
        known = validation[0]
        if known.targets is None or known.classes != first.classes:
            raise DataError(f"{known.name} {known.split}: thresholds need labelled scores of the same classes")
        thresholds = fit_thresholds(average([each.scores for each in validation]), known.targets)
    decisions = decide(scores, thresholds)
    if groups:
        decisions = group_prior(decisions, scores, first.classes, first.domains)
    decisions = never_empty(decisions, scores)
    write_submission(target, first.clip_ids, decisions)
    check_submission(target, rows=len(first), columns=len(first.classes), clip_ids=first.clip_ids)
    return decisions
