import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinylib.annotations.kpf import read_kpf
from tinylib.annotations.tracks import Activity, Track, VideoAnnotation
from tinylib.building.rules import MevaRule, ViratRule, Window, rare_classes, windows
from tinylib.errors import UsageError


def video(activities, tracks, *, domain="virat", name="VIRAT_S_000001"):
    """Activities (name, start, end, actors) of tracks {id: (start, end, box)} that stand still."""
    return VideoAnnotation(
        name,
        domain,
        tuple(Activity(str(i), n, a, b, tuple(who)) for i, (n, a, b, who) in enumerate(activities)),
        {k: Track(k, "person", dict.fromkeys(range(a, b + 1), box)) for k, (a, b, box) in tracks.items()},
    )


def test_golden_the_130_released_clips_of_eight_meva_videos(shared_data):
    expected = json.loads((shared_data / "meva" / "expected_clips.json").read_text())
    by_id = {}
    for file in sorted((shared_data / "meva" / "annotations").glob("*.activities.yml")):
        for window in windows(read_kpf(file), MevaRule()):
            key = window.video_id, window.clip_id
            assert key not in by_id
            by_id[key] = window
    assert by_id.keys() == {(row["video_id"], row["clip_id"]) for row in expected}
    assert len(by_id) == 130
    for row in expected:
        window = by_id[row["video_id"], row["clip_id"]]
        frames, height, width = row["dim"]
        assert (window.frames, set(window.labels)) == (frames, set(row["label"]))
        assert height == width
        assert abs(window.side - width) <= 2
    # and within a video the released ids count in our order
    for name in {row["video_id"] for row in expected}:
        released = [row["clip_id"] for row in sorted(expected, key=lambda row: row["id"]) if row["video_id"] == name]
        assert [clip_id for owner, clip_id in by_id if owner == name] == released


@pytest.mark.parametrize(
    ("width", "side"),
    [(10, 56), (55, 56), (56, 112), (111, 112), (112, 112), (113, 114), (127, 128), (128, 128), (129, None)],
)
def test_meva_sides(width, side):
    clips = windows(
        video([("vehicle_stops", 0, 63, "a")], {"a": (0, 63, (200, 200, 200 + width, 210))}, domain="meva"), MevaRule()
    )
    assert [w.side for w in clips] == ([side] if side else [])
    if side:
        x0, y0, x1, y1 = clips[0].box
        assert (x1 - x0, y1 - y0) == (side, side)
        assert abs((x0 + x1) / 2 - (200 + width / 2)) <= 0.5
        assert abs((y0 + y1) / 2 - 205) <= 0.5


@pytest.mark.parametrize(
    ("last", "spans"),
    [
        (9, [(0, 9)]),
        (63, [(0, 63)]),
        (64, [(0, 63)]),
        (65, [(0, 63), (64, 65)]),
        (130, [(0, 63), (64, 127), (128, 130)]),
    ],
)
def test_meva_grid_keeps_remainders_of_two_frames(last, spans):
    clips = windows(
        video([("person_texts_on_phone", 0, last, "a")], {"a": (0, last, (0, 0, 30, 50))}, domain="meva"), MevaRule()
    )
    assert [(w.start, w.end) for w in clips] == spans
    assert clips[0].clip_id == f"0_Text_On_Phone_0_{min(last, 63)}"


def test_meva_labels_come_from_the_crop_and_unmapped_activities_anchor():
    people = {
        "a": (0, 99, (100, 100, 130, 160)),
        "b": (0, 99, (150, 100, 170, 160)),
        "c": (0, 99, (400, 100, 430, 160)),
    }
    acts = [
        ("person_sits_down", 10, 40, "a"),  # no label of its own
        ("person_carries_heavy_object", 30, 99, "b"),  # in the 112 px crop around a, from frame 30 on
        ("vehicle_starts", 0, 99, "c"),  # far away
    ]
    clips = windows(video(acts, people, domain="meva"), MevaRule())
    assert [(w.anchor, w.start, w.end, w.labels) for w in clips] == [
        ("0", 10, 40, ("activity_carrying", "Transport_HeavyCarry")),
        ("1", 30, 93, ("activity_carrying", "Transport_HeavyCarry")),
        ("1", 94, 99, ("activity_carrying", "Transport_HeavyCarry")),
        ("2", 0, 63, ("vehicle_starting",)),
        ("2", 64, 99, ("vehicle_starting",)),
    ]
    assert windows(video(acts[:1], people, domain="meva"), MevaRule()) == []  # nothing mapped: no clip


WALK = {"a": (0, 299, (100, 100, 130, 160)), "b": (0, 299, (120, 100, 150, 160)), "c": (0, 299, (145, 100, 170, 160))}


def labels_at(clips, anchor, frame):
    return next((w.labels for w in clips if w.anchor == anchor and w.start <= frame <= w.end), None)


def test_v1_splits_where_labels_change_and_merges_by_touch_not_transitively():
    acts = [("activity_walking", 0, 299, "a"), ("activity_carrying", 100, 199, "b"), ("activity_standing", 0, 299, "c")]
    clips = windows(video(acts, WALK), ViratRule(min_clips=0))
    assert labels_at(clips, "0", 20) == ("activity_walking",)
    assert labels_at(clips, "0", 120) == ("activity_carrying", "activity_walking")  # a touches b
    assert labels_at(clips, "1", 120) == ("activity_carrying", "activity_walking", "activity_standing")  # b: a and c
    assert labels_at(clips, "2", 120) == ("activity_carrying", "activity_standing")  # c does not touch a
    assert all(not (w.start < edge <= w.end) for w in clips for edge in (100, 200))
    loose = windows(video(acts, WALK), ViratRule(split_on_change=False))
    assert any(w.start < 100 <= w.end for w in loose if w.anchor == "0")


def test_v1_component_merge_is_transitive_and_crops_everybody():
    acts = [("activity_walking", 0, 299, "a"), ("activity_carrying", 100, 199, "b"), ("activity_standing", 0, 299, "c")]
    clips = windows(video(acts, WALK), ViratRule(merge="component"))
    assert {w.anchor for w in clips} == {"0"}
    assert labels_at(clips, "0", 120) == ("activity_carrying", "activity_walking", "activity_standing")
    assert labels_at(clips, "0", 20) == ("activity_walking", "activity_standing")
    assert {w.side for w in clips} == {70}  # from x = 100 to 170


@settings(deadline=None, max_examples=60)
@given(
    length=st.integers(1, 700),
    start=st.integers(0, 50),
    box=st.tuples(st.floats(0, 500), st.floats(0, 500), st.floats(1, 140), st.floats(1, 140)),
    seed=st.integers(0, 5),
)
def test_v1_chunks_are_consecutive_and_squares_even(length, start, box, seed):
    x, y, w, h = box
    end = start + length - 1
    scene = video([("activity_walking", start, end, "a")], {"a": (start, end, (x, y, x + w, y + h))})
    clips = windows(scene, ViratRule(), seed=seed)
    assert clips == windows(scene, ViratRule(), seed=seed)
    longer = max((x + w) - x, (y + h) - y)
    if longer > 128 or length < 40:
        assert clips == []
        return
    assert clips[0].start == start
    assert all(b.start == a.end + 1 for a, b in pairwise(clips))
    assert end - clips[-1].end < 40
    for window in clips:
        x0, y0, x1, y1 = window.box
        assert 40 <= window.frames <= 150
        assert x1 - x0 == y1 - y0 == max(8, 2 * int(np.ceil(longer / 2)))
        assert abs(x0 + x1 - 2 * x - w) <= 1.001
        assert abs(y0 + y1 - 2 * y - h) <= 1.001


def test_v1_lengths_are_uniform_and_seeded_by_anchor():
    acts = [("activity_walking", 0, 200_000, "a"), ("activity_walking", 0, 200_000, "b")]
    scene = video(acts, {"a": (0, 200_000, (0, 0, 20, 20)), "b": (0, 200_000, (500, 0, 520, 20))})
    clips = windows(scene, ViratRule())
    lengths = {anchor: [w.frames for w in clips if w.anchor == anchor][:-1] for anchor in "01"}
    assert lengths["0"][:20] != lengths["1"][:20]
    assert lengths["0"] != [w.frames for w in windows(scene, ViratRule(), seed=1) if w.anchor == "0"][:-1]
    counts = np.bincount(lengths["0"] + lengths["1"], minlength=151)[40:]
    expected = counts.mean()
    assert expected > 30
    assert ((counts - expected) ** 2 / expected).sum() < 160  # chi-square, 110 degrees of freedom: p > 0.001


def test_an_actor_without_boxes_in_the_span_gives_no_clip():
    acts = [("activity_walking", 0, 99, "a"), ("vehicle_stops", 0, 99, "a")]
    for domain, rule in (("virat", ViratRule()), ("meva", MevaRule())):
        assert windows(video(acts, {"a": (500, 600, (0, 0, 20, 20))}, domain=domain), rule) == []


def test_rare_classes_are_counted():
    clips = [Window("v", "0", 0, 9, (0, 0, 8, 8), ("Pull", "Push")), Window("v", "0", 0, 9, (0, 0, 8, 8), ("Pull",))]
    assert rare_classes({"Pull", "Push", "Misc"}, clips, 2) == {"Misc": 0, "Push": 1}


def test_rules_refuse_nonsense():
    with pytest.raises(UsageError, match="anchor"):
        ViratRule(merge="all")
    with pytest.raises(UsageError, match="min_frames"):
        ViratRule(min_frames=50, max_frames=40)
