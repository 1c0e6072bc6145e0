"""Every picture of the notebooks: functions from plain data to a matplotlib `Figure`, in one style.

They draw on `Figure` objects, never through pyplot, so nothing is global, nothing leaks, and no backend is needed.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import matplotlib.figure
import numpy as np
from cycler import cycler
from matplotlib import patches
from matplotlib.axes import Axes
from numpy.typing import NDArray

from tinylib.errors import UsageError
from tinylib.metrics import spearman

# Okabe-Ito: told apart by colour-blind readers, in print and on screen
BLUE, ORANGE, GREEN, PINK, YELLOW, SKY, BLACK = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#222222",
)
PALETTE = (BLUE, ORANGE, GREEN, PINK, YELLOW, SKY, BLACK)
STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#7b8794",
    "axes.labelcolor": "#323f4b",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e7eb",
    "xtick.color": "#52606d",
    "ytick.color": "#52606d",
    "legend.frameon": False,
    "axes.prop_cycle": cycler(color=PALETTE),
    "figure.dpi": 110,
    "image.cmap": "inferno",
}


styled = matplotlib.rc_context(STYLE)  # as a decorator


class Figure(matplotlib.figure.Figure):
    """A figure that a notebook shows as a picture whatever its backend is."""

    def _repr_png_(self) -> bytes:
        return png(self)


@styled
def png(figure: matplotlib.figure.Figure) -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format="png", bbox_inches="tight", facecolor="white")
    return data.getvalue()


def _axes(rows: int = 1, columns: int = 1, *, size: tuple[float, float], **sharing: Any) -> tuple[Figure, NDArray[Any]]:
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **sharing)


def _plain(axes: Axes) -> None:
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def banner(figure: matplotlib.figure.Figure, text: str) -> matplotlib.figure.Figure:
    """Say over the picture which data it is from, such as 'SynthVIRAT (synthetic): not the papers' videos'."""
    figure.suptitle(text, fontsize=9, color=ORANGE, x=0.01, ha="left")
    return figure


def _frame(clip: NDArray[np.uint8], at: float = 0.5) -> NDArray[np.uint8]:
    return clip[min(len(clip) - 1, int(at * len(clip)))] if clip.ndim == 4 else clip


@styled
def contact_sheet(
    clips: Mapping[str, NDArray[np.uint8]], *, columns: int = 6, same_scale: bool = False, width: float = 10.0
) -> Figure:
    """One frame a clip with its caption (TinyVIRAT Fig. 1, TinyAction Fig. 1); `same_scale` keeps relative sizes."""
    if not clips:
        raise UsageError("contact_sheet: no clips")
    columns = min(columns, len(clips))
    rows = -(-len(clips) // columns)
    figure, grid = _axes(rows, columns, size=(width, rows * (width / columns + 0.35)))
    side = max(max(clip.shape[-3:-1]) for clip in clips.values())
    for axes in grid.flat:
        _plain(axes)
    for axes, (caption, clip) in zip(grid.flat, clips.items(), strict=False):
        frame = _frame(clip)
        axes.imshow(frame, interpolation="nearest")
        if same_scale:
            axes.set_xlim(-0.5 - (side - frame.shape[1]) / 2, frame.shape[1] - 0.5 + (side - frame.shape[1]) / 2)
            axes.set_ylim(frame.shape[0] - 0.5 + (side - frame.shape[0]) / 2, -0.5 - (side - frame.shape[0]) / 2)
        axes.set_xlabel(_wrap(caption, round(150 / columns)), fontsize=7)
    return figure


def _wrap(text: str, width: int) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, width)[:3])


@styled
def side_by_side(clips: Mapping[str, NDArray[np.uint8]], *, moments: int = 4, height: float = 1.9) -> Figure:
    """The same moments of several versions of a clip, one version a row."""
    figure, grid = _axes(len(clips), moments, size=(moments * height, len(clips) * height))
    for row, (name, clip) in zip(grid, clips.items(), strict=True):
        for axes, at in zip(row, np.linspace(0, 0.999, moments), strict=True):
            axes.imshow(_frame(clip, float(at)), interpolation="nearest")
            _plain(axes)
        row[0].set_ylabel(_wrap(name, 24), fontsize=8)
    return figure


@styled
def attention_grid(
    base: Mapping[str, NDArray[np.uint8]], maps: Mapping[str, NDArray[np.uint8]], *, moments: int = 4
) -> Figure:
    """Input (and super-resolved) rows, then each coloured map laid over the last of them (TinyVIRAT Fig. 7)."""
    figure, grid = _axes(len(base) + len(maps), moments, size=(moments * 1.7, (len(base) + len(maps)) * 1.7))
    under = list(base.values())[-1]
    rows = [(name, clip, None) for name, clip in base.items()] + [(name, under, heat) for name, heat in maps.items()]
    for row, (name, clip, heat) in zip(grid, rows, strict=True):
        for axes, at in zip(row, np.linspace(0, 0.999, moments), strict=True):
            frame = _frame(clip, float(at))
            extent = (0, frame.shape[1], frame.shape[0], 0)
            axes.imshow(frame, interpolation="nearest", extent=extent)
            if heat is not None:
                axes.imshow(_frame(heat, float(at)), interpolation="bilinear", extent=extent, alpha=0.55)
            _plain(axes)
        row[0].set_ylabel(_wrap(name, 22), fontsize=8)
    return figure


@styled
def full_frame(
    frame: NDArray[np.uint8],
    boxes: Mapping[str, Sequence[float]],
    *,
    window: Sequence[float] | None = None,
    crop: NDArray[np.uint8] | None = None,
) -> Figure:
    """A whole frame with boxes (x0, y0, x1, y1 in pixels) and the window cut around them, the crop beside it."""
    ratio = frame.shape[1] / frame.shape[0]
    figure, grid = _axes(
        1, 1 if crop is None else 2, size=(10, 10 / ratio), width_ratios=None if crop is None else (3, 1)
    )
    axes = grid[0, 0]
    axes.imshow(frame)
    for number, (name, (x0, y0, x1, y1)) in enumerate(boxes.items()):
        colour = PALETTE[number % len(PALETTE)]
        axes.add_patch(patches.Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linewidth=1.6))
        axes.text(x0, y0 - 3, name, color="white", fontsize=7, backgroundcolor=colour)
    if window is not None:
        x0, y0, x1, y1 = window
        axes.add_patch(
            patches.Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=YELLOW, linewidth=2, linestyle="--")
        )
    if crop is not None:
        grid[0, 1].imshow(crop, interpolation="nearest")
        grid[0, 1].set_title(f"{crop.shape[1]}×{crop.shape[0]} px", fontsize=9)
    for each in grid.flat:
        _plain(each)
    return figure


@styled
def class_counts(counts: Mapping[str, Mapping[str, int]], *, title: str = "", log: bool = True) -> Figure:
    """Clips a class, a bar a source (TinyVIRAT Fig. 4, TinyAction Fig. 2); classes by the first source's counts."""
    names = sorted({n for of in counts.values() for n in of}, key=lambda n: (-next(iter(counts.values())).get(n, 0), n))
    figure, grid = _axes(size=(10, 1.0 + 0.21 * len(names) * (0.7 + 0.3 * len(counts))))
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
        axes.legend(loc="lower right", fontsize=9)
    return figure


@styled
def grouped_bars(
    series: Mapping[str, Mapping[str, float]], *, title: str = "", label: str = "", log: bool = False
) -> Figure:
    """Upright bars, one group a category (resolution bins, splits)."""
    names = list(dict.fromkeys(n for of in series.values() for n in of))
    figure, grid = _axes(size=(max(5.0, 1.1 * len(names)), 3.4))
    axes, thick = grid[0, 0], 0.8 / len(series)
    for number, (name, values) in enumerate(series.items()):
        at = np.arange(len(names)) + (number - (len(series) - 1) / 2) * thick
        axes.bar(
            at, [values.get(n, 0) or 0 for n in names], thick * 0.92, label=name, color=PALETTE[number % len(PALETTE)]
        )
    axes.set_xticks(range(len(names)), [_wrap(n, 14) for n in names], fontsize=8)
    axes.grid(axis="x", visible=False)
    axes.set(title=title, ylabel=label)
    if log:
        axes.set_yscale("log")
    if len(series) > 1:
        axes.legend(fontsize=9)
    return figure


@styled
def stacked_sizes(shares: Mapping[str, Mapping[str, Sequence[float]]], bins: Sequence[str]) -> Figure:
    """Per class the share of clips in each resolution bin, in per cent, one panel a source (TinyAction Fig. 3)."""
    names = list(next(iter(shares.values())))
    figure, grid = _axes(1, len(shares), size=(5.2 * len(shares) + 1, 0.9 + 0.24 * len(names)), sharey=True)
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
    figure, grid = _axes(1, 2, size=(10, 3.4))
    names = list(datasets)
    share = [100 * actor / frame for actor, frame in datasets.values()]
    bars = grid[0, 0].bar(range(len(names)), share, 0.65, color=[PALETTE[i % len(PALETTE)] for i in range(len(names))])
    grid[0, 0].bar_label(bars, [f"{v:.0f}%" for v in share], fontsize=8)
    grid[0, 0].set_xticks(range(len(names)), [_wrap(n, 13) for n in names], fontsize=8)
    grid[0, 0].set(title="actor size / frame size", ylabel="%")
    for number, (name, (actor, side)) in enumerate(datasets.items()):
        grid[0, 1].scatter(side, actor, s=60, color=PALETTE[number % len(PALETTE)])
        grid[0, 1].annotate(name, (side, actor), xytext=(6, 4), textcoords="offset points", fontsize=8)
    grid[0, 1].set(title="actor size against frame size", xlabel="frame side (px)", ylabel="actor side (px)")
    grid[0, 1].margins(0.15)
    return figure


@styled
def histograms(series: Mapping[str, Sequence[float]], *, bins: Any = 24, title: str = "", label: str = "") -> Figure:
    """Densities of lengths or sides, ours beside the real law; a series may be an (edges, counts) pair of arrays."""
    figure, grid = _axes(size=(6, 3.2))
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
    figure, grid = _axes(size=(10, 1.0 + 0.21 * len(names) * (0.7 + 0.3 * len(scores))))
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
    figure, grid = _axes(size=(7.5, 4.2))
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


@styled
def learning_curves(
    runs: Mapping[str, Sequence[Mapping[str, float]]], *, columns: Sequence[str] = ("loss",), x: str = "epoch"
) -> Figure:
    """One panel a column of the log, one line a run."""
    figure, grid = _axes(1, len(columns), size=(4.6 * len(columns), 3.2))
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
def confusion(table: NDArray[Any], classes: Sequence[str], *, title: str = "") -> Figure:
    """Rows: true class, columns: predicted, each row in per cent of its clips."""
    counts = np.asarray(table, float)
    share = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = max(4.0, 0.32 * len(classes) + 2)
    figure, grid = _axes(size=(side, side))
    axes = grid[0, 0]
    axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
    if len(classes) <= 30:
        for (row, column), value in np.ndenumerate(share):
            if value >= 0.5:
                colour = "white" if value > 55 else BLACK
                axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=7, color=colour)
    axes.set_xticks(range(len(classes)), classes, rotation=90, fontsize=7)
    axes.set_yticks(range(len(classes)), classes, fontsize=7)
    axes.set(title=title, xlabel="predicted (%)", ylabel="true")
    axes.grid(False)
    return figure


@styled
def timeline(spans: Sequence[tuple[str, float, float]], *, cuts: Sequence[tuple[float, float]] = ()) -> Figure:
    """Named spans (name, first, last frame) as bars, one row each, and below them the clips `cuts` out of them."""
    figure, grid = _axes(size=(10, 0.9 + 0.24 * (len(spans) + bool(cuts))))
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
