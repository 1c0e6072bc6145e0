"""A network on disk is whole, strict and says what it is."""

import json

import pytest
import torch
from torch import nn

from tinylib.errors import DataError, UsageError
from tinylib.models import create
from tinylib.models.checkpoint import load, restore, save

DESCRIPTION = {"model": "tiny_r3d", "arguments": {"num_classes": 3, "widths": [4, 8, 12, 16]}, "why": "für Prüfung"}


def tiny(classes=3):
    return create("tiny_r3d", num_classes=classes, widths=(4, 8, 12, 16))


def test_there_and_back(tmp_path):
    torch.manual_seed(0)
    model, other = tiny().to(memory_format=torch.channels_last_3d), tiny()
    save(tmp_path / "run" / "model.safetensors", model, DESCRIPTION)
    state, description = load(tmp_path / "run" / "model.safetensors")
    assert description == DESCRIPTION
    restore(other, state)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))
    beside = json.loads((tmp_path / "run" / "model.json").read_text())
    assert beside["description"] == DESCRIPTION
    assert beside["parameters"] == sum(p.numel() for p in model.parameters())
    assert beside["tensors"]["fc.weight"] == "float32 [3, 16]"
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["model.json", "model.safetensors"]


def test_tuples_of_a_description_come_back_as_lists(tmp_path):
    save(tmp_path / "m.safetensors", tiny(), {"arguments": {"widths": (4, 8, 12, 16), "nested": [(1, 2)]}})
    _, description = load(tmp_path / "m.safetensors")
    assert description == {"arguments": {"widths": [4, 8, 12, 16], "nested": [[1, 2]]}}


def test_tensors_that_share_memory_are_saved(tmp_path):
    pair = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    pair[1].weight = pair[0].weight
    save(tmp_path / "pair.safetensors", pair, {})
    state, _ = load(tmp_path / "pair.safetensors")
    assert torch.equal(state["1.weight"], pair[0].weight)


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.safetensors"
    save(path, tiny(), DESCRIPTION)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save(path, tiny(), {"loss": torch.tensor(1.0)})
    with pytest.raises(UsageError, match="text-keyed"):
        save(path, tiny(), {"by class": {1: 0.5}})
    assert path.read_bytes() == before


def test_what_does_not_fit_is_named(tmp_path):
    path = tmp_path / "model.safetensors"
    save(path, tiny(), DESCRIPTION)
    state, _ = load(path)
    with pytest.raises(DataError, match=r"fc.weight is \[3, 16\] instead of \[4, 16\]"):
        restore(tiny(4), state, source=path)
    state["head.weight"] = state.pop("fc.weight")
    with pytest.raises(DataError, match=r"fc.weight is missing, head.weight is unknown"):
        restore(tiny(), state)


def test_bad_files_are_named(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "model.safetensors"
    with pytest.raises(DataError, match="no such checkpoint"):
        load(path)
    with pytest.raises(UsageError, match=r"\.safetensors"):
        load(tmp_path / "model.pth")
    save(path, tiny(), DESCRIPTION)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match="not a whole safetensors file"):
        load(path)
    save_file({"weight": torch.zeros(2)}, str(path))
    with pytest.raises(DataError, match="no description"):
        load(path)
