"""Run folders of the graph: set aside when out of date, thinned when done, and how large they are."""

from __future__ import annotations

import os
from pathlib import Path


def thin(run_dir: Path) -> int:
    """Of trainings that have ended below the folder keep the newest checkpoint alone; bytes that this freed.

    A training that has ended has its `model.safetensors`. The newest checkpoint stays, so that the notebook, run again,
    finds the training done; the other is there for a crash while the newest is written, which is over.
    """
    freed = 0
    for folder in sorted(run_dir.rglob("checkpoints")):
        stamps = sorted(folder.glob("*.json"))
        if not (folder.parent / "model.safetensors").exists() or len(stamps) < 2:
            continue
        if not stamps[-1].with_suffix(".safetensors").exists():
            continue
        for stamp in stamps[:-1]:
            for file in (stamp, stamp.with_suffix(".safetensors")):
                freed += file.stat().st_size if file.exists() else 0
                file.unlink(missing_ok=True)
    return freed


def size(folder: Path) -> int:
    """Bytes of the files below it; a file that goes away meanwhile counts as none."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total


def spelled(count: float) -> str:
    """Bytes as a person says them: 312 kB, 1.4 GB."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
