"""What every classifier promises. Large networks are counted and shaped on the meta device; sisters are run."""

import pytest
import torch
from torch import nn

from tests.models.small import SISTERS
from tinylib.errors import UsageError
from tinylib.models import CLASSIFIERS, create
from tinylib.models.adapted import TORCHVISION
from tinylib.models.cost import complexity, throughput

# parameters with 26 classes; the networks with a recorded reference agree with it when its number of classes is given
PARAMETERS = {
    "i3d": 12_313_914,
    "i3d_tinyvirat": 12_313_914,
    "r3d18": 33_217_242,
    "r3d34": 63_526_874,
    "r3d50": 46_252_250,
    "r3d18_2018": 33_043_418,
    "r3d34_2018": 63_353_050,
    "r3d50_2018": 46_252_250,
    "wrn50": 157_481_946,
    "wrn50_2020": 157_572_506,
    "r3d18_torchvision": 33_179_610,
    "r2plus1d18": 31_313_463,
    "r2plus1d34": 63_505_313,
    "r2plus1d18_2020": 33_229_302,
    "r2plus1d50": 46_269_056,
    "ircsn152": 28_937_242,
    "ircsn50": 12_364_826,
    "ircsn26": 7_803_226,
    "uniformer_b": 49_621_338,
    "uniformer_s": 21_208_538,
    "ircsn_tiny": 335_066,
    "uniformer_tiny": 589_050,
    "tiny_r3d": 901_578,
    "tiny_r2plus1d": 785_522,
}
OURS = [name for name in CLASSIFIERS if name not in TORCHVISION]  # torchvision's own have one stem: see test_adapted
# what another 26 -> n classes must add: n_params of the recorded reference and its number of classes
REFERENCES = {
    "i3d": (400, 12_697_264),
    "r3d18": (700, 33_563_004),
    "r3d50": (700, 47_633_276),
    "r3d18_2018": (400, 33_235_280),
    "r3d50_2018": (400, 47_018_576),
    "r3d18_torchvision": (400, 33_371_472),
    "r2plus1d18": (400, 31_505_325),
    "r2plus1d34": (400, 63_697_175),
    "r2plus1d18_2020": (700, 33_575_064),
    "r2plus1d50": (700, 47_650_082),
    "ircsn152": (400, 29_703_568),
    "uniformer_b": (400, 49_813_200),
    "uniformer_s": (400, 21_400_400),
}
RUN = [name for name in SISTERS if name != "i3d_tinyvirat"]  # equal to i3d with the low stem, which the tests below use
NO_EARLY_POOL = {"i3d_tinyvirat", "r3d18_torchvision", "r2plus1d18", "r2plus1d34", "tiny_r3d", "tiny_r2plus1d"}
RESNET_MAPS = ["stem", "layer1", "layer2", "layer3", "layer4", "pooled"]
UNIFORMER_MAPS = ["blocks1", "blocks2", "blocks3", "blocks4", "norm", "pooled"]
I3D_MAPS = ["stem", *(f"mixed_{n}" for n in ["3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c"]), "pooled"]


def maps_of(name):
    return I3D_MAPS if name.startswith("i3d") else UNIFORMER_MAPS if name.startswith("uniformer") else RESNET_MAPS


def on_meta(name, **arguments):
    with torch.device("meta"):
        return create(name, **arguments).eval()


def sister(name, *, num_classes=5, **arguments):
    torch.manual_seed(0)
    return create(name, num_classes=num_classes, stem="low", **SISTERS[name], **arguments)


def clips(count=2, frames=8, size=24):
    return torch.rand(count, 3, frames, size, size, generator=torch.Generator().manual_seed(1))


def test_tables_cover_all_classifiers():
    assert set(PARAMETERS) == set(OURS)
    with pytest.raises(UsageError, match="no classifier 'c3d'; there are i3d, i3d_tinyvirat, r3d18"):
        create("c3d")
    with pytest.raises(TypeError, match="depths"):
        create("r3d18", depths=18)


@pytest.mark.parametrize("name", OURS)
def test_every_name_has_its_parameters_and_takes_any_small_input(name):
    model = on_meta(name, num_classes=26, stem="low")
    low = sum(p.numel() for p in model.parameters())
    paper = sum(p.numel() for p in on_meta(name, num_classes=26, stem="paper").parameters())
    assert low == paper == PARAMETERS[name] or name.startswith(("tiny", "uniformer"))
    assert PARAMETERS[name] in (low, paper)
    if name in REFERENCES:
        classes, parameters = REFERENCES[name]
        assert sum(p.numel() for p in on_meta(name, num_classes=classes).parameters()) == parameters
    for frames, size in ((4, 14), (5, 15), (11, 57), (64, 224)):
        maps = model.features(torch.empty(2, 3, frames, size, size, device="meta"))
        assert list(maps) == maps_of(name)
        assert all(m.ndim == 5 and m.shape[0] == 2 and min(m.shape) > 0 for m in list(maps.values())[:-1])
        assert maps["pooled"].shape == (2, list(maps.values())[-2].shape[1])
    assert model(torch.empty(2, 3, 4, 14, 17, device="meta")).shape == (2, 26)
    with pytest.raises(UsageError, match=r"\(B, 3, T, H, W\)"):
        model(torch.empty(2, 4, 3, 14, 14, device="meta"))


@pytest.mark.parametrize("name", OURS)
def test_low_stem_keeps_more_of_a_small_picture(name):
    sizes = []
    for stem in ("paper", "low"):
        maps = on_meta(name, stem=stem).features(torch.empty(1, 3, 16, 64, 64, device="meta"))
        sizes.append(maps[maps_of(name)[-2]].shape[-1])
    assert sizes[1] == 8
    assert sizes[0] == (4 if name in NO_EARLY_POOL else 2)
    with pytest.raises(UsageError, match="stem"):
        on_meta(name, stem="high")


@pytest.mark.parametrize("name", RUN)
def test_every_parameter_receives_a_gradient(name):
    model = sister(name).train()
    weights = torch.randn(2, 5, generator=torch.Generator().manual_seed(2))
    (model(clips()) * weights).sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize("name", RUN)
def test_outputs_repeat_and_ignore_the_order_of_the_batch(name):
    model, video = sister(name).eval(), clips(3)
    order = torch.tensor([2, 0, 1])
    with torch.no_grad():
        y, maps = model(video), model.features(video)
        assert y.shape == (3, 5)
        assert torch.equal(y, model(video))
        torch.testing.assert_close(model(video[order]), y[order], rtol=1e-4, atol=1e-5)
        assert not torch.allclose(model(video.flip(2)), y, rtol=1e-4, atol=1e-5)  # time's direction counts
        torch.testing.assert_close(model.features(video[1:2])["pooled"], maps["pooled"][1:2], rtol=1e-4, atol=1e-5)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            close = model(video).float()
    assert (close - y).norm() < 0.05 * y.norm()


@pytest.mark.parametrize("name", RUN)
def test_state_travels_and_normalisation_stays_home(name):
    model, other = sister(name).eval(), sister(name).eval()
    state = model.state_dict()
    assert not {"mean", "std"} & set(state)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
        other.load_state_dict(state, strict=True)
        torch.testing.assert_close(other(clips()), model(clips()), rtol=0, atol=0)
        # the same picture in other units, with the statistics in those units: the same answer
        shifted = sister(name, mean=(0.25, 0.5, 0.75), std=(0.5, 1.0, 2.0)).eval()
        shifted.load_state_dict(state, strict=True)
        video = (clips() - model.mean) / model.std * shifted.std + shifted.mean
        torch.testing.assert_close(shifted(video), model(clips()), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", RUN)
def test_new_head_and_nothing_else(name):
    model = sister(name).double()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.reset_classifier(7)
    after = model.state_dict()
    assert list(after) == list(before)
    changed = {
        key for key in after if after[key].shape != before[key].shape or not torch.equal(after[key], before[key])
    }
    assert {key.rpartition(".")[2] for key in changed} == {"weight", "bias"}
    assert len(changed) == 2
    assert model(clips().double()).shape == (2, 7)
    assert model(clips().double()).dtype == torch.float64


@pytest.mark.parametrize("name", RUN)
def test_exports(name):
    model, video = sister(name).eval(), clips(1)
    program = torch.export.export(model, (video,)).module()
    with torch.no_grad():
        torch.testing.assert_close(program(video), model(video), rtol=1e-4, atol=1e-5)


def test_what_stands_still_can_be_left_out():
    torch.manual_seed(0)
    whole, moving, dimmed = (create("tiny_r3d", num_classes=3, still=still).eval() for still in (1.0, 0.0, 0.5))
    moving.load_state_dict(whole.state_dict())
    video = clips()
    background = torch.rand(2, 3, 1, *video.shape[-2:])
    with torch.no_grad():
        torch.testing.assert_close(moving(video + background), moving(video), rtol=1e-4, atol=1e-5)
        assert (whole(video + background) - whole(video)).abs().max() > 1e-2
    rest = whole.normalise(video).mean(2, keepdim=True)
    torch.testing.assert_close(whole.normalise(video), (video - whole.mean) / whole.std, rtol=0, atol=0)
    torch.testing.assert_close(moving.normalise(video), 2 * (whole.normalise(video) - rest))
    torch.testing.assert_close(dimmed.normalise(video), 2 * (whole.normalise(video) - rest) + rest / 2)
    with pytest.raises(UsageError, match="still: expected 0 to 1, found 2"):
        create("tiny_r3d", still=2)


def test_dropout_is_where_the_paper_has_it():
    for name in RUN:
        rates = {m.p for m in sister(name, dropout=0.3).modules() if isinstance(m, nn.Dropout)}
        assert 0.3 in rates, name


def test_cost_of_a_known_network():
    model = nn.Sequential(nn.Conv3d(3, 4, (1, 3, 3), padding=(0, 1, 1)), nn.BatchNorm3d(4)).train()
    cost = complexity(model, 2, 5)
    assert cost.parameters == 3 * 4 * 9 + 4 + 8
    assert complexity(model, 2, (5, 10)).gmacs == pytest.approx(2 * cost.gmacs)
    assert cost.gmacs == pytest.approx(3 * 4 * 9 * 2 * 5 * 5 / 1e9)
    assert throughput(model, 2, 5, seconds=0.01, batch=3) > 0
    assert model.training
    assert model[1].num_batches_tracked == 0  # measuring leaves no trace
