"""The names of actions: the 26 classes, left/right twins, exclusive groups, and what other datasets call them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# In the order of TinyVIRAT's class_map.json, which is also the column order of challenge submissions.
CLASSES: tuple[str, ...] = (
    "Opening",
    "Interacts",
    "Pull",
    "activity_carrying",
    "Entering",
    "vehicle_moving",
    "Exiting",
    "Loading",
    "Talking",
    "activity_running",
    "vehicle_turning_left",
    "vehicle_stopping",
    "Riding",
    "Closing",
    "activity_walking",
    "Push",
    "specialized_using_tool",
    "vehicle_starting",
    "specialized_miscellaneous",
    "activity_standing",
    "Transport_HeavyCarry",
    "activity_gesturing",
    "vehicle_turning_right",
    "specialized_talking_phone",
    "specialized_texting_phone",
    "Misc",
)


def mirror_permutation(classes: Sequence[str]) -> NDArray[np.int64]:
    """Column order after a horizontal flip: `targets[:, mirror_permutation(classes)]` swaps every left/right pair."""

    def twin(name: str) -> str:
        swapped = name.replace("left", "\0").replace("right", "left").replace("\0", "right")
        return swapped if swapped in classes else name

    return np.array([classes.index(twin(name)) for name in classes], dtype=np.int64)


MIRROR: NDArray[np.int64] = mirror_permutation(CLASSES)

# Classes of which one actor can do only one at a time (the challenge winner's post-processing). Two actors of one
# crop can: the long windows of the MEVA part hold both phone actions 56 times and opening with closing 41 times.
GROUPS: dict[str, tuple[str, ...]] = {
    "phones": ("specialized_talking_phone", "specialized_texting_phone"),
    "gait": ("activity_walking", "activity_standing", "activity_running"),
    "turning": ("vehicle_turning_left", "vehicle_turning_right"),
    "start_stop": ("vehicle_starting", "vehicle_stopping"),
    "open_close": ("Opening", "Closing"),
    "enter_exit": ("Entering", "Exiting"),
    "push_pull": ("Push", "Pull"),
}
GROUPS_OFF_FOR_MEVA = frozenset({"phones", "open_close"})

# MEVA's 37 activities: the name that TinyVIRAT-v2 writes into `clip_id`, and the labels a clip gets. The 22 spellings
# that occur in the released validation index are exact; the other 15 follow their pattern.
_MEVA: dict[str, tuple[str, tuple[str, ...]]] = {
    "hand_interacts_with_person": ("Hand_Interaction", ("Interacts",)),
    "person_abandons_package": ("Abandon_Package", ()),
    "person_carries_heavy_object": ("Heavy_Carry", ("Transport_HeavyCarry", "activity_carrying")),
    "person_closes_facility_door": ("Close_Facility_Door", ()),
    "person_closes_trunk": ("Close_Trunk", ()),
    "person_closes_vehicle_door": ("Close_Vehicle_Door", ("Closing",)),
    "person_embraces_person": ("Embrace_Interaction", ("Interacts",)),
    "person_enters_scene_through_structure": ("Enter_Through_Structure", ()),
    "person_enters_vehicle": ("Enter_Vehicle", ("Entering",)),
    "person_exits_scene_through_structure": ("Exit_Through_Structure", ()),
    "person_exits_vehicle": ("Exit_Vehicle", ("Exiting",)),
    "person_interacts_with_laptop": ("Laptop_Interaction", ()),
    "person_loads_vehicle": ("Load_Vehicle", ("Loading",)),
    "person_opens_facility_door": ("Open_Facility_Door", ()),
    "person_opens_trunk": ("Open_Trunk", ()),
    "person_opens_vehicle_door": ("Open_Vehicle_Door", ("Opening",)),
    "person_picks_up_object": ("Pick_Up_Object", ()),
    "person_purchases": ("Purchase", ()),
    "person_puts_down_object": ("Set_Down_Object", ()),
    "person_reads_document": ("Read_Document", ()),
    "person_rides_bicycle": ("Ride_Bicycle", ()),
    "person_sits_down": ("Sit_Down", ()),
    "person_stands_up": ("Stand_Up", ()),
    "person_steals_object": ("Steal_Object", ()),
    "person_talks_on_phone": ("Talk_on_Phone", ("specialized_talking_phone",)),
    "person_talks_to_person": ("People_Talking", ("Talking",)),
    "person_texts_on_phone": ("Text_On_Phone", ("specialized_texting_phone",)),
    "person_transfers_object": ("Object_Transfer", ()),
    "person_unloads_vehicle": ("Unload_Vehicle", ()),
    "vehicle_drops_off_person": ("Vehicle_Drop_Off_Person", ()),
    "vehicle_makes_u_turn": ("Vehicle_U_Turn", ()),
    "vehicle_picks_up_person": ("Vehicle_Pick_Up_Person", ()),
    "vehicle_reverses": ("Vehicle_Reversing", ()),
    "vehicle_starts": ("Vehicle_Starting", ("vehicle_starting",)),
    "vehicle_stops": ("Vehicle_Stopping", ("vehicle_stopping",)),
    "vehicle_turns_left": ("Vehicle_Turning_Left", ("vehicle_turning_left",)),
    "vehicle_turns_right": ("Vehicle_Turning_Right", ("vehicle_turning_right",)),
}
MEVA_TO_TINY: dict[str, tuple[str, ...]] = {name: labels for name, (_, labels) in _MEVA.items()}
MEVA_CLIP_NAMES: dict[str, str] = {name: old for name, (old, _) in _MEVA.items()}

# Earlier names of the same activities, as MEVA's own activity-name-mapping lists them (case differs between files).
_OLD_TO_NEW: dict[str, str] = {
    "abandon_package": "person_abandons_package",
    "closing_trunk": "person_closes_trunk",
    "person_person_embrace": "person_embraces_person",
    "person_enters_through_structure": "person_enters_scene_through_structure",
    "person_exits_through_structure": "person_exits_scene_through_structure",
    "hand_interaction": "hand_interacts_with_person",
    "transport_heavycarry": "person_carries_heavy_object",
    "transport_heavy_carry": "person_carries_heavy_object",
    "person_laptop_interaction": "person_interacts_with_laptop",
    "object_transfer": "person_transfers_object",
    "open_trunk": "person_opens_trunk",
    "talking": "person_talks_to_person",
    "person_purchasing": "person_purchases",
    "person_reading_document": "person_reads_document",
    "riding": "person_rides_bicycle",
    "person_sets_down_object": "person_puts_down_object",
    "person_sitting_down": "person_sits_down",
    "person_standing_up": "person_stands_up",
    "specialized_talking_phone": "person_talks_on_phone",
    "specialized_texting_phone": "person_texts_on_phone",
    "theft": "person_steals_object",
    "unloading": "person_unloads_vehicle",
    "vehicle_reversing": "vehicle_reverses",
    "vehicle_starting": "vehicle_starts",
    "vehicle_stopping": "vehicle_stops",
    "vehicle_turning_left": "vehicle_turns_left",
    "vehicle_turning_right": "vehicle_turns_right",
    "vehicle_u_turn": "vehicle_makes_u_turn",
} | {name: name for name in _MEVA}

# Names of the DIVA annotation of VIRAT beyond the 26; TinyVIRAT's authors dropped them, so they only anchor clips.
_DIVA_DROPPED = frozenset(
    {
        "activity_sitting",
        "sitting",
        "activity_crouching",
        "crouching",
        "specialized_throwing",
        "activity_throwing",
        "throwing",
        "u_turn",
        "dropoff_person_vehicle",
        "pickup_person_vehicle",
        "person_person_interaction",
        "pickup",
        "setdown",
        "drop",
        "specialized_umbrella",
        "digging",
        "entering_facility",
        "exiting_facility",
    }
)
_TINY_BY_CASE = {name.lower(): name for name in CLASSES}

# The 12 event types of VIRAT Release 2 by their DIVA names (its readme, "Event Type ID"). Digging, facilities, trunks
# and unloading have no TinyVIRAT class: like every unmapped activity, they only anchor clips.
VIRAT_EVENT_NAMES: dict[int, str] = {
    1: "Loading",
    2: "Unloading",
    3: "Open_Trunk",
    4: "Closing_Trunk",
    5: "Entering",
    6: "Exiting",
    7: "activity_gesturing",
    8: "digging",
    9: "activity_carrying",
    10: "activity_running",
    11: "entering_facility",
    12: "exiting_facility",
}
VIRAT_EVENTS_TO_TINY: dict[int, str] = {n: name for n, name in VIRAT_EVENT_NAMES.items() if name in CLASSES}

DOMAIN_CLASSES: dict[str, tuple[str, ...]] = {
    "virat": CLASSES,
    "meva": tuple(name for name in CLASSES if any(name in labels for labels in MEVA_TO_TINY.values())),
}


def video_domain(video_id: str) -> str:
    """'meva' where the name of a source video begins with a date, else 'virat'."""
    return "meva" if re.match(r"\d{4}-\d\d-\d\d\.", video_id) else "virat"


def is_known(name: str) -> bool:
    """Whether `name` is an activity of TinyVIRAT, VIRAT, DIVA or MEVA, in any of its spellings."""
    low = name.lower()
    return low in _TINY_BY_CASE or low in _OLD_TO_NEW or low in _DIVA_DROPPED


def tiny_labels(name: str, domain: str) -> tuple[str, ...]:
    """TinyVIRAT labels of an activity of a `domain` ('virat' or 'meva'); empty where it has none.

    The domain matters for two names: MEVA's heavy carrying is also carrying, and its riding is no class at all.
    """
    low = name.lower()
    if domain != "meva" and low in _TINY_BY_CASE:
        return (_TINY_BY_CASE[low],)
    if low in _OLD_TO_NEW:
        return MEVA_TO_TINY[_OLD_TO_NEW[low]]
    return ()


def meva_clip_name(name: str) -> str:
    """How TinyVIRAT-v2 spells an activity inside `clip_id`; a name it never had stays as it is."""
    return MEVA_CLIP_NAMES.get(_OLD_TO_NEW.get(name.lower(), ""), name)


def in_class_order(names: set[str]) -> tuple[str, ...]:
    return tuple(name for name in CLASSES if name in names)
