"""Networks of other libraries: the same logits as there, maps by name, and our head."""

import pytest
import torch
from torch import nn
from torchvision.models import get_model

from tinylib.errors import DataError, UsageError
from tinylib.models.adapted import TORCHVISION, Adapted, kinetics400, to_ours, torchvision_network
from tinylib.models.attention_maps import gradient_map

SMALL = {"r3d_18": (4, 32), "mc3_18": (4, 32), "r2plus1d_18": (4, 32), "swin3d_t": (4, 64)}  # frames, pixels
LARGE = {"s3d": (14, 224), "mvit_v2_s": (16, 224)}


@pytest.mark.parametrize("name", [*SMALL, *LARGE])
def test_logits_are_those_of_torchvision(name):
    torch.manual_seed(0)
    theirs = get_model(name, weights=None).eval()
    ours = torchvision_network(name).eval()
    ours.load_state_dict(to_ours(name, theirs.state_dict()))
    frames, side = (SMALL | LARGE)[name]
    video = torch.rand(1, 3, frames, side, side)
    with torch.no_grad():
        expected = theirs((video - ours.mean) / ours.std)
        assert torch.allclose(ours(video), expected, atol=1e-4, rtol=1e-4)
        maps = ours.features(video)
    assert list(maps) == [*TORCHVISION[name].maps, "pooled"]
    assert torch.allclose(ours.fc(maps["pooled"]), expected, atol=1e-4, rtol=1e-4)
    for key, values in maps.items():
        assert values.ndim == (2 if key == "pooled" else 5), key
        assert key == "pooled" or values.shape[2] <= frames, key
        assert key == "pooled" or values.shape[3] == values.shape[4] < side, key


def test_maps_of_swin_have_their_channels_first():
    network = torchvision_network("swin3d_t", num_classes=3).eval()
    with torch.no_grad():
        maps = network.features(torch.rand(1, 3, 4, 64, 64))
    assert [maps[f"stage{n}"].shape[1] for n in (1, 2, 3, 4)] == [96, 192, 384, 768]


def test_small_video_is_enlarged_where_a_network_needs_it():
    network = torchvision_network("mvit_v2_s", num_classes=3)
    assert network.enlarge(torch.rand(1, 3, 8, 14, 14)).shape == (1, 3, 16, 224, 224)
    assert network.enlarge(torch.rand(1, 3, 32, 280, 280)).shape == (1, 3, 16, 224, 224)
    network = torchvision_network("s3d", num_classes=3)
    assert network.enlarge(torch.rand(1, 3, 20, 112, 240)).shape == (1, 3, 20, 224, 240)
    network = torchvision_network("r3d_18", num_classes=3)
    assert network.enlarge(torch.rand(1, 3, 8, 14, 14)).shape == (1, 3, 8, 14, 14)


def test_a_head_of_another_size_and_gradient_maps():
    network = torchvision_network("r3d_18", num_classes=5).eval()
    network.reset_classifier(2)
    video = torch.rand(2, 3, 4, 28, 28)
    assert network(video).shape == (2, 2)
    seen = gradient_map(network, video, "layer3", torch.tensor([0, 1]))
    assert seen.shape[0] == 2
    assert (seen >= 0).all()


def test_an_image_network_frame_by_frame():
    body = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network = Adapted(body, channels=6, num_classes=4, maps={"convolution": "1"}, by_frame=True).eval()
    video = torch.rand(2, 3, 5, 16, 16)
    maps = network.features(video)
    assert maps["convolution"].shape == (2, 6, 5, 8, 8)
    means = torch.stack([network.body(network.normalise(video)[:, :, t]) for t in range(5)]).mean(0)
    assert torch.allclose(maps["pooled"], means, atol=1e-6)
    assert network(video).shape == (2, 4)


def test_what_does_not_fit_is_one_line():
    body = nn.Sequential(nn.Conv3d(3, 6, 3), nn.AdaptiveAvgPool3d(1), nn.Flatten())
    with pytest.raises(UsageError, match="no module 'layer9'"):
        Adapted(body, channels=6, num_classes=4, maps={"last": "layer9"})
    with pytest.raises(UsageError, match=r"expected \(B, 7\)"):
        Adapted(body, channels=7, num_classes=4, maps={})(torch.rand(1, 3, 4, 8, 8))
    with pytest.raises(UsageError, match="one stem"):
        torchvision_network("s3d", stem="low")


def test_without_a_network_it_is_said_which_file_goes_where(monkeypatch, tmp_path):
    def refused(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refused)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refused)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(DataError, match=rf"put r3d_18-b3b3357e.pth into {tmp_path}/checkpoints"):
        kinetics400(torchvision_network("r3d_18"))
