"""The members of an ensemble: one run gives several networks, each scored on every split, on file for later.

The winner found that "models trained at the middle epochs are also useful" (section 4): with cosine restarts, those at
the end of a cycle.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from tinylib.datasets.index import Index
from tinylib.datasets.loading import ClipDataset
from tinylib.errors import DataError
from tinylib.evaluation.scores import READINGS, Scores, Transform, predict
from tinylib.models import checkpoint
from tinylib.training import run_folder
from tinylib.training.loop import FitResult, fit
from tinylib.training.optimise import FitConfig

COUNTS: dict[str, int] = {  # winner, Table 3: networks of each kind
    "UniFormer": 1,
    "UniFormer(SR)": 2,
    "ir-CSN": 4,
    "ir-CSN(SR)": 3,
    "ir-CSN(SR+KD)": 2,
}
RAW = "not averaged"
Member = dict[str, Scores]  # by split


def train(
    objective: Any,
    data: ClipDataset,
    config: FitConfig,
    run_dir: str | Path,
    *,
    exams: Mapping[str, ClipDataset],
    count: int = 1,
    raw: bool = False,
    transform: Transform | None = None,
    description: Mapping[str, object] | None = None,
    batch_size: int = 32,
) -> tuple[FitResult, dict[str, Member]]:
    """Fit `objective` and score its network at the ends of its last `count` restart cycles, the newest last.

    exams: split -> dataset of its test-time views, read as the winner does. The keys of the answer are "epoch 12" and
    so on; with `raw` also RAW, the last weights without the moving average that `config.ema` takes. The objective is
    left with the weights of the end. DataError: the run has fewer cycles.
    """
    result = fit(objective, data, config, run_dir, transform=transform, description=description)
    model: nn.Module = objective.model
    states = [(f"epoch {int(path.stem.split('_')[-1])}", checkpoint.load(path)[0]) for path in result.cycles[:-1]]
    states.append((f"epoch {config.epochs}", checkpoint.load(result.last)[0]))
    if len(states) < count:
        raise DataError(f"{run_dir}: {count} networks of one run need as many cycles; this one keeps {len(states)}")
    states = states[-count:]
    if raw:
        newest = run_folder.load_checkpoint(result.run_dir)
        assert newest is not None
        mark = "network/model."
        states.insert(0, (RAW, {key.removeprefix(mark): t for key, t in newest[0].items() if key.startswith(mark)}))
    reading, scored = READINGS["winner"], {}
    for name, state in states:
        checkpoint.restore(model, state, source=run_dir)
        scored[name] = {
            split: predict(
                model,
                exam,
                batch_size=batch_size,
                aggregate=reading.aggregate,
                on=reading.on,
                label=f"{Path(run_dir).name}, {name}, {split}",
            )
            for split, exam in exams.items()
        }
    return result, scored


def save(folder: str | Path, stream: str, members: Sequence[Member]) -> None:
    """FOLDER/STREAM-NUMBER-SPLIT.npz for every member and split, from 0 on; older members of the stream go."""
    for old in Path(folder).glob(f"{_slug(stream)}-[0-9]*.*"):
        old.unlink()
    for number, member in enumerate(members):
        for split, scores in member.items():
            scores.save(_file(folder, stream, number, split))


def load(folder: str | Path, stream: str, splits: Mapping[str, Index]) -> list[Member]:
    """The members that `save` left, as long as they are of exactly these splits; none where there are none."""
    members: list[Member] = []
    while all(_file(folder, stream, len(members), split).is_file() for split in splits):
        member = {split: Scores.load(_file(folder, stream, len(members), split)) for split in splits}
        if any(scores.data_hash != splits[split].digest() for split, scores in member.items()):
            break
        members.append(member)
    return members


def _file(folder: str | Path, stream: str, number: int, split: str) -> Path:
    return Path(folder) / f"{_slug(stream)}-{number}-{split}.npz"


def _slug(stream: str) -> str:
    return re.sub(r"\W+", "_", stream).strip("_")
