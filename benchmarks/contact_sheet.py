"""All 26 classes of SynthVIRAT at a glance: clips at their own small size, enlarged, and their high-resolution twins.

    python benchmarks/contact_sheet.py sheet.png [--clips 2] [--moments 8] [--seed 0] [--side 0] [--only Pull,Push]

Each row is one clip over time; left the recording as its camera sees it (real sides, quartiles by class; `--side` sets
one for all), right the same moments rendered at 112 px without the sensor.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from tinylib.datasets.labels import CLASSES
from tinylib.synth import actions
from tinylib.synth.camera import Camera, draw_camera
from tinylib.synth.plan import Order, statistics
from tinylib.synth.render import Backdrop, Image, outline
from tinylib.synth.scene import Scene, make_scene, paint
from tinylib.synth.script import Act, Placed
from tinylib.synth.sensor import Chain, Sensor
from tinylib.synth.separability import usual
from tinylib.synth.write import Stand

SHOWN = 112  # px a moment takes on the sheet


def place(order: Order, camera: Camera, rng: np.random.Generator) -> tuple[Act, tuple[float, float, float]]:
    """The act where its clip has the ordered side, turned to be seen, and the clip's square (x, y, side)."""
    front = actions.vignette(frozenset(order.labels), seed=order.seed, frames=order.frames).front
    for _ in range(60):
        heading = rng.uniform(0, 2 * math.pi) if front is None else -math.pi / 2 - front + rng.uniform(-0.9, 0.9)
        y, u = 25.0, rng.uniform(-0.3, 0.3)
        for _ in range(6):
            act = Act(Placed(order, heading, u * camera.width * y / camera.f, y, 0, order.frames or 0), actions, "V")
            boxes = np.stack([outline(act.pose(t), camera)[0] for t in np.linspace(0, act.vignette.frames - 1, 8)])
            box = np.array([*boxes[:, :2].min(0), *boxes[:, 2:].max(0)])
            side = float(max(box[2] - box[0], box[3] - box[1]))
            y = float(np.clip(y * side / order.side, 6.0, 300.0))
        middle = (box[:2] + box[2:]) / 2
        if 0 < middle[0] < camera.width and abs(side / order.side - 1) < 0.1:
            break
    return act, (float(middle[0] - side / 2), float(middle[1] - side / 2), side)


def film(act: Act, camera: Camera, scene: Scene, sensor: Sensor, times: np.ndarray) -> list[Image]:
    """The moments `times` of an act through a camera."""
    backdrop: Backdrop = paint(scene, camera)
    stand, chain = Stand(act, camera, scene, backdrop), Chain(sensor, backdrop.image, act.placed.order.seed)
    pictures = []
    for t in times:
        frame = backdrop.image.copy()
        patch = stand.into(frame, float(t))
        pictures.append(chain.record(frame, [patch] if patch else [], int(t)).copy())  # the chain reuses its frame
    return pictures


def row(name: str, seed: int, moments: int, side: int) -> Image:
    """One clip over time and its twin."""
    rng = np.random.default_rng((seed, CLASSES.index(name)))
    quantiles = statistics()["V"]["sides"][name]
    size = side or int(rng.choice(quantiles[1:4]))
    order = Order(tuple(sorted(usual(name))), int(rng.integers(2**31)), 80, float(size), 80)
    scene = replace(make_scene(int(rng.integers(2**20)), "V"), statics=())  # nothing that hides the action
    camera = draw_camera(rng, 1280, 720)
    act, (x, y, extent) = place(order, camera, rng)
    times = np.linspace(0, act.vignette.frames - 1, moments).round()
    sensor = Sensor.draw(rng)
    small = film(act, camera.window(x, y, extent, 2 * (size // 2)), scene, sensor, times)
    twin = film(act, camera.window(x, y, extent, SHOWN), scene, sensor.clean(), times)
    shown = [cv2.resize(picture, (SHOWN, SHOWN), interpolation=cv2.INTER_NEAREST) for picture in small]
    strip = np.hstack([*shown, np.full((SHOWN, 8, 3), 255, np.uint8), *twin])
    cv2.putText(strip, f"{name} {size} px", (3, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (255, 255, 0), 1, cv2.LINE_AA)
    return np.asarray(strip)


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--clips", type=int, default=2)
    parser.add_argument("--moments", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", type=int, default=0)
    parser.add_argument("--only", default=",".join(CLASSES))
    options = parser.parse_args()
    rows = [
        row(name, options.seed + clip, options.moments, options.side)
        for name in options.only.split(",")
        for clip in range(options.clips)
    ]
    cv2.imwrite(str(options.out), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
