"""SPyNet, BasicVSR and RealBasicVSR against the recorded official networks, and at the sizes of tiny clips."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.models.by_official_names import assert_as_we_recorded, assert_loads_as_recorded, same
from tests.models.recorded import fill_rule
from tinylib.errors import UsageError
from tinylib.models.realbasicvsr import BasicVSR, RealBasicVSR, SPyNet, warp

GAINS = pytest.mark.parametrize("gain", ["", "_g03"])  # at 0.3 the flows stay within the frame: the meaningful one


def small(**arguments):
    torch.manual_seed(0)
    return RealBasicVSR(channels=8, propagation_blocks=2, cleaning_blocks=1, **arguments).eval()


def clip(count=1, frames=4, height=10, width=13):
    return torch.rand(count, 3, frames, height, width, generator=torch.Generator().manual_seed(1))


@GAINS
def test_spynet_equals_the_recorded_network(parity, gain):
    model, record, x = assert_loads_as_recorded(
        parity, f"spynet_mmagic{gain}", "spynet_mmagic", call=lambda net, x: net(x[:, 0], x[:, 1])
    )
    outputs, rule = np.load(parity / f"spynet_mmagic{gain}.npz"), fill_rule(parity)
    raw = torch.from_numpy(rule.input_array(record["input"]["shape"]))
    cropped = x[..., :20, :28]
    with torch.no_grad():
        for key, pair in (("crop20x28", cropped), ("raw_normal_input", raw)):
            flow = model(pair[:, 0], pair[:, 1])
            assert rule.compare(flow, outputs[f"{key}:y"], record["recommended_rtol"])[1], key
            same(flow, record["extra_runs"][key][0])


@GAINS
def test_basicvsr_equals_the_recorded_network(parity, gain):
    model, record, x = assert_loads_as_recorded(
        parity, f"basicvsr_mmagic{gain}", "basicvsr_mmagic", call=lambda net, x: net.upsample_frames(x)
    )
    with torch.no_grad():
        mirrored = model.upsample_frames(torch.cat((x, x.flip(1)), dim=1))
        raw = model.upsample_frames(torch.from_numpy(fill_rule(parity).input_array(record["input"]["shape"])))
    same(mirrored, record["extra_runs"]["mirror6"][0])  # though we do not take the shortcut for mirrored sequences
    same(raw, record["extra_runs"]["raw_normal_input"][0])


@GAINS
def test_realbasicvsr_equals_the_recorded_network(parity, gain):
    model, record, x = assert_loads_as_recorded(
        parity, f"realbasicvsr_mmagic{gain}", "realbasicvsr_mmagic", call=lambda net, x: net.upsample_frames(x)
    )
    extra = record["extra_runs"]
    with torch.no_grad():
        same(model.upsample_frames(x), extra["sequential"][0], rtol=1e-6)
        model.refine_threshold = 5.0
        restored, cleaned = model(x.transpose(1, 2)), model.clean(x.transpose(1, 2))
    for got, expected in zip((restored, cleaned), extra["thres5_return_lqs"], strict=True):
        same(got.transpose(1, 2), expected)


def test_equals_our_own_recording():
    assert_as_we_recorded(
        "realbasicvsr", RealBasicVSR(channels=8, propagation_blocks=2, cleaning_blocks=2), (1, 3, 4, 10, 13)
    )


def test_warp_reads_where_the_flow_points():
    image = torch.arange(12.0).view(1, 1, 3, 4)
    right = torch.zeros(1, 2, 3, 4)
    right[:, 0] = 1
    assert warp(image, right)[0, 0].tolist() == [[1, 2, 3, 0], [5, 6, 7, 0], [9, 10, 11, 0]]
    assert warp(image, right, padding="border")[0, 0, 0].tolist() == [1, 2, 3, 3]
    down = torch.zeros(1, 2, 3, 4)
    down[:, 1] = 0.5
    torch.testing.assert_close(warp(image, down)[0, 0, 0], torch.tensor([2.0, 3.0, 4.0, 5.0]))
    assert warp(image[..., :1, :1], torch.zeros(1, 2, 1, 1)).item() == 0


@pytest.mark.parametrize(("frames", "height", "width"), [(1, 10, 10), (2, 10, 33), (5, 7, 1), (3, 64, 11)])
def test_takes_tiny_clips_of_any_length(frames, height, width):
    model, video = small(), clip(2, frames, height, width)
    with torch.no_grad():
        restored = model(video)
    assert restored.shape == (2, 3, frames, 4 * height, 4 * width)
    assert torch.isfinite(restored).all()


def test_layout_memory_bound_and_input_leave_the_result_alone():
    model, video = small(), clip(2, 5)
    before = video.clone()
    with torch.no_grad():
        expected = model(video)
        torch.testing.assert_close(model.upsample_frames(video.transpose(1, 2)).transpose(1, 2), expected)
        model.basicvsr.frames_at_once = 3
        torch.testing.assert_close(model(video), expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(video, before)
    for network in (model, model.basicvsr):
        with pytest.raises(UsageError, match=r"\(B, 3, T, H, W\)"):
            network(video.transpose(1, 2))


def test_half_precision_stays_close():
    model, video = small(), clip(2, 3)
    with torch.no_grad():
        expected = model(video)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = model(video)
        low = model.bfloat16()(video.bfloat16())
    for close in (mixed, low):
        assert (close.float() - expected).norm() < 0.02 * expected.norm()


def test_information_travels_both_ways():
    model, video = BasicVSR(channels=8, blocks=1).eval(), clip(frames=5)
    for middle in (0, 2, 4):
        changed = video.clone()
        changed[:, :, middle] += 0.1
        with torch.no_grad():
            difference = (model(changed) - model(video)).abs().amax((0, 1, 3, 4))
        assert (difference > 0).all()


class Proportional(nn.Module):
    def forward(self, frames):
        return frames


def test_each_clip_is_cleaned_until_its_own_residue_is_small():
    model = small(refine_threshold=255 * 0.5)
    model.image_cleaning = Proportional()  # every pass doubles the clip
    video = torch.stack([torch.full((3, 2, 4, 4), value) for value in (0.1, 0.3, 0.6)])
    cleaned = model.clean(video)  # residues 0.1 | 0.3, 0.6, ... | 0.6, 1.2, ...
    torch.testing.assert_close(cleaned[:, 0, 0, 0, 0], torch.tensor([0.2, 0.6, 4.8]))
    model.refine_threshold = 255 * 0.3
    torch.testing.assert_close(model.clean(video)[:, 0, 0, 0, 0], torch.tensor([0.2, 2.4, 4.8]))


def test_flow_is_frozen_and_the_rest_learns():
    model = RealBasicVSR()
    assert sum(p.numel() for p in model.parameters()) == 6_294_834
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 4_854_534
    model = small()
    model(clip()).sum().backward()
    still = [name for name, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert still == []
    assert {name.split(".")[1] for name, p in model.named_parameters() if not p.requires_grad} == {"spynet"}


def test_flow_of_a_pyramid_without_weights_is_its_upsampled_start():
    """With every convolution zero but the last bias of the coarsest level, the flow doubles at each of five levels."""
    model = SPyNet().eval()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    model.basic_module[0].basic_module[4].conv.bias.data[:] = torch.tensor([0.25, -0.5])
    frames = clip(frames=2, height=16, width=40)
    flow = model(frames[:, :, 0], frames[:, :, 1])  # stretched to 32 x 64 inside, so shrunk by 16/32 and 40/64
    torch.testing.assert_close(flow[:, 0], torch.full((1, 16, 40), 0.25 * 32 * 40 / 64))
    torch.testing.assert_close(flow[:, 1], torch.full((1, 16, 40), -0.5 * 32 * 16 / 32))
