"""Result rows: one number of ours each, in run_dir/results.jsonl."""

from __future__ import annotations

import fcntl
import json
import math
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import pandas as pd

from tinylib.errors import DataError
from tinylib.files import write_text
from tinylib.workers import device_name  # noqa: F401  # stands beside every number

FILE = "results.jsonl"
KEY = ("paper", "ref", "row", "input", "metric", "profile", "data")  # what a rerun replaces


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number of ours. Rates are in [0, 1], whatever unit the paper prints; low and high bound 95%."""

    paper: str  # 'tinyvirat', 'tinyaction', 'winner', 'stat', or 'ours'
    ref: str  # 'Table II', 'Fig 5', 'text', ...
    row: str
    input: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    seeds: int = 1
    n: int | None = None  # clips measured on
    profile: str
    data: str
    data_hash: str = ""
    commit: str
    seconds: float | None = None
    device: str

    def __post_init__(self) -> None:
        for name in ("low", "high"):  # an interval that is not there: JSON has no NaN
            bound = getattr(self, name)
            object.__setattr__(self, name, None if bound is None or math.isnan(bound) else bound)


def record(run_dir: str | Path, rows: Iterable[Row]) -> None:
    """Put `rows` into run_dir/results.jsonl, each in place of an older one with its key; writers take turns."""
    path = Path(run_dir) / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(f".{FILE}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = {_key(row): row for row in (load(path) if path.exists() else ())}
        kept |= {_key(row): row for row in rows}
        write_text(path, "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in kept.values()))


def rows_of(tables: Mapping[str, pd.DataFrame], like: Row) -> list[Row]:
    """A row for each metric of each named table (`metrics.evaluate`'s columns), in all else like `like`."""
    return [
        replace(like, row=name, metric=metric, value=float(value), low=float(low), high=float(high))
        for name, table in tables.items()
        for metric, value, low, high in table.reset_index()[["metric", "value", "low", "high"]].to_numpy()
    ]


def _key(row: Row) -> tuple[str, ...]:
    return tuple(getattr(row, name) for name in KEY)


def load(where: str | Path | Iterable[str | Path]) -> list[Row]:
    """The rows of results files, or of all below folders; DataError names a bad line."""
    rows = []
    for place in [where] if isinstance(where, str | Path) else where:
        path = Path(place)
        if not path.exists():
            raise DataError(f"{path}: no results here")
        for file in sorted(path.rglob(FILE)) if path.is_dir() else [path]:
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
                try:
                    rows.append(Row(**json.loads(line)))
                except (ValueError, TypeError) as error:
                    raise DataError(f"{file}:{number}: not a result row ({error})") from None
    return rows


@cache
def commit() -> str:
    """Short hash of the source tree this package runs from, '+dirty' if edited; its version where there is no git."""
    from tinylib import __version__

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *words], capture_output=True, text=True, check=True, timeout=30
        ).stdout.strip()

    try:
        tracked = git("ls-files", "--error-unmatch", Path(__file__).name)
        head = git("rev-parse", "--short=10", "HEAD")
        return head + ("+dirty" if git("status", "--porcelain", "--untracked-files=no") else "") if tracked else ""
    except (OSError, subprocess.SubprocessError):
        return f"v{__version__}"
