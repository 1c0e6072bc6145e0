"""Pictures of ensembles, measured in their own coordinates."""

import numpy as np
import pandas as pd
import pytest

from tinylib import figures
from tinylib.evaluation import metrics

TABLE = pd.DataFrame(
    {"step": ["single", "average", "thresholds"], "F1": [0.3, 0.4, 0.35], "low": [0.2, 0.3, 0.3]}
    | {"high": [0.4, 0.5, 0.45], "gain": [np.nan, 0.1, -0.05]}
    | {"gain low": [np.nan, 0.05, -0.1], "gain high": [np.nan, 0.15, 0.0]}
)


def test_bars_stand_on_what_was_before():
    figure = figures.waterfall(TABLE, title="Table 3")
    axes = figure.axes[0]
    bars = [(bar.get_y(), bar.get_height()) for container in axes.containers for bar in container]
    assert bars == [pytest.approx(b) for b in [(0, 0.3), (0.3, 0.1), (0.4, -0.05), (0, 0.35)]]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["single", "average", "thresholds", "all together"]
    assert [t.get_text() for t in axes.texts] == ["0.300", "+0.100", "-0.050", "0.350"]
    upright = [line for line in axes.lines if len({*line.get_xdata()}) == 1]
    assert [line.get_ydata() for line in upright] == [
        pytest.approx(ends) for ends in ([0.2, 0.4], [0.35, 0.45], [0.3, 0.4], [0.3, 0.45])
    ]
    assert figure._repr_png_()[:4] == b"\x89PNG"


def test_without_intervals_there_are_no_whiskers():
    alone = TABLE.assign(**dict.fromkeys(("low", "high", "gain low", "gain high"), np.nan))
    axes = figures.waterfall(alone).axes[0]
    assert all(len({*line.get_xdata()}) == 2 for line in axes.lines)


def test_curves_are_the_metrics_own():
    scores = np.array([[0.9, 0.1], [0.6, 0.2], [0.4, 0.3], [0.2, 0.4]])
    truth = np.array([[1, 0], [0, 0], [1, 0], [0, 0]])
    table = figures.threshold_table(scores, truth, 0, points=11)
    for row in table.itertuples():
        expected = metrics.precision_recall_f1(scores[:, :1], truth[:, :1], threshold=row.threshold)
        assert (row.precision, row.recall, row.f1) == tuple(expected)
    figure = figures.threshold_curves(scores, truth, ["a", "b"], {"fitted": [0.3, 0.7], "0.5": 0.5}, columns=2)
    labels = {line.get_label(): line for line in figure.axes[0].lines}
    assert {"precision", "recall", "f1", "fitted", "0.5"} <= set(labels)
    assert len(figure.axes[1].lines) == 2  # no clip shows b: thresholds alone
    assert [line.get_xdata()[0] for line in figure.axes[1].lines] == [0.7, 0.5]
    assert figure.axes[1].get_title(loc="left") == "b (0)"
