"""A network on disk: one safetensors file that says what it holds, and a readable JSON beside it that repeats it."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from tinylib.errors import DataError, UsageError
from tinylib.files import Json, atomic_path, write_json


def _as_lists(value: object) -> object:
    """`value` with its tuples as lists, which is what JSON makes of them and constructors take as well."""
    if isinstance(value, dict):
        return {key: _as_lists(each) for key, each in value.items()}
    return [_as_lists(each) for each in value] if isinstance(value, list | tuple) else value


def save(path: str | Path, model: nn.Module, description: Json) -> None:
    """Write the state dict of `model` to PATH (.safetensors) and `description` to the JSON of the same name.

    The description, which must survive JSON, also travels inside the safetensors file: that one file is the whole
    truth, replaced atomically; the JSON beside it is written after it, for people.
    """
    from safetensors.torch import save_file

    path = _checked(path)
    text = json.dumps(description, ensure_ascii=False)
    if json.loads(text) != _as_lists(description):
        raise UsageError("a checkpoint's description holds text, numbers, lists and text-keyed dicts, nothing else")
    # cloned: safetensors refuses tensors that share memory, and channels-last ones are not contiguous
    state = {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in
             model.state_dict().items()}  # fmt: skip
    with atomic_path(path) as temporary:
        save_file(state, str(temporary), metadata={"description": text})
    tensors = {name: f"{str(t.dtype).removeprefix('torch.')} {list(t.shape)}" for name, t in state.items()}
    write_json(
        path.with_suffix(".json"),
        {
            "description": description,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "tensors": tensors,
        },
    )


def load(path: str | Path) -> tuple[dict[str, Tensor], Json]:
    """(state dict on the CPU, description) of a file that `save` wrote; DataError names a file that is not one."""
    from safetensors import SafetensorError, safe_open

    path = _checked(path)
    if not path.is_file():
        raise DataError(f"{path}: no such checkpoint")
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except SafetensorError as error:
        raise DataError(f"{path}: not a whole safetensors file ({error})") from error
    if "description" not in metadata:
        raise DataError(f"{path}: has no description; foreign checkpoints come in through `tinylib convert`")
    return state, json.loads(metadata["description"])


def restore(model: nn.Module, state: dict[str, Tensor], *, source: str | Path = "checkpoint") -> None:
    """Load `state` into `model`, every tensor of both and nothing else, or DataError with the first differences."""
    present = model.state_dict()
    wrong = [f"{name} is missing" for name in present if name not in state]
    wrong += [f"{name} is unknown" for name in state if name not in present]
    wrong += [
        f"{name} is {list(state[name].shape)} instead of {list(present[name].shape)}"
        for name in present
        if name in state and state[name].shape != present[name].shape
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise DataError(f"{source}: does not fit {type(model).__name__}: {', '.join(wrong[:3])}{more}")
    model.load_state_dict(state, strict=True)


def _checked(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix != ".safetensors":
        raise UsageError(f"{path}: a checkpoint's name ends in .safetensors")
    return path
