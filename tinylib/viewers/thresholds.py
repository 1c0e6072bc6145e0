"""A viewer in which thresholds are moved by hand and every rate follows at once, without a kernel or a network."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from tinylib import figures
from tinylib.errors import DataError, UsageError
from tinylib.viewers.clips import Viewer

RATES = ("precision", "recall", "F1")


def threshold_explorer(
    scores: ArrayLike,
    targets: ArrayLike,
    classes: Sequence[str],
    *,
    fitted: ArrayLike | None = None,
    counts: ArrayLike | None = None,
) -> Viewer:
    """A slider a class: its precision, recall and F1, and the macro and micro rates of all classes, move with it.

    scores: (N, classes) probabilities, held as float32 as they are on file; targets: multi-hot. fitted: thresholds for
    the button of that name, one a class; the other button is 0.5, where the page starts without them. counts: training
    clips, shown beside the names. A score must exceed its threshold; nothing else is done to the decisions.
    """
    table, truth = np.asarray(scores, dtype="<f4"), np.asarray(targets) > 0.5
    if table.ndim != 2 or table.shape != truth.shape or table.shape[1] != len(classes):
        raise DataError(
            f"scores {table.shape}, targets {truth.shape} and {len(classes)} classes do not belong together"
        )
    presets = [("fitted", fitted)] if fitted is not None else []
    named = {name: _thresholds(values, len(classes), name) for name, values in [*presets, ("0.5", 0.5)]}
    view = {
        "classes": list(classes),
        "scores": base64.b64encode(np.ascontiguousarray(table).tobytes()).decode(),
        "truth": base64.b64encode(np.ascontiguousarray(truth, dtype=np.uint8).tobytes()).decode(),
        "presets": [{"name": name, "values": values} for name, values in named.items()],
    }
    beside = [f"{n} in training" for n in np.asarray(counts).astype(int)] if counts is not None else [""] * len(classes)
    rows = "".join(
        _row(name, int(positives), note) for name, positives, note in zip(classes, truth.sum(0), beside, strict=True)
    )
    buttons = "".join(
        f'<button type="button" data-preset="{number}">{html.escape(name)}</button>'
        for number, name in enumerate(named)
    )
    heads = "".join(f"<th>{rate}</th>" for rate in RATES)
    markup = (
        f'<div class="tl-view" data-thresholds="{html.escape(json.dumps(view, separators=(",", ":")), quote=True)}">'
        f'<div class="tl-bar"><span>thresholds:</span>{buttons}<span class="tl-count" data-part="clips"></span></div>'
        '<div class="tl-bar"><span>macro precision · recall · F1</span><output data-part="macro" aria-live="polite">'
        '</output><span>micro</span><output data-part="micro"></output></div>'
        '<div class="tl-panes"><table class="tl-table"><thead><tr><th>class</th><th>clips</th><th>threshold</th>'
        f"<th></th>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        '<figure class="tl-pane"><svg class="tl-plot" data-part="plot" viewBox="0 0 360 200" width="360" role="img" '
        'aria-label="precision, recall and F1 of a class against its threshold"></svg><figcaption>'
        '<span data-part="name"></span>: <span style="color:#d55e00">precision</span>, '
        '<span style="color:#009e73">recall</span>, <span style="color:#0072b2">F1</span></figcaption></figure>'
        "</div></div>"
    )
    return Viewer(
        markup,
        lambda: figures.threshold_curves(table, truth, classes, dict(named)),
        script="thresholds.js",
    )


def _thresholds(values: ArrayLike, classes: int, name: str) -> list[float]:
    given = np.asarray(values, dtype=np.float64)
    if given.shape not in ((), (classes,)) or not ((given >= 0) & (given <= 1)).all():
        raise UsageError(f"{name}: expected a threshold from 0 to 1 for each of the {classes} classes")
    return np.broadcast_to(given, classes).tolist()


def _row(name: str, positives: int, note: str) -> str:
    safe, title = html.escape(name), f' title="{html.escape(note)}"' * bool(note)
    cells = "<td data-rate></td>" * len(RATES)
    return (
        f'<tr data-class><th scope="row"{title}>{safe}</th><td>{positives}</td>'
        f'<td><input type="range" min="0" max="1" step="0.005" aria-label="threshold of {safe}"></td>'
        f'<td data-part="cut"></td>{cells}</tr>'
    )
