"""STAT's segment networks: torchvision's function per frame, intervals in order, attention that weighs them."""

import pytest
import torch

from tinylib.errors import UsageError
from tinylib.models.segments import BLOCKS, FrameResNet, SegmentNetwork, TemporalAttention

VIDEO = {"resnet10": (8, 1), "r2plus1d10": (4, 5)}


@torch.no_grad()
def test_frame_resnet_is_torchvisions_resnet34():
    torchvision = pytest.importorskip("torchvision")
    official = torchvision.models.resnet34(weights=None).eval()
    ours = FrameResNet().eval()
    ours.load_state_dict(official.state_dict())
    video = torch.rand(1, 3, 2, 48, 64)
    frames = (video[0].transpose(0, 1) - ours.mean[0, :, 0]) / ours.std[0, :, 0]
    torch.testing.assert_close(ours(video)[0], official(frames).mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backbone", VIDEO)
def test_maps_and_logits_have_the_stated_shapes_and_everything_learns(backbone):
    segments, length = VIDEO[backbone]
    network = SegmentNetwork(num_classes=5, backbone=backbone, segments=segments, length=length, size=(48, 64))
    maps = network.features(torch.rand(2, 3, segments * length, 12, 16))
    assert [maps[name].shape[:2] for name in BLOCKS] == [(2, 16), (2, 32), (2, 64), (2, 128)]
    assert maps["layer4"].shape[2] == segments  # one frame, or one time step, an interval
    assert maps["fc1"].shape == (2, 64)
    torch.testing.assert_close(maps["attention"].sum(1), torch.ones(2))
    network.head(maps["pooled"]).square().sum().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@torch.no_grad()
def test_an_interval_only_sees_its_own_frames():
    network = SegmentNetwork(num_classes=3, backbone="r2plus1d10", segments=4, length=5, stem="low").eval()
    video = torch.rand(1, 3, 20, 12, 16)
    changed = video.clone()
    changed[:, :, 5:10] = 0  # the second interval
    before, after = (network.features(v)["layer4"] for v in (video, changed))
    same = [torch.equal(before[:, :, k], after[:, :, k]) for k in range(4)]
    assert same == [True, False, True, True]


@torch.no_grad()
def test_attention_of_equal_scores_is_the_mean():
    module = TemporalAttention(segments=4, channels=6)
    module.fc2.weight.zero_()
    module.fc2.bias.zero_()
    assert module(torch.rand(2, 4, 6))[2].tolist() == [[0.25] * 4] * 2


def test_wrong_number_of_frames_is_named():
    with pytest.raises(UsageError, match=r"8 segments of 1 frames take 8 frames, not 16"):
        SegmentNetwork(num_classes=2, backbone="resnet10")(torch.rand(1, 3, 16, 12, 16))


def test_unknown_backbone_is_named():
    with pytest.raises(UsageError, match="no segment backbone 'vgg'"):
        SegmentNetwork(num_classes=2, backbone="vgg")
