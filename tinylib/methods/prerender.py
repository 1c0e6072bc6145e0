"""Whole splits of super-resolved video, rendered once by a frozen network, in this process or on dask."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tinylib.datasets.degrade import bicubic_batch
from tinylib.datasets.index import Index
from tinylib.datasets.sampling import chunks, evenly, strided
from tinylib.datasets.store import ClipStore
from tinylib.errors import UsageError
from tinylib.progress import track
from tinylib.workers import in_order

Restorer = Callable[[Tensor], Tensor]  # low-resolution video in [0, 1] -> super-resolved


@torch.no_grad()
def restore(restorer: Restorer, low: Tensor) -> Tensor:
    """Super-resolved video, in eval mode where the restorer has one, clamped to [0, 1]."""
    if isinstance(restorer, nn.Module):
        restorer.eval()
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
    made: Mapping[str, Any],
    device: torch.device | str = "cpu",
    keep: int | None = None,
    workers: int = 0,
    scheduler: str | None = None,
) -> ClipStore:
    """A split restored once by a frozen network, as a store to train classifiers on (TinyVIRAT, final phase).

    Every clip is reduced to `size` pixels (bicubic; None leaves it as it is) and restored, `frames` at a time. shown:
    of each clip only so many frames around its middle, every second one where it is long enough; None keeps all. keep:
    of what was restored only so many frames, evenly spaced. restorer None keeps the pixels.

    made: what the restorer is, for the recipe; a network's own weights are hashed into it. workers: dask processes on
    this machine (0: this one); scheduler: a dask scheduler's address, whose workers must see the files. The bytes do
    not depend on either: a CPU restores with one thread, so that sums are added in one order.
    """
    recipe = {**made, "size": size, "frames": frames, "shown": shown, "from": store.recipe}
    recipe |= {"keep": keep} if keep is not None else {}
    recipe |= {"network": fingerprint(restorer)} if isinstance(restorer, nn.Module) else {}

    def videos(start: int) -> Iterator[Any]:
        places = range(start, len(index))
        told = (store, size, frames, shown, keep, str(device))
        spread = restorer is not None and (workers > 1 or scheduler is not None)
        done = _spread(restorer, told, places, workers, scheduler) if spread else _in_turn(restorer, told, places)
        return iter(track(done, f"restoring {Path(file).name}", total=len(places), closing_line=False))

    return ClipStore.render(index, file, videos, made=recipe)


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


def _in_turn(restorer: Restorer | None, told: tuple[Any, ...], places: Iterable[int]) -> Iterator[Any]:
    threads = torch.get_num_threads()
    for place in places:
        if restorer is not None and told[-1] == "cpu":
            torch.set_num_threads(1)
        try:
            video = _one(restorer, told, place)
        finally:
            torch.set_num_threads(threads)
        yield video


def _spread(
    restorer: Restorer | None, told: tuple[Any, ...], places: Iterable[int], workers: int, scheduler: str | None
) -> Iterator[Any]:
    """The same by worker processes or on dask, in order; the restorer travels once to each."""
    store, *rest = told
    told = (_absolute(store), *rest)
    if isinstance(restorer, nn.Module):
        restorer = copy.deepcopy(_detached(restorer)).cpu()
    jobs = [(place,) for place in places]
    names = [entry.clip_id for entry in store.entries]
    yield from in_order(
        _at_a_worker, jobs, workers, scheduler=scheduler, shared=(restorer, told), name=lambda job: names[job[0]]
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


def _at_a_worker(restorer: Restorer, told: tuple[Any, ...], place: int) -> Any:
    if told[-1] == "cpu":
        torch.set_num_threads(1)
    elif isinstance(restorer, nn.Module):
        restorer.to(told[-1])
    return _one(restorer, told, place)


def _one(restorer: Restorer | None, told: tuple[Any, ...], place: int) -> Any:
    store, size, frames, shown, keep, device = told
    clip = store[place]
    if shown is not None:
        clip = clip[strided(len(clip), shown, stride=2 if len(clip) >= 2 * shown else 1)]
    video = clip if restorer is None else _restored(restorer, clip, size, frames, device)
    if keep is not None and len(video) > keep:
        video = video[evenly(len(video), keep)]
    return np.ascontiguousarray(video)


def _restored(restorer: Restorer, clip: Any, size: int | None, frames: int, device: torch.device | str) -> Any:
    pieces = []
    for part in chunks(len(clip), frames):
        video = torch.from_numpy(clip[part]).to(device).permute(3, 0, 1, 2)[None].float() / 255
        if size is not None and video.shape[-2:] != (size, size):
            video = bicubic_batch(video, size)
        pieces.append(pixels(restore(restorer, video))[0])
    return np.concatenate(pieces)[: len(clip)]


def pixels(video: Tensor) -> NDArray[np.uint8]:
    """(B, 3, T, H, W) in [0, 1] -> (B, T, H, W, 3) uint8, for showing and storing."""
    return (video.detach().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 4, 1).cpu().numpy()
