"""Recorded official networks brought in by `official.load` under their own names, and small references of our own."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tests.models.recorded import fill_rule
from tinylib.models import official

OWN = Path(__file__).parent / "references"


def recorded_state(parity: Path, record: dict) -> dict[str, Tensor]:
    """The weights of a recorded run under the names of the official code."""
    rule, skip = fill_rule(parity), record["fill"]["not_filled"]
    state = {}
    for key, shape in record["params"] + record["buffers"]:
        if key.endswith("num_batches_tracked"):
            state[key] = torch.zeros((), dtype=torch.long)
        elif key in skip:  # SPyNet's constants
            values = (0.485, 0.456, 0.406) if key.endswith("mean") else (0.229, 0.224, 0.225)
            state[key] = torch.tensor(values).view(shape)
        else:
            state[key] = torch.from_numpy(rule.values(key, shape, record["fill"]["gain"]))
    return state


def recorded_input(parity: Path, record: dict) -> Tensor:
    x = torch.from_numpy(fill_rule(parity).input_array(record["input"]["shape"]))
    return (0.5 + 0.2 * x).clamp(0, 1) if "clip(0.5" in record["input"]["rule"] else x


def same(got: Tensor, expected: dict, rtol: float = 1e-5) -> None:
    """`got` has the shape, norm and first values of a recorded summary."""
    got = got.double()
    assert list(got.shape) == expected["shape"]
    np.testing.assert_allclose(float(got.norm()), expected["l2"], rtol=rtol)
    first = expected.get("first8", expected.get("first4"))
    scale = expected["l2"] / got.numel() ** 0.5
    np.testing.assert_allclose(got.flatten()[: len(first)], first, rtol=1e-4, atol=1e-4 * scale)


def assert_loads_as_recorded(
    parity: Path,
    reference: str,
    name: str,
    *,
    call: Callable[[nn.Module, Tensor], Tensor] = lambda model, x: model(x),
    modules: Callable[[str], str] = lambda official_name: official_name,
    momentum: float | None = None,
) -> tuple[nn.Module, dict, Tensor]:
    """`modules`: our module of an official one; `momentum`: where we depart knowingly. The model, record and input."""
    record, outputs = json.loads((parity / f"{reference}.json").read_text()), np.load(parity / f"{reference}.npz")
    model = official.load(name, recorded_state(parity, record))
    assert not model.training
    assert sum(p.numel() for p in model.parameters()) == record["n_params"]
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == record["n_trainable"]
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm3d | nn.LayerNorm)]
    kinds = [(type(m).__name__, m.eps, getattr(m, "momentum", None)) for m in norms]
    assert {(*kind, kinds.count(kind)) for kind in kinds} == {
        (n["type"], n["eps"], momentum or n["momentum"], n["count"]) for n in record["norms"]
    }
    seen: dict[str, list[Tensor]] = {key: [] for key in record["features"]}
    hooks = [
        model.get_submodule(modules(key)).register_forward_hook(
            lambda _module, _args, output, key=key: seen[key].append(output.detach().clone())
        )
        for key in seen
    ]
    x = recorded_input(parity, record)
    if record["norms"]:  # a classifier, recorded without normalisation
        model.mean.zero_()
        model.std.fill_(1)
    with torch.no_grad():
        y = call(model, x)
    for hook in hooks:
        hook.remove()
    rule, rtol = fill_rule(parity), record["recommended_rtol"]
    assert list(y.shape) == record["output"]["shape"]
    assert rule.compare(y, outputs["y"], rtol)[1]
    for key, calls in record["features"].items():
        got = torch.cat(seen[key])
        assert len(got) == sum(c["shape"][0] for c in calls), key
        if key.endswith("spynet"):  # we ask for both directions at once, to the previous frame first
            got = torch.cat(got.chunk(2)[::-1])
        for part, expected in zip(got.split([c["shape"][0] for c in calls]), calls, strict=True):
            same(part, expected)
    if "y_g2" in outputs:
        with torch.no_grad():
            for key, tensor in model.state_dict().items():
                if key.endswith("weight") and tensor.ndim > 1:
                    tensor.mul_(rule.SQRT2)
            assert rule.compare(call(model, x), outputs["y_g2"], rtol)[1]
    return model, record, x


def own_values(name: str, shape: tuple[int, ...]) -> Tensor:
    """Numbers that depend on a name alone, about 1 / sqrt(fan in), around 1 where a norm scales or divides."""
    rng = np.random.default_rng(int(sha256(name.encode()).hexdigest()[:8], 16))
    values = rng.standard_normal(shape) / max(np.prod(shape[1:]), 4) ** 0.5
    if name.endswith("running_var") or (name.endswith("weight") and len(shape) < 2):
        values = 1 + abs(values) / 4
    return torch.tensor(values, dtype=torch.float32)


def own_summary(model: nn.Module, shape: tuple[int, ...]) -> dict[str, dict]:
    """What a network of ours makes of `own_values` and a fixed video: shapes, norms and first values by map."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and tensor.ndim and not name.endswith(("spynet.mean", "spynet.std")):
            tensor.copy_(own_values(name, tuple(tensor.shape)))
    video = torch.tensor(np.random.default_rng(0).random(shape), dtype=torch.float32)
    with torch.no_grad():
        maps = {"output": model.eval()(video), **(model.features(video) if hasattr(model, "features") else {})}
    return {
        name: {
            "shape": list(x.shape),
            "l2": float(f"{float(x.double().norm()):.9g}"),
            "first4": [float(f"{float(v):.7g}") for v in x.flatten()[:4]],
        }
        for name, x in maps.items()
    }


def assert_as_we_recorded(name: str, model: nn.Module, shape: tuple[int, ...], *, record: bool = False) -> None:
    """Compare with tests/models/references/NAME.json, or write it (record=True, by hand, after a parity run)."""
    got, path = own_summary(model, shape), OWN / f"{name}.json"
    if record:
        path.write_text(json.dumps(got, indent=1) + "\n")
    expected = json.loads(path.read_text())
    assert list(got) == list(expected)
    for key in expected:
        assert got[key]["shape"] == expected[key]["shape"]
        np.testing.assert_allclose(got[key]["l2"], expected[key]["l2"], rtol=1e-5, err_msg=key)
        scale = expected[key]["l2"] / np.prod(expected[key]["shape"]) ** 0.5
        np.testing.assert_allclose(got[key]["first4"], expected[key]["first4"], atol=1e-4 * scale, err_msg=key)
