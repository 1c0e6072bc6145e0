"""Super-resolution networks: parity with the released generators, and growth without a seam."""

import importlib.util
import json

import numpy as np
import pytest
import torch

from tinylib.models.dvsr import DVSR, ProgressiveDVSR, resize
from tinylib.models.foreground import ForegroundAttention

PROGRESSIVE = {
    "pg2_x4_3D": {"scale": 4},
    "pg2_x8_3D": {"scale": 8},
    "pg2_x8_ST": {"scale": 8, "mode": "space_time"},
    "pg2_x4_3D_convST": {"scale": 4, "separable": True},
    "pg2_x4_3D_spec": {"scale": 4, "spectral": True},
}
PLAIN = {
    "g6_x4_spec": {"scale": 4},
    "g6_x8_spec": {"scale": 8},
    "g6_x4_nonorm": {"scale": 4, "spectral": False},
    "g6_x8_nonorm": {"scale": 8, "spectral": False},
    "g6_x4_vdsr": {"scale": 4, "spectral": False, "global_skip": True},
}


@pytest.fixture(scope="module")
def fill(parity):
    spec = importlib.util.spec_from_file_location("fill", parity / "fill.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reference(parity, fill):
    """(record, arrays, input) of a recorded model, and its network filled under the official names."""

    def load(name, network, prefix=""):
        record = json.loads((parity / f"{name}.json").read_text())
        state = {k: v for k, v in network.state_dict().items() if not k.endswith("_extra_state")}
        official = {row[0] for row in record["params"] + record["buffers"] if row[0].startswith(prefix)}
        assert {prefix + key for key in state} == official
        fill.fill_torch(_Named(state, prefix))
        network.load_state_dict(state, strict=False)
        video = torch.from_numpy(fill.input_array(record["input"]["shape"]))
        return record, np.load(parity / f"{name}.npz"), video

    return load


class _Named:
    """A state dict under the names the fill rule is keyed on."""

    def __init__(self, state, prefix):
        self.state = {prefix + key: value for key, value in state.items()}

    def state_dict(self):
        return self.state


@torch.no_grad()
@pytest.mark.parametrize("name", PROGRESSIVE)
def test_progressive_matches_the_released_generator(reference, fill, name):
    network = ProgressiveDVSR(**PROGRESSIVE[name], seamless=False).eval()
    record, arrays, video = reference(name, network)
    error, close = fill.compare(network.signed(video).numpy(), arrays["y"], record["recommended_rtol"])
    assert close, error
    for run, (expected, *_) in record["extra_runs"].items():  # 'scale2', 'scale2_fade0.3': the share of the old stage
        stage, _, fade = run.removeprefix("scale").partition("_fade")
        network.grow(int(stage), 1 - float(fade or 0))
        image = network.signed(video)
        assert list(image.shape) == expected["shape"]
        assert image.double().norm().item() == pytest.approx(expected["l2"], rel=1e-6)
        np.testing.assert_allclose(image.flatten()[:8].numpy(), expected["first8"], atol=2e-6)


@torch.no_grad()
@pytest.mark.parametrize("name", PLAIN)
def test_dvsr_matches_the_released_generator(reference, fill, name):
    network = DVSR(**PLAIN[name]).eval()
    record, arrays, video = reference(name, network)
    error, close = fill.compare(network.signed(video).numpy(), arrays["y"], record["recommended_rtol"])
    assert close, error


@torch.no_grad()
@pytest.mark.parametrize("scale", [4, 8])
def test_foreground_attention_matches_the_released_branch(reference, fill, scale):
    network = ProgressiveDVSR(scale=scale).eval()
    reference(f"pg2_x{scale}_3D", network)
    branch = ForegroundAttention(scale=scale).eval()
    record, arrays, video = reference(f"locpg2_x{scale}_3D", branch, prefix="saliency_dec.")
    error, close = fill.compare(branch(network.encode(video)[0]).numpy(), arrays["y1"], record["recommended_rtol"])
    assert close, error


@pytest.mark.parametrize(
    ("scale", "mode", "extents"),
    [
        (8, "joint", [(4, 2), (8, 4), (16, 8)]),
        (4, "joint", [(8, 2), (16, 4)]),
        (2, "joint", [(16, 2)]),
        (8, "space_time", [(4, 1), (4, 2), (8, 2), (8, 4), (16, 4), (16, 8)]),
    ],
)
@torch.no_grad()
def test_stages_grow_in_time_and_space(scale, mode, extents):
    network = ProgressiveDVSR(scale=scale, channels=4, mode=mode).eval()
    video = torch.rand(1, 3, 16, 5, 6)
    for stage, (frames, factor) in enumerate(extents, start=1):
        network.grow(stage)
        assert network.extent(stage) == (frames, factor)
        assert network(video).shape == (1, 3, frames, 5 * factor, 6 * factor)


@torch.no_grad()
@pytest.mark.parametrize("mode", ["joint", "space_time"])
@pytest.mark.parametrize("scale", [4, 8])
def test_growth_is_seamless(scale, mode):
    network = ProgressiveDVSR(scale=scale, channels=4, mode=mode).eval()
    video = torch.rand(2, 3, 16, 6, 5)
    for stage in range(2, network.stages + 1):
        network.grow(stage - 1)
        old = network(video)
        network.grow(stage, alpha=0.0)
        new = network(video)
        torch.testing.assert_close(new, resize(old, tuple(new.shape[2:])), rtol=0, atol=1e-6)
        network.grow(stage, alpha=0.5)
        assert (network(video) - new).abs().max() > 1e-4


@torch.no_grad()
def test_alpha_one_is_the_end_to_end_network():
    seamless, released = (ProgressiveDVSR(scale=4, channels=4, seamless=s).eval() for s in (True, False))
    released.load_state_dict(seamless.state_dict())
    video = torch.rand(1, 3, 16, 6, 6)
    seamless.grow(2, alpha=1.0)
    assert torch.equal(seamless(video), released(video))


def test_the_stage_travels_with_the_weights():
    network, other = ProgressiveDVSR(scale=8, channels=4), ProgressiveDVSR(scale=8, channels=4)
    network.grow(2, 0.25)
    other.load_state_dict(network.state_dict())
    assert (other.stage, other.alpha) == (2, 0.25)


@pytest.mark.parametrize("bad", [{"stage": 0}, {"stage": 4}, {"stage": 1, "alpha": 1.5}])
def test_impossible_growth_is_refused(bad):
    with pytest.raises(ValueError, match="stage 1 to 3"):
        ProgressiveDVSR(scale=8, channels=4).grow(**bad)


@pytest.mark.parametrize("build", [lambda: DVSR(scale=3), lambda: ProgressiveDVSR(scale=16)])
def test_impossible_scale_is_refused(build):
    with pytest.raises(ValueError, match="scale must be 2, 4 or 8"):
        build()


def test_every_parameter_of_a_grown_network_learns():
    network = ProgressiveDVSR(scale=4, channels=4)
    branch = ForegroundAttention(channels=4, scale=4)
    video = torch.rand(1, 3, 16, 6, 6)
    network.grow(2, 0.5)
    image = network(video)
    attention = branch(network.encode(video * 2 - 1)[0])
    assert attention.shape == (1, 1, 16, 24, 24)
    (image.mean() + attention.mean()).backward()
    silent = [n for m in (network, branch) for n, p in m.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []
