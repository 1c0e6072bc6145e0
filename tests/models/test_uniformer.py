"""UniFormer against the recorded official networks; attention, drop path and patch embedding against definitions."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.models.by_official_names import assert_as_we_recorded, assert_loads_as_recorded, recorded_state
from tests.models.recorded import fill_rule
from tinylib.errors import UsageError
from tinylib.models import official
from tinylib.models.cost import complexity
from tinylib.models.uniformer import Attention, DropPath, PatchEmbed, SplitBlock, UniFormer

RATES = {"uniformer_s": 0.1, "uniformer_b": 0.3, "uniformer_s_split_std": 0.1}
TINY = {"depth": (1, 1, 2, 1), "dims": (16, 32, 48, 64), "head_dim": 16, "num_classes": 5}


@pytest.mark.parametrize("name", RATES)
def test_equals_the_recorded_network(parity, name):
    model, record, _ = assert_loads_as_recorded(parity, name, name)
    rates = [m.rate for m in model.modules() if isinstance(m, DropPath)]
    torch.testing.assert_close(rates, torch.linspace(0, RATES[name], len(rates)).tolist())
    assert {m.p for m in model.modules() if isinstance(m, nn.Dropout)} == {0.0}
    for cost in record.get("flops", {}).values():
        assert complexity(model, *cost["input"][2:4]).gmacs == pytest.approx(cost["gmacs"], rel=1e-9)


def test_mmaction2_names_and_eps(parity):
    """The backbone is the same but for eps; the classifier's rows come as the caller says."""
    import json

    import numpy as np

    record = json.loads((parity / "uniformer_s.json").read_text())
    keymap = json.loads((parity / "keymap_uniformer.json").read_text())
    state = {
        key.replace("head.", "cls_head.fc_cls.") if key.startswith("head.") else f"backbone.{key}": value
        for key, value in recorded_state(parity, record).items()
    }
    rows = np.random.default_rng(0).permutation(400)
    permuted = {**state, **{k: v[rows] for k, v in state.items() if k.startswith("cls_head")}}
    back = np.argsort(rows).tolist()
    model = official.load("uniformer_s_mmaction2", {"meta": {}, "state_dict": permuted}, class_rows=back)
    assert {m.eps for m in model.modules() if isinstance(m, nn.LayerNorm)} == {1e-5}
    count = {n["type"]: n["count"] for n in keymap["norms_mmaction2"]}
    assert sum(isinstance(m, nn.LayerNorm) for m in model.modules()) == count["LayerNorm"]
    rule = fill_rule(parity)
    model.mean.zero_()
    model.std.fill_(1)
    with torch.no_grad():
        y = model(torch.from_numpy(rule.input_array(record["input"]["shape"])))
    error, _ = rule.compare(y, np.load(parity / "uniformer_s.npz")["y"])
    assert error == pytest.approx(keymap["rel_l2"], rel=0.3)  # what the eps does, no more and no less


def test_divided_form_equals_our_own_recording():
    split = UniFormer(**TINY, split=True, temporal_embed=True)
    assert_as_we_recorded("uniformer_split", split, (1, 3, 6, 33, 35))


def test_attention_equals_the_explicit_one():
    torch.manual_seed(0)
    attention, x = Attention(dim=48, heads=3), torch.randn(2, 70, 48)
    nn.init.normal_(attention.qkv.weight, std=0.3)  # sharp enough for the softmax to matter
    query, key, value = attention.qkv(x).view(2, 70, 3, 3, 16).permute(2, 0, 3, 1, 4)
    weights = (query @ key.transpose(-2, -1) * 16**-0.5).softmax(dim=-1)
    assert weights.max() > 0.5
    explicit = attention.proj((weights @ value).transpose(1, 2).reshape(2, 70, 48))
    torch.testing.assert_close(attention(x), explicit, rtol=1e-5, atol=1e-5)


def test_divided_attention_equals_loops_over_places_and_frames():
    torch.manual_seed(0)
    block = SplitBlock(dim=32, heads=2, mlp_ratio=2, drop_path=0.0, eps=1e-6).eval()
    x = torch.randn(2, 32, 3, 2, 4)
    with torch.no_grad():
        placed = x + block.pos_embed(x)
        along = torch.empty_like(placed)
        for h in range(2):
            for w in range(4):
                tokens = placed[:, :, :, h, w].transpose(1, 2)
                along[:, :, :, h, w] = (tokens + block.t_attn(block.t_norm(tokens))).transpose(1, 2)
        out = torch.empty_like(placed)
        for t in range(3):
            tokens = along[:, :, t].flatten(2).transpose(1, 2)
            mixed = placed[:, :, t].flatten(2).transpose(1, 2) + block.attn(block.norm1(tokens))
            mixed = mixed + block.mlp(block.norm2(mixed))
            out[:, :, t] = mixed.transpose(1, 2).reshape(2, 32, 2, 4)
        torch.testing.assert_close(block(x), out, rtol=1e-5, atol=1e-5)


def test_temporal_branch_starts_as_a_no_op():
    attention = UniFormer(**TINY, split=True).blocks3[0].t_attn
    assert not attention(torch.randn(1, 5, 48)).any()


def test_drop_path_keeps_the_mean_and_drops_whole_samples():
    torch.manual_seed(0)
    drop, x = DropPath(0.4), torch.ones(5000, 2, 3)
    out = drop(x)
    passed = out[:, 0, 0] > 0
    torch.testing.assert_close(out, x / 0.6 * passed[:, None, None])
    assert abs(float(passed.float().mean()) - 0.6) < 0.03
    assert drop.eval()(x) is x
    assert DropPath(0.0)(x) is x


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize(("stride", "size"), [((2, 4, 4), (3, 2, 3)), ((2, 1, 1), (3, 11, 15))])
def test_patch_embedding_floors_its_stride_and_keeps_the_size_without(stride, size, channels_last):
    embed = PatchEmbed(channels=3, dim=8, kernel=(3, 4, 4), stride=stride, channels_last=channels_last)
    x = torch.randn(1, 3, 5, 11, 15)
    out = embed(x)
    assert out.movedim(1, -1).is_contiguous() == channels_last != out.is_contiguous()
    assert out.shape == (1, 8, *size)
    torch.testing.assert_close(out.mean(1), torch.zeros(1, *size), rtol=0, atol=1e-5)  # normalised over channels
    if stride[1] == 1:  # the kernel looks one pixel back and two ahead
        conv = F.conv3d(F.pad(x, (1, 2, 1, 2, 1, 1)), embed.proj.weight, embed.proj.bias, stride=stride)
        torch.testing.assert_close(out, embed.norm(conv.movedim(1, -1)).movedim(-1, 1))


@pytest.mark.parametrize(("stem", "smallest"), [("paper", 32), ("low", 8)])
def test_too_small_frames_are_refused(stem, smallest):
    model = UniFormer(**TINY, stem=stem).eval()
    with torch.no_grad():
        assert model(torch.rand(1, 3, 1, smallest, smallest)).shape == (1, 5)
        with pytest.raises(UsageError, match=f"at least {smallest} px"):
            model(torch.rand(1, 3, 4, smallest + 9, smallest - 1))
