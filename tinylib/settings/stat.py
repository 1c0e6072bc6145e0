"""What notebook 07 runs with: spatial-temporal attention transfer (STAT)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinylib.datasets.motion import MOTIONS
from tinylib.errors import UsageError
from tinylib.methods.attention_transfer import READINGS, SCHEMES, THIRD_OF_CE, WEIGHTINGS, Backbone
from tinylib.methods.transfer_study import Line, Shape, TransferJob
from tinylib.settings.parameters import home, scaled
from tinylib.settings.study import Studied

if TYPE_CHECKING:
    from tinylib.models.segments import SegmentNetwork

TABLES = ("Table 1", "Table 2", "Table 3", "Table 4")
TABLE_3 = ("Student", THIRD_OF_CE, "SAT", "TAT", "SAT+TAT", "SAT+TAT+rc", "SAT+TAT+rc+ut")


@dataclass(frozen=True, kw_only=True)
class AttentionTransfer(Studied):
    """07: STAT Tables 1-4, Figs 1, 2, 5 and 6."""

    run_dir: str = "runs/07_attention_transfer"
    fold: int | None = None  # of UCF-101 and HMDB-51 (None: 1); of class folders, the group held out
    tables: tuple[str, ...] = TABLES  # what is trained for
    rows: tuple[str, ...] = TABLE_3  # of Table 3, names in `transfer.SCHEMES`; the last one is "with STAT" elsewhere
    reading: str = "enlarged"  # of the teacher's and the student's unlike sizes, or "native" (see `transfer`)
    camera: str = "paper"  # low resolution out of high by blur, area and noise; "natural": SynthVIRAT's own sensor
    start: str = "student"  # type: ignore[assignment]  # what the second stage starts from: the first stage's student, or "teacher"
    joint: bool = False  # Eq. 2 over all frames' maps of a clip together; as printed, each map is by itself
    motion: str = "flow"  # of the second stream, or "difference"
    initial: str = ""  # official backbones: a file for the first network, or network=file,network=file
    unlabelled_root: str = ""  # class folders of unlabelled clips; "": the training clips without their labels
    labelled: int | None = scaled(None, 20, None)  # training clips a class whose labels students have; None is all
    portion: int | None = scaled(None, 80, None)  # training clips a class that teachers have
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

    @property
    def pixels(self) -> Shape:
        """Of the student: (height, width)."""
        return (self.low[0], self.low[1])

    def begin(self, network: SegmentNetwork, classes: Sequence[str]) -> SegmentNetwork:
        """The network's starting weights (`Studied.start`, whose name the paper's second stage has here)."""
        return Studied.start(self, network, classes)

    def initial_of(self, backbone: Backbone) -> str:
        """The file of official weights for a backbone, "" where none is given for it."""
        if "=" not in self.initial:
            return str(home() / self.initial) if self.initial and backbone.network == self.backbones[0].network else ""
        files = dict(part.split("=", 1) for part in self.initial.split(","))
        return str(home() / files[backbone.network]) if backbone.network in files else ""

    def begins(self, backbone: Backbone) -> bool:
        """Whether networks of this kind start from weights: only then are their norms worth freezing."""
        weights = self.pretrained not in ("", "none")
        return bool(self.initial_of(backbone)) or (weights and self.source(backbone.make(1, 0)) != "none")

    def lines(self) -> list[Line]:
        """Every row of the tables that are asked for, and the network that fills it; equal networks are equal jobs."""
        first, small, rows = self.backbones[0], self.pixels, []
        student, both = SCHEMES["Student"], SCHEMES["SAT+TAT"]
        if "Table 1" in self.tables:
            rows += [Line("Table 1", row, TransferJob(first, small, scheme)) for row, scheme in WEIGHTINGS.items()]
        if "Table 2" in self.tables:
            for height, width in self.sizes:
                for row, scheme in (("Before", student), ("After", both)):
                    rows.append(Line("Table 2", row, TransferJob(first, (height, width), scheme)))
        whole = "Table 3" in self.tables
        for backbone in self.backbones if whole else self.backbones[:1]:
            rows.append(Line("Table 3", f"Teacher | {backbone.row}", TransferJob(backbone)))
            for row in self.rows if whole else ("Student", self.rows[-1]):
                rows.append(Line("Table 3", f"{row} | {backbone.row}", TransferJob(backbone, small, SCHEMES[row])))
        if whole and self.begins(first):
            for row in ("Student", self.rows[-1]):
                name = f"{row}, from nothing | {first.row}"
                rows.append(Line("Table 3", name, TransferJob(first, small, SCHEMES[row], fresh=True)))
        return rows + (self._streams() if "Table 4" in self.tables else [])

    def _streams(self) -> list[Line]:
        """Table 4: both streams fused, and each alone."""
        streams = next((b for b in self.backbones if b[1:] == self.streams[1:]), self.streams)
        fused = TransferJob(streams, self.pixels, stream="fused")
        rows = {"R2PLUS1D-34 [23] (CVPR'18)": SCHEMES["Student"], "Ours (R2PLUS1D-34)": SCHEMES[self.rows[-1]]}
        notes = (("", fused), (", RGB alone", fused.parts[0]), (f", {self.motion} alone", fused.parts[1]))
        return [
            Line("Table 4", row + note, job._replace(scheme=scheme))
            for note, job in notes
            for row, scheme in rows.items()
        ]

    def jobs(self, lines: Iterable[Line]) -> list[TransferJob]:
        """The networks behind the rows, each once."""
        return list(dict.fromkeys(part for line in lines for part in line.job.parts))
