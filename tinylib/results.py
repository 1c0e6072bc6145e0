"""Result rows, the published numbers, and the tables that put them side by side."""

from __future__ import annotations

import fcntl
import json
import math
import subprocess
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib import resources
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from tinylib.clusters import cores
from tinylib.errors import DataError, UsageError
from tinylib.files import write_text

if TYPE_CHECKING:
    import torch

FILE = "results.jsonl"
KEY = ("paper", "ref", "row", "input", "metric", "profile", "data")  # what a rerun replaces
JOIN = ["row", "input", "metric"]  # what a published number and ours share, within one table of one paper


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number of ours. Rates are in [0, 1], whatever unit the paper prints; low and high bound 95%."""

    paper: str  # 'tinyvirat', 'tinyaction', 'winner', 'stat', or 'ours'
    ref: str  # 'Table II', 'Fig 5', 'text', ...
    row: str
    input: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    seeds: int = 1
    n: int | None = None  # clips measured on
    profile: str
    data: str
    data_hash: str = ""
    commit: str
    seconds: float | None = None
    device: str

    def __post_init__(self) -> None:
        for name in ("low", "high"):  # an interval that is not there: JSON has no NaN
            bound = getattr(self, name)
            object.__setattr__(self, name, None if bound is None or math.isnan(bound) else bound)


def record(run_dir: str | Path, rows: Iterable[Row]) -> None:
    """Put `rows` into run_dir/results.jsonl, each in place of an older one with its key; writers take turns."""
    path = Path(run_dir) / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(f".{FILE}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = {_key(row): row for row in (load(path) if path.exists() else ())}
        kept |= {_key(row): row for row in rows}
        write_text(path, "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in kept.values()))


def rows_of(tables: Mapping[str, pd.DataFrame], like: Row) -> list[Row]:
    """A row for each metric of each named table (`metrics.evaluate`'s columns), in all else like `like`."""
    return [
        replace(like, row=name, metric=metric, value=float(value), low=float(low), high=float(high))
        for name, table in tables.items()
        for metric, value, low, high in table.reset_index()[["metric", "value", "low", "high"]].to_numpy()
    ]


def _key(row: Row) -> tuple[str, ...]:
    return tuple(getattr(row, name) for name in KEY)


def load(where: str | Path | Iterable[str | Path]) -> list[Row]:
    """The rows of results files, or of all below folders; DataError names a bad line."""
    rows = []
    for place in [where] if isinstance(where, str | Path) else where:
        path = Path(place)
        if not path.exists():
            raise DataError(f"{path}: no results here")
        for file in sorted(path.rglob(FILE)) if path.is_dir() else [path]:
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
                try:
                    rows.append(Row(**json.loads(line)))
                except (ValueError, TypeError) as error:
                    raise DataError(f"{file}:{number}: not a result row ({error})") from None
    return rows


@cache
def _facts() -> dict[str, list[dict[str, Any]]]:
    import yaml

    return yaml.safe_load(resources.files("tinylib").joinpath("published.yaml").read_text(encoding="utf-8"))


def published(paper: str | None = None, ref: str | None = None) -> pd.DataFrame:
    """The papers' numbers: paper, ref, row, input, metric, value (None where not given), unit, note."""
    lines = facts("results", paper, ref)
    if not lines:
        raise UsageError(f"nothing is published under paper {paper!r}, ref {ref!r}")
    columns = list(dict.fromkeys(name for line in _facts()["results"] for name in line))
    frame = pd.DataFrame(lines, columns=columns, dtype=object)
    return frame.where(frame.notna(), None)


def figures() -> pd.DataFrame:
    """The papers' figures: paper, ref, kind, shows, and the notebook that has our counterpart."""
    return pd.DataFrame(_facts()["figures"])


def facts(section: str, paper: str | None = None, ref: str | None = None) -> list[dict[str, Any]]:
    """Lines of a section of published.yaml: 'tables', 'contradictions', 'warnings', 'figures' or 'results'."""
    wanted = {name: value for name, value in (("paper", paper), ("ref", ref)) if value is not None}
    return [line for line in _facts()[section] if wanted.items() <= line.items()]


def table(paper: str, ref: str, rows: Iterable[Row]) -> pd.DataFrame:
    """The paper's table with ours beside it, in the paper's unit: row, input, metric, paper, ours, low, high, gap, ...

    Rows of ours that the paper does not have come after its own. Two runs of one key (profiles, datasets) make two
    lines. `attrs["banner"]` says what the numbers are from; `shown` prints it above the table.
    """
    printed = published(paper, ref)[[*JOIN, "value", "unit", "note"]].rename(columns={"value": "paper"})
    mine = [row for row in rows if (row.paper, row.ref) == (paper, ref)]
    names = [*JOIN, "value", "low", "high", "seeds", "n", "data", "profile"]
    ours = pd.DataFrame([{name: getattr(row, name) for name in names} for row in mine], columns=names)
    joined = printed.merge(ours.rename(columns={"value": "ours"}), on=JOIN, how="outer", sort=False)
    place = {tuple(key): i for i, key in enumerate(printed[JOIN].itertuples(index=False, name=None))}
    order = [place.get(key, len(place)) for key in joined[JOIN].itertuples(index=False, name=None)]
    joined = joined.assign(_order=order).sort_values("_order", kind="stable", ignore_index=True)
    unit = joined["unit"].where(joined["unit"].notna(), printed["unit"].iloc[0])
    scale = unit.map(lambda name: 100.0 if name == "%" else 1.0)
    for name in ("ours", "low", "high"):
        joined[name] = pd.to_numeric(joined[name]) * scale
    joined["unit"] = unit
    joined["gap"] = joined["ours"] - pd.to_numeric(joined["paper"], errors="coerce")
    columns = [*JOIN, "unit", "paper", "ours", "low", "high", "gap", "seeds", "n", "data", "profile", "note"]
    result = joined[columns]
    result.attrs["banner"] = banner(mine)
    return result


def banner(rows: Iterable[Row]) -> str:
    """One sentence on what numbers are from, to stand above every table of them."""
    rows = list(rows)
    if not rows:
        return "No run of ours yet: the paper's numbers alone."
    data = sorted({row.data for row in rows})
    profiles = sorted({row.profile for row in rows})
    said = f"Ours: {', '.join(data)}, profile {', '.join(profiles)}."
    if any(name.startswith("synthvirat") for name in data):
        said += (
            " SynthVIRAT is synthetic video of our own: compare orderings and gaps with the paper's, not values;"
            " nothing here is a reproduced number."
        )
    return said


def shown(frame: pd.DataFrame, *, digits: int = 2) -> Any:
    """`frame` for a notebook: its banner as the caption, numbers rounded, gaps and blanks quiet."""
    style = frame.style.format(precision=digits, na_rep="").hide(axis="index")
    words: list[Hashable] = [name for name in frame.columns if frame[name].map(_is_words).any()]
    style = style.set_properties(subset=words, **{"text-align": "left"})
    return style.set_caption(frame.attrs["banner"]) if "banner" in frame.attrs else style


def _is_words(value: object) -> bool:
    return isinstance(value, str) and any(letter.isalpha() for letter in value)


def orderings(
    paper: str, ref: str, rows: Iterable[Row], *, pairs: Iterable[tuple[str, str]] | None = None
) -> pd.DataFrame:
    """Which of the paper's orderings hold with ours: columns input, metric, claim, paper gap, our gap, held.

    Every pair of rows of one input, metric, dataset and profile that both sides have; or only the given `pairs`.
    held: 'yes' or 'no' where the two intervals do not meet, 'leans yes' or 'leans no' where they do (or are unknown),
    'tie' where ours are equal.
    """
    both = table(paper, ref, rows)
    numbers = both.assign(paper=pd.to_numeric(both["paper"], errors="coerce")).dropna(subset=["paper", "ours"])
    wanted = None if pairs is None else {frozenset(pair) for pair in pairs}
    found: list[dict[str, Any]] = []
    for (source, metric, data, profile), group in numbers.groupby(["input", "metric", "data", "profile"], sort=False):
        for one, other in combinations(group.to_dict("records"), 2):
            if wanted is not None and frozenset((one["row"], other["row"])) not in wanted:
                continue
            small, large = (one, other) if one["paper"] <= other["paper"] else (other, one)
            if small["paper"] == large["paper"]:
                continue
            gap = large["ours"] - small["ours"]
            apart = large["low"] > small["high"] or small["low"] > large["high"]
            held = ("" if apart else "leans ") + ("yes" if gap > 0 else "no") if gap else "tie"
            found.append(
                {"input": source, "metric": metric, "claim": f"{large['row']} > {small['row']}"}
                | {"paper gap": large["paper"] - small["paper"], "our gap": gap, "held": held}
                | {"data": data, "profile": profile}
            )
    columns = ["input", "metric", "claim", "paper gap", "our gap", "held", "data", "profile"]
    result = pd.DataFrame(found, columns=columns)
    result.attrs["banner"] = both.attrs["banner"]
    return result


@cache
def commit() -> str:
    """Short hash of the source tree this package runs from, '+dirty' if edited; its version where there is no git."""
    from tinylib import __version__

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *words], capture_output=True, text=True, check=True, timeout=30
        ).stdout.strip()

    try:
        tracked = git("ls-files", "--error-unmatch", Path(__file__).name)
        head = git("rev-parse", "--short=10", "HEAD")
        return head + ("+dirty" if git("status", "--porcelain", "--untracked-files=no") else "") if tracked else ""
    except (OSError, subprocess.SubprocessError):
        return f"v{__version__}"


def device_name(device: torch.device | None = None) -> str:
    """'CPU, 2 cores', or the GPU's name; nothing that tells one machine from another of its kind."""
    import torch

    kind = device.type if device is not None else "cuda" if torch.cuda.is_available() else "cpu"
    if kind == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {cores()} cores" if kind == "cpu" else kind.upper()
