"""What an ensemble is made of: steps of a waterfall, scores against thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tinylib.evaluation.metrics import precision_recall_f1
from tinylib.figures.style import BLACK, BLUE, GREEN, ORANGE, PINK, SKY, Figure, axes_grid, styled, wrap


@styled
def waterfall(table: pd.DataFrame, *, title: str = "", label: str = "F1") -> Figure:
    """Each step of `ensemble.waterfall` as a bar from the value before to its own, with the interval of the gain.

    The first bar stands on 0 with the interval of its value, and so does a last one for the whole.
    """
    rows = table.to_dict("records")
    names = [str(row["step"]) for row in rows] + ["all together"]
    figure, grid = axes_grid(size=(max(6.0, 1.25 * len(names) + 1), 4.0))
    axes, before = grid[0, 0], 0.0
    for at, row in enumerate(rows):
        first, value = at == 0, float(row["F1"])
        change = value - before
        colour = BLUE if first else GREEN if change >= 0 else ORANGE
        axes.bar(at, change, 0.7, bottom=before, color=colour)
        low, high = (row["low"], row["high"]) if first else (before + row["gain low"], before + row["gain high"])
        _whisker(axes, at, low, high)
        text = f"{value:.3f}" if first else f"{change:+.3f}"
        axes.annotate(text, (at, np.nanmax([value, before, high])), xytext=(0, 3), textcoords="offset points",
                      ha="center", fontsize=8)  # fmt: skip
        axes.plot([at + 0.35, at + 0.65], [value, value], color=BLACK, linewidth=0.7)
        before = value
    axes.bar(len(rows), before, 0.7, color=BLUE)
    _whisker(axes, len(rows), rows[-1]["low"], rows[-1]["high"])
    axes.annotate(f"{before:.3f}", (len(rows), np.nanmax([before, rows[-1]["high"]])), xytext=(0, 3),
                  textcoords="offset points", ha="center", fontsize=8)  # fmt: skip
    axes.set_xticks(range(len(names)), [wrap(name, 15) for name in names], fontsize=8)
    axes.grid(axis="x", visible=False)
    axes.margins(y=0.12)
    axes.set(title=title, ylabel=label)
    return figure


def _whisker(axes: object, at: float, low: float, high: float) -> None:
    if np.isfinite(low) and np.isfinite(high):
        axes.plot([at, at], [low, high], color=BLACK, linewidth=1.4)  # type: ignore[attr-defined]


def threshold_table(scores: ArrayLike, targets: ArrayLike, column: int, *, points: int = 201) -> pd.DataFrame:
    """Precision, recall and F1 of one class at thresholds from 0 to 1: columns threshold, precision, recall, f1."""
    values, truth = np.asarray(scores, dtype=np.float64)[:, [column]], np.asarray(targets)[:, [column]]
    cuts = np.linspace(0, 1, points)
    rates = np.stack([precision_recall_f1(values, truth, threshold=cut) for cut in cuts])
    return pd.DataFrame({"threshold": cuts} | {k: rates[:, i] for i, k in enumerate(("precision", "recall", "f1"))})


@styled
def threshold_curves(
    scores: ArrayLike,
    targets: ArrayLike,
    classes: Sequence[str],
    thresholds: Mapping[str, ArrayLike],
    *,
    columns: int = 5,
    title: str = "",
) -> Figure:
    """Precision, recall and F1 of every class against its threshold, the given thresholds as upright lines.

    thresholds: name -> one number, or one a class. Classes without a positive clip have no curves.
    """
    truth = np.asarray(targets)
    rows = -(-len(classes) // columns)
    figure, grid = axes_grid(rows, columns, size=(2.3 * columns, 1.75 * rows + 0.6), sharex=True, sharey=True)
    colours = (BLACK, PINK, SKY)
    for number, axes in enumerate(grid.flat):
        axes.set_visible(number < len(classes))
        if number >= len(classes):
            continue
        positives = int(truth[:, number].sum())
        if positives:
            curve = threshold_table(scores, truth, number, points=101)
            for name, colour, width in (("precision", ORANGE, 0.9), ("recall", GREEN, 0.9), ("f1", BLUE, 1.8)):
                label = name if number == 0 else None
                axes.plot(curve["threshold"], curve[name], color=colour, linewidth=width, label=label)
        for place, (name, values) in enumerate(thresholds.items()):
            at = float(np.broadcast_to(np.asarray(values, dtype=float), len(classes))[number])
            colour, label = colours[place % len(colours)], name if number == 0 else None
            axes.axvline(at, color=colour, linestyle="--", linewidth=1, label=label)
        axes.set_title(f"{classes[number]} ({positives})", fontsize=7)
        axes.set(xlim=(0, 1), ylim=(0, 1.02))
        axes.tick_params(labelsize=6)
    handles, names = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), fontsize=8)
    if title:
        figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    return figure
