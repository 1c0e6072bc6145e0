"""Whole recipes, from pairs of low and high resolution to scores: the papers' own, and one that combines what helps.

All share backbone width, clips, epochs and batch size, so that tables compare recipes and not budgets; what differs is
written in one line each (`RECIPES`). The networks here are the small ones that a CPU can train many of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tinylib import models
from tinylib.annotations.labels import mirror_permutation
from tinylib.datasets.degrade import Size, pair
from tinylib.datasets.index import Index
from tinylib.datasets.loading import BatchTransform, ClipDataset
from tinylib.datasets.store import ClipStore
from tinylib.errors import UsageError
from tinylib.evaluation.scores import READINGS, Scores, predict
from tinylib.methods import attention_transfer, pairs, super_resolution
from tinylib.models.cost import complexity, throughput
from tinylib.models.dvsr import ProgressiveDVSR
from tinylib.models.segments import SegmentNetwork
from tinylib.training import losses
from tinylib.training.loop import FitConfig, FitResult, fit
from tinylib.training.objectives.classify import Classify, Loss
from tinylib.training.objectives.cross_resolution import CrossResolution
from tinylib.training.objectives.distill import Distillation

Teacher = Literal["none", "low", "restored", "high"]  # the pixels it sees; "low": the student's own


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One way to learn from tiny clips and to read them. Fields are the parts that an ablation takes away."""

    sampler: str  # of training; test reads the clip as `READINGS[reading]` says
    reading: str
    flip: float = 0.5
    sees: Literal["low", "restored"] = "low"  # what the delivered network is given
    still: float = 1.0  # share of what stands still that a classifier sees (`models.create`), in surveillance video
    network: Literal["classifier", "segments"] = "classifier"
    loss: Literal["plain", "asymmetric", "prior"] = "plain"
    teacher: Teacher = "none"
    attention: bool = False  # the teacher shows where and when to look (STAT), not what to answer
    alpha: float = 0.5  # weight of the labels beside the teacher's answers
    trust: bool = False  # in the teacher, clip by clip
    factors: tuple[float, ...] = (1.0,)  # resolutions that training shows, as shares of the clip's
    schedule: Literal["constant", "cosine", "restarts"] = "constant"
    ema: float | None = None  # averaged weights are delivered
    mirrored_views: bool = False  # test also sees each view mirrored, left and right labels swapped

    @property
    def restores(self) -> bool:
        """Whether super-resolved video is part of it: seen by the network, or by its teacher."""
        return "restored" in (self.sees, self.teacher)


RECIPES: dict[str, Recipe] = {
    "tinyaction": Recipe(sampler="contiguous", reading="tinyaction", flip=0.0),
    "tinyvirat": Recipe(sampler="strided", reading="tinyvirat", sees="restored"),
    "winner": Recipe(sampler="uniform", reading="winner", teacher="restored", loss="asymmetric", schedule="restarts"),
    "stat": Recipe(sampler="segments", reading="stat", network="segments", teacher="high", attention=True),
    "tiny": Recipe(
        sampler="uniform",
        reading="winner",
        still=0.3,
        loss="asymmetric",
        schedule="cosine",
    ),
}
PARTS: dict[str, dict[str, Any]] = {  # what each ablation of the combined recipe changes; "with": parts left out of it
    "without uniform sampling": {"sampler": "contiguous", "reading": "tinyaction"},
    "without dimming what stands still": {"still": 1.0},
    "without the asymmetric loss": {"loss": "plain"},
    "without the falling rate": {"schedule": "constant"},
    "with restarts instead": {"schedule": "restarts"},
    "with a high-resolution teacher": {"teacher": "high", "trust": True},
    "with coarser resolutions": {"factors": (1.0, 0.75, 0.5)},
    "with averaged weights": {"ema": 0.97},
    "with the classes' shares in the loss": {"loss": "prior"},
    "with mirrored views": {"mirrored_views": True},  # at twice the cost
}


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What every recipe gets: the same network, clips and steps."""

    model: str = "tiny_r3d"  # in models.CLASSIFIERS
    segments: str = "resnet10"  # in models.segments.SEGMENT_BACKBONES, for STAT's kind of network
    frames: int = 8
    epochs: int = 40
    batch: int = 16
    lr: float = 2e-3
    seed: int = 0


@dataclass(frozen=True)
class Material:
    """A split's clips, and their pixels: as they are, seen better, and super-resolved by a frozen network."""

    index: Index
    low: ClipStore
    high: ClipStore
    restored: ClipStore | None = None

    def seen(self, which: str) -> ClipStore:
        store = {"low": self.low, "high": self.high, "restored": self.restored}[which]
        if store is None:
            raise UsageError("this recipe needs super-resolved video: give the material's `restored`")
        return store

    def restored_by(
        self, restorer: super_resolution.Restorer, file: str | Path, *, frames: int, made: Mapping[str, Any]
    ) -> Material:
        """The same clips with `restored` as this super-resolver makes it of `low`, `frames` at a time, kept in `file`.

        made: what the restorer is; a network's own weights are hashed into the store's recipe.
        """
        pixels = super_resolution.super_resolved(
            restorer, self.low, self.index, file, size=None, frames=frames, shown=None, made=made
        )
        return replace(self, restored=pixels)


def at_size(
    settings: Any,
    material: Mapping[str, Material],
    size: Size,
    *,
    resized: bool = False,
    restorer: nn.Module | None = None,
    made: Mapping[str, Any] | None = None,
) -> dict[str, Material]:
    """The train and test clips at another size: natural, or resized from the high resolution by STAT's camera model.

    settings: of notebook 11, whose `low`, `high` and `kept` say what `material` is; natural clips at `low` are returned
    as they are. restorer (`made` says which): they are restored as well, the smaller ones enlarged to `low` first, and
    what it makes is brought to `high`.
    """
    if not resized and pair(size) == pair(settings.low):
        return {split: material[split] for split in ("train", "test")}
    found, side = {}, max(pair(settings.high))
    for split in ("train", "test"):
        each, kind = material[split], "resized-" if resized else ""
        low = (
            pairs.degraded(settings, each.index, each.high, size) if resized else pairs.low(settings, each.index, size)
        )
        found[split] = replace(each, low=low, restored=None)
        if restorer is not None:
            enlarger = super_resolution.ToSize(restorer, size=side, at_least=max(pair(settings.low)))
            file = settings.runs / f"{split}-restored-{kind}{pairs.named(size)}.store"
            found[split] = found[split].restored_by(enlarger, file, frames=settings.kept or 16, made=made or {})
    return found


@dataclass(frozen=True)
class Learned:
    """What a recipe made of its training clips."""

    recipe: Recipe
    network: nn.Module
    teacher: nn.Module | None
    seconds: float  # of training, the teacher's included


def super_resolver(
    network: super_resolution.Network,
    material: Material,
    run_dir: str | Path,
    *,
    epochs: int,
    batch: int,
    frames: int,
    seed: int,
) -> FitResult:
    """Teach a generator by the clips' true high resolution alone (TinyVIRAT, phase 1). Killed, it goes on.

    It begins as plain interpolation and a new stage is in after 20 steps, for these runs are short.
    """
    objective, config = super_resolution.phase_one(
        network,
        len(material.index),
        epochs=epochs,
        batches=(batch,),
        lr=1e-3,
        fade=20,
        schedule="cosine",
        from_interpolation=True,
        seed=seed,
    )
    lessons = ClipDataset(material.index, store=material.high, sampler="strided", frames=frames, size=None, seed=seed)
    return fit(objective, lessons, config, run_dir, transform=BatchTransform(flip=0.5))


def network_of(recipe: Recipe, budget: Budget, index: Index) -> nn.Module:
    """A fresh network, the same for equal seeds.

    Where a clip has one label alone, as in videos of sports, its place tells much of it, so nothing is dimmed.
    """
    torch.manual_seed(budget.seed)
    classes, still = len(index.classes), recipe.still if index.multi_label else 1.0
    if recipe.network == "segments":
        return SegmentNetwork(num_classes=classes, backbone=budget.segments, segments=budget.frames, stem="low")
    return models.create(budget.model, num_classes=classes, still=still)


def learn(recipe: Recipe, material: Material, budget: Budget, run_dir: str | Path) -> Learned:
    """Train by a recipe; its teacher, if it has one, first and with the same budget. Killed, it goes on."""
    run_dir, index = Path(run_dir), material.index
    teacher, seconds = None, 0.0
    if recipe.teacher != "none":
        plain = replace(recipe, teacher="none", attention=False, factors=(1.0,))
        teacher = network_of(plain, budget, index)
        objective: Any = Classify(teacher, loss=_loss(plain, index))
        seconds = _fit(objective, plain, material, recipe.teacher, None, budget, run_dir / "teacher").seconds
    network = network_of(recipe, budget, index)
    loss = _loss(recipe, index)
    if teacher is not None and recipe.attention:
        assert isinstance(network, SegmentNetwork)
        assert isinstance(teacher, SegmentNetwork)
        network.load_state_dict(teacher.state_dict())  # from scratch there are no norms worth freezing
        objective = attention_transfer.transfer(
            network, teacher, attention_transfer.ROLLING, budget.epochs, freeze_norms=False
        )
    elif teacher is not None and not recipe.trust and index.multi_label and recipe.factors == (1.0,):
        objective = Distillation(network, teacher, alpha=recipe.alpha, loss=loss)
    else:
        objective = CrossResolution(
            network, teacher, loss=loss, alpha=recipe.alpha, trust=recipe.trust, factors=recipe.factors
        )
    high = recipe.teacher if teacher is not None else None
    result = _fit(objective, recipe, material, recipe.sees, high, budget, run_dir)
    return Learned(recipe, network, teacher, seconds + result.seconds)


def _loss(recipe: Recipe, index: Index) -> Loss:
    """The loss of labels; asymmetric loss is of several labels, so a single label gets cross-entropy."""
    targets = torch.from_numpy(index.targets())
    if recipe.loss == "prior":
        hot = targets if index.multi_label else F.one_hot(targets, len(index.classes)).float()
        return partial(losses.prior_adjusted, prior=hot.mean(0))
    if not index.multi_label:
        return F.cross_entropy
    return (
        partial(losses.asymmetric, reduce="mean") if recipe.loss == "asymmetric" else F.binary_cross_entropy_with_logits
    )


def _fit(
    objective: Any,
    recipe: Recipe,
    material: Material,
    sees: str,
    high: str | None,
    budget: Budget,
    run_dir: Path,
) -> FitResult:
    data = ClipDataset(
        material.index,
        sampler=recipe.sampler,
        frames=budget.frames,
        size=None,
        store=material.seen(sees),
        high=None if high is None else material.seen(high),
        seed=budget.seed,
    )
    config = FitConfig(
        epochs=budget.epochs,
        batch_size=budget.batch,
        lr=budget.lr,
        schedule=recipe.schedule,
        warmup=1.0,
        ema=recipe.ema,
        clip_norm=5.0,
        seed=budget.seed,
    )
    transform = BatchTransform(flip=recipe.flip, mirror=mirror_permutation(material.index.classes))
    return fit(objective, data, config, run_dir, transform=transform, description=asdict(recipe) | {"sees": sees})


def read(learned: Learned, material: Material, budget: Budget, *, sees: str | None = None) -> Scores:
    """Scores of a split by the recipe's own test-time views. sees: other pixels than it was trained on."""
    recipe, reading = learned.recipe, READINGS[learned.recipe.reading]
    data = ClipDataset(
        material.index,
        sampler=reading.sampler,
        frames=budget.frames,
        size=None,
        store=material.seen(sees or recipe.sees),
        views="test",
    )
    ask = partial(predict, learned.network, data, batch_size=64, aggregate=reading.aggregate, on=reading.on)
    scores = ask(transform=None)
    if not recipe.mirrored_views:
        return scores
    other = ask(transform=_mirrored_pixels).scores[:, np.asarray(mirror_permutation(material.index.classes))]
    return replace(scores, scores=((scores.scores + other) / 2).astype(np.float32))


def cost(
    learned: Learned,
    frames: int,
    low: Size,
    *,
    high: Size,
    generator: ProgressiveDVSR | None = None,
    seconds: float = 0.3,
) -> tuple[float, float]:
    """GMACs and clips a second (one at a time, this machine) of a view of `frames` frames that came at `low`.

    Where the recipe sees restored video, its `generator` works first and the network sees `high`: both count.
    """
    if learned.recipe.sees != "restored":
        return complexity(learned.network, frames, low).gmacs, throughput(learned.network, frames, low, seconds)
    if generator is None:
        raise UsageError("this recipe sees super-resolved video: name the `generator`, which costs as well")
    share = frames / generator.frames
    gmacs = share * complexity(generator, generator.frames, low).gmacs
    spent = share / throughput(generator, generator.frames, low, seconds)
    gmacs += complexity(learned.network, frames, high).gmacs
    spent += 1 / throughput(learned.network, frames, high, seconds)
    return gmacs, 1 / spent


def _mirrored_pixels(batch: dict[str, Any]) -> dict[str, Any]:
    video: Tensor = batch["video"].permute(0, 4, 1, 2, 3).float() / 255
    return batch | {"video": video.flip(-1)}
