"""What notebook 12 runs with: all the others' results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tinylib.settings.parameters import Notebook, home, scaled


@dataclass(frozen=True, kw_only=True)
class PapersVsOurs(Notebook):
    """12: every table, paper and ours side by side."""

    run_dir: str = "runs/12_papers_vs_ours"
    sources: tuple[str, ...] = ()  # folders with the notebooks' runs; () is the one that `run_dir` is in
    claims: int = scaled(8, 12, 100)  # orderings shown a table, the paper's widest first

    @property
    def folders(self) -> list[Path]:
        return [home() / Path(folder).expanduser() for folder in self.sources] or [self.runs.parent]
