"""The one training loop: `fit(objective, data, config, run_dir)`.

A run is a folder: config.json, log.jsonl (a line an epoch), checkpoints/, model.safetensors, and best.safetensors and
cycles/ where asked for. Killed at any moment and called again, it goes on from its newest whole checkpoint and ends bit
for bit where it would have ended: every batch follows from (seed, epoch, index), every random draw of a step from
(seed, step), and learning rates from the time alone, so that a checkpoint holds tensors, counters and no hidden state.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from tinylib.datasets.loading import Batch, ClipDataset, batches
from tinylib.errors import UsageError
from tinylib.files import Json, locked
from tinylib.models import checkpoint as networks
from tinylib.models.common import channels_last
from tinylib.progress import Meter, Progress
from tinylib.training import environment, processes, run_folder, tracking
from tinylib.training.optimise import Average, FitConfig, Optimiser, ParameterGroup, lr_factor, make_optimisers
from tinylib.training.watch import Watch
from tinylib.workers import device_name

__all__ = ["FitConfig", "FitResult", "Objective", "Progress", "fit"]

PATIENCE = 20.0  # seconds
Losses = dict[str, Tensor]
Validate = Callable[[nn.Module], Mapping[str, float]]


class Objective(Protocol):
    """What one training step means: an `nn.Module` that owns its networks.

    `losses` answers with "loss", which is minimised, and parts that are only logged. `parameter_groups` are torch's,
    and may set lr, betas, eps or weight_decay of their own. Optional besides:

    - `model`: the network that the run validates and delivers (else the objective itself).
    - `start_epoch(progress)`: brings the networks into the shape of that epoch, whatever shape they had. Parameters
      that appear are picked up; those that stay keep their moments.
    - `turns(batch, progress)`, for procedures that alternate optimisers: yields (name, losses) one after another; each
      "loss" updates the groups whose "turn" is that name before the next pair is computed.
    """

    def losses(self, batch: Batch, progress: Progress) -> Losses: ...

    def parameter_groups(self) -> list[ParameterGroup]: ...


@dataclass(frozen=True)
class FitResult:
    """What a run left behind; the objective itself holds the weights of `last`."""

    run_dir: Path
    history: list[dict[str, float]]  # one entry an epoch, as in log.jsonl
    last: Path
    best: Path  # `last` where no best was asked for
    cycles: tuple[Path, ...]  # networks at the ends of restart cycles, for snapshot ensembles
    seconds: float  # of training and validation, earlier attempts included
    device: str


@dataclass
class RunState:
    """Everything about a run that is not a tensor; it travels as JSON."""

    epoch: int = 0  # epochs finished
    step: int = 0  # steps done in the present one
    global_step: int = 0
    shape: int = 0  # the epoch whose `start_epoch` gave the networks their present shape
    clips: int = 0  # seen in the present epoch, by this process
    sums: dict[str, float] = field(default_factory=dict)  # of the present epoch's losses over those clips
    worked: float = 0.0  # seconds in the present epoch
    waited: float = 0.0  # of which for data
    best: float | None = None
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


def fit(
    objective: Any,
    data: ClipDataset,
    config: FitConfig,
    run_dir: str | Path,
    *,
    validate: Validate | None = None,
    transform: Callable[[Batch], Batch] | None = None,
    description: Mapping[str, object] | None = None,
) -> FitResult:
    """Train `objective` (see `Objective`) on `data` (a `ClipDataset`), or go on with the run that `run_dir` holds.

    validate: metrics of the delivered network after an epoch, called in eval mode and without gradients. transform:
    the loader's batch -> the objective's batch, on the device. description: what model.json shall say, so that the
    network can be built again. UsageError: the folder holds another run or is another's, or a variable
    ACCELERATE_* would change this one. DataError: a loss is not finite.
    """
    environment.check()
    run = _Run(objective, data, config, Path(run_dir), dict(description or {}))
    with run.alone(), run.own_world():
        run.begin()
        for epoch in range(run.state.epoch, config.epochs):
            progress = run.start_epoch(epoch)
            for batch in run.batches(progress):
                run.seed(progress)
                objective.zero_grad(set_to_none=True)
                *most, rest = processes.parts(batch, config.micro)
                for part in most:  # their gradients add up to those of the whole batch
                    for _, losses in run.turns(transform(part) if transform else part, progress):
                        run.backward(losses["loss"], part)
                for turn, losses in run.turns(transform(rest) if transform else rest, progress):
                    run.backward(losses["loss"], rest)
                    run.update(turn, progress)
                    objective.zero_grad(set_to_none=True)
                run.average.follow(objective, progress)
                progress = run.advance(progress)
                if config.checkpoint_every and progress.global_step % config.checkpoint_every == 0:
                    run.save()
            with run.average.worn_by(objective):
                run.finish_epoch(progress, validate)
            run.save()
        return run.finish()


class _Run:
    """The mechanics of one call of `fit`: device and processes, shapes and optimisers, counters, files."""

    def __init__(self, objective: Any, data: ClipDataset, config: FitConfig, run_dir: Path, description: Json):
        self.objective, self.data, self.config, self.run_dir = objective, data, config, run_dir
        self.accelerator = processes.accelerator(**tracking.tracked(config.track, run_dir))
        self.device, self.main = self.accelerator.device, self.accelerator.is_main_process
        self.world, self.rank = self.accelerator.num_processes, self.accelerator.process_index
        self.bf16 = config.precision == "bf16" or (config.precision == "auto" and self.device.type == "cuda")
        self.description = description
        self.state, self.average = RunState(), Average(config.ema)
        self.layouts = ExitStack()  # of the networks in memory
        self.optimisers: dict[str, Optimiser] = {}
        self.watch = Watch(self.state)
        if hasattr(objective, "turns") and config.micro:
            raise UsageError(f"micro: {type(objective).__name__} alternates optimisers and takes a batch as a whole")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder against other trainings; loading processes of one that was killed let go within seconds."""
        with locked(self.run_dir / "training", wait=PATIENCE) if self.main else nullcontext():
            yield

    @contextmanager
    def own_world(self) -> Iterator[None]:
        """Random state, determinism and layout in memory are the run's own inside, and the caller's again after it."""
        before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
        strict = self.device.type == "cpu"  # on a GPU trilinear resizing and adaptive pools have no such form
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            try:
                torch.use_deterministic_algorithms(strict)
                torch.backends.cudnn.benchmark = not strict
                with self.layouts:
                    yield
            finally:
                torch.use_deterministic_algorithms(before[0])
                torch.backends.cudnn.benchmark = before[1]

    def begin(self) -> None:
        """Claim the folder, and take up the newest checkpoint in it."""
        index = getattr(self.data, "index", None)
        identity = {
            "config": {k: v for k, v in asdict(self.config).items() if k != "micro" or v},
            "objective": type(self.objective).__name__,
            "data": {"clips": len(self.data), "digest": index.digest() if index is not None else None}
            | {name: getattr(self.data, name, None) for name in ("seed", "frames", "size", "resize", "fit")},
            "precision": "bf16" if self.bf16 else "fp32",
            "description": self.description,
        }
        if self.main:
            run_folder.claim(self.run_dir, identity)
            run_folder.sweep(self.run_dir)
        tracking.start(self.accelerator, self.config)
        self.accelerator.wait_for_everyone()
        newest = run_folder.load_checkpoint(self.run_dir)
        if newest is not None:
            vars(self.state).update(newest[1])
        self.shape(self.state.shape)
        if newest is not None:
            networks.restore(self.objective, _below("network", newest[0]), source=self.run_dir / "checkpoints")
            self.average.tensors = {k: v.to(self.device) for k, v in _below("average", newest[0]).items()}
            parameters = dict(self.objective.named_parameters())
            for key, tensor in _below("moments", newest[0]).items():
                turn, moment, name = key.split("/", 2)
                on_cpu = moment == "step" and self.device.type == "cpu"
                self.optimisers[turn].state[parameters[name]][moment] = tensor if on_cpu else tensor.to(self.device)
        self.began = time.monotonic() - self.state.seconds

    def shape(self, epoch: int) -> None:
        """Bring the networks into the shape of `epoch`, onto the device, with optimisers that know every parameter."""
        known = {id(parameter) for parameter in self.objective.parameters()} if self.optimisers else set()
        self.state.shape = epoch
        if hasattr(self.objective, "start_epoch"):
            torch.manual_seed(_number(self.config.seed, 0, epoch))
            self.objective.start_epoch(self.progress(epoch))
        self.layouts.enter_context(channels_last(self.objective.to(self.device)))
        if known != {id(parameter) for parameter in self.objective.parameters()}:
            self.settle_in()
        self.optimisers = make_optimisers(self.objective.parameter_groups(), self.config, self.optimisers)

    def settle_in(self) -> None:
        """What new parameters need: the same values in every process."""
        for tensor in self.objective.state_dict().values() if self.world > 1 else ():
            torch.distributed.broadcast(tensor, 0)

    def progress(self, epoch: int) -> Progress:
        steps = math.ceil(len(self.data) / self.config.batch_size_at(epoch))
        return Progress(epoch, self.state.step, steps, self.config.epochs, self.state.global_step)

    def start_epoch(self, epoch: int) -> Progress:
        if epoch != self.state.shape:
            self.shape(epoch)
        self.objective.train()
        return self.progress(epoch)

    def batches(self, progress: Progress) -> Iterator[Batch]:
        """The rest of the epoch's batches, this process's clips of each, on the device."""
        size, clips, skip = self.config.batch_size_at(progress.epoch), len(self.data), progress.step
        if min(size, clips % size or size) < self.world:
            raise UsageError(
                f"batch_size {size}: the epoch's last batch has fewer clips than the {self.world} processes"
            )
        mine = cast("ClipDataset", processes.Share(self.data, self.rank, self.world)) if self.world > 1 else self.data
        loader = batches(mine, size, shuffle=True, workers=self.config.workers, epoch=progress.epoch, skip=skip)
        label = f"epoch {progress.epoch + 1}/{progress.epochs}"
        with Meter(progress.steps_per_epoch, label, done=skip, every=600, closing_line=False) as meter:
            waiting_since = time.monotonic()
            for step, batch in enumerate(loader, start=skip):
                self.state.waited += time.monotonic() - waiting_since
                self.whole = min(size, clips - step * size)
                yield {
                    k: v.to(self.device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in batch.items()
                }
                meter.advance()
                self.state.worked += time.monotonic() - waiting_since
                waiting_since = time.monotonic()

    def seed(self, progress: Progress) -> None:
        torch.manual_seed(_number(self.config.seed, 1, progress.global_step, self.rank))

    def turns(self, batch: Batch, progress: Progress) -> Iterator[tuple[str, Losses]]:
        """The losses of the step's turns, each computed when the one before it has been learnt from."""
        alternating = hasattr(self.objective, "turns")
        turns = self.objective.turns(batch, progress) if alternating else _one_turn(self.objective, batch, progress)
        logged: Losses = {}
        while True:
            # autocast keeps the weights it has cast, so it must be left before they are updated
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                pair = next(turns, None)
            if pair is None:
                break
            yield pair
            turn, losses = pair
            logged |= {turn if turn and key == "loss" else key: value for key, value in losses.items()}
        self.watch.note(logged, list(batch["clip_id"]), progress)

    def backward(self, loss: Tensor, batch: Batch) -> None:
        """Gradients of the mean over the whole batch, of which this process has a share."""
        self.accelerator.backward(loss * (len(batch["clip_id"]) / self.whole))

    def update(self, turn: str, progress: Progress) -> None:
        optimiser, factor = self.optimisers[turn], lr_factor(self.config, progress)
        parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        if self.world > 1:
            processes.sum_gradients(self.accelerator, parameters)
        if self.config.clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, self.config.clip_norm)
        for group in optimiser.param_groups:
            group["lr"] = group["base_lr"] * factor
        optimiser.step()

    def advance(self, progress: Progress) -> Progress:
        self.state.step, self.state.global_step = progress.step + 1, progress.global_step + 1
        return progress.next()

    def finish_epoch(self, progress: Progress, validate: Validate | None) -> None:
        """Validate, write the epoch's line, keep the networks that are to be kept."""
        config, state, epoch = self.config, self.state, progress.epoch + 1
        last = replace(progress, step=progress.step - 1)
        row = {"epoch": epoch, "step": state.global_step, "lr": config.lr * lr_factor(config, last)}
        row |= self.watch.means(self.accelerator)
        if self.world > 1:
            processes.share_norms(self.accelerator, self.objective)
        if validate is not None and self.main and (epoch % config.validate_every == 0 or epoch == config.epochs):
            self.objective.eval()
            with torch.no_grad():
                row |= {name: float(value) for name, value in validate(self.delivered).items()}
            self.better(row, epoch)
        if self.main and config.keep_cycles and epoch in config.cycle_ends():
            self.deliver(self.run_dir / "cycles" / f"epoch_{epoch:04d}.safetensors", epoch)
        row |= {"seconds": round(state.worked, 3), "waiting": round(state.waited / max(state.worked, 1e-9), 4)}
        row["clips_per_second"] = round(len(self.data) / max(state.worked, 1e-9), 2)
        state.history.append(row)
        self.accelerator.log(row, step=epoch)
        state.epoch, state.step, state.clips, state.worked, state.waited = epoch, 0, 0, 0.0, 0.0
        state.sums.clear()
        if self.main:
            run_folder.write_log(self.run_dir, state.history)
            numbers = " ".join(f"{k} {v:.4g}" for k, v in row.items() if k not in ("epoch", "step", "waiting"))
            print(f"epoch {epoch}/{config.epochs} {numbers}", flush=True)

    def better(self, row: Mapping[str, float], epoch: int) -> None:
        name = self.config.best.removeprefix("-")
        if not name:
            return
        if name not in row:
            raise UsageError(f"best: expected one of {', '.join(row)}, found {name!r}")
        value = -row[name] if self.config.best.startswith("-") else row[name]
        if math.isfinite(value) and (self.state.best is None or value > self.state.best):
            self.state.best = value
            self.deliver(self.run_dir / "best.safetensors", epoch)

    @property
    def delivered(self) -> nn.Module:
        return getattr(self.objective, "model", self.objective)

    def deliver(self, path: Path, epoch: int) -> None:
        networks.save(path, self.delivered, self.description | {"epoch": epoch})

    def save(self) -> None:
        self.watch.settle()
        self.state.seconds = time.monotonic() - self.began
        if not self.main:
            return
        tensors = {f"network/{name}": tensor for name, tensor in self.objective.state_dict().items()}
        tensors |= {f"average/{name}": tensor for name, tensor in self.average.tensors.items()}
        names = {parameter: name for name, parameter in self.objective.named_parameters()}
        for turn, optimiser in self.optimisers.items():
            for parameter, moments in optimiser.state.items():
                for moment, value in moments.items():
                    if isinstance(value, Tensor):
                        tensors[f"moments/{turn}/{moment}/{names[parameter]}"] = value
        run_folder.save_checkpoint(self.run_dir, self.state.global_step, tensors, asdict(self.state))

    def finish(self) -> FitResult:
        """Deliver the final network, which the objective is left with."""
        self.average.put_on(self.objective)
        last, best = self.run_dir / "model.safetensors", self.run_dir / "best.safetensors"
        if self.main:
            self.deliver(last, self.config.epochs)
        tracking.stop(self.accelerator)
        self.accelerator.wait_for_everyone()
        return FitResult(
            run_dir=self.run_dir,
            history=self.state.history,
            last=last,
            best=best if self.config.best and best.exists() else last,
            cycles=tuple(sorted((self.run_dir / "cycles").glob("*.safetensors"))),
            seconds=self.state.seconds,
            device=device_name(self.device),
        )


def _one_turn(objective: Any, batch: Batch, progress: Progress) -> Iterator[tuple[str, Losses]]:
    yield "", objective.losses(batch, progress)


def _number(*key: int) -> int:
    """A seed for torch out of (seed, purpose, ...)."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(f"{prefix}/"): value for key, value in tensors.items() if key.startswith(f"{prefix}/")}
