"""Loading an epoch from a clip store against the official loader's way, on the same clips in one run.

    python benchmarks/loading.py [FOLDER] [--clips N] [--frames 16] [--size 112] [--batch 32] [--rounds 3] [--json FILE]

FOLDER holds video files at any depth; without one, clips of 90 frames of 70x70 are made in a temporary folder.

The official way (the TinyAction challenge's): open each clip with OpenCV, decode from its beginning to the last frame
of a random window, convert, resize the window with F.interpolate (bilinear) and normalise, every epoch. Ours: a store
that was decoded once, a gather a batch, one conversion. Both deliver (B, 3, T, S, S) float, ImageNet-normalised, in
this process. Rounds alternate; the ratio is the median of theirs. `uint8_ratio` leaves the conversion to the device, as
training on a GPU does. The store's own cost, paid once, is printed too.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tinylib.datasets import Clip, ClipDataset, ClipStore, Index, batches
from tinylib.files import write_json
from tinylib.video import probe, write_video

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def make_clips(folder: Path, count: int, *, frames: int = 90, size: int = 70) -> None:
    """Textured clips that drift by a pixel a frame under sensor noise."""
    for number in range(count):
        rng = np.random.default_rng(number)
        ground = rng.integers(0, 256, (size // 7, size // 7, 3), np.uint8).repeat(7, 0).repeat(7, 1)
        moving = (np.roll(ground, t, axis=1) + rng.normal(0, 4, ground.shape) for t in range(frames))
        write_video(folder / f"{number:05d}.mp4", (frame.clip(0, 255).astype(np.uint8) for frame in moving))


def index_of(folder: Path, count: int, frames: int) -> Index:
    """The first `count` clips long enough for the official loader, which drops shorter ones."""
    files = (path for path in sorted(folder.rglob("*")) if path.suffix in (".mp4", ".avi"))
    clips: list[Clip] = []
    for path in files:
        if len(clips) < count and probe(path, exact=False).frames >= frames:
            name = path.relative_to(folder).as_posix()
            clips.append(Clip(name, name, name, ("clip",)))
    return Index("benchmark", "train", folder, ("clip",), True, tuple(clips))


def official(index: Index, frames: int, size: int, batch: int, epoch: int) -> Iterator[Tensor]:
    import cv2

    mean, std = MEAN.view(3, 1, 1, 1), STD.view(3, 1, 1, 1)
    rng, ready = np.random.default_rng(epoch), []
    for place in rng.permutation(len(index)):
        capture = cv2.VideoCapture(str(index.file(index.clips[place])))
        start = int(rng.integers(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) - frames + 1))
        window = []
        for number in range(start + frames):
            _, frame = capture.read()
            if number >= start:
                window.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        capture.release()
        video = torch.from_numpy(np.stack(window)).permute(3, 0, 1, 2).to(torch.float32) / 255
        video = F.interpolate(video, (size, size), mode="bilinear", align_corners=False)
        ready.append((video - mean) / std)
        if len(ready) == batch:
            yield torch.stack(ready)
            ready = []
    if ready:
        yield torch.stack(ready)


def ours(data: ClipDataset, batch: int, epoch: int) -> Iterator[Tensor]:
    """Units and normalisation a clip at a time, in the cache; training leaves both to the device and the network."""
    memory = torch.empty(0)
    for item in batches(data, batch, shuffle=True, epoch=epoch):
        clips = item["video"].flatten(-2)  # rows of (width, RGB)
        if len(memory) < len(clips):
            memory = torch.empty(clips.shape)
            mean, std = 255 * MEAN.repeat(clips.shape[-1] // 3), 255 * STD.repeat(clips.shape[-1] // 3)
        for source, target in zip(clips, memory, strict=False):
            target.copy_(source).sub_(mean).div_(std)
        yield memory[: len(clips)].unflatten(-1, (-1, 3)).permute(0, 4, 1, 2, 3)


def loaded(data: ClipDataset, batch: int, epoch: int) -> Iterator[Tensor]:
    """What training asks of the processor: uint8 batches."""
    for item in batches(data, batch, shuffle=True, epoch=epoch):
        yield item["video"].permute(0, 4, 1, 2, 3)


def clips_a_second(epoch: Iterator[Tensor], shape: tuple[int, ...]) -> float:
    began, seen = time.perf_counter(), 0
    for video in epoch:
        assert tuple(video.shape[1:]) == shape
        seen += len(video)
    return seen / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or Path(scratch, "clips")
        if args.folder is None:
            make_clips(folder, args.clips)
        index = index_of(folder, args.clips, args.frames)
        began = time.perf_counter()
        store = ClipStore.build(index, Path(scratch, "benchmark.store"), size=args.size)
        building = time.perf_counter() - began
        data = ClipDataset(index, sampler="contiguous", frames=args.frames, size=args.size, store=store)
        shape = (3, args.frames, args.size, args.size)
        for _ in ours(data, args.batch, 0):  # both sides with a warm page cache
            pass
        theirs_rates, our_rates, loading_rates = [], [], []
        for epoch in range(args.rounds):
            theirs_rates.append(clips_a_second(official(index, args.frames, args.size, args.batch, epoch), shape))
            our_rates.append(clips_a_second(ours(data, args.batch, epoch), shape))
            loading_rates.append(clips_a_second(loaded(data, args.batch, epoch), shape))
        ratios = [a / b for a, b in zip(our_rates, theirs_rates, strict=True)]
        result = {
            "clips": len(index),
            "batch": [args.batch, *shape],
            "official_clips_per_second": round(statistics.median(theirs_rates), 1),
            "store_clips_per_second": round(statistics.median(our_rates), 1),
            "ratio": round(statistics.median(ratios), 1),
            "ratios": [round(ratio, 1) for ratio in ratios],
            "uint8_clips_per_second": round(statistics.median(loading_rates), 1),
            "uint8_ratio": round(statistics.median(a / b for a, b in zip(loading_rates, theirs_rates, strict=True)), 1),
            "build_seconds_once": round(building, 2),
            "store_megabytes": round(store.file.stat().st_size / 1e6, 1),
        }
    for key, value in result.items():
        print(f"{key:>26}  {value}")
    if args.json:
        write_json(args.json, result)


if __name__ == "__main__":
    main()
