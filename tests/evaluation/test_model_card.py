import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tinylib.errors import DataError
from tinylib.evaluation.model_card import ModelCard, calibrated, open_model
from tinylib.evaluation.scores import Scores
from tinylib.models import checkpoint

CARD = ModelCard(
    model="tiny_r3d",
    options={"widths": (4, 4, 8, 8), "stem": "paper"},
    classes=("stand", "walk"),
    multi_label=True,
    frames=4,
    size=16,
    sampler="uniform",
)


def saved(folder, description=None, name="model"):
    torch.manual_seed(0)
    network = CARD.build().eval()
    checkpoint.save(folder / f"{name}.safetensors", network, CARD.description() if description is None else description)
    return network


def scores(n=20):
    rng = np.random.default_rng(0)
    names = tuple(f"c{i}" for i in range(n))
    values = rng.random((n, 2)).astype(np.float32)
    targets = (rng.random((n, 2)) < values).astype(np.float32)
    return Scores("x", "val", "h", names, names, values, targets, CARD.classes, ("",) * n, np.zeros(n, np.int64))


def test_a_run_folder_is_built_again(tmp_path):
    network = saved(tmp_path)
    trained = open_model(tmp_path)
    assert trained.card == replace(CARD, options={"widths": [4, 4, 8, 8], "stem": "paper"})
    assert not trained.network.training
    assert trained.calibration is None
    video = torch.rand(1, 3, 4, 16, 16)
    with torch.no_grad():
        assert torch.equal(trained.network(video), network(video))
    assert open_model(tmp_path / "model.safetensors").weights == trained.weights


def test_the_best_is_preferred(tmp_path):
    saved(tmp_path)
    saved(tmp_path, name="best")
    assert open_model(tmp_path).weights.name == "best.safetensors"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model": None, "classes": None}, "model.safetensors: its description lacks model, classes: the network"),
        ({"model": "resnet"}, "model 'resnet' is not one of ours"),
        ({"sampler": "all"}, "sampler 'all' is not one of ours"),
        ({"options": {"width": 3}}, r"tiny_r3d cannot be built with options \{'width': 3\}"),
        ({"options": {}}, "does not fit TinyR3D"),
    ],
)
def test_what_the_folder_lacks_is_named(tmp_path, change, says):
    description = {k: v for k, v in (CARD.description() | change).items() if v is not None}
    saved(tmp_path, description)
    with pytest.raises(DataError, match=says):
        open_model(tmp_path)


def test_folders_that_hold_no_network(tmp_path):
    for path, says in (
        (tmp_path, "no model.safetensors in it"),
        (tmp_path / "no", "no such run folder"),
        (tmp_path / "no.safetensors", "no such checkpoint"),
    ):
        with pytest.raises(DataError, match=says):
            open_model(path)


def test_calibration_lies_beside_the_weights_and_belongs_to_them(tmp_path):
    saved(tmp_path)
    trained = calibrated(tmp_path, scores())
    assert trained.calibration is not None
    assert trained.calibration.clips == 20
    assert open_model(tmp_path).calibration == trained.calibration
    file = tmp_path / "calibration.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"weights": "0" * 64}))
    with pytest.raises(DataError, match="of other weights than model"):
        open_model(tmp_path)
    with pytest.raises(DataError, match="not labelled with"):
        calibrated(tmp_path, replace(scores(), targets=None))
