"""Attention in time, features in two dimensions, gains against resolution (STAT, Figs 5 and 6, Table 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinylib.errors import UsageError
from tinylib.figures.style import BLACK, PALETTE, Figure, axes_grid, plain, styled, wrap

MARKERS = "os^Dv<>P*X"


@styled
def interval_attention(
    frames: Mapping[str, NDArray[np.uint8]],
    maps: Mapping[str, NDArray[np.generic]],
    weights: Mapping[str, ArrayLike],
    *,
    truth: NDArray[np.bool_] | None = None,
) -> Figure:
    """A network a block: what it sees, where it looks, and a bar of how much each interval counts (STAT, Fig. 5).

    frames: name -> (K, H, W, 3), one picture an interval; maps: name -> (K, h, w), coloured over the network's own
    range; weights: name -> (K,), summing to 1, in one scale for all. truth: (K, H, W) masks, outlined on the maps.
    """
    if not frames or set(frames) != set(maps) or set(frames) != set(weights):
        raise UsageError("interval_attention: frames, maps and weights must be of the same networks")
    count = len(next(iter(frames.values())))
    ratios = [1.0, 1.0, 0.28] * len(frames)
    figure, grid = axes_grid(3 * len(frames), count, size=(1.25 * count + 1, 1.02 * sum(ratios)), height_ratios=ratios)
    shares = {name: np.asarray(of, float) for name, of in weights.items()}
    top = max(float(of.max()) for of in shares.values())
    for number, (name, pictures) in enumerate(frames.items()):
        seen, heat, bar = grid[3 * number : 3 * number + 3]
        low, high = float(np.min(maps[name])), float(np.max(maps[name]))
        for at in range(count):
            extent = (0, pictures.shape[2], pictures.shape[1], 0)
            seen[at].imshow(pictures[at], interpolation="nearest", extent=extent)
            heat[at].imshow(pictures[at], interpolation="nearest", extent=extent)
            colours = {"vmin": low, "vmax": max(high, low + 1e-12)}
            heat[at].imshow(maps[name][at], interpolation="bilinear", extent=extent, alpha=0.6, **colours)
            if truth is not None and truth[at].any():
                mask = truth[at].astype(float)
                heat[at].contour(mask, [0.5], colors="white", linewidths=0.8, extent=extent, origin="upper")
            share = shares[name][at]
            bar[at].set_facecolor(matplotlib.colormaps["YlGnBu"](share / top))
            colour = "white" if share > 0.6 * top else BLACK
            bar[at].text(0.5, 0.5, f"{share:.2f}", ha="center", va="center", color=colour, transform=bar[at].transAxes)
            for axes in (seen[at], heat[at], bar[at]):
                plain(axes)
        seen[0].set_ylabel(wrap(name, 14), fontsize=8)
        heat[0].set_ylabel("attention", fontsize=7)
        bar[0].set_ylabel("time", fontsize=7)
    return figure


@styled
def block_attention(
    frames: Mapping[str, NDArray[np.uint8]], maps: Mapping[str, Mapping[str, NDArray[np.generic]]], *, size: float = 1.9
) -> Figure:
    """A network a column: the picture it sees, then its attention after every block (STAT, Fig. 2).

    frames: name -> (H, W, 3); maps: name -> block -> (h, w), each coloured over its own range.
    """
    blocks = list(next(iter(maps.values())))
    shape = next(iter(frames.values())).shape
    tall = size * shape[0] / shape[1]
    figure, grid = axes_grid(len(blocks) + 1, len(frames), size=(size * len(frames) + 0.5, tall * (len(blocks) + 1)))
    for column, (name, picture) in zip(grid.T, frames.items(), strict=True):
        extent = (0, picture.shape[1], picture.shape[0], 0)
        column[0].set_title(name, fontsize=9)
        for axes, block in zip(column, [None, *blocks], strict=True):
            axes.imshow(picture, interpolation="nearest", extent=extent)
            if block is not None:
                axes.imshow(maps[name][block], interpolation="bilinear", extent=extent, alpha=0.6)
            plain(axes)
    for axes, block in zip(grid[:, 0], ["input", *blocks], strict=True):
        axes.set_ylabel(block, fontsize=8)
    return figure


@styled
def temporal_attention(weights: Mapping[str, ArrayLike], *, title: str = "") -> Figure:
    """Mean weight of each interval over clips, a line a network, with the middle half of the clips shaded.

    weights: name -> (N, K). The dotted line is what an even hand would give.
    """
    figure, grid = axes_grid(size=(6.4, 3.0))
    axes, count = grid[0, 0], np.asarray(next(iter(weights.values()))).shape[1]
    at = np.arange(1, count + 1)
    for number, (name, of) in enumerate(weights.items()):
        values, colour = np.asarray(of, float), PALETTE[number % len(PALETTE)]
        axes.plot(at, values.mean(0), color=colour, marker=MARKERS[number % len(MARKERS)], label=name)
        axes.fill_between(at, *np.percentile(values, [25, 75], axis=0), color=colour, alpha=0.12, linewidth=0)
    axes.axhline(1 / count, color="#7b8794", linestyle=":")
    axes.set(title=title, xlabel="interval", ylabel="temporal attention", ylim=(0, None), xticks=at)
    axes.legend(fontsize=8)
    return figure


@styled
def embedding(
    points: Mapping[str, NDArray[np.generic]],
    labels: ArrayLike,
    classes: Sequence[str],
    *,
    captions: Mapping[str, str] | None = None,
) -> Figure:
    """Clips as points, one panel a network, a colour and a marker a class (STAT, Fig. 6). points: name -> (N, 2)."""
    label = np.asarray(labels)
    figure, grid = axes_grid(1, len(points), size=(4.1 * len(points), 4.3))
    for axes, (name, at) in zip(grid[0], points.items(), strict=True):
        for number, of in enumerate(classes):
            mine = at[label == number]
            marker = MARKERS[(number // len(PALETTE) + number) % len(MARKERS)]
            axes.scatter(*mine.T, s=16, alpha=0.8, color=PALETTE[number % len(PALETTE)], marker=marker, label=of)
        plain(axes)
        axes.set_title(name)
        axes.set_xlabel((captions or {}).get(name, ""), fontsize=8)
    columns = min(len(classes), max(2, 3 * len(points)))
    handles = grid[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=columns, fontsize=7)
    return figure


@styled
def gains(
    curves: Mapping[str, Sequence[tuple[str, float, float, float]]],
    *,
    title: str = "",
    y: str = "points gained",
    joined: bool = True,
) -> Figure:
    """Gains with intervals over named settings, such as resolutions: name -> (setting, value, low, high) in order.

    Bounds may be NaN (published numbers have none). An interval that holds zero is drawn hollow: within noise. joined:
    a line through the values, where the settings have an order.
    """
    settings = list(dict.fromkeys(row[0] for rows in curves.values() for row in rows))
    figure, grid = axes_grid(size=(6.8, 3.5))
    axes = grid[0, 0]
    for number, (name, rows) in enumerate(curves.items()):
        colour = PALETTE[number % len(PALETTE)]
        at = np.array([settings.index(row[0]) for row in rows]) + 0.08 * (number - (len(curves) - 1) / 2)
        value, low, high = np.array([row[1:] for row in rows], float).T
        if joined:
            axes.plot(at, value, color=colour, linewidth=1, linestyle="--" if np.isnan(low).all() else "-")
        known = ~np.isnan(low)
        spread = [np.maximum(value - low, 0)[known], np.maximum(high - value, 0)[known]]
        axes.errorbar(at[known], value[known], spread, fmt="none", ecolor=colour, elinewidth=1.4, capsize=4)
        clear = ~known | (low > 0) | (high < 0)
        for some, face in ((clear, colour), (~clear, "white")):
            axes.scatter(at[some], value[some], s=34, color=face, edgecolor=colour, linewidth=1.4, zorder=3)
        axes.plot([], [], color=colour, marker="o", label=name)
    axes.axhline(0, color="#7b8794", linewidth=1)
    axes.set_xticks(range(len(settings)), settings)
    axes.set(title=title, ylabel=y)
    beside = {"loc": "upper left", "bbox_to_anchor": (1.01, 1)} if len(curves) > 3 else {}
    axes.legend(fontsize=8, **beside)
    return figure
