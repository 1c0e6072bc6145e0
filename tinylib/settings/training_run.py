"""One classifier's training from a YAML file, for people without notebooks (`tinylib train config.yaml`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tinylib.errors import DataError, UsageError
from tinylib.files import Json
from tinylib.settings.parameters import conforms, parsed

if TYPE_CHECKING:
    import pandas as pd

    from tinylib.datasets.index import Index

LITERALS = {"optimiser": "str", "schedule": "str", "precision": "str"}  # `FitConfig` checks their words itself


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """What is trained on what. `fit` holds `training.FitConfig`'s fields by their names."""

    data: str  # as notebooks name it
    data_root: str
    run_dir: str
    model: str = "tiny_r3d"  # a name in `models.CLASSIFIERS`
    options: Json = field(default_factory=dict)  # of its constructor
    pretrained: str | None = None  # starting weights: "synthvirat", or a .safetensors file
    frames: int = 16
    size: int = 112  # px
    resize: str = "bilinear"
    reading: str = "winner"  # how clips are sampled and their views joined: tinyvirat, tinyaction, winner or stat
    flip: float = 0.5
    fold: int | None = None
    train: str = "train"  # the splits by name
    test: str = "test"
    seed: int = 0
    fit: Json = field(default_factory=dict)  # epochs, batch_size and lr at least

    @classmethod
    def read(cls, file: str | Path, changes: Mapping[str, str] | None = None) -> Self:
        """From a YAML file, with changes as typed: `epochs` means `fit.epochs`. The line at fault is named by field."""
        import yaml

        try:
            text = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise DataError(f"{file}: not a configuration ({' '.join(str(error).split())})") from None
        if not isinstance(text, dict) or not isinstance(text.get("fit", {}), dict):
            raise DataError(f"{file}: expected fields and values, and under 'fit' the same")
        hints, inner = _hints(cls), _fit_hints()
        values, training = {k: v for k, v in text.items() if k != "fit"}, dict(text.get("fit", {}))
        for name, typed in (changes or {}).items():
            short = name.removeprefix("fit.")
            if short in inner and (short not in hints or name != short):
                training[short] = parsed(typed, inner[short])
            elif name in hints:
                values[name] = parsed(typed, hints[name])
            else:
                raise UsageError(f"-p {name}: unknown; expected one of {', '.join([*hints, *inner])}")
        _check(values, hints, str(file), [f.name for f in fields(cls) if _needed(f)])
        _check(training, inner, f"{file}: fit", ["epochs", "batch_size", "lr"])
        return cls(**values, fit=training)

    def run(self) -> pd.DataFrame:
        """Train, score the test split, and keep network, scores and results in `run_dir`: metric, value, low, high."""
        from dataclasses import replace

        from tinylib.annotations.labels import mirror_permutation
        from tinylib.datasets.store import ClipStore
        from tinylib.evaluation.model_card import ModelCard
        from tinylib.evaluation.scores import READINGS
        from tinylib.methods import recognition
        from tinylib.models import create
        from tinylib.training.optimise import FitConfig

        if self.reading not in READINGS:
            raise UsageError(f"reading {self.reading!r}: expected one of {', '.join(READINGS)}")
        if self.resize not in ("bilinear", "bicubic", "area"):
            raise UsageError(f"resize {self.resize!r}: expected bilinear, bicubic or area")
        training: Json = {name: tuple(value) if isinstance(value, list) else value for name, value in self.fit.items()}
        config = replace(FitConfig(**training), seed=self.seed)
        folder, reading = Path(self.run_dir), READINGS[self.reading]
        splits = {"train": self._split(self.train), "test": self._split(self.test)}
        index = splits["train"]
        card = ModelCard(
            model=self.model, options=self.options, classes=index.classes, multi_label=index.multi_label,
            frames=self.frames, size=self.size, sampler=reading.sampler, resize=self.resize,  # type: ignore[arg-type]
            aggregate=reading.aggregate, on=reading.on,
        )  # fmt: skip
        feed = recognition.Feed(frames=self.frames, size=self.size, resize=self.resize, reading=reading,  # type: ignore[arg-type]
                                batch=config.batch_size, flip=self.flip)  # fmt: skip
        stores = {
            name: ClipStore.build(split, folder / f"{split.split}.store", size=self.size, resize=self.resize)  # type: ignore[arg-type]
            for name, split in splits.items()
        }

        def build(seed: int) -> Any:
            import torch

            torch.manual_seed(seed)
            return create(
                self.model, num_classes=len(index.classes), pretrained=self.pretrained, classes=index.classes,
                **self.options,
            )  # fmt: skip

        taught = recognition.learn(
            build, index, stores["train"], feed, config, folder / "seed", seeds=[self.seed],
            mirror=mirror_permutation(index.classes), description=card.description(),
        )  # fmt: skip
        judged = recognition.judge(taught, splits, stores, feed, label=self.model, run_dir=folder)
        self._record(judged, splits["test"])
        return judged.table(seed=self.seed)

    def _record(self, judged: Any, test: Index) -> None:
        from tinylib.results.rows import Row, commit, device_name, record

        rows = [
            Row(
                paper="ours", ref="train", row=self.model, input=f"{self.frames}x{self.size}x{self.size}",
                metric=str(line.metric), value=float(line.value), low=float(line.low), high=float(line.high),
                n=len(test), profile="full", data=self.data, data_hash=test.digest(), commit=commit(),
                seconds=judged.seconds, device=device_name(),
            )
            for line in judged.table(seed=self.seed).itertuples(index=False)
        ]  # fmt: skip
        record(self.run_dir, rows)

    def _split(self, name: str) -> Index:
        from tinylib.datasets.sources import open_split

        return open_split(self.data, self.data_root, name, fold=self.fold)

    def table(self) -> Json:
        """Every field with its value, as it is written beside the run."""
        return asdict(self)


def _needed(one: Field[object]) -> bool:
    return one.default is MISSING and one.default_factory is MISSING


def _hints(kind: type) -> dict[str, str]:
    plain = {"Json": "dict"}
    return {f.name: plain.get(str(f.type), str(f.type)) for f in fields(kind) if f.name != "fit"}


def _fit_hints() -> dict[str, str]:
    from tinylib.training.optimise import FitConfig

    pairs = {"batch_sizes": "tuple[tuple[int, ...], ...]"}
    hints = {f.name: LITERALS.get(f.name, pairs.get(f.name, str(f.type))) for f in fields(FitConfig)}
    return {name: hint for name, hint in hints.items() if name != "seed"}


def _check(values: Mapping[str, object], hints: Mapping[str, str], where: str, needed: Sequence[str]) -> None:
    for name, value in values.items():
        if name not in hints:
            raise UsageError(f"{where}: unknown field {name!r}; expected some of {', '.join(hints)}")
        if not conforms(value, hints[name]):
            raise UsageError(f"{where}: {name} must be {hints[name]}, got {value!r}")
    if lost := [name for name in needed if name not in values]:
        raise UsageError(f"{where}: {lost[0]} is missing")
