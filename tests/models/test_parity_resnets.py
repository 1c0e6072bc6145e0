"""Every 3D ResNet and R(2+1)D against the recorded official network, and against torchvision itself."""

from functools import partial

import pytest
import torch
from torchvision.models import video as torchvision_video

from tests.models.recorded import assert_as_recorded, blank
from tinylib.models import CLASSIFIERS
from tinylib.models.resnet3d import ResNet3D, factorised_channels, strided_identity

R3D18 = partial(ResNet3D, blocks=(2, 2, 2, 2), bottleneck=False, num_classes=26)
RECORDED = {
    "r3d18_hara2018_A": CLASSIFIERS["r3d18_2018"],
    "r3d18_hara2020": CLASSIFIERS["r3d18"],
    "r3d18_hara2020_nomaxpool": partial(R3D18, max_pool=False),
    "r3d18_hara2020_shortcutA_t3": partial(R3D18, shortcut="A", conv1_t_size=3, conv1_t_stride=2),
    "r3d18_tinyvirat_A": partial(R3D18, shortcut="A"),
    "r3d18_torchvision": CLASSIFIERS["r3d18_torchvision"],
    "r3d50_hara2018_B": CLASSIFIERS["r3d50_2018"],
    "r3d50_hara2020": CLASSIFIERS["r3d50"],
    "r3d50_tinyvirat": partial(CLASSIFIERS["r3d50_2018"], num_classes=26),
    "wrn50_tinyaction": partial(CLASSIFIERS["wrn50"], num_classes=26),
    "wrn50_hara2020": partial(CLASSIFIERS["wrn50_2020"], num_classes=26),
    "r2p1d18_torchvision": CLASSIFIERS["r2plus1d18"],
    "r2p1d34_ig65m": CLASSIFIERS["r2plus1d34"],
    "r2p1d18_hara2020": CLASSIFIERS["r2plus1d18_2020"],
    "r2p1d50_hara2020": CLASSIFIERS["r2plus1d50"],
}


@pytest.mark.parametrize("name", RECORDED)
def test_equals_the_recorded_network(parity, name):
    # VMZ writes Caffe2's 0.9 (the share kept) into PyTorch's field (the share replaced): 0.1 is meant
    momentum = 0.1 if name == "r2p1d34_ig65m" else None
    assert_as_recorded(parity, name, blank(RECORDED[name]), momentum=momentum)


@pytest.mark.parametrize(("name", "official"), [("r2plus1d18", "r2plus1d_18"), ("r3d18_torchvision", "r3d_18")])
def test_equals_torchvision(name, official):
    theirs = getattr(torchvision_video, official)(weights=None).eval()
    ours = blank(CLASSIFIERS[name])
    ours.load_state_dict(theirs.state_dict(), strict=True)
    video = torch.randn(1, 3, 8, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours(video), theirs(video), rtol=1e-5, atol=1e-5)


def test_middle_widths_of_the_papers():
    # torchvision's stages, the Caffe2 ones, and Hara's stem of 7x7x7
    assert [factorised_channels(*pair) for pair in ((64, 64), (64, 128), (128, 256), (256, 512))] == [
        144,
        230,
        460,
        921,
    ]
    assert [factorised_channels(n, n) for n in (128, 256, 512)] == [288, 576, 1152]
    assert factorised_channels(3, 64, time=7, space=7) == 110


def test_shortcut_a_keeps_every_second_position_and_its_gradient():
    x = torch.arange(2 * 3 * 3 * 5, dtype=torch.float32).view(1, 2, 3, 3, 5).requires_grad_()
    y = strided_identity(x, 4, 2)
    assert y.shape == (1, 4, 2, 2, 3)
    torch.testing.assert_close(y[0, :2], x[0, :, ::2, ::2, ::2])
    assert not y[0, 2:].any()
    y.sum().backward()
    assert x.grad.sum() == 2 * 2 * 2 * 3  # the official code detaches here and passes nothing on
