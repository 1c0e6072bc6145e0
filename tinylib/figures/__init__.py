"""Every picture of the notebooks: functions from plain data to a matplotlib `Figure`, in one style.

They draw on `Figure` objects, never through pyplot, so nothing is global, nothing leaks, and no backend is needed.
"""

from tinylib.figures.charts import (
    actor_sizes,
    class_counts,
    class_scores,
    confusion,
    frontier,
    grouped_bars,
    histograms,
    learning_curves,
    pareto,
    scatter,
    stacked_sizes,
    timeline,
)
from tinylib.figures.ensembles import threshold_curves, threshold_table, waterfall
from tinylib.figures.pictures import attention_grid, contact_sheet, full_frame, side_by_side
from tinylib.figures.stat import block_attention, embedding, gains, interval_attention, temporal_attention
from tinylib.figures.style import PALETTE, Figure, banner, png, save, styled
from tinylib.figures.summary import headline, paper_gaps, verdicts

__all__ = [
    "PALETTE",
    "Figure",
    "actor_sizes",
    "attention_grid",
    "banner",
    "block_attention",
    "class_counts",
    "class_scores",
    "confusion",
    "contact_sheet",
    "embedding",
    "frontier",
    "full_frame",
    "gains",
    "grouped_bars",
    "headline",
    "histograms",
    "interval_attention",
    "learning_curves",
    "paper_gaps",
    "pareto",
    "png",
    "save",
    "scatter",
    "side_by_side",
    "stacked_sizes",
    "styled",
    "temporal_attention",
    "threshold_curves",
    "threshold_table",
    "timeline",
    "verdicts",
    "waterfall",
]
