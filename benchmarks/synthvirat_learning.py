"""Can SynthVIRAT be learned, and does resolution matter? Networks from nothing on a balanced study; scores as JSON.

python benchmarks/synthvirat_learning.py --out DIR --train 400 --test 40                eight classes, a CPU
python benchmarks/synthvirat_learning.py --out DIR --classes all --train 400 --test 60 \\
    --sizes 6 8 12 16 24 32 56 112 --model r3d18 --frames 16 --epochs 100               all classes, a GPU

Bars (acceptance tests of the benchmark): macro F1 above 0.85 on clean high resolution, 0.3 to 0.6 on natural low
resolution, accuracy that falls with resolution. --taught: what the clean network is worth as a teacher there.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F

from tinylib import models
from tinylib.annotations import mirror_permutation
from tinylib.datasets import BatchTransform, ClipDataset, ClipStore
from tinylib.evaluation import Scores, metrics, predict
from tinylib.files import write_json
from tinylib.results import device_name
from tinylib.settings import EIGHT
from tinylib.synth import studies
from tinylib.training import Classify, CrossResolution, FitConfig, fit, losses

Kind = tuple[int, bool]  # pixels, and whether the sensor's noise is in them

LOSSES = {"plain": F.binary_cross_entropy_with_logits, "asymmetric": partial(losses.asymmetric, reduce="mean")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--classes", nargs="+", default=list(EIGHT), help="names, or 'all'")
    parser.add_argument("--train", type=int, default=60, help="clips a class")
    parser.add_argument("--test", type=int, default=30)
    parser.add_argument("--sizes", type=int, nargs="+", default=[8, 14, 28], help="natural low resolutions, px")
    parser.add_argument("--high", type=int, default=56, help="clean high resolution, px")
    parser.add_argument("--model", default="tiny_r3d")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--loss", choices=sorted(LOSSES), default="asymmetric")
    parser.add_argument("--still", type=float, default=0.3, help="share of what stands still that is seen (1: all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--taught", type=int, nargs="*", default=[], help="of --sizes: learned by the clean network too"
    )
    parser.add_argument("--students", type=int, default=3, help="seeds with and without that teacher")
    args = parser.parse_args()
    if missing := set(args.taught) - set(args.sizes):
        parser.error(f"--taught {min(missing)}: not among --sizes")
    bench = Study(args)
    rows, clean = [], (args.high, False)
    for kind in [clean] + [(size, True) for size in args.sizes]:
        rows += bench.measured(bench.learn(kind, args.seed), kind)
    teacher = bench.learn(clean, args.seed) if args.taught else None
    for size in args.taught:
        kind, seeds = (size, True), range(args.seed, args.seed + args.students)
        alone = [bench.read(bench.learn(kind, seed), kind, "test") for seed in seeds]
        taught = [bench.read(bench.learn(kind, seed, teacher, clean), kind, "test") for seed in seeds]
        truth, videos = alone[0].targets, alone[0].video_ids
        before, after = ([each.scores for each in some] for some in (alone, taught))
        for name, table in (
            ("alone", metrics.evaluate(before, truth, videos)),
            ("taught", metrics.evaluate(after, truth, videos)),
            ("taught minus alone", metrics.differences(after, before, truth, videos)),
        ):
            rows += scored(f"natural-{size}, {name}, {len(seeds)} seeds", "test", table)
    about = {key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items()}
    write_json(args.out / "learning.json", {"asked": about, "device": device_name(), "rows": rows})
    print(json.dumps(rows, indent=1))


class Study:
    """The clips at every size, the networks learned from them (each once: runs are kept), and their scores."""

    def __init__(self, args: argparse.Namespace) -> None:
        classes = () if args.classes == ["all"] else tuple(args.classes)
        self.splits = studies.study(args.out, classes=classes, train=args.train, val=8, test=args.test, seed=args.seed)
        self.args, self.kind = args, {"sampler": "uniform", "frames": args.frames, "size": None}

    def pixels(self, kind: Kind, split: str) -> ClipStore:
        size, sensor = kind
        file = self.args.out / f"{split}-{_named(kind)}.store"
        return studies.render(self.splits[split], file, size, sensor=sensor, frames=2 * self.args.frames)

    def learn(self, kind: Kind, seed: int, teacher: nn.Module | None = None, seen: Kind | None = None) -> nn.Module:
        """A network of clips of one kind; a teacher shows its answers to the same clips as it sees them."""
        args, train = self.args, self.splits["train"]
        torch.manual_seed(seed)
        stem = {"stem": "low" if kind[0] <= 32 else "paper"}
        network = models.create(args.model, num_classes=len(train.classes), still=args.still, **stem)
        loss = LOSSES[args.loss]
        objective = (
            Classify(network, loss=loss)
            if teacher is None
            else CrossResolution(network, teacher, loss=loss, trust=True)
        )
        high = None if seen is None else self.pixels(seen, "train")
        data = ClipDataset(train, store=self.pixels(kind, "train"), high=high, seed=seed, **self.kind)
        config = FitConfig(
            epochs=args.epochs,
            batch_size=args.batch,
            lr=args.lr,
            schedule="cosine",
            warmup=1.0,
            clip_norm=5.0,
            seed=seed,
        )
        run = f"run-{_named(kind)}" + ("" if teacher is None else "-taught") + (f"-{seed}" if seed != args.seed else "")
        transform = BatchTransform(flip=0.5, mirror=mirror_permutation(train.classes))
        fit(objective, data, config, args.out / run, transform=transform)
        return network

    def read(self, network: nn.Module, kind: Kind, split: str) -> Scores:
        views = "test" if split == "test" else "centre"
        store = self.pixels(kind, split)
        return predict(network, ClipDataset(self.splits[split], store=store, views=views, **self.kind), batch_size=64)

    def measured(self, network: nn.Module, kind: Kind) -> list[dict[str, Any]]:
        """Rows of both splits; the test split's classes are printed."""
        rows = []
        for split in ("train", "test"):
            scores = self.read(network, kind, split)
            scores.save(self.args.out / f"run-{_named(kind)}" / f"{split}.npz")
            rows += scored(_named(kind), split, metrics.evaluate(scores.scores, scores.targets, scores.video_ids))
        table = metrics.per_class(scores.scores, scores.targets, self.splits["test"].classes)
        print(table[["class", "support", "f1", "ap"]].round(2).to_string(index=False), flush=True)
        return rows


def scored(name: str, split: str, table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of `metrics.evaluate`'s table, printed."""
    rows = []
    for metric in ("F1", "mAP"):
        value, low, high = table.set_index("metric").loc[metric, ["value", "low", "high"]]
        ends = {"low": low, "high": high} if low == low else {}  # one source video has no interval
        rows.append({"video": name, "split": split, "metric": metric, "value": value, **ends})
        print(f"{name:14} {split:6} {metric:4} {metrics.spelled(value, low, high)}", flush=True)
    return rows


def _named(kind: Kind) -> str:
    size, sensor = kind
    return f"{'natural' if sensor else 'clean'}-{size}"


if __name__ == "__main__":
    main()
