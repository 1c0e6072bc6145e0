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
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import chisquare

from tinylib.datasets.construct import MevaRule, ViratRule, Window, windows
from tinylib.datasets.labels import CLASSES
from tinylib.files import sha256, write_json
from tinylib.progress import track
from tinylib.synth import actions
from tinylib.synth.annotate import annotate
from tinylib.synth.plan import PHASES, PROFILES, combos, shoots, statistics
from tinylib.synth.script import Script, compose


def label_law(found: list[Window], domain: str) -> dict[str, Any]:
    """Label histogram against the real one: KL divergence, cardinality, order of the most frequent sets."""
    real: Counter[str] = Counter()
    for labels, n in combos(domain).items():
        real.update(dict.fromkeys(labels, n))
    ours = Counter(name for w in found for name in w.labels)
    p = np.array([real[c] for c in CLASSES if real[c]], float)
    q = np.array([max(ours[c], 0.5) for c in CLASSES if real[c]], float)
    p, q = p / p.sum(), q / q.sum()
    sets = Counter(tuple(w.labels) for w in found)
    table = {tuple(sorted(k)): n for k, n in combos(domain).items()}
    top = sorted(table, key=lambda k: -table[k])[:20]
    got = {tuple(sorted(k)): n for k, n in sets.items()}
    ranks = np.argsort(np.argsort([-got.get(k, 0) for k in top]))
    return {
        "clips": len(found),
        "kl_real_to_ours": float((p * np.log(p / q)).sum()),
        "cardinality": float(np.mean([len(w.labels) for w in found])),
        "top20_rank_correlation": float(np.corrcoef(ranks, np.arange(len(top)))[0, 1]),
        "classes": {c: ours[c] for c in CLASSES},
    }


def length_and_side(found: list[Window]) -> dict[str, Any]:
    """Frames against the uniform law, sides against the real quantiles of every class with more than 100 clips."""
    free = [w for w in found if not PHASES & set(w.labels)]
    counts = np.bincount([w.frames for w in free], minlength=151)[40:151]
    bins = counts[:110].reshape(10, 11).sum(1)
    result: dict[str, Any] = {
        "frames_mean": float(np.mean([w.frames for w in found])),
        "frames_chi2_p": float(chisquare(counts).pvalue),
        "frames_by_11": bins.tolist(),
        "even_square": all(w.side % 2 == 0 and w.box[3] - w.box[1] == w.side for w in found),
        "side_quantiles": np.percentile([w.side for w in found], (5, 25, 50, 75, 95)).tolist(),
        "side_off": {},
    }
    for name, want in statistics()["V"]["sides"].items():
        sides = [w.side for w in found if name in w.labels]
        if len(sides) > 100:
            off = np.percentile(sides, (5, 25, 50, 75, 95)) / np.array(want) - 1
            result["side_off"][name] = [round(float(v), 3) for v in off]
    return result


def agreement(script: Script, found: Iterable[Window], meva: bool) -> tuple[int, int]:
    """How many clips carry the labels that the script meant for what they show: (right, all)."""
    right = total = 0
    for w in found:
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


def dry(profile: str, seed: int) -> dict[str, Any]:
    """Compose and annotate every video, and cut on paper."""
    figures: dict[str, Any] = {}
    for domain in ("V", "M"):
        began, found, train = time.process_time(), list[Window](), list[Window]()
        right = total = missed = placed = frames = load = 0
        for shoot in track(shoots(PROFILES[profile], seed, (domain,)), f"{domain} videos"):
            script, _ = compose(shoot, actions)
            annotation = annotate(script, shoot.stem + ("000000_000060" if domain == "V" else ""))
            own = windows(annotation, ViratRule(min_clips=0) if domain == "V" else MevaRule())
            a, b = agreement(script, own, domain == "M")
            right, total, missed, placed = right + a, total + b, missed + script.missed, placed + len(script.acts)
            frames, load = frames + script.frames, load + sum(act.placed.frames for act in script.acts)
            found += own
            train += own if shoot.split == "train" else []
        figures[domain] = {
            **label_law(found, domain), "seconds": time.process_time() - began, "missed": missed, "vignettes": placed,
            "video_frames": frames, "vignettes_at_once": load / frames,
            "rarest_in_train": Counter(n for w in train for n in w.labels).most_common()[-3:],
        }  # fmt: skip
        if domain == "V":
            figures[domain] |= {**length_and_side(found), "agreement": right / max(total, 1)}
    return figures


def built(out: Path, profile: str, seed: int, workers: int | None) -> dict[str, Any]:
    """Make and build v2, and measure time, memory and pixels."""
    from tinylib.datasets.index import read_tinyvirat
    from tinylib.synth.write import ensure
    from tinylib.video import read_frames

    began = time.monotonic()
    root = ensure(out, profile, seed, 1, workers=workers)
    first = time.monotonic() - began
    root2 = ensure(out, profile, seed, 2, workers=workers)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    parts = ((1, root, ("train", "test")), (2, root2, ("train", "val", "test")))
    sizes = {f"v{v}/{s}": len(read_tinyvirat(r, s, version=v)) for v, r, splits in parts for s in splits}
    block = []
    index = read_tinyvirat(root, "train", version=1)
    for clip in index.clips[:: max(1, len(index) // 60)]:
        grey = read_frames(index.file(clip)).mean(-1)
        step = np.abs(np.diff(grey, axis=2)).mean((0, 1))
        block.append(float(np.mean(step[7::8]) / max(np.mean(step), 1e-6)))
    return {
        "seconds_v1": first,
        "seconds_v1_and_v2": time.monotonic() - began,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_memory_gb": used.ru_maxrss / 1e6, "clips": sizes, "blockiness_every_8_px": float(np.median(block)),
        "checksums": sha256(root / "checksums.json"),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", choices=sorted(PROFILES), default="demo")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--dry", action="store_true")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    figures = {"dry": dry(args.profile, args.seed)} if args.dry or args.out is None else {}
    if args.out is not None:
        figures["built"] = built(args.out, args.profile, args.seed, args.workers)
    print(json.dumps(figures, indent=1))
    if args.json is not None:
        write_json(args.json, figures)


if __name__ == "__main__":
    main()
