"""What a trained network is and wants of a clip, kept with its weights, so that a run folder can be used again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from tinylib import models
from tinylib.datasets.sampling import SAMPLERS
from tinylib.datasets.store import Resize
from tinylib.errors import DataError, UsageError
from tinylib.evaluation.calibration import FILE as CALIBRATION
from tinylib.evaluation.calibration import Calibration, fit_calibration
from tinylib.evaluation.scores import Aggregate, On, Reading, Scores
from tinylib.files import Json, sha256
from tinylib.models import checkpoint
from tinylib.models.common import VideoClassifier


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """The `description` of a run whose network `open_model` can build again and feed as it was fed in training."""

    model: str  # a name in `models.CLASSIFIERS`
    options: Json = field(default_factory=dict)  # of its constructor, besides num_classes
    classes: tuple[str, ...]
    multi_label: bool
    frames: int
    size: int | tuple[int, int]
    sampler: str
    resize: Resize = "bilinear"
    aggregate: Aggregate = "mean"
    on: On = "probabilities"

    @property
    def reading(self) -> Reading:
        return Reading(self.sampler, self.aggregate, self.on)

    def description(self) -> Json:
        """As plain values, for `fit(..., description=...)`."""
        return asdict(self) | {"options": dict(self.options), "classes": list(self.classes)}

    @classmethod
    def read(cls, description: Json, source: str | Path) -> ModelCard:
        """From what a checkpoint says of itself; DataError names every field that it lacks or has wrong."""
        needed = ("model", "classes", "multi_label", "frames", "size", "sampler")
        lost = [name for name in needed if name not in description]
        if lost:
            raise DataError(
                f"{source}: its description lacks {', '.join(lost)}: the network cannot be built and fed again "
                "(train it with description=ModelCard(...).description())"
            )
        given = {f.name: description[f.name] for f in fields(cls) if f.name in description}
        given |= {"classes": tuple(given["classes"])}
        if isinstance(given["size"], list):
            given["size"] = tuple(given["size"])
        if given["model"] not in models.CLASSIFIERS or given["sampler"] not in SAMPLERS:
            wrong = "model" if given["model"] not in models.CLASSIFIERS else "sampler"
            raise DataError(f"{source}: {wrong} {given[wrong]!r} is not one of ours")
        return cls(**given)

    def build(self) -> VideoClassifier:
        """A fresh network."""
        return models.create(self.model, num_classes=len(self.classes), **dict(self.options))


@dataclass(frozen=True)
class Trained:
    """A network with its weights, in eval mode on the CPU, and what belongs to it."""

    network: VideoClassifier
    card: ModelCard
    weights: Path
    calibration: Calibration | None  # None: its scores are as they came out of training


def weights_of(run: str | Path) -> Path:
    """The checkpoint of a run folder (its best, where it kept one), or the .safetensors file itself."""
    run = Path(run)
    if run.suffix == ".safetensors":
        if not run.is_file():
            raise DataError(f"{run}: no such checkpoint")
        return run
    if not run.is_dir():
        raise DataError(f"{run}: no such run folder")
    for name in ("best.safetensors", "model.safetensors"):
        if (run / name).is_file():
            return run / name
    raise DataError(f"{run}: no model.safetensors in it: not the folder of a finished run")


def open_model(run: str | Path) -> Trained:
    """Build the network of a run folder (or .safetensors file) again, with its calibration if it lies beside it."""
    weights = weights_of(run)
    state, description = checkpoint.load(weights)
    card = ModelCard.read(description, weights)
    try:
        network = card.build()
    except (TypeError, UsageError) as error:
        raise DataError(f"{weights}: {card.model} cannot be built with options {dict(card.options)}") from error
    checkpoint.restore(network, state, source=weights)
    calibration = None
    if (weights.parent / CALIBRATION).exists():
        calibration = Calibration.load(weights.parent / CALIBRATION)
        if calibration.weights and calibration.weights != sha256(weights):
            raise DataError(f"{weights.parent / CALIBRATION}: of other weights than {weights.name}; fit it again")
        if calibration.classes != card.classes:
            raise DataError(f"{weights.parent / CALIBRATION}: of other classes than {weights.name}'s")
    return Trained(network.eval(), card, weights, calibration)


def calibrated(run: str | Path, scores: str | Path | Scores) -> Trained:
    """Fit a run's calibration on scores of clips that it has not learned from, keep it beside the weights, open it."""
    weights = weights_of(run)
    card = ModelCard.read(checkpoint.load(weights)[1], weights)
    answers = scores if isinstance(scores, Scores) else Scores.load(scores)
    if answers.targets is None or (answers.targets.ndim == 2) != card.multi_label or answers.classes != card.classes:
        raise DataError(
            f"calibration: the scores of {answers.name} {answers.split} are not labelled with {run}'s classes"
        )
    calibration = fit_calibration(answers.scores, answers.targets, answers.classes, weights=sha256(weights))
    calibration.save(weights.parent / CALIBRATION)
    return open_model(weights)
