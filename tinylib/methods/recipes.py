"""Whole recipes, from pairs of low and high resolution to scores: the papers' own, and one that combines what helps.

All share backbone width, clips, epochs and batch size, so that tables compare recipes and not budgets; what differs is
written in one line each (`RECIPES`). The networks here are the small ones that a CPU can train many of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from tinylib.datasets.degrade import Size
from tinylib.datasets.index import Index
from tinylib.datasets.loading import Batch, BatchTransform, ClipDataset
from tinylib.errors import UsageError
from tinylib.evaluation.scores import READINGS, Scores, predict
from tinylib.files import Json
from tinylib.methods import attention_transfer
from tinylib.methods.material import Material, at_size
from tinylib.models.cost import complexity, throughput
from tinylib.models.dvsr import ProgressiveDVSR
from tinylib.models.segments import SegmentNetwork
from tinylib.training import losses
from tinylib.training.loop import FitConfig, FitResult, fit
from tinylib.training.objectives.attention_transfer import AttentionTransfer
from tinylib.training.objectives.classify import Classify, Loss
from tinylib.training.objectives.cross_resolution import CrossResolution
from tinylib.training.objectives.distill import Distillation

__all__ = [
    "PARTS", "RECIPES", "Budget", "Learned", "Material", "Recipe", "at_size", "cost", "learn", "network_of",
    "objective_of", "read",
]  # fmt: skip

Teacher = Literal["none", "low", "restored", "high"]  # the pixels it sees; "low": the student's own
Lesson = Literal["scores", "trust", "attention"]
Start = Callable[[nn.Module, Sequence[str]], nn.Module]  # a network and its outputs' names -> that network
Schedule = Literal["constant", "multistep", "cosine", "restarts"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One way to learn from tiny clips and to read them. Fields are the parts that an ablation takes away.

    lesson: what a teacher gives. "scores": the winner's Eq. 1, the mean squared distance of scores; "trust": the
    divergence of answers, each clip's counted as far as the teacher is right; "attention": STAT's maps.
    """

    sampler: str  # of training; test reads the clip as `READINGS[reading]` says
    reading: str
    flip: float = 0.5
    sees: Literal["low", "restored"] = "low"  # what the delivered network is given
    still: float | None = None  # None: the budget's (`Budget.still`)
    network: Literal["classifier", "segments"] = "classifier"
    loss: Literal["plain", "asymmetric", "prior"] = "plain"
    teacher: Teacher = "none"
    lesson: Lesson = "scores"
    alpha: float = 0.5  # weight of the labels beside the teacher's answers
    factors: tuple[float, ...] = (1.0,)  # resolutions that training shows, as shares of the clip's
    optimiser: Literal["adam", "adamw", "sgd"] = "adam"
    pace: float = 1.0  # its rate over the budget's: SGD takes larger steps than Adam
    schedule: Schedule = "constant"
    milestones: tuple[float, ...] = (0.25, 0.5, 0.75)  # of "multistep", as shares of the run
    ema: float | None = None  # averaged weights are delivered
    mirrored_views: bool = False  # test also sees each view mirrored, left and right labels swapped

    def __post_init__(self) -> None:
        if self.lesson == "scores" and self.teacher != "none" and self.factors != (1.0,):
            raise UsageError("recipe: lesson 'scores' (winner, Eq. 1) knows one resolution; 'trust' takes `factors`")
        if self.lesson == "attention" and self.network != "segments":
            raise UsageError("recipe: lesson 'attention' is STAT's, whose network is 'segments'")

    @property
    def restores(self) -> bool:
        """Whether super-resolved video is part of it: seen by the network, or by its teacher."""
        return "restored" in (self.sees, self.teacher)


RECIPES: dict[str, Recipe] = {
    "tinyaction": Recipe(sampler="contiguous", reading="tinyaction", flip=0.0, schedule="multistep"),
    "tinyvirat": Recipe(sampler="strided", reading="tinyvirat", sees="restored"),
    "winner": Recipe(
        sampler="uniform",
        reading="winner",
        teacher="restored",
        loss="asymmetric",
        optimiser="adamw",
        schedule="restarts",
    ),
    "stat": Recipe(
        sampler="segments",
        reading="stat",
        network="segments",
        teacher="high",
        lesson="attention",
        optimiser="sgd",
        pace=15.0,
        schedule="multistep",
        milestones=(0.4, 0.8),
    ),
    "tiny": Recipe(sampler="uniform", reading="winner", loss="asymmetric", schedule="cosine"),
}
PARTS: dict[str, Json] = {  # what each ablation of the combined recipe changes; "with": parts left out of it
    "without uniform sampling": {"sampler": "contiguous", "reading": "tinyaction"},
    "without the asymmetric loss": {"loss": "plain"},
    "without the falling rate": {"schedule": "constant"},
    "with restarts instead": {"schedule": "restarts"},
    "with what stands still dimmed": {"still": 0.3},
    "with a high-resolution teacher": {"teacher": "high", "lesson": "trust"},
    "with coarser resolutions": {"factors": (1.0, 0.75, 0.5)},
    "with averaged weights": {"ema": 0.97},
    "with the classes' shares in the loss": {"loss": "prior"},
    "with mirrored views": {"mirrored_views": True},  # at twice the cost
}


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What every recipe gets: the same network and where it starts from, clips, steps, and view of what stands still.

    still: share of what stands still that networks see, in video of several labels (`models.create`); 1 is all.
    start: gives a fresh network, a teacher too, its starting weights (`Studied.start`); None leaves it as it is.
    """

    model: str = "tiny_r3d"  # in models.CLASSIFIERS
    options: tuple[tuple[str, Any], ...] = ()  # of its constructor
    segments: str = "resnet10"  # in models.segments.SEGMENT_BACKBONES, for STAT's kind of network
    frames: int = 8
    epochs: int = 40
    batch: int = 16
    lr: float = 2e-3
    still: float = 1.0
    start: Start | None = None
    seed: int = 0


class StillSegments(SegmentNetwork):
    """STAT's network where what stands still over all its intervals is dimmed, as `VideoClassifier.still` does it."""

    still = 1.0

    def features(self, video: Tensor) -> dict[str, Tensor]:
        if self.still != 1:
            mean, rest = self.backbone.mean, video.mean(2, keepdim=True)
            video = mean + 2 * (video - rest) + self.still * (rest - mean)
        return super().features(video)


@dataclass(frozen=True)
class Learned:
    """What a recipe made of its training clips."""

    recipe: Recipe
    network: nn.Module
    teacher: nn.Module | None
    seconds: float  # of training, the teacher's included


def network_of(recipe: Recipe, budget: Budget, index: Index) -> nn.Module:
    """A fresh network, the same for equal seeds, from the budget's starting weights.

    Where a clip has one label alone, as in videos of sports, its place tells much of it, so nothing is dimmed.
    """
    torch.manual_seed(budget.seed)
    still = budget.still if recipe.still is None else recipe.still
    still = still if index.multi_label else 1.0
    if recipe.network == "segments":
        segments = StillSegments(
            num_classes=len(index.classes), backbone=budget.segments, segments=budget.frames, stem="low"
        )
        segments.still = still
        return segments if budget.start is None else budget.start(segments, index.classes)
    network = models.create(budget.model, num_classes=len(index.classes), still=still, **dict(budget.options))
    return network if budget.start is None else budget.start(network, index.classes)


def learn(recipe: Recipe, material: Material, budget: Budget, run_dir: str | Path) -> Learned:
    """Train by a recipe; its teacher, if it has one, first and with the same budget. Killed, it goes on."""
    run_dir, index = Path(run_dir), material.index
    teacher, seconds = None, 0.0
    if recipe.teacher != "none":
        plain = replace(recipe, teacher="none", lesson="scores", factors=(1.0,))
        teacher = network_of(plain, budget, index)
        lessons = Classify(teacher, loss=_loss(plain, index))
        seconds = _fit(lessons, plain, material, recipe.teacher, None, budget, run_dir / "teacher").seconds
    network = network_of(recipe, budget, index)
    objective = objective_of(recipe, network, teacher, index, epochs=budget.epochs)
    high = recipe.teacher if teacher is not None else None
    result = _fit(objective, recipe, material, recipe.sees, high, budget, run_dir)
    return Learned(recipe, network, teacher, seconds + result.seconds)


def objective_of(
    recipe: Recipe, network: nn.Module, teacher: nn.Module | None, index: Index, *, epochs: int
) -> Classify | Distillation | CrossResolution | AttentionTransfer:
    """What the recipe trains with: labels alone, or beside the lesson that it names.

    A single label's "scores" are compared as "trust" compares answers, all trusted alike: Eq. 1 is of several labels.
    """
    loss = _loss(recipe, index)
    if teacher is None:
        if recipe.factors == (1.0,):
            return Classify(network, loss=loss)
        return CrossResolution(network, loss=loss, factors=recipe.factors)
    if recipe.lesson == "attention":
        assert isinstance(network, SegmentNetwork)
        assert isinstance(teacher, SegmentNetwork)
        network.load_state_dict(teacher.state_dict())  # from scratch there are no norms worth freezing
        return attention_transfer.transfer(network, teacher, attention_transfer.ROLLING, epochs, freeze_norms=False)
    if recipe.lesson == "scores" and index.multi_label:
        return Distillation(network, teacher, alpha=recipe.alpha, loss=loss)
    trust = recipe.lesson == "trust"
    return CrossResolution(network, teacher, loss=loss, alpha=recipe.alpha, trust=trust, factors=recipe.factors)


def _loss(recipe: Recipe, index: Index) -> Loss:
    """The loss of labels; asymmetric loss is of several labels, so a single label gets cross-entropy."""
    targets = torch.from_numpy(index.targets())
    if recipe.loss == "prior":
        hot = targets if index.multi_label else F.one_hot(targets, len(index.classes)).float()
        return partial(losses.prior_adjusted, prior=hot.mean(0))
    if not index.multi_label:
        return F.cross_entropy
    return mean_asymmetric if recipe.loss == "asymmetric" else F.binary_cross_entropy_with_logits


def mean_asymmetric(logits: Tensor, targets: Tensor) -> Tensor:
    """The asymmetric loss as a mean over clips and classes, which is the scale of the teacher's term (winner, Eq. 1).

    The authors' code sums over classes; beside a mean over classes the teacher would hardly count.
    """
    return losses.asymmetric(logits, targets, reduce="mean") / logits.shape[1]


def _fit(
    objective: nn.Module,
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
        lr=recipe.pace * budget.lr,
        optimiser=recipe.optimiser,
        weight_decay=1e-2 if recipe.optimiser == "adamw" else 0.0,
        schedule=recipe.schedule,
        milestones=recipe.milestones,
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
    store = material.seen(sees or recipe.sees)
    whole = bool((store.frames == budget.frames).all())  # then every view of a clip is the same one
    data = ClipDataset(
        material.index,
        sampler=reading.sampler,
        frames=budget.frames,
        size=None,
        store=store,
        views="centre" if whole else "test",
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


def _mirrored_pixels(batch: Batch) -> Batch:
    video: Tensor = batch["video"].permute(0, 4, 1, 2, 3).float() / 255
    return batch | {"video": video.flip(-1)}
