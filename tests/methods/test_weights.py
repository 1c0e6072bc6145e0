"""The weights that the package ships: whole, small, and worth what their cards say."""

import json

import pytest
import torch

from tinylib.annotations.labels import CLASSES
from tinylib.files import sha256
from tinylib.methods import pretraining_card, pretraining_lessons
from tinylib.methods.recipes import StillSegments
from tinylib.models import pretrained
from tinylib.models.segments import SegmentNetwork

FILES = sorted(pretrained.FOLDER.glob("*.safetensors"))
MIB = 1 << 20


def card(file):
    return json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    return pretraining_card.probe_stores(tmp_path_factory.mktemp("probe"))


def test_they_are_small_and_each_lesson_has_a_card():
    assert FILES
    assert {file.stem for file in FILES} <= set(pretraining_lessons.LESSONS)
    assert [file.name for file in FILES if file.stat().st_size > 4 * MIB] == []
    assert sum(file.stat().st_size for file in FILES) <= 40 * MIB
    others = {path.name for path in pretrained.FOLDER.iterdir()} - {"__pycache__"}
    assert others == {f"{file.stem}.{kind}" for file in FILES for kind in ("safetensors", "json", "md")}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_is_what_its_card_says(file, stores):
    facts, lesson = card(file), pretraining_lessons.LESSONS[file.stem]
    assert facts["sha256"] == sha256(file)
    assert facts["bytes"] == file.stat().st_size
    assert facts["lesson"] == json.loads(json.dumps(pretraining_card.plain(lesson)))
    assert pretraining_card.page(facts) == file.with_suffix(".md").read_text(encoding="utf-8")
    network = pretraining_lessons.network_of(lesson)
    pretrained.start(network, "synthvirat", classes=CLASSES if lesson.classifier else ())
    again = pretraining_card.probed(lesson, network.eval(), *stores, pretrained.FOLDER)
    assert again == pytest.approx(facts["probe"], abs=0.02)


def test_a_network_made_of_a_shipped_one_starts_from_its_weights():
    network = StillSegments(num_classes=3, backbone="resnet10", segments=8, stem="low")
    shipped = SegmentNetwork(num_classes=3, backbone="resnet10", segments=8, stem="low")
    assert pretrained.available(network, "synthvirat")
    start, same = (pretrained.start(each, "synthvirat").backbone.state_dict() for each in (network, shipped))
    assert all(torch.equal(start[name], same[name]) for name in same)
