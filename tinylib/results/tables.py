"""Result rows, the published numbers, and the tables that put them side by side."""

from __future__ import annotations

import html
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING

import pandas as pd

from tinylib.datasets.sources import is_synthetic
from tinylib.results.paper_files import JOIN, published
from tinylib.results.rows import Row

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler


def table(paper: str, ref: str, rows: Iterable[Row]) -> pd.DataFrame:
    """The paper's table with ours beside it, in the paper's unit: row, input, metric, paper, ours, low, high, gap, ...

    Rows of ours that the paper does not have come after its own. Two runs of one key (profiles, datasets) make two
    lines. `attrs["banner"]` says what the numbers are from; `shown` prints it above the table.
    """
    printed = published(paper, ref)[[*JOIN, "value", "unit", "note"]].rename(columns={"value": "paper"})
    mine = [row for row in rows if (row.paper, row.ref) == (paper, ref)]
    names = [*JOIN, "value", "low", "high", "seeds", "n", "data", "profile"]
    ours = pd.DataFrame([{name: getattr(row, name) for name in names} for row in mine], columns=names)
    joined = printed.merge(ours.rename(columns={"value": "ours"}), on=JOIN, how="outer", sort=False)
    place = {tuple(key): i for i, key in enumerate(printed[JOIN].itertuples(index=False, name=None))}
    order = [place.get(key, len(place)) for key in joined[JOIN].itertuples(index=False, name=None)]
    joined = joined.assign(_order=order).sort_values("_order", kind="stable", ignore_index=True)
    unit = joined["unit"].where(joined["unit"].notna(), printed["unit"].iloc[0])
    scale = unit.map(lambda name: 100.0 if name == "%" else 1.0)
    for name in ("ours", "low", "high"):
        joined[name] = pd.to_numeric(joined[name]) * scale
    joined["unit"] = unit
    joined["gap"] = joined["ours"] - pd.to_numeric(joined["paper"], errors="coerce")
    columns = [*JOIN, "unit", "paper", "ours", "low", "high", "gap", "seeds", "n", "data", "profile", "note"]
    result = joined[columns]
    result.attrs["banner"] = banner(mine)
    return result


def banner(rows: Iterable[Row]) -> str:
    """One sentence on what numbers are from, to stand above every table of them."""
    rows = list(rows)
    if not rows:
        return "No run of ours yet: the paper's numbers alone."
    data = sorted({row.data for row in rows})
    profiles = sorted({row.profile for row in rows})
    said = f"Ours: {', '.join(data)}, profile {', '.join(profiles)}."
    if any(map(is_synthetic, data)):
        said += (
            " SynthVIRAT is synthetic video of our own: compare orderings and gaps with the paper's, not values;"
            " nothing here is a reproduced number."
        )
    return said


def shown(frame: pd.DataFrame, *, digits: int = 2) -> Styler:
    """`frame` for a notebook: its banner as the caption, numbers rounded, gaps and blanks quiet, names as text."""
    style = frame.style.format(precision=digits, na_rep="", escape="html").hide(axis="index")
    style = style.format_index(escape="html", axis=1)
    words: list[Hashable] = [name for name in frame.columns if frame[name].map(_is_words).any()]
    style = style.set_properties(subset=words, **{"text-align": "left"})
    return style.set_caption(html.escape(frame.attrs["banner"])) if "banner" in frame.attrs else style


def _is_words(value: object) -> bool:
    return isinstance(value, str) and any(letter.isalpha() for letter in value)
