"""What the papers print."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import pandas as pd

from tinylib.errors import UsageError

if TYPE_CHECKING:
    pass


JOIN = ["row", "input", "metric"]  # what a published number and ours share, within one table of one paper


@cache
def _facts() -> dict[str, list[dict[str, Any]]]:
    import yaml

    return yaml.safe_load(resources.files("tinylib.results").joinpath("published.yaml").read_text(encoding="utf-8"))


def published(paper: str | None = None, ref: str | None = None) -> pd.DataFrame:
    """The papers' numbers: paper, ref, row, input, metric, value (None where not given), unit, note."""
    lines = facts("results", paper, ref)
    if not lines:
        raise UsageError(f"nothing is published under paper {paper!r}, ref {ref!r}")
    columns = list(dict.fromkeys(name for line in _facts()["results"] for name in line))
    frame = pd.DataFrame(lines, columns=columns, dtype=object)
    return frame.where(frame.notna(), None)


def figures() -> pd.DataFrame:
    """The papers' figures: paper, ref, kind, shows, and the notebook that has our counterpart."""
    return pd.DataFrame(_facts()["figures"])


def facts(section: str, paper: str | None = None, ref: str | None = None) -> list[dict[str, Any]]:
    """Lines of a section of published.yaml: 'tables', 'contradictions', 'warnings', 'figures' or 'results'."""
    wanted = {name: value for name, value in (("paper", paper), ("ref", ref)) if value is not None}
    return [line for line in _facts()[section] if wanted.items() <= line.items()]
