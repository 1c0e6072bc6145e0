"""Recipes and pairs on a study of a few clips: every recipe trains, reads, and is what its line says."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from tinylib import models
from tinylib.errors import UsageError
from tinylib.methods import pairs, recipes, super_resolution
from tinylib.methods.recipes import PARTS, RECIPES, Budget, Learned, Material, Recipe
from tinylib.models.cost import complexity
from tinylib.models.dvsr import ProgressiveDVSR
from tinylib.settings import BeyondThePapers

BUDGET = Budget(frames=2, epochs=1, batch=4, lr=1e-3)


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    root = tmp_path_factory.mktemp("pairs")
    few = {
        "classes": ("activity_walking", "activity_running"),
        "train_clips": 3,
        "test_clips": 2,
        "kept": 4,
        "high": 16,
    }
    return BeyondThePapers.of("smoke", data_root=str(root), run_dir=str(root / "run"), **few)


@pytest.fixture(scope="module")
def material(settings):
    found = {}
    for name, index in pairs.splits(settings).items():
        low, high = pairs.low(settings, index, 8), pairs.high(settings, index, 16)
        found[name] = Material(index, low, high, restored=high)
    return found


def test_pairs_of_synthetic_data_are_aligned(settings, material):
    each = material["test"]
    assert (each.low.size, each.high.size) == ((8, 8), (16, 16))
    assert each.low.frames.tolist() == each.high.frames.tolist() == [4] * 4
    assert pairs.masks(settings, each.index, 16).shape == (4, 4, 16, 16)
    made = pairs.degraded(settings, each.index, each.high, (8, 8))
    assert made.size == (8, 8)
    assert not np.array_equal(made[0], each.low[0])  # resized is not natural


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_trains_and_reads(name, material, tmp_path):
    learned = recipes.learn(RECIPES[name], material["train"], BUDGET, tmp_path)
    scores = recipes.read(learned, material["test"], BUDGET)
    assert scores.scores.shape == (4, 2)
    assert ((scores.scores >= 0) & (scores.scores <= 1)).all()
    assert (learned.teacher is None) == (RECIPES[name].teacher == "none")
    again = recipes.learn(RECIPES[name], material["train"], BUDGET, tmp_path)  # done already: read from its files
    assert np.array_equal(recipes.read(again, material["test"], BUDGET).scores, scores.scores)


def test_every_part_of_the_combined_recipe_can_be_taken_away():
    tiny, plain = RECIPES["tiny"], Recipe(sampler="contiguous", reading="tinyaction")
    for change in PARTS.values():
        assert replace(tiny, **change) != tiny
    taken = {name for part, change in PARTS.items() if part.startswith("without") for name in change}
    assert taken == {field.name for field in fields(Recipe) if getattr(tiny, field.name) != getattr(plain, field.name)}


def test_what_stands_still_is_dimmed_in_surveillance_alone(material):
    many = material["train"].index
    one = replace(many, multi_label=False, clips=tuple(replace(clip, labels=clip.labels[:1]) for clip in many.clips))
    assert recipes.network_of(RECIPES["tiny"], BUDGET, many).still == 0.3
    assert recipes.network_of(RECIPES["tiny"], BUDGET, one).still == 1.0
    assert recipes.network_of(RECIPES["winner"], BUDGET, many).still == 1.0


def test_mirrored_views_are_the_mean_of_both(material, tmp_path):
    learned = recipes.learn(replace(RECIPES["tinyaction"], mirrored_views=True), material["train"], BUDGET, tmp_path)
    both = recipes.read(learned, material["test"], BUDGET).scores
    plain = recipes.read(replace(learned, recipe=RECIPES["tinyaction"]), material["test"], BUDGET).scores
    assert not np.array_equal(both, plain)
    with torch.no_grad():  # one of the two halves is the plain one, so the other is within [0, 1] too
        other = 2 * both - plain
    assert ((other > -1e-6) & (other < 1 + 1e-6)).all()


def test_a_recipe_that_needs_restored_video_says_so(material, tmp_path):
    bare = replace(material["train"], restored=None)
    with pytest.raises(UsageError, match="super-resolved video"):
        recipes.learn(RECIPES["tinyvirat"], bare, BUDGET, tmp_path)


def test_a_teacher_may_see_the_students_own_pixels(material, tmp_path):
    recipe = replace(RECIPES["stat"], teacher="low")
    learned = recipes.learn(recipe, material["train"], BUDGET, tmp_path)
    assert learned.teacher is not None
    assert recipes.read(learned, material["test"], BUDGET).scores.shape == (4, 2)


def test_a_super_resolver_learns_from_the_high_resolution_and_restores_the_low(material, tmp_path):
    generator = ProgressiveDVSR(scale=2, frames=4, channels=4)
    taught = recipes.super_resolver(generator, material["train"], tmp_path / "run", epochs=2, batch=4, frames=4, seed=0)
    assert taught.last.is_file()
    assert generator.stage == 1  # x2 has one
    made = material["test"].restored_by(generator, tmp_path / "test.store", frames=4, made={"weights": "these"})
    assert made.low is material["test"].low
    assert made.restored.size == (16, 16)
    plain = material["test"].restored_by(
        super_resolution.bicubic(2), tmp_path / "bicubic.store", frames=4, made={"bicubic": 2}
    )
    assert not np.array_equal(made.restored[0], plain.restored[0])
    again = material["test"].restored_by(generator, tmp_path / "bicubic.store", frames=4, made={"weights": "these"})
    assert np.array_equal(again.restored[0], made.restored[0])  # another restorer's video is not taken for this one's


def test_the_same_clips_at_another_size(settings, material):
    assert recipes.at_size(settings, material, settings.low)["test"] is material["test"]
    generator = ProgressiveDVSR(scale=2, frames=4, channels=4)
    natural = recipes.at_size(settings, material, 12)["test"]
    resized = recipes.at_size(settings, material, 12, resized=True, restorer=generator, made={"weights": "these"})[
        "test"
    ]
    assert natural.low.size == resized.low.size == (12, 12)
    assert not np.array_equal(natural.low[0], resized.low[0])
    assert natural.restored is None  # that of another size would be the wrong one
    assert resized.restored.size == (16, 16)
    assert [RECIPES[name].restores for name in ("tinyaction", "tinyvirat", "winner", "stat", "tiny")] == [
        False, True, True, False, False
    ]  # fmt: skip


def test_what_restores_pays_for_its_generator():
    generator, network = ProgressiveDVSR(scale=2, frames=4, channels=4), models.create("tiny_r3d", num_classes=2)
    plain = Learned(RECIPES["tinyaction"], network, None, 0.0)
    restoring = Learned(RECIPES["tinyvirat"], network, None, 0.0)
    gmacs, speed = recipes.cost(plain, 2, 8, high=16, seconds=0.01)
    assert gmacs == complexity(network, 2, 8).gmacs
    assert speed > 0
    dearer, slower = recipes.cost(restoring, 2, 8, high=16, generator=generator, seconds=0.01)
    assert dearer == pytest.approx(complexity(network, 2, 16).gmacs + complexity(generator, 4, 8).gmacs / 2)
    assert slower > 0
    with pytest.raises(UsageError, match="generator"):
        recipes.cost(restoring, 2, 8, high=16)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"restorers": ("bilinear",)}, "restorers: expected some of bicubic, dvsr"),
        ({"transfers": ("hope",)}, "transfers: expected some of distillation, attention"),
        ({"restorers": ("realbasicvsr",)}, "needs `weights`"),
        ({"crossed": (16,)}, r"crossed: 16 is not below `high` \(16 px\)"),
    ],
)
def test_settings_that_cannot_be_met_are_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        BeyondThePapers.of("smoke", **wrong)


def test_real_data_knows_no_actors():
    with pytest.raises(UsageError, match="SynthVIRAT does"):
        pairs.masks(BeyondThePapers.of("smoke", data="ucf101"), None, 16)
