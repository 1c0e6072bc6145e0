"""Vignettes: any set of labels as a small scene of people and vehicles, with the near misses that belong to it.

A set is cast into roles: a vehicle on the road, people at a parked car, a conversation, and people on foot; a label
that the first actor cannot show goes to another one close by, so that their boxes touch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tinylib.errors import UsageError
from tinylib.synth.people import actions_people as people
from tinylib.synth.people import actions_together as together
from tinylib.synth.people.actors import Puppet
from tinylib.synth.people.gait import keyed
from tinylib.synth.people.players import Player, Stage
from tinylib.synth.places.primitives import ActorFrame, Array, Event
from tinylib.synth.vehicles import actions_vehicles as cars

WALK, STAND, RUN = "activity_walking", "activity_standing", "activity_running"
CARRY, HEAVY = "activity_carrying", "Transport_HeavyCarry"
TOOL, PHONE, TEXT = "specialized_using_tool", "specialized_talking_phone", "specialized_texting_phone"
GESTURE, EXERCISE, TALK, TOUCH = "activity_gesturing", "specialized_miscellaneous", "Talking", "Interacts"
PULL, PUSH, MISC, RIDE, MOVE = "Pull", "Push", "Misc", "Riding", "vehicle_moving"
OPEN, CLOSE, ENTER, EXIT, LOAD = "Opening", "Closing", "Entering", "Exiting", "Loading"
START, STOP = "vehicle_starting", "vehicle_stopping"
TURN_LEFT, TURN_RIGHT = "vehicle_turning_left", "vehicle_turning_right"
ROAD = frozenset({MOVE, START, STOP, TURN_LEFT, TURN_RIGHT})
AT_CAR = frozenset({OPEN, CLOSE, ENTER, EXIT, LOAD})
ON_FOOT = frozenset(
    {WALK, STAND, RUN, CARRY, HEAVY, TOOL, PHONE, TEXT, GESTURE, EXERCISE, TALK, TOUCH, PULL, PUSH, MISC}
)
CLASSES = ROAD | AT_CAR | ON_FOOT | {RIDE}

# Unlabelled activities, by DIVA's names, or MEVA's where DIVA has none.
DISTRACTORS = (
    "person_sits_down", "person_stands_up", "PickUp", "SetDown", "Unloading", "Open_Trunk", "Closing_Trunk",
    "vehicle_u_turn", "vehicle_reverses", "vehicle_drops_off_person",
)  # fmt: skip

# Frames at 30 fps, 10th, 50th and 90th percentile (MEVA); others are uniform as TinyVIRAT's chunks.
_DURATION = {
    OPEN: (55, 75, 110), CLOSE: (48, 63, 80), ENTER: (84, 160, 283), EXIT: (74, 171, 270), LOAD: (53, 71, 142),
    TALK: (201, 584, 3990),
    TEXT: (96, 449, 3608), PHONE: (105, 425, 2628), HEAVY: (74, 140, 319), START: (52, 96, 151), STOP: (54, 95, 141),
    TURN_LEFT: (94, 138, 230), TURN_RIGHT: (89, 131, 221), "vehicle_u_turn": (160, 212, 598),
    "vehicle_reverses": (85, 245, 359),
    "Unloading": (34, 57, 126), "PickUp": (36, 51, 91), "SetDown": (61, 86, 130), "person_sits_down": (36, 56, 96),
    "person_stands_up": (32, 47, 76), "Open_Trunk": (75, 101, 164), "Closing_Trunk": (55, 61, 103),
}  # fmt: skip
_LONGEST = 600  # frames a vignette is made to last at most


@dataclass(frozen=True)
class Scene:
    """A finished vignette (the protocol of `primitives`)."""

    frames: int
    kinds: Sequence[str]
    labels: frozenset[str]
    events: Sequence[Event]
    puppets: Sequence[Puppet]
    front: float | None = None  # yaw towards which a camera within some 70 degrees sees the action; None: any will do

    def at(self, time: float) -> Sequence[ActorFrame]:
        """The actors at `time` in frames."""
        return [puppet.at(time) for puppet in self.puppets]


def _finish(stage: Stage, labels: frozenset[str]) -> Scene:
    return Scene(stage.frames, tuple(stage.kinds), labels, tuple(stage.events), tuple(stage.puppets), stage.front)


def skeleton(vignette: Scene, time: float) -> list[dict[str, Array]]:
    """Named joints (3,) in world metres of each actor at `time`; {} for vehicles and props."""
    return [frame.joints for frame in vignette.at(time)]


def duration(name: str, rng: np.random.Generator) -> int:
    """Frames an activity lasts: lognormal through its 10/50/90 % points, or 40-150."""
    if name not in _DURATION:
        return int(rng.integers(40, 151))
    low, middle, high = np.log(_DURATION[name])
    z = rng.normal()
    spread = (high - middle) if z > 0 else (middle - low)
    return int(np.clip(np.exp(middle + z * spread / 1.2816), 40, _LONGEST))


def vignette(
    labels: frozenset[str], *, domain: str = "V", seed: int, frames: int | None = None, confuser: bool = False
) -> Scene:
    """A scene that shows exactly `labels`, a pure function of its arguments.

    domain: 'V' (VIRAT-like) or 'M' (MEVA-like: Interacts is two people in contact, walking and standing go unlabelled).
    frames: length at 30 fps; None draws it from the duration law of the rarest label.
    confuser: make walkers, standers and carriers look like another class in any single frame.
    """
    unknown = labels - CLASSES
    if unknown or not labels or domain not in ("V", "M"):
        raise UsageError(
            f"vignette: expected labels among the 26 classes and domain 'V' or 'M', got {sorted(labels)}, {domain!r}"
        )
    rng = np.random.default_rng((seed, 26))
    timed = sorted(labels & set(_DURATION), key=lambda name: _DURATION[name][1])
    length = frames if frames is not None else duration(timed[0] if timed else WALK, rng)
    stage = Stage(max(2, length), domain, rng)
    rest = set(labels)
    anchors: list[tuple[float, float]] = []
    if rest & AT_CAR:
        at_car(stage, rest)
        anchors.append((float(rng.uniform(-1.0, 1.0)), 1.9 * float(rng.choice([-1, 1]))))
    if RIDE in rest:
        cars.ride(stage, frozenset(rest & {RIDE, MOVE, CARRY}))
        rest -= {RIDE, MOVE, CARRY}
    elif rest & ROAD:
        towing = PULL in rest and WALK not in rest
        cars.on_the_road(stage, frozenset(rest & ROAD), towing=towing)
        rest -= ROAD | ({PULL} if towing else set())
        anchors.append((0.0, 2.2))
    if confuser and rest == {STAND} and rng.random() < 0.4:
        apart(stage)
    else:
        on_foot(stage, rest, anchors, confuser)
    return _finish(stage, labels)


# ---- roles


def _span(stage: Stage, name: str) -> tuple[int, int]:
    """First and last frame of a one-off activity inside the clip."""
    last = stage.frames - 1
    length = min(last, max(45, min(duration(name, stage.rng), round(0.92 * last))))
    start = int(stage.rng.integers(0, last - length + 1))
    return start, start + length


def at_car(stage: Stage, rest: set[str]) -> None:
    """People at a parked car: each of Opening, Closing, Entering, Exiting, Loading at a door of its own."""
    rng = stage.rng
    acts = sorted(rest & AT_CAR)
    rng.shuffle(acts)
    kinds = ["sedan", "suv", "van"] if LOAD in acts else ["sedan", "suv", "pickup", "van"]
    sides = list(cars.DOORS if len(acts) - (LOAD in acts) > 2 else rng.permutation(["fl", "fr"]))
    if len(acts) > 1 or rng.random() < 0.3:
        kinds = [k for k in kinds if k != "van"]
        sides = list(rng.permutation(list(cars.DOORS)))
    angles: dict[str, Array] = {}
    late: dict[str, float] = {}
    plan: list[tuple[str, str, tuple[int, int]]] = []
    for act in acts:
        span = _span(stage, act)
        door = "lid" if act == LOAD else str(sides.pop())
        if act in (OPEN, CLOSE):
            angles[door], late[door] = cars.work_door(stage, door, span, closing=act == CLOSE)
        elif act == LOAD:
            angles["lid"] = np.full(stage.frames + 1, cars.lid_angle(rng))
        else:
            angles[door] = cars.entry_door(stage, span, leaving=act == EXIT)
        plan.append((act, door, span))
    car = cars.parked_car(stage, angles, kinds)
    vehicle = stage.add(car, "vehicle")
    stage.front = cars.visible_from([door for _, door, _ in plan])
    first = True
    for act, door, span in plan:
        if act in (OPEN, CLOSE):
            p = cars.at_door(stage, car, door, span, late[door], closing=act == CLOSE)
        elif act == LOAD:
            p = cars.load(stage, car, span, unloading=False)
        else:
            p = cars.in_or_out(stage, car, door, span, leaving=act == EXIT, walk_off=bool(rng.random() < 0.8))
        if first and act not in (ENTER, EXIT):
            if STAND in rest:
                p.note(STAND)
            if CARRY in rest:
                if act == LOAD:
                    p.held.append(lambda person: people.props.backpack(person, rng))
                else:
                    people.carry(p)
                p.note(CARRY)
            rest -= {STAND, CARRY}
            first = False
        number = p.enter()
        stage.event(act, [number, vehicle], *span)
    rest -= AT_CAR


_ACTS: dict[str, Callable[[Player], None]] = {
    TOOL: people.use_tool, PHONE: people.talk_phone, TEXT: people.text_phone, GESTURE: people.gesture,
    EXERCISE: people.exercise, HEAVY: people.heavy, PULL: people.pull, PUSH: people.push,
    MISC: people.companion, TOUCH: people.touch,
}  # fmt: skip
# Walking speeds that differ from the common one, m/s.
_SPEEDS = {
    HEAVY: (0.7, 1.0),
    PULL: (0.8, 1.25),
    PUSH: (0.8, 1.25),
    TOOL: (0.3, 0.9),
    PHONE: (0.5, 1.3),
    TEXT: (0.5, 1.1),
}
_ALWAYS_WALKING, _ALWAYS_STANDING = frozenset({PULL, PUSH, MISC}), frozenset({EXERCISE, GESTURE, TOUCH})
_SEEN_FROM_AHEAD = frozenset({TEXT, PHONE, GESTURE})
_BOTH_HANDS = frozenset({HEAVY, PUSH, PULL, MISC, TOOL})


def on_foot(stage: Stage, rest: set[str], anchors: list[tuple[float, float]], confuser: bool) -> None:
    """People on foot for all labels left, in as few bodies as can show them."""
    rng = stage.rng
    places = anchors or [(0.0, 0.0)]

    def place() -> tuple[float, float]:
        x, y = places[min(len(stage.kinds), len(places) - 1)] if len(places) > 1 else places[0]
        used = sum(kind == "person" for kind in stage.kinds)
        return (x + 0.9 * used * (-1) ** used, y + (0.9 * ((used + 1) // 2) if used else 0.0))

    if TALK in rest or (TOUCH in rest and stage.domain == "M"):
        conversation(stage, rest, place())
    while rest:
        legs = RUN if RUN in rest else _legs(rest, rng)
        act = next((name for name in _ACTS if name in rest and _fits(name, legs)), None)
        p = Player(stage, place(), rng.uniform(0, 2 * np.pi))
        labels = {name for name in (legs, act) if name in rest}
        if legs in (WALK, RUN):
            speed = rng.uniform(*_SPEEDS[act]) if act in _SPEEDS else None
            if act is None and legs == WALK and rng.random() < (0.5 if confuser else 0.07):
                speed = 1.8  # brisk, next to running
            people.walk(p, rng.uniform(1.5, 3.0) if act == MISC and rng.random() < 0.2 else speed, running=legs == RUN)
            if act is None and legs == WALK and CARRY not in rest and rng.random() < (0.6 if confuser else 0.1):
                people.stiff_arm(p)
        else:
            people.stand(p, idle=act is None)
        if act is not None:
            _ACTS[act](p)
        elif legs == STAND and CARRY not in rest and rng.random() < (0.9 if confuser else 0.12):
            near_miss(p)
        if CARRY in rest and (act not in (PULL, MISC) or not rest & {STAND}):
            labels.add(CARRY)
            if act in (TOOL, HEAVY) and rng.random() < 0.85:
                pass  # the tool or the load itself is what is carried
            elif act is None and rng.random() < (0.7 if confuser else 0.08):
                people.use_tool(p, swinging=False)
            else:
                people.carry(p, backpack=act in _BOTH_HANDS)
        if act in _SEEN_FROM_AHEAD and stage.front is None and rng.random() < 0.75:
            stage.front = float(p.motion.yaw[p.n // 2])
        for name in sorted(labels):
            p.note(name, together=name in (PULL, PUSH, MISC, TOUCH))
        p.enter()
        rest -= labels


def _legs(rest: set[str], rng: np.random.Generator) -> str:
    """What the next body's legs do."""
    if rest & _ALWAYS_WALKING:
        return WALK
    if STAND in rest and (rest & _ALWAYS_STANDING or WALK not in rest):
        return STAND
    if WALK in rest:
        return WALK
    if rest & _ALWAYS_STANDING:
        return STAND
    return WALK if rng.random() < 0.5 or HEAVY in rest else STAND


def _fits(act: str, legs: str) -> bool:
    return (
        legs != RUN
        and not (act in _ALWAYS_WALKING and legs != WALK)
        and not (act in _ALWAYS_STANDING and legs != STAND)
    )


def near_miss(p: Player) -> None:
    """Somebody who stands as if at something: near a prop without contact, or a hand at the hat."""
    if p.rng.random() < 0.5:
        people.touch(p, contact=False)
    else:
        up = keyed(p.n, [(0.1 * p.n, 0.0), (0.1 * p.n + 20, 1.0), (0.1 * p.n + 50, 1.0), (0.1 * p.n + 70, 0.0)])
        p.reach(p.hand, (0.06, 0.05, 0.08), up, frame="head", elbow=(0.4, 1.0, -0.3))


def apart(stage: Stage) -> None:
    """Two people who stand as if they talked, but back to back or too far from each other."""
    far = stage.rng.random() < 0.5
    for spot, yaw in together.circle(stage.rng, 2, (0.0, 0.0), 2.5 if far else 0.9):
        p = Player(stage, spot, yaw + (0.0 if far else np.pi))
        people.stand(p)
        p.note(STAND)
        p.enter()


def conversation(stage: Stage, rest: set[str], at: tuple[float, float]) -> None:
    """Two or three people who talk; the other labels of people standing are theirs too."""
    rng, n = stage.rng, stage.frames + 1
    if stage.domain == "M" and TOUCH in rest:
        numbers, start, end = together.embrace(stage, at, talking=TALK in rest)
        stage.event(TOUCH, numbers, start, end)
        if TALK in rest:
            stage.event(TALK, numbers)
        rest -= {TALK, TOUCH}
        return
    size = 3 if rng.random() < 0.25 else 2
    turns = together.turns_of_speech(rng, n, size)
    standing, numbers = STAND in rest, []
    acts = [name for name in (GESTURE, TEXT, PHONE, HEAVY) if name in rest and not (name == HEAVY and WALK in rest)]
    places = together.circle(rng, size, at, rng.uniform(0.85, 1.2))
    if size == 2 and stage.front is None and rng.random() < 0.7:  # seen from the side, neither hides the other
        stage.front = float(places[0][1] + np.pi / 2 * rng.choice([-1, 1]))
    for k, (spot, yaw) in enumerate(places):
        p = Player(stage, spot, yaw)
        people.stand(p, idle=rng.random() < 0.4)
        p.motion.yaw = np.full(p.n, yaw)
        act = acts.pop(0) if acts else None
        mine = {STAND} if standing else set()
        if act is not None:
            _ACTS[act](p)
            mine.add(act)
        if CARRY in rest:
            if act != HEAVY:
                people.carry(p, backpack=act is not None)
            mine.add(CARRY)
        for name in sorted(mine):
            p.note(name)
        rest -= mine
        together.speech(p, turns[k])
        numbers.append(p.enter())
    rest -= {TALK, STAND}
    stage.event(TALK, numbers)


# ---- unlabelled


def distractor(seed: int, domain: str = "V", frames: int | None = None) -> Scene:
    """An activity that is annotated but belongs to no class: it anchors clips in M and is passed over in V."""
    rng = np.random.default_rng((seed, 27))
    name = str(rng.choice(DISTRACTORS))
    stage = Stage(frames or duration(name, rng), domain, rng)
    n, last = stage.frames + 1, stage.frames - 1
    span = (0, last)
    if name in ("vehicle_u_turn", "vehicle_reverses"):
        cars.manoeuvre(stage, "u_turn" if name == "vehicle_u_turn" else "reverse")
    elif name in ("Unloading", "Open_Trunk", "Closing_Trunk"):
        if name == "Unloading":
            lid, late = np.full(n, cars.lid_angle(rng)), 0.0
        else:
            lid, late = cars.work_door(stage, "lid", span, closing=name == "Closing_Trunk")
        car = cars.parked_car(stage, {"lid": lid}, ("sedan", "suv", "van"))
        vehicle = stage.add(car, "vehicle")
        if name == "Unloading":
            p = cars.load(stage, car, span, unloading=True)
        else:
            p = cars.work_lid(stage, car, span, late, closing=name == "Closing_Trunk")
        stage.event(name, [p.enter(), vehicle], *span)
        stage.front = cars.visible_from(["lid"])
    elif name == "vehicle_drops_off_person":
        door = str(rng.choice(cars.DOORS))
        car = cars.parked_car(stage, {door: cars.entry_door(stage, span, leaving=True)}, ("sedan", "suv", "pickup"))
        vehicle = stage.add(car, "vehicle")
        p = cars.in_or_out(stage, car, door, span, leaving=True, walk_off=True)
        stage.event(name, [p.enter(), vehicle], *span)
        stage.front = cars.visible_from([door])
    else:
        p = Player(stage, (0.0, 0.0), rng.uniform(0, 2 * np.pi))
        people.stand(p, idle=False)
        (people.sit if name in ("person_sits_down", "person_stands_up") else people.pick)(
            p, backwards=name in ("person_stands_up", "SetDown")
        )
        stage.event(name, [p.enter()], *span)
    return _finish(stage, frozenset())


def crowd(seed: int, domain: str, frames: int) -> Scene:
    """Passers-by nobody annotates: one to three walkers, or a car that drives through."""
    rng = np.random.default_rng((seed, 29))
    stage = Stage(frames, domain, rng)
    if rng.random() < 0.25:
        cars.on_the_road(stage, frozenset({MOVE}))
    else:
        yaw = rng.uniform(0, 2 * np.pi)
        for k in range(int(rng.integers(1, 4))):
            p = Player(stage, (0.0, 0.75 * k), yaw)
            people.walk(p)
            if rng.random() < 0.35:
                people.carry(p)
            p.enter()
    stage.events.clear()
    return _finish(stage, frozenset())
