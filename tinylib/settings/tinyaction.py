"""What notebook 03 runs with: the TinyAction challenge's baselines, and TinyVIRAT's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from tinylib.settings.parameters import Notebook, scaled


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
    options: tuple[tuple[str, Any], ...] = ()  # of the constructor, where they are not the published ones


NARROW = (("stem", "low"), ("widths", (8, 16, 32, 64)))
NARROW_STEM = (*NARROW, ("stem_channels", 8))
SHALLOW = ("blocks", (1, 1, 1, 1))


@dataclass(frozen=True, kw_only=True)
class Baselines(Notebook):
    """03: TinyAction Table 2 and Figs 4-6; TinyVIRAT Table II, baseline rows."""

    run_dir: str = "runs/03_baselines"
    fold: int | None = None  # of UCF-101 and HMDB-51 (None: 1); of class folders, the group held out
    only: tuple[str, ...] = ()  # names of `models.CLASSIFIERS`; () is all rows
    epochs: int | None = None  # None: each row's own
    seeds: int = scaled(1, 1, 3)  # runs a row, from `seed` on
    clips: int | None = scaled(24, 180, None)  # a split, drawn at random; None is all
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
            Baseline("tinyaction", "Table 2", "I3D", "i3d", 8, 32, 16, 4, 1e-3),
            Baseline("tinyaction", "Table 2", "Resnet-3D", "r3d18", 8, 28, 16, 5, 1e-3, NARROW_STEM),
            Baseline("tinyaction", "Table 2", "R(2+1)D", "r2plus1d50", 8, 28, 16, 4, 1e-3, (SHALLOW, *NARROW)),
            Baseline("tinyaction", "Table 2", "WideResNet-3D", "wrn50", 8, 28, 16, 4, 1e-3, (SHALLOW, *NARROW_STEM)),
            Baseline("tinyvirat", "Table II", "I3D", "i3d_tinyvirat", 8, 24, 16, 3, 2e-4),
            Baseline("tinyvirat", "Table II", "ResNet-50", "r3d50_2018", 8, 28, 16, 5, 2e-4, (SHALLOW, *NARROW_STEM)),
            Baseline("tinyvirat", "Table II", "WideResNet", "wrn50", 8, 28, 16, 4, 2e-4, (SHALLOW, *NARROW_STEM)),
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
