"""Odd rows of a file that is otherwise good: each costs itself, is named, and is counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinylib.errors import AnnotationError

NAMED = 20  # rows of a file that are named one by one; the rest are counted


class Oddities:
    """What was odd in one annotation file: rows left out, and rows mended."""

    def __init__(self, path: Path) -> None:
        self.path, self.good = path, 0
        self.left_out: list[AnnotationError] = []
        self.mended: list[tuple[int, str]] = []

    @contextmanager
    def row(self, *, counts: bool = True) -> Iterator[None]:
        """One row: an AnnotationError inside leaves this row out, and no other. counts: if none comes, it was good."""
        try:
            yield
        except AnnotationError as error:
            self.left_out.append(error)
        else:
            self.good += counts

    def mend(self, line: int, what: str) -> None:
        self.mended.append((line, what))

    def notes(self) -> list[str]:
        """A line for each row, up to `NAMED` of a kind, then how many more. AnnotationError if no row was good."""
        if self.left_out and not self.good:
            raise self.left_out[0]
        lines = [f"{self.path.name}:{e.line}: {e.reason}; this row is left out" for e in self.left_out[:NAMED]]
        if more := self.left_out[NAMED:]:
            lines.append(f"{self.path.name}: {len(more)} more rows are left out, the last is line {more[-1].line}")
        lines += [f"{self.path.name}:{line}: {what}" for line, what in self.mended[:NAMED]]
        if rest := self.mended[NAMED:]:
            lines.append(f"{self.path.name}: {len(rest)} more rows are mended so, the last is line {rest[-1][0]}")
        return lines
