"""Maps scored against hand-made masks."""

import math

import pytest
import torch

from tinylib.evaluation import localisation
from tinylib.models import attention_maps
from tinylib.models.tiny import TinyR3D


@pytest.fixture
def masks():
    """One clip, two frames of 4x4: the actor is the top left 2x2, then hidden."""
    masks = torch.zeros(1, 2, 4, 4, dtype=torch.bool)
    masks[0, 0, :2, :2] = True
    return masks


def test_scores_of_a_perfect_and_an_opposite_map(masks):
    perfect, opposite = masks.float(), 1 - masks.float()
    for score in (localisation.pointing_game, localisation.mass_inside, localisation.area_iou):
        assert score(perfect, masks).tolist() == [1.0]
        assert score(opposite, masks).tolist() == [0.0]


def test_frames_without_an_actor_do_not_count(masks):
    maps = torch.zeros(1, 2, 4, 4)
    maps[0, 0, 0, 0] = 3
    maps[0, 0, 3, 3] = 1
    maps[0, 1, 3, 3] = 9
    assert localisation.mass_inside(maps, masks).item() == 0.75
    assert localisation.pointing_game(maps, masks).item() == 1.0


def test_a_clip_without_an_actor_is_nan():
    assert math.isnan(
        localisation.mass_inside(torch.ones(1, 2, 4, 4), torch.zeros(1, 2, 4, 4, dtype=torch.bool)).item()
    )


def test_area_iou_takes_as_many_pixels_as_the_mask(masks):
    maps = torch.zeros(1, 2, 4, 4)
    maps[0, 0, :2, 1:3] = torch.tensor([[4.0, 3.0], [2.0, 1.0]])  # half on the actor
    assert localisation.area_iou(maps, masks).item() == pytest.approx(2 / 6)


def test_pointing_tolerance_in_pixels(masks):
    maps = torch.zeros(1, 2, 4, 4)
    maps[0, 0, 0, 2] = 1  # one pixel to the right of the actor
    assert localisation.pointing_game(maps, masks).item() == 0
    assert localisation.pointing_game(maps, masks, tolerance=1).item() == 1


def test_uniform_map_has_the_masks_share_of_mass(masks):
    assert localisation.mass_inside(torch.ones(1, 2, 4, 4), masks).item() == pytest.approx(4 / 16)


def test_motion_baseline_is_where_pixels_change():
    video = torch.zeros(1, 3, 5, 8, 8)
    video[:, :, 2, 3, 4] = 1
    maps = attention_maps.motion_baseline(video, blur=1)
    assert maps.shape == (1, 5, 8, 8)
    assert maps[0, :, 3, 4].tolist() == [0.0, 0.5, 1.0, 0.5, 0.0]
    assert maps.sum() == 2


def test_centre_baseline_is_symmetric_and_peaks_in_the_middle():
    maps = attention_maps.centre_baseline((2, 6, 8))
    torch.testing.assert_close(maps, maps.flip(2, 3))
    assert maps[0, 0].argmax().item() in (2 * 8 + 3, 2 * 8 + 4, 3 * 8 + 3, 3 * 8 + 4)


def test_match_averages_areas():
    teacher = torch.arange(16.0).view(1, 1, 4, 4)
    assert attention_maps.match(teacher, torch.zeros(1, 1, 2, 2)).tolist() == [[[[2.5, 4.5], [10.5, 12.5]]]]


def test_stretch_handles_a_constant_map():
    assert attention_maps.stretch(torch.full((1, 1, 2, 2), 3.0)).tolist() == [[[[0, 0], [0, 0]]]]


def test_gradient_map_follows_the_target_class():
    network = TinyR3D(num_classes=4).eval()
    video = torch.rand(2, 3, 8, 28, 28)
    last = [name for name in network.features(video) if name != "pooled"][-1]
    maps = attention_maps.gradient_map(network, video, last, torch.tensor([0, 3]))
    other = attention_maps.gradient_map(network, video, last, torch.tensor([1, 3]))
    assert maps.shape == network.features(video)[last][:, 0].shape
    assert (maps >= 0).all()
    assert not torch.equal(maps[0], other[0])
    torch.testing.assert_close(maps[1], other[1])


def test_local_gradients_give_the_same_map_at_the_last_layer_and_another_before_it():
    torch.manual_seed(0)
    network = TinyR3D(num_classes=4, widths=(4, 4, 8, 8)).eval()
    video, target = torch.rand(1, 3, 4, 16, 16), torch.tensor([2])
    maps = {
        (layer, local): attention_maps.gradient_map(network, video, layer, target, local=local)
        for layer in ("layer2", "layer4")
        for local in (False, True)
    }
    torch.testing.assert_close(maps["layer4", True], maps["layer4", False])
    assert not torch.allclose(maps["layer2", True], maps["layer2", False])
    assert maps["layer2", True].any()


def test_maps_are_compared_on_the_same_clips_with_chance_beside_them():
    masks = torch.zeros(3, 2, 4, 4, dtype=torch.bool)
    masks[:2, :, :2, :2] = True  # a quarter of two clips; nobody is in the third
    table = localisation.compare({"truth": masks.float(), "flat": torch.ones(3, 2, 4, 4)}, masks, ["a", "b", "c"])
    measured = table.set_index(["map", "metric"])
    for metric in localisation.MEASURES:
        assert measured.loc[("truth", metric), ["value", "low", "high", "n"]].tolist() == [1, 1, 1, 2]
    assert measured.loc[("flat", "mass inside"), "value"] == pytest.approx(1 / 4)
    assert measured.loc[("chance", "pointing game"), "value"] == pytest.approx(1 / 4)
    assert measured.loc[("chance", "area IoU"), "value"] == pytest.approx((1 / 16) / (7 / 16))
