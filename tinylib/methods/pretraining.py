"""Pre-training on SynthVIRAT: what makes the weights that the package ships (`tinylib pretrain`).

Classifiers learn all 26 classes from clips of 8 to 112 px (`pretraining_data`). Generators learn from pairs of a
natural 14 px clip and its clean truth, so that they restore what the camera took, not what a reduction took. The
foreground branch learns beside a frozen generator and a frozen classifier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from torch import Tensor, nn

from tinylib.datasets.loading import Batch, ClipDataset
from tinylib.errors import UsageError
from tinylib.methods.pretraining_card import finished, publish
from tinylib.methods.pretraining_data import Amount, PretrainingSet
from tinylib.methods.pretraining_lessons import LESSONS, Lesson, companion, network_of, sampler_of, transform_of
from tinylib.methods.super_resolution import phase_one
from tinylib.models.dvsr import DVSR, ProgressiveDVSR
from tinylib.progress import Progress
from tinylib.training.loop import FitConfig, FitResult, fit
from tinylib.training.objectives.classify import Classify
from tinylib.training.objectives.foreground import Foreground
from tinylib.training.optimise import ParameterGroup

LOSSES = ("loss", "reconstruction", "action", "area")  # of a history, that the log ends with


class Dimmed(Classify):
    """Classification that shows what stands still in full and dimmed by turns, so that one network serves both."""

    def __init__(self, model: nn.Module, stills: Sequence[float]):
        super().__init__(model)
        self.stills = tuple(stills)

    def losses(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        self.model.still = self.stills[progress.global_step % len(self.stills)]  # type: ignore[assignment]
        return super().losses(batch, progress)


class Branch(Foreground):
    """The foreground branch alone: it learns beside a generator and a classifier that stay as they are."""

    @property
    def model(self) -> nn.Module:
        return self.attention

    def turns(self, batch: Batch, progress: Progress) -> Iterator[tuple[str, dict[str, Tensor]]]:
        turns = super().turns(batch, progress)
        next(turns)  # the classifier's, which knows already
        yield from turns

    def train(self, mode: bool = True) -> Branch:
        super().train(mode)
        self.generator.eval()
        self.classifier.eval()
        return self

    def parameter_groups(self) -> list[ParameterGroup]:
        return [{"params": list(self.attention.parameters()), "turn": "generator"}]


def clips_for(lesson: Lesson, data: PretrainingSet) -> ClipDataset:
    """What the network learns from."""
    if not lesson.classifier:
        index, low = data.natural(data.amount.pairs)
        high = data.clean(data.amount.pairs)[1]
        return ClipDataset(index, store=low, high=high, sampler="uniform", frames=lesson.frames, size=None)
    index, store = data.mixed()
    return ClipDataset(
        index, store=store, sampler=sampler_of(lesson), frames=lesson.frames, size=None, seed=lesson.seed
    )


def teach(lesson: Lesson, data: PretrainingSet, run_dir: Path, out: Path) -> tuple[nn.Module, FitResult]:
    """Train the network, or go on with the run that was interrupted. out: where the branch's companions lie."""
    clips, network = clips_for(lesson, data), network_of(lesson)
    config = FitConfig(
        epochs=lesson.epochs,
        batch_size=lesson.batch,
        lr=lesson.lr,
        optimiser="adamw",
        weight_decay=lesson.weight_decay,
        schedule="one_cycle",
        clip_norm=5.0,
        checkpoint_every=100,
        seed=lesson.seed,
    )
    objective: nn.Module
    if lesson.generator:
        assert isinstance(network, DVSR | ProgressiveDVSR)
        objective, config = phase_one(
            network,
            len(clips.index),
            epochs=lesson.epochs,
            batches=(lesson.batch,),
            lr=lesson.lr,
            fade=20,
            schedule="cosine",
            from_interpolation=True,
            seed=lesson.seed,
        )
    elif lesson.classifier:
        objective = Dimmed(network, lesson.stills)
    else:
        objective = Branch(companion("progressive_dvsr_x4", out), network, companion("tiny_r3d_small", out))  # type: ignore
    about = {name: value for name, value in asdict(lesson).items() if name not in ("epochs", "batch", "lr")}
    result = fit(objective, clips, config, run_dir, transform=transform_of(lesson), description=about)
    if lesson.classifier:
        network.still = 1.0  # type: ignore[assignment]
    return network.eval(), result


def pretrain(
    names: Sequence[str], out: str | Path, *, root: str | Path | None = None, amount: Amount | None = None
) -> list[Path]:
    """Teach the networks of these names (none: all) one after another; weights and cards into `out`.

    root: where the study and its stores lie (default: out/data). What is finished is left as it is; killed and called
    again, the rest goes on where it was. Notes go to out/pretrain.log. UsageError: a name that is no lesson.
    """
    unknown = [name for name in names if name not in LESSONS]
    if unknown:
        raise UsageError(f"pretrain: no network {unknown[0]!r}; there are {', '.join(LESSONS)}")
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    data, say = PretrainingSet(Path(root) if root else out / "data", amount or Amount()), _log(out / "pretrain.log")
    data.prepare()
    files = []
    for name in names or LESSONS:
        lesson = LESSONS[name]
        files.append(out / f"{name}.safetensors")
        if finished(name, lesson, data, out):
            say(f"{name}: finished before")
            continue
        say(f"{name}: begins, {lesson.epochs} epochs")
        network, result = teach(lesson, data, out / "runs" / name, out)
        losses = ", ".join(f"{key} {value:.4f}" for key, value in result.history[-1].items() if key in LOSSES)
        say(f"{name}: taught in {result.seconds / 60:.1f} minutes, at last {losses}")
        say(f"{name}: {publish(name, lesson, network, result, data, out)}")
    return files


def _log(file: Path) -> Callable[[str], None]:
    def say(line: str) -> None:
        stamped = f"{datetime.now():%Y-%m-%d %H:%M:%S} {line}"
        print(stamped, flush=True)
        with open(file, "a", encoding="utf-8") as log:
            log.write(stamped + "\n")

    return say
