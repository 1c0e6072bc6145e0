"""What notebook 11 runs with: experiments that need true high resolution, known actors and all methods side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tinylib.errors import UsageError
from tinylib.methods.recipes import Budget
from tinylib.methods.super_resolution import Restoration
from tinylib.settings.parameters import home, scaled
from tinylib.settings.study import Recognising

SECTIONS = ("resized", "teachers", "attention", "sweep", "parts")
RESTORERS = ("bicubic", "dvsr", "progressive", "realbasicvsr")
TRANSFERS = ("distillation", "attention")
COMPARED = ("tinyaction", "tinyvirat", "winner", "stat", "tiny")


@dataclass(frozen=True, kw_only=True)
class BeyondThePapers(Recognising):
    """11: natural against resized low resolution, teachers, attention, the resolution sweep, the combined recipe."""

    run_dir: str = "runs/11_beyond_the_papers"
    sections: tuple[str, ...] = scaled(SECTIONS, SECTIONS[:-1], SECTIONS)  # beside the comparison of recipes
    fold: int | None = None
    weights: str = ""  # of RealBasicVSR, as `tinylib convert` wrote them
    portion: int | None = scaled(None, 40, None)  # training clips a class of the study
    train_limit: int | None = scaled(24, None, None)  # of other data, where classes are as they are
    test_limit: int | None = scaled(16, None, None)
    smallest: int = scaled(32, 64, 112)  # px: surveillance clips below this have no high resolution
    kept: int | None = scaled(8, 8, None)  # frames a clip
    high: int | tuple[int, ...] = scaled(16, 28, 112)  # px, or (height, width): of the teacher
    low: int | tuple[int, ...] = scaled(8, 14, 14)
    crossed: tuple[int, ...] = scaled((12,), (), (10, 28, 56))  # px at which natural meets resized, beside `low`
    sizes: tuple[int, ...] = scaled((8, 12), (10, 14), (10, 14, 20, 28, 40, 56, 80, 112))  # of the sweep
    swept: tuple[str, ...] = scaled(("tinyaction", "tinyvirat", "tiny"), ("tinyaction", "tiny"), COMPARED)
    compared: tuple[str, ...] = COMPARED
    model: str = scaled("tiny_r3d", "tiny_r3d", "r3d18")
    options: tuple[tuple[str, object], ...] = scaled((), (), (("stem", "low"),))  # of its constructor
    still: float = 1.0  # share of what stands still that every recipe's networks see
    restorers: tuple[str, ...] = scaled(RESTORERS[:3], RESTORERS[2:3], RESTORERS[:3])  # whose video teachers see
    transfers: tuple[str, ...] = scaled(TRANSFERS, TRANSFERS[:1], TRANSFERS)  # of what students learn from teachers
    segments: str = scaled("resnet10", "resnet10", "resnet34")
    frames: int = scaled(4, 8, 16)
    epochs: int = scaled(1, 4, 100)
    generator_epochs: int = scaled(10, 2, 200)
    channels: int = scaled(4, 8, 32)  # of the super-resolver
    batch: int = scaled(8, 16, 32)
    lr: float = scaled(2e-3, 1e-3, 1e-3)
    seeds: int = scaled(1, 2, 3)
    pointed: int = scaled(4, 200, 400)  # clips whose actors maps are compared with

    def __post_init__(self) -> None:
        super().__post_init__()
        model, options = self.chosen(self.model, self.options)
        object.__setattr__(self, "model", model)
        object.__setattr__(self, "options", options)
        for field, known in (("sections", SECTIONS), ("restorers", RESTORERS), ("transfers", TRANSFERS)):
            for name in getattr(self, field):
                if name not in known:
                    raise UsageError(f"{field}: expected some of {', '.join(known)}, found {name!r}")
        side = self.high if isinstance(self.high, int) else max(self.high)
        if any(size >= side for size in self.crossed):
            raise UsageError(
                f"crossed: {max(self.crossed)} is not below `high` ({side} px), which clips are resized from"
            )
        if "realbasicvsr" in self.restorers and not self.weights:
            raise UsageError("restorers: 'realbasicvsr' needs `weights`, a file that `tinylib convert` wrote")
        if "tiny" not in self.compared:
            raise UsageError("compared: 'tiny' is what every recipe is held against, and must be among them")

    @property
    def scale(self) -> int:
        """Of super-resolution: from `low` to `high`."""
        low = self.low if isinstance(self.low, int) else self.low[0]
        return (self.high if isinstance(self.high, int) else self.high[0]) // low

    @property
    def restoration(self) -> Restoration:
        """How generators are taught: they begin as interpolation, a new stage is in after 20 steps; runs are short."""
        frames = self.kept or 16
        return Restoration(self.channels, 2, True, frames, self.generator_epochs, (self.batch,), 1e-3, "cosine", 20)

    def budgets(self) -> tuple[Budget, ...]:
        """One a seed."""
        return tuple(
            Budget(
                model=self.model,
                options=self.options,
                segments=self.segments,
                frames=self.frames,
                epochs=self.epochs,
                batch=self.batch,
                lr=self.lr,
                still=self.still,
                start=self.start,
                seed=seed,
            )
            for seed in range(self.seed, self.seed + self.seeds)
        )

    def file(self, name: str) -> Path:
        """A file of weights, from the project's folder where it is relative."""
        return home() / name
