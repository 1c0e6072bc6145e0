from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from tinylib.annotations.labels import CLASSES as ORDER
from tinylib.errors import UsageError
from tinylib.synth import actions
from tinylib.synth.actions import CLASSES, DISTRACTORS, Scene, crowd, distractor, skeleton, vignette
from tinylib.synth.people.actions_together import turns_of_speech
from tinylib.synth.people.actors import JOINTS, Puppet
from tinylib.synth.people.gait import FPS
from tinylib.synth.places.primitives import Capsule
from tinylib.synth.separability import usual
from tinylib.synth.vehicles.vehicles import Vehicle

# All label sets of TinyVIRAT's training clips, by class number.
COMBOS = """
14 3+14 19 5 3+19 1+19 3 3+14+16 2+14 5+11 14+25 5+12 5+17 3+8+19 1+3+19 11 9 3+16+19 14+20 6 3+19+24 16 14+23
3+14+23 8+19 5+10 3+8+19+21 2+5 3+14+19 19+23 5+22 10 2+5+14 4 3+14+20 12 2+3+14 14+15 17 22 0+19 24 18+19
3+14+24 21 20 5+17+22 3+5+12 8+19+20 19+20 13 13+19 4+19 5+10+17 0+6 0 7+19 0+3+19 3+16 23 3+14+18+19 7 13+14 2 18
3+14+21 14+24 3+7+19 0+3+14+19 19+24 19+21 6+19 1+14 3+13+19 1 3+19+23 5+14 3+6+19 3+4+14 6+14 3+13+14+19
8+14+19+20 0+18+19 14+16 16+19 13+14+19 0+3+14 1+2+14 3+8+19+24 3+4+7+19 0+3+4+14 0+3+4+14+19 17+22 5+11+22 3+4
3+19+21 0+1+19 3+24 1+8+19 3+20 3+9 14+18
"""
MEVA = (
    {"Talking"}, {"Talking", "Interacts"}, {"Interacts"}, {"specialized_texting_phone"}, {"specialized_talking_phone"},
    {"Transport_HeavyCarry", "activity_carrying"}, {"Talking", "specialized_texting_phone"}, {"Opening"}, {"Closing"},
    {"Entering"}, {"Exiting"}, {"Opening", "Entering"}, {"Loading"}, {"vehicle_starting"}, {"vehicle_stopping"},
    {"vehicle_turning_left"}, {"vehicle_turning_right"},
)  # fmt: skip


@cache
def scene(name: str, seed: int, frames: int = 80) -> Scene:
    return vignette(usual(name), seed=seed, frames=frames)


def person(of: Scene) -> Puppet:
    return next(p for p, kind in zip(of.puppets, of.kinds, strict=True) if kind == "person")


def car(of: Scene) -> Vehicle:
    return next(p for p in of.puppets if isinstance(p, Vehicle))


def points(of: Scene, time: float) -> np.ndarray:
    shapes = [s for frame in of.at(time) for s in frame.shapes]
    return np.concatenate([np.stack([s.a, s.b]) if isinstance(s, Capsule) else s.points for s in shapes])


def test_the_combinations_are_the_26_classes():
    assert len(COMBOS.split()) == 102
    assert {ORDER[int(i)] for combo in COMBOS.split() for i in combo.split("+")} == CLASSES == set(ORDER)


@pytest.mark.parametrize("frames", [40, 150])
def test_every_combination_of_virat_shows_its_labels(frames):
    for seed, combo in enumerate(COMBOS.split()):
        labels = frozenset(ORDER[int(i)] for i in combo.split("+"))
        act = vignette(labels, seed=seed, frames=frames, confuser=seed % 3 == 0)
        assert act.frames == frames
        assert act.labels == labels
        assert {event.name for event in act.events} == labels, combo
        together = [set(range(e.start, e.end + 1)) for e in act.events]
        assert len(set.intersection(*together)) >= 37, combo
        for event in act.events:
            assert 0 <= event.start < event.end < frames
            assert event.end - event.start >= 38
            assert all(act.kinds[i] in ("person", "vehicle", "bike", "prop", "animal") for i in event.actors)
        assert np.isfinite(points(act, frames / 3)).all()
        assert points(act, 0)[:, 2].min() > -0.1


@pytest.mark.parametrize("labels", MEVA, ids=lambda labels: "+".join(sorted(labels)))
def test_every_combination_of_meva_shows_its_labels(labels):
    scene_of_labels = vignette(frozenset(labels), domain="M", seed=5, frames=128)
    assert {event.name for event in scene_of_labels.events} == labels
    assert all(frame.shapes for frame in scene_of_labels.at(64.5))


def test_a_vignette_is_a_pure_function_of_its_arguments():
    a, b, c = (vignette(usual("Talking"), seed=s) for s in (3, 3, 4))
    assert a.events == b.events
    np.testing.assert_array_equal(points(a, 7.25), points(b, 7.25))
    assert len(points(a, 7.25)) != len(points(c, 7.25)) or np.abs(points(a, 7.25) - points(c, 7.25)).max() > 0.01
    before = points(a, 3.0)
    a.at(50.0)
    np.testing.assert_array_equal(points(a, 3.0), before)


def test_durations_follow_their_law():
    rng = np.random.default_rng(0)
    openings = [actions.duration("Opening", rng) for _ in range(600)]
    assert abs(np.median(openings) - 75) < 5
    assert abs(np.percentile(openings, 90) - 110) < 10
    walks = [actions.duration("activity_walking", rng) for _ in range(600)]
    assert min(walks) >= 40
    assert max(walks) <= 150
    assert abs(np.mean(walks) - 95) < 5


def test_bad_labels_are_refused():
    for labels, domain in ((frozenset({"flying"}), "V"), (frozenset(), "V"), (frozenset({"Talking"}), "X")):
        with pytest.raises(UsageError):
            vignette(labels, domain=domain, seed=0)


@pytest.mark.parametrize("name", ["Opening", "Closing"])
def test_the_hand_is_on_the_handle_while_the_door_moves(name):
    for seed in range(12):
        act = scene(name, seed)
        vehicle, body = car(act), person(act)
        (door,) = vehicle.motion.doors
        moving = np.abs(np.gradient(vehicle.motion.doors[door])) > 0.004
        hand, handle = body.joint("l_hand" if door[1] == "l" else "r_hand"), vehicle.handle(door)
        assert moving.sum() > 15
        assert np.linalg.norm(hand - handle, axis=1)[moving].max() < 0.03
        hinge = vehicle.point(vehicle.hinge(door)[0])
        edge, trunk = (handle - hinge)[:, :2], (body.joint("pelvis") - hinge)[:, :2]
        share = np.clip(np.sum(trunk * edge, 1) / np.sum(edge * edge, 1), 0, 1)
        assert np.linalg.norm(trunk - share[:, None] * edge, axis=1).min() > 0.2  # nobody walks through the door
        assert (np.abs(body.joint("pelvis")[:, 1]) - vehicle.kind.width / 2).min() > 0.2


def test_opening_and_closing_share_their_poses_and_differ_in_time():
    for seed in range(8):
        doors = [next(iter(car(scene(name, seed)).motion.doors.values())) for name in ("Opening", "Closing")]
        assert doors[0][0] == 0.0
        assert doors[0][-1] > 0.9
        assert doors[1][0] > 0.9
        assert doors[1][-1] == 0.0
        assert (np.diff(doors[0]) >= -1e-9).all()
        assert (np.diff(doors[1]) <= 1e-9).all()
    forwards, backwards = (scene(name, 3) for name in ("Entering", "Exiting"))
    sides = [np.abs(person(s).joint("pelvis")[:, 1]) - car(s).kind.width / 2 for s in (forwards, backwards)]
    assert sides[0][0] > 0.3
    assert sides[0][-1] < -0.2
    assert sides[1][0] < -0.2
    assert sides[1][-1] > 0.3


@pytest.mark.parametrize("pair", [("vehicle_starting", "vehicle_stopping")])
def test_starting_is_stopping_backwards(pair):
    for seed in range(6):
        start, stop = (car(scene(name, seed)).motion.speed for name in pair)
        np.testing.assert_allclose(start, stop[::-1], atol=1e-9)
        assert start[0] == 0.0
        assert start[-1] > 1.0
        assert (start < 0.01).sum() >= 9


def test_left_and_right_are_the_vehicle_s_own_and_mirror_into_each_other():
    for seed in range(12):
        left, right = (car(scene(name, seed)).motion for name in ("vehicle_turning_left", "vehicle_turning_right"))
        assert left.yaw[-1] - left.yaw[0] > 0.8
        assert right.yaw[-1] - right.yaw[0] < -0.8
        for motion, sign in ((left, 1.0), (right, -1.0)):
            path = np.diff(motion.xy, axis=0)
            cross = path[:-1, 0] * path[1:, 1] - path[:-1, 1] * path[1:, 0]
            assert np.sign(cross.sum()) == sign
            mirrored = path * np.array([-1.0, 1.0])
            assert np.sign((mirrored[:-1, 0] * mirrored[1:, 1] - mirrored[:-1, 1] * mirrored[1:, 0]).sum()) == -sign


def test_push_is_ahead_and_pull_behind():
    for name, sign in (("Push", 1.0), ("Pull", -1.0)):
        for seed in range(10):
            act = scene(name, seed)
            body, thing = person(act), act.puppets[next(e for e in act.events if e.name == name).actors[1]]
            offset = thing.tracks[40, 0] - body.joint("pelvis")[40]
            way = body.joint("pelvis")[45] - body.joint("pelvis")[35]
            assert np.sign(offset[:2] @ way[:2]) == sign
            assert np.hypot(*offset[:2]) > 0.35


def test_phones_are_where_they_belong():
    for seed in range(10):
        talking, texting = (
            person(scene("specialized_talking_phone", seed)),
            person(scene("specialized_texting_phone", seed)),
        )
        near = min(np.linalg.norm(talking.joint(f"{s}_hand") - talking.joint("head"), axis=1).max() for s in "lr")
        assert near < 0.2
        high = max(texting.joint(f"{s}_hand")[:, 2].mean() for s in "lr")
        assert texting.joint("pelvis")[:, 2].mean() < high < texting.joint("neck")[:, 2].mean()


def test_speakers_stand_close_and_take_turns():
    talk = vignette(frozenset({"Talking", "activity_standing"}), seed=1, frames=300)
    people = [p for p, kind in zip(talk.puppets, talk.kinds, strict=True) if kind == "person"]
    gap = np.linalg.norm((people[0].joint("pelvis") - people[1].joint("pelvis"))[:, :2], axis=1)
    assert 0.7 < gap.mean() < 1.4
    turns = turns_of_speech(np.random.default_rng(0), 600, 3)
    assert turns.sum(axis=0) == pytest.approx(1.0, abs=1e-6)
    assert turns.sum(axis=1).min() > 60


def test_meva_contact_is_close_and_brief():
    for seed in range(6):
        act = vignette(frozenset({"Interacts", "Talking"}), domain="M", seed=seed, frames=100)
        a, b = (p.joint("pelvis")[:, :2] for p in act.puppets)
        gap = np.linalg.norm(a - b, axis=1)
        assert gap.min() < 0.75
        assert gap[0] > 0.85
        assert gap[-1] > 0.85


def test_walkers_go_at_walking_speed_and_runners_faster():
    speeds = {name: [] for name in ("activity_walking", "activity_running", "activity_standing")}
    for name, speed in speeds.items():
        for seed in range(10):
            track = person(scene(name, seed)).joint("pelvis")[:, :2]
            speed.append(np.linalg.norm(np.diff(track, axis=0), axis=1).mean() * FPS)
    assert min(speeds["activity_walking"]) > 0.85
    assert max(speeds["activity_walking"]) < 1.95
    assert min(speeds["activity_running"]) > 2.4
    assert max(speeds["activity_standing"]) < 0.15


def test_distractors_and_crowds():
    seen = {event.name for seed in range(60) for event in distractor(seed, "M").events}
    assert seen == set(DISTRACTORS)
    assert not seen & CLASSES
    for seed in range(12):
        passing = crowd(seed, "V", 200)
        assert passing.frames == 200
        assert not passing.events
        assert not passing.labels
        assert np.isfinite(points(passing, 199.5)).all()


def test_confusers_look_like_another_class_and_keep_their_labels():
    standing = [vignette(frozenset({"activity_standing"}), seed=s, frames=60, confuser=True) for s in range(24)]
    assert all({event.name for event in act.events} == {"activity_standing"} for act in standing)
    pairs = [act for act in standing if list(act.kinds) == ["person", "person"]]
    assert 4 <= len(pairs) <= 16
    for act in pairs:  # next to Talking: too far, or back to back
        a, b = (p.joint("pelvis")[30, :2] for p in act.puppets)
        ahead = act.puppets[0].tracks[30, len(JOINTS), :2]
        assert np.linalg.norm(a - b) > 2.0 or ahead @ (b - a) < 0
    assert any("prop" in act.kinds for act in standing)  # next to Interacts: at a thing, without contact
    walking = [vignette(frozenset({"activity_walking"}), seed=s, frames=60, confuser=True) for s in range(12)]
    speeds = [np.linalg.norm(np.diff(person(m).joint("pelvis")[:, :2], axis=0), axis=1).mean() * FPS for m in walking]
    assert 2 <= sum(speed > 1.65 for speed in speeds) <= 10  # next to running


def test_clothes_do_not_tell_the_class():
    for name in ("Opening", "Exiting", "Push"):
        tops = {person(scene(name, seed)).draws[3].colour for seed in range(8)}
        assert len(tops) == 8


def test_skeletons_are_named_for_people_alone():
    opening = scene("Opening", 0)
    joints = skeleton(opening, 10.5)
    assert {"pelvis", "head", "l_toe", "r_hand"} <= set(joints[opening.kinds.index("person")])
    assert joints[opening.kinds.index("vehicle")] == {}


def test_doors_ask_to_be_seen_from_their_side():
    for name in ("Opening", "Closing", "Loading"):
        for seed in range(8):
            act = scene(name, seed)
            event = next(event for event in act.events if event.name == name)
            chest = person(act).joint("chest")[(event.start + event.end) // 2]
            assert act.front is not None  # the person is between the car and the camera
            assert np.array([np.cos(act.front), np.sin(act.front)]) @ chest[:2] > 0.5
