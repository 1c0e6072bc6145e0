"""All tables of all papers against all runs: what was measured and where, which orderings held, what is missing."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from tinylib.evaluation.metrics import spelled
from tinylib.files import BEFORE
from tinylib.results.paper_files import JOIN, facts, papers, planned, published
from tinylib.results.rows import FILE, Row, load
from tinylib.results.tables import banner
from tinylib.results.tables import table as paper_table
from tinylib.results.verdicts import ANSWERS, COLUMNS, orderings, tally

DIGITS = {"%": 1, "ratio": 3}
HERE = "12_papers_vs_ours"  # its own rows are about the others'


@dataclass(frozen=True)
class Run:
    """The rows of one results file; `name` is its folder's, for a notebook's own run the notebook's."""

    name: str
    file: Path
    rows: tuple[Row, ...]

    def raw(self, paper: str, ref: str) -> list[Row]:
        return [row for row in self.rows if (row.paper, row.ref) == (paper, ref)]

    def of(self, paper: str, ref: str) -> list[Row]:
        """Its rows of a table, at the paper's inputs where they stand for them (`stand_in`)."""
        rows = self.raw(paper, ref)
        places = stand_in(paper, ref, rows)
        return [replace(row, input=places.get(row.input, row.input)) for row in rows]


def stand_in(paper: str, ref: str, rows: Iterable[Row]) -> dict[str, str]:
    """Which of the paper's input sizes each of ours stands for, where a small profile has other sizes than the paper.

    Sizes (`14x14`) of the rows that both have are paired in order, if they are equally many and differ; else nothing.
    """
    mine = list(rows)
    printed = published(paper, ref)
    common = set(printed["row"]) & {row.row for row in mine}
    theirs = sorted(set(printed[printed["row"].isin(common)]["input"]), key=_pixels)
    ours = sorted({row.input for row in mine if row.row in common}, key=_pixels)
    if len(ours) != len(theirs) or not all(_pixels(size) for size in (*ours, *theirs)):
        return {}
    return {one: other for one, other in zip(ours, theirs, strict=True) if one != other}


def _pixels(size: str) -> int:
    """Of '12x16'; 0 for what is no size."""
    sides = re.fullmatch(r"(\d+)x(\d+)", size)
    return int(sides[1]) * int(sides[2]) if sides else 0


def collect(folders: Iterable[str | Path]) -> list[Run]:
    """Every results file below the folders, by name (a folder not there has none); DataError names a bad line."""
    files = {path.resolve() for folder in folders for path in Path(folder).rglob(FILE)}
    files = {path for path in files if not any(BEFORE in part for part in path.parts)}  # set aside: out of date
    runs = [Run(path.parent.name, path, tuple(load(path))) for path in sorted(files)]
    return sorted((run for run in runs if run.name != HERE), key=lambda run: run.name)


def tables() -> list[tuple[str, str]]:
    """(paper, ref) of every table, paper by paper."""
    return [(line["paper"], line["ref"]) for line in facts("tables")]


def notebooks() -> list[str]:
    """Those that a paper lists, or that have a table's or a figure's counterpart."""
    named = {name for line in facts("tables") for name in line["notebooks"]}
    named |= {line["notebook"] for line in facts("figures")}
    return sorted(named | {name for name, plan in planned().items() if "*" not in plan.after})


def state(runs: Sequence[Run], folders: Iterable[str | Path]) -> pd.DataFrame:
    """One line a notebook: its numbers and what they are from, or that it has not run (and its error, if it failed)."""
    lines = []
    for name in sorted({*notebooks(), *(run.name for run in runs)}):
        rows = [row for run in runs if run.name == name for row in run.rows]
        lines.append(
            {"notebook": name, "numbers": len(rows), "state": "" if rows else _why(name, folders)}
            | {what: _distinct(getattr(row, what) for row in rows) for what in ("data", "profile", "device", "commit")}
        )
    return pd.DataFrame(lines)


def _why(name: str, folders: Iterable[str | Path]) -> str:
    """A notebook without numbers: what `tinylib reports` wrote of it, where it ran there."""
    for folder in folders:
        file = Path(folder).parent / "status" / f"{name}.json"
        if file.exists():
            try:
                status = json.loads(file.read_text(encoding="utf-8"))
                if status["state"] != "done":
                    return f"{status['state']}: {status['error']}".removesuffix(": ")
            except (ValueError, KeyError, TypeError):
                return f"{file.name}: not a status of this program"
    return "has not run"


def _distinct(values: Iterable[str]) -> str:
    return ", ".join(sorted(set(values)))


def joined(paper: str, ref: str, runs: Sequence[Run]) -> pd.DataFrame:
    """The paper's table in its order and metrics, with each run's numbers: row, input, metric, paper, ours, gap, ...

    ours is a number with its interval, in the paper's unit. `attrs["banner"]` says what is from where.
    """
    parts = []
    for run in runs:
        rows = run.of(paper, ref)
        if rows:
            table = paper_table(paper, ref, rows)
            sizes = {theirs: mine for mine, theirs in stand_in(paper, ref, run.raw(paper, ref)).items()}
            at = [sizes.get(place, "") for place in table["input"]]
            parts.append(table.assign(**{"our input": at}, notebook=run.name)[table["ours"].notna()])
    printed = paper_table(paper, ref, [])
    shared = [*JOIN, "ours", "low", "high", "gap", "seeds", "n", "our input", "data", "profile", "notebook"]
    ours = pd.concat(parts)[shared] if parts else pd.DataFrame(columns=shared)
    ours = ours[ours["metric"].isin(set(printed["metric"]))]
    table = printed[[*JOIN, "unit", "paper", "note"]].merge(ours, on=JOIN, how="outer", sort=False)
    place = {tuple(key): i for i, key in enumerate(printed[JOIN].itertuples(index=False, name=None))}
    order = [place.get(key, len(place)) for key in table[JOIN].itertuples(index=False, name=None)]
    table = table.assign(_order=order).sort_values(["_order", "notebook"], kind="stable", ignore_index=True)
    table["unit"] = table["unit"].where(table["unit"].notna(), printed["unit"].iloc[0])
    table["ours"] = [_number(line) for line in table.to_dict("records")]
    for name, column in (("clips", "n"), ("seeds", "seeds")):
        table[name] = ["" if pd.isna(value) else f"{int(value):,}" for value in table[column]]
    columns = [*JOIN, "unit", "paper", "ours", "gap", "clips", "seeds", "our input", "data", "profile", "notebook"]
    idle = {name for name in ("our input", "note") if not table[name].fillna("").any()}
    idle |= {name for name in ("data", "profile") if table[name].nunique() < 2}  # the banner has it
    idle |= set() if table["unit"].isin(list(DIGITS)).any() else {"gap"}  # of counts it says nothing
    same = [name for name in ("metric", "unit", "input") if table[name].nunique() == 1]
    said = ", ".join(str(table[name].iloc[0]) for name in same)
    table = table[[name for name in (*columns, "note") if name not in idle and name not in same]]
    table.attrs["banner"] = f"{said}. " * bool(said) + provenance(paper, ref, runs)
    return table


def _number(line: dict[object, Any]) -> str:
    """Ours as the paper would print it, with its interval."""
    if pd.isna(line["ours"]):
        return ""
    if line["unit"] not in DIGITS:
        return f"{line['ours']:,.6g}"
    return spelled(line["ours"], line["low"], line["high"], digits=DIGITS[line["unit"]])


def provenance(paper: str, ref: str, runs: Sequence[Run]) -> str:
    """The banner of a table: data, profile, hardware and commit of each run that has numbers for it."""
    mine = [(run, run.of(paper, ref)) for run in runs if run.of(paper, ref)]
    said = banner([row for _, rows in mine for row in rows])
    for run, rows in mine:
        said += f" {run.name}: {_distinct(row.device for row in rows)}, commit {_distinct(row.commit for row in rows)}."
    return said


def claims(paper: str, ref: str, runs: Sequence[Run]) -> pd.DataFrame:
    """The paper's orderings that a run can answer (`orderings`), the paper's widest gap first.

    Two rows are compared only within one run: one split, one set of settings. Where several runs can tell, the one
    with most of the table does; metrics that the paper does not print are left out.
    """
    parts = [
        orderings(paper, ref, run.of(paper, ref)).assign(notebook=run.name)
        for run in sorted(runs, key=lambda run: -len(run.of(paper, ref)))
        if run.of(paper, ref)
    ]
    columns = [*COLUMNS, "notebook"]
    measured = pd.concat([part for part in parts if len(part)] or [pd.DataFrame(columns=columns)])
    measured = measured.drop_duplicates(["input", "metric", "claim", "data", "profile"])
    measured = measured.sort_values("paper gap", ascending=False, kind="stable", ignore_index=True)
    measured.attrs["banner"] = provenance(paper, ref, runs)
    return measured[columns]


def title(paper: str) -> str:
    """The paper's title, of its name in rows."""
    return next((one.title for one in papers() if one.name == paper), paper)


def shown_claims(paper: str, ref: str, runs: Sequence[Run], most: int) -> pd.DataFrame:
    """The first `most` of `claims` for a reader: differences with their intervals, columns that differ, a caption."""
    every = claims(paper, ref, runs)
    table = every.head(most).copy()
    digits = DIGITS.get(str(published(paper, ref)["unit"].iloc[0]), 3)
    numbers = table[["our gap", "low", "high"]].astype(float).itertuples(index=False, name=None)
    table["our gap"] = [spelled(*number, digits=digits) for number in numbers]
    same = [name for name in ("input", "metric", "data", "profile") if every[name].nunique() == 1]
    idle = ["low", "high", "p"] + ["mAP"] * (not every["mAP"].any())
    table = table.drop(columns=[*same, *idle])
    table.attrs["banner"] = f"{len(every)} of {possible(paper, ref)} orderings measured, {len(table)} shown"
    return table


def possible(paper: str, ref: str) -> int:
    """How many orderings the paper's table states: pairs of rows of one input and metric that differ."""
    printed = published(paper, ref)
    groups = printed.assign(value=pd.to_numeric(printed["value"], errors="coerce")).groupby(["input", "metric"])[
        "value"
    ]
    return sum(a != b for _, values in groups for a, b in combinations(values.dropna(), 2))


def verdicts(runs: Sequence[Run]) -> pd.DataFrame:
    """One line a table whose rows compete, dataset and profile: how many of its orderings hold, are open, reversed.

    Columns: paper, ref, shows, data, profile, orderings, yes, open, no, not measured, paired.
    """
    lines: list[dict[str, str | int]] = []
    for fact in facts("tables"):
        if not fact["contest"]:
            continue
        paper, ref = fact["paper"], fact["ref"]
        whole, every = possible(paper, ref), claims(paper, ref, runs)
        for (data, profile), group in every.groupby(["data", "profile"]) if len(every) else [(("", ""), every)]:
            counts = {answer: int((group["held"] == answer).sum()) for answer in ANSWERS}
            lines.append(
                {"paper": paper, "ref": ref, "shows": fact["shows"], "data": data, "profile": profile}
                | {"orderings": whole, **counts, "not measured": whole - sum(counts.values())}
                | {"paired": int((group["judged"] == "paired").sum())}
            )
    return pd.DataFrame(lines)


def gaps(runs: Sequence[Run]) -> pd.DataFrame:
    """Every ordering that was measured, gaps in points of a rate: paper, ref, and the columns of `claims`."""
    parts = []
    for fact in facts("tables"):
        every = claims(fact["paper"], fact["ref"], runs)
        if fact["contest"] and len(every):
            ratio = (published(fact["paper"], fact["ref"])["unit"] == "ratio").any()
            scaled = every[["paper gap", "our gap", "low", "high"]].astype(float) * (100 if ratio else 1)
            parts.append(every.assign(paper=fact["paper"], ref=fact["ref"], **scaled))
    columns = ["paper", "ref", *COLUMNS, "notebook"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def known_for(runs: Sequence[Run]) -> pd.DataFrame:
    """What each paper is known for (`claims` of its file), one line each: their gain, ours in points, decided or not.

    Columns: paper, title, ref, says, their gain, our gain, low, high, held ('' where not measured), judged, notebook.
    """
    lines = []
    for paper in papers():
        for fact in paper.sections["claims"]:
            printed = published(paper.name, fact["ref"])
            printed = printed[(printed["input"] == fact["input"]) & (printed["metric"] == fact["metric"])]
            scale = 100.0 if (printed["unit"] == "ratio").any() else 1.0
            values = printed.set_index("row")["value"]
            every = claims(paper.name, fact["ref"], runs)
            same = every["claim"] == f"{fact['above']} > {fact['below']}"
            same &= (every["input"] == fact["input"]) & (every["metric"] == fact["metric"])
            ours = every[same].to_dict("records")[:1]
            line = {name: scale * ours[0][key] if ours else math.nan for name, key in MEASURED.items()}
            line |= {name: ours[0][name] if ours else "" for name in ("held", "judged", "notebook")}
            gain = {"their gain": scale * (values[fact["above"]] - values[fact["below"]])}
            about = {"paper": paper.name, "title": paper.title, "ref": fact["ref"], "says": fact["says"]}
            lines.append(about | gain | line)
    columns = ["paper", "title", "ref", "says", "their gain", *MEASURED, "held", "judged", "notebook"]
    return pd.DataFrame(lines, columns=columns)


MEASURED = {"our gain": "our gap", "low": "low", "high": "high"}


def summary(every: pd.DataFrame) -> str:
    """Two sentences on orderings (`gaps`): how many hold, are open or reversed, and what luck would do of it."""
    if not len(every):
        return "No ordering of the papers has been measured yet."
    counts = tally(every)
    said = (
        f"Of {len(every)} orderings measured {counts['yes']} hold, {counts['no']} are reversed and "
        f"{counts['open']} are open; {counts['paired']} were judged by paired differences."
    )
    return said + (
        f" If no two networks differed, about {counts['by luck']:g} would be decided by luck; taken all together "
        f"(Holm) {counts['yes, all sure']} hold and {counts['no, all sure']} are reversed."
    )


def remarks(paper: str, ref: str) -> list[str]:
    """What to know beside a table: its warnings, the contradictions around it, and what has no counterpart."""
    said = [line["text"] for line in facts("warnings", paper, ref)]
    said += [f"Contradiction. {line['text']}" for line in facts("contradictions", paper, ref)]
    notes = [line["note"] for line in facts("tables", paper, ref) if line.get("note")]
    return said + [f"{note[0].upper()}{note[1:]}." for note in notes]
