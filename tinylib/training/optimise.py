"""How a run learns: its settings, its learning rate at any time, its optimisers, its averaged weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tinylib.errors import UsageError
from tinylib.progress import Progress

Optimiser = torch.optim.Optimizer


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How to train. `batch_size` is that of a step over all processes and over all parts of `micro` clips.

    Gradients are those of the whole batch, however many processes and parts it is split into. Batch norms alone see a
    difference: in training each normalises by the clips that one device takes at once (there is no SyncBatchNorm), and
    running statistics are the mean over processes. Where norms are frozen, nothing differs. So give parts eight clips
    or more where you can. An objective that alternates optimisers takes whole batches (UsageError).
    """

    epochs: int
    batch_size: int
    lr: float
    micro: int = 0  # clips that a device takes at once, gradients added up to those of the batch; 0: its whole share
    batch_sizes: tuple[tuple[int, int], ...] = ()  # (from this epoch, so many clips), where it changes on the way
    optimiser: Literal["adam", "adamw", "sgd"] = "adam"
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Literal["constant", "multistep", "exponential", "cosine", "restarts", "one_cycle"] = "constant"
    warmup: float = 0.0  # epochs of linear rise from 0, multiplied onto any schedule
    milestones: tuple[float, ...] = (0.25, 0.5, 0.75)  # multistep: shares of the run
    gamma: float = 0.1  # multistep: at each milestone; exponential: each epoch
    cycle: float = 1 / 3  # restarts: T_0 as a share of the run, rounded to whole epochs
    cycle_growth: float = 1.0  # restarts: T_mult
    lr_floor: float = 0.0  # cosine, restarts: where the cosine ends, as a share of lr
    clip_norm: float | None = None
    ema: float | None = None  # decay of the averaged weights, which are then what is validated and delivered
    keep_cycles: bool = False  # keep the network at the end of each restart cycle
    best: str = ""  # keep the network with the highest value of this metric; '-loss': the lowest
    validate_every: int = 1
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: bf16 on a GPU, fp32 on a CPU
    seed: int = 0
    workers: int = 0
    checkpoint_every: int = 0  # steps; besides, after each epoch
    track: str = ""  # one of accelerate's trackers (tensorboard, wandb, ...), besides log.jsonl; "" is none

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "validate_every"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}: expected 1 or more, found {getattr(self, name)}")
        if self.micro < 0:
            raise UsageError(f"micro: expected 0 or more, found {self.micro}")
        for name, known in (("optimiser", OPTIMISERS), ("schedule", SCHEDULES), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise UsageError(f"{name}: expected one of {', '.join(known)}, found {getattr(self, name)!r}")

    def batch_size_at(self, epoch: int) -> int:
        return [self.batch_size, *(size for start, size in self.batch_sizes if start <= epoch)][-1]

    def cycle_ends(self) -> tuple[int, ...]:
        """Epochs after which a restart cycle is over, the last one being the end of the run."""
        ends, share, length = [], 0.0, self.cycle
        while share < 1 - 1e-9:
            share, length = share + length, length * self.cycle_growth
            ends.append(min(max(round(share * self.epochs), 1), self.epochs))
        return tuple(sorted({*ends, self.epochs}))


def _cosine(share: float, floor: float) -> float:
    return floor + (1 - floor) * (1 + math.cos(math.pi * share)) / 2


def _restarts(config: FitConfig, share: float) -> float:
    ends, now = (0, *config.cycle_ends()), share * config.epochs
    start = max(end for end in ends[:-1] if end <= now) if now < config.epochs else ends[-2]
    end = ends[ends.index(start) + 1]
    return _cosine((now - start) / (end - start), config.lr_floor)


def _one_cycle(config: FitConfig, share: float) -> float:
    """Cosine from 1/25 up over the first 0.3 of the run, then down to 1/250000 (Smith and Topin, as in torch)."""
    return 1 - 0.96 * _cosine(share / 0.3, 0) if share < 0.3 else _cosine((share - 0.3) / 0.7, 4e-6)


SCHEDULES: dict[str, Callable[[FitConfig, float], float]] = {
    "constant": lambda config, share: 1.0,
    "multistep": lambda config, share: config.gamma ** sum(share >= milestone for milestone in config.milestones),
    "exponential": lambda config, share: config.gamma ** math.floor(share * config.epochs + 1e-9),
    "cosine": lambda config, share: _cosine(share, config.lr_floor),
    "restarts": _restarts,
    "one_cycle": _one_cycle,
}
PRECISIONS = ("auto", "fp32", "bf16")


def lr_factor(config: FitConfig, progress: Progress) -> float:
    """What the learning rates are multiplied with for the step at `progress`: a function of the time and no state."""
    warm = min(1.0, (progress.time + 1 / progress.steps_per_epoch) / config.warmup) if config.warmup else 1.0
    return warm * SCHEDULES[config.schedule](config, progress.time / config.epochs)


ParameterGroup = dict[str, Any]  # as torch.optim's, with what the schedule needs: base_lr, and "turn"
OPTIMISERS: dict[str, Callable[[list[ParameterGroup], FitConfig, bool], Optimiser]] = {
    "adam": lambda groups, c, fused: torch.optim.Adam(groups, c.lr, c.betas, c.eps, c.weight_decay, fused=fused),
    "adamw": lambda groups, c, fused: torch.optim.AdamW(groups, c.lr, c.betas, c.eps, c.weight_decay, fused=fused),
    "sgd": lambda groups, c, fused: torch.optim.SGD(groups, c.lr, c.momentum, weight_decay=c.weight_decay, fused=fused),
}


def make_optimisers(
    groups: Iterable[ParameterGroup], config: FitConfig, before: Mapping[str, Optimiser]
) -> dict[str, Optimiser]:
    """One optimiser for each "turn" the groups name ("" where none); what was known `before` keeps its moments."""
    turns: dict[str, list[ParameterGroup]] = {}
    for group in groups:
        lr = group.get("lr", config.lr)
        options = {key: value for key, value in group.items() if key != "turn"} | {"lr": lr, "base_lr": lr}
        turns.setdefault(group.get("turn", ""), []).append(options | {"params": list(group["params"])})
    optimisers = {}
    for turn, turn_groups in turns.items():
        parameters = {parameter for group in turn_groups for parameter in group["params"]}
        fused = all(parameter.is_cuda for parameter in parameters)
        optimisers[turn] = OPTIMISERS[config.optimiser](turn_groups, config, fused)
        if turn in before:
            optimisers[turn].state.update({p: moments for p, moments in before[turn].state.items() if p in parameters})
    return optimisers


class Average:
    """Exponential moving average of everything in a state dict; without a decay it does nothing."""

    def __init__(self, decay: float | None):
        self.decay = decay
        self.tensors: dict[str, Tensor] = {}

    @torch.no_grad()
    def follow(self, objective: nn.Module, progress: Progress) -> None:
        """Counters are copied, and so is what has just appeared; early on the average forgets faster."""
        if self.decay is None:
            return
        weight = 1 - min(self.decay, (1 + progress.global_step) / (10 + progress.global_step))
        now = objective.state_dict()
        self.tensors = {k: self.tensors[k] if k in self.tensors else value.clone() for k, value in now.items()}
        for name, value in now.items():
            if value.is_floating_point():
                self.tensors[name].lerp_(value, weight)
            else:
                self.tensors[name].copy_(value)

    @torch.no_grad()
    def put_on(self, objective: nn.Module) -> None:
        state = objective.state_dict()
        for name, value in self.tensors.items():
            state[name].copy_(value)

    @contextmanager
    def worn_by(self, objective: nn.Module) -> Iterator[None]:
        state = {name: value.clone() for name, value in objective.state_dict().items()} if self.tensors else {}
        self.put_on(objective)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, value in objective.state_dict().items() if state else ():
                    value.copy_(state[name])
