"""Recipes and pairs on a study of a few clips: every recipe trains, reads, and is what its line says."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from tinylib import models
from tinylib.errors import UsageError
from tinylib.methods import looking, pairs, recipe_study, recipes
from tinylib.methods.recipes import PARTS, RECIPES, Budget, Learned, Material, Recipe
from tinylib.models.cost import complexity
from tinylib.models.dvsr import ProgressiveDVSR
from tinylib.settings import BeyondThePapers
from tinylib.training import Classify, CrossResolution, Distillation

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
    losses = {}
    for name, index in pairs.splits(settings).items():
        low, high = pairs.low(settings, index, 8), pairs.high(settings, index, 16)
        losses[name] = Material(index, low, high, restored=high)
    return losses


def test_pairs_of_synthetic_data_are_aligned(settings, material):
    each = material["test"]
    assert (each.low.size, each.high.size) == ((8, 8), (16, 16))
    assert each.low.frames.tolist() == each.high.frames.tolist() == [4] * 4
    assert pairs.masks(settings, each.index, 16).shape == (4, 4, 16, 16)
    degraded = pairs.degraded(settings, each.index, each.high, (8, 8))
    assert degraded.size == (8, 8)
    assert not np.array_equal(degraded[0], each.low[0])  # resized is not natural


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


def test_the_objective_is_the_one_that_the_recipe_names(material):
    index = material["train"].index
    network, teacher = (recipes.network_of(RECIPES["winner"], BUDGET, index) for _ in range(2))
    kinds = {
        "scores": type(recipes.objective_of(RECIPES["winner"], network, teacher, index, epochs=1)),
        "trust": type(
            recipes.objective_of(replace(RECIPES["winner"], lesson="trust"), network, teacher, index, epochs=1)
        ),
        "nobody": type(recipes.objective_of(RECIPES["winner"], network, None, index, epochs=1)),
    }
    assert kinds == {"scores": Distillation, "trust": CrossResolution, "nobody": Classify}
    with pytest.raises(UsageError, match="knows one resolution"):
        replace(RECIPES["winner"], factors=(1.0, 0.5))
    with pytest.raises(UsageError, match="'attention' is STAT's"):
        replace(RECIPES["winner"], lesson="attention")


def test_the_labels_and_the_teachers_terms_are_means_of_one_scale():
    logits, targets = torch.randn(4, 26, generator=torch.Generator().manual_seed(0)), torch.zeros(4, 26)
    targets[:, 0] = 1
    twice = torch.cat([logits, logits], dim=1), torch.cat([targets, targets], dim=1)
    once = recipes.mean_asymmetric(logits, targets)
    assert once.item() == pytest.approx(recipes.mean_asymmetric(*twice).item())  # as many classes again: no more weight


def test_each_recipe_has_its_papers_schedule():
    assert {name: (r.optimiser, r.schedule) for name, r in RECIPES.items()} == {
        "tinyaction": ("adam", "multistep"),
        "tinyvirat": ("adam", "constant"),
        "winner": ("adamw", "restarts"),
        "stat": ("sgd", "multistep"),
        "tiny": ("adam", "cosine"),
    }
    assert RECIPES["stat"].milestones == (0.4, 0.8)


def test_what_stands_still_is_dimmed_in_surveillance_alone(material):
    many = material["train"].index
    one = replace(many, multi_label=False, clips=tuple(replace(clip, labels=clip.labels[:1]) for clip in many.clips))
    for name in RECIPES:  # all recipes dim, or none
        assert recipes.network_of(RECIPES[name], replace(BUDGET, still=0.3), many).still == 0.3
        assert recipes.network_of(RECIPES[name], BUDGET, many).still == 1.0
        assert recipes.network_of(RECIPES[name], replace(BUDGET, still=0.3), one).still == 1.0
    assert recipes.network_of(replace(RECIPES["tiny"], still=0.5), BUDGET, many).still == 0.5
    dimmed = recipes.network_of(RECIPES["stat"], replace(BUDGET, still=0.0), many).eval()
    still = torch.rand(1, 3, 1, 8, 8).expand(1, 3, 2, 8, 8)  # nothing moves, so nothing is seen
    grey = dimmed.backbone.mean.expand(1, 3, 2, 8, 8)
    assert torch.allclose(dimmed(still), dimmed(grey), atol=1e-5)


def test_networks_start_as_the_budget_says(material):
    given = []
    start = replace(BUDGET, start=lambda network, classes: given.append(tuple(classes)) or network)
    recipes.network_of(RECIPES["stat"], start, material["train"].index)
    recipes.network_of(RECIPES["tiny"], start, material["train"].index)
    assert given == [material["train"].index.classes] * 2


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


def test_a_super_resolver_learns_from_pairs_and_restores_the_low(settings, material, tmp_path):
    lessons = recipe_study.lessons(material, frames=4, seed=0, synthetic=True)
    assert lessons.index is material["val"].index  # no clip that classifiers learn from, or are judged on
    assert recipe_study.lessons(material, frames=4, seed=0, synthetic=False).index is material["train"].index
    settings = replace(settings, run_dir=str(tmp_path), low=8, generator_epochs=1, channels=4, batch=4)
    generator, origin = recipe_study.restorer(settings, "progressive", lessons, scale=2)
    assert origin == {"generator": "progressive", "start": "none"}
    restored = material["test"].restored_by(generator, tmp_path / "test.store", frames=4, origin=origin)
    assert restored.low is material["test"].low
    assert restored.restored.size == (16, 16)
    bicubic, named = recipe_study.restorer(settings, "bicubic", lessons, scale=2)
    plain = material["test"].restored_by(bicubic, tmp_path / "bicubic.store", frames=4, origin=named)
    again = material["test"].restored_by(generator, tmp_path / "bicubic.store", frames=4, origin=origin)
    assert np.array_equal(again.restored[0], restored.restored[0])  # another restorer's video is not taken for its own
    assert plain.restored.size == (16, 16)


def test_a_generator_of_large_scale_is_not_given_large_video(settings, material, tmp_path):
    seen = []

    class Watched(torch.nn.Module):
        def forward(self, video):
            seen.append(video.shape[-1])
            return video

    small = replace(settings, low=4, run_dir=str(tmp_path))
    recipes.at_size(small, material, 12, restorer=Watched(), origin={"watched": 1})
    assert set(seen) == {8}


def test_the_same_clips_at_another_size(settings, material):
    assert recipes.at_size(settings, material, settings.low)["test"] is material["test"]
    generator = ProgressiveDVSR(scale=2, frames=4, channels=4)
    natural = recipes.at_size(settings, material, 12)["test"]
    resized = recipes.at_size(settings, material, 12, resized=True, restorer=generator, origin={"weights": "these"})[
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


def test_masks_of_clips_of_unequal_length(settings, material):
    index = material["test"].index
    whole = replace(settings, kept=None)
    assert looking.masks(whole, index, 16, 3).shape == (4, 3, 16, 16)
    some = looking.masks(settings, index, 16, 3)  # among the four frames that are kept
    assert np.array_equal(some, pairs.masks(settings, index, 16)[:, [0, 2, 3]])
    assert looking.moments(material["test"].high, [0, 2], 3).shape == (2, 3, 3, 16, 16)


def test_runs_are_compared_on_the_same_clips(material, tmp_path):
    study = recipe_study.RecipeStudy((BUDGET, replace(BUDGET, seed=1)), tmp_path)
    learned = study.learn(RECIPES["tiny"], material["train"], "tiny")
    judged = study.judge(learned, material, fitted=True)
    assert [run.name for run in sorted(tmp_path.iterdir())] == ["tiny-0", "tiny-1"]
    assert list(judged.spelled()) == ["mAP", "F1 (fitted)", "F1", "F1 (micro)"]
    assert (judged.over(judged)["value"] == 0).all()
    assert study.teachers(learned) == []
