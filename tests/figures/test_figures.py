import numpy as np
import pytest
from matplotlib.figure import Figure

from tinylib import figures
from tinylib.errors import UsageError


def clip(frames=4, height=12, width=16, value=90):
    return np.full((frames, height, width, 3), value, np.uint8)


FIGURES = {
    "contact_sheet": lambda: figures.contact_sheet({f"clip {i}": clip(height=8 + i) for i in range(7)}),
    "contact_sheet, true sizes": lambda: figures.contact_sheet({"a": clip(), "b": clip(height=40)}, same_scale=True),
    "side_by_side": lambda: figures.side_by_side({"LR": clip(), "SR": clip(8, 48, 64)}),
    "attention_grid": lambda: figures.attention_grid({"input": clip()}, {"net/layer": clip(2, 3, 4)}),
    "full_frame": lambda: figures.full_frame(
        clip(1, 90, 160)[0], {"person 1": (10, 20, 30, 60)}, window=(5, 15, 55, 65), crop=clip()[0]
    ),
    "class_counts": lambda: figures.class_counts({"paper": {"a": 900, "b": 3}, "ours": {"a": 50, "c": 2}}),
    "grouped_bars": lambda: figures.grouped_bars({"paper": {"0-20": 4, "20-40": 9}, "ours": {"0-20": 1}}, log=True),
    "stacked_sizes": lambda: figures.stacked_sizes(
        {"paper": {"a": [20, 80]}, "ours": {"a": [0, 100]}}, ["0-64", "64-128"]
    ),
    "actor_sizes": lambda: figures.actor_sizes({"ours": (40, 1080), "UCF-101": (120, 240)}),
    "histograms": lambda: figures.histograms({"ours": [3, 4, 4, 9], "real": (np.array([0, 5, 10]), np.array([3, 1]))}),
    "class_scores": lambda: figures.class_scores({"I3D": {"a": 0.2, "b": 0.0}, "R3D": {"a": 0.4, "b": 0.1}}),
    "scatter": lambda: figures.scatter(
        {"I3D": {c: (10.0 + i, i / 9) for i, c in enumerate("abcdefgh")}}, x="n", log=True
    ),
    "frontier": lambda: figures.frontier(
        {"a": [("8 px", 0.1, 0.3, 0.2, 0.4), ("14 px", 0.4, 0.5, float("nan"), float("nan"))]}, x="GMACs", title="t"
    ),
    "learning_curves": lambda: figures.learning_curves({"run": [{"epoch": 0, "loss": 2.0}, {"epoch": 1, "loss": 1.0}]}),
    "confusion": lambda: figures.confusion(np.array([[3, 1], [0, 2]]), ["a", "b"]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_draw_to_a_picture(name):
    figure = FIGURES[name]()
    assert isinstance(figure, Figure)
    assert figure._repr_png_()[:8] == b"\x89PNG\r\n\x1a\n"


def test_drawing_leaves_no_global_state():
    import matplotlib
    import matplotlib.pyplot as plt

    before = dict(matplotlib.rcParams)
    figures.class_counts({"paper": {"a": 1}})
    assert dict(matplotlib.rcParams) == before
    assert plt.get_fignums() == []


def test_bars_have_the_counts_as_lengths_in_the_order_of_the_first_source():
    axes = figures.class_counts({"paper": {"rare": 3, "common": 900}, "ours": {"rare": 7}}).axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["common", "rare"]
    assert [[bar.get_width() for bar in bars] for bars in axes.containers] == [[900, 3], [0, 7]]
    assert axes.get_xscale() == "log"


def test_stacked_shares_reach_a_hundred():
    axes = figures.stacked_sizes({"paper": {"a": [25, 75]}}, ["small", "large"]).axes[0]
    assert [(bars[0].get_x(), bars[0].get_width()) for bars in axes.containers] == [(0, 25), (25, 75)]


def test_the_scatter_prints_the_rank_correlation():
    rising = {str(i): (float(i), i**3 / 1000) for i in range(10)}
    label = figures.scatter({"I3D": rising}, x="n").axes[0].get_legend().get_texts()[0].get_text()
    assert label.startswith("I3D: ρ = +1.00 [")


def test_nothing_beats_a_point_of_the_frontier():
    points = [(1.0, 0.3), (2.0, 0.2), (2.0, 0.5), (2.0, 0.5), (4.0, 0.5), (8.0, 0.9)]
    assert figures.pareto(points) == [0, 2, 5]
    assert figures.pareto(points, cheap="high") == [5]
    assert figures.pareto([]) == []


def test_the_frontier_has_the_cheap_end_at_the_left():
    rows = {"a": [("8 px", 100.0, 0.3, 0.2, 0.4), ("14 px", 10.0, 0.5, 0.4, 0.6), ("28 px", 1.0, 0.4, 0.3, 0.5)]}
    slow = figures.frontier(rows, x="clips a second", cheap="high").axes[0]
    left, right = slow.get_xlim()
    assert left > right
    stepped = next(line for line in slow.lines if line.get_label() == "frontier")
    assert stepped.get_xydata().tolist() == [[100.0, 0.3], [10.0, 0.5], [1.0, 0.5]]  # and on to the dear end


def test_confusion_is_in_per_cent_of_the_true_class():
    axes = figures.confusion(np.array([[3, 1], [0, 0]]), ["a", "b"]).axes[0]
    assert np.asarray(axes.collections[0].get_array()).reshape(2, 2).tolist() == [[75, 25], [0, 0]]
    assert [text.get_text() for text in axes.texts] == ["75", "25", "", ""]


def test_histograms_are_densities():
    axes = figures.histograms({"law": (np.array([0.0, 5.0, 15.0]), np.array([1, 3]))}).axes[0]
    assert axes.patches[0].get_data().values.tolist() == pytest.approx([0.05, 0.075])


def test_banner_and_empty_sheet():
    figure = figures.banner(figures.confusion(np.eye(2), ["a", "b"]), "synthetic")
    assert figure.get_suptitle() == "synthetic"
    with pytest.raises(UsageError, match="no clips"):
        figures.contact_sheet({})


@pytest.mark.parametrize("draw", [figures.grouped_bars, figures.class_scores])
def test_a_legend_covers_no_bar(draw):
    full = {f"a class with a name {i}": 1.0 for i in range(5)}
    figure = draw({f"method {i}": full for i in range(5)}, title="All bars as long as they can be")
    figures.png(figure)  # lays it out
    (legend,) = figure.legends
    assert not legend.get_window_extent().overlaps(figure.axes[0].get_window_extent())
    assert figure.axes[0].get_legend() is None


def test_a_figure_is_saved_as_picture_and_as_vectors(tmp_path):
    png, pdf = figures.save(FIGURES["confusion"](), tmp_path / "confusion")
    assert png.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    text = pdf.read_bytes()
    assert text[:5] == b"%PDF-"
    assert b"/FontFile2" in text  # text is text, in TrueType
    figures.save(FIGURES["confusion"](), tmp_path / "again")
    assert (tmp_path / "again.pdf").read_bytes() == text


def test_a_confusion_has_each_rows_shares_where_they_are():
    axes = figures.confusion(np.array([[3, 1], [0, 2]]), ["a", "b"]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["75", "25", "", "100"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b"]
    assert axes.get_xlabel() == "predicted (%)"
