"""The one style: colours, axes, and a `Figure` that a notebook shows whatever its backend is."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib
import matplotlib.figure
from cycler import cycler
from matplotlib.axes import Axes
from numpy.typing import NDArray

from tinylib.figures.fonts import readable
from tinylib.files import atomic_path

P = ParamSpec("P")
Drawn = TypeVar("Drawn")

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


_DRAWING = threading.RLock()  # matplotlib's settings belong to all threads: one draws at a time


def styled(draw: Callable[P, Drawn]) -> Callable[P, Drawn]:
    """The function with the one style, which is gone when it returns, however many threads draw."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Drawn:
        with _DRAWING, matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return drawn


class Figure(matplotlib.figure.Figure):
    """A figure that a notebook shows as a picture whatever its backend is, with names in any script."""

    def savefig(self, *args: Any, **kwargs: Any) -> None:
        with _DRAWING, readable(self):
            super().savefig(*args, **kwargs)

    def _repr_png_(self) -> bytes:
        return png(self)


@styled
def png(figure: matplotlib.figure.Figure) -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format="png", bbox_inches="tight", facecolor="white")
    return data.getvalue()


@styled
def save(figure: matplotlib.figure.Figure, path: str | Path) -> tuple[Path, Path]:
    """Write PATH.png and, for papers, PATH.pdf: vectors, with text as text in embedded fonts."""
    files = Path(f"{path}.png"), Path(f"{path}.pdf")
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        for file in files:
            with atomic_path(file) as temporary:
                about = {"CreationDate": None} if file.suffix == ".pdf" else {}
                figure.savefig(temporary, bbox_inches="tight", facecolor="white", metadata=about)
    return files


def axes_grid(
    rows: int = 1, columns: int = 1, *, size: tuple[float, float], **sharing: Any
) -> tuple[Figure, NDArray[Any]]:
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **sharing)


def plain(axes: Axes) -> None:
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def banner(figure: matplotlib.figure.Figure, text: str) -> matplotlib.figure.Figure:
    """Say over the picture which data it is from, such as 'SynthVIRAT (synthetic): not the papers' videos'."""
    figure.suptitle(text, fontsize=9, color=ORANGE, x=0.01, ha="left")
    return figure


def wrap(text: str, width: int) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, width)[:3])
