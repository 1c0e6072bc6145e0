"""What notebooks 04 to 06 run with: super-resolution and foreground attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from tinylib.settings.parameters import EIGHT, Notebook, scaled


class Restoration(NamedTuple):
    """How super-resolution networks are made and trained (phase 1)."""

    channels: int
    blocks: int  # RRDBs of DVSR; progressive DVSR has one a stage
    skip: bool  # DVSR too adds the upsampled input, and both start as that alone (released: no; else short runs copy)
    frames: int
    epochs: int  # multiple of 10: stages end with an epoch
    batches: tuple[int, ...]  # by stage, the last one last
    lr: float
    schedule: str
    fade: int  # iterations


@dataclass(frozen=True, kw_only=True)
class ProgressiveDvsr(Notebook):
    """04: DVSR and progressive DVSR by PSNR and SSIM."""

    run_dir: str = "runs/04_progressive_dvsr"
    scale: int = 4
    fold: int | None = None
    twins: bool = False  # SynthVIRAT: learn from clips rendered at high resolution, not from its largest clips
    size: int = scaled(48, 56, 112)  # pixels of the high resolution
    crop: int = scaled(32, 40, 112)  # random part of it in training
    clips: int | None = scaled(8, 56, None)  # to train on
    held: int | None = scaled(4, 32, None)  # to test on
    shown: int = scaled(1, 3, 6)
    restoration: Restoration = scaled(  # noqa: RUF009
        Restoration(4, 1, True, 8, 10, (4,), 3e-3, "cosine", 3),
        Restoration(16, 2, True, 8, 20, (4,), 1e-3, "cosine", 28),
        Restoration(32, 4, False, 16, 500, (128, 64, 24), 2e-4, "constant", 200),
    )


class Backbone(NamedTuple):
    """A classifier and the name its rows have in the paper's tables."""

    row: str
    model: str  # a name in `models.CLASSIFIERS`
    options: tuple[tuple[str, Any], ...] = ()


SMALL = (("widths", (8, 16, 32, 64)), ("stem", "paper"))


@dataclass(frozen=True, kw_only=True)
class ForegroundAttention(Notebook):
    """05: TinyVIRAT Tables II and V, Fig. 7."""

    run_dir: str = "runs/05_foreground_attention"
    scale: int = 4
    fold: int | None = None
    balanced: bool = scaled(True, True, False)  # SynthVIRAT: a balanced study instead of the filmed long tail
    classes: tuple[str, ...] = scaled(EIGHT[:3], EIGHT, ())  # of the study; () is all 26
    train_clips: int = scaled(4, 24, 200)  # of the study, a class
    test_clips: int = scaled(3, 10, 60)
    size: int = scaled(12, 12, 28)  # pixels of what super-resolution sees
    kept: int | None = scaled(8, 16, None)  # frames of each clip that are restored; None is all
    train: int | None = scaled(24, 320, None)  # clips, drawn by seed
    test: int | None = scaled(16, 200, None)
    large: int | None = scaled(8, 64, None)  # clips that teach super-resolution
    restoration: Restoration = scaled(  # noqa: RUF009
        Restoration(4, 1, True, 8, 10, (4,), 3e-3, "cosine", 3),
        Restoration(8, 2, True, 8, 8, (4,), 2e-3, "cosine", 24),
        Restoration(32, 4, False, 16, 500, (64, 20), 2e-4, "constant", 200),
    )
    attention_epochs: int = scaled(2, 6, 100)
    sparsity: float = scaled(5e-3, 5e-3, 5e-4)  # both were released
    backbones: tuple[Backbone, ...] = scaled(
        (Backbone("I3D", "tiny_r3d", SMALL),),
        (Backbone("I3D", "tiny_r3d", SMALL),),
        (Backbone("I3D", "i3d_tinyvirat"), Backbone("ResNet-50", "r3d50_2018"), Backbone("WideResNet", "wrn50")),
    )
    seeds: int = scaled(1, 3, 3)
    epochs: int = scaled(1, 5, 500)  # of a classifier
    batch: int = scaled(8, 16, 24)
    lr: float = scaled(2e-3, 2e-3, 2e-4)
    pointed: int = scaled(2, 32, 200)  # clips whose actors attention is compared with (SynthVIRAT knows them)
    shown: int = scaled(1, 3, 6)


@dataclass(frozen=True, kw_only=True)
class LowResolution(Notebook):
    """06: TinyVIRAT Tables III and IV."""

    run_dir: str = "runs/06_low_resolution_ucf_hmdb"
    fold: int | None = None
    high: int = scaled(48, 56, 112)  # pixels
    low: tuple[int, ...] = scaled((6, 12), (14, 28), (14, 28))
    smallest: int = scaled(32, 56, 112)  # clips that are smaller of themselves do not take part
    classes: int = scaled(3, 6, 26)  # largest of what multi-label data is read as
    train: int | None = scaled(16, 72, None)  # clips, drawn by seed
    test: int | None = scaled(12, 48, None)
    kept: int | None = scaled(8, 8, None)
    crop: int = scaled(32, 32, 112)
    restoration: Restoration = scaled(  # noqa: RUF009
        Restoration(4, 1, True, 8, 10, (4,), 3e-3, "cosine", 3),
        Restoration(8, 2, True, 8, 10, (4,), 2e-3, "cosine", 36),
        Restoration(32, 4, False, 16, 500, (128, 64, 24), 2e-4, "constant", 200),
    )
    backbone: Backbone = scaled(  # noqa: RUF009
        Backbone("I3D", "tiny_r3d", SMALL), Backbone("I3D", "tiny_r3d", SMALL), Backbone("I3D", "i3d_tinyvirat")
    )
    seeds: int = scaled(1, 1, 3)
    epochs: int = scaled(1, 5, 500)
    batch: int = scaled(8, 12, 24)
    lr: float = scaled(2e-3, 2e-3, 2e-4)
