"""Clips into batches: `ClipDataset` on the reading side, `BatchTransform` on the device.

Nothing here remembers anything: what an item is follows from (seed, epoch, position) alone, so that 0, 2 or 8 workers,
a resumed epoch and a lone `dataset[i]` all give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from tinylib.datasets import degrade
from tinylib.datasets.index import Index
from tinylib.datasets.sampling import Indices, Sampler, make_sampler, make_views
from tinylib.datasets.store import ClipStore, Fit, Resize, resize_video
from tinylib.errors import UsageError
from tinylib.video import probe, read_frames

Batch = dict[str, Any]
Views = Literal["train", "centre", "test"]


class ClipDataset(Dataset[Batch]):
    """Items of one index: sampled, resized, uint8.

    Item: video (T, H, W, 3) uint8; label (classes,) float multi-hot, or an int64 class number; clip_id; index, the
    clip's place in the index; view, its number among the clip's views; repeats, how many of the clip's views have these
    very frames; seed, int64, from which everything random about this item follows.

    sampler: a name in `sampling.SAMPLERS`, or a function (frames, rng) -> frame numbers.
    views: "train" draws one random sample a clip and epoch; "centre" takes the one deterministic sample; "test" takes
    every deterministic view of every clip as an item of its own, the views of a clip in a row (`clips` tells whose);
    views of a short clip that have the same frames are one item.
    store: a `ClipStore` of this index; without one each item is decoded from its file.
    size, resize, fit: as in `store.resize_video`; size None keeps the stored size.
    extra: further items (place in the index, mirrored?), as the winner's copies of tail clips (D18); `mirror` is the
    label permutation that goes with a mirrored clip (left and right turns swap).
    high: another store of the same index and the same frames, of clips of one size; items then hold "high" beside
    "video": the same frames, seen better (for a teacher).
    """

    def __init__(
        self,
        index: Index,
        *,
        sampler: str | Sampler = "uniform",
        frames: int = 16,
        size: degrade.Size | None = 112,
        resize: Resize = "bilinear",
        fit: Fit = "stretch",
        store: ClipStore | None = None,
        seed: int = 0,
        views: Views = "train",
        extra: Sequence[tuple[int, bool]] = (),
        mirror: Sequence[int] | NDArray[np.int64] | None = None,
        high: ClipStore | None = None,
    ):
        if views not in ("train", "centre", "test"):
            raise UsageError(f"views {views!r}: expected 'train', 'centre' or 'test'")
        if store is not None and store.recipe["index"] != index.digest():
            raise UsageError(f"{store.file}: the store of another index than {index.name} {index.split}")
        if high is not None and (high.recipe["index"] != index.digest() or high.size is None):
            raise UsageError(f"{high.file}: the high resolution must be a store of this index, of clips of one size")
        self.index, self.store, self.high, self.seed, self.epoch = index, store, high, seed, 0
        self.frames, self.size, self.resize, self.fit = frames, size, resize, fit
        self.random = views == "train"
        self._sample = make_sampler(sampler, frames, self.random) if isinstance(sampler, str) else sampler
        self._targets = torch.from_numpy(index.targets())
        self._mirror = None if mirror is None else np.asarray(mirror, np.int64)
        self._lengths: dict[int, int] = {}
        copies = np.array([place for place, _ in extra], np.int64)
        self.clips = np.concatenate([np.arange(len(index)), copies])  # (items,) whose clip each item is
        self._flipped = np.concatenate([np.zeros(len(index), bool), np.array([flip for _, flip in extra], bool)])
        self._view = np.zeros(len(self.clips), np.int64)
        self._repeats = np.ones(len(self.clips), np.int64)
        self._views: Callable[[int], list[Indices]] | None = None
        if views == "test":
            self._views = make_views(sampler, frames) if isinstance(sampler, str) else lambda n: [self._sample(n, None)]
            distinct = [_distinct(self._views(self.length(int(clip)))) for clip in self.clips]
            counts = [len(repeats) for repeats in distinct]
            self.clips, self._flipped = np.repeat(self.clips, counts), np.repeat(self._flipped, counts)
            self._view = np.array([view for repeats in distinct for view in repeats], np.int64)
            self._repeats = np.array([count for repeats in distinct for count in repeats.values()], np.int64)

    def __len__(self) -> int:
        return len(self.clips)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def length(self, clip: int) -> int:
        """Frames of the clip at this place of the index, as decoded, whatever the index says."""
        if self.store is not None:
            return int(self.store.frames[clip])
        if clip not in self._lengths:
            self._lengths[clip] = probe(self.index.file(self.index.clips[clip]), exact=False).frames
        return self._lengths[clip]

    def __getitem__(self, position: int) -> Batch:
        return {key: value[0] for key, value in self.batch([position]).items()}

    def batch(self, positions: Sequence[int] | NDArray[np.int64]) -> Batch:
        """The items at `positions`, collated; one gather where the store holds clips of the size asked for."""
        where = np.asarray(positions, np.int64)
        where = np.where(where < 0, where + len(self), where)
        if where.size and not 0 <= where.min() <= where.max() < len(self):
            raise IndexError(f"item {int(where.max())} of {len(self)}")
        clips, flipped = self.clips[where], self._flipped[where]
        seeds = item_seeds(self.seed, self.epoch if self.random else 0, where)
        wanted = [self._frames(*row) for row in zip(clips.tolist(), self._view[where].tolist(), seeds, strict=True)]
        size = None if self.size is None else degrade.pair(self.size)
        if self.store is not None and self.store.size is not None and size in (None, self.store.size):
            video = self.store.take(clips, np.stack(wanted))
        else:
            video = self._one_by_one(clips, wanted)
        pixels = {"video": video}
        if self.high is not None:
            pixels["high"] = self.high.take(clips, np.stack(wanted))
        label = self._targets[torch.from_numpy(clips)]
        if flipped.any():
            for frames in pixels.values():
                frames[flipped] = frames[flipped, :, :, ::-1]
            if self._mirror is not None:
                label = mirrored(label, torch.from_numpy(self._mirror), torch.from_numpy(flipped))
        return {name: torch.from_numpy(frames) for name, frames in pixels.items()} | {
            "label": label,
            "clip_id": [self.index.clips[clip].clip_id for clip in clips],
            "index": torch.from_numpy(clips),
            "view": torch.from_numpy(self._view[where]),
            "repeats": torch.from_numpy(self._repeats[where]),
            "seed": torch.from_numpy(seeds),
        }

    def _frames(self, clip: int, view: int, seed: int) -> Indices:
        length = self.length(clip)
        if self._views is not None:
            return self._views(length)[view]
        return self._sample(length, np.random.default_rng(seed) if self.random else None)

    def _one_by_one(self, clips: NDArray[np.int64], wanted: list[Indices]) -> NDArray[np.uint8]:
        videos = []
        for clip, frames in zip(clips.tolist(), wanted, strict=True):
            file = self.index.file(self.index.clips[clip])
            video = read_frames(file, frames) if self.store is None else self.store[clip][frames]
            videos.append(video if self.size is None else resize_video(video, self.size, self.resize, self.fit))
        if len({video.shape for video in videos}) > 1:
            raise UsageError(f"size None: clips of a batch differ in shape ({videos[0].shape}, ...); give a size")
        return np.stack(videos)


def _distinct(views: Sequence[Indices]) -> dict[int, int]:
    """The first views with frames of their own, and how many have these."""
    first: dict[bytes, int] = {}
    repeats: dict[int, int] = {}
    for number, frames in enumerate(views):
        view = first.setdefault(frames.tobytes(), number)
        repeats[view] = repeats.get(view, 0) + 1
    return repeats


def item_seeds(seed: int, epoch: int, positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """A seed in [0, 2^63) for each position: the SplitMix64 finaliser over (seed, epoch, position), vectorised."""
    state = np.full(len(positions), 0x9E3779B97F4A7C15, np.uint64)
    for part in (seed & 2**64 - 1, epoch, positions.astype(np.uint64)):
        state = (state ^ np.asarray(part, np.uint64)) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return (state >> np.uint64(1)).astype(np.int64)


def collate(items: Sequence[Batch]) -> Batch:
    """Items of `dataset[i]` into the batch that `dataset.batch` gives."""
    return {
        key: torch.stack([item[key] for item in items]) if key != "clip_id" else [item[key] for item in items]
        for key in items[0]
    }


def batches(
    dataset: ClipDataset,
    batch_size: int,
    *,
    shuffle: bool = False,
    workers: int = 0,
    drop_last: bool = False,
    epoch: int = 0,
    skip: int = 0,
) -> Iterator[Batch]:
    """The batches of one epoch, in an order that follows from (dataset.seed, epoch) alone.

    skip: batches at the front to leave out, without reading them: a resumed epoch sees the rest of the same batches.
    """
    if batch_size < 1 or skip < 0:
        raise UsageError(f"batch_size {batch_size}, skip {skip}: expected at least 1 and at least 0")
    dataset.set_epoch(epoch)
    order = np.arange(len(dataset))
    if shuffle:
        order = np.random.default_rng((dataset.seed, epoch)).permutation(len(dataset))
    end = len(order) // batch_size * batch_size if drop_last else len(order)
    parts = [order[start : start + batch_size] for start in range(skip * batch_size, end, batch_size)]
    if workers == 0:
        yield from map(dataset.batch, parts)
    else:
        pin = torch.cuda.is_available()
        yield from DataLoader(_Batches(dataset, parts), batch_size=None, num_workers=workers, pin_memory=pin)


class _Batches(Dataset[Batch]):
    """A dataset whose items are whole batches, so that a worker gathers each in one go."""

    def __init__(self, dataset: ClipDataset, parts: list[NDArray[np.int64]]):
        self.dataset, self.parts = dataset, parts

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, i: int) -> Batch:
        return self.dataset.batch(self.parts[i])


def mirrored(label: Tensor, mirror: Tensor, which: Tensor) -> Tensor:
    """Labels after mirroring the samples `which` (B,): multi-hot (B, classes) or class numbers (B,).

    mirror: (classes,) permutation that is its own inverse, as `labels.MIRROR`.
    """
    mirror, which = mirror.to(label.device), which.to(label.device)
    swapped = label[:, mirror] if label.dim() == 2 else mirror[label]
    return torch.where(which[:, None] if label.dim() == 2 else which, swapped, label)


def _channels_first(video: Tensor, flipped: Tensor) -> Tensor:
    """(B, T, H, W, 3) -> (B, 3, T, H, W), the samples `flipped` (B,) mirrored."""
    video = video.permute(0, 4, 1, 2, 3)
    if flipped.any():
        video = torch.where(flipped.to(video.device)[:, None, None, None, None], video.flip(-1), video)
    return video


def to_unit(video: Tensor, out: Tensor | None = None) -> Tensor:
    """uint8 (B, ...) to float32 in [0, 1], into `out` where it is given."""
    if out is None:
        out = torch.empty(video.shape, device=video.device)
    if video.device.type != "cpu":
        return out.copy_(video).div_(255)
    for source, target in zip(video, out, strict=True):  # a clip at a time stays in the cache
        target.copy_(source).div_(255)
    return out


class BatchTransform(nn.Module):
    """A loader's batch to a network's, on its own device: uint8 (B, T, H, W, 3) -> (B, 3, T, h, w) in [0, 1].

    size: side of the crop, or (height, width); random while training, central in eval mode (None: no crop). scale:
    range of the crop's side relative to `size`, resized back bilinearly (jitter of STAT S10; (1, 1): none). flip:
    probability of mirroring a sample, whose labels then follow `mirror`. degrade: function (video, seeds) -> video.
    reuse: write every batch into the same memory, over the one before (fresh memory costs a CPU more than the work).
    All draws come from the samples' own seeds, on the CPU: the same on every device and in every batch. "high", where a
    batch has it, is brought to [0, 1] and mirrored with "video"; a crop of both is not defined (UsageError).
    """

    def __init__(
        self,
        *,
        size: degrade.Size | None = None,
        flip: float = 0.0,
        mirror: Sequence[int] | NDArray[np.int64] | Tensor | None = None,
        scale: tuple[float, float] = (1.0, 1.0),
        degrade: Callable[[Tensor, Tensor], Tensor] | None = None,
        reuse: bool = False,
    ):
        super().__init__()
        self.size, self.flip, self.scale, self.degrade = size, flip, scale, degrade
        self.reuse, self._memory = reuse, torch.empty(0)
        self.mirror = None if mirror is None else torch.as_tensor(mirror, dtype=torch.int64)

    def forward(self, batch: Batch) -> Batch:
        draws = np.full((len(batch["seed"]), 4), 0.5)  # flip, top, left, scale; eval mode: none, centre, middle
        if self.training:
            seeds = batch["seed"].tolist()
            draws = np.stack([np.random.default_rng((seed, 1)).random(4) for seed in seeds])
        flipped = torch.from_numpy(draws[:, 0] < self.flip if self.training else np.zeros(len(draws), bool))
        video, label = self._crop(batch["video"], draws[:, 1:]), batch["label"]
        if not video.is_floating_point():
            video = to_unit(video, self._buffer(video) if self.reuse else None)
        video = _channels_first(video, flipped)
        if flipped.any() and self.mirror is not None:
            label = mirrored(label, self.mirror, flipped)
        if self.degrade is not None:
            video = self.degrade(video, batch["seed"])
        pixels = {"video": video}
        if "high" in batch:
            if self.size is not None:
                raise UsageError("size: batches with high resolution beside the low cannot be cropped")
            pixels["high"] = _channels_first(to_unit(batch["high"]), flipped)
        return batch | pixels | {"label": label}

    def _buffer(self, video: Tensor) -> Tensor:
        if self._memory.numel() < video.numel() or self._memory.device != video.device:
            self._memory = torch.empty(video.numel(), device=video.device)
        return self._memory[: video.numel()].view(video.shape)

    def _crop(self, video: Tensor, draws: NDArray[np.float64]) -> Tensor:
        if self.size is None:
            return video
        height, width = degrade.pair(self.size)
        low, high = self.scale if self.training else (1.0, 1.0)
        windows = []
        for sample, (top, left, scale) in zip(video, draws, strict=True):
            factor = low + (high - low) * scale
            rows = min(round(height * factor), sample.shape[1])
            columns = min(round(width * factor), sample.shape[2])
            if (rows, columns) != (height, width) and low == high == 1.0:
                raise UsageError(f"size {height}x{width}: the clips are {sample.shape[1]}x{sample.shape[2]}")
            y, x = int(top * (sample.shape[1] - rows + 1)), int(left * (sample.shape[2] - columns + 1))
            window = sample[:, y : y + rows, x : x + columns]
            if low != high or low != 1.0:
                frames = window.permute(0, 3, 1, 2).float() / 255
                frames = F.interpolate(frames, (height, width), mode="bilinear", align_corners=False)
                window = frames.permute(0, 2, 3, 1)
            windows.append(window)
        return torch.stack(windows)
