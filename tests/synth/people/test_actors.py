from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinylib.synth.people.actors import JOINTS, Model, Motion, Person, Reach, draw_look, merge, rotation
from tinylib.synth.people.gait import FPS, footsteps, keyed, minimum_jerk, two_link, wander
from tinylib.synth.places.primitives import Capsule, Face
from tinylib.synth.vehicles.vehicles import KINDS, Vehicle, bicycle, drive, parked, trailer


def walker(speed: float, frames: int = 90, *, seed: int = 0, running: bool = False, bend: float = 0.0) -> Person:
    rng = np.random.default_rng(seed)
    yaw = bend * np.arange(frames) / FPS
    step = speed / FPS * np.stack([np.cos(yaw), np.sin(yaw)], axis=1)
    return Person(Motion(np.cumsum(step, axis=0), yaw, running=running), draw_look(rng), rng)


def slips(person: Person) -> np.ndarray:
    """How far a planted toe moves from its place over each uninterrupted contact."""
    moved = []
    for foot, side in enumerate("lr"):
        toe, planted = person.joint(f"{side}_toe"), person.planted[:, foot] > 0
        edges = np.flatnonzero(np.diff(planted.astype(int)) != 0) + 1
        for stretch in np.split(np.arange(len(planted)), edges):
            if planted[stretch[0]]:
                moved.append(np.linalg.norm(toe[stretch] - toe[stretch[0]], axis=1).max())
    return np.array(moved)


def test_minimum_jerk_and_keys():
    assert minimum_jerk(np.array([-1.0, 0.0, 0.5, 1.0, 2.0])).tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
    track = keyed(31, [(10, 0.0), (20, 2.0)])
    assert track[:11].tolist() == [0.0] * 11
    assert track[20:].tolist() == [2.0] * 11
    assert track[15] == pytest.approx(1.0)
    backwards = keyed(31, [(10, 2.0), (20, 0.0)])
    np.testing.assert_allclose(backwards, track[::-1], atol=1e-12)


def test_wander_has_the_asked_spread():
    track = np.concatenate([wander(np.random.default_rng(i), 900, 0.02) for i in range(20)])
    assert 0.012 < track.std() < 0.024
    assert np.abs(np.diff(track[:900])).max() < 0.01


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=6, max_size=6))
def test_two_links_keep_their_lengths(numbers):
    root, tip = np.array([numbers[:3]]), np.array([numbers[3:]])
    joint, reached = two_link(root, tip, 0.4, 0.35, np.array([[0.3, 0.2, -1.0]]))
    assert np.linalg.norm(joint - root) == pytest.approx(0.4, abs=1e-6)
    assert np.linalg.norm(joint - reached) == pytest.approx(0.35, abs=1e-6)
    distance = np.linalg.norm(tip - root)
    if 0.1 < distance < 0.74:
        np.testing.assert_allclose(reached, tip, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.4, 1.9), st.floats(-0.5, 0.5), st.integers(0, 1000))
def test_planted_feet_do_not_skate(speed, bend, seed):
    person = walker(speed, seed=seed, bend=bend)
    assert len(slips(person)) >= 3
    assert slips(person).max() < 0.01


def test_legs_keep_their_lengths_and_soles_the_ground():
    for speed, running in ((1.3, False), (3.2, True), (0.0, False)):
        person = walker(speed, running=running)
        h = person.look.stature
        for side in "lr":
            hip, knee, ankle, toe = (person.joint(f"{side}_{name}") for name in ("hip", "knee", "ankle", "toe"))
            np.testing.assert_allclose(np.linalg.norm(knee - hip, axis=1), 0.245 * h, rtol=1e-6)
            assert np.median(np.linalg.norm(ankle - knee, axis=1)) == pytest.approx(0.246 * h, rel=1e-6)
            assert np.linalg.norm(ankle - knee, axis=1).max() < 0.246 * h * 1.1
            assert toe[:, 2].min() > -0.005
            assert toe[person.planted[:, "lr".index(side)] > 0, 2].max() < 0.03


def test_walking_and_running_differ_as_they_should():
    walk, run, stand = walker(1.3), walker(3.2, running=True), walker(0.0)

    def both_up(p: Person) -> float:
        return float((p.planted.sum(axis=1) == 0).mean())

    def air(p: Person) -> float:
        m = p.motion
        return footsteps(m.xy, m.yaw, stature=1.7, running=m.running).swinging.min(axis=1).mean()

    assert air(run) > 0.15
    assert air(walk) == 0.0
    assert both_up(stand) == 0.0
    assert slips(stand).max() < 1e-9
    arm, leg = (walk.joint(f"l_{name}")[:, 0] - walk.joint("pelvis")[:, 0] for name in ("hand", "ankle"))
    assert np.corrcoef(arm, leg)[0, 1] < -0.8  # an arm swings against its leg
    speed = np.linalg.norm(np.diff(walk.joint("pelvis")[:, :2], axis=0), axis=1).mean() * FPS
    assert speed == pytest.approx(1.3, abs=0.1)


def test_a_body_that_stops_ends_with_its_feet_together():
    x = keyed(150, [(0, 0.0), (80, 2.5)])
    feet = footsteps(np.stack([x, 0 * x], 1), 0 * x, stature=1.7)
    assert np.abs(np.diff(feet.ankles[-1, :, 0])) < 0.08
    np.testing.assert_allclose(feet.ankles[-1], feet.ankles[-20], atol=1e-9)


def test_a_hand_reaches_its_target():
    rng = np.random.default_rng(1)
    target = np.array([0.45, 0.2, 1.1])
    motion = Motion(
        np.zeros((40, 2)), np.zeros(40), reaches=[Reach(0, np.tile(target, (40, 1)), keyed(40, [(5, 0.0), (20, 1.0)]))]
    )
    person = Person(motion, draw_look(rng), rng)
    assert np.linalg.norm(person.hand(0)[25:] - target, axis=1).max() < 1e-6
    assert np.linalg.norm(person.hand(0)[0] - target) > 0.2


def test_a_moment_is_cheap_and_between_frames():
    person = walker(1.3)
    start = time.perf_counter()
    for i in range(200):
        person.at(i * 0.37)
    assert (time.perf_counter() - start) / 200 < 1.5e-3
    a, b, middle = (np.stack(list(person.at(t).joints.values())) for t in (10.0, 11.0, 10.5))
    np.testing.assert_allclose(middle, (a + b) / 2)
    assert set(person.at(3).joints) == set(JOINTS)


def test_closed_solids_face_outwards():
    box = Model().box((1.0, 2.0, 3.0), (0.5, 0.0, 1.0), (1, 1, 1)).pose(np.zeros((2, 3)), rotation(np.zeros(2)))
    faces = box.at(0).shapes
    assert len(faces) == 6
    for face in faces:
        assert isinstance(face, Face)
        assert not face.two_sided
        p = face.points
        assert np.cross(p[1] - p[0], p[2] - p[1]) @ (p.mean(0) - np.array([0.5, 0.0, 1.0])) > 0


@pytest.mark.parametrize("name", KINDS)
def test_vehicle_panels_are_flat_convex_quads(name):
    car = Vehicle(KINDS[name], parked(2), (0.5, 0.5, 0.5))
    for shape in car.at(0).shapes:
        if isinstance(shape, Capsule):
            continue
        p = shape.points
        assert len(p) == 4
        normal = np.cross(p[2] - p[0], p[3] - p[1])
        if np.linalg.norm(normal) < 1e-9:
            continue  # a lamp that is off
        normal /= np.linalg.norm(normal)
        assert np.ptp(p @ normal) < 0.09
        turns = [np.cross(p[(i + 1) % 4] - p[i], p[(i + 2) % 4] - p[(i + 1) % 4]) @ normal for i in range(4)]
        assert min(turns) > -1e-6
    points = np.concatenate([np.stack([s.a, s.b]) if isinstance(s, Capsule) else s.points for s in car.at(0).shapes])
    assert points[:, 2].min() > -0.02
    assert abs(points[:, 1]).max() < car.kind.width / 2 + 0.06


def test_driving_left_turns_left_and_wheels_roll_without_slip():
    motion = drive(np.full(61, 4.0), np.full(61, 0.4))
    assert motion.yaw[-1] == pytest.approx(0.8, abs=1e-9)
    along = np.diff(motion.xy, axis=0) * FPS
    assert np.linalg.norm(along, axis=1) == pytest.approx(4.0, rel=1e-3)
    assert np.cross(along[0], along[-1]) > 0
    assert (motion.steer > 0).all()
    car = Vehicle(KINDS["sedan"], drive(np.full(61, 3.0), np.zeros(61)), (1, 1, 1))
    np.testing.assert_allclose(car.point(np.zeros(3))[-1] - car.point(np.zeros(3))[0], [6.0, 0.0, 0.0], atol=1e-9)


def test_a_trailer_follows_and_a_bicycle_stands_on_its_wheels():
    car = Vehicle(KINDS["suv"], drive(np.full(90, 4.0), np.full(90, 0.3)), (1, 1, 1))
    towed = trailer(car, (1, 1, 1), load=True)
    hitch = car.point(np.array([car.kind.deck[-1][0] - 0.15, 0.0, 0.0]))
    axle = towed.tracks[:, 0]
    np.testing.assert_allclose(np.linalg.norm((axle - hitch)[:, :2], axis=1), 2.3, atol=1e-9)
    bike = bicycle(drive(np.full(30, 4.0), np.zeros(30)), (1, 1, 1))
    low = min(min(s.a[2], s.b[2]) for s in bike.at(7.3).shapes if isinstance(s, Capsule))
    assert 0.0 <= low < 0.06


def test_merging_keeps_the_joints_of_the_first():
    person = walker(1.0)
    box = Model().box((0.3, 0.3, 0.3), (0, 0, 0), (1, 1, 1)).pose(person.hand(0), rotation(np.zeros(90)))
    both = merge(person, box)
    np.testing.assert_array_equal(both.joint("l_hand"), person.joint("l_hand"))
    assert len(both.at(4).shapes) == len(person.at(4).shapes) + 6
