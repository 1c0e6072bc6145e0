"""Whole splits of super-resolved video, rendered once by a frozen network, in this process or on dask."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tinylib.datasets.degrade import bicubic_batch
from tinylib.datasets.index import Index
from tinylib.datasets.sampling import chunks, evenly, strided
from tinylib.datasets.store import ClipStore, Video
from tinylib.errors import UsageError
from tinylib.models.common import channels_last
from tinylib.progress import track
from tinylib.workers import in_order

Restorer = Callable[[Tensor], Tensor]  # low-resolution video in [0, 1] -> super-resolved
TOGETHER = 8  # neighbouring clips that are restored in one batch where their shapes agree
PIXELS = 2**17  # of the low-resolution pictures of a batch, at most, beyond its first clip


class Task(NamedTuple):
    """What is restored, and how (`super_resolved`)."""

    store: ClipStore
    size: int | None
    frames: int
    shown: int | None
    keep: int | None
    device: str


@torch.no_grad()
def restore(restorer: Restorer, low: Tensor) -> Tensor:
    """Super-resolved video, in eval mode where the restorer has one, clamped to [0, 1]."""
    if not isinstance(restorer, nn.Module):
        return restorer(low).float().clamp(0, 1)
    restorer.eval()
    with channels_last(restorer):
        return restorer(low).float().clamp(0, 1)


def super_resolved(
    restorer: Restorer | None,
    store: ClipStore,
    index: Index,
    file: str | Path,
    *,
    size: int | None,
    frames: int,
    shown: int | None,
    origin: Mapping[str, object],
    device: torch.device | str = "cpu",
    keep: int | None = None,
    workers: int = 0,
    scheduler: str | None = None,
) -> ClipStore:
    """A split restored once by a frozen network, as a store to train classifiers on (TinyVIRAT, final phase).

    Every clip is reduced to `size` pixels (bicubic; None leaves it as it is) and restored, `frames` at a time. shown:
    of each clip only so many frames around its middle, every second one where it is long enough; None keeps all. keep:
    of what was restored only so many frames, evenly spaced. restorer None keeps the pixels.

    origin: what the restorer is, for the recipe; a network's own weights are hashed into it. workers: dask processes on
    this machine (0: this one); scheduler: a dask scheduler's address, whose workers must see the files. Neighbouring
    clips of one shape go through together, `TOGETHER` at most: PyTorch's convolutions take one clip alone by a slower
    way. The bytes depend neither on workers nor on where a killed run went on: which clips are together is given by
    their places, and a CPU restores with one thread, so that sums are added in one order.
    """
    recipe = {**origin, "size": size, "frames": frames, "shown": shown, "from": store.recipe}
    recipe |= {"keep": keep} if keep is not None else {}
    recipe |= {"network": fingerprint(restorer)} if isinstance(restorer, nn.Module) else {}

    def videos(start: int) -> Iterator[Video]:
        begin = start // TOGETHER * TOGETHER  # a group is restored whole
        groups = [range(at, min(at + TOGETHER, len(index))) for at in range(begin, len(index), TOGETHER)]
        task = Task(store, size, frames, shown, keep, str(device))
        spread = restorer is not None and (workers > 1 or scheduler is not None)
        done = _spread(restorer, task, groups, workers, scheduler) if spread else _in_turn(restorer, task, groups)
        restored = (video for videos in done for video in videos)
        label = f"restoring {Path(file).name}"
        return iter(track(islice(restored, start - begin, None), label, total=len(index) - start, closing_line=False))

    return ClipStore.render(index, file, videos, origin=recipe)


def fingerprint(network: nn.Module) -> str:
    """Hash of a network's kind, settings as printed, and weights."""
    digest = hashlib.sha256(repr(network).encode())
    for name, tensor in network.state_dict().items():
        if isinstance(tensor, Tensor):
            digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


class ToSize(nn.Module):
    """Any clip to one size by way of a super-resolver (winner, section 3: RealBasicVSR's video at 224 x 224).

    video: (B, 3, T, h, w) in [0, 1]  ->  (B, 3, T, size, size), to be clamped. The clip's shorter side is first brought
    to between `at_least` and `at_most` pixels (bicubic, shape kept): RealBasicVSR's released code refuses less than 64,
    and the dataset has clips of 10. What the network makes is then resized to `size`. network None: bicubic alone.
    """

    def __init__(
        self, network: nn.Module | None, *, size: int = 224, at_least: int = 64, at_most: int | None = None
    ) -> None:
        super().__init__()
        if at_most is not None and at_most < at_least:
            raise UsageError(f"at_most {at_most}: expected {at_least} (at_least) or more")
        self.network, self.size, self.at_least, self.at_most = network, size, at_least, at_most

    def extra_repr(self) -> str:
        return f"size={self.size}, at_least={self.at_least}, at_most={self.at_most}"

    def forward(self, video: Tensor) -> Tensor:
        if self.network is not None:
            height, width = video.shape[-2:]
            side = min(height, width)
            wanted = max(side, self.at_least) if self.at_most is None else min(max(side, self.at_least), self.at_most)
            if wanted != side:
                video = bicubic_batch(video, (round(height * wanted / side), round(width * wanted / side)))
            video = self.network(video)
        return video if video.shape[-2:] == (self.size, self.size) else bicubic_batch(video, self.size)


def _in_turn(restorer: Restorer | None, task: Task, groups: Iterable[range]) -> Iterator[list[Video]]:
    threads = torch.get_num_threads()
    for places in groups:
        if restorer is not None and task.device == "cpu":
            torch.set_num_threads(1)
        try:
            videos = _group(restorer, task, places)
        finally:
            torch.set_num_threads(threads)
        yield videos


def _spread(
    restorer: Restorer | None, task: Task, groups: Iterable[range], workers: int, scheduler: str | None
) -> Iterator[list[Video]]:
    """The same by worker processes or on dask, in order; the restorer travels once to each."""
    names = [entry.clip_id for entry in task.store.entries]
    task = task._replace(store=_absolute(task.store))
    if isinstance(restorer, nn.Module):
        restorer = copy.deepcopy(_detached(restorer)).cpu()
    jobs = [(places,) for places in groups]
    yield from in_order(
        _at_a_worker,
        jobs,
        workers,
        scheduler=scheduler,
        shared=(restorer, task),
        name=lambda job: f"{names[job[0][0]]} to {names[job[0][-1]]}",
    )


def _detached(network: nn.Module) -> nn.Module:
    """The network without the graph of its last training step, which spectrally normed weights keep and none can copy.

    Such weights are computed anew at each call.
    """
    for module in network.modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, Tensor) and not value.is_leaf:
                vars(module)[name] = value.detach()
    return network


def _absolute(store: ClipStore) -> ClipStore:
    """For workers, who may be elsewhere in the file system."""
    return ClipStore(store.file.absolute(), store.recipe, store.entries)


def _at_a_worker(restorer: Restorer, task: Task, places: range) -> list[Video]:
    if task.device == "cpu":
        torch.set_num_threads(1)
    elif isinstance(restorer, nn.Module):
        restorer.to(task.device)
    return _group(restorer, task, places)


def _group(restorer: Restorer | None, task: Task, places: range) -> list[Video]:
    """The clips at these places, restored; those of one shape together."""
    clips = [_frames(task, place) for place in places]
    restored: dict[int, Video] = {}
    if restorer is not None:
        shapes: dict[tuple[int, ...], list[int]] = {}
        for at, clip in enumerate(clips):
            shapes.setdefault(clip.shape, []).append(at)
        for shape, members in shapes.items():
            pictures = min(shape[0], task.frames) * (shape[1] * shape[2] if task.size is None else task.size**2)
            together = max(1, PIXELS // pictures)
            for part in (members[at : at + together] for at in range(0, len(members), together)):
                restored.update(zip(part, _restored(restorer, np.stack([clips[at] for at in part]), task), strict=True))
    videos = [restored.get(at, clip) for at, clip in enumerate(clips)]
    if task.keep is not None:
        videos = [video[evenly(len(video), task.keep)] if len(video) > task.keep else video for video in videos]
    return [np.ascontiguousarray(video) for video in videos]


def _frames(task: Task, place: int) -> Video:
    clip = task.store[place]
    if task.shown is None:
        return clip
    return clip[strided(len(clip), task.shown, stride=2 if len(clip) >= 2 * task.shown else 1)]


def _restored(restorer: Restorer, clips: NDArray[np.uint8], task: Task) -> NDArray[np.uint8]:
    """(B, T, h, w, 3) -> (B, T, H, W, 3), `frames` frames at a time."""
    pieces = []
    for part in chunks(clips.shape[1], task.frames):
        video = torch.from_numpy(clips[:, part]).to(task.device).permute(0, 4, 1, 2, 3).float() / 255
        if task.size is not None and video.shape[-2:] != (task.size, task.size):
            video = bicubic_batch(video, task.size)
        pieces.append(pixels(restore(restorer, video)))
    return np.concatenate(pieces, axis=1)[:, : clips.shape[1]]


def pixels(video: Tensor) -> NDArray[np.uint8]:
    """(B, 3, T, H, W) in [0, 1] -> (B, T, H, W, 3) uint8, for showing and storing."""
    return (video.detach().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 4, 1).cpu().numpy()
