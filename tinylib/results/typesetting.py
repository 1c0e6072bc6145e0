"""A paper's table with ours beside it, typeset for a paper, a page or a spreadsheet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pandas as pd

from tinylib.errors import UsageError
from tinylib.evaluation.intervals import spelled
from tinylib.results.comparison import DIGITS, Run, collect, provenance, stand_in
from tinylib.results.paper_files import facts, papers
from tinylib.results.rows import Row
from tinylib.results.verdicts import decided

Format = Literal["latex", "csv", "md", "html"]
FORMATS: tuple[Format, ...] = ("latex", "csv", "md", "html")
BELOW = "†"
LEGEND = f"Bold: the best of a column. {BELOW}: below ours in bold by more than luck (95% interval of the difference)."


@dataclass(frozen=True)
class Cell:
    """One number of a table; `source` is 'paper', or the run it is from, and values are in the paper's unit."""

    source: str
    row: str
    input: str
    metric: str
    unit: str
    value: float | str | None
    low: float | None = None
    high: float | None = None
    seeds: int | None = None
    n: int | None = None
    data: str = ""
    profile: str = ""
    commit: str = ""
    best: bool = False
    below: bool = False  # decidedly below the best of its column


def typeset(paper: str, ref: str, folders: Iterable[str | Path] = (), form: Format = "md") -> str:
    """The table as text: booktabs LaTeX, Markdown, HTML, or CSV with a line a number.

    Ours come from the results below `folders`, with 95% intervals. In tables whose rows compete the best of a column is
    bold, and ours that are decidedly below the best of ours are marked. UsageError lists the tables that there are.
    """
    if form not in FORMATS:
        raise UsageError(f"format {form!r}: expected one of {', '.join(FORMATS)}")
    runs = collect(folders)
    cells = table_cells(paper, ref, runs)
    if form == "csv":
        return pd.DataFrame(cells).to_csv(index=False)
    caption = f"{_title(paper)}, {ref}. {provenance(paper, ref, runs)}"
    for run in runs:
        sizes = stand_in(paper, ref, run.raw(paper, ref))
        caption += "".join(f" {run.name}: ours at {mine} stands at {theirs}." for mine, theirs in sizes.items())
    if any(cell.best for cell in cells):
        caption += f" {LEGEND}"
    wide, bold, said = _wide(cells)
    return _WRITERS[form](wide, bold, f"{said}{caption}")


def table_cells(paper: str, ref: str, runs: Iterable[Run]) -> list[Cell]:
    """Every number of the table, the paper's first, then each run's."""
    printed = facts("results", paper, ref)
    with_rows = [(run, rows) for run in runs if (rows := run.of(paper, ref))]
    if not printed and not with_rows:
        refs = sorted(
            {line["ref"] for line in facts("results", paper)}
            | {r.ref for run in runs for r in run.rows if r.paper == paper}
        )
        if not refs:
            raise UsageError(f"no paper {paper!r}; there are {', '.join(one.name for one in papers())}")
        raise UsageError(f"{paper} has no {ref!r} here; there are {', '.join(refs)}")
    unit_of = {(line["row"], line["input"], line["metric"]): str(line["unit"]) for line in printed}
    usual = str(printed[0]["unit"]) if printed else "ratio"
    metrics = {line["metric"] for line in printed}
    contest = not printed or any(line["contest"] for line in facts("tables", paper, ref))
    cells = [
        Cell("paper", line["row"], line["input"], line["metric"], str(line["unit"]), line["value"]) for line in printed
    ]
    cells = _marked(cells, {}) if contest else cells
    for run, rows in with_rows:
        for setting in dict.fromkeys((row.data, row.profile) for row in rows):
            same = [
                row for row in rows if (row.data, row.profile) == setting and (not metrics or row.metric in metrics)
            ]
            ours = {cell: row for row in same for cell in [_cell(run.name, row, unit_of, usual)]}
            cells += _marked(list(ours), ours) if contest else list(ours)
    return cells


def _cell(source: str, row: Row, unit_of: dict[tuple[str, str, str], str], usual: str) -> Cell:
    unit = unit_of.get((row.row, row.input, row.metric), usual)
    scale = 100.0 if unit == "%" else 1.0
    low, high = (None if bound is None else scale * bound for bound in (row.low, row.high))
    about = (row.seeds, row.n, row.data, row.profile, row.commit)
    return Cell(source, row.row, row.input, row.metric, unit, scale * row.value, low, high, *about)


def _marked(cells: list[Cell], rows: dict[Cell, Row]) -> list[Cell]:
    """The same cells, the best of each column (input and metric) and those decidedly below it marked."""
    highest: dict[tuple[str, str], Cell] = {}
    count: dict[tuple[str, str], int] = {}
    for cell in cells:
        if isinstance(cell.value, int | float) and cell.value == cell.value:
            column = (cell.input, cell.metric)
            count[column] = count.get(column, 0) + 1
            if column not in highest or cell.value > float(highest[column].value or 0):
                highest[column] = cell
    marked = []
    for cell in cells:
        best = highest.get((cell.input, cell.metric))
        if best is None or count[cell.input, cell.metric] < 2 or not isinstance(cell.value, int | float):
            marked.append(cell)
        elif cell.value == best.value:
            marked.append(replace(cell, best=True))
        else:
            marked.append(replace(cell, below=bool(rows) and decided(rows[best], rows[cell])))
    return marked


def _wide(cells: list[Cell]) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Rows by columns of texts, which of them are bold, and what all columns share in words."""
    levels = {
        "input": [cell.input for cell in cells],
        "metric": [f"{cell.metric} ({cell.unit})" if cell.unit == "%" else cell.metric for cell in cells],
        "source": [_source(cell, cells) for cell in cells],
    }
    shared = [values[0] for name, values in levels.items() if len(set(values)) == 1 and name != "source"]
    used = [name for name, values in levels.items() if len(set(values)) > 1 or name == "source"]
    keys = list(zip(*(levels[name] for name in used), strict=True))
    first = {part: place for place, part in reversed(list(enumerate([k[:-1] for k in keys])))}
    columns = sorted(dict.fromkeys(keys), key=lambda key: first[key[:-1]])
    rows = list(dict.fromkeys(cell.row for cell in cells))
    index = pd.MultiIndex.from_tuples(columns) if len(used) > 1 else pd.Index([key[0] for key in columns])
    text = pd.DataFrame("", index=rows, columns=index)
    bold = pd.DataFrame(False, index=rows, columns=index)
    for cell, key in zip(cells, keys, strict=True):
        place = (rows.index(cell.row), columns.index(key))
        text.iloc[place] = _spelled(cell)
        bold.iloc[place] = cell.best
    return text, bold, f"{', '.join(shared)}. " * bool(shared)


def _source(cell: Cell, cells: list[Cell]) -> str:
    """'paper', 'ours', or ours with what tells several apart."""
    if cell.source == "paper":
        return "paper"
    several = {(other.source, other.profile, other.data) for other in cells if other.source != "paper"}
    names = ("source", "profile", "data")
    differ = [name for place, name in enumerate(names) if len({key[place] for key in several}) > 1]
    return "ours" + f" ({', '.join(str(getattr(cell, name)) for name in differ)})" * bool(differ)


def _spelled(cell: Cell) -> str:
    if cell.value is None:
        return "–"
    if isinstance(cell.value, str | bool):
        return str(cell.value)
    if cell.source == "paper":
        return f"{cell.value:g}" if cell.unit in DIGITS else f"{cell.value:,.6g}"
    bounds = (float("nan") if bound is None else bound for bound in (cell.low, cell.high))
    text = spelled(cell.value, *bounds, digits=DIGITS[cell.unit]) if cell.unit in DIGITS else f"{cell.value:,.6g}"
    return text + BELOW * cell.below


def _title(paper: str) -> str:
    return next((one.title for one in papers() if one.name == paper), paper)


def _latex(wide: pd.DataFrame, bold: pd.DataFrame, caption: str) -> str:
    """A `table` with booktabs' rules; needs \\usepackage{booktabs}."""
    style = wide.style.apply(lambda _: _css(bold), axis=None).format(_for_latex)
    style = style.format_index(_for_latex, axis=0).format_index(_for_latex, axis=1)
    left = "l" + "r" * len(wide.columns)
    return style.to_latex(
        hrules=True, column_format=left, multicol_align="c", caption=_for_latex(caption), position="t",
        position_float="centering", convert_css=True,
    )  # fmt: skip


LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "|": r"\textbar{}"}
LATEX |= {
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    BELOW: r"\textsuperscript{\dag}",
    "–": "--",
    "·": r"\textperiodcentered{}",
}
LATEX |= {mark: f"\\{mark}" for mark in "&%$#_{}"} | {"×": r"$\times$", "ρ": r"$\rho$"}


def _for_latex(text: object) -> str:
    return "".join(LATEX.get(letter, letter) for letter in str(text))


def _html(wide: pd.DataFrame, bold: pd.DataFrame, caption: str) -> str:
    import html

    style = wide.style.apply(lambda _: _css(bold), axis=None).format(escape="html")
    style = style.format_index(escape="html", axis=0).format_index(escape="html", axis=1)
    return style.set_caption(html.escape(caption)).to_html()


def _css(bold: pd.DataFrame) -> pd.DataFrame:
    return bold.map(lambda best: "font-weight: bold" if best else "")


def _markdown(wide: pd.DataFrame, bold: pd.DataFrame, caption: str) -> str:
    text = wide.where(~bold, "**" + wide + "**").map(_for_markdown)
    text.index = pd.Index([_for_markdown(name) for name in text.index])
    heads = [name if isinstance(name, str) else ", ".join(name) for name in text.columns]
    text.columns = pd.Index([_for_markdown(name) for name in heads])
    return f"{text.to_markdown(disable_numparse=True)}\n\n{_for_markdown(caption)}\n"


def _for_markdown(text: str) -> str:
    return re.sub(r"([|<_\\])", r"\\\1", text)


_WRITERS: dict[str, Callable[[pd.DataFrame, pd.DataFrame, str], str]] = {
    "latex": _latex,
    "md": _markdown,
    "html": _html,
}
