"""Experiment trackers of accelerate, off unless a run's settings name one; log.jsonl stays the truth."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from tinylib.errors import UsageError
from tinylib.training.optimise import FitConfig

if TYPE_CHECKING:
    from accelerate import Accelerator


class Tracked(TypedDict, total=False):
    """Arguments of an Accelerator that tracks."""

    log_with: str
    project_dir: str


def tracked(name: str, run_dir: Path) -> Tracked:
    """What an Accelerator is made with; UsageError names the trackers that are installed."""
    if not name:
        return {}
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

    there = sorted(str(getattr(tracker, "value", tracker)) for tracker in get_available_trackers())
    if name not in there:
        known = sorted(str(getattr(tracker, "value", tracker)) for tracker in LOGGER_TYPE_TO_CLASS)
        why = f"install {name} first" if name in known else f"expected one of {', '.join(known)}"
        raise UsageError(f"track {name!r}: {why} (installed: {', '.join(there) or 'none'})")
    return {"log_with": name, "project_dir": str(run_dir)}


def start(accelerator: Accelerator, config: FitConfig) -> None:
    """Tell the tracker of the run's settings."""
    if config.track:
        values = {k: v if isinstance(v, int | float | str) else str(v) for k, v in asdict(config).items()}
        accelerator.init_trackers("tinylib", config=values)


def stop(accelerator: Accelerator) -> None:
    """Close the trackers, and nothing else: other runs of this process go on."""
    for tracker in accelerator.trackers:
        tracker.finish()
