"""What each notebook runs with: one frozen flat dataclass a notebook, in three columns (smoke, demo, full)."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tinylib.errors import DataError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from tinylib.datasets.index import Index

PROFILES = ("smoke", "demo", "full")
DATA = ("synthvirat", "synthvirat-v2", "tinyvirat", "tinyvirat-v2", "ucf101", "hmdb51", "folder")
COMMON = ("profile", "data", "data_root", "seed", "run_dir")  # every notebook declares these first
INJECTED = "# Parameters"  # how papermill heads the cell it injects


def scaled(smoke: Any, demo: Any, full: Any) -> Any:
    """A dataclass field with one value a profile."""
    return field(metadata={"columns": (smoke, demo, full)})


def home() -> Path:
    """The project's folder: the nearest one, from here upwards, that holds `notebooks/`; else the current folder.

    Relative parameters are relative to it, so a notebook means the same from JupyterLab, papermill and the tests.
    """
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "notebooks").is_dir()), here)


def conforms(value: object, hint: str) -> bool:
    """Whether `value` is of the annotated type: names, `|`, `list[...]`, `tuple[..., ...]` (a list will do)."""
    return _conforms(value, ast.parse(hint, mode="eval").body)


def _conforms(value: object, hint: ast.expr) -> bool:
    match hint:
        case ast.BinOp(left=left, right=right):
            return _conforms(value, left) or _conforms(value, right)
        case ast.Constant(value=None):
            return value is None
        case ast.Name(id="int"):
            return isinstance(value, int) and not isinstance(value, bool)
        case ast.Name(id="float"):
            return isinstance(value, int | float) and not isinstance(value, bool)
        case ast.Name(id=("bool" | "str" | "dict") as name):
            return type(value).__name__ == name
        case ast.Name(id=("list" | "tuple")):
            return isinstance(value, list | tuple)
        case ast.Subscript(value=ast.Name(id=("list" | "tuple")), slice=inner):
            item = inner.elts[0] if isinstance(inner, ast.Tuple) else inner
            return isinstance(value, list | tuple) and all(_conforms(v, item) for v in value)
        case ast.Name():  # a record, such as `Baseline`
            return isinstance(value, tuple)
    raise ValueError(f"{ast.unparse(hint)}: not a type that a parameter can have")


@dataclass(frozen=True)
class Declared:
    """One line of a parameters cell: `name: hint = value`."""

    name: str
    hint: str
    value: object


def declared(source: str) -> list[Declared]:
    """The lines of a parameters cell; anything but annotated literals is a UsageError."""
    found = []
    for node in ast.parse(source).body:
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value):
            raise UsageError(f"parameters cell: expected `name: type = literal`, found {ast.unparse(node)!r}")
        try:
            value = ast.literal_eval(node.value)
        except ValueError:
            raise UsageError(f"parameters cell: {node.target.id} is not a literal: {ast.unparse(node.value)}") from None
        found.append(Declared(node.target.id, ast.unparse(node.annotation), value))
    return found


def check_parameters(parameters: Mapping[str, object], right: list[Declared], where: str) -> None:
    """UsageError if a parameter is unknown or ill-typed, with the list of the right ones."""
    hints = {line.name: line.hint for line in right}
    listed = ", ".join(f"{name} ({hint})" for name, hint in hints.items())
    for name, value in parameters.items():
        if name not in hints:
            raise UsageError(f"{where} has no parameter {name!r}; it has: {listed}")
        if not conforms(value, hints[name]):
            raise UsageError(f"{where}: {name} must be {hints[name]}, got {value!r}; parameters: {listed}")
    for name, known in (("profile", PROFILES), ("data", DATA)):
        if name in hints and parameters.get(name, known[0]) not in known:
            raise UsageError(f"{where}: {name} must be one of {', '.join(known)}, got {parameters[name]!r}")


def _injected(cells: list[str]) -> set[str]:
    """Names that papermill assigned: papermill itself injects unknown names with no more than a warning."""
    names = set()
    for cell in cells:
        if cell.lstrip().startswith(INJECTED):
            targets = (t for node in ast.parse(cell).body if isinstance(node, ast.Assign) for t in node.targets)
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


@dataclass(frozen=True, kw_only=True)
class Notebook:
    """What every notebook has; a subclass adds its own, `scaled(smoke, demo, full)` where the profile decides."""

    profile: str = "smoke"
    data: str = "synthvirat"
    data_root: str = "data"
    seed: int = 0
    run_dir: str = "runs/notebook"

    @classmethod
    def right(cls) -> list[Declared]:
        return [Declared(f.name, str(f.type), f.default) for f in fields(cls)]

    @classmethod
    def of(cls, profile: str, **overrides: Any) -> Self:
        """One column, with overrides; `None` leaves the column's value. Unknown or ill-typed keys are a UsageError."""
        given = {k: v for k, v in overrides.items() if not (v is None and k in _columns(cls))}
        check_parameters({"profile": profile, **given}, cls.right(), cls.__name__)
        column = PROFILES.index(profile)
        values = {name: values[column] for name, values in _columns(cls).items()} | given
        frozen: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(profile=profile, **frozen)

    @classmethod
    def load(cls, namespace: Mapping[str, Any]) -> Self:
        """From a notebook's globals, in the cell after the parameters; refuses unknown names papermill injected."""
        known = {f.name for f in fields(cls)}
        given = {name: namespace[name] for name in known if name in namespace}
        given |= {name: namespace.get(name) for name in _injected(list(namespace.get("In", ()))) - known}
        return cls.of(given.pop("profile", "smoke"), **given)

    def table(self) -> pd.DataFrame:
        """The three columns side by side, this run's marked; an overridden value stands in a fourth."""
        import pandas as pd

        columns = _columns(type(self))
        frame = pd.DataFrame({p: {k: v[i] for k, v in columns.items()} for i, p in enumerate(PROFILES)}, dtype=object)
        frame = frame.rename(columns={self.profile: f"▶ {self.profile}"})
        own = {k: getattr(self, k) for k in columns}
        if any(own[k] != columns[k][PROFILES.index(self.profile)] for k in columns):
            frame["this run"] = pd.Series(own, dtype=object)
        frame.index.name = type(self).__name__
        return frame

    @property
    def root(self) -> Path:
        """`data_root`, from the project's folder where it is relative."""
        return home() / Path(self.data_root).expanduser()

    @property
    def runs(self) -> Path:
        """`run_dir`, from the project's folder where it is relative."""
        return home() / Path(self.run_dir).expanduser()

    @property
    def multi_label(self) -> bool:
        return self.data.startswith(("synthvirat", "tinyvirat"))

    @property
    def evaluation(self) -> str:
        """The split that carries labels and is not trained on (the v2 test labels are the challenge's secret)."""
        return "val" if self.data.endswith("-v2") else "test"

    def split(self, name: str) -> Index:
        """One split of the data; SynthVIRAT is made on first use."""
        from tinylib.datasets.index import open_split

        return open_split(self.data, self.dataset(), name, fold=getattr(self, "fold", None))

    def dataset(self) -> Path:
        """The dataset's folder: `data_root`, or SynthVIRAT's own below it, made on first use."""
        if not self.data.startswith("synthvirat"):
            return self.root
        from tinylib.synth.write import ensure

        return Path(ensure(self.root, self.profile, self.seed, version=self.version))

    @property
    def version(self) -> int:
        return 2 if self.data.endswith("-v2") else 1

    def splits(self) -> dict[str, Index]:
        """Every split that is there and has clips, by name; of TinyVIRAT those whose index file is there."""
        from tinylib.datasets.index import tinyvirat_json

        names = ["train", "val", "test"] if self.data == "folder" or self.version == 2 else ["train", "test"]
        if self.multi_label:
            root = self.dataset()
            names = [name for name in names if (root / tinyvirat_json(name, self.version)).exists()]
            if not names:
                raise DataError(
                    f"{root}: no index of {self.data} here (expected {tinyvirat_json('train', self.version)})"
                )
        return {name: index for name in names if len(index := self.split(name))}


def _columns(cls: type[Notebook]) -> dict[str, tuple[Any, Any, Any]]:
    scales: list[Field[Any]] = [f for f in fields(cls) if "columns" in f.metadata]
    return {f.name: f.metadata["columns"] for f in scales}


@dataclass(frozen=True, kw_only=True)
class BuildTinyvirat(Notebook):
    """01: from raw video and annotations to tiny clips."""

    run_dir: str = "runs/01_build_tinyvirat"
    annotations: str = ""  # folders of your own: KPF or VIRAT Release 2 files, and
    videos: str = ""  # the videos they describe; "" takes the full frames that SynthVIRAT was cut from
    rule: str = "virat"  # or "meva"
    shown: int = scaled(6, 12, 24)  # clips in the contact sheet
    twins: int = scaled(2, 4, 6)  # clips shown with their high-resolution twins
    workers: int = scaled(1, 2, 8)  # processes that cut clips

    def folders(self) -> tuple[Path, Path]:
        """(annotations, videos) to build from; SynthVIRAT's are made on first use."""
        if self.rule not in ("virat", "meva"):
            raise UsageError(f"rule must be 'virat' or 'meva', got {self.rule!r}")
        if bool(self.annotations) != bool(self.videos):
            raise UsageError("annotations and videos belong together: give both or neither")
        if self.annotations:
            return home() / self.annotations, home() / self.videos
        if not self.data.startswith("synthvirat"):
            raise UsageError(f"data {self.data!r} has no full frames here: give annotations and videos")
        base = self.split("train").root.parent
        return base / self.rule / "annotations", base / self.rule / "videos"


@dataclass(frozen=True, kw_only=True)
class DatasetStatistics(Notebook):
    """02: Table I and Figs 1-4 of TinyVIRAT, Table 1 and Figs 1-3 of TinyAction."""

    run_dir: str = "runs/02_dataset_statistics"
    shown: int = scaled(6, 12, 26)  # clips in the gallery
    browsed: int = scaled(12, 120, 200)  # clips in the browser
    probed: int = scaled(8, 100, 5000)  # videos whose frames are counted against the index


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
    clips: int | None = scaled(24, None, None)  # a split, drawn at random; None is all
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
    clips: int | None = scaled(8, 72, None)  # to train on
    held: int | None = scaled(4, 32, None)  # to test on
    shown: int = scaled(1, 3, 6)
    restoration: Restoration = scaled(  # noqa: RUF009
        Restoration(4, 1, True, 8, 10, (4,), 3e-3, "cosine", 3),
        Restoration(16, 2, True, 8, 20, (4,), 1e-3, "cosine", 36),
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
    size: int = scaled(12, 12, 28)  # pixels of what super-resolution sees
    kept: int | None = scaled(8, 16, None)  # frames of each clip that are restored; None is all
    train: int | None = scaled(24, 320, None)  # clips, drawn by seed
    test: int | None = scaled(16, 200, None)
    large: int | None = scaled(8, 64, None)  # clips that teach super-resolution
    restoration: Restoration = scaled(  # noqa: RUF009
        Restoration(4, 1, True, 8, 10, (4,), 3e-3, "cosine", 3),
        Restoration(8, 2, True, 8, 10, (4,), 2e-3, "cosine", 24),
        Restoration(32, 4, False, 16, 500, (64, 20), 2e-4, "constant", 200),
    )
    attention_epochs: int = scaled(2, 6, 100)
    sparsity: float = scaled(5e-3, 5e-3, 5e-4)  # both were released
    backbones: tuple[Backbone, ...] = scaled(
        (Backbone("I3D", "tiny_r3d", SMALL),),
        (Backbone("I3D", "tiny_r2plus1d", SMALL), Backbone("ResNet-50", "tiny_r3d", SMALL)),
        (Backbone("I3D", "i3d_tinyvirat"), Backbone("ResNet-50", "r3d50_2018"), Backbone("WideResNet", "wrn50")),
    )
    seeds: int = scaled(1, 3, 3)
    epochs: int = scaled(1, 4, 500)  # of a classifier
    batch: int = scaled(8, 16, 24)
    lr: float = scaled(2e-3, 2e-3, 2e-4)
    pointed: int = scaled(2, 32, 200)  # clips whose actors attention is compared with (SynthVIRAT knows them)
    shown: int = scaled(1, 3, 6)


@dataclass(frozen=True, kw_only=True)
class LowResolution(Notebook):
    """06: TinyVIRAT Tables III and IV."""

    run_dir: str = "runs/06_low_resolution_ucf_hmdb"
    fold: int | None = None
    high: int = scaled(48, 112, 112)  # pixels
    low: tuple[int, ...] = scaled((6, 12), (14, 28), (14, 28))
    smallest: int = scaled(32, 64, 112)  # clips that are smaller of themselves do not take part
    classes: int = scaled(3, 6, 26)  # largest of what multi-label data is read as
    train: int | None = scaled(16, 96, None)  # clips, drawn by seed
    test: int | None = scaled(12, 64, None)
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
