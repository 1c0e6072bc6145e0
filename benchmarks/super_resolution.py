"""What progressive DVSR gains over bicubic on real pixels, trained on this machine within a budget of CPU time.

    python benchmarks/super_resolution.py VIDEOS --minutes 30 --out super_resolution.json
    python benchmarks/super_resolution.py TINYVIRAT_ROOT ...            # clips of 112 px and more, its own test split
    python benchmarks/super_resolution.py VIDEO.avi VIDEO.mp4 --boxes TRACKS.xml OBJECTS.txt --boxes-scale 0.625 1 ...

VIDEOS: class folders, held out by group; TINYVIRAT_ROOT: what `tinylib build` made; VIDEO with boxes (PETS 2009's XML,
VIRAT's objects file): 112 px around each person, and those who enter in the last third are held out.
Several sources may be given: they are trained and tested together. x4: 28 -> 112 px, 16 frames.

Measured on two busy cores, gain over bicubic with 95% intervals over groups: six classes of UCF-101, 15 CPU minutes,
+1.76 dB [1.28, 2.29], SSIM +0.058, on 40 clips of 22 groups; people in PETS 2009 and four VIRAT videos, 13 CPU
minutes, +1.56 dB [1.40, 1.73], SSIM +0.096, on 32 clips of 7 people (the cameras are those of the training clips).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from tinylib.datasets import Index, chunks, contiguous, degrade, open_split, read_folder
from tinylib.errors import UsageError
from tinylib.evaluation import metrics
from tinylib.files import write_json
from tinylib.methods import super_resolution
from tinylib.models import ProgressiveDVSR
from tinylib.results import commit, device_name
from tinylib.training import losses, low_resolution, stage_target
from tinylib.video import probe, read_frames

FRAMES, SIZE, SCALE, PATCH, BATCH = 16, 112, 4, 56, 4
SHARES = (0.2, 0.8)
Clips = list[tuple[str, NDArray[np.uint8]]]  # (group, (16, 112, 112, 3))


def window(video: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The central 112 px of clips that are little larger; of large ones all, shrunk so that the short side is 128."""
    height, width = video.shape[1:3]
    if min(height, width) > 160:
        shrink = 128 / min(height, width)
        video = degrade.bicubic(video, (round(height * shrink), round(width * shrink)))
        height, width = video.shape[1:3]
    top, left = (height - SIZE) // 2, (width - SIZE) // 2
    return video[:, top : top + SIZE, left : left + SIZE]


def of_index(index: Index, limit: int, seed: int) -> Clips:
    """One random stretch of each of at most `limit` clips that are large of themselves, spread over the index."""
    rng = np.random.default_rng((seed, len(index)))
    stretches: Clips = []
    for place in rng.permutation(len(index)):
        clip = index.clips[place]
        file = index.file(clip)
        if len(stretches) == limit:
            break
        info = probe(file, exact=False)
        if min(info.width, info.height) >= SIZE:
            stretches.append((clip.video_id, window(read_frames(file, contiguous(info.frames, FRAMES, rng=rng)))))
    return stretches


def read_boxes(tracks: Path, scale: float) -> dict[str, dict[int, tuple[float, float]]]:
    """Person -> frame -> centre, from PETS's XML or VIRAT's `.viratdata.objects.txt` (type 1 is a person)."""
    centres: dict[str, dict[int, tuple[float, float]]] = {}
    if tracks.suffix == ".txt":
        for line in tracks.read_text().splitlines():
            person, _, at_frame, x, y, width, height, kind = map(int, line.split())
            if kind == 1:
                centres.setdefault(str(person), {})[at_frame] = (x + width / 2) * scale, (y + height / 2) * scale
        return centres
    for moment in ElementTree.parse(tracks).getroot().iter("frame"):
        for entry in moment.iter("object"):
            for box in entry.iter("box"):
                at = float(box.attrib["xc"]) * scale, float(box.attrib["yc"]) * scale
                centres.setdefault(entry.attrib["id"], {})[int(moment.attrib["number"])] = at
    return centres


def of_boxes(video: Path, tracks: Path, scale: float, limits: tuple[int, int], seed: int) -> tuple[Clips, Clips]:
    """(training, held out) stretches around people; who enters in the last third is held out, with all that follows."""
    info = probe(video)
    cut = 2 * info.frames // 3
    parts: tuple[list[Any], list[Any]] = ([], [])
    for person, seen in read_boxes(tracks, scale).items():
        first, last = min(seen), min(max(seen), info.frames - 1)
        for part in chunks(max(0, last - first + 1), FRAMES, tail="drop") if last - first >= FRAMES else ():
            at = [seen[t] for t in part + first if t in seen]
            if at and (first >= cut or part[-1] + first < cut):
                parts[first >= cut].append((f"{video.stem} {person}", part + first, np.mean(at, axis=0)))
    rng, cropped = np.random.default_rng((seed, info.frames)), ([], [])  # type: ignore[var-annotated]
    for side, limit, clips in zip(parts, limits, cropped, strict=True):
        for place in np.sort(rng.permutation(len(side))[:limit]):
            group, frames, (x, y) = side[place]
            left = int(np.clip(round(x - SIZE / 2), 0, info.width - SIZE))
            top = int(np.clip(round(y - SIZE / 2), 0, info.height - SIZE))
            clips.append((group, read_frames(video, frames)[:, top : top + SIZE, left : left + SIZE].copy()))
    return cropped


def of_source(source: Path, boxes: Path | None, scale: float, limits: tuple[int, int], seed: int) -> tuple[Clips, ...]:
    """(training, held out) clips of one source."""
    if boxes is not None:
        return of_boxes(source, boxes, scale, limits, seed)
    names = ("train", "test")
    if not (source / "tiny_train.json").exists():
        pairs = zip(names, limits, strict=True)
        return tuple(of_index(read_folder(source, name), limit, seed) for name, limit in pairs)
    indexes = [open_split("tinyvirat", source, name) for name in names]
    return tuple(of_index(index, limit, seed) for index, limit in zip(indexes, limits, strict=True))


def patches(clips: Clips, seed: int) -> Iterator[torch.Tensor]:
    """Random batches (4, 3, 16, 56, 56) in [0, 1], mirrored by chance, without end."""
    rng = np.random.default_rng(seed)
    while True:
        batch = []
        for place in rng.integers(len(clips), size=BATCH):
            y, x = rng.integers(SIZE - PATCH + 1, size=2)
            patch = clips[place][1][:, y : y + PATCH, x : x + PATCH]
            batch.append(patch[:, :, ::-1] if rng.random() < 0.5 else patch)
        yield torch.from_numpy(np.stack(batch)).permute(0, 4, 1, 2, 3).float() / 255


def train(clips: Clips, minutes: float, wall: float, channels: int, seed: int) -> tuple[ProgressiveDVSR, int]:
    """The network after `minutes` of this process's CPU time (or `wall` minutes), and how many updates those were.

    Adam (0.5, 0.9), cosine from 1e-3, 20 steps of warm-up; stages take 0.2 and 0.8 of the budget, each new one fades in
    over a tenth of it. Products in bf16 where the processor has them (half the time; sums and weights stay fp32).
    """
    torch.manual_seed(seed)
    network = ProgressiveDVSR(scale=SCALE, channels=channels)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3, (0.5, 0.9))
    began, clock, step, said = time.process_time(), time.monotonic(), 0, 0.0
    for video in patches(clips, seed):
        share = max((time.process_time() - began) / (60 * minutes), (time.monotonic() - clock) / (60 * wall))
        if share >= 1:
            break
        stage = 1 if share < SHARES[0] else 2
        network.grow(stage, 1.0 if stage == 1 else min(1.0, (share - SHARES[0]) / 0.1))
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * min(1.0, (step + 1) / 20) * (1 + np.cos(np.pi * share)) / 2
        with torch.autocast("cpu", torch.bfloat16):
            image = network.signed(low_resolution(video, SCALE) * 2 - 1)
        loss = losses.reconstruction(image, stage_target(video, network) * 2 - 1)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        step += 1
        if share > said:
            print(f"{share:4.0%} step {step} stage {stage} loss {loss.item():.4f}", flush=True)
            said += 0.05
    network.grow(network.stages)
    return network.eval(), step


def score(network: ProgressiveDVSR, clips: Clips) -> pd.DataFrame:
    """PSNR and SSIM of every method on every held-out clip, as `super_resolution.quality` gives them."""
    methods: dict[str, super_resolution.Restorer] = {
        "bicubic": super_resolution.bicubic(SCALE),
        "trilinear": super_resolution.trilinear(SCALE),
        "progressive DVSR": network,
    }
    rows = []
    for number, (group, clip) in enumerate(clips):
        high = torch.from_numpy(clip.copy()).permute(3, 0, 1, 2)[None].float() / 255
        low = low_resolution(high, SCALE)
        for name, method in methods.items():
            image = super_resolution.restore(method, low)
            psnr, ssim = (float(measure(image, high).mean()) for measure in (metrics.psnr, metrics.ssim))
            rows.append({"method": name, "clip_id": f"{number:04d}", "video_id": group, "psnr": psnr, "ssim": ssim})
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, nargs="+")
    parser.add_argument("--boxes", type=Path, nargs="+", default=(), help="tracks of people, a file a source")
    parser.add_argument(
        "--boxes-scale", type=float, nargs="+", default=(), help="pixels of the video a pixel of the boxes"
    )
    parser.add_argument("--minutes", type=float, default=30, help="CPU minutes of training")
    parser.add_argument("--wall", type=float, default=1e9, help="minutes on the clock after which training ends anyway")
    parser.add_argument("--clips", type=int, nargs=2, default=(300, 40), help="training and held-out clips a source")
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.boxes and len(arguments.boxes) != len(arguments.source):
        parser.error(f"{len(arguments.source)} sources, {len(arguments.boxes)} files of boxes")
    clips: Clips = []
    held: Clips = []
    for place, source in enumerate(arguments.source):
        boxes, scale = (
            (*arguments.boxes, *[None] * len(arguments.source))[place],
            (*arguments.boxes_scale, *[1.0] * 99)[place],
        )
        for whole, part in zip(
            (clips, held), of_source(source, boxes, scale, arguments.clips, arguments.seed), strict=True
        ):
            whole += part
    if not clips or not held:
        raise UsageError(f"{len(clips)} clips of {SIZE} px to train on and {len(held)} held out: both are needed")
    groups = len({group for group, _ in held})
    print(f"{len(clips)} clips to train on, {len(held)} held out (of {groups} groups)", flush=True)
    began = time.process_time()
    network, steps = train(clips, arguments.minutes, arguments.wall, arguments.channels, arguments.seed)
    spent = (time.process_time() - began) / 60
    table = super_resolution.gains(score(network, held))
    print(f"{steps} updates in {spent:.1f} CPU minutes, {device_name()}")
    print(table.round(4).to_string())
    if arguments.out is not None:
        about = {"sources": [source.name for source in arguments.source], "train": len(clips), "test": len(held)}
        about |= {"groups": groups, "updates": steps, "cpu_minutes": spent, "channels": arguments.channels}
        about |= {"commit": commit(), "device": device_name(), "methods": table.reset_index().to_dict("records")}
        write_json(arguments.out, about)


if __name__ == "__main__":
    main()
