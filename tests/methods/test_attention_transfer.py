"""STAT's recipes: the rows of its tables, its schedule, joint windows of two resolutions, what networks saw."""

import numpy as np
import pytest
import torch

from tinylib import results
from tinylib.datasets.index import Clip, Index
from tinylib.datasets.loading import ClipDataset
from tinylib.datasets.store import ClipStore
from tinylib.errors import DataError, UsageError
from tinylib.methods import attention_transfer
from tinylib.methods.attention_transfer import SCHEMES, WEIGHTINGS, Backbone, Jitter
from tinylib.models.segments import FrameResNet
from tinylib.progress import Progress
from tinylib.training.optimise import lr_factor

BACKBONE = Backbone("RESNET-34", "resnet10_narrow", 4, 1)


def test_the_rows_are_the_published_ones():
    assert set(WEIGHTINGS) == set(results.published("stat", "Table 1")["row"])
    rows = {row.split(" | ")[0] for row in results.published("stat", "Table 3")["row"]}
    assert rows - {"Teacher"} == set(list(SCHEMES)[:6])


def test_weights_are_shares_of_one():
    assert SCHEMES[attention_transfer.THIRD_OF_CE].overall == (SCHEMES["SAT+TAT"].overall[0], 0, 0)
    for scheme in {*SCHEMES.values(), *WEIGHTINGS.values()} - {SCHEMES[attention_transfer.THIRD_OF_CE]}:
        for weights in (scheme.overall, scheme.blocks, scheme.layers):
            assert weights is None or sum(weights) == pytest.approx(1)


def test_equal_rows_of_two_tables_are_one_run_and_others_have_other_names():
    schemes = {*SCHEMES.values(), *WEIGHTINGS.values()}
    assert len(schemes) == 12
    assert len({scheme.name for scheme in schemes}) == 12
    assert SCHEMES["SAT+TAT+rc+ut"].name == "33-33-33_rolling_unlabelled"


def test_the_schedule_is_the_papers_in_proportion():
    config = attention_transfer.schedule(50, batch=256, lr=1e-3, seed=0)
    factors = [lr_factor(config, Progress(epoch, 0, 1, 50, epoch)) for epoch in range(50)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[5:20] == pytest.approx([1.0] * 15)
    assert factors[20:40] == pytest.approx([0.1] * 20)
    assert factors[40:] == pytest.approx([0.01] * 10)
    assert (config.optimiser, config.momentum, config.clip_norm) == ("sgd", 0.9, 40)


def test_readings_give_students_whose_maps_can_be_compared():
    teacher = BACKBONE.make(3, 0)
    video, high = torch.rand(2, 3, 4, 12, 16), torch.rand(2, 3, 4, 48, 64)
    enlarged = BACKBONE.make(3, 0, reading="enlarged", size=(48, 64))
    assert enlarged.features(video)["layer1"].shape == teacher.features(high)["layer1"].shape
    native = BACKBONE.make(3, 0, reading="native", size=(48, 64))
    assert native.features(video)["layer1"].shape[-2:] == (12, 16)
    assert [p.shape for p in native.parameters()] == [p.shape for p in teacher.parameters()]
    with pytest.raises(UsageError, match="reading must be one of enlarged, native, not 'big'"):
        BACKBONE.make(3, 0, reading="big", size=(48, 64))


def test_rolling_takes_a_fifth_of_the_run_and_unlabelled_clips_need_no_labels():
    objective = attention_transfer.transfer(BACKBONE.make(3, 0), BACKBONE.make(3, 1), SCHEMES["SAT+TAT+rc"], 20)
    first = [objective.layer_weights_at(epoch)[0][0] for epoch in range(20)]
    assert first == pytest.approx([0.4] * 4 + [0.3] * 4 + [0.2] * 4 + [0.1] * 4 + [0.4] * 4)
    alone = attention_transfer.transfer(
        BACKBONE.make(3, 0), BACKBONE.make(3, 1), attention_transfer.ROLLING, 5, supervised=False
    )
    batch = {"high": torch.rand(1, 3, 4, 24, 32), "video": torch.rand(1, 3, 4, 24, 32)}
    losses = alone.losses(batch, Progress(0, 0, 1, 5, 0))
    torch.testing.assert_close(losses["loss"], (losses["spatial"] + losses["temporal"]) / 2)


def ramp(height, width):
    """A picture whose red is its x and whose green its y, in [0, 200]: where a window is can be read off it."""
    y, x = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    red, green = np.broadcast_to(x, (height, width)), np.broadcast_to(y[:, None], (height, width))
    return np.rint(200 * np.dstack([red, green, np.zeros_like(red)])).astype(np.uint8)


def pair_of(count=16):
    low, high = ramp(12, 16), ramp(48, 64)
    return {
        "video": torch.from_numpy(np.broadcast_to(low, (count, 2, *low.shape)).copy()),
        "high": torch.from_numpy(np.broadcast_to(high, (count, 2, *high.shape)).copy()),
        "label": torch.zeros(count, dtype=torch.int64),
        "seed": torch.arange(count),
    }


def test_both_resolutions_get_the_same_window():
    out = Jitter(scale=(0.5, 0.9), flip=0.5).train()(pair_of())
    low = torch.nn.functional.interpolate(out["video"][:, :, 0], (48, 64), mode="bilinear")
    inside = (slice(None), slice(0, 2), slice(6, -6), slice(6, -6))
    assert (low - out["high"][:, :, 0])[inside].abs().max() < 0.02
    width = 255 / 200 * (out["high"][:, 0, 0, 24, -1] - out["high"][:, 0, 0, 24, 0]).abs()
    assert width.min() > 0.45
    assert width.max() < 0.92
    assert width.std() > 0.03
    rising = out["high"][:, 0, 0, 24, -1] > out["high"][:, 0, 0, 24, 0]
    assert 3 <= rising.sum() <= 13  # some mirrored, some not


def test_windows_follow_the_clips_own_seeds_and_stand_still_in_eval_mode():
    transform, batch = Jitter(flip=0.5).train(), pair_of()
    whole = transform(batch)
    part = transform({key: value[5:7] for key, value in batch.items()})
    torch.testing.assert_close(part["high"], whole["high"][5:7])
    still = transform.eval()(batch)
    torch.testing.assert_close(still["video"], batch["video"].permute(0, 4, 1, 2, 3).float() / 255)


def test_features_come_in_the_order_of_the_clips(tmp_path):
    index = Index("x", "test", tmp_path, ("a", "b"), False, tuple(Clip(c, c, "v", ("a",)) for c in "pqr"))
    videos = [np.random.default_rng(i).integers(0, 256, (8, 24, 32, 3), np.uint8) for i in range(3)]
    store = ClipStore.render(index, tmp_path / "a.store", lambda start: videos[start:], origin={})
    data = ClipDataset(index, store=store, views="centre", sampler=BACKBONE.sampler(), size=None)
    network = BACKBONE.make(2, 0).eval()
    outputs = attention_transfer.features(network, data, batch_size=2, maps=True)
    assert {name: values.shape for name, values in outputs.items()} == {
        "pooled": (3, 64),
        "attention": (3, 4),
        "layer1": (3, 4, 6, 8),
        "layer2": (3, 4, 3, 4),
        "layer3": (3, 4, 2, 2),
        "layer4": (3, 4, 1, 1),
    }
    frames = torch.from_numpy(videos[2][[0, 2, 4, 6]]).permute(3, 0, 1, 2)[None].float() / 255
    alone = network.features(frames)
    np.testing.assert_allclose(outputs["pooled"][2], alone["pooled"][0].detach(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(outputs["layer1"][2], alone["layer1"][0].abs().sum(0).detach(), rtol=1e-4, atol=1e-4)


def test_a_backbone_starts_from_a_file_and_one_that_does_not_fit_is_named(tmp_path):
    donor = FrameResNet(num_classes=7, blocks=(1, 1, 1, 1), widths=(8, 16, 32, 64))
    torch.save(donor.state_dict(), tmp_path / "a.pth")
    network = BACKBONE.make(3, 0, initial=tmp_path / "a.pth")
    torch.testing.assert_close(network.backbone.state_dict()["layer3.0.conv2.weight"], donor.layer3[0].conv2.weight)
    with pytest.raises(DataError, match=r"a.pth: does not fit FrameResNet: conv1.weight is"):
        Backbone("RESNET-34", "resnet10", 4, 1).make(3, 0, initial=tmp_path / "a.pth")
