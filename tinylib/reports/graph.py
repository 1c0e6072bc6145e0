"""Which notebooks run, after which, and with what."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinylib.errors import UsageError
from tinylib.files import Json
from tinylib.reports.source import _code, declared_parameters, package_digest
from tinylib.reports.status import read_status
from tinylib.results.paper_files import planned
from tinylib.settings.parameters import PROFILES, Declared, check_parameters, home, parsed
from tinylib.workers import cores

LIMITS = {"smoke": (300, 900), "demo": (1800, 5400), "full": (14 * 86400, 30 * 86400)}  # seconds: one cell, a notebook


def after(name: str) -> tuple[str, ...]:
    """The notebooks done before this one, as the papers' files say; '*': all others, whatever became of them."""
    plans = planned()
    return plans[name].after if name in plans else ()


@dataclass(frozen=True)
class Job:
    """One notebook to run; everything a worker needs."""

    name: str
    source: Path
    out: Path
    parameters: Json
    fingerprint: str
    cell_seconds: int
    seconds: int
    force: bool
    threads: int | None  # of the notebook's own process; None: this worker's share of its machine
    gpus: tuple[str, ...] = ()
    keep_checkpoints: bool = False


def plan(
    folder: Path,
    profile: str,
    only: Sequence[str],
    out: Path,
    parameters: Json,
    *,
    texts: Mapping[str, str] | None = None,
    force: bool,
    remote: bool,
) -> dict[str, Job]:
    """The notebooks to run in an order in which each comes after those it depends on, checked.

    texts: parameters as typed; the type that a notebook declares says how they are read.
    """
    sources = {path.stem: path for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    if not sources:
        raise UsageError(f"{folder}: no notebooks here (expected 01_….ipynb and so on)")
    if profile not in PROFILES:
        raise UsageError(f"profile must be one of {', '.join(PROFILES)}, got {profile!r}")
    for wanted in only:
        if not any(name == wanted or name.split("_")[0] == wanted.zfill(2) for name in sources):
            raise UsageError(f"--only {wanted}: no such notebook; there are {', '.join(sources)}")
    chosen = [n for n in sources if not only or n in only or n.split("_")[0] in {o.zfill(2) for o in only}]
    right = {name: declared_parameters(sources[name]) for name in chosen}
    known = {line.name: line for lines in right.values() for line in lines}
    check_parameters(parameters | _read(texts, list(known.values())), list(known.values()), "the notebooks")
    threads, gpus = _share()
    cell, whole = LIMITS[profile]
    jobs: dict[str, Job] = {}
    for name in _ordered(chosen):
        names = {line.name for line in right[name]}
        given: Json = {"profile": profile, "run_dir": str(out / "runs" / name)}
        given |= {"data_root": str(home() / "data")} | parameters | _read(texts, right[name])
        given = {k: v for k, v in given.items() if k in names}
        check_parameters(given, right[name], name)
        before = [jobs[b].fingerprint if b in jobs else _known(out, b) for b in before_of(name, sources)]
        print_of = hashlib.sha256(
            json.dumps([_code(sources[name]), given, package_digest(), before]).encode()
        ).hexdigest()
        jobs[name] = Job(
            name=name,
            source=sources[name].resolve(),
            out=out,
            parameters=given,
            fingerprint=print_of[:16],
            cell_seconds=cell,
            seconds=whole,
            force=force,
            threads=None if remote else threads,
            gpus=() if remote else gpus,
        )
    return jobs


def _read(texts: Mapping[str, str] | None, lines: list[Declared]) -> Json:
    """Typed texts as values of the declared types; those of unknown names as they are."""
    hints = {line.name: line.hint for line in lines}
    return {name: parsed(text, hints[name]) if name in hints else text for name, text in (texts or {}).items()}


def before_of(name: str, chosen: Iterable[str]) -> list[str]:
    """The chosen notebooks that `name` must wait for; one that was not chosen is taken to be done."""
    wanted = after(name)
    return [c for c in chosen if c != name and (c in wanted or ("*" in wanted and "*" not in after(c)))]


def _known(out: Path, name: str) -> str:
    """The fingerprint of a notebook that was not chosen this time, as an earlier call left it."""
    status = read_status(out, name)
    return status.fingerprint if status else ""


def _ordered(chosen: Sequence[str]) -> list[str]:
    from graphlib import TopologicalSorter

    return list(TopologicalSorter({name: before_of(name, chosen) for name in chosen}).static_order())


def _share() -> tuple[int, tuple[str, ...]]:
    """Threads a notebook, and the GPUs to share out: four notebooks at once on a large machine, two on two cores."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = visible.split(",") if visible else [str(i) for i in range(torch.cuda.device_count())]
    if gpus and torch.cuda.is_available():
        return max(1, cores() // len(gpus)), tuple(gpus)
    return max(1, cores() // 4), ()
