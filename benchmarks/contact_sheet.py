"""All 26 classes of SynthVIRAT at a glance: clips at their own small size, enlarged, and their high-resolution twins.

    python benchmarks/contact_sheet.py sheet.png [--clips 2] [--moments 8] [--seed 0] [--side 0] [--only Pull,Push]

Each row is one clip over time; left the recording as its camera sees it (real sides, quartiles by class; `--side` sets
one for all), right the same moments rendered at 112 px without the sensor. Vignettes are placed as the director of the
data set places them; what finds no room is left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from tinylib.annotations import CLASSES
from tinylib.synth import Image, Order, Shoot, actions, close_up, compose, draw_frames, statistics, usual, view

SHOWN = 112  # px a moment takes on the sheet


def rows(names: list[str], seed: int, moments: int, side: int) -> dict[str, Image]:
    """One clip over time and its twin, of each class, all in one place."""
    rng = np.random.default_rng((seed, 3))
    orders = []
    for name in names:
        labels = tuple(sorted(usual(name)))
        frames, chunk = draw_frames(labels, "V", 1, rng)
        size = side or float(rng.choice(statistics()["V"]["sides"][name][1:4]))
        orders.append(Order(labels, int(rng.integers(2**31)), frames, size, chunk))
    script, _ = compose(Shoot("train", "V", seed, 800_000 + seed, seed, 1.0, tuple(orders)), actions, looks=False)
    images: dict[str, Image] = {}
    for name, order in zip(names, orders, strict=True):
        act = next((act for act in script.acts if act.placed.order is order), None)
        window = close_up(act, script.camera, name) if act is not None else None
        if window is None:
            continue
        times = np.linspace(0, window.frames - 1, moments).round().astype(int).tolist()
        small = view(script, window, max(8, min(window.side, 128)), sensor=True, moments=times, truth=False).video
        twin = view(script, window, SHOWN, moments=times, truth=False).video
        shown = [cv2.resize(picture, (SHOWN, SHOWN), interpolation=cv2.INTER_NEAREST) for picture in small]
        strip = np.hstack([*shown, np.full((SHOWN, 8, 3), 255, np.uint8), *twin])
        text = f"{name} {window.side} px, {window.frames} frames"
        cv2.putText(strip, text, (3, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (255, 255, 0), 1, cv2.LINE_AA)
        images[name] = np.asarray(strip)
    return images


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
    names = options.only.split(",")
    sheets = [rows(names, 100 * options.seed + clip, options.moments, options.side) for clip in range(options.clips)]
    strips = [sheet[name] for name in names for sheet in sheets if name in sheet]
    cv2.imwrite(str(options.out), cv2.cvtColor(np.vstack(strips), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
