"""Runs on several folds of a dataset as one experiment: official splits, or one person held out after another.

A notebook's run keeps RUN_DIR/EXPERIMENT-SEED/scores.npz or RUN_DIR/scores/EXPERIMENT-SEED.npz. STAT's figures
for UCF-101 and HMDB-51 are means over three splits; intervals over all their test videos are narrower than those of one
split by about the root of three.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tinylib.errors import DataError, UsageError
from tinylib.evaluation import metrics
from tinylib.evaluation.scores import Scores

COLUMNS = ["experiment", "over", "metric", "value", "low", "high", "seeds", "n"]


def experiments(run_dir: str | Path) -> dict[str, dict[int, Scores]]:
    """What a run kept: experiment -> seed -> scores. DataError: the folder holds no scores."""
    files = {file.parent.name: file for file in sorted(Path(run_dir).glob("*/scores.npz"))}
    files |= {file.stem: file for file in sorted(Path(run_dir).glob("scores/*.npz"))}
    by_seed: dict[str, dict[int, Scores]] = {}
    for label, file in files.items():
        if name := re.fullmatch(r"(.+)-(\d+)", label):
            by_seed.setdefault(name[1], {})[int(name[2])] = Scores.load(file)
    if not by_seed:
        raise DataError(f"{run_dir}: no EXPERIMENT-SEED/scores.npz and no scores/EXPERIMENT-SEED.npz in it")
    return by_seed


def pooled(run_dirs: Sequence[str | Path], *, over: str | None = None) -> pd.DataFrame:
    """Every metric of each experiment that all runs kept, over the test clips of all of them; see `metrics.evaluate`.

    A fold's clips are judged by that fold's network; videos that several folds test stay together in resamples. over:
    an experiment; rows that name it hold what the others gain over it, clip by clip (`metrics.differences`).
    Columns: experiment, over, metric, value, low, high, seeds, n. DataError: runs differ in classes or seeds.
    """
    if len({Path(folder).resolve() for folder in run_dirs}) < len(run_dirs):
        raise UsageError("a run is named twice: its clips would count twice")
    runs = [experiments(folder) for folder in run_dirs]
    shared = [name for name in runs[0] if all(name in run for run in runs)]
    if over is not None and over not in shared:
        raise UsageError(f"no experiment {over!r} in every run; there are {', '.join(shared) or 'none'}")
    together = {name: _together(name, [run[name] for run in runs], run_dirs) for name in shared}
    tables = []
    for name, (scores, targets, videos) in together.items():
        table = metrics.evaluate(scores, targets, videos)
        tables.append(table.assign(experiment=name, over=""))
        if over is not None and name != over:
            gain = metrics.differences(scores, together[over][0], targets, videos)
            tables.append(gain.assign(experiment=name, over=over, seeds=len(scores), n=len(videos)))
    if not tables:
        raise DataError(f"{', '.join(map(str, run_dirs))}: no experiment is in all of them")
    return pd.concat(tables, ignore_index=True)[COLUMNS]


def _together(
    name: str, folds: Sequence[dict[int, Scores]], run_dirs: Sequence[str | Path]
) -> tuple[list[np.ndarray], np.ndarray, list[str]]:
    first = next(iter(folds[0].values()))
    for fold, folder in zip(folds, run_dirs, strict=True):
        if fold.keys() != folds[0].keys():
            raise DataError(f"{folder}: {name} has seeds {sorted(fold)}, elsewhere {sorted(folds[0])}")
        for scores in fold.values():
            if scores.classes != first.classes:
                raise DataError(f"{folder}: {name} tells other classes apart than {run_dirs[0]}")
            if scores.clip_ids != next(iter(fold.values())).clip_ids:
                raise DataError(f"{folder}: {name} has other clips with one seed than with another")
            if scores.targets is None:
                raise DataError(f"{folder}: {name}: the test labels are withheld")
    per_seed = [np.concatenate([fold[seed].scores for fold in folds]) for seed in sorted(folds[0])]
    one = [fold[min(fold)] for fold in folds]
    targets = np.concatenate([np.asarray(scores.targets) for scores in one])
    return per_seed, targets, [video for scores in one for video in scores.video_ids]


def spelled(table: pd.DataFrame, names: Sequence[str] = ()) -> str:
    """A table of `pooled` as text: experiments by metrics (none named: top-1 and F1), per cent with intervals.

    UsageError: no metric of such a name.
    """
    known = table["metric"].unique()
    if unknown := set(names) - set(known):
        raise UsageError(f"pool: no metric {min(unknown)!r}; there are {', '.join(known)}")
    shown = table[table["metric"].isin(names or ("top-1", "F1"))].copy()
    per_cent = 100 * shown[["value", "low", "high"]]
    shown["per cent"] = [metrics.spelled(*row, digits=1) for row in per_cent.itertuples(index=False)]
    shown["column"] = shown["metric"] + shown["over"].map(lambda name: f", over {name}" if name else "")
    wide = shown.pivot(index="experiment", columns="column", values="per cent").fillna("")
    return str(wide.rename_axis(index=None, columns=None).to_string())
