import json

import numpy as np

from tinylib.annotations import labels


def test_classes_are_those_of_the_released_class_map(shared_data):
    released = json.loads((shared_data / "tinyvirat_v2" / "class_map.json").read_text())
    assert {name: i for i, name in enumerate(labels.CLASSES)} == released


def test_mirror_swaps_left_and_right_and_nothing_else():
    left, right = labels.CLASSES.index("vehicle_turning_left"), labels.CLASSES.index("vehicle_turning_right")
    assert labels.MIRROR[left] == right
    assert labels.MIRROR[right] == left
    moved = np.flatnonzero(np.arange(26) != labels.MIRROR)
    assert moved.tolist() == sorted([left, right])
    assert labels.mirror_permutation(["left", "x", "copyright"]).tolist() == [0, 1, 2]  # no twin: stays


def test_groups_are_disjoint_classes():
    names = [name for group in labels.GROUPS.values() for name in group]
    assert len(names) == len(set(names)) == 15
    assert set(names) <= set(labels.CLASSES)
    assert len(labels.GROUPS) == 7


def test_every_meva_name_and_alias_is_known(shared_data):
    names = (shared_data / "meva" / "activity-names.txt").read_text().split()
    assert sorted(names) == sorted(labels.MEVA_TO_TINY)
    for row in (shared_data / "meva" / "activity-name-mapping.csv").read_text().splitlines()[1:]:
        old, new = row.strip().split(",")
        assert labels.is_known(old)
        assert labels.tiny_labels(old, "meva") == labels.tiny_labels(new, "meva") == labels.MEVA_TO_TINY[new]


def test_the_domain_decides_what_a_name_means():
    assert labels.tiny_labels("Transport_HeavyCarry", "virat") == ("Transport_HeavyCarry",)
    assert labels.tiny_labels("Transport_HeavyCarry", "meva") == ("Transport_HeavyCarry", "activity_carrying")
    assert labels.tiny_labels("Riding", "virat") == ("Riding",)
    assert labels.tiny_labels("Riding", "meva") == ()
    assert labels.tiny_labels("activity_walking", "meva") == ()
    assert labels.tiny_labels("person_opens_vehicle_door", "virat") == ("Opening",)
    assert not labels.is_known("person_flies")


def test_meva_has_the_fifteen_classes_of_the_paper_data():
    assert len(labels.DOMAIN_CLASSES["meva"]) == 15
    assert not {"activity_walking", "activity_standing", "Pull", "Push", "Riding", "Misc", "vehicle_moving"} & set(
        labels.DOMAIN_CLASSES["meva"]
    )


def test_virat_events_take_a_class_where_there_is_one():
    assert labels.VIRAT_EVENTS_TO_TINY == {
        1: "Loading",
        5: "Entering",
        6: "Exiting",
        7: "activity_gesturing",
        9: "activity_carrying",
        10: "activity_running",
    }
    assert len(labels.VIRAT_EVENT_NAMES) == 12
    assert all(labels.is_known(name) for name in labels.VIRAT_EVENT_NAMES.values())
