from __future__ import annotations

import numpy as np

from tinylib.synth.separability import descriptors, neighbours


def test_nearest_neighbours_of_a_toy_set():
    features = np.array([[0.0, 0.0], [0.1, 0.0], [5.0, 5.0], [5.1, 5.0], [0.05, 0.0]])
    accuracy, confused = neighbours(features, ["a", "a", "b", "b", "b"])
    assert accuracy == 0.4
    assert confused == [("a", "b", 2), ("b", "a", 1)]


def test_classes_are_distinct_in_pose_and_motion():
    features, names = descriptors(range(8))
    accuracy, confused = neighbours(features, names)
    assert len(names) == 208
    assert accuracy > 0.95, confused
