"""Numbers: counts, distributions, scores, curves, confusions, timelines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import matplotlib
import numpy as np
import seaborn
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from tinylib.evaluation.metrics import spearman
from tinylib.figures.style import BLACK, PALETTE, Figure, axes_grid, styled, wrap


@styled
def class_counts(counts: Mapping[str, Mapping[str, int]], *, title: str = "", log: bool = True) -> Figure:
    """Clips a class, a bar a source (TinyVIRAT Fig. 4, TinyAction Fig. 2); classes by the first source's counts."""
    names = sorted({n for of in counts.values() for n in of}, key=lambda n: (-next(iter(counts.values())).get(n, 0), n))
    figure, grid = axes_grid(size=(10, 1.0 + 0.21 * len(names) * (0.7 + 0.3 * len(counts))))
    return _bars(figure, grid[0, 0], names, counts, title=title, label="clips", log=log)


def _bars(
    figure: Figure,
    axes: Axes,
    names: Sequence[str],
    series: Mapping[str, Mapping[str, float]],
    *,
    title: str,
    label: str,
    log: bool = False,
    form: str = "{:,.0f}",
) -> Figure:
    thick = 0.8 / len(series)
    for number, (name, values) in enumerate(series.items()):
        at = np.arange(len(names)) + (number - (len(series) - 1) / 2) * thick
        lengths = [values.get(n, 0) or 0 for n in names]
        bars = axes.barh(at, lengths, thick * 0.92, label=name, color=PALETTE[number % len(PALETTE)])
        shown = [form.format(v) if v else "" for v in lengths]
        axes.bar_label(bars, shown, fontsize=6.5, padding=2, color="#52606d")
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.set(title=title, xlabel=label)
    if log:
        axes.set_xscale("log")
    axes.margins(x=0.08)
    if len(series) > 1:
        _legend_below(figure, axes, len(series))
    return figure


def _legend_below(figure: Figure, axes: Axes, columns: int) -> None:
    """Outside the axes, where no bar can be."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=min(columns, 4), fontsize=9)


@styled
def grouped_bars(
    series: Mapping[str, Mapping[str, float]], *, title: str = "", label: str = "", log: bool = False
) -> Figure:
    """Upright bars, one group a category (resolution bins, splits)."""
    names = list(dict.fromkeys(n for of in series.values() for n in of))
    figure, grid = axes_grid(size=(max(5.0, 1.1 * len(names)), 3.4))
    axes, thick = grid[0, 0], 0.8 / len(series)
    for number, (name, values) in enumerate(series.items()):
        at = np.arange(len(names)) + (number - (len(series) - 1) / 2) * thick
        axes.bar(
            at, [values.get(n, 0) or 0 for n in names], thick * 0.92, label=name, color=PALETTE[number % len(PALETTE)]
        )
    axes.set_xticks(range(len(names)), [wrap(n, 14) for n in names], fontsize=8)
    axes.grid(axis="x", visible=False)
    axes.set(title=title, ylabel=label)
    if log:
        axes.set_yscale("log")
    if len(series) > 1:
        _legend_below(figure, axes, len(series))
    return figure


@styled
def stacked_sizes(shares: Mapping[str, Mapping[str, Sequence[float]]], bins: Sequence[str]) -> Figure:
    """Per class the share of clips in each resolution bin, in per cent, one panel a source (TinyAction Fig. 3)."""
    names = list(next(iter(shares.values())))
    figure, grid = axes_grid(1, len(shares), size=(5.2 * len(shares) + 1, 0.9 + 0.24 * len(names)), sharey=True)
    shades = matplotlib.colormaps["viridis"](np.linspace(0.1, 0.95, len(bins)))
    for axes, (source, of) in zip(grid[0], shares.items(), strict=True):
        table = np.array([list(of.get(n, ())) or [0.0] * len(bins) for n in names], float)
        left = np.zeros(len(names))
        for number, name in enumerate(bins):
            axes.barh(range(len(names)), table[:, number], 0.8, left=left, color=shades[number], label=name)
            left += table[:, number]
        axes.set(title=source, xlabel="% of the class's clips", xlim=(0, 100))
        axes.grid(False)
    grid[0, 0].set_yticks(range(len(names)), names, fontsize=8)
    grid[0, 0].set_ylim(len(names) - 0.4, -0.6)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(bins), fontsize=8)
    return figure


@styled
def actor_sizes(datasets: Mapping[str, tuple[float, float]]) -> Figure:
    """TinyVIRAT Figs 2 and 3: actor size over frame size in per cent, and actor size against frame size in pixels.

    datasets: name -> (mean actor side, mean frame side), pixels.
    """
    figure, grid = axes_grid(1, 2, size=(10, 3.4))
    names = list(datasets)
    share = [100 * actor / frame for actor, frame in datasets.values()]
    bars = grid[0, 0].bar(range(len(names)), share, 0.65, color=[PALETTE[i % len(PALETTE)] for i in range(len(names))])
    grid[0, 0].bar_label(bars, [f"{v:.0f}%" for v in share], fontsize=8)
    grid[0, 0].set_xticks(range(len(names)), [wrap(n, 13) for n in names], fontsize=8)
    grid[0, 0].set(title="actor size / frame size", ylabel="%")
    for number, (name, (actor, side)) in enumerate(datasets.items()):
        grid[0, 1].scatter(side, actor, s=60, color=PALETTE[number % len(PALETTE)])
        grid[0, 1].annotate(name, (side, actor), xytext=(6, 4), textcoords="offset points", fontsize=8)
    grid[0, 1].set(title="actor size against frame size", xlabel="frame side (px)", ylabel="actor side (px)")
    grid[0, 1].margins(0.15)
    return figure


@styled
def histograms(
    series: Mapping[str, Sequence[float]], *, bins: int | str | Sequence[float] = 24, title: str = "", label: str = ""
) -> Figure:
    """Densities of lengths or sides, ours beside the real law; a series may be an (edges, counts) pair of arrays."""
    figure, grid = axes_grid(size=(6, 3.2))
    axes = grid[0, 0]
    for number, (name, values) in enumerate(series.items()):
        colour = PALETTE[number % len(PALETTE)]
        if isinstance(values, tuple):
            edges, counts = (np.asarray(part, float) for part in values)
            axes.stairs(counts / (counts.sum() * np.diff(edges)), edges, color=colour, linewidth=2, label=name)
        elif len(values):
            axes.hist(values, bins=bins, density=True, alpha=0.55, color=colour, label=f"{name} (n = {len(values):,})")
    axes.set(title=title, xlabel=label, ylabel="density")
    axes.legend(fontsize=8)
    return figure


@styled
def class_scores(scores: Mapping[str, Mapping[str, float]], *, title: str = "", label: str = "F1") -> Figure:
    """A score a class, one bar a model (TinyAction Fig. 4)."""
    names = list(dict.fromkeys(n for of in scores.values() for n in of))
    figure, grid = axes_grid(size=(10, 1.0 + 0.21 * len(names) * (0.7 + 0.3 * len(scores))))
    return _bars(figure, grid[0, 0], names, scores, title=title, label=label, form="{:.2f}")


@styled
def scatter(
    points: Mapping[str, Mapping[str, tuple[float, float]]],
    *,
    x: str,
    y: str = "F1",
    log: bool = False,
    title: str = "",
) -> Figure:
    """A class's score against something of the class, a colour a model, with Spearman's rho (TinyAction Figs 5, 6).

    points: model -> class -> (x, y).
    """
    figure, grid = axes_grid(size=(7.5, 4.2))
    axes = grid[0, 0]
    for number, (model, of) in enumerate(points.items()):
        values = np.array(list(of.values()), float).reshape(-1, 2)
        rho, low, high = spearman(values[:, 0], values[:, 1])
        label = f"{model}: ρ = {rho:+.2f} [{low:+.2f}, {high:+.2f}]" if np.isfinite(rho) else f"{model}: ρ undefined"
        marker = "os^Dv"[number % 5]
        axes.scatter(*values.T, s=34, alpha=0.85, marker=marker, color=PALETTE[number % len(PALETTE)], label=label)
        if number == 0:
            for name, (at, score) in of.items():
                axes.annotate(name, (at, score), xytext=(3, 3), textcoords="offset points", fontsize=6, color="#7b8794")
    axes.set(title=title, xlabel=x, ylabel=y)
    if log:
        axes.set_xscale("log")
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.14))
    return figure


def pareto(points: Sequence[tuple[float, float]], *, cheap: Literal["low", "high"] = "low") -> list[int]:
    """Places of the (cost, score) that none beats: nothing else is as cheap and as good, and better in one. By cost.

    cheap: whether a low cost is the good one (GMACs) or a high one (clips a second). Of equal points the first counts.
    """
    sign = 1 if cheap == "low" else -1
    best, unbeaten = -np.inf, []
    for place in sorted(range(len(points)), key=lambda i: (sign * points[i][0], -points[i][1])):
        if points[place][1] > best:
            best = points[place][1]
            unbeaten.append(place)
    return unbeaten


@styled
def frontier(
    points: Mapping[str, Sequence[tuple[str, float, float, float, float]]],
    *,
    x: str,
    y: str = "F1",
    cheap: Literal["low", "high"] = "low",
    title: str = "",
) -> Figure:
    """Scores with intervals against what they cost, a line a method through its sizes, and the points none beats.

    points: method -> (size, cost, score, low, high), in order; bounds may be NaN. Cost is on a log axis, cheap to the
    left; the stepped line bounds what can be had at each cost (`pareto`).
    """
    figure, grid = axes_grid(size=(7.5, 4.6))
    axes = grid[0, 0]
    everything = [(cost, score) for rows in points.values() for _, cost, score, *_ in rows]
    unbeaten = [everything[i] for i in pareto(everything, cheap=cheap)]
    axes.set_xscale("log")
    for number, (name, rows) in enumerate(points.items()):
        colour = PALETTE[number % len(PALETTE)]
        cost, score, low, high = np.array([row[1:] for row in rows], float).reshape(-1, 4).T
        known = ~np.isnan(low)
        spread = [np.maximum(score - low, 0)[known], np.maximum(high - score, 0)[known]]
        axes.errorbar(cost[known], score[known], spread, fmt="none", ecolor=colour, elinewidth=1, alpha=0.4)
        axes.plot(cost, score, color=colour, marker="os^Dv"[number % 5], markersize=5, linewidth=1, label=name)
        for size, *place in ((row[0], row[1], row[2]) for row in rows):
            axes.annotate(size, place, xytext=(4, 4), textcoords="offset points", fontsize=7, color=colour)
    if unbeaten:
        dearest = (max if cheap == "low" else min)(cost for cost, _ in everything)
        stairs = [*unbeaten, (dearest, unbeaten[-1][1])]
        axes.step(*zip(*stairs, strict=True), where="post", color=BLACK, linewidth=1, linestyle=":", label="frontier")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    if cheap == "high":
        axes.invert_xaxis()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.legend(fontsize=8)
    return figure


@styled
def learning_curves(
    runs: Mapping[str, Sequence[Mapping[str, float]]], *, columns: Sequence[str] = ("loss",), x: str = "epoch"
) -> Figure:
    """One panel a column of the log, one line a run."""
    figure, grid = axes_grid(1, len(columns), size=(4.6 * len(columns), 3.2))
    for axes, column in zip(grid[0], columns, strict=True):
        for number, (name, rows) in enumerate(runs.items()):
            points = [(row[x], row[column]) for row in rows if x in row and column in row]
            if points:
                axes.plot(*zip(*points, strict=True), color=PALETTE[number % len(PALETTE)], marker=".", label=name)
        axes.set(title=column, xlabel=x)
    if any(runs) and grid[0, 0].lines:
        grid[0, 0].legend(fontsize=8)
    return figure


@styled
def confusion(table: NDArray[np.generic], classes: Sequence[str], *, title: str = "") -> Figure:
    """Rows: true class, columns: predicted, each row in per cent of its clips."""
    counts = np.asarray(table, float)
    share = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = max(4.0, 0.32 * len(classes) + 2)
    figure, grid = axes_grid(size=(side, side))
    axes = grid[0, 0]
    few = len(classes) <= 30  # else numbers would not be legible
    shown = np.vectorize("{:.0f}".format)(share)
    shown[share < 0.5] = ""
    seaborn.heatmap(
        share, ax=axes, cmap="Blues", vmin=0, vmax=100, square=True, cbar=False, annot=shown if few else None, fmt="",
        annot_kws={"fontsize": 7}, xticklabels=False, yticklabels=False,
    )  # fmt: skip
    middles = np.arange(len(classes)) + 0.5  # seaborn would measure the names, and read some as formulas
    axes.set_xticks(middles, classes)
    axes.set_yticks(middles, classes)
    axes.tick_params(labelsize=7)
    axes.tick_params(axis="x", rotation=90)
    axes.tick_params(axis="y", rotation=0)
    axes.set(title=title, xlabel="predicted (%)", ylabel="true")
    axes.grid(False)
    return figure


@styled
def timeline(spans: Sequence[tuple[str, float, float]], *, cuts: Sequence[tuple[float, float]] = ()) -> Figure:
    """Named spans (name, first, last frame) as bars, one row each, and below them the clips `cuts` out of them."""
    figure, grid = axes_grid(size=(10, 0.9 + 0.24 * (len(spans) + bool(cuts))))
    axes = grid[0, 0]
    colours = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(dict.fromkeys(name for name, *_ in spans))}
    for row, (name, first, last) in enumerate(spans):
        axes.barh(row, last - first + 1, left=first, height=0.7, color=colours[name])
    for first, last in cuts:
        axes.barh(len(spans), last - first + 1, left=first, height=0.7, color="none", edgecolor="black", linewidth=1.1)
    names = [name for name, *_ in spans] + ["clips"] * bool(cuts)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("frame of the source video")
    return figure
