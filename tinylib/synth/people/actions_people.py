"""What people do: one short function an action, each adding to a player's motion, hands and things.

Targets of hands are in metres for a body of 1.70 m and scale with stature; chest frame is (ahead, outwards, up) of the
base of the neck.
"""

from __future__ import annotations

import numpy as np

from tinylib.synth.people.actors import Person, Puppet, rotation
from tinylib.synth.people.gait import FPS, heading, keyed, leftward, smooth, wander
from tinylib.synth.people.players import LEFT, RIGHT, Player
from tinylib.synth.places import props
from tinylib.synth.places.primitives import Array

# ---- ways of being on one's feet


def walk(p: Player, speed: float | None = None, *, running: bool = False, turn: float | None = None) -> None:
    """Go at an almost steady speed through the player's place, on a line or a wide curve."""
    m, rng = p.motion, p.rng
    v = speed if speed is not None else rng.uniform(2.5, 3.8) if running else rng.uniform(0.9, 1.55)
    rate = v * (1.0 + wander(rng, p.n, 0.03))
    bend = rng.normal(0.0, 0.05) if turn is None else turn
    m.yaw = m.yaw + np.cumsum(bend + wander(rng, p.n, 0.04)) / FPS
    m.yaw = m.yaw - (m.yaw[p.n // 2] - m.yaw[0])
    path = np.cumsum(rate[:, None] * heading(m.yaw)[:, :2] / FPS, axis=0)
    m.xy = m.xy + path - path[p.n // 2]
    m.running = running
    m.tempo = float(rng.uniform(0.94, 1.06))
    m.swing = (float(rng.uniform(0.8, 1.25)),) * 2


def stand(p: Player, *, idle: bool = True) -> None:
    """Stay in place; now and then a turn of the feet; arms in one of the ways people keep them."""
    rng = p.rng
    if rng.random() < 0.3 and p.n > 60:
        when, by = rng.uniform(0.2, 0.7) * p.n, rng.normal(0.0, 0.5)
        p.motion.yaw = p.motion.yaw + keyed(p.n, [(when, 0.0), (when + 25, by)])
    p.motion.look = wander(rng, p.n, 0.25, 2.0)
    if not idle:
        return
    pose = rng.choice(["hang", "pocket", "fold", "hips", "back"], p=[0.55, 0.18, 0.12, 0.08, 0.07])
    if pose == "pocket":
        for side in (LEFT, RIGHT):
            p.reach(side, (0.06, 0.17, -0.52), elbow=(-1.0, 0.8, -0.2))
    elif pose == "fold":
        p.reach(LEFT, (0.24, -0.12, -0.27), elbow=(0.0, 1.0, -0.8))
        p.reach(RIGHT, (0.2, -0.08, -0.33), elbow=(0.0, 1.0, -0.8))
    elif pose == "hips":
        p.reach(p.hand, (0.02, 0.2, -0.44), elbow=(-0.4, 1.0, 0.0))
    elif pose == "back":
        for side in (LEFT, RIGHT):
            p.reach(side, (-0.16, -0.02, -0.5), elbow=(-1.0, 0.7, 0.0))
    p.busy = [False, False]


def stiff_arm(p: Player) -> None:
    """Confuser of carrying: one arm does not swing, nothing is in its hand."""
    side = int(p.rng.integers(2))
    p.motion.swing = (0.05, 1.0) if side == LEFT else (1.0, 0.05)


# ---- things carried


def carry(p: Player, *, backpack: bool = False) -> None:
    """A bag in a free hand, whose arm then hardly swings; a pack on the back; or a small box before the chest."""
    rng = p.rng
    free = [s for s in (p.hand, 1 - p.hand) if not p.busy[s]]
    kind = rng.choice(["bag", "pack", "box"], p=[0.62, 0.2, 0.18])
    if backpack or not free or kind == "pack":
        p.held.append(lambda person: props.backpack(person, rng))
    elif kind == "box" and len(free) == 2:
        width = rng.uniform(0.28, 0.42)
        for side in (LEFT, RIGHT):
            p.reach(side, (0.3, width / 2 + 0.01, -0.33))
        box = props.carton((0.26, width, rng.uniform(0.15, 0.3)), rng)
        p.held.append(lambda person: props.between_hands(person, box))
    else:
        side, model = free[0], props.hand_bag(rng, rng.uniform(0.85, 1.2))
        swing = [*p.motion.swing]
        swing[side] = 0.12
        p.motion.swing = (swing[0], swing[1])
        p.motion.reaches = [r for r in p.motion.reaches if r.side != side]
        p.busy[side] = True
        p.held.append(lambda person: props.hang(person, side, model))


def heavy(p: Player) -> None:
    """A wide load in both arms, trunk leaned back, short quick steps."""
    rng = p.rng
    width, tall = rng.uniform(0.6, 0.9), rng.uniform(0.35, 0.55)
    for side in (LEFT, RIGHT):
        p.reach(side, (0.3, min(width / 2 - 0.1, 0.28), -0.48), elbow=(-0.8, 0.8, -0.6))
    p.motion.lean = -np.radians(rng.uniform(8, 12)) + wander(rng, p.n, 0.01)
    p.motion.tempo = 1.3
    model = props.Model().box((0.4, width, tall), (0.06, 0, 0.5 * tall - 0.18), props.stuff(rng))
    p.held.append(lambda person: props.between_hands(person, model))


def pull(p: Player) -> None:
    """A trolley or cart trailing behind an arm stretched back."""
    rng, side = p.rng, p.hand
    if rng.random() < 0.65:
        p.reach(side, (-0.34, 0.16, -0.58), elbow=(-0.3, 1.0, 0.2))
        model = props.trolley(rng)

        def trail(person: Person) -> Puppet:
            hand, yaw = smooth(person.hand(side), 2.0), p.motion.yaw
            run = np.sqrt(np.maximum(1.05**2 - (hand[:, 2] - 0.02) ** 2, 0.01))
            wheels = (hand - heading(yaw) * run[:, None]) * np.array([1.0, 1.0, 0.0])
            return model.pose(wheels, rotation(yaw, np.arctan2(run, hand[:, 2])))
    else:
        p.reach(side, (-0.42, 0.1, -0.42), elbow=(-0.3, 1.0, 0.2))
        load = props.cart(rng)

        def trail(person: Person) -> Puppet:
            spot = smooth(person.hand(side), 2.0) - heading(p.motion.yaw) * 0.5
            return load.pose(spot * np.array([1.0, 1.0, 0.0]), rotation(p.motion.yaw + np.pi))

    p.motion.lean = np.full(p.n, rng.uniform(0.03, 0.1))
    p.beside.append((trail, "prop"))


def push(p: Player, model: props.Model | None = None) -> None:
    """A cart ahead, both hands on its bar, leaning into it."""
    ahead = heading(p.motion.yaw) * (0.5 * p.scale)
    bar = np.concatenate([p.motion.xy, np.full((p.n, 1), 1.0)], axis=1) + ahead
    for side in (LEFT, RIGHT):
        p.reach(side, bar + leftward(p.motion.yaw) * (0.2 if side == LEFT else -0.2), frame="world")
    if model is None:
        p.motion.lean = np.full(p.n, np.radians(p.rng.uniform(9, 14)))
    cart = model or props.cart(p.rng)
    spot = (bar + heading(p.motion.yaw) * 0.5) * np.array([1.0, 1.0, 0.0])
    p.beside.append((lambda _: cart.pose(spot, rotation(p.motion.yaw)), "prop"))


def companion(p: Player) -> None:
    """Misc: a dog on a leash, a pushchair, or rolling on a skateboard."""
    rng, m = p.rng, p.motion
    kind = rng.choice(["dog", "stroller", "skateboard"], p=[0.45, 0.3, 0.25])
    if kind == "stroller":
        push(p, props.stroller(rng))
    elif kind == "dog":
        side = p.hand
        aside = leftward(m.yaw)[:, :2] * (0.55 if side == LEFT else -0.55)
        spot = m.xy + aside + heading(m.yaw)[:, :2] * (rng.uniform(0.3, 1.0) + wander(rng, p.n, 0.12, 2.5))[:, None]
        path = smooth(spot, 6.0)
        step = np.gradient(path, axis=0)
        dog, collar = props.dog(path, np.unwrap(np.arctan2(step[:, 1], step[:, 0])), rng)
        p.reach(side, (0.18, 0.16, -0.42))
        p.beside.append((lambda _: dog, "animal"))
        p.held.append(lambda person: props.cord(person.hand(side), collar))
    else:
        board = m.yaw + 0.0
        m.xy = m.xy * 1.0
        m.yaw = board + (1.2 if rng.random() < 0.5 else -1.2)
        along = heading(board)
        base = np.concatenate([m.xy, np.full((p.n, 1), 0.12 + 0.04)], axis=1)
        front, back = base + along * 0.25, base - along * 0.22
        # every second or so the rear foot leaves the board and pushes
        phase = (p.time * rng.uniform(0.5, 0.8) + rng.random()) % 1.0
        kick = smooth(np.clip(np.sin(2 * np.pi * phase) * 3.0, 0.0, 1.0) * (phase < 0.5), 2.0)
        aside = leftward(board) * 0.22 * np.sign(m.yaw - board)[:, None]
        sweep = along * (-0.35 * np.sin(4 * np.pi * phase))[:, None]
        back = back + kick[:, None] * (aside + sweep - np.array([0, 0, 0.06]))
        m.feet = np.stack([back, front] if m.yaw[0] > board[0] else [front, back], axis=1)
        m.drop = 0.03 + 0.06 * kick
        for s in (LEFT, RIGHT):
            p.reach(s, np.array([0.1, 0.42, -0.3]) + 0.05 * np.stack([np.sin(p.time * 3 + s)] * 3, 1))
        deck = props.skateboard(rng)
        p.beside.append((lambda _: deck.pose(*props.upright(m.xy, board)), "prop"))


# ---- upper body


def talk_phone(p: Player) -> None:
    """A hand with a phone at the ear, elbow out; the other arm goes on."""
    side = p.hand
    p.reach(
        side,
        np.array([0.06, 0.1, -0.09]) + 0.006 * np.stack([wander(p.rng, p.n, 1.0)] * 3, 1),
        frame="head",
        elbow=(0.7, 0.6, -1.0),
    )
    p.motion.nod = 0.08 + wander(p.rng, p.n, 0.06)
    p.held.append(lambda person: props.phone(person, side, at_ear=True))


def text_phone(p: Player) -> None:
    """Forearms up before the chest, head bent over a bright slab."""
    rng, side = p.rng, p.hand
    tap = 0.006 * np.sin(2 * np.pi * 3.0 * p.time)
    height = rng.uniform(-0.28, -0.18)
    p.reach(side, np.stack([np.full(p.n, 0.3), np.full(p.n, 0.03), height + tap], 1), elbow=(-0.3, 0.5, -1.0))
    if rng.random() < 0.6:
        p.reach(
            1 - side,
            np.stack([np.full(p.n, 0.28), np.full(p.n, 0.02), height - tap - 0.02], 1),
            elbow=(-0.3, 0.5, -1.0),
        )
    p.motion.nod = np.radians(rng.uniform(30, 42)) + wander(rng, p.n, 0.04)
    p.motion.lean = np.full(p.n, 0.06)
    p.held.append(lambda person: props.phone(person, side, at_ear=False, glow=rng.uniform(0.4, 0.9)))


def gesture(p: Player) -> None:
    """A raised arm that waves at 1-2 Hz, or points, holds and points again."""
    rng, side = p.rng, p.hand
    t = p.time
    if rng.random() < 0.65:
        beat = np.sin(2 * np.pi * rng.uniform(1.0, 1.9) * t + rng.uniform(0, 6))
        up = rng.uniform(0.28, 0.42)
        p.reach(side, np.stack([np.full(p.n, 0.16), 0.32 + 0.2 * beat, up - 0.05 * beat**2], 1), elbow=(0.0, 1.0, -0.6))
        return
    period = rng.uniform(22, 34)
    raised = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(p.n) / (2 * period))
    raised = smooth(np.clip(1.8 * raised - 0.4, 0, 1), 2.0)[:, None]
    point = (
        np.array([0.42, rng.uniform(-0.05, 0.4), rng.uniform(0.05, 0.35)]) + 0.04 * np.sin(2 * np.pi * 2 * t)[:, None]
    )
    p.reach(side, raised * point + (1 - raised) * np.array([0.22, 0.16, -0.22]), elbow=(-0.1, 1.0, -0.8))


def use_tool(p: Player, *, swinging: bool = True) -> None:
    """A long tool swept to and fro by both hands, or a blower by one; `swinging=False` carries it still."""
    rng = p.rng
    rate, width = rng.uniform(0.45, 0.8), np.radians(rng.uniform(28, 40))
    sweep = width * np.sin(2 * np.pi * rate * p.time + rng.uniform(0, 6)) * swinging
    p.motion.twist = 0.45 * sweep
    one_hand, side = rng.random() < 0.3, p.hand
    sign = 1.0 if side == LEFT else -1.0
    model = props.blower(rng) if one_hand else props.pole(rng)
    tilt = rng.uniform(0.55, 0.75) if swinging else rng.uniform(-0.1, 0.3)
    yaw = p.motion.yaw + sweep
    axis = heading(yaw) * np.cos(tilt) - np.array([0.0, 0.0, np.sin(tilt)])
    height = (1.02 if not one_hand else 0.88) * p.scale
    spot = np.concatenate([p.motion.xy, np.full((p.n, 1), height)], axis=1)
    grip = spot + heading(yaw) * (0.3 * p.scale) + leftward(p.motion.yaw) * (sign * (0.22 if one_hand else 0.08))
    p.motion.lean = np.full(p.n, 0.14 if swinging else 0.03)
    if one_hand:
        p.reach(side, grip, frame="world")
        p.held.append(lambda person: model.pose(person.hand(side), rotation(yaw, tilt)))
        return
    p.reach(1 - side, grip + axis * 0.22, frame="world")
    p.reach(side, grip - axis * 0.22, frame="world")

    def carried(person: Person) -> Puppet:
        rear, fore = person.hand(side), person.hand(1 - side)
        line = fore - rear
        flat = np.hypot(line[:, 0], line[:, 1])
        return model.pose(
            (rear + fore) / 2, rotation(np.arctan2(line[:, 1], line[:, 0]), np.arctan2(-line[:, 2], flat))
        )

    p.held.append(carried)


def touch(p: Player, *, contact: bool = True) -> None:
    """Interacts (V): a hand, or both, busy on a bench, meter or container at a slow 0.3 Hz."""
    rng, t = p.rng, p.time
    yaw0 = float(p.motion.yaw[0])
    p.motion.yaw = np.full(p.n, yaw0)
    if p.stage.front is None and rng.random() < 0.8:  # neither the thing nor the back hides the hands
        p.stage.front = yaw0 + float(rng.choice([-1, 1])) * np.pi / 2
    kind = rng.choice(["meter", "dumpster", "bench"], p=[0.55, 0.18, 0.27])
    model = {"meter": lambda: props.meter(rng), "dumpster": lambda: props.dumpster(rng), "bench": props.bench}[
        str(kind)
    ]()
    height, depth = {"meter": (1.25, 0.12), "dumpster": (1.17, 0.45), "bench": (0.52, 0.05)}[str(kind)]
    away = {"meter": 0.55, "dumpster": 0.85, "bench": 0.5}[str(kind)] + (0.0 if contact else 0.35)
    ahead = heading(np.array(yaw0))
    spot = p.motion.xy[0] + away * ahead[:2]
    beat = 2 * np.pi * 0.3 * t + rng.uniform(0, 6)
    goal = np.concatenate([spot, [height]]) - depth * ahead
    drift = (
        np.stack([np.zeros(p.n), np.zeros(p.n), 0.05 * np.sin(2 * beat)], 1)
        + leftward(np.array(yaw0)) * (0.12 * np.sin(beat))[:, None]
    )
    if kind == "bench":
        p.motion.lean, p.motion.drop = np.full(p.n, 0.75 if contact else 0.03), np.full(p.n, 0.12 * contact)
    if contact:
        for side in [p.hand] if rng.random() < 0.55 else [p.hand, 1 - p.hand]:
            aside = leftward(np.array(yaw0)) * (0.12 if side == LEFT else -0.12)
            p.reach(side, goal + aside + drift * (1.0 if side == p.hand else 0.3), frame="world")
        p.motion.nod = np.full(p.n, 0.35)
    p.beside.append((lambda _: model.pose(*props.upright(np.tile(spot, (p.n, 1)), np.full(p.n, yaw0 + np.pi))), "prop"))


def exercise(p: Player) -> None:
    """specialized_miscellaneous: stretch, bend to the ground, kick, jump or squat, over and over."""
    rng, m, n = p.rng, p.motion, p.n
    period = rng.uniform(32, 48)
    u = (np.arange(n) + rng.uniform(0, period)) / period
    pulse = 0.5 - 0.5 * np.cos(2 * np.pi * u)
    deep = pulse[:, None]
    kind = rng.choice(["stretch", "bend", "kick", "jump", "squat"])
    if kind == "stretch":
        for s in (LEFT, RIGHT):
            p.reach(s, _raised(0.3 + 2.6 * pulse), elbow=(-0.6, 0.3, -0.3))
        m.lean = -0.15 * pulse
    elif kind == "bend":
        m.lean, m.drop = 1.15 * pulse, 0.12 * pulse
        for s in (LEFT, RIGHT):
            p.reach(s, np.array([0.15, 0.12, -0.5]), 0.9 * pulse)
    elif kind == "squat":
        m.drop, m.lean = 0.42 * pulse, 0.5 * pulse
        for s in (LEFT, RIGHT):
            p.reach(s, np.array([0.5, 0.15, -0.05]) * deep + np.array([0.1, 0.2, -0.5]) * (1 - deep))
    else:
        base = np.concatenate([m.xy, np.full((n, 1), 0.039 * p.look.stature)], 1)
        feet = np.stack([base + leftward(m.yaw) * 0.11, base - leftward(m.yaw) * 0.11], axis=1)
        if kind == "kick":
            side = p.hand
            leg = np.sin(2 * np.pi * u) * (0.5 + 0.5 * np.sin(2 * np.pi * u - 0.6))
            feet[:, side] += (
                heading(m.yaw) * (0.75 * leg)[:, None] + np.array([0, 0, 1.0]) * (0.4 * np.abs(leg))[:, None]
            )
            m.lean = -0.12 * np.maximum(leg, 0)
        else:  # jumping jack
            height = 0.28 * np.maximum(0.0, np.sin(2 * np.pi * u))
            feet[:, :, 2] += height[:, None]
            feet += np.stack([leftward(m.yaw), -leftward(m.yaw)], 1) * (0.22 * pulse)[:, None, None]
            m.drop = 0.02 + 0.14 * np.maximum(0.0, -np.sin(2 * np.pi * u)) - height
            for s in (LEFT, RIGHT):
                p.reach(s, _raised(0.2 + 2.6 * pulse), elbow=(-0.6, 0.3, -0.3))
        m.feet = feet


def _raised(angle: Array) -> Array:
    """A straight arm lifted sideways by `angle` from hanging: its hand in the chest frame, (n, 3)."""
    return np.stack([np.full_like(angle, 0.05), 0.2 + 0.62 * np.sin(angle), -0.02 - 0.62 * np.cos(angle)], axis=1)


def sit(p: Player, *, backwards: bool = False) -> None:
    """Sit down on a bench behind; backwards: stand up from it."""
    n, yaw = p.n, float(p.motion.yaw[0])
    down = keyed(n, [(0.2 * n, 0.0), (0.75 * n, 1.0)])
    dip = keyed(n, [(0.15 * n, 0.0), (0.5 * n, 1.0), (0.9 * n, 0.0)])
    down, dip = (down[::-1], dip[::-1]) if backwards else (down, dip)
    home = p.motion.xy[0] + 0.0
    back = heading(np.array(yaw))[:2]
    left = leftward(np.array(yaw)) * (0.06 * p.look.stature)
    base = np.array([*home, 0.039 * p.look.stature])
    p.motion.yaw = np.full(n, yaw)
    p.motion.xy = home - back * (0.36 * down[:, None])
    p.motion.feet = np.broadcast_to(np.stack([base + left, base - left]), (n, 2, 3))
    p.motion.drop, p.motion.lean = (0.53 * p.look.stature - 0.56) * down, 0.75 * dip + 0.03
    for side in (LEFT, RIGHT):
        p.reach(side, (0.36, 0.12, -0.5), down)
    spot = home - back * 0.4
    p.beside.append((lambda _: props.bench().pose(*props.upright(np.tile(spot, (n, 1)), np.full(n, yaw))), "prop"))


def pick(p: Player, *, backwards: bool = False) -> None:
    """Stoop and pick a bag up from the ground; backwards: set it down."""
    n, rng, yaw = p.n, p.rng, float(p.motion.yaw[0])
    bow = keyed(n, [(0.1 * n, 0.0), (0.5 * n, 1.0), (0.9 * n, 0.0)])
    p.motion.yaw = np.full(n, yaw)
    p.motion.lean, p.motion.drop, p.motion.nod = 1.05 * bow, 0.28 * bow, 0.2 * bow
    sign = 1.0 if p.hand == LEFT else -1.0
    spot = np.array([*p.motion.xy[0], 0.42]) + heading(np.array(yaw)) * 0.42 + leftward(np.array(yaw)) * (0.15 * sign)
    p.reach(p.hand, spot, bow, frame="world")
    model, side, half = props.hand_bag(rng), p.hand, n // 2

    def bag(person: Person) -> Puppet:
        hand = person.hand(side).copy()
        if backwards:
            hand[half:] = hand[half]
        else:
            hand[:half] = hand[half]
        return model.pose(hand, rotation(p.motion.yaw))

    p.held.append(bag)
