"""Frames of clips: sheets, rows of versions, attention over pixels, whole frames with boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import patches
from numpy.typing import NDArray

from tinylib.errors import UsageError
from tinylib.figures.style import PALETTE, YELLOW, Figure, axes_grid, plain, styled, wrap


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
    figure, grid = axes_grid(rows, columns, size=(width, rows * (width / columns + 0.35)))
    side = max(max(clip.shape[-3:-1]) for clip in clips.values())
    for axes in grid.flat:
        plain(axes)
    for axes, (caption, clip) in zip(grid.flat, clips.items(), strict=False):
        frame = _frame(clip)
        axes.imshow(frame, interpolation="nearest")
        if same_scale:
            axes.set_xlim(-0.5 - (side - frame.shape[1]) / 2, frame.shape[1] - 0.5 + (side - frame.shape[1]) / 2)
            axes.set_ylim(frame.shape[0] - 0.5 + (side - frame.shape[0]) / 2, -0.5 - (side - frame.shape[0]) / 2)
        axes.set_xlabel(wrap(caption, round(150 / columns)), fontsize=7)
    return figure


@styled
def side_by_side(clips: Mapping[str, NDArray[np.uint8]], *, moments: int = 4, height: float = 1.9) -> Figure:
    """The same moments of several versions of a clip, one version a row."""
    figure, grid = axes_grid(len(clips), moments, size=(moments * height, len(clips) * height))
    for row, (name, clip) in zip(grid, clips.items(), strict=True):
        for axes, at in zip(row, np.linspace(0, 0.999, moments), strict=True):
            axes.imshow(_frame(clip, float(at)), interpolation="nearest")
            plain(axes)
        row[0].set_ylabel(wrap(name, 24), fontsize=8)
    return figure


@styled
def attention_grid(
    base: Mapping[str, NDArray[np.uint8]], maps: Mapping[str, NDArray[np.uint8]], *, moments: int = 4
) -> Figure:
    """Input (and super-resolved) rows, then each coloured map laid over the last of them (TinyVIRAT Fig. 7)."""
    figure, grid = axes_grid(len(base) + len(maps), moments, size=(moments * 1.7, (len(base) + len(maps)) * 1.7))
    under = list(base.values())[-1]
    rows = [(name, clip, None) for name, clip in base.items()] + [(name, under, heat) for name, heat in maps.items()]
    for row, (name, clip, heat) in zip(grid, rows, strict=True):
        for axes, at in zip(row, np.linspace(0, 0.999, moments), strict=True):
            frame = _frame(clip, float(at))
            extent = (0, frame.shape[1], frame.shape[0], 0)
            axes.imshow(frame, interpolation="nearest", extent=extent)
            if heat is not None:
                axes.imshow(_frame(heat, float(at)), interpolation="bilinear", extent=extent, alpha=0.55)
            plain(axes)
        row[0].set_ylabel(wrap(name, 22), fontsize=8)
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
    figure, grid = axes_grid(
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
        plain(each)
    return figure
