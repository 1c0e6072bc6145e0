"""What the classifiers cost, and how fast they are beside the official formulation on the same machine in one run.

    python benchmarks/models.py cost [--sizes 28,112] [--frames 16] [--only i3d,r3d18] [--seconds 1]
    python benchmarks/models.py official [--only i3d] [--size 112] [--frames 16] [--batch 2] [--rounds 5] [--compile]

The official formulations are written from facts: I3D pads every convolution and pool through a padded copy; Hara's
shortcut A is a strided average pool joined with zeros; torchvision's own networks stand for themselves. Both sides
share their weights; each round times both in turn and the ratio is the median over rounds (above 1: ours is faster).
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tinylib.models import (
    CLASSIFIERS,
    HaraBlock,
    MaxPoolSame,
    Unit3D,
    VideoClassifier,
    complexity,
    create,
    same_padding,
    throughput,
)


class PaddedUnit(nn.Module):
    """I3D's convolution as released: pad a copy whatever is needed, convolve without padding."""

    def __init__(self, unit: Unit3D):
        super().__init__()
        self.conv3d, self.bn = unit.conv3d, unit.bn

    def forward(self, x: Tensor) -> Tensor:
        conv = self.conv3d
        x = padded(x, conv.kernel_size, conv.stride)
        return F.relu(self.bn(F.conv3d(x, conv.weight, None, conv.stride)))


class PaddedPool(nn.Module):
    def __init__(self, pool: MaxPoolSame):
        super().__init__()
        self.kernel, self.stride = pool.kernel, pool.stride

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool3d(padded(x, self.kernel, self.stride), self.kernel, self.stride)


def padded(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    pads = [same_padding(n, k, s) for n, k, s in zip(x.shape[2:], kernel, stride, strict=True)]
    return F.pad(x, [p for pair in reversed(pads) for p in pair])


class HaraOfficialBlock(nn.Module):
    """A residual block with nothing in place, and shortcut A by pooling and joining."""

    def __init__(self, block: HaraBlock):
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        block, y = self.block, x
        for suffix in block.units:
            if suffix != block.units[0]:
                y = F.relu(y)
            y = getattr(block, f"bn{suffix}")(getattr(block, f"conv{suffix}")(y))
        if block.downsample is not None:
            x = block.downsample(x)
        elif not block.identity:
            x = F.avg_pool3d(x, 1, block.stride)
            zeros = torch.zeros(x.shape[0], block.out_channels - x.shape[1], *x.shape[2:]).to(x)
            x = torch.cat([x.detach(), zeros], dim=1)
        return F.relu(y + x)


def official(name: str, ours: VideoClassifier) -> nn.Module:
    """The official formulation with the weights of `ours`."""
    if name in ("r3d18_torchvision", "r2plus1d18"):
        from torchvision.models import video

        theirs = video.r3d_18(weights=None) if name == "r3d18_torchvision" else video.r2plus1d_18(weights=None)
        theirs.load_state_dict(ours.state_dict(), strict=False)
        return theirs
    theirs = copy.deepcopy(ours)
    swaps = {Unit3D: PaddedUnit, MaxPoolSame: PaddedPool, HaraBlock: HaraOfficialBlock}
    for key, module in list(theirs.named_modules()):
        if type(module) in swaps:
            parent, _, leaf = key.rpartition(".")
            setattr(theirs.get_submodule(parent), leaf, swaps[type(module)](module))
    return theirs


def stepper(model: nn.Module, video: Tensor, *, train: bool, bf16: bool) -> Callable[[], None]:
    model.train(train)
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-6)
    cast = torch.autocast(video.device.type, torch.bfloat16) if bf16 else contextlib.nullcontext()

    def step() -> None:
        with cast, torch.set_grad_enabled(train):
            loss = model(video).square().mean()
        if train:
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
        if video.device.type == "cuda":
            torch.cuda.synchronize()

    return step


def compare(ours: Callable[[], None], theirs: Callable[[], None], rounds: int) -> tuple[float, float, float]:
    """(our median milliseconds, theirs, median ratio theirs / ours)."""
    times: list[tuple[float, float]] = []
    for _ in range(rounds + 2):  # two rounds to warm up
        marks = [time.perf_counter()]
        for step in (ours, theirs):
            step()
            marks.append(time.perf_counter())
        times.append((marks[1] - marks[0], marks[2] - marks[1]))
    settled = times[2:]
    mine, other = (1000 * statistics.median(column) for column in zip(*settled, strict=True))
    return mine, other, statistics.median(b / a for a, b in settled)


def against_official(arguments: argparse.Namespace) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(
        "| network | input | step | ours | ours ms | official ms | ratio |\n| --- | --- | --- | --- | --- | --- | --- |"
    )
    for name in arguments.only or ["i3d", "i3d_tinyvirat", "r3d18_2018", "r3d50", "r3d18_torchvision", "r2plus1d18"]:
        ours = create(name, num_classes=400, dropout=0.0).to(device)
        theirs = official(name, ours).to(device)
        video = torch.rand(arguments.batch, 3, arguments.frames, arguments.size, arguments.size, device=device)
        with torch.no_grad():
            bare = name in ("r3d18_torchvision", "r2plus1d18")  # torchvision normalises in its transforms
            shown = ours.normalise(video) if bare else video
            torch.testing.assert_close(ours.eval()(video), theirs.eval()(shown), rtol=1e-3, atol=1e-3)
        modes = {"fp32": (False, False, False), "channels last": (True, False, False), "+ bf16": (True, True, False)}
        if arguments.compile:
            modes["+ compiled"] = (True, device == "cuda", True)
        for train in (False, True):
            base = stepper(theirs, video, train=train, bf16=False)
            for label, (last, bf16, compiled) in modes.items():
                mine, clip = copy.deepcopy(ours), video
                if last:
                    mine = mine.to(memory_format=torch.channels_last_3d)
                    clip = video.to(memory_format=torch.channels_last_3d)
                if compiled:
                    mine.compile()
                a, b, ratio = compare(stepper(mine, clip, train=train, bf16=bf16), base, arguments.rounds)
                shape = f"{arguments.batch}x{arguments.frames}x{arguments.size}"
                kind = "train" if train else "infer"
                print(f"| {name} | {shape} | {kind} | {label} | {a:.0f} | {b:.0f} | {ratio:.2f} |", flush=True)


def cost(arguments: argparse.Namespace) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print("| network | parameters | input | stem | GMACs | clips/s |\n| --- | --- | --- | --- | --- | --- |")
    for name in arguments.only or CLASSIFIERS:
        for size in arguments.sizes:
            stem = "low" if size < 64 else "paper"
            model = create(name, num_classes=26, stem=stem).to(device)
            counted = complexity(model, arguments.frames, size)
            rate = throughput(model, arguments.frames, size, arguments.seconds)
            row = (
                f"{counted.parameters:,} | {arguments.frames}x{size}x{size} | {stem} | {counted.gmacs:.2f} | {rate:.2f}"
            )
            print(f"| {name} | {row} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["cost", "official"])
    parser.add_argument("--only", type=lambda text: text.split(","))
    parser.add_argument("--sizes", type=lambda text: [int(n) for n in text.split(",")], default=[28, 112])
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    where = "cuda" if torch.cuda.is_available() else "cpu"
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {where}\n")
    (cost if arguments.what == "cost" else against_official)(arguments)


if __name__ == "__main__":
    main()
