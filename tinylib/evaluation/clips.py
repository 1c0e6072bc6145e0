"""The per-clip scores behind a number, kept compactly so that two numbers of the same clips can be paired."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinylib.errors import DataError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from tinylib.evaluation.scores import Scores

Floats = NDArray[np.float64]
FOLDER = "clips"  # beside results.jsonl
FURTHEST = 20.0  # logits: beyond, a float32 probability cannot be told from 0 or 1 either


@dataclass(frozen=True, eq=False)
class Clips:
    """Scores of each clip of a split under each seed, with the truth and the source video of the clip.

    scores: probabilities (seeds, N, classes) or (N, classes) with `targets`; or, without, one value a clip such as its
    PSNR, (seeds, N) or (N,), whose mean is the number. targets: (N, classes) multi-hot or (N,) class numbers.
    groups: (N,) source videos. thresholds: (classes,) or (seeds, classes), fitted on other clips; None: one half.
    """

    scores: ArrayLike
    groups: ArrayLike
    targets: ArrayLike | None = None
    thresholds: ArrayLike | None = None

    def __post_init__(self) -> None:
        scores = np.asarray(self.scores, dtype=np.float64)
        whole = 2 if self.targets is None else 3
        scores = scores[None] if scores.ndim == whole - 1 else scores
        groups = np.asarray(self.groups).astype(str)
        targets = None if self.targets is None else np.asarray(self.targets)
        if scores.ndim != whole or scores.shape[1] != len(groups) or not scores.size:
            raise DataError(f"clips: scores {scores.shape} and {len(groups)} source videos do not belong together")
        if targets is not None and targets.shape not in (scores.shape[1:2], scores.shape[1:]):
            raise DataError(f"clips: scores {scores.shape} and targets {targets.shape} do not belong together")
        if not np.isfinite(scores).all():
            raise DataError("clips: a score is not finite")
        if targets is not None and (scores.min() < 0 or scores.max() > 1):
            raise UsageError("clips: scores must be probabilities, in [0, 1]")
        values = {"scores": scores, "groups": groups, "targets": targets}
        if self.thresholds is not None:
            cuts = np.asarray(self.thresholds, dtype=np.float64)
            values["thresholds"] = np.broadcast_to(cuts, (len(scores), scores.shape[-1])).copy()
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, runs: Sequence[Scores], validation: Sequence[Scores] = ()) -> Self:
        """Of equal runs with other seeds on one split; `validation`: theirs on clips that thresholds are fitted on."""
        from tinylib.evaluation.ensemble import fit_thresholds

        first = runs[0]
        if any(run.clip_ids != first.clip_ids for run in runs):
            raise DataError("clips: the runs were measured on different clips")
        if any(run.targets is None for run in (first, *validation)):
            raise DataError(f"clips: the labels of {first.name} are withheld")
        if validation and len(validation) != len(runs):
            raise UsageError(f"clips: {len(runs)} runs, and {len(validation)} of them on validation clips")
        if any((run.name, run.split) == (first.name, first.split) for run in validation):
            raise UsageError(f"clips: thresholds are to be fitted on other clips than those of {first.split}")
        cuts = [fit_thresholds(run.scores, np.asarray(run.targets)) for run in validation] or None
        return cls(np.stack([run.scores for run in runs]), first.video_ids, first.targets, cuts)

    def table(self, *, n: int = 1000, seed: int = 0) -> pd.DataFrame:
        """`metrics.evaluate` of them, with F1 at the fitted thresholds beside F1 at one half; or the mean value."""
        from tinylib.evaluation import metrics

        if self.targets is None:
            raise UsageError("clips: values without targets have no table of metrics; their mean is the number")
        return metrics.evaluate(
            np.asarray(self.scores), self.targets, self.groups, fitted=self.thresholds, n=n, seed=seed
        )

    @property
    def seeds(self) -> int:
        return len(np.asarray(self.scores))

    def __len__(self) -> int:
        return len(np.asarray(self.groups))

    def same_clips(self, other: Clips) -> bool:
        """Whether the other's are of the same clips in the same order, as far as videos and truth tell."""
        if not np.array_equal(np.asarray(self.groups), np.asarray(other.groups)):
            return False
        if self.targets is None or other.targets is None:
            return self.targets is other.targets
        return np.array_equal(np.asarray(self.targets) > 0, np.asarray(other.targets) > 0) and np.array_equal(
            np.asarray(self.targets).astype(np.int64), np.asarray(other.targets).astype(np.int64)
        )

    def save(self, run_dir: str | Path) -> str:
        """Write run_dir/clips/NAME.npz unless it is there; NAME tells its content, so that rows share one file.

        Probabilities are kept as float16 logits: their order survives near 1, where float16 itself has 0.0005.
        """
        from tinylib.files import atomic_path

        arrays = self._arrays()
        digest = hashlib.sha256()
        for name, array in arrays.items():
            digest.update(f"{name}{array.dtype}{array.shape}".encode() + array.tobytes())
        name = digest.hexdigest()[:16]
        path = Path(run_dir) / FOLDER / f"{name}.npz"
        if not path.exists():
            with atomic_path(path) as temporary, open(temporary, "wb") as file:
                np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        return name

    def _arrays(self) -> dict[str, NDArray[np.generic]]:
        scores = np.asarray(self.scores, dtype=np.float64)
        videos, member = np.unique(np.asarray(self.groups), return_inverse=True)
        arrays: dict[str, NDArray[np.generic]] = {"videos": videos, "member": member.astype(np.int32)}
        if self.targets is None:
            return arrays | {"values": scores.astype(np.float32)}
        with np.errstate(divide="ignore"):
            logits = np.clip(np.log(scores) - np.log1p(-scores), -FURTHEST, FURTHEST)
        targets = np.asarray(self.targets)
        arrays |= {"logits": logits.astype(np.float16)}
        arrays |= {"targets": (targets > 0).astype(np.uint8) if targets.ndim == 2 else targets.astype(np.int32)}
        if self.thresholds is not None:
            arrays |= {"thresholds": np.asarray(self.thresholds, dtype=np.float32)}
        return arrays

    @classmethod
    def load(cls, run_dir: str | Path, name: str) -> Self:
        """What `save` wrote; DataError names a file that is not there or not whole."""
        path = Path(run_dir) / FOLDER / f"{name}.npz"
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
            groups = arrays["videos"][arrays["member"]]
            if "values" in arrays:
                return cls(arrays["values"], groups)
            scores = 1 / (1 + np.exp(-arrays["logits"].astype(np.float64)))
            return cls(scores, groups, arrays["targets"], arrays.get("thresholds"))
        except FileNotFoundError:
            raise DataError(f"{path}: the clips of a result are not there") from None
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise DataError(f"{path}: not the clips of a result ({error})") from None
