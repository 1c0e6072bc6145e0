"""How fast SynthVIRAT is cast, rendered and filmed against another commit: both in turn in one run, ratios printed.

python benchmarks/filming.py --against COMMIT                     casting, rendering at 8, 14, 28 and 56 px, filming
python benchmarks/filming.py --against COMMIT --only casting --rounds 5

The other commit is checked out into a temporary worktree. Each tree has one process, which does the same work when it
is its turn; the first turn (imports, compilation, caches of scenes) is shown apart and not counted. Seconds are of the
processor, so that what else runs on the machine matters less; what came out is compared byte by byte.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from tinylib.files import write_json

ROOT = Path(__file__).resolve().parents[1]
SIZES = (8, 14, 28, 56)
# What runs in each tree: it knows the names that modules had and have.
WORK = """
import hashlib, importlib, itertools, json, pathlib, sys, tempfile, time

def module(*names):
    for name in names:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name not in name:
                raise
    raise SystemExit(f"none of {names} is there")

import cv2
cv2.setNumThreads(1)
studies = module("tinylib.synth.studies", "tinylib.synth.study")
write = module("tinylib.synth.write")
script = module("tinylib.synth.script")
plan = module("tinylib.synth.plan")
actions = module("tinylib.synth.actions")
CLASSES = ("activity_walking", "activity_standing", "Opening", "Riding", "Talking", "vehicle_turning_left", "Pull",
           "specialized_talking_phone")
out = pathlib.Path(tempfile.mkdtemp())
shoots = list(studies._shoots(CLASSES, {"train": 30, "validate": 12, "test": 12}, 5, ("V", "M")))
chosen = shoots[:: len(shoots) // SCRIPTS][:SCRIPTS]

def casting():
    rows = [row for shoot in chosen for row in studies._scripted(shoot, str(out))]
    files = b"".join(file.read_bytes() for file in sorted((out / "truth").iterdir()))
    return len(rows), json.dumps(rows).encode() + files

def rendering(size):
    clips = [studies._clip(row | {"id": str(i)}) for i, row in enumerate(rows)]
    videos = [studies._rendered(str(out), clip, (size, size), True, 16) for clip in clips[:CLIPS]]
    return len(videos), b"".join(video.tobytes() for video in videos)

def filming():
    planes = getattr(write, "planes", None)
    shoot = plan.shoots(write.resolve("demo", 900), 0, ("V",))[0]
    if "composed" not in globals():
        global composed
        composed = script.compose(shoot, actions)
    sensor = composed[0].sensor
    frames = itertools.islice(write.pictures(*composed), FRAMES)
    extra = {"planar": True} if planes else {}
    frames = map(planes, frames) if planes else frames
    write.write_video(out / "film.mp4", frames, 30.0, crf=sensor.crf, keyframe_interval=sensor.group,
                      preset=write.PRESET, **extra)
    return FRAMES, (out / "film.mp4").read_bytes()

rows = []
for line in sys.stdin:
    what, *arguments = json.loads(line)
    began = time.process_time()
    count, data = {"casting": casting, "rendering": rendering, "filming": filming}[what](*arguments)
    seconds = time.process_time() - began
    if what == "casting":
        rows = json.loads(data[: data.index(b"}]") + 2])
    print(json.dumps([count, seconds, hashlib.sha256(data).hexdigest()]), flush=True)
"""


class Tree:
    """A process that works in one checkout."""

    def __init__(self, folder: Path, sizes: str):
        environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, "-c", sizes + WORK]
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def do(self, *what: Any) -> tuple[int, float, str]:
        """(clips or frames made, seconds of the processor, digest of what came out)."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the process ended with {self.process.wait()} in {' '.join(map(str, what))}")
        count, seconds, digest = json.loads(line)
        return count, seconds, digest


def compare(now: Tree, then: Tree, jobs: list[tuple[Any, ...]], rounds: int) -> list[dict[str, Any]]:
    """Every job in both trees in turn: one row each."""
    rows = []
    for job in jobs:
        first = now.do(*job), then.do(*job)
        times: list[tuple[float, float]] = []
        for number in range(rounds):
            pair = (now.do(*job)[1], then.do(*job)[1]) if number % 2 else (then.do(*job)[1], now.do(*job)[1])[::-1]
            times.append(pair)
        count = first[0][0]
        ours, theirs = (median(column) for column in zip(*times, strict=True))
        rows.append({
            "what": " ".join(map(str, job)), "made": count, "a second": count / ours, "a second then": count / theirs,
            "ratio": theirs / ours, "ratios": sorted(b / a for a, b in times),
            "first turn": first[0][1], "first turn then": first[1][1], "same bytes": first[0][2] == first[1][2],
        })  # fmt: skip
        row = rows[-1]
        print(
            f"{row['what']:14} {row['a second then']:8.2f} -> {row['a second']:8.2f} a second of a core: "
            f"{row['ratio']:5.2f} times ({row['ratios'][0]:.2f} to {row['ratios'][-1]:.2f}), "
            f"first turn {row['first turn then']:.1f} -> {row['first turn']:.1f} s, "
            f"{'the same bytes' if row['same bytes'] else 'OTHER BYTES'}",
            flush=True,
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", required=True, metavar="COMMIT")
    parser.add_argument("--only", choices=("casting", "rendering", "filming"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scripts", type=int, default=3, help="videos that are cast")
    parser.add_argument("--clips", type=int, default=24, help="of these that are rendered, 16 frames each")
    parser.add_argument("--frames", type=int, default=120, help="that are filmed and encoded")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    jobs: list[tuple[Any, ...]] = [("casting",), *(("rendering", size) for size in SIZES), ("filming",)]
    needed = {None: jobs, "rendering": jobs[:-1], "casting": jobs[:1], "filming": jobs[-1:]}[args.only]
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "then"
        subprocess.run(["git", "worktree", "add", "--detach", str(other), args.against], cwd=ROOT, check=True)
        try:
            sizes = f"SCRIPTS, CLIPS, FRAMES = {args.scripts}, {args.clips}, {args.frames}\n"
            rows = compare(Tree(ROOT, sizes), Tree(other, sizes), needed, args.rounds)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(other)], cwd=ROOT, check=True)
    if args.json is not None:
        write_json(args.json, rows)


if __name__ == "__main__":
    main()
