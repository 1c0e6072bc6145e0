"""Separation of classes in features: hand-made clouds whose scores are known."""

import numpy as np
import pytest

from tinylib.errors import UsageError
from tinylib.evaluation import embedding


def clouds(apart, count=12, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), count)
    centres = apart * np.eye(classes, 8)
    return centres[labels] + rng.normal(0, 1, (len(labels), 8)), labels


def test_purity_counts_neighbours_of_other_videos_only():
    features = np.array([[0.0], [0.1], [0.3], [1.0], [5.0], [5.1]])
    labels, groups = np.array([0, 0, 1, 0, 1, 1]), np.array(list("aabbcc"))
    purity = embedding.purity(features, labels, groups, neighbours=1)
    # neighbours: 2, 2, 1, 1, 3, 3 (the nearest one of another video)
    assert purity.tolist() == [0, 0, 0, 1, 0, 0]
    two = embedding.purity(features, labels, groups, neighbours=2)
    assert two.tolist() == [0.5, 0.5, 0, 1, 0.5, 0.5]
    assert np.isnan(embedding.purity(features, labels, groups, neighbours=5)).all()


def test_far_clouds_are_pure_and_mixed_ones_are_chance():
    far, labels = clouds(40)
    mixed, _ = clouds(0, count=100, seed=1)
    groups = np.arange(len(labels))
    assert embedding.purity(far, labels, groups).mean() == 1
    assert embedding.silhouettes(far, labels).mean() > 0.8
    many = np.repeat(np.arange(3), 100)
    assert embedding.purity(mixed, many, np.arange(300)).mean() == pytest.approx(1 / 3, abs=0.06)
    assert abs(embedding.silhouettes(mixed, many).mean()) < 0.05


def test_the_table_has_each_network_with_intervals_and_chance():
    far, labels = clouds(40)
    near, _ = clouds(2)
    groups = np.repeat(np.arange(18), 2)
    table = embedding.separation({"far": [far, far], "near": [near]}, labels, groups).set_index(["network", "metric"])
    assert table.loc[("far", "neighbour purity"), "value"] == 1
    assert table.loc[("chance", "neighbour purity"), "value"] == pytest.approx(1 / 3)
    row = table.loc[("near", "silhouette")]
    assert row["low"] < row["value"] < row["high"]
    assert row["value"] < table.loc[("far", "silhouette"), "value"]
    assert row["n"] == 36


def test_the_projection_keeps_far_clouds_apart_and_is_repeatable():
    far, labels = clouds(40)
    flat = embedding.project(far, seed=1)
    assert flat.shape == (36, 2)
    assert embedding.purity(flat, labels, np.arange(36), neighbours=3).mean() == 1
    np.testing.assert_array_equal(flat, embedding.project(far, seed=1))


def test_a_clip_a_class_has_no_silhouette():
    table = embedding.separation({"a": [np.eye(4)]}, np.arange(4), np.arange(4), neighbours=2)
    values = table.set_index(["network", "metric"])["value"]
    assert np.isnan(values["a", "silhouette"])
    assert values["a", "neighbour purity"] == 0


def test_too_little_is_named():
    with pytest.raises(UsageError, match="t-SNE of 3 clips"):
        embedding.project(np.eye(3))
    with pytest.raises(UsageError, match="one class"):
        embedding.separation({"a": [np.eye(4)]}, np.zeros(4), np.arange(4))
