"""What a running notebook is at, from the copy that papermill writes before and after each cell."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tinylib.reports.status import read_status

EVERY = 3.0  # seconds between two looks


def position(working: Path) -> tuple[int, int, str] | None:
    """(number of the running code cell, code cells, its heading or first comment); None before the first."""
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
            at = (number, whole, ": ".join(part for part in (heading, comment) if part))
    return at


def lines(out: Path, names: Sequence[str], seen: dict[str, int]) -> Iterator[str]:
    """A line for each running notebook that has come to another cell since `seen`, which is brought up to date."""
    for name in names:
        status = read_status(out, name)
        if status is None or status.state != "running":
            continue
        at = position(out / "notebooks" / f"{name}.running.ipynb")
        if at is None or seen.get(name) == at[0]:
            continue
        seen[name] = at[0]
        left = f", {at[1] - at[0]} to go" if at[1] > at[0] else ", the last"
        yield f"{name}: cell {at[0]} of {at[1]}{left} · {at[2]}"


@contextmanager
def watched(out: Path, names: Sequence[str], changed: Callable[[], None]) -> Iterator[None]:
    """Print where each running notebook is while the block lasts; `changed` is called when one has begun."""
    ended = threading.Event()

    def look() -> None:
        seen: dict[str, int] = {}
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
