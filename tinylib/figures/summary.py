"""The papers against ours at one look: what became of their orderings, and their gaps against ours."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tinylib.figures.style import BLACK, BLUE, ORANGE, PALETTE, Figure, axes_grid, styled

SAID = {  # column of `comparison.verdicts` -> colour and words
    "yes": (BLUE, "holds"),
    "open": ("#b8c0c8", "open"),
    "no": (ORANGE, "is reversed"),
    "not measured": ("#e9edf1", "not measured"),
}


@styled
def verdicts(table: pd.DataFrame, *, title: str = "The papers' orderings in our runs") -> Figure:
    """One bar a table: shares of its orderings that hold, are open, reversed or not measured (`verdicts`)."""
    lines = [line for line in table.to_dict("records") if line["orderings"]]
    figure, grid = axes_grid(size=(9, 1.3 + 0.32 * max(1, len(lines))))
    axes = grid[0, 0]
    left = np.zeros(len(lines))
    whole = np.array([line["orderings"] for line in lines], float)
    for name, (colour, words) in SAID.items():
        counts = np.array([line[name] for line in lines], float)
        share = 100 * counts / whole
        bars = axes.barh(range(len(lines)), share, 0.72, left=left, color=colour, label=words)
        axes.bar_label(bars, [f"{int(n)}" if n else "" for n in counts], label_type="center", fontsize=8, color=BLACK)
        left += share
    several = table.groupby(["paper", "ref"]).size().max() > 1 if len(table) else False
    names = [f"{line['paper']} {line['ref']}" for line in lines]
    names = [f"{name} · {line['profile']} {line['data']}" if several and line["data"] else name
             for name, line in zip(names, lines, strict=True)]  # fmt: skip
    axes.set_yticks(range(len(lines)), names, fontsize=8)
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set(title=title, xlabel="% of the orderings that the table states (numbers: how many)", xlim=(0, 100))
    axes.grid(False)
    if lines:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(SAID), fontsize=8)
    return figure


@styled
def paper_gaps(table: pd.DataFrame) -> Figure:
    """Each measured ordering: the paper's gap against ours, in points (`comparison.gaps`); filled if decided."""
    figure, grid = axes_grid(size=(7.5, 4.4))
    axes = grid[0, 0]
    axes.axhline(0, color=BLACK, linewidth=1)
    for number, ((paper, ref), group) in enumerate(table.groupby(["paper", "ref"], sort=False)):
        colour, marker = PALETTE[number % len(PALETTE)], "os^Dv<>Pp"[number % 9]
        sure = group["held"].isin(["yes", "no"]).to_numpy()
        x, y = group["paper gap"].to_numpy(float), group["our gap"].to_numpy(float)
        for part, face in ((sure, colour), (~sure, "none")):
            axes.scatter(x[part], y[part], s=30, marker=marker, facecolor=face, edgecolor=colour, alpha=0.9)
        axes.scatter([], [], s=30, marker=marker, color=colour, label=f"{paper} {ref}")
    if not len(table):
        axes.text(0.5, 0.6, "nothing measured yet", transform=axes.transAxes, ha="center", color="#52606d")
    else:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    axes.set(title="Above the line: ours orders as the paper does", xlabel="the paper's gap (points)")
    axes.set_ylabel("ours (points)")
    axes.set_xlim(left=0)
    return figure
