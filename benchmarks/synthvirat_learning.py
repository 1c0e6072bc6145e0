"""Can SynthVIRAT be learned, and does resolution matter? Networks from nothing on a balanced study; scores as JSON.

python benchmarks/synthvirat_learning.py --out DIR --train 400 --test 40                eight classes, a CPU
python benchmarks/synthvirat_learning.py --out DIR --classes all --train 400 --test 60 \\
    --sizes 6 8 12 16 24 32 56 112 --model r3d18 --frames 16 --epochs 100               all classes, a GPU

Bars (acceptance tests of the benchmark): macro F1 above 0.85 on clean high resolution, 0.3 to 0.6 on natural low
resolution, accuracy that falls with resolution.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

import torch
from torch.nn import functional as F

from tinylib import losses, metrics, models
from tinylib.datasets.labels import mirror_permutation
from tinylib.datasets.loading import BatchTransform, ClipDataset
from tinylib.files import write_json
from tinylib.objectives.classify import Classify
from tinylib.parameters import EIGHT
from tinylib.predict import predict
from tinylib.results import device_name
from tinylib.synth import study
from tinylib.train import FitConfig, fit

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
    args = parser.parse_args()
    classes = () if args.classes == ["all"] else tuple(args.classes)
    splits = study.study(args.out, classes=classes, train=args.train, val=8, test=args.test, seed=args.seed)
    mirror = mirror_permutation(splits["train"].classes)
    rows = []
    for size, sensor in [(args.high, False)] + [(size, True) for size in args.sizes]:
        name = f"{'natural' if sensor else 'clean'}-{size}"
        kind = {"sampler": "uniform", "frames": args.frames, "size": None}
        stores = {
            split: study.render(
                splits[split], args.out / f"{split}-{name}.store", size, sensor=sensor, kept=2 * args.frames
            )
            for split in ("train", "test")
        }
        torch.manual_seed(args.seed)
        stem = {"stem": "low" if size <= 32 else "paper"}
        network = models.create(args.model, num_classes=len(splits["train"].classes), still=args.still, **stem)
        fit(
            Classify(network, loss=LOSSES[args.loss]),
            ClipDataset(splits["train"], store=stores["train"], seed=args.seed, **kind),
            FitConfig(
                epochs=args.epochs,
                batch_size=args.batch,
                lr=args.lr,
                schedule="cosine",
                warmup=1.0,
                clip_norm=5.0,
                seed=args.seed,
            ),
            args.out / f"run-{name}",
            transform=BatchTransform(flip=0.5, mirror=mirror),
        )
        for split in ("train", "test"):
            read = "test" if split == "test" else "centre"
            views = ClipDataset(splits[split], store=stores[split], views=read, **kind)
            found = predict(network, views, batch_size=64)
            found.save(args.out / f"run-{name}" / f"{split}.npz")
            table = metrics.evaluate(found.scores, found.targets, found.video_ids).set_index("metric")
            for metric in ("F1", "mAP"):
                value, low, high = table.loc[metric, ["value", "low", "high"]]
                ends = {"low": low, "high": high} if low == low else {}  # one source video has no interval
                rows.append({"video": name, "split": split, "metric": metric, "value": value, **ends})
                print(f"{name:14} {split:6} {metric:4} {metrics.spelled(value, low, high)}", flush=True)
        table = metrics.per_class(found.scores, found.targets, splits["test"].classes)
        print(table[["class", "support", "f1", "ap"]].round(2).to_string(index=False), flush=True)
    about = {key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items()}
    write_json(args.out / "learning.json", {"asked": about, "device": device_name(), "rows": rows})
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
