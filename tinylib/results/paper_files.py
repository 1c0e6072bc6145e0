"""What the papers print, and what of ours belongs to each: one file a paper, `tinylib/papers/NAME.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

from tinylib.errors import DataError, UsageError
from tinylib.files import Json

JOIN = ["row", "input", "metric"]  # what a published number and ours share, within one table of one paper
SECTIONS = {  # of a paper's file -> what each of its lines must say
    "results": ("ref", "row", "input", "metric", "value", "unit"),
    "figures": ("ref", "kind", "shows", "notebook"),
    "tables": ("ref", "shows", "notebooks", "contest"),
    "claims": ("ref", "above", "below", "input", "metric", "says"),
    "contradictions": ("ref", "text"),
    "warnings": ("ref", "text"),
}
Fact = Json  # a line of a section: plain values of YAML


@dataclass(frozen=True)
class Planned:
    """A notebook of a paper: those done first ('*': all others), its headline metrics, and its settings' columns."""

    after: tuple[str, ...] = ()
    headline: tuple[str, ...] = ()  # the index shows the first of these that was measured
    settings: Mapping[str, Json] | None = None  # field -> type, smoke, demo, full (`settings.of_paper`)


@dataclass(frozen=True)
class Paper:
    """One paper: its name in rows, its title, and its place among the others."""

    name: str
    title: str
    place: int
    notebooks: Mapping[str, Planned]
    sections: Mapping[str, list[Fact]]
    bibtex: str = ""


def folder() -> Path:
    """Where the papers' files are: a new file there is a new paper."""
    return Path(__file__).parents[1] / "papers"


def papers() -> list[Paper]:
    """All of them, in their order; DataError names a file, and the line or field, that is wrong."""
    return list(_papers(folder()))


@cache
def _papers(where: Path) -> tuple[Paper, ...]:
    every = sorted((_paper(file) for file in where.glob("*.yaml")), key=lambda paper: (paper.place, paper.name))
    seen: dict[str, str] = {}
    for paper in every:
        for name in paper.notebooks:
            if name in seen:
                raise DataError(f"{where}: notebook {name} is listed by both {seen[name]} and {paper.name}")
            seen[name] = paper.name
    return tuple(every)


def _paper(file: Path) -> Paper:
    import yaml

    try:
        text = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DataError(f"{file}: not a paper ({' '.join(str(error).split())})") from None
    if not isinstance(text, dict) or not isinstance(text.get("paper"), str):
        raise DataError(f"{file}: not a paper (no name under 'paper')")
    if unknown := set(text) - {"paper", "title", "place", "bibtex", "notebooks", *SECTIONS}:
        raise DataError(f"{file}: unknown section {min(map(str, unknown))!r}")
    sections: dict[str, list[Fact]] = {}
    for section, needed in SECTIONS.items():
        sections[section] = []
        for number, line in enumerate(text.get(section) or [], start=1):
            if missing := [name for name in needed if name not in line]:
                raise DataError(f"{file}: {section}, line {number}: no {missing[0]!r}")
            sections[section].append({"paper": text["paper"]} | line)
    notebooks = {name: _planned(file, name, plan or {}) for name, plan in (text.get("notebooks") or {}).items()}
    title, place = str(text.get("title", text["paper"])), int(text.get("place", 5))
    return Paper(text["paper"], title, place, notebooks, sections, str(text.get("bibtex", "")))


def _planned(file: Path, name: str, plan: Json) -> Planned:
    if unknown := set(plan) - {"after", "headline", "settings"}:
        raise DataError(f"{file}: notebook {name}: unknown field {min(unknown)!r}")
    return Planned(tuple(plan.get("after") or ()), tuple(plan.get("headline") or ()), plan.get("settings"))


def citations() -> str:
    """BibTeX of this package and of every paper."""
    from tinylib import __version__

    every = [paper.bibtex.strip() for paper in sorted(papers(), key=lambda paper: paper.name != "ours") if paper.bibtex]
    return "\n\n".join(every).replace("{VERSION}", f"{{{__version__}}}") + "\n"


def planned() -> dict[str, Planned]:
    """Every notebook that a paper lists, by name."""
    every = {name: plan for paper in papers() for name, plan in paper.notebooks.items()}
    return dict(sorted(every.items()))


def published(paper: str | None = None, ref: str | None = None) -> pd.DataFrame:
    """The papers' numbers: paper, ref, row, input, metric, value (None where not given), unit, note."""
    lines = facts("results", paper, ref)
    if not lines:
        raise UsageError(f"nothing is published under paper {paper!r}, ref {ref!r}")
    columns = list(dict.fromkeys(("paper", *SECTIONS["results"], "note")))
    columns += [name for name in dict.fromkeys(name for line in lines for name in line) if name not in columns]
    frame = pd.DataFrame(lines, columns=columns, dtype=object)
    return frame.where(frame.notna(), None)


def figures() -> pd.DataFrame:
    """The papers' figures: paper, ref, kind, shows, and the notebook that has our counterpart."""
    return pd.DataFrame(facts("figures"))


def facts(section: str, paper: str | None = None, ref: str | None = None) -> list[Fact]:
    """Lines of a section of all papers: 'tables', 'claims', 'contradictions', 'warnings', 'figures' or 'results'."""
    wanted = {name: value for name, value in (("paper", paper), ("ref", ref)) if value is not None}
    return [line for one in papers() for line in one.sections[section] if wanted.items() <= line.items()]
