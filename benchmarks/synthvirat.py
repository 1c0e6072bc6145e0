"""Does SynthVIRAT keep its promises? Prints every figure of its acceptance tests and writes them as JSON.

python benchmarks/synthvirat.py --profile demo --dry           label, length and size laws: no pixel is drawn
python benchmarks/synthvirat.py --profile demo --out DIR       the same on built clips, with times, noise and hashes
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.stats import chisquare

from tinylib.annotations import CLASSES
from tinylib.building import MevaRule, ViratRule, Window, windows
from tinylib.files import sha256, write_json
from tinylib.progress import track
from tinylib.synth import (
    DOMAINS,
    MIX,
    NOISE_BANDS,
    PHASES,
    PROFILES,
    SPLITS,
    Profile,
    Script,
    Shoot,
    actions,
    annotate,
    compose,
    divergence,
    least_divergence,
    noise,
    shoots,
    statistics,
    support,
    top_sets,
)
from tinylib.workers import in_order


def label_law(clips: list[Window], domain: str) -> dict[str, Any]:
    """Label histogram against the real one: KL divergence, cardinality, order of the most frequent sets."""
    sets = [tuple(w.labels) for w in clips]
    ours = Counter(name for labels in sets for name in labels)
    return {
        "clips": len(clips),
        "kl_real_to_ours": divergence(sets, domain),
        "cardinality": float(np.mean([len(labels) for labels in sets])),
        "top20": top_sets(sets, domain),
        "classes": {c: ours[c] for c in CLASSES if c in support(domain)},
    }


def length_and_side(clips: list[Window]) -> dict[str, Any]:
    """Frames against the uniform law, sides against the real quantiles of every class with more than 100 clips."""
    free = [w for w in clips if not PHASES & set(w.labels)]
    counts = np.bincount([w.frames for w in free], minlength=151)[40:151]
    bins = counts[:110].reshape(10, 11).sum(1)
    result: dict[str, Any] = {
        "frames_mean": float(np.mean([w.frames for w in clips])),
        "frames_chi2_p": float(chisquare(counts).pvalue),
        "frames_by_11": bins.tolist(),
        "even_square": all(w.side % 2 == 0 and w.box[3] - w.box[1] == w.side for w in clips),
        "side_quantiles": np.percentile([w.side for w in clips], (5, 25, 50, 75, 95)).tolist(),
        "side_off": {},
    }
    for name, want in statistics()["V"]["sides"].items():
        sides = [w.side for w in clips if name in w.labels]
        if len(sides) > 100:
            off = np.percentile(sides, (5, 25, 50, 75, 95)) / np.array(want) - 1
            result["side_off"][name] = [round(float(v), 3) for v in off]
    return result


def agreement(script: Script, clips: Iterable[Window], meva: bool) -> tuple[int, int]:
    """How many clips carry the labels that the script meant for what they show: (right, all)."""
    right = total = 0
    for w in clips:
        if meva:
            continue
        best, spot = 0.0, None
        for act in script.acts:
            first, last = act.placed.start, act.placed.start + act.placed.frames
            shared = min(last, w.end + 1) - max(first, w.start)
            middle = act.placed
            at = script.camera.project(np.array((middle.x, middle.y, 0.8)))[0]
            gap = np.hypot(*(at - (np.array(w.box[:2]) + w.box[2:]) / 2)) / w.side
            if act.placed.order.labels and shared > 0 and gap < 4 and shared / (1 + gap) > best:
                best, spot = shared / (1 + gap), act
        if spot is None:
            continue
        first = spot.placed.start
        now = [e for e in spot.vignette.events if e.start + first <= w.end and w.start <= e.end + first]
        meant = {event.name for event in now} & set(CLASSES)
        total += 1
        right += set(w.labels) <= meant and bool(set(w.labels))
    return right, total


def cut(shoot: Shoot) -> tuple[Shoot, list[Window], dict[str, int]]:
    """Compose and annotate one video, and cut it on paper."""
    cv2.setNumThreads(1)
    script, _ = compose(shoot, actions, looks=False)
    annotation = annotate(script, shoot.stem + ("000000_000060" if shoot.domain == "V" else ""))
    clips = windows(annotation, ViratRule(min_clips=0) if shoot.domain == "V" else MevaRule())
    right, total = agreement(script, clips, shoot.domain == "M")
    counts = {"right": right, "total": total, "missed": script.missed, "vignettes": len(script.acts),
              "video_frames": script.frames, "acted": sum(act.placed.frames for act in script.acts)}  # fmt: skip
    return shoot, clips, counts


def dry(profile: Profile, seed: int, every: int, workers: int) -> dict[str, Any]:
    """Compose and annotate every video (or each of so many), and cut on paper."""
    figures: dict[str, Any] = {}
    sizes: dict[str, dict[str, int]] = {}
    for domain in DOMAINS:
        began = time.monotonic()
        jobs = [(shoot,) for shoot in shoots(profile, seed, (domain,))[::every]]
        by_split: dict[str, list[Window]] = {split: [] for split in SPLITS}
        counts: Counter[str] = Counter()
        for shoot, clips, count in track(in_order(cut, jobs, workers), f"{domain} videos", total=len(jobs)):
            by_split[shoot.split] += clips
            counts.update(count)
        whole = [w for part in by_split.values() for w in part]
        sizes[domain] = {split: len(part) for split, part in by_split.items()}
        figures[domain] = {
            **label_law(whole, domain), "seconds": time.monotonic() - began, **counts,
            "splits": {split: {k: v for k, v in label_law(part, domain).items() if k != "classes"}
                       for split, part in by_split.items() if part},
            "vignettes_at_once": counts["acted"] / counts["video_frames"],
            "rarest_in_train": Counter(n for w in by_split["train"] for n in w.labels).most_common()[-4:],
        }  # fmt: skip
        if domain == "V":
            figures[domain] |= {**length_and_side(whole), "agreement": counts["right"] / max(counts["total"], 1)}
            figures[domain]["kl_possible"] = {
                f"floor {floor}": least_divergence(
                    profile.train // every, (profile.validate + profile.test) // every, floor
                )
                for floor in sorted({0, profile.floor})
            }
        else:
            figures[domain] |= {"frames_mean": float(np.mean([w.frames for w in whole])),
                                "share_of_64_frames": float(np.mean([w.frames == 64 for w in whole])),
                                "sides": Counter(w.side for w in whole).most_common(3)}  # fmt: skip
    figures["share_of_V"] = {
        split: {"ours": round(sizes["V"][split] / max(1, sizes["V"][split] + sizes["M"][split]), 3), "real": MIX[split]}
        for split in SPLITS
    }
    figures["holds"] = verdict(figures["V"])
    return figures


def verdict(v: dict[str, Any]) -> dict[str, bool]:
    """The bars of the acceptance tests, on the V domain."""
    return {
        "KL < 0.02": v["kl_real_to_ours"] < 0.02,
        "cardinality 1.48 +- 0.03": abs(v["cardinality"] - 1.48) <= 0.03,
        "no clear pair of the top 20 sets swapped": v["top20"]["swapped"] == 0,
        "lengths uniform, p > 0.01": v["frames_chi2_p"] > 0.01,
        "sides within 10 %": all(abs(off) <= 0.1 for row in v["side_off"].values() for off in row),
        "sides even and square": v["even_square"],
        "builder agrees > 97 %": v["agreement"] > 0.97,
    }


def still_noise(file: Path) -> dict[str, float]:
    """Noise of the quietest of a video's 96-px tiles: where nobody is."""
    from tinylib.video import read_frames

    video = read_frames(file, np.arange(30, 54))
    tiles = [video[:, y : y + 96, x : x + 96] for y in range(0, video.shape[1] - 95, 96)
             for x in range(0, video.shape[2] - 95, 96)]  # fmt: skip
    return min((noise(tile) for tile in tiles if tile.mean() < 225), key=lambda row: row["sigma"])


def built(out: Path, profile: Profile, seed: int, workers: int | None) -> dict[str, Any]:
    """Make and build v2, and measure time, memory and pixels."""
    from tinylib.datasets import read_tinyvirat
    from tinylib.synth import ensure

    began = time.monotonic()
    root = ensure(out, profile, seed, 1, workers=workers)
    first = time.monotonic() - began
    root2 = ensure(out, profile, seed, 2, workers=workers)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    parts = ((1, root, ("train", "test")), (2, root2, ("train", "val", "test")))
    sizes = {f"v{v}/{s}": len(read_tinyvirat(r, s, version=v)) for v, r, splits in parts for s in splits}
    noise = [still_noise(file) for file in sorted((root.parent / "virat" / "videos").glob("*.mp4"))[:12]]
    medians = {name: float(np.median([row[name] for row in noise])) for name in NOISE_BANDS}
    return {
        "seconds_v1": first,
        "seconds_v1_and_v2": time.monotonic() - began,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_memory_gb": used.ru_maxrss / 1e6, "clips": sizes, "noise": medians,
        "noise_in_bands": all(low < medians[name] < high for name, (low, high) in NOISE_BANDS.items()),
        "checksums": sha256(root / "checksums.json"),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", choices=sorted(PROFILES), default="demo")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--dry", action="store_true")
    parser.add_argument("--every", type=int, default=1, help="of so many videos, one (for a quick look at full)")
    parser.add_argument("--balanced", action="store_true", help="balanced_eval: validate and test with even classes")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    profile, figures = replace(PROFILES[args.profile], balanced_eval=args.balanced), {}
    if args.dry or args.out is None:
        figures["dry"] = dry(profile, args.seed, args.every, args.workers or 0)
    if args.out is not None:
        figures["built"] = built(args.out, profile, args.seed, args.workers)
    print(json.dumps(figures, indent=1))
    if args.json is not None:
        write_json(args.json, figures)


if __name__ == "__main__":
    main()
