"""The log of a notebook's numbers: what they share is said once, and each is on disk when `add` returns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd

from tinylib.errors import UsageError
from tinylib.evaluation.clips import Clips
from tinylib.results.rows import Row, commit, device_name, record

if TYPE_CHECKING:
    from tinylib.datasets.index import Index


class Settings(Protocol):
    """What a notebook runs with, as far as its numbers tell."""

    @property
    def profile(self) -> str: ...
    @property
    def data(self) -> str: ...
    @property
    def seed(self) -> int: ...
    def split(self, name: str) -> Index: ...


class Log:
    """Result rows of one run and split: `add` one number, or `table` those of `metrics.evaluate`.

    index: the split measured on, or its name; it gives data_hash and n. None: numbers of no clips. paper: whose tables
    the refs are in, 'ours' for tables of ours; each call may name another. Commit and device are looked up.
    """

    def __init__(
        self,
        run_dir: str | Path,
        settings: Settings,
        index: Index | str | None = None,
        paper: str = "ours",
        seconds: float | None = None,
        *,
        device: str = "",
    ) -> None:
        split = settings.split(index) if isinstance(index, str) else index
        self.run_dir = Path(run_dir)
        self.rows: list[Row] = []  # as added, in order
        self._paper, self._seconds = paper, seconds
        self._profile, self._data, self._seed = settings.profile, settings.data, settings.seed
        self._hash = split.digest() if split is not None else ""
        self._n = len(split) if split is not None else None
        self._commit, self._device = commit(), device or device_name()

    def add(
        self,
        ref: str,
        row: str,
        metric: str,
        value: float,
        low: float | None = None,
        high: float | None = None,
        *,
        input: str = "",
        n: int | None = None,
        seeds: int | None = None,
        seconds: float | None = None,
        ran: str = "",
        clips: Clips | None = None,
        paper: str = "",
    ) -> Row:
        """Record one number, replacing an earlier one of its key.

        row, input, metric: the paper's words, which join with its table; ran: what was run in truth. seeds: 0 where
        nothing is drawn; by default those of `clips`, else 1. clips: the scores it was computed from, for pairing.
        """
        values = (float(value), None if low is None else float(low), None if high is None else float(high))
        added = self._row(ref, row, (metric, *values), input, n, seeds, seconds, ran, clips, paper)
        record(self.run_dir, [added])
        self.rows.append(added)
        return added

    def table(
        self,
        ref: str,
        tables: Mapping[str, pd.DataFrame],
        *,
        input: str = "",
        seeds: int | None = None,
        seconds: Mapping[str, float] | None = None,
        ran: str | Mapping[str, str] = "",
        clips: Mapping[str, Clips] | None = None,
        paper: str = "",
    ) -> list[Row]:
        """Record every metric of each row's table (columns metric, value, low, high; n and seeds where they are)."""
        rows = []
        for name, table in tables.items():
            frame = table.reset_index() if "metric" not in table.columns else table
            words = ran if isinstance(ran, str) else ran.get(name, "")
            for line in frame.to_dict("records"):
                if not np.isfinite(line["value"]):
                    continue  # a metric that these clips do not have
                number = (line["metric"], *(float(line[column]) for column in ("value", "low", "high")))
                count = seeds if seeds is not None else int(line["seeds"]) if "seeds" in line else None
                n = int(line["n"]) if "n" in line else None
                spent = (seconds or {}).get(name)
                rows.append(self._row(ref, name, number, input, n, count, spent, words, (clips or {}).get(name), paper))
        record(self.run_dir, rows)
        self.rows += rows
        return rows

    def _row(
        self,
        ref: str,
        row: str,
        number: tuple[str, float, float | None, float | None],
        input: str,
        n: int | None,
        seeds: int | None,
        seconds: float | None,
        ran: str,
        clips: Clips | None,
        paper: str,
    ) -> Row:
        metric, value, low, high = number
        if not np.isfinite(value):
            raise UsageError(f"{ref}, {row}, {metric}: {value} is no number to record")
        return Row(
            paper=paper or self._paper,
            ref=ref,
            row=row,
            input=input,
            metric=metric,
            value=value,
            low=low,
            high=high,
            seeds=seeds if seeds is not None else clips.seeds if clips else 1,
            n=n if n is not None else len(clips) if clips else self._n,
            profile=self._profile,
            data=self._data,
            data_hash=self._hash,
            commit=self._commit,
            seconds=seconds if seconds is not None else self._seconds,
            device=self._device,
            ran=ran,
            clips=clips.save(self.run_dir) if clips else "",
            folder=self.run_dir,
        )
