"""Scores that mean what they say: of clips that score 0.3 for a class, three in ten should show it.

Several labels: Platt scaling (Platt 1999) of each class's logit, drawn towards the one fit of all classes together as
far as a class has few clips. One label: a temperature (Guo et al. 2017). Both keep the order of clips within a class.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinylib.errors import DataError, UsageError
from tinylib.files import Json, write_json

FILE = "calibration.json"  # beside the weights that it belongs to
EDGE = 1e-6  # scores are kept this far from 0 and 1
TIGHT = (0.5, 1.0)  # how far a class may go from the common log-slope and intercept: deviations of a normal prior


@dataclass(frozen=True)
class Calibration:
    """How to correct the scores of one network: logit -> slope * logit + intercept, a class."""

    kind: str  # "platt" or "temperature"
    classes: tuple[str, ...]
    slopes: tuple[float, ...]
    intercepts: tuple[float, ...]
    clips: int  # that it was fitted on
    before: float  # expected calibration error on them
    after: float  # the same of the corrected scores; on the same clips, so a lower bound
    weights: str = ""  # SHA-256 of the checkpoint

    def apply(self, scores: NDArray[np.floating]) -> NDArray[np.float32]:
        """Corrected (N, classes) probabilities."""
        if scores.ndim != 2 or scores.shape[1] != len(self.classes):
            raise UsageError(f"calibration of {len(self.classes)} classes, scores of shape {scores.shape}")
        slopes, intercepts = np.array(self.slopes), np.array(self.intercepts)
        if self.kind == "platt":
            return _sigmoid(slopes * _logit(scores) + intercepts).astype(np.float32)
        return _softmax(slopes * np.log(np.maximum(scores, EDGE)) + intercepts).astype(np.float32)

    def save(self, path: str | Path) -> None:
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        try:
            fields: Json = json.loads(Path(path).read_text(encoding="utf-8"))
            fields |= {name: tuple(fields[name]) for name in ("classes", "slopes", "intercepts")}
            calibration = cls(**fields)
        except FileNotFoundError:
            raise DataError(f"{path}: no such calibration") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: not a calibration ({error})") from None
        if (
            not len(calibration.classes) == len(calibration.slopes) == len(calibration.intercepts)
            or calibration.kind not in _KINDS
        ):
            raise DataError(f"{path}: expected kind {' or '.join(_KINDS)}, and a slope and an intercept a class")
        return calibration


_KINDS = ("platt", "temperature")


def fit_calibration(
    scores: NDArray[np.floating],
    targets: NDArray[np.generic],
    classes: Sequence[str],
    *,
    weights: str = "",
) -> Calibration:
    """From scores (N, classes) of clips that were not trained on, and their targets: multi-hot, or class numbers (N,).

    A class with no positive clip leans on the others. DataError: there is nothing to learn from.
    """
    if len(scores) != len(targets) or scores.ndim != 2 or scores.shape[1] != len(classes):
        raise UsageError(f"calibration: scores {scores.shape}, targets {targets.shape} and {len(classes)} classes")
    multi_label = targets.ndim == 2
    if len(scores) < 2 or (multi_label and not targets.any()):
        raise DataError(f"calibration: {len(scores)} labelled clips are too few")
    if multi_label:
        x, y = _logit(scores), targets.astype(np.float64)
        common = _least(lambda p: _platt_loss(p, x, y), np.zeros(2))
        fits = [_least(lambda p, c=c: _near(p, common) + _platt_loss(p, x[:, c], y[:, c]), common) for c in _columns(x)]
        slopes, intercepts = tuple(float(np.exp(p[0])) for p in fits), tuple(float(p[1]) for p in fits)
    else:
        x = np.log(np.maximum(scores.astype(np.float64), EDGE))
        rows = np.arange(len(x))
        best = _least(lambda p: -float(np.log(_softmax(np.exp(p[0]) * x)[rows, targets]).sum()), np.zeros(1))
        slopes, intercepts = (float(np.exp(best[0])),) * len(classes), (0.0,) * len(classes)
    kind = _KINDS[not multi_label]
    fitted = Calibration(kind, tuple(classes), slopes, intercepts, len(scores), 0.0, 0.0, weights)
    before, after = expected_error(scores, targets), expected_error(fitted.apply(scores), targets)
    return Calibration(kind, tuple(classes), slopes, intercepts, len(scores), before, after, weights)


def expected_error(scores: NDArray[np.floating], targets: NDArray[Any], *, bins: int = 10) -> float:
    """Expected calibration error: |mean score - share that is right| over equal bins of score, weighed by their clips.

    Several labels: every (clip, class) is a case. One label: the class that scores highest.
    """
    if targets.ndim == 2:
        said, right = scores.ravel().astype(np.float64), targets.ravel() > 0
    else:
        said, right = scores.max(1).astype(np.float64), scores.argmax(1) == targets
    place = np.minimum((said * bins).astype(int), bins - 1)
    gaps = [abs(said[place == b].sum() - right[place == b].sum()) for b in range(bins)]
    return float(sum(gaps) / len(said))


def _columns(x: NDArray[np.float64]) -> range:
    return range(x.shape[1])


def _platt_loss(p: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    z = np.exp(p[0]) * x + p[1]
    return float((np.logaddexp(0, z) - y * z).sum())


def _near(p: NDArray[np.float64], common: NDArray[np.float64]) -> float:
    return float((((p - common) / np.array(TIGHT)) ** 2).sum() / 2)


def _least(loss: Callable[..., float], start: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.optimize import minimize

    low, high = (-7.0, 4.0), (-20.0, 20.0)  # of the log-slope: a network that knows nothing has a slope near zero
    minimum: NDArray[np.float64] = minimize(loss, start, method="L-BFGS-B", bounds=(low, high)[: len(start)]).x
    return minimum


def _logit(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    p = np.clip(scores.astype(np.float64), EDGE, 1 - EDGE)
    logits: NDArray[np.float64] = np.log(p) - np.log1p(-p)
    return logits


def _sigmoid(z: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import expit

    p: NDArray[np.float64] = expit(z)
    return p


def _softmax(z: NDArray[np.float64]) -> NDArray[np.float64]:
    e = np.exp(z - z.max(1, keepdims=True))
    p: NDArray[np.float64] = e / e.sum(1, keepdims=True)
    return p
