"""Compare a network with a recorded official one: keys, norms, outputs at two gains, maps, multiply-accumulates."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tinylib.models.cost import complexity


def fill_rule(parity: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("recorded_fill", parity / "fill.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blank(make: Callable[..., nn.Module], **arguments: Any) -> nn.Module:
    """The network on the CPU without spending time on initial weights, taking its input as it comes."""
    with torch.device("meta"):
        model = make(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), **arguments)
    model = model.to_empty(device="cpu").eval()
    model.mean.zero_()
    model.std.fill_(1)
    return model


def assert_as_recorded(
    parity: Path,
    name: str,
    model: nn.Module,
    *,
    call: Callable[[Tensor], Tensor] | None = None,
    prefix: str = "",
    momentum: float | None = None,
) -> None:
    """prefix: what the official names have before ours (but before `logits`); momentum: where we depart knowingly."""
    rule, record = fill_rule(parity), json.loads((parity / f"{name}.json").read_text())
    outputs, rtol, call = np.load(parity / f"{name}.npz"), record["recommended_rtol"], call or model

    official = [key for key, _ in record["params"] + record["buffers"]]
    ours = {key.removeprefix(prefix): key for key in official}
    state = model.state_dict()
    assert set(state) == set(ours)
    assert sum(p.numel() for p in model.parameters()) == record["n_params"]
    norms = {(m.eps, m.momentum) for m in model.modules() if isinstance(m, nn.BatchNorm3d)}
    assert norms == {(n["eps"], momentum or n["momentum"]) for n in record["norms"]}
    assert sum(isinstance(m, nn.BatchNorm3d) for m in model.modules()) == sum(n["count"] for n in record["norms"])
    for cost in record.get("flops", {}).values():
        _, _, frames, height, width = cost["input"]
        assert height == width
        np.testing.assert_allclose(complexity(model, frames, height).gmacs, cost["gmacs"], rtol=1e-9)

    for key, tensor in state.items():
        if tensor.is_floating_point():
            tensor.copy_(torch.from_numpy(rule.values(ours[key], tensor.shape)))
    seen: dict[str, Tensor] = {}
    hooks = [
        model.get_submodule(key.removeprefix(prefix)).register_forward_hook(
            lambda _module, _args, output, key=key: seen.__setitem__(key, output.detach().clone())
        )
        for key in record["features"]
    ]
    video = torch.from_numpy(rule.input_array(record["input"]["shape"]))
    with torch.no_grad():
        y = call(video)
    for hook in hooks:
        hook.remove()
    assert list(y.shape) == record["output"]["shape"]
    assert rule.compare(y, outputs["y"], rtol)[1]
    for key, (expected,) in record["features"].items():
        got = seen[key].double()
        assert list(got.shape) == expected["shape"], key
        np.testing.assert_allclose(float(got.norm()), expected["l2"], rtol=1e-5, err_msg=key)
        np.testing.assert_allclose(float(got.mean()), expected["mean"], atol=1e-5 * expected["std"], err_msg=key)
        scale = expected["l2"] / got.numel() ** 0.5
        np.testing.assert_allclose(got.flatten()[:4], expected["first4"], atol=1e-4 * scale, err_msg=key)

    with torch.no_grad():
        for key, tensor in state.items():
            if key.endswith("weight") and tensor.ndim > 1:
                tensor.mul_(rule.SQRT2)
        assert rule.compare(call(video), outputs["y_g2"], rtol)[1]
