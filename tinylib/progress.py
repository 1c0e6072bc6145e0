"""Where a run is, and how to show it: a bar where somebody is watching, one plain line where nobody is."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass, replace
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training is when an objective is asked for its losses; everything counts from 0."""

    epoch: int
    step: int  # within the epoch
    steps_per_epoch: int
    epochs: int
    global_step: int

    @property
    def time(self) -> float:
        """Epochs gone by, with the fraction of the present one."""
        return self.epoch + self.step / self.steps_per_epoch

    def next(self) -> Progress:
        return replace(self, step=self.step + 1, global_step=self.global_step + 1)


def watched() -> bool:
    """Whether a person can see a bar move: a terminal, or a notebook that is not run in a batch.

    Batch executors (papermill, nbclient) never answer `input()`, and say so with each cell they send; that tells them
    from JupyterLab. `TINYLIB_PROGRESS=bar` or `=lines` decides it by hand.
    """
    style = os.environ.get("TINYLIB_PROGRESS")
    if style in ("bar", "lines"):
        return style == "bar"
    if "IPython" in sys.modules:
        from IPython import get_ipython

        kernel = getattr(get_ipython(), "kernel", None)
        if kernel is not None:
            return bool(getattr(kernel, "_allow_stdin", False))
    return sys.stderr.isatty()


class Meter:
    """Counts work done: a moving bar when watched, else a line now and then (`every` seconds) and one at the end."""

    def __init__(self, total: int | None, label: str, *, done: int = 0, every: float = 60.0, closing_line: bool = True):
        self.total, self.label, self.done, self.every, self.closing_line = total, label, done, every, closing_line
        self.first = done
        self.began = self.said = time.monotonic()
        self.bar: Any = None
        if watched():
            from tqdm.auto import tqdm

            self.bar = tqdm(total=total, initial=done, desc=label, leave=False, dynamic_ncols=True)

    def advance(self, count: int = 1) -> None:
        self.done += count
        if self.bar is not None:
            self.bar.update(count)
        elif time.monotonic() - self.said > self.every:
            self._say()

    def line(self, text: str) -> None:
        """One line that stays in a batch log; beside the bar while somebody watches."""
        if self.bar is not None:
            self.bar.set_postfix_str(text)
        else:
            print(text, flush=True)
            self.said = time.monotonic()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
        elif self.closing_line:
            self._say()

    def _say(self) -> None:
        self.said = time.monotonic()
        of = "" if self.total is None else f"/{self.total}"
        seconds, count = self.said - self.began, self.done - self.first
        left = seconds / count * (self.total - self.done) if self.total and count else 0.0
        rest = f", about {left:.0f} s to go" if left >= 1 else ""
        print(f"{self.label}: {self.done}{of} in {seconds:.1f} s{rest}", flush=True)

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.closing_line = self.closing_line and kind is None
        self.close()


def track(items: Iterable[T], label: str, *, total: int | None = None, closing_line: bool = True) -> Iterator[T]:
    """The same items, shown as they pass; `total` where the iterable does not know its length."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Meter(total, label, closing_line=closing_line) as meter:
        for item in items:
            yield item
            meter.advance()
