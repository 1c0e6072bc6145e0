"""The papers against ours at one look: what became of their orderings, and their gaps against ours."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

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


VERDICT = {  # of `comparison.known_for` -> colour and word
    "yes": (BLUE, "holds"),
    "open": ("#6b7680", "open"),
    "no": (ORANGE, "reversed"),
    "": ("#9aa5b1", "not measured"),
}
REACH = 1.6  # the axis ends so many times the widest of ours; a gain beyond it is an arrow


@styled
def headline(known_for: pd.DataFrame, gaps: pd.DataFrame) -> Figure:
    """The report at a glance: all orderings as one bar, and each paper's claims, their gain against ours.

    known_for: `comparison.known_for`; gaps: `comparison.gaps`. Diamond: the paper's gain; dot with its 95% interval:
    ours, coloured by what became of the claim.
    """
    claims = known_for.to_dict("records")
    papers = list(dict.fromkeys(known_for["title"]))
    height = 1.9 + 0.34 * len(claims) + 0.42 * len(papers)
    figure = Figure(figsize=(10.5, height))
    _bar(figure.add_axes((0.02, 1 - 0.98 / height, 0.96, 0.42 / height)), gaps)
    axes = figure.add_axes((0.40, 0.62 / height, 0.28, 1 - 2.0 / height))
    ends = known_for[["low", "high", "our gain"]].to_numpy(float)
    widest = REACH * float(np.nanmax(np.abs(ends))) if np.isfinite(ends).any() else 0.0
    limit = max(5.0, widest, float(known_for["their gain"].median()) * REACH)
    place = 0.0
    for number, claim in enumerate(claims):
        if number == 0 or claims[number - 1]["title"] != claim["title"]:
            axes.text(
                -1.42, place + 0.1, claim["title"], transform=axes.get_yaxis_transform(), weight="bold", va="center"
            )
            place += 1.05
        _claim(axes, claim, place, limit)
        place += 0.95
    axes.set(xlim=(-limit, limit), ylim=(place - 0.3, -0.6), yticks=[])
    axes.set_xlabel("gain in points: left of the line the claim is reversed", fontsize=9)
    axes.axvline(0, color=BLACK, linewidth=1, zorder=1)
    axes.spines["left"].set_visible(False)
    axes.grid(False, axis="y")
    for x, words in ((1.06, "◇ paper"), (1.30, "● ours, 95% interval"), (1.94, "the claim")):
        axes.text(x, -0.25, words, transform=axes.get_yaxis_transform(), fontsize=8.5, color="#52606d", va="center")
    return figure


def _bar(axes: Axes, gaps: pd.DataFrame) -> None:
    """All orderings that were measured, as one bar of three parts with their counts."""
    counts = [int((gaps["held"] == answer).sum()) for answer in ("yes", "open", "no")]
    left = 0
    for count, (colour, words) in zip(counts, (SAID[answer] for answer in ("yes", "open", "no")), strict=True):
        axes.barh(0, count, left=left, color=colour)
        if count > 0.07 * sum(counts):
            ink = BLACK if words == "open" else "white"
            axes.text(left + count / 2, 0, f"{count} {words.removeprefix('is ')}".replace("holds", "hold"), color=ink,
                      ha="center", va="center", weight="bold")  # fmt: skip
        left += count
    whole = sum(counts)
    title = (
        f"{whole} orderings of the papers measured: {counts[0]} hold, {counts[2]} are reversed, {counts[1]} are open"
    )
    axes.set_title(title if whole else "No ordering of the papers has been measured yet", fontsize=13)
    axes.set_xlim(0, max(1, whole))
    axes.axis("off")


def _claim(axes: Axes, claim: Mapping[Hashable, Any], place: float, limit: float) -> None:
    """One line: words, the paper's diamond, our dot with its interval, numbers, verdict."""
    colour, words = VERDICT[claim["held"]]
    beside = axes.get_yaxis_transform()
    axes.text(-1.38, place, claim["says"], transform=beside, fontsize=9.5, va="center")
    for key, marker, face in (("their gain", "D", "white"), ("our gain", "o", colour)):
        value = claim[key]
        if not np.isfinite(value):
            continue
        arrow = ">" if value > limit else "<" if value < -limit else marker
        edge = "#6b7680" if key == "their gain" else colour
        at = float(np.clip(value, -0.97 * limit, 0.97 * limit))
        axes.plot(at, place, arrow, markersize=6.5, markerfacecolor=face, markeredgecolor=edge, zorder=3)
    if np.isfinite(claim["low"]):
        ends = np.clip([claim["low"], claim["high"]], -limit, limit)
        axes.plot(ends, [place, place], color=colour, linewidth=2.2, solid_capstyle="round", zorder=2)
    axes.text(1.06, place, f"{claim['their gain']:+.1f}", transform=beside, fontsize=9.5, va="center")
    if np.isfinite(claim["our gain"]):
        interval = f" [{claim['low']:+.1f}, {claim['high']:+.1f}]" if np.isfinite(claim["low"]) else ""
        axes.text(1.30, place, f"{claim['our gain']:+.1f}{interval}", transform=beside, fontsize=9.5, va="center")
    said = f"{words} ({claim['judged']})" if claim["judged"] not in ("paired", "") else words
    axes.text(1.94, place, said, transform=beside, fontsize=9.5, color=colour, weight="bold", va="center")
