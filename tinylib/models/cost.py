"""What a network costs: parameters, multiply-accumulates, clips a second."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from tinylib.datasets.degrade import Size, pair


@dataclass(frozen=True)
class Complexity:
    parameters: int
    gmacs: float  # of one clip; the papers' "GFLOPs" are these


def complexity(model: nn.Module, frames: int, size: Size) -> Complexity:
    """Count `model` at one clip of so many frames and pixels without computing anything (meta tensors, any device)."""
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    ghosts = {name: torch.empty_like(tensor, device="meta") for name, tensor in state.items()}
    video = torch.empty(1, 3, frames, *pair(size), device="meta")
    with _evaluating(model), FlopCounterMode(display=False) as counter:
        functional_call(model, ghosts, (video,))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Complexity(parameters=parameters, gmacs=counter.get_total_flops() / 2 / 1e9)


def throughput(model: nn.Module, frames: int, size: Size, seconds: float, *, batch: int = 1) -> float:
    """Clips a second of inference on the device and in the type of `model`: one call first, then `seconds` of calls."""
    weight = next(model.parameters())
    video = torch.rand(batch, 3, frames, *pair(size), device=weight.device).to(weight.dtype)
    with _evaluating(model):
        _finish(model, video)
        calls, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds or calls == 0:
            _finish(model, video)
            calls += 1
    return calls * batch / elapsed


def _finish(model: nn.Module, video: torch.Tensor) -> None:
    model(video)
    if video.device.type == "cuda":
        torch.cuda.synchronize(video.device)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)
