"""Parameters of notebooks: typed, checked, and one frozen flat dataclass a notebook with three columns (`profiles`)."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tinylib.errors import DataError, UsageError
from tinylib.files import Json

if TYPE_CHECKING:
    import pandas as pd

    from tinylib.datasets.index import Index
    from tinylib.datasets.sources import Source

PROFILES = ("smoke", "demo", "full")
COMMON = ("profile", "data", "data_root", "seed", "run_dir")  # every notebook declares these first
EIGHT = (  # classes of balanced studies: apart in pose or motion, few enough for a CPU
    "activity_walking",
    "activity_running",
    "activity_gesturing",
    "Riding",
    "Push",
    "Pull",
    "vehicle_turning_left",
    "vehicle_turning_right",
)
FILMED = {"demo": 300}  # clips that notebooks film of a SynthVIRAT profile, where not all of it: filming takes longest
INJECTED = "# Parameters"  # how papermill heads the cell it injects


def scaled(smoke: object, demo: object, full: object) -> Any:
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


def parsed(text: str, hint: str) -> object:
    """What a person typed as a value of the annotated type; the text itself where it is none, for the check to refuse.

    Text stays as typed, be it a date, `on`, `%`, quotes or nothing. `null` and `None` are None where that may be.
    Truth is true, false, yes, no, on or off. Lists are `[a, b]`, their items read in the same way.
    """
    return _parsed(text, ast.parse(hint, mode="eval").body)


TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def _parsed(text: str, hint: ast.expr) -> object:
    alternatives = _alternatives(hint)
    order = ["None", "bool", "int", "float", "list", "tuple", "dict", "str"]
    for one in sorted(alternatives, key=lambda node: order.index(name) if (name := _name(node)) in order else 9):
        value = _scalar(text, _name(one)) if not isinstance(one, ast.Subscript) else _items(text, one)
        if _conforms(value, one) and not (isinstance(value, str) and _name(one) != "str"):
            return value
    nothing = any(_name(one) == "None" for one in alternatives)
    return None if nothing and not text.strip() else text


def _alternatives(hint: ast.expr) -> list[ast.expr]:
    if isinstance(hint, ast.BinOp):
        return [*_alternatives(hint.left), *_alternatives(hint.right)]
    return [hint]


def _name(hint: ast.expr) -> str:
    if isinstance(hint, ast.Subscript):
        return _name(hint.value)
    return hint.id if isinstance(hint, ast.Name) else "None" if isinstance(hint, ast.Constant) else ""


def _scalar(text: str, name: str) -> object:
    """The text as one of this type, or as it is."""
    word = text.strip()
    if name == "None":
        return None if word in ("null", "None", "~") else text
    if name == "bool":
        return TRUTH.get(word.lower(), text)
    if name in ("list", "tuple", "dict"):
        return _yaml(text)
    try:
        if name == "int":
            return int(word)
        if name == "float":
            value = float(word)
            return value if math.isfinite(value) else text
    except ValueError:
        pass
    return text


def _items(text: str, hint: ast.Subscript) -> object:
    """`[a, b]` with each item read as the inner type."""
    values = _yaml(text, plain=True)
    if not isinstance(values, list):
        return text
    inner = hint.slice.elts[0] if isinstance(hint.slice, ast.Tuple) else hint.slice
    return [_parsed(json.dumps(value) if isinstance(value, list) else str(value), inner) for value in values]


def _yaml(text: str, *, plain: bool = False) -> object:
    """Its value, plain: with every scalar as text; the text itself where it is no YAML."""
    import yaml

    try:
        return yaml.load(text, Loader=yaml.BaseLoader if plain else yaml.SafeLoader)
    except yaml.YAMLError:
        return text


@dataclass(frozen=True)
class Declared:
    """One line of a parameters cell: `name: hint = value`."""

    name: str
    hint: str
    value: object


def declared(source: str) -> list[Declared]:
    """The lines of a parameters cell; anything but annotated literals is a UsageError."""
    lines = []
    for node in ast.parse(source).body:
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value):
            raise UsageError(f"parameters cell: expected `name: type = literal`, found {ast.unparse(node)!r}")
        try:
            value = ast.literal_eval(node.value)
        except ValueError:
            raise UsageError(f"parameters cell: {node.target.id} is not a literal: {ast.unparse(node.value)}") from None
        lines.append(Declared(node.target.id, ast.unparse(node.annotation), value))
    return lines


def check_parameters(parameters: Mapping[str, object], right: list[Declared], where: str) -> None:
    """UsageError if a parameter is unknown or ill-typed, with the list of the right ones."""
    hints = {line.name: line.hint for line in right}
    listed = ", ".join(f"{name} ({hint})" for name, hint in hints.items())
    for name, value in parameters.items():
        if name not in hints:
            raise UsageError(f"{where} has no parameter {name!r}; it has: {listed}")
        if not conforms(value, hints[name]):
            raise UsageError(f"{where}: {name} must be {hints[name]}, got {value!r}; parameters: {listed}")
    from tinylib.datasets.sources import SOURCES

    for name, known in (("profile", PROFILES), ("data", tuple(SOURCES))):
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
    def of(cls, profile: str, **overrides: object) -> Self:
        """One column, with overrides; `None` leaves the column's value. Unknown or ill-typed keys are a UsageError."""
        given = {k: v for k, v in overrides.items() if not (v is None and k in _columns(cls))}
        check_parameters({"profile": profile, **given}, cls.right(), cls.__name__)
        column = PROFILES.index(profile)
        values = {name: values[column] for name, values in _columns(cls).items()} | given
        frozen: Json = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(profile=profile, **frozen)

    @classmethod
    def load(cls, namespace: Json) -> Self:
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
        mine = {k: getattr(self, k) for k in columns}
        if any(mine[k] != columns[k][PROFILES.index(self.profile)] for k in columns):
            frame["this run"] = pd.Series(mine, dtype=object)
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
    def dataset_source(self) -> Source:
        """What is known of `data`."""
        from tinylib.datasets.sources import source_of

        return source_of(self.data)

    @property
    def multi_label(self) -> bool:
        return self.dataset_source.multi_label

    @property
    def evaluation(self) -> str:
        """The split that carries labels and is not trained on (the v2 test labels are the challenge's secret)."""
        return self.dataset_source.evaluation

    def split(self, name: str) -> Index:
        """One split of the data; SynthVIRAT is made on first use."""
        from tinylib.datasets.sources import open_split

        return open_split(self.data, self.dataset(), name, fold=getattr(self, "fold", None))

    def dataset(self) -> Path:
        """The dataset's folder: `data_root`, or SynthVIRAT's own below it, made on first use."""
        if not self.dataset_source.synthetic:
            return self.root
        from tinylib.synth.write import ensure

        return Path(ensure(self.root, self.profile, self.seed, version=self.version, clips=FILMED.get(self.profile)))

    @property
    def version(self) -> int:
        return self.dataset_source.version

    def splits(self) -> dict[str, Index]:
        """Every split that is there and has clips, by name; of TinyVIRAT those whose index file is there."""
        from tinylib.datasets.index import tinyvirat_json

        names = list(self.dataset_source.splits)
        if self.dataset_source.indexed:
            root = self.dataset()
            names = [name for name in names if (root / tinyvirat_json(name, self.version)).exists()]
            if not names:
                raise DataError(
                    f"{root}: no index of {self.data} here (expected {tinyvirat_json('train', self.version)})"
                )
        return {name: index for name in names if len(index := self.split(name))}


def _columns(cls: type[Notebook]) -> dict[str, tuple[object, object, object]]:
    scales: list[Field[object]] = [f for f in fields(cls) if "columns" in f.metadata]
    return {f.name: f.metadata["columns"] for f in scales}
