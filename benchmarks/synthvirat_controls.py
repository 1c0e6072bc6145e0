"""Can SynthVIRAT be solved by shortcuts? Classifiers that see only a part of the clips (acceptance test 4).

    python benchmarks/synthvirat_controls.py shape       lengths and sides alone, natural label shares    (2 minutes)
    python benchmarks/synthvirat_controls.py background  the empty crop alone, natural label shares       (4 minutes)
    python benchmarks/synthvirat_controls.py order       pairs that differ in time alone: clips in order, reversed,
                                                         shuffled, and one frame of each                 (10 minutes)

Minutes are of one core at the default sizes. `shape` and `background` compose the videos of `--profile` and cut them on
paper; nothing is filmed. `order` renders whole events, as many of each class, at `--side` px through the sensor.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from tinylib.annotations import CLASSES
from tinylib.building import ViratRule, Window, windows
from tinylib.evaluation import f1
from tinylib.files import atomic_path, write_json
from tinylib.models import TinyR3D
from tinylib.progress import track
from tinylib.synth import (
    PROFILES,
    Order,
    Script,
    Shoot,
    actions,
    annotate,
    close_up,
    compose,
    draw_frames,
    draw_side,
    rarest,
    shoots,
    view,
)

PAIRS = (("Opening", "Closing"), ("Entering", "Exiting"), ("vehicle_starting", "vehicle_stopping"),
         ("vehicle_turning_left", "vehicle_turning_right"), ("Loading", "Unloading"))  # fmt: skip
NAMES = tuple(name for pair in PAIRS for name in pair)
_TURNED = {"vehicle_turning_left": "vehicle_turning_right", "vehicle_turning_right": "vehicle_turning_left"}
MIRRORED = [NAMES.index(_TURNED.get(name, name)) for name in NAMES]
MOMENTS = 8
CROP = 28  # px of a background
BAR = 0.08  # macro-F1 that a shortcut may reach in V

Array = NDArray[Any]


# ---- natural shares: shape and background


def natural(profile: str, seed: int) -> dict[str, tuple[list[Window], Array]]:
    """Windows and empty crops (N, 28, 28, 3) of V's "train" and "test", as the builder cuts them."""
    by_split: dict[str, tuple[list[Window], list[Array]]] = {"train": ([], []), "test": ([], [])}
    todo = [shoot for shoot in shoots(PROFILES[profile], seed, ("V",)) if shoot.split in by_split]
    for shoot in track(todo, "videos"):
        script, backdrop = compose(shoot, actions)
        for window in windows(annotate(script, shoot.stem + "000000_000060"), ViratRule(min_clips=0)):
            x0, y0 = (max(0, at) for at in window.box[:2])
            crop = backdrop.image[y0 : y0 + window.side, x0 : x0 + window.side]
            by_split[shoot.split][0].append(window)
            by_split[shoot.split][1].append(cv2.resize(crop, (CROP, CROP), interpolation=cv2.INTER_AREA))
    return {split: (cut, np.array(crops)) for split, (cut, crops) in by_split.items()}


def targets(clips: list[Window]) -> tuple[Array, Array]:
    """Multi-hot labels (N, 26), and the number of each clip's rarest class (N)."""
    hot = np.array([[name in window.labels for name in CLASSES] for window in clips], np.float32)
    return hot, np.array([CLASSES.index(rarest(window.labels, "V")) for window in clips])


def scored(scores: Array, test: list[Window], balanced: Array) -> dict[str, float]:
    """Macro-F1 at 0.5, and the mean recall of the rarest classes by a classifier that was told to weigh all alike."""
    hot, rare = targets(test)
    recall = [float((balanced[rare == k] == k).mean()) for k in np.unique(rare)]
    constant = np.tile(hot.mean(0), (len(hot), 1))
    return {
        "macro_f1": float(f1(scores, hot, average="macro")),
        "macro_f1_of_constant": float(f1(constant, hot, average="macro")),
        "bar": BAR,
        "balanced_accuracy": float(np.mean(recall)),
        "balanced_chance": 1 / len(recall),
        "clips": len(test),
    }


def shape(data: dict[str, tuple[list[Window], Array]], seed: int) -> dict[str, float]:
    """Forests over (frames, side)."""
    from sklearn.ensemble import RandomForestClassifier

    (train, _), (test, _) = data["train"], data["test"]
    have, want = (np.array([(w.frames, w.side) for w in part], float) for part in (train, test))
    hot, rare = targets(train)
    scores = np.zeros((len(test), len(CLASSES)))
    for k in range(len(CLASSES)):
        if 0 < hot[:, k].sum() < len(hot):
            forest = RandomForestClassifier(100, min_samples_leaf=5, random_state=seed).fit(have, hot[:, k])
            scores[:, k] = forest.predict_proba(want)[:, 1]
    even = RandomForestClassifier(100, min_samples_leaf=5, class_weight="balanced", random_state=seed).fit(have, rare)
    return scored(scores, test, even.predict(want))


def background(data: dict[str, tuple[list[Window], Array]], seed: int) -> dict[str, float]:
    """A small convolutional network over the crops without their actors."""
    (train, seen), (test, unseen) = data["train"], data["test"]
    hot, rare = targets(train)
    net = learn(seen[:, None], torch.from_numpy(hot), len(CLASSES), seed=seed, epochs=12, loss=_multi)
    weight = torch.from_numpy(1 / np.maximum(np.bincount(rare, minlength=len(CLASSES)), 1)).float()
    even = learn(seen[:, None], torch.from_numpy(rare), len(CLASSES), seed=seed, epochs=12,
                 loss=lambda out, target: F.cross_entropy(out, target, weight=weight))  # fmt: skip
    scores = 1 / (1 + np.exp(-outputs(net, unseen[:, None])))
    return scored(scores, test, outputs(even, unseen[:, None]).argmax(1))


def _multi(out: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(out, target) * 10


# ---- pairs that differ in time alone


def script_of(pair: tuple[str, str], number: int, orders: int, seed: int, split: str) -> Script:
    """A video of events of one pair; lengths and sides of both members follow one law, so that they tell nothing."""
    rng = np.random.default_rng((seed, 50 + PAIRS.index(pair), number, split == "test"))
    todo = []
    for i in range(orders):
        like = (pair[int(rng.integers(2))] if pair[1] != "Unloading" else pair[0],)
        frames, chunk = draw_frames(like, "V", 1, rng)
        side = draw_side(like, "V", rng)
        name = pair[i % 2]
        # A distractor draws what it is from its seed.
        number_of = (int(n) for n in iter(lambda: rng.integers(2**31), None))
        drawn = next(n for n in number_of if name in CLASSES or actions.distractor(n, "V").events[0].name == name)
        todo.append(Order((name,) if name in CLASSES else (), drawn, frames, side, chunk))
    scene = 700_000 + 2000 * PAIRS.index(pair) + 2 * number + (split == "test")
    return compose(Shoot(split, "V", number, scene, int(rng.integers(2**31)), 1.0, tuple(todo)), actions, looks=False)[
        0
    ]


def events(pair: tuple[str, str], clips: int, side: int, seed: int, split: str) -> tuple[Array, Array]:
    """Clips (N, 8, side, side, 3) and numbers (N) of `NAMES`, `clips` of each of a pair."""
    videos, labels, left = [], [], dict.fromkeys(pair, clips)
    for number in range(1 + 4 * clips // 30):
        if not any(left.values()):
            break
        script = script_of(pair, number, 30, seed, split)
        for act in script.acts:
            for name in pair:
                window = close_up(act, script.camera, name) if left[name] else None
                if window is None:
                    continue
                moments = np.linspace(0, window.frames - 1, MOMENTS).round().astype(int).tolist()
                videos.append(view(script, window, side, sensor=True, moments=moments, truth=False).video)
                labels.append(NAMES.index(name))
                left[name] -= 1
    return np.array(videos), np.array(labels)


def gathered(clips: int, side: int, seed: int, split: str, folder: Path | None) -> tuple[Array, Array]:
    """The events of all pairs; in `folder`, if there is one, they are kept."""
    parts = []
    for pair in track(PAIRS, f"{split} pairs"):
        file = None if folder is None else folder / f"{split}-{pair[0]}-{clips}x{side}-s{seed}.npz"
        if file is None or not file.exists():
            videos, labels = events(pair, clips, side, seed, split)
            if file is not None:
                with atomic_path(file) as part, part.open("wb") as stream:
                    np.savez(stream, videos=videos, labels=labels)
        else:
            with np.load(file) as arrays:
                videos, labels = arrays["videos"], arrays["labels"]
        parts.append((videos, labels))
    return np.concatenate([videos for videos, _ in parts]), np.concatenate([labels for _, labels in parts])


def learn(
    videos: Array, labels: torch.Tensor, classes: int, *, seed: int, epochs: int, shuffled: bool = False,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = F.cross_entropy, mirrored: list[int] | None = None,
) -> torch.nn.Module:  # fmt: skip
    """A quarter of a TinyR3D, trained from scratch on uint8 clips; mirror images get the labels `mirrored`."""
    torch.manual_seed(seed)
    rng = np.random.default_rng((seed, 60))
    net = TinyR3D(num_classes=classes, widths=(8, 16, 32, 64), stem="low" if videos.shape[1] == 1 else "paper")
    steps = epochs * math.ceil(len(videos) / 32)
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    net.train()
    for _ in track(range(epochs), "epochs"):
        for part in np.array_split(rng.permutation(len(videos)), math.ceil(len(videos) / 32)):
            batch, target = videos[part], labels[torch.from_numpy(part)]
            if shuffled:
                batch = np.stack([clip[rng.permutation(len(clip))] for clip in batch])
            if mirrored is not None and rng.random() < 0.5:
                batch, target = batch[:, :, :, ::-1], torch.tensor(mirrored)[target]
            batch = np.roll(batch, tuple(rng.integers(-2, 3, 2)), (2, 3))
            value = loss(net(_float(batch)), target)
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            schedule.step()
    return net


def _float(batch: Array) -> torch.Tensor:
    """(B, 3, T, H, W); of moving clips what stands still is taken out, so that few clips suffice to learn from."""
    video = torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 4, 1, 2, 3))).float() / 255
    return 2 * (video - video.mean(2, keepdim=True)) + 0.45 if video.shape[2] > 1 else video


def outputs(net: torch.nn.Module, videos: Array) -> Array:
    """Logits (N, classes)."""
    net.eval()
    with torch.no_grad():
        return np.concatenate([net(_float(part)).numpy() for part in np.array_split(videos, 1 + len(videos) // 64)])


def order(clips: int, tests: int, side: int, seed: int, epochs: int, cache: Path | None) -> dict[str, Any]:
    """Accuracy within each pair, and half the width of its 95 % interval, for each way of looking at the clips."""
    videos, numbers = gathered(clips, side, seed, "train", cache)
    unseen, truth = gathered(tests, side, seed, "test", cache)
    labels = torch.from_numpy(numbers)
    rng = np.random.default_rng((seed, 61))
    middle = slice(MOMENTS // 2, MOMENTS // 2 + 1)
    mixed = np.stack([clip[rng.permutation(MOMENTS)] for clip in unseen])
    ordered = learn(videos, labels, len(NAMES), seed=seed, epochs=epochs, mirrored=MIRRORED)
    bag = learn(videos, labels, len(NAMES), seed=seed, epochs=epochs, shuffled=True, mirrored=MIRRORED)
    still = learn(videos[:, middle], labels, len(NAMES), seed=seed, epochs=epochs, mirrored=MIRRORED)
    seen = {
        "in order": outputs(ordered, unseen),
        "reversed": outputs(ordered, unseen[:, ::-1]),
        "shuffled": outputs(bag, mixed),
        "middle frame": outputs(still, unseen[:, middle]),
    }
    result: dict[str, Any] = {"clips_a_class": [clips, tests], "side": side, "frames": MOMENTS, "pairs": {}}
    for pair in (*PAIRS, NAMES):
        ids = [NAMES.index(name) for name in pair]
        mine = np.isin(truth, ids)
        rows = {}
        for way, out in seen.items():
            if len(ids) == 2:
                right = np.array(ids)[out[mine][:, ids].argmax(1)] == truth[mine]
            else:  # the member of its pair, over all pairs
                mate = truth ^ 1
                right = out[np.arange(len(truth)), truth] > out[np.arange(len(truth)), mate]
            rows[way] = [round(float(right.mean()), 3), round(0.98 / math.sqrt(len(right)), 3)]
        result["pairs"]["/".join(pair) if len(ids) == 2 else "all"] = rows
    result["ten classes, in order"] = round(float((seen["in order"].argmax(1) == truth).mean()), 3)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("control", choices=("shape", "background", "order"))
    parser.add_argument("--profile", choices=sorted(PROFILES), default="demo")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clips", type=int, default=80, help="of each class, to learn from")
    parser.add_argument("--tests", type=int, default=40, help="of each class, to be asked about")
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--cache", type=Path, help="folder that keeps the rendered clips")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.control == "order":
        figures = order(args.clips, args.tests, args.side, args.seed, args.epochs, args.cache)
    else:
        data = natural(args.profile, args.seed)
        figures = (shape if args.control == "shape" else background)(data, args.seed)
    print(json.dumps(figures, indent=1))
    if args.json is not None:
        write_json(args.json, figures)


if __name__ == "__main__":
    main()
