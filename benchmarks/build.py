"""How fast the builder reads video, against a bare decode loop, and whether its memory grows with the video's length.

    python benchmarks/build.py --annotations DIR --videos DIR [--rule virat|meva] [--repeat 3]

Bars: at least 0.9 of the bare loop's frames a second; peak memory of a video ten times as long within 20 MB. Without
arguments it makes a 1280x720 video of its own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import av
import numpy as np

from tinylib.building import MevaRule, ViratRule, build, find_sources, find_videos, windows
from tinylib.video import write_video


def bare(video: Path, frames: int) -> None:
    """Decode the first frames to RGB with PyAV, one thread, and do nothing with them."""
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"
        stream.codec_context.thread_count = 1
        for number, frame in enumerate(container.decode(stream), 1):
            frame.to_ndarray(format="rgb24")
            if number == frames:
                break


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock and of the processor."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def synthetic(folder: Path, frames: int) -> None:
    """A 720p video with three people walking through it, annotated."""
    ground = np.random.default_rng(0).integers(90, 120, (720, 1280, 3), dtype=np.uint8)
    people = [(100, 300, 1), (700, 200, 0), (900, 500, 0)]

    def scene() -> object:
        for f in range(frames):
            frame = ground.copy()
            for x, y, speed in people:
                left = x + speed * f // 4 % 200
                frame[y : y + 60, left : left + 25] = 30 + 40 * (f // 8 % 3)
            yield frame

    (folder / "videos").mkdir(parents=True)
    (folder / "annotations").mkdir()
    write_video(folder / "videos" / "VIRAT_S_1.mp4", scene())  # type: ignore[arg-type]
    texts: dict[str, list[str]] = {"events": [], "objects": [], "mapping": []}
    for k, (x, y, speed) in enumerate(people):
        flags = " ".join(str(int(j == k)) for j in range(len(people)))
        texts["mapping"].append(f"{k} 9 {frames} 0 {frames - 1} 1 {flags}")
        for f in range(frames):
            box = f"{x + speed * f // 4 % 200} {y} 25 60"
            texts["events"].append(f"{k} 9 {frames} 0 {frames - 1} {f} {box}")
            texts["objects"].append(f"{k} {frames} {f} {box} 1")
    for part, lines in texts.items():
        (folder / "annotations" / f"VIRAT_S_1.viratdata.{part}.txt").write_text("\n".join(lines) + "\n")


def peak(folder: Path) -> float:
    """Peak memory in MB of a process that builds `folder`."""
    code = (
        "import resource, sys; from pathlib import Path; from tinylib.building import ViratRule, build\n"
        "root = Path(sys.argv[1]); build(root / 'annotations', root / 'videos', root / 'out', ViratRule(), workers=0)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotations", type=Path)
    parser.add_argument("--videos", type=Path)
    parser.add_argument("--rule", choices=("virat", "meva"), default="virat")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="also compare memory on 300 and 3,000 frames")
    given = parser.parse_args()
    rule = ViratRule() if given.rule == "virat" else MevaRule()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        if given.annotations is None:
            synthetic(place / "own", 600)
            given.annotations, given.videos = place / "own" / "annotations", place / "own" / "videos"
        videos, work = find_videos(given.videos)[0], []
        for source in find_sources(given.annotations)[0]:
            if clips := windows(source.read(), rule):
                work.append((videos[source.video_id], max(window.end for window in clips) + 1))
        frames = sum(n for _, n in work)
        walls, processors = [], []
        for turn in range(given.repeat):
            out = place / f"out{turn}"
            loop = timed(lambda: [bare(*job) for job in work])
            tinylib_seconds = timed(partial(build, given.annotations, given.videos, out, rule, workers=0))
            walls.append(loop[0] / tinylib_seconds[0])
            processors.append(loop[1] / tinylib_seconds[1])
            print(f"bare {frames / loop[0]:.0f} frames/s, build {frames / tinylib_seconds[0]:.0f} frames/s")
        print(f"ratio by the clock: best {max(walls):.2f}, median {median(walls):.2f}")
        print(
            f"ratio by processor time, encoding included: best {max(processors):.2f}, median {median(processors):.2f}"
        )
        print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
        if given.memory:
            for length in (300, 3000):
                synthetic(place / str(length), length)
                print(f"peak memory on {length} frames: {peak(place / str(length)):.0f} MB")


if __name__ == "__main__":
    main()
