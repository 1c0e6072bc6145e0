"""Networks of other libraries: the same logits as there, maps by name, and our head."""

import pytest
import torch
from torch import nn
from torchvision.models import get_model

from tinylib import models
from tinylib.errors import DataError, UsageError
from tinylib.models.adapted import TORCHVISION, Adapted, torchvision_network
from tinylib.models.attention_maps import gradient_map
from tinylib.models.published import to_ours
from tinylib.models.segments import SegmentNetwork

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


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """torch.hub's cache in a folder of the test's own, without a network behind it."""

    def refused(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refused)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return tmp_path


def test_without_a_network_it_is_said_which_file_goes_where(hub):
    with pytest.raises(DataError, match=rf"put r3d_18-b3b3357e.pth into {hub}/checkpoints \(no route to host\)$"):
        models.create("r3d_18", pretrained="kinetics400")


def test_what_torchvision_has_no_weights_for_is_said_with_what_it_has(hub):
    with pytest.raises(UsageError, match=r"no kinetics400 weights for tiny_r3d; it has them for r3d_18, mc3_18, .*s3d"):
        models.create("tiny_r3d", pretrained="kinetics400")
    with pytest.raises(UsageError, match="no imagenet weights for r3d_18; it has them for resnet34"):
        models.create("r3d_18", pretrained="imagenet")


@pytest.mark.parametrize("name", ["r3d_18", "s3d", "r2plus1d18"])
def test_weights_of_kinetics_come_in_by_name(name, monkeypatch):
    torch.manual_seed(1)
    official = {"r2plus1d18": "r2plus1d_18"}.get(name, name)
    theirs = get_model(official, weights=None).eval()
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda *a, **k: theirs.state_dict())
    ours = models.create(name, pretrained="kinetics400").eval()
    frames, side = (SMALL | LARGE).get(name, (4, 32))
    video = torch.rand(1, 3, frames, side, side)
    with torch.no_grad():
        expected = theirs((video - ours.mean) / ours.std)
        assert torch.allclose(ours(video), expected, atol=1e-4, rtol=1e-4)
        fewer = models.create(name, num_classes=7, pretrained="kinetics400").eval()
        assert torch.equal(fewer.features(video)["pooled"], ours.features(video)["pooled"])
        assert fewer(video).shape == (1, 7)


def test_a_segment_network_takes_the_weights_for_its_backbone(monkeypatch):
    from tinylib.models import pretrained

    theirs = get_model("resnet34", weights=None)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda *a, **k: theirs.state_dict())
    network = SegmentNetwork(num_classes=3, backbone="resnet34", segments=2)
    head = network.fc.weight.clone()
    pretrained.start(network, "imagenet")
    assert torch.equal(network.backbone.conv1.weight, theirs.conv1.weight)
    assert torch.equal(network.fc.weight, head)


def test_each_network_has_its_own_source_by_name():
    from tinylib.models import pretrained

    sources = "r3d_18=kinetics400, resnet34=imagenet,progressive_dvsr=x.safetensors"
    assert pretrained.chosen(models.create("r3d_18", num_classes=2), sources) == "kinetics400"
    assert pretrained.chosen(SegmentNetwork(num_classes=3, segments=2), sources) == "imagenet"
    assert pretrained.chosen(models.ProgressiveDVSR(scale=2), sources) == "x.safetensors"
    assert pretrained.chosen(models.create("tiny_r3d"), sources) == "none"
    assert pretrained.chosen(models.create("tiny_r3d"), "synthvirat") == "synthvirat"
    with pytest.raises(UsageError, match="expected NAME=SOURCE, separated by commas, found 'wrn50'"):
        pretrained.chosen(models.create("tiny_r3d"), "r3d_18=kinetics400,wrn50")
