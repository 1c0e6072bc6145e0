"""What a running notebook is at, from the copy that papermill writes before and after each cell."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tinylib.files import Json
from tinylib.reports.status import read_status

EVERY = 3.0  # seconds between two looks


@dataclass(frozen=True)
class Position:
    """Where a running notebook is: its code cell of so many, that cell's heading or first comment, its newest line."""

    number: int
    whole: int
    title: str
    printed: str


def position(working: Path) -> Position | None:
    """The cell that runs, or the last that has run; None before the first."""
    try:
        cells = json.loads(working.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError):
        return None  # not there yet, or half written
    heading, number, at = "", 0, None
    whole = sum(cell["cell_type"] == "code" for cell in cells)
    for cell in cells:
        source = "".join(cell["source"]).strip()
        first = source.splitlines()[0] if source else ""
        if cell["cell_type"] == "markdown":
            heading = first.lstrip("# ") if first.startswith("#") else heading
            continue
        number += 1
        if cell["metadata"].get("papermill", {}).get("status") in ("running", "completed"):
            comment = first.lstrip("# ") if first.startswith("#") else ""
            title = ": ".join(part for part in (heading, comment) if part)
            at = Position(number, whole, title, _printed(cell.get("outputs", [])))
    return at


def _printed(outputs: Sequence[Json]) -> str:
    """The newest line that a cell has printed; "" where it has printed none."""
    text = "".join("".join(output["text"]) for output in outputs if output["output_type"] == "stream")
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def lines(out: Path, names: Sequence[str], seen: dict[str, Position]) -> Iterator[str]:
    """A line for each running notebook that has come to another cell, or whose cell has printed, since `seen`.

    `seen` is brought up to date. Papermill writes a running cell's output every half a minute.
    """
    for name in names:
        status = read_status(out, name)
        if status is None or status.state != "running":
            continue
        at, before = position(out / "notebooks" / f"{name}.running.ipynb"), seen.get(name)
        if at is None or at == before:
            continue
        seen[name] = at
        if before is None or at.number != before.number:
            left = f", {at.whole - at.number} to go" if at.whole > at.number else ", the last"
            yield f"{name}: cell {at.number} of {at.whole}{left} · {at.title}"
        elif at.printed != before.printed:
            yield f"{name}: cell {at.number} of {at.whole} · {at.printed}"


@contextmanager
def watched(out: Path, names: Sequence[str], changed: Callable[[], None]) -> Iterator[None]:
    """Print where each running notebook is while the block lasts; `changed` is called when one has begun."""
    ended = threading.Event()

    def look() -> None:
        seen: dict[str, Position] = {}
        begun: set[str] = set()
        while not ended.wait(EVERY):
            running = {name for name in names if (s := read_status(out, name)) and s.state == "running"}
            if running - begun:
                begun |= running
                changed()
            for line in lines(out, names, seen):
                print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)

    thread = threading.Thread(target=look, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
