"""What notebook 07 runs with: spatial-temporal attention transfer (STAT)."""

from __future__ import annotations

from dataclasses import dataclass

from tinylib.datasets.motion import MOTIONS
from tinylib.errors import UsageError
from tinylib.methods.attention_transfer import READINGS, SCHEMES, THIRD_OF_CE, Backbone
from tinylib.settings.parameters import Notebook, scaled

TABLES = ("Table 1", "Table 2", "Table 3", "Table 4")
TABLE_3 = ("Student", THIRD_OF_CE, "SAT", "TAT", "SAT+TAT", "SAT+TAT+rc", "SAT+TAT+rc+ut")
APART = ("vehicle_stopping", "Riding", "activity_running", "Talking", "Loading", "Transport_HeavyCarry")


@dataclass(frozen=True, kw_only=True)
class AttentionTransfer(Notebook):
    """07: STAT Tables 1-4, Figs 1, 2, 5 and 6."""

    run_dir: str = "runs/07_attention_transfer"
    fold: int | None = None  # of UCF-101 and HMDB-51 (None: 1); of class folders, the group held out
    tables: tuple[str, ...] = TABLES  # what is trained for
    rows: tuple[str, ...] = TABLE_3  # of Table 3, names in `transfer.SCHEMES`; the last one is "with STAT" elsewhere
    reading: str = "enlarged"  # of the teacher's and the student's unlike sizes, or "native" (see `transfer`)
    camera: str = "paper"  # low resolution out of high by blur, area and noise; "natural": SynthVIRAT's own sensor
    start: str = "student"  # what the second stage starts from: the first stage's student, or "teacher"
    motion: str = "flow"  # of the second stream, or "difference"
    initial: str = ""  # a file of official weights that backbones start from (then norms are frozen, as in the paper)
    unlabelled_root: str = ""  # class folders of unlabelled clips; "": SynthVIRAT's validation clips, else training's
    classes: tuple[str, ...] = scaled(APART, APART, ())  # of SynthVIRAT; () is all
    train_clips: int = scaled(3, 20, 200)  # of SynthVIRAT, a class
    test_clips: int = scaled(2, 12, 100)
    train_limit: int | None = scaled(24, 240, None)  # of other data, in all
    test_limit: int | None = scaled(12, 120, None)
    kept: int = scaled(8, 8, 32)  # frames a clip
    high: tuple[int, ...] = scaled((24, 32), (48, 64), (168, 224))  # the teacher's (height, width)
    low: tuple[int, ...] = (12, 16)  # the student's
    sizes: tuple[tuple[int, ...], ...] = scaled(  # of Table 2
        ((6, 8), (12, 16)), ((6, 8), (12, 16), (18, 24), (24, 32)), ((6, 8), (12, 16), (18, 24), (24, 32))
    )
    backbones: tuple[Backbone, ...] = scaled(  # the first one is that of Tables 1 and 2
        (Backbone("RESNET-34", "resnet10_narrow", 4, 1), Backbone("R2PLUS1D-18", "r2plus1d10", 2, 2)),
        (Backbone("RESNET-34", "resnet10_narrow", 4, 1),),
        (Backbone("RESNET-34", "resnet34", 8, 1), Backbone("R2PLUS1D-18", "r2plus1d18", 4, 5)),
    )
    streams: Backbone = scaled(  # noqa: RUF009  (of Table 4)
        Backbone("R2PLUS1D-34", "resnet10_narrow", 4, 1),
        Backbone("R2PLUS1D-34", "resnet10_narrow", 4, 1),
        Backbone("R2PLUS1D-34", "r2plus1d34", 4, 8),  # with two streams the 64 frames of section 4.7
    )
    seeds: int = scaled(1, 1, 3)  # from `seed` on
    epochs: int = scaled(1, 10, 50)  # of the first stage
    transfer_epochs: int = scaled(1, 8, 50)  # of the second
    unlabelled_epochs: int = scaled(1, 4, 10)
    batch: int = scaled(12, 16, 256)
    lr: float = scaled(0.03, 0.03, 1e-2)  # the paper's 1e-3 is for weights of ImageNet and Kinetics; give it with them
    jitter: tuple[float, ...] = (0.7, 1.0)  # sides of the random window, of the picture's
    drawn: str = scaled("layer2", "layer3", "layer4")  # the block of Fig. 5: the last one whose map is no mere speck
    pointed: int = scaled(6, 48, 200)  # clips whose actors attention is compared with
    shown: int = scaled(2, 4, 6)

    def __post_init__(self) -> None:
        choices = {"reading": READINGS, "camera": ("paper", "natural"), "start": ("student", "teacher")}
        for name, known in (choices | {"motion": tuple(MOTIONS)}).items():
            if getattr(self, name) not in known:
                raise UsageError(f"{name}: expected one of {', '.join(known)}, found {getattr(self, name)!r}")
        for name, known in (("tables", TABLES), ("rows", tuple(SCHEMES))):
            for given in getattr(self, name):
                if given not in known:
                    raise UsageError(f"{name}: expected some of {', '.join(known)}, found {given!r}")
        if "Student" not in self.rows:
            raise UsageError("rows: 'Student' is what every gain is against, and must be among them")
