"""Networks and probes that a user chooses for notebooks 03, 05, 06, 09 and 11."""

from dataclasses import replace

import pytest

from tinylib.errors import UsageError
from tinylib.settings import Baselines, BeyondThePapers, DualResolution, ForegroundAttention, LowResolution

START = {"network": "r3d_18", "pretrained": "kinetics400"}


def test_a_network_of_torchvision_takes_the_place_of_the_profile_s():
    rows = Baselines.of("full", **START).rows
    assert [(row.paper, row.row, row.model, row.frames, row.size) for row in rows] == [
        ("tinyaction", "r3d_18", "r3d_18", 16, 112),
        ("tinyvirat", "r3d_18", "r3d_18", 16, 112),
    ]
    for kind in (ForegroundAttention, LowResolution):
        assert [(b.row, b.model, b.options) for b in kind.of("full", **START).backbones] == [("I3D", "r3d_18", ())]
    networks = DualResolution.of("full", **START).networks
    assert [(n.row, n.model, n.options) for n in networks] == [("ir-CSN", "r3d_18", ()), ("UniFormer", "r3d_18", ())]
    beyond = BeyondThePapers.of("full", **START)
    assert (beyond.model, beyond.options) == ("r3d_18", ())
    assert beyond.budgets()[0].model == "r3d_18"


def test_a_probe_is_an_option_of_every_network_once():
    settings = replace(BeyondThePapers.of("demo", probe="linear"), epochs=2)
    assert settings.options == (("probe", "linear"),)
    assert all(dict(row.options)["probe"] == "attentive" for row in Baselines.of("demo", probe="attentive").rows)
    assert settings.about() == {"start": "synthvirat", "probe": "linear"}


def test_what_cannot_be_is_one_line():
    with pytest.raises(UsageError, match=r"network: expected one of i3d, .*, found 'c3d'"):
        Baselines.of("full", network="c3d")
    with pytest.raises(UsageError, match="probe: the frozen network needs weights"):
        Baselines.of("full", probe="linear")
    with pytest.raises(UsageError, match="probe: expected one of linear, attentive, found 'deep'"):
        Baselines.of("demo", probe="deep")
    with pytest.raises(UsageError, match="csn_weights and uniformer_weights"):
        DualResolution.of("full", csn_weights="x.safetensors", **START)
