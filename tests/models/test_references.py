"""The networks against outputs of their own recorded here, so that a change shows on any machine.

The recordings are ours; that they are right is shown by the comparisons with the official networks (test_parity_*).
Run this file as a module to record a network, or all again: python -m tests.models.test_references [NAME ...]
"""

import json
import sys
import zlib
from pathlib import Path

import pytest
import torch

from tests.models.small import SISTERS
from tinylib.files import write_text
from tinylib.models import create

FILE = Path(__file__).with_name("references") / "classifiers.json"
STEMS = ("paper", "low")


def wave(name, shape):
    """Numbers in [-1, 1] that follow from a name and a shape alone."""
    count = torch.Size(shape).numel()
    start = zlib.crc32(name.encode()) / 2**32
    return torch.sin(torch.arange(count, dtype=torch.float64) * 1.618033988749895 * (1 + start) + start).view(shape)


def answer(name, stem):
    """The sister of `name`, its tensors filled by rule: per map the L2 norm, and the logits."""
    with torch.random.fork_rng():
        model = create(name, num_classes=5, stem=stem, **SISTERS[name]).eval()
    for key, tensor in model.state_dict().items():
        values = wave(key, tensor.shape)
        if key.endswith("running_var"):
            values = 1 + 0.5 * values
        elif tensor.ndim > 1:
            values = values * 2 / tensor[0].numel() ** 0.5
        elif key.endswith("weight"):
            values = 1 + 0.2 * values
        else:
            values = 0.2 * values
        tensor.copy_(values)
    video = wave("video", (2, 3, 8, 32, 40)).float() / 2 + 0.5
    with torch.no_grad():
        maps, logits = model.features(video), model(video)
    return {"maps": {key: float(value.norm()) for key, value in maps.items()}, "logits": logits.tolist()}


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("name", SISTERS)
def test_answers_as_recorded(name, stem):
    expected, got = json.loads(FILE.read_text())[f"{name}, {stem}"], answer(name, stem)
    assert list(got["maps"]) == list(expected["maps"])
    torch.testing.assert_close(got["maps"], expected["maps"], rtol=1e-4, atol=1e-4)
    scale = torch.tensor(expected["logits"]).abs().max()
    assert (torch.tensor(got["logits"]) - torch.tensor(expected["logits"])).abs().max() < 1e-4 * scale


if __name__ == "__main__":
    rows = json.loads(FILE.read_text()) if sys.argv[1:] else {}
    rows |= {f"{name}, {stem}": answer(name, stem) for name in sys.argv[1:] or SISTERS for stem in STEMS}
    rounded = json.loads(json.dumps(rows), parse_float=lambda text: float(f"{float(text):.7g}"))
    write_text(FILE, "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in rounded.items()) + "\n}\n")
