"""One run in several processes: each reads its clips of every batch, and gradients are summed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tinylib.datasets.loading import Batch, ClipDataset

if TYPE_CHECKING:
    from accelerate import Accelerator


def accelerator(*, log_with: str | None = None, project_dir: str | None = None) -> Accelerator:
    """This process and its device, in full precision (`precision` of a run's settings says where bf16 is).

    log_with, project_dir: a tracker, and where it writes.
    """
    from accelerate import Accelerator

    return Accelerator(mixed_precision="no", log_with=log_with, project_dir=project_dir)


class Share:
    """What one of several processes reads of a dataset: its clips of each batch."""

    def __init__(self, data: ClipDataset, rank: int, world: int):
        self.data, self.rank, self.world, self.seed = data, rank, world, data.seed

    def __len__(self) -> int:
        return len(self.data)

    def set_epoch(self, epoch: int) -> None:
        self.data.set_epoch(epoch)

    def batch(self, positions: NDArray[np.int64]) -> Batch:
        share: Batch = self.data.batch(positions[self.rank :: self.world])
        return share


def parts(batch: Batch, size: int) -> list[Batch]:
    """The batch in parts of at most `size` clips (0: whole), as even as can be: batch norms see each by itself."""
    clips = len(batch["clip_id"])
    count = -(-clips // size) if size else 1
    if count == 1:
        return [batch]
    ends = [round(clips * n / count) for n in range(count + 1)]
    return [{name: value[start:end] for name, value in batch.items()} for start, end in pairwise(ends)]


def sum_gradients(process: Accelerator, parameters: Sequence[Tensor]) -> None:
    """Over the processes, in one message (networks here may grow and take turns; DDP's may not)."""
    used = [parameter for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([parameter.grad.flatten() for parameter in used if parameter.grad is not None])
    summed = process.reduce(flat, reduction="sum")
    for parameter, grad in zip(used, summed.split([p.numel() for p in used]), strict=True):
        parameter.grad = grad.view(parameter.shape)


@torch.no_grad()
def share_norms(process: Accelerator, objective: nn.Module) -> None:
    """Running statistics of batch norms, which each process has of its own clips, become their means."""
    norms = [module for module in objective.modules() if isinstance(module, _BatchNorm)]
    values = [v for norm in norms for v in (norm.running_mean, norm.running_var) if v is not None]
    if not values:
        return
    means = process.reduce(torch.cat([value.flatten() for value in values]), reduction="mean")
    for value, mean in zip(values, means.split([value.numel() for value in values]), strict=True):
        value.copy_(mean.view(value.shape))
