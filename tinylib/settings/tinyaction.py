"""What notebook 03 runs with: the TinyAction challenge's baselines, and TinyVIRAT's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tinylib.datasets.index import Index
from tinylib.datasets.store import ClipStore, Resize
from tinylib.evaluation.model_card import ModelCard
from tinylib.evaluation.scores import READINGS
from tinylib.methods.recognition import Feed
from tinylib.settings.parameters import scaled
from tinylib.settings.study import Recognising
from tinylib.training.optimise import FitConfig


class Baseline(NamedTuple):
    """One row of a paper's table and what it is trained with."""

    paper: str
    ref: str
    row: str
    model: str  # a name in `models.CLASSIFIERS`
    frames: int
    size: int  # pixels, square
    batch: int
    epochs: int
    lr: float  # of Adam
    options: tuple[tuple[str, object], ...] = ()  # of the constructor, where they are not the published ones

    @property
    def label(self) -> str:
        return f"{self.row} ({self.paper})"

    @property
    def resize(self) -> Resize:
        return "bilinear" if self.paper == "tinyaction" else "bicubic"

    def feed(self) -> Feed:
        """How the paper reads clips."""
        flip = 0.0 if self.paper == "tinyaction" else 0.5
        reading = READINGS[self.paper]
        return Feed(
            frames=self.frames, size=self.size, resize=self.resize, reading=reading, batch=self.batch, flip=flip
        )

    def card(self, index: Index) -> ModelCard:
        """What the trained network is, for its run folder."""
        return ModelCard(
            model=self.model,
            options=dict(self.options),
            classes=index.classes,
            multi_label=index.multi_label,
            frames=self.frames,
            size=self.size,
            resize=self.resize,
            **READINGS[self.paper]._asdict(),
        )

    def fitting(self, epochs: int | None) -> FitConfig:
        """How the paper trains: TinyAction steps down, TinyVIRAT does not."""
        stepped = self.paper == "tinyaction"
        return FitConfig(
            epochs=epochs or self.epochs,
            batch_size=self.batch,
            lr=self.lr,
            betas=(0.9, 0.999) if stepped else (0.5, 0.9),
            schedule="multistep" if stepped else "constant",
        )


NARROW = (("stem", "low"), ("widths", (8, 16, 32, 64)))
NARROW_STEM = (*NARROW, ("stem_channels", 8))
SHALLOW = ("blocks", (1, 1, 1, 1))


@dataclass(frozen=True, kw_only=True)
class Baselines(Recognising):
    """03: TinyAction Table 2 and Figs 4-6; TinyVIRAT Table II, baseline rows."""

    run_dir: str = "runs/03_baselines"
    fold: int | None = None  # of UCF-101 and HMDB-51 (None: 1); of class folders, the group held out
    only: tuple[str, ...] = ()  # names of `models.CLASSIFIERS`; () is all rows
    epochs: int | None = None  # None: each row's own
    seeds: int = scaled(1, 2, 3)  # runs a row, from `seed` on
    balanced: bool = scaled(True, True, False)  # SynthVIRAT: the shared study instead of the filmed long tail
    ratio: float = scaled(2.0, 5.0, 1.0)  # of the study: training clips of the most frequent class over the rarest's
    native: int = scaled(16, 14, 112)  # pixels at which the study's clips were recorded
    clips: int | None = scaled(24, None, None)  # of other data, a split, drawn at random; None is all
    timed: float = scaled(0.1, 0.5, 5.0)  # seconds of timing a network
    sizes: tuple[int, ...] = scaled(
        (28,), (28, 56, 112), (28, 56, 112, 224)
    )  # px at which the published ones are timed
    rows: tuple[Baseline, ...] = scaled(
        (
            Baseline("tinyaction", "Table 2", "R(2+1)D", "tiny_r2plus1d", 4, 16, 12, 1, 2e-3),
            Baseline("tinyvirat", "Table II", "ResNet-50", "tiny_r3d", 4, 16, 12, 1, 2e-3),
        ),
        (
            Baseline("tinyaction", "Table 2", "I3D", "tiny_r3d", 8, 20, 16, 1, 1e-3),
            Baseline("tinyaction", "Table 2", "Resnet-3D", "r3d18", 8, 20, 16, 1, 1e-3, NARROW_STEM),
            Baseline("tinyaction", "Table 2", "R(2+1)D", "r2plus1d50", 8, 20, 16, 1, 1e-3, (SHALLOW, *NARROW)),
            Baseline("tinyaction", "Table 2", "WideResNet-3D", "wrn50", 8, 20, 16, 1, 1e-3, (SHALLOW, *NARROW_STEM)),
            Baseline("tinyvirat", "Table II", "I3D", "tiny_r3d", 8, 20, 16, 1, 5e-4),
            Baseline("tinyvirat", "Table II", "ResNet-50", "r3d50_2018", 8, 20, 16, 1, 5e-4, (SHALLOW, *NARROW_STEM)),
            Baseline("tinyvirat", "Table II", "WideResNet", "wrn50", 8, 20, 16, 1, 5e-4, (SHALLOW, *NARROW_STEM)),
        ),
        (
            Baseline("tinyaction", "Table 2", "I3D", "i3d", 32, 224, 24, 200, 1e-3, (("time", "max"),)),
            Baseline("tinyaction", "Table 2", "Resnet-3D", "r3d18", 16, 112, 96, 200, 1e-3),
            Baseline("tinyaction", "Table 2", "R(2+1)D", "r2plus1d50", 16, 112, 64, 200, 1e-3),
            Baseline("tinyaction", "Table 2", "WideResNet-3D", "wrn50", 16, 112, 64, 200, 1e-3),
            Baseline("tinyvirat", "Table II", "I3D", "i3d_tinyvirat", 16, 112, 24, 500, 2e-4),
            Baseline("tinyvirat", "Table II", "ResNet-50", "r3d50_2018", 16, 112, 24, 500, 2e-4),
            Baseline("tinyvirat", "Table II", "WideResNet", "wrn50", 16, 112, 24, 500, 2e-4),
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        rows = list(self.rows)
        if self.network:  # one row a paper, by the network's own name: it is none of the paper's
            papers = dict.fromkeys(row.paper for row in rows)
            least = [min((r for r in rows if r.paper == paper), key=lambda r: r.frames * r.size**2) for paper in papers]
            rows = [row._replace(row=self.network) for row in least]
        chosen = [self.chosen(row.model, row.options) for row in rows]
        rows = [row._replace(model=model, options=options) for row, (model, options) in zip(rows, chosen, strict=True)]
        object.__setattr__(self, "rows", tuple(rows))

    def seeded(self) -> range:
        return range(self.seed, self.seed + self.seeds)

    @property
    def studied(self) -> bool:
        return self.balanced and self.dataset_source.studies

    def material(self) -> dict[str, Index]:
        """ "train", "test" and, of the study, "val"; the study's training clips with a long tail."""
        from tinylib.datasets.balance import long_tail
        from tinylib.datasets.statistics import sample
        from tinylib.methods import pairs

        if self.studied:
            study = pairs.splits(self)
            return study | {"train": long_tail(study["train"], ratio=self.ratio, seed=self.seed)}
        splits = {"train": self.split("train"), "test": self.split(self.evaluation)}
        return (
            splits
            if not self.clips
            else {name: sample(index, self.clips, seed=self.seed) for name, index in splits.items()}
        )

    def stores(self, splits: Mapping[str, Index], row: Baseline) -> dict[str, ClipStore]:
        """The clips of each split for a row: at the row's size, of the study as they were recorded."""
        from tinylib.methods import pairs

        if self.studied:
            return {name: pairs.rendered(self, index, self.native, sensor=True) for name, index in splits.items()}
        return {
            name: ClipStore.build(
                index, self.runs / f"{index.split}-{row.size}-{row.resize}.store", size=row.size, resize=row.resize
            )
            for name, index in splits.items()
        }
