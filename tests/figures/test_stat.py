"""STAT's figures: what is drawn is what was given."""

import numpy as np
import pytest
from matplotlib.collections import PathCollection

from tinylib import figures
from tinylib.errors import UsageError

NETWORKS = ("T-Net", "S-Net")
SEEN = {name: np.full((4, 12, 16, 3), 90, np.uint8) for name in NETWORKS}
LOOKED = {name: np.arange(4 * 3 * 4).reshape(4, 3, 4) / (i + 1.0) for i, name in enumerate(NETWORKS)}
WEIGHTS = {"T-Net": (0.7, 0.1, 0.1, 0.1), "S-Net": (0.25, 0.25, 0.25, 0.25)}


def test_intervals_have_their_weights_and_one_colour_scale():
    truth = np.zeros((4, 12, 16), bool)
    truth[:, 3:9, 4:8] = True
    figure = figures.interval_attention(SEEN, LOOKED, WEIGHTS, truth=truth)
    assert figure._repr_png_()[:4] == b"\x89PNG"
    bars = [axes for axes in figure.axes if axes.texts]
    assert [axes.texts[0].get_text() for axes in bars] == ["0.70", "0.10", "0.10", "0.10"] + ["0.25"] * 4
    assert bars[1].get_facecolor() != bars[4].get_facecolor()
    assert bars[4].get_facecolor() == bars[7].get_facecolor()
    with pytest.raises(UsageError, match="same networks"):
        figures.interval_attention(SEEN, LOOKED, {"T-Net": (1, 0, 0, 0)})


def test_every_block_lies_over_its_networks_own_picture():
    frames = {name: SEEN[name][0] + 20 * i for i, name in enumerate(NETWORKS)}
    maps = {name: {"layer1": LOOKED[name][0], "layer2": LOOKED[name][1]} for name in NETWORKS}
    figure = figures.block_attention(frames, maps)
    assert figure._repr_png_()[:4] == b"\x89PNG"
    shown = [[image.get_array() for image in axes.images] for axes in figure.axes]
    assert [len(images) for images in shown] == [1, 1, 2, 2, 2, 2]
    assert [int(images[0][0, 0, 0]) for images in shown] == [90, 110] * 3
    np.testing.assert_array_equal(shown[5][1], maps["S-Net"]["layer2"])


def test_mean_temporal_attention_is_drawn_with_an_even_hand():
    weights = np.array([[0.6, 0.2, 0.2], [0.2, 0.6, 0.2]])
    axes = figures.temporal_attention({"T-Net": weights}).axes[0]
    assert axes.lines[0].get_ydata().tolist() == pytest.approx([0.4, 0.4, 0.2])
    assert axes.lines[1].get_ydata()[0] == pytest.approx(1 / 3)


def test_an_embedding_has_a_panel_a_network_and_every_class():
    points = {name: np.random.default_rng(i).random((9, 2)) for i, name in enumerate(NETWORKS)}
    labels = np.repeat([0, 1, 2], 3)
    figure = figures.embedding(points, labels, ("a", "b", "c"), captions={"T-Net": "purity 0.9"})
    assert figure._repr_png_()[:4] == b"\x89PNG"
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(NETWORKS)
    assert figure.axes[0].get_xlabel() == "purity 0.9"
    assert [len(drawn.get_offsets()) for drawn in figure.axes[1].collections] == [3, 3, 3]


def test_gains_within_noise_are_hollow():
    ours = [("6x8", 4.0, 1.0, 7.0), ("12x16", 1.0, -2.0, 4.0)]
    paper = [("6x8", 4.19, np.nan, np.nan), ("12x16", 3.87, np.nan, np.nan)]
    figure = figures.gains({"ours": ours, "the paper": paper})
    assert figure._repr_png_()[:4] == b"\x89PNG"
    axes = figure.axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["6x8", "12x16"]
    dots = [drawn for drawn in axes.collections if isinstance(drawn, PathCollection)]
    dots = [drawn for drawn in dots if len(drawn.get_offsets())]
    hollow = [d.get_offsets()[:, 1].tolist() for d in dots if d.get_facecolor()[0].tolist() == [1, 1, 1, 1]]
    assert [1.0] in hollow
    assert [4.0] not in hollow
