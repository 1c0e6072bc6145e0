"""What notebooks 04 to 06 run with: super-resolution and foreground attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tinylib.methods.recognition import Feed
from tinylib.methods.super_resolution import Restoration
from tinylib.settings.parameters import scaled
from tinylib.settings.study import Recognising, Studied
from tinylib.training.optimise import FitConfig

if TYPE_CHECKING:
    from tinylib.methods.restored import Splits
    from tinylib.methods.truths import Truths


class Lesson(NamedTuple):
    """One generator of notebook 04: what it is, what it learns from, and whether it starts from nothing."""

    row: str
    kind: str  # of `super_resolution.KINDS`
    pairs: bool  # natural clips and their clean truth; else reductions of the truth, as the paper
    from_nothing: bool = False


GROWN = (  # the paper's question: both from nothing, on reductions
    Lesson("DVSR", "DVSR", False, True),
    Lesson("progressive DVSR", "progressive", False, True),
)
PAIRED = (  # what they are taught on: from the starting weights, if there are any
    Lesson("progressive, reductions", "progressive", False),
    Lesson("DVSR, pairs", "DVSR", True),
    Lesson("progressive, pairs", "progressive", True),
)


@dataclass(frozen=True, kw_only=True)
class ProgressiveDvsr(Studied):
    """04: DVSR and progressive DVSR by PSNR and SSIM."""

    run_dir: str = "runs/04_progressive_dvsr"
    scale: int = 4
    fold: int | None = None
    balanced: bool = scaled(True, True, False)  # SynthVIRAT: the shared study instead of the filmed long tail
    twins: bool = False  # filmed clips: learn from them rendered at high resolution, not from the largest ones
    size: int = scaled(48, 56, 112)  # pixels of the high resolution
    crop: int = scaled(32, 40, 112)  # random part of it in training on reductions
    clips: int | None = scaled(8, 160, None)  # to train on
    held: int | None = scaled(4, 240, None)  # test clips that are measured, spread evenly over the videos
    shown: int = scaled(1, 3, 6)
    lessons: tuple[Lesson, ...] = scaled((*GROWN, PAIRED[-1]), (*GROWN, *PAIRED), GROWN)
    restoration: Restoration = scaled(  # noqa: RUF009
        Restoration(4, 1, True, 8, 10, (4,), 3e-3, "cosine", 3),
        Restoration(8, 2, True, 8, 10, (8,), 2e-3, "cosine", 16, 2),
        Restoration(32, 4, False, 16, 500, (128, 64, 24), 2e-4, "constant", 200),
    )

    @property
    def high(self) -> int:
        return self.size

    def material(self) -> Truths:
        """The clips to teach and to measure super-resolution with."""
        from tinylib.methods.truths import truths

        return truths(self)


class Backbone(NamedTuple):
    """A classifier and the name its rows have in the paper's tables."""

    row: str
    model: str  # a name in `models.CLASSIFIERS`
    options: tuple[tuple[str, Any], ...] = ()


SMALL = (("widths", (8, 16, 32, 64)), ("stem", "paper"))


@dataclass(frozen=True, kw_only=True)
class Restored(Recognising):
    """What 05 and 06 share: classifiers that know sharp video are fed restored video, as in the papers.

    A classifier learns `sharp_epochs` on sharp video, then `epochs` on each row's; the papers' start from Kinetics or
    Charades and learn on each row's, for which a laptop has no time: there they stay as sharp video left them.
    """

    backbones: tuple[Backbone, ...] = scaled(
        (Backbone("I3D", "tiny_r3d", SMALL),),
        (Backbone("I3D", "tiny_r3d", SMALL),),
        (Backbone("I3D", "i3d_tinyvirat"), Backbone("ResNet-50", "r3d50_2018"), Backbone("WideResNet", "wrn50")),
    )
    seeds: int = scaled(1, 2, 3)
    sharp_epochs: int = scaled(1, 4, 0)
    epochs: int = scaled(1, 0, 500)
    batch: int = scaled(8, 16, 24)
    lr: float = scaled(2e-3, 1e-3, 2e-4)
    rendering: int = scaled(0, 0, 0)  # processes that restore clips; 0 is the notebook's own
    restoration: Restoration = scaled(  # noqa: RUF009
        Restoration(4, 1, True, 8, 10, (4,), 3e-3, "cosine", 3),
        Restoration(8, 2, True, 8, 10, (8,), 1e-3, "cosine", 8, 2),
        Restoration(32, 4, False, 16, 500, (64, 20), 2e-4, "constant", 200),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        networks = [Backbone(row.row, *self.chosen(row.model, row.options)) for row in self.backbones]
        object.__setattr__(self, "backbones", tuple(networks[:1] if self.network else networks))

    def fitting(self, *, sharp: bool = False) -> FitConfig | None:
        """Of a classifier: Adam (0.5, 0.9), as the paper; None where it does not learn from such video."""
        epochs = self.sharp_epochs if sharp else self.epochs
        return FitConfig(epochs=epochs, batch_size=self.batch, lr=self.lr, betas=(0.5, 0.9)) if epochs else None

    def seeded(self) -> range:
        return range(self.seed, self.seed + self.seeds)

    def about(self) -> dict[str, Any]:
        """What a run folder says of how its classifier began, so that none is gone on with that began elsewhere."""
        return super().about() | {"sharp_epochs": self.sharp_epochs}

    def feed(self) -> Feed:
        """Clips into classifiers: as they are stored, and the paper's reading."""
        return Feed(frames=self.restoration.frames, batch=self.batch)


@dataclass(frozen=True, kw_only=True)
class ForegroundAttention(Restored):
    """05: TinyVIRAT Tables II and V, Fig. 7."""

    run_dir: str = "runs/05_foreground_attention"
    scale: int = 4
    fold: int | None = None
    balanced: bool = scaled(True, True, False)  # SynthVIRAT: the shared study instead of the filmed long tail
    size: int = scaled(12, 14, 28)  # pixels of what super-resolution sees
    train: int | None = scaled(24, 320, None)  # clips of other data, drawn by seed
    test: int | None = scaled(16, 480, None)  # clips that are judged; of the study spread evenly over the videos
    large: int | None = scaled(8, 160, None)  # clips that teach super-resolution
    attention_epochs: int = scaled(2, 2, 100)
    sparsity: float = scaled(5e-3, 5e-3, 5e-4)  # both were released
    pointed: int = scaled(2, 300, 200)  # clips whose actors attention is compared with (SynthVIRAT knows them)
    shown: int = scaled(1, 3, 6)

    @property
    def high(self) -> int:
        return self.size * self.scale

    def material(self) -> Splits:
        """The clips to recognise, sharp and tiny, and those that teach super-resolution."""
        from tinylib.methods.restored import of_foreground

        return of_foreground(self)


@dataclass(frozen=True, kw_only=True)
class LowResolution(Restored):
    """06: TinyVIRAT Tables III and IV."""

    run_dir: str = "runs/06_low_resolution_ucf_hmdb"
    fold: int | None = None
    balanced: bool = scaled(True, True, False)  # SynthVIRAT: the shared study instead of the filmed long tail
    high: int = scaled(48, 56, 112)  # pixels
    low: tuple[int, ...] = scaled((6, 12), (14, 28), (14, 28))
    smallest: int = scaled(32, 56, 112)  # clips of other data that are smaller of themselves do not take part
    largest: int = scaled(3, 8, 26)  # classes of what multi-label data is read as
    train: int | None = scaled(16, None, None)  # clips, drawn by seed; of the study `portion` says it
    test: int | None = scaled(12, 360, None)  # of the study spread evenly over the videos
    large: int | None = scaled(8, 96, None)  # clips that teach super-resolution
    measured: int | None = scaled(4, 120, None)  # test clips that it is measured on
    crop: int = scaled(32, 40, 112)
    backbones: tuple[Backbone, ...] = scaled(
        (Backbone("I3D", "tiny_r3d", SMALL),),
        (Backbone("I3D", "tiny_r3d", SMALL),),
        (Backbone("I3D", "i3d_tinyvirat"),),
    )

    def material(self) -> Splits:
        """The clips to recognise, one label each, and those that teach super-resolution."""
        from tinylib.methods.restored import of_low_resolution

        return of_low_resolution(self)
