"""Scores of a network over a split: every clip of the index, each through all its test-time views."""

from __future__ import annotations

import json
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tinylib.datasets.index import Index
from tinylib.datasets.loading import Batch, ClipDataset, batches
from tinylib.errors import ClipError, DataError, UsageError
from tinylib.files import Json, atomic_path, write_json
from tinylib.models.common import channels_last
from tinylib.progress import track

Transform = Callable[[Batch], Batch]
Aggregate = Literal["max", "mean"]
On = Literal["logits", "probabilities"]


class Reading(NamedTuple):
    """How a paper turns a clip into one row of scores; a sampler's name also names its test-time views."""

    sampler: str
    aggregate: Aggregate
    on: On


READINGS: dict[str, Reading] = {
    "tinyvirat": Reading("strided", "mean", "logits"),  # all non-overlapping chunks of 16 frames
    "tinyaction": Reading("contiguous", "max", "probabilities"),  # the same chunks; one that shows the action is enough
    "winner": Reading("uniform", "mean", "probabilities"),  # five shifted uniform samplings
    "stat": Reading("segments", "mean", "probabilities"),  # one view, its K segments joined inside the network
}


@dataclass(frozen=True)
class Scores:
    """Probabilities of every clip of a split, in the order of its index."""

    name: str  # of the dataset
    split: str
    data_hash: str  # of the index
    clip_ids: tuple[str, ...]
    video_ids: tuple[str, ...]  # the unit of bootstrap intervals
    scores: NDArray[np.float32]  # (N, classes)
    targets: (
        NDArray[np.generic] | None
    )  # multi-hot (N, classes) float32 or class numbers (N,) int64; None where withheld
    classes: tuple[str, ...]
    domains: tuple[str, ...]
    sides: NDArray[np.int64]  # longer side of each clip in pixels, 0 where the index does not say
    missing: tuple[str, ...] = ()  # clips that could not be read: their rows are zero, and they count as any other

    def __len__(self) -> int:
        return len(self.clip_ids)

    def save(self, path: str | Path) -> None:
        """PATH (.npz) holds everything, replaced atomically; a JSON of the same name tells a reader what it is."""
        path = _checked(path)
        about: Json = {"name": self.name, "split": self.split, "data_hash": self.data_hash}
        lists = {key: list(getattr(self, key)) for key in _LISTS}
        arrays: Json = {"scores": self.scores, "sides": self.sides}
        if self.targets is not None:
            arrays["targets"] = self.targets
        with atomic_path(path) as temporary:
            np.savez(temporary, about=np.array(json.dumps(about | lists)), **arrays)
        write_json(
            path.with_suffix(".json"),
            about | {"clips": len(self), "missing": list(self.missing), "classes": list(self.classes)},
        )

    @classmethod
    def load(cls, path: str | Path) -> Scores:
        path = _checked(path)
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays: Json = dict(file)
            about = json.loads(str(arrays.pop("about")))
            lists = {key: tuple(about.pop(key)) for key in _LISTS}
            fields: Json = {"targets": None} | about | lists | arrays
            return cls(**fields)
        except FileNotFoundError:
            raise DataError(f"{path}: no such file of scores") from None
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: not a file of scores ({error})") from None


_LISTS = ("clip_ids", "video_ids", "classes", "domains", "missing")


def _checked(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix != ".npz":
        raise UsageError(f"{path}: a file of scores ends in .npz")
    return path


def predict(
    model: nn.Module,
    dataset: ClipDataset,
    *,
    batch_size: int = 32,
    aggregate: Aggregate = "mean",
    on: On = "probabilities",
    transform: Transform | None = None,
    workers: int = 0,
    allow_missing: bool = False,
    label: str = "predicting",
) -> Scores:
    """Scores of `model` over `dataset`, a `ClipDataset` of one split with views="test" (or "centre").

    The views' logits, or their probabilities (sigmoid for several labels, softmax for one), are aggregated; READINGS
    has the papers' ways. transform: as for `fit`; without one, pixels are scaled to [0, 1]. A clip that cannot be read
    is a ClipError, or with allow_missing a row of zeros and a line that says how many: the number of rows is always
    that of the index.
    """
    index: Index = dataset.index
    if aggregate not in ("max", "mean") or on not in ("logits", "probabilities"):
        raise UsageError(f"aggregate, on: expected max or mean, logits or probabilities, found {aggregate!r}, {on!r}")
    views = np.bincount(dataset.clips, minlength=len(index))
    if not views.all():
        raise UsageError(f"the dataset lacks {index.clips[int(np.argmin(views))].clip_id}, which its index has")
    source = _Readable(dataset) if allow_missing else dataset
    rows: list[Tensor] = []
    places: list[NDArray[np.int64]] = []
    repeats = [torch.zeros(0, dtype=torch.int64)]
    loader = batches(cast("ClipDataset", source), batch_size, workers=workers)
    with channels_last(model):
        for batch in track(loader, label, total=-(-len(dataset) // batch_size), closing_line=False):
            if batch is not None:
                rows.append(logits_of(model, batch, transform))
                places.append(batch["index"].numpy())
                repeats.append(batch.get("repeats", torch.ones_like(batch["index"])))
    whose = np.concatenate([np.zeros(0, np.int64), *places])
    whole = np.bincount(whose, minlength=len(index)) == views
    missing = tuple(clip.clip_id for clip, there in zip(index.clips, whole, strict=True) if not there)
    if missing:
        print(
            f"{label}: {len(missing)} of {len(index)} clips could not be read and score 0 for every class", flush=True
        )
    times = torch.cat(repeats)  # a view that several of the clip's are equal to counts for each of them
    logits = torch.cat([torch.zeros(0, len(index.classes)), *rows]).repeat_interleave(times, dim=0)
    owners = torch.from_numpy(whose).repeat_interleave(times)
    scores = aggregated(logits, owners, len(index), aggregate, on, index.multi_label)
    scores[~torch.from_numpy(whole)] = 0
    if not scores.isfinite().all():
        raise DataError(f"{index.clips[int(scores.isfinite().all(1).int().argmin())].clip_id}: a score is not finite")
    return _scores(index, scores.numpy(), missing)


@torch.no_grad()
def logits_of(model: nn.Module, batch: Batch, transform: Transform | None = None) -> Tensor:
    """(views, classes) on the CPU, of the network in eval mode on its own device; bf16 on a GPU, as in training."""
    device = next(model.parameters()).device
    modules = [module for module in (model, transform) if isinstance(module, nn.Module)]
    modes = [module.training for module in modules]
    for module in modules:
        module.eval()
    batch = {key: value.to(device) if isinstance(value, Tensor) else value for key, value in batch.items()}
    with channels_last(model), torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        if transform is not None:
            video = transform(batch)["video"]
        else:
            video = batch["video"].permute(0, 4, 1, 2, 3).float() / 255
        logits = model(video)
    for module, mode in zip(modules, modes, strict=True):
        module.train(mode)
    return logits.float().cpu()


def aggregated(logits: Tensor, whose: Tensor, clips: int, aggregate: Aggregate, on: On, multi_label: bool) -> Tensor:
    """Views (V, classes) into clips (clips, classes), as probabilities; `whose` (V,) is the clip of each view."""
    squash = torch.sigmoid if multi_label else _softmax
    values = squash(logits) if on == "probabilities" else logits
    place = whose[:, None].expand_as(values)
    empty = torch.zeros(clips, values.shape[1])
    joined = empty.scatter_reduce(0, place, values, "amax" if aggregate == "max" else "mean", include_self=False)
    return joined if on == "probabilities" else squash(joined)


def slide(
    model: nn.Module,
    frames: Iterable[NDArray[np.uint8]],
    *,
    window: int,
    stride: int,
    multi_label: bool = True,
    transform: Transform | None = None,
    batch_size: int = 8,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Scores along a video of any length, read once and never held: first frames (V,), probabilities (V, classes).

    frames: (H, W, 3) each, as from `video.iter_frames`. `window` frames at a time, every `stride`; the last window ends
    with the video, or is filled up by its last frame where the video is shorter.
    """
    if not 1 <= stride <= window:
        raise UsageError(f"stride {stride}: expected 1 to window ({window})")
    squash = torch.sigmoid if multi_label else _softmax
    starts: list[int] = []
    scores: list[Tensor] = []
    source = _windows(frames, window, stride)
    while part := list(islice(source, batch_size)):
        starts += [start for start, _ in part]
        video = torch.from_numpy(np.stack([clip for _, clip in part]))
        zeros = torch.zeros(len(part), dtype=torch.int64)
        scores.append(squash(logits_of(model, {"video": video, "seed": zeros, "label": zeros}, transform)))
    if not starts:
        raise DataError("a video without frames has no scores")
    return np.array(starts, np.int64), torch.cat(scores).numpy()


def _windows(frames: Iterable[NDArray[np.uint8]], window: int, stride: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    held: deque[NDArray[np.uint8]] = deque(maxlen=window)
    count = start = ended = 0
    for count, frame in enumerate(frames, start=1):
        held.append(frame)
        if count == start + window:
            yield start, np.stack(held)
            start, ended = start + stride, count
    if count > ended:
        yield max(0, count - window), np.stack([*held] + [held[-1]] * (window - len(held)))


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(-1)


def _scores(index: Index, scores: NDArray[np.float32], missing: tuple[str, ...]) -> Scores:
    clips = index.clips
    return Scores(
        name=index.name,
        split=index.split,
        data_hash=index.digest(),
        clip_ids=tuple(clip.clip_id for clip in clips),
        video_ids=tuple(clip.video_id for clip in clips),
        scores=scores,
        targets=None if any(clip.labels is None for clip in clips) else index.targets(),
        classes=index.classes,
        domains=tuple(clip.domain for clip in clips),
        sides=np.array([max(clip.width or 0, clip.height or 0) for clip in clips], dtype=np.int64),
        missing=missing,
    )


class _Readable:
    """The dataset without the clips that cannot be read: a batch may lack rows, or be None."""

    seed = 0

    def __init__(self, dataset: ClipDataset):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def set_epoch(self, epoch: int) -> None:
        self.dataset.set_epoch(epoch)

    def batch(self, positions: Sequence[int]) -> Batch | None:
        try:
            return self.dataset.batch(positions)
        except ClipError:
            alone = [self.batch([position]) for position in positions] if len(positions) > 1 else []
            read = [batch for batch in alone if batch is not None]
            return {key: _joined([batch[key] for batch in read]) for key in read[0]} if read else None


def _joined(parts: list[Any]) -> object:
    return torch.cat(parts) if isinstance(parts[0], Tensor) else [value for part in parts for value in part]
