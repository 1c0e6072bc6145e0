"""Result rows: one number of ours each, in run_dir/results.jsonl."""

from __future__ import annotations

import json
import math
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import BinaryIO

import pandas as pd

from tinylib.errors import DataError
from tinylib.files import locked
from tinylib.workers import device_name  # noqa: F401  # stands beside every number

FILE = "results.jsonl"
LATER = ("ran", "clips")  # fields of later versions: written where they say something
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
    seeds: int = 1  # 0: nothing about it is drawn (bicubic interpolation, a constant answer)
    n: int | None = None  # clips measured on
    profile: str
    data: str
    data_hash: str = ""
    commit: str
    seconds: float | None = None
    device: str
    ran: str = ""  # what was run, where row and input are the paper's words for the join
    clips: str = ""  # name of the per-clip scores it was computed from, in `clips/` beside the file (`Clips`)
    folder: Path | None = field(default=None, compare=False)  # that its file is in; not written

    def __post_init__(self) -> None:
        for name in ("low", "high"):  # an interval that is not there: JSON has no NaN
            bound = getattr(self, name)
            object.__setattr__(self, name, None if bound is None or math.isnan(bound) else bound)


def record(run_dir: str | Path, rows: Iterable[Row]) -> None:
    """Add `rows` to run_dir/results.jsonl, where the last of a key counts; writers take turns."""
    path = Path(run_dir) / FILE
    lines = "".join(json.dumps(_written(row), ensure_ascii=False) + "\n" for row in rows)
    with locked(path), open(path, "ab+") as file:
        _drop_half_a_line(file)
        file.write(lines.encode())
        file.flush()
        os.fsync(file.fileno())


def _written(row: Row) -> dict[str, str | float | int | None]:
    values = asdict(row)
    return {k: v for k, v in values.items() if k != "folder" and (v or k not in LATER)}


def _drop_half_a_line(file: BinaryIO) -> None:
    """What a writer that was killed left of its last line; such a line is no result (see `load`)."""
    file.seek(0)
    text = file.read()
    if text and not text.endswith(b"\n"):
        tail = text[text.rfind(b"\n") + 1 :]
        if _is_row(tail.decode(errors="replace")):
            file.write(b"\n")
        else:
            file.truncate(len(text) - len(tail))


def _is_row(line: str) -> bool:
    try:
        Row(**json.loads(line))
    except (ValueError, TypeError):
        return False
    return True


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
    """The rows of results files, or of all below folders, the last of each key; DataError names a bad line.

    A last line without its end is what a killed writer left, and no result.
    """
    rows: list[Row] = []
    for place in [where] if isinstance(where, str | Path) else where:
        path = Path(place)
        if not path.exists():
            raise DataError(f"{path}: no results here")
        for file in sorted(path.rglob(FILE)) if path.is_dir() else [path]:
            rows += _read(file)
    return rows


def _read(file: Path) -> list[Row]:
    latest: dict[tuple[str, ...], Row] = {}
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        try:
            row = Row(**json.loads(line), folder=file.parent)
        except (ValueError, TypeError) as error:
            if number == len(lines) and not line.endswith("\n"):
                break
            raise DataError(f"{file}:{number}: not a result row ({error})") from None
        latest[_key(row)] = row
    return list(latest.values())


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
