"""ir-CSN against the recorded official networks of three projects, and its parts against their definition."""

import re

import pytest
import torch
from torch import nn

from tests.models.by_official_names import assert_loads_as_recorded
from tinylib.errors import UsageError
from tinylib.models.cost import complexity
from tinylib.models.csn import CSN, Bottleneck

MODULES = {
    "vmz": lambda key: key,
    "mmaction2": lambda key: "stem" if key == "backbone.maxpool" else key.removeprefix("backbone."),
    "pytorchvideo": lambda key: "stem" if key == "blocks.0" else re.sub(r"^blocks\.(\d)$", r"layer\1", key),
}
# VMZ writes Caffe2's 0.9, the share kept, into PyTorch's field, the share replaced: ours is what it means
MOMENTUM = {"vmz": (0.9, 0.1), "mmaction2": (0.1, 0.1), "pytorchvideo": (0.1, 0.1)}


@pytest.mark.parametrize("style", MODULES)
def test_equals_the_recorded_network_under_its_official_names(parity, style):
    name, (theirs, ours) = f"ircsn152_{style}", MOMENTUM[style]
    model, record, x = assert_loads_as_recorded(parity, name, name, modules=MODULES[style], momentum=ours)
    assert {norm["momentum"] for norm in record["norms"]} == {theirs}
    assert model.dropout.p == 0.5  # invisible in eval
    maps = model.features(x)
    assert list(maps) == ["stem", "layer1", "layer2", "layer3", "layer4", "pooled"]
    assert [list(maps[f"layer{n}"].shape) for n in (1, 2, 3, 4)] == [
        calls[0]["shape"] for key, calls in record["features"].items() if re.search(r"(layer|blocks\.)[1-4]$", key)
    ]


def test_costs_what_the_papers_say():
    with torch.device("meta"):
        model = CSN()
    assert complexity(model, 32, 224).gmacs == pytest.approx(74.046244864)
    assert complexity(model, 32, 256).gmacs == pytest.approx(96.713211904)  # the 96.7 that is published
    assert sum(p.numel() for p in model.parameters()) == 29_703_568


def test_channels_meet_only_in_the_1x1x1_convolutions():
    block = Bottleneck(channels=32, width=8, stride=2, eps=1e-3).eval()
    kernels = {m.kernel_size: (m.groups, m.stride) for m in block.modules() if isinstance(m, nn.Conv3d)}
    assert kernels[(3, 3, 3)] == (8, (2, 2, 2))
    assert block.downsample is not None  # same width, but the stride needs it
    x = torch.randn(1, 8, 4, 6, 6)
    changed = x.clone()
    changed[:, 3] += 1
    depthwise = block.conv2[0]
    difference = (depthwise(x) - depthwise(changed)).abs().amax((0, 2, 3, 4))
    assert (difference > 0).nonzero().flatten().tolist() == [3]


@pytest.mark.parametrize(("depth", "blocks"), [(26, 8), (50, 16), (101, 33), (152, 50)])
def test_depths_count_their_layers(depth, blocks):
    with torch.device("meta"):
        model = CSN(depth=depth)
    assert sum(isinstance(m, Bottleneck) for m in model.modules()) == blocks
    assert depth == 3 * blocks + 2


def test_unknown_depth_is_named():
    with pytest.raises(UsageError, match="26, 50, 101, 152, not 18"):
        CSN(depth=18)
