"""The sums of an epoch's losses, and the check that every one of them is finite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from tinylib.errors import DataError
from tinylib.progress import Progress

if TYPE_CHECKING:
    from accelerate import Accelerator


class Counters(Protocol):
    """What a run keeps of its present epoch."""

    clips: int
    sums: dict[str, float]


class Watch:
    """Sums of the epoch's losses, and the check that they are finite, one step late so as never to wait for a GPU."""

    def __init__(self, state: Counters):
        self.state = state
        self.pending: tuple[Tensor, list[str], list[str], Progress] | None = None

    def note(self, losses: Mapping[str, Tensor], clips: list[str], progress: Progress) -> None:
        self.settle()
        values = torch.stack([value.detach().double() for value in losses.values()])
        self.pending = values.to("cpu", non_blocking=True), list(losses), clips, progress
        self.copied = torch.cuda.current_stream().record_event() if values.is_cuda else None

    def settle(self) -> None:
        if self.pending is None:
            return
        if self.copied is not None:
            self.copied.synchronize()
        (values, names, clips, progress), self.pending = self.pending, None
        for name, value in zip(names, values.tolist(), strict=True):
            if not math.isfinite(value):
                where = f"epoch {progress.epoch + 1}, step {progress.step + 1} (global {progress.global_step + 1})"
                raise DataError(f"{name} is {value} at {where}; its clips: {', '.join(clips)}")
            self.state.sums[name] = self.state.sums.get(name, 0.0) + value * len(clips)
        self.state.clips += len(clips)

    def means(self, accelerator: Accelerator) -> dict[str, float]:
        """Means over the epoch's clips, of all processes."""
        self.settle()
        sums = torch.tensor([self.state.clips, *self.state.sums.values()], dtype=torch.float64)
        if accelerator.num_processes > 1:
            sums = accelerator.reduce(sums.float().to(accelerator.device), reduction="sum").cpu().double()
        return dict(zip(self.state.sums, (sums[1:] / sums[0]).tolist(), strict=True))
