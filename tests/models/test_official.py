"""Official checkpoints: every format found, mapped and used whole; every damaged or hostile file named in a line."""

import inspect
import json
import os
import pickle
import re
import zipfile
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tinylib.errors import DataError, UsageError
from tinylib.models import official, official_keys
from tinylib.models.csn import CSN
from tinylib.models.official_keys import SOURCES, Source
from tinylib.models.realbasicvsr import SPyNet

# name: (recorded reference, how its file is wrapped, our map of its mean and std)
IMAGENET = (0.485, 0.229)
KINETICS = (0.43216, 0.22803)
RECORDED = {
    "i3d_piergiaj": ("i3d_charades", lambda s: s, (0.5, 0.5)),
    "i3d_tinyaction": ("i3d_kinetics", lambda s: {"state_dict": s}, IMAGENET),
    "i3d_tinyvirat": ("i3d_tinyvirat", lambda s: {"netA": {"model": s, "optimizer": {}}, "epoch": 3}, (0.5, 0.5)),
    "r3d18_hara2018": (
        "r3d18_hara2018_A",
        lambda s: {"arch": "resnet-18", "state_dict": {f"module.{k}": v for k, v in s.items()}},
        (114.77 / 255, 1 / 255),
    ),
    "r3d50_hara2018": (
        "r3d50_hara2018_B",
        lambda s: {"arch": "resnet-50", "state_dict": {f"module.{k}": v for k, v in s.items()}},
        (114.77 / 255, 1 / 255),
    ),
    "r3d18_hara2020": (
        "r3d18_hara2020",
        lambda s: {"epoch": 200, "arch": "resnet-18", "state_dict": s, "optimizer": {"state": {}}, "scheduler": {}},
        (0.4345, 0.2768),
    ),
    "r3d50_hara2020": ("r3d50_hara2020", lambda s: {"state_dict": s}, (0.4345, 0.2768)),
    "r2p1d18_hara2020": ("r2p1d18_hara2020", lambda s: {"state_dict": s}, (0.4345, 0.2768)),
    "r2p1d50_hara2020": ("r2p1d50_hara2020", lambda s: {"state_dict": s}, (0.4345, 0.2768)),
    "r2p1d50_tinyaction": ("r2p1d50_hara2020", lambda s: {"state_dict": s}, IMAGENET),
    "wrn50_tinyaction": ("wrn50_tinyaction", lambda s: {"state_dict": s}, IMAGENET),
    "r3d18_tinyvirat": ("r3d18_tinyvirat_A", lambda s: {"netA": {"model": s}}, (0.0, 1.0)),
    "r3d50_tinyvirat": ("r3d50_tinyvirat", lambda s: {"netA": {"model": s}, "G": {"model": {}}}, (0.0, 1.0)),
    "r3d18_torchvision": ("r3d18_torchvision", lambda s: s, KINETICS),
    "r2p1d18_torchvision": ("r2p1d18_torchvision", lambda s: s, KINETICS),
    "r2p1d34_ig65m": ("r2p1d34_ig65m", lambda s: s, KINETICS),
    "ircsn152_vmz": ("ircsn152_vmz", lambda s: s, KINETICS),
    "ircsn152_mmaction2": ("ircsn152_mmaction2", lambda s: {"meta": {}, "state_dict": s}, IMAGENET),
    "ircsn152_pytorchvideo": ("ircsn152_pytorchvideo", lambda s: {"model_state": s}, (0.45, 0.225)),
    "uniformer_s": ("uniformer_s", lambda s: {"model_state": s}, (0.45, 0.225)),
    "uniformer_b": ("uniformer_b", lambda s: {"model": s}, (0.45, 0.225)),
    "uniformer_s_split_std": ("uniformer_s_split_std", lambda s: s, (0.45, 0.225)),
    "spynet_mmagic": ("spynet_mmagic", lambda s: {"state_dict": s}, None),
    "basicvsr_mmagic": (
        "basicvsr_mmagic",
        lambda s: {"state_dict": {"step_counter": torch.zeros(1), **{f"generator.{k}": v for k, v in s.items()}}},
        None,
    ),
    "realbasicvsr_mmagic": ("realbasicvsr_mmagic", lambda s: {"params_ema": s, "params": s}, None),
    "dvsr_x4": ("g6_x4_spec", lambda s: {"G": {"model": s, "optimizer": {}}, "D": {"model": {}}}, None),
    "dvsr_x8": ("g6_x8_spec", lambda s: {"G": {"model": s}}, None),
    "progressive_dvsr_x4": ("pg2_x4_3D", lambda s: {"G": {"model": s}}, None),
    "progressive_dvsr_x8": ("pg2_x8_3D", lambda s: {"G": {"model": s}}, None),
    "foreground_x4": ("locpg2_x4_3D", lambda s: {"G": {"model": s}}, None),
    "foreground_x8": ("locpg2_x8_3D", lambda s: {"G": {"model": s}}, None),
}


def recorded(parity, reference):
    return json.loads((parity / f"{reference}.json").read_text())


def ghosts(record):
    """The state dict of a recorded network, shapes only."""
    return {
        name: torch.empty(shape, dtype=torch.long if name.endswith("tracked") else torch.float32, device="meta")
        for name, shape in record["params"] + record["buffers"]
    }


@pytest.fixture
def small(monkeypatch):
    """A network small enough for files, in mmaction2's names."""
    source = Source("a test", "csn.CSN", {"depth": 26, "width": 4, "dropout": 0.1}, rules=official_keys.CSN_MMACTION2)
    monkeypatch.setitem(SOURCES, "small", source)
    torch.manual_seed(0)
    model = CSN(depth=26, width=4, dropout=0.1, num_classes=5).eval()
    return model, {source.name(key): value for key, value in model.state_dict().items()}


@pytest.mark.parametrize("name", RECORDED)
def test_every_recorded_format_fits_whole(parity, name):
    reference, wrap, statistics = RECORDED[name]
    record = recorded(parity, reference)
    with torch.device("meta"):
        model = official.load(name, wrap(ghosts(record)))
    assert not model.training
    if not name.startswith("foreground"):
        assert sum(p.numel() for p in model.parameters()) == record["n_params"]
        eps = {m.eps for m in model.modules() if isinstance(m, nn.BatchNorm3d | nn.LayerNorm)}
        assert eps == {norm["eps"] for norm in record["norms"]}
    if statistics:
        module, _, cls = SOURCES[name].model.partition(".")
        defaults = inspect.signature(getattr(import_module(f"tinylib.models.{module}"), cls)).parameters
        for key, expected in zip(("mean", "std"), statistics, strict=True):
            assert SOURCES[name].arguments.get(key, defaults[key].default)[0] == pytest.approx(expected)


@pytest.mark.parametrize("name", SOURCES)
def test_every_name_says_where_it_comes_from_and_loads_what_it_names(name):
    assert "\n" not in official.NAMES[name]
    assert len(official.NAMES[name]) < 140
    source = SOURCES[name]
    with torch.device("meta"):
        built = official._build(source, 7)
        ours = {key: value for key, value in built.state_dict().items() if key != "_extra_state"}
        state = {source.name(key): value for key, value in ours.items()}
        assert len(state) == len(ours)
        model = official.load(name, {source.wrappers[0]: state}, class_rows="as filed")
        assert not source.head or len(model.get_parameter(f"{source.head}.weight")) == 7
        last = list(state)[-1]
        with pytest.raises(DataError, match=rf"not {name}: lacks '{re.escape(last)}'"):
            official.load(name, {k: v for k, v in state.items() if k != last}, class_rows="as filed")


@pytest.mark.parametrize("scale", [4, 8])
def test_tinyvirat_generator_and_its_saliency_head_come_apart(parity, scale):
    record = recorded(parity, f"locpg2_x{scale}_3D")
    state = {"G": {"model": {name: torch.full_like(t, 0.5, device="cpu") for name, t in ghosts(record).items()}}}
    generator = official.load(f"progressive_dvsr_x{scale}", state)
    foreground = official.load(f"foreground_x{scale}", state)
    count = sum(p.numel() for p in generator.parameters()) + sum(p.numel() for p in foreground.parameters())
    assert count == record["n_params"]
    assert not generator.seamless
    assert (generator.stage, generator.alpha) == (generator.stages, 1.0)


@pytest.mark.parametrize("style", ["mmaction2", "pytorchvideo"])
def test_csn_rules_equal_the_verified_key_map(parity, style):
    keymap = json.loads((parity / "keymap_ircsn152.json").read_text())
    assert len(keymap[style]) == 932
    source = SOURCES[f"ircsn152_{style}"]
    assert {key: source.name(key) for key in keymap["source_names"]} == keymap[style]


def test_basicsr_rules_equal_the_verified_key_map(parity):
    keymap = json.loads((parity / "keymap_basicvsr.json").read_text())["map"]
    assert {key: SOURCES["basicvsr_basicsr"].name(key) for key in keymap} == keymap
    with torch.device("meta"):
        state = ghosts(recorded(parity, "basicvsr_mmagic"))
        official.load("basicvsr_basicsr", {"params": {keymap[key]: value for key, value in state.items()}})


@pytest.mark.parametrize("name", ["spynet_mmagic", "spynet_basicsr"])
def test_published_flow_networks_leave_their_constants_out(name):
    state = {SOURCES[name].name(key): value for key, value in SPyNet().state_dict().items()}
    model = official.load(name, {key: value for key, value in state.items() if key not in ("mean", "std")})
    torch.testing.assert_close(model.mean.flatten(), torch.tensor([0.485, 0.456, 0.406]))
    torch.testing.assert_close(model.std.flatten(), torch.tensor([0.229, 0.224, 0.225]))


def test_the_averaged_generator_of_a_restorer_is_used():
    plain, averaged = SPyNet().state_dict(), SPyNet().state_dict()
    state = {
        "step_counter": torch.zeros(1),
        **{f"generator.{k}": v for k, v in plain.items()},
        **{f"generator_ema.{k}": v for k, v in averaged.items()},
        "discriminator.conv0.weight": torch.ones(1),
        "perceptual_loss.vgg.mean": torch.ones(3),
    }
    model = official.load("spynet_mmagic", {"meta": {"epoch": 3}, "state_dict": state})
    assert all(torch.equal(value, averaged[key]) for key, value in model.state_dict().items())
    model = official.load("spynet_mmagic", {k: v for k, v in state.items() if not k.startswith("generator_ema")})
    assert all(torch.equal(value, plain[key]) for key, value in model.state_dict().items())
    with pytest.raises(DataError, match=r"'encoder\.weight' is not a part of a restorer"):
        official.load("spynet_mmagic", {**state, "encoder.weight": torch.ones(1)})


def test_a_file_without_a_name_is_recognised(small, tmp_path, monkeypatch):
    state = {SOURCES["spynet_basicsr"].name(key): value for key, value in SPyNet().state_dict().items()}
    torch.save({"params": state}, tmp_path / "what.pth")
    assert official.recognise(tmp_path / "what.pth") == ["spynet_basicsr"]
    for gone in [name for name in SOURCES if not name.startswith(("spynet", "small"))]:  # to save time
        monkeypatch.delitem(SOURCES, gone)
    assert official.recognise(small[1]) == ["small"]
    assert official.recognise({"weight": torch.ones(1)}) == []


def test_files_of_every_kind(small, tmp_path):
    model, state = small
    video = torch.rand(1, 3, 2, 20, 20)
    old = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    meta = {"best": np.float64(0.5), "epoch": np.int64(3), "cfg": "x = 1"}  # OpenMMLab writes numpy numbers
    torch.save({"meta": meta, "state_dict": state}, tmp_path / "zip.pth")
    torch.save({f"module.{k}": v for k, v in old.items()}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    torch.save({k: v.half() if v.is_floating_point() else v for k, v in state.items()}, tmp_path / "half.pth")
    torch.save({k: nn.Parameter(v) if v.is_floating_point() else v for k, v in state.items()}, tmp_path / "par.pth")
    save_file(state, tmp_path / "plain.safetensors")
    save_file(state, tmp_path / "misnamed.pth")
    for path in sorted(tmp_path.iterdir()):
        loaded = official.load("small", path)
        assert not loaded.training
        assert {p.dtype for p in loaded.parameters()} == {torch.float32}
        assert all(p.requires_grad for p in loaded.parameters())
        tolerance = 0.05 if path.stem == "half" else 0
        with torch.no_grad():
            torch.testing.assert_close(loaded(video), model(video), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "prefix", ["_orig_mod.", "module.", "module.module.", "module._orig_mod.", "_orig_mod.module.", "model.", "net."]
)
@pytest.mark.parametrize("wrapper", ["", "state_dict", "model_state_dict", "net", "model"])
def test_what_a_trainer_wraps_around_a_network_comes_off(small, prefix, wrapper):
    model, state = small
    tensors = {prefix + key: value for key, value in state.items()}
    content = {wrapper: tensors, "epoch": 3, "optimizer_state_dict": {"state": {}}} if wrapper else tensors
    loaded = official.load("small", content).state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in model.state_dict().items())


def test_a_formats_own_prefix_stays():
    state = {SOURCES["i3d_tinyvirat"].name(key): value for key, value in small_names().items()}
    for prefix in ("", "module.", "model."):
        bare = official.unwrap({prefix + key: value for key, value in state.items()}, SOURCES["i3d_tinyvirat"])
        assert bare.keys() == state.keys()


def small_names():
    return {"conv.weight": torch.ones(1), "logits.weight": torch.ones(1)}


def test_converts_and_opens_again(small, tmp_path):
    model, state = small
    torch.save(state, tmp_path / "official.pth")
    official.convert("small", tmp_path / "official.pth", tmp_path / "ours.safetensors")
    again = official.open_converted(tmp_path / "ours.safetensors")
    video = torch.rand(1, 3, 2, 20, 20)
    with torch.no_grad():
        assert torch.equal(again(video), model(video))
    said = json.loads((tmp_path / "ours.json").read_text())["description"]
    assert (said["official"], said["num_classes"], said["source"]) == ("small", 5, "official.pth")
    assert len(said["source_sha256"]) == 64
    save_file(state, tmp_path / "bare.safetensors")
    with pytest.raises(DataError, match=r"bare.safetensors"):
        official.open_converted(tmp_path / "bare.safetensors")
    with pytest.raises(DataError, match="lacks"):
        official.convert("spynet_mmagic", tmp_path / "official.pth", tmp_path / "wrong.safetensors")
    assert not list(tmp_path.glob("*wrong*"))


def test_permuted_class_rows_are_asked_for(small, monkeypatch):
    model, state = small
    monkeypatch.setitem(SOURCES, "small", replace(SOURCES["small"], own_class_order=True))
    with pytest.raises(UsageError, match="give class_rows"):
        official.load("small", state)
    for rows in ([0, 1, 2, 3], [0, 1, 2, 3, 3], [1, 2, 3, 4, 5]):
        with pytest.raises(UsageError, match="each of the 5 rows"):
            official.load("small", state, class_rows=rows)
    video, rows = torch.rand(1, 3, 2, 20, 20), [3, 0, 4, 1, 2]
    with torch.no_grad():
        expected = model(video)
        torch.testing.assert_close(official.load("small", state, class_rows="as filed")(video), expected)
        torch.testing.assert_close(official.load("small", state, class_rows=rows)(video), expected[:, rows])


def test_first_mismatch_is_named(small, tmp_path):
    _, state = small
    conv, weight = "backbone.layer2.0.conv2.0.conv.weight", state["backbone.layer2.0.conv2.0.conv.weight"]
    cases = {
        rf"lacks '{conv}' \(8, 1, 3, 3, 3\)": {k: v for k, v in state.items() if k != conv},
        rf"'{conv}' is \(8, 1, 3, 3\), expected \(8, 1, 3, 3, 3\)": {**state, conv: weight[..., 0]},
        rf"'{conv}' holds values that are not finite": {**state, conv: weight.clone().fill_(float("nan"))},
        rf"'{conv}' is torch.int64, expected torch.float32": {**state, conv: weight.long()},
        r"has 'backbone.layer5.weight' \(2,\) besides": {**state, "backbone.layer5.weight": torch.ones(2)},
        "has no classifier 'cls_head.fc_cls.weight'": {k: v for k, v in state.items() if "fc_cls" not in k},
        "'epoch' is a int among tensors": {**state, "epoch": 3},
        "holds no state dict": {"epoch": 3},
    }
    for message, content in cases.items():
        torch.save(content, tmp_path / "wrong.pth")
        with pytest.raises(DataError, match=message) as caught:
            official.load("small", tmp_path / "wrong.pth")
        assert str(tmp_path / "wrong.pth") in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="called 'i3d'; there are i3d_piergiaj"):
        official.load("i3d", state)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_nothing_in_a_pickle_is_run(tmp_path):
    bomb = {"state_dict": {"weight": torch.ones(2)}, "meta": Bomb(tmp_path / "ran")}
    torch.save(bomb, tmp_path / "new.pth")
    torch.save(bomb, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(bomb["meta"], protocol=2))
    for name in ("new", "old", "raw"):
        with pytest.raises(DataError, match=rf"{name}.pth: holds posix.mkdir, which is neither") as caught:
            official.load("spynet_mmagic", tmp_path / f"{name}.pth")
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()
    pickle.loads((tmp_path / "raw.pth").read_bytes())
    assert (tmp_path / "ran").exists()  # the bomb was a real one


@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_files_that_are_not_whole_checkpoints(tmp_path):
    state = SPyNet().state_dict()
    torch.save(state, tmp_path / "whole.pth")
    whole = (tmp_path / "whole.pth").read_bytes()
    save_file(state, tmp_path / "whole.safetensors")
    tensors = (tmp_path / "whole.safetensors").read_bytes()
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "script.pt"))
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "no weights")
    for name, content in {
        "empty.pth": b"",
        "half.pth": whole[: len(whole) // 2],
        "cut.pth": whole[:-20],
        "half.safetensors": tensors[: len(tensors) // 2],
        "header.safetensors": tensors[:100],
        "text.pth": b"<html>Quota exceeded</html>",
        "noise.pth": np.random.default_rng(0).bytes(5000),
    }.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder").mkdir()
    (tmp_path / "whole.pth").unlink()
    (tmp_path / "whole.safetensors").unlink()
    for path in [*tmp_path.iterdir(), tmp_path / "absent.pth"]:
        with pytest.raises(DataError, match=r"is empty|cannot be read|is not a whole checkpoint") as caught:
            official.load("spynet_mmagic", path)
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)
