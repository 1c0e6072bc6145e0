"""Runs the graph of notebooks with papermill on dask, renders each to one self-contained page, and writes an index.

A notebook starts when those it depends on are done. What is done stays done until its source, its parameters or the
package change.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from tinylib.clusters import connect, cores
from tinylib.errors import UsageError
from tinylib.files import write_json, write_text
from tinylib.parameters import PROFILES, Declared, check_parameters, declared, home
from tinylib.results import commit, device_name

DATA = ("01_build_tinyvirat",)
AFTER: dict[str, tuple[str, ...]] = {  # a notebook -> those done first; "*": all others, whatever became of them
    "02_dataset_statistics": DATA,
    "03_baselines": DATA,
    "04_progressive_dvsr": DATA,
    "05_foreground_attention": (*DATA, "04_progressive_dvsr"),
    "06_low_resolution_ucf_hmdb": DATA,
    "07_attention_transfer": (),  # 07, 08 and 11 make studies of their own
    "08_sampling_and_balance": (),
    "09_dual_resolution_distillation": ("08_sampling_and_balance",),  # one study for both
    "10_ensemble_and_submission": ("08_sampling_and_balance", "09_dual_resolution_distillation"),
    "11_beyond_the_papers": (),
    "12_papers_vs_ours": ("*",),
    "13_your_own_video": ("03_baselines",),
}
LIMITS = {"smoke": (300, 900), "demo": (1800, 5400), "full": (14 * 86400, 30 * 86400)}  # seconds: one cell, a notebook


@dataclass(frozen=True)
class Job:
    """One notebook to run; everything a worker needs."""

    name: str
    source: Path
    out: Path
    parameters: dict[str, Any]
    fingerprint: str
    cell_seconds: int
    seconds: int
    force: bool
    threads: int | None  # of the notebook's own process; None: this worker's share of its machine
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True)
class Status:
    """What became of a notebook: `out/status/<name>.json`."""

    name: str
    state: str  # 'done', 'failed', 'not run'
    error: str = ""
    seconds: float = 0.0
    began: str = ""
    fingerprint: str = ""
    commit: str = ""
    hardware: str = ""
    title: str = ""
    data: str = ""
    profile: str = ""
    fresh: bool = field(default=True, compare=False)  # False: found done from an earlier call

    def write(self, out: Path) -> None:
        write_json(out / "status" / f"{self.name}.json", {k: v for k, v in asdict(self).items() if k != "fresh"})


def read_status(out: Path, name: str) -> Status | None:
    file = out / "status" / f"{name}.json"
    return Status(**json.loads(file.read_text(encoding="utf-8")), fresh=False) if file.exists() else None


def run(
    notebooks: str | Path | None = None,
    profile: str = "demo",
    only: Sequence[str] = (),
    out: str | Path | None = None,
    scheduler: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    *,
    force: bool = False,
) -> list[Status]:
    """Run, render and index the notebooks; a failing one is shown as failed and those after it as not run.

    notebooks: their folder (default: the project's); only: numbers or names; out: default reports/<profile>;
    scheduler: address of a dask scheduler that shares the folder (default: this machine); parameters: passed to every
    notebook that has them. Unknown or ill-typed parameters are a UsageError before anything runs.
    """
    folder = Path(notebooks) if notebooks else home() / "notebooks"
    from tinylib.pages import index_page

    target = (Path(out) if out else home() / "reports" / profile).resolve()
    jobs = plan(folder, profile, only, target, dict(parameters or {}), force=force, remote=scheduler is not None)
    earlier = [read_status(target, file.stem) for file in (target / "status").glob("*.json")]
    statuses = {status.name: status for status in earlier if status}
    for status in _statuses(jobs, scheduler):
        statuses[status.name] = status
        note = status.error or (f"{status.seconds:.0f} s" if status.fresh else "already done")
        print(f"{status.name}: {status.state} ({note})", flush=True)
        write_text(target / "index.html", index_page(target, list(statuses.values())))
    return [statuses[name] for name in jobs]


def plan(
    folder: Path, profile: str, only: Sequence[str], out: Path, parameters: dict[str, Any], *, force: bool, remote: bool
) -> dict[str, Job]:
    """The notebooks to run in an order in which each comes after those it depends on, checked."""
    sources = {path.stem: path for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    if not sources:
        raise UsageError(f"{folder}: no notebooks here (expected 01_….ipynb and so on)")
    if profile not in PROFILES:
        raise UsageError(f"profile must be one of {', '.join(PROFILES)}, got {profile!r}")
    for asked in only:
        if not any(name == asked or name.split("_")[0] == asked.zfill(2) for name in sources):
            raise UsageError(f"--only {asked}: no such notebook; there are {', '.join(sources)}")
    chosen = [n for n in sources if not only or n in only or n.split("_")[0] in {o.zfill(2) for o in only}]
    right = {name: declared_parameters(sources[name]) for name in chosen}
    known = {line.name: line for lines in right.values() for line in lines}
    check_parameters(parameters, list(known.values()), "the notebooks")
    threads, gpus = _share()
    cell, whole = LIMITS[profile]
    jobs: dict[str, Job] = {}
    for name in _ordered(chosen):
        names = {line.name for line in right[name]}
        given: dict[str, Any] = {"profile": profile, "run_dir": str(out / "runs" / name)}
        given |= {"data_root": str(home() / "data")} | parameters
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


def before_of(name: str, chosen: Iterable[str]) -> list[str]:
    """The chosen notebooks that `name` must wait for; one that was not chosen is taken to be done."""
    wanted = AFTER.get(name, ())
    return [c for c in chosen if c != name and (c in wanted or ("*" in wanted and "*" not in AFTER.get(c, ())))]


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


def _statuses(jobs: dict[str, Job], scheduler: str | None) -> Iterable[Status]:
    """Submit the graph and yield each notebook's status as it comes."""
    first = next(iter(jobs.values()))
    workers = len(first.gpus) or max(1, cores() // (first.threads or 1))
    with connect(scheduler, workers, processes=False) as client:  # threads do: each notebook is a process of its own
        from distributed import as_completed

        futures: dict[str, Any] = {}
        for name, job in jobs.items():
            futures[name] = client.submit(execute, job, *[futures[b] for b in before_of(name, jobs)], pure=False)
        names = {future.key: name for name, future in futures.items()}
        for future, result in as_completed(futures.values(), with_results=True, raise_errors=False):
            if isinstance(result, Status):
                yield result
            else:  # the worker itself was lost
                status = Status(names[future.key], "failed", error=str(result[1]).splitlines()[0])
                status.write(jobs[status.name].out)
                yield status


def execute(job: Job, *before: Status) -> Status:
    """Run one notebook unless it is done already or one before it is not; render it; leave its status on disk."""
    sums_up = "*" in AFTER.get(job.name, ())  # what others left, be it little: runs again when one of them has
    missing = [status.name for status in before if status.state != "done" and not sums_up]
    earlier = read_status(job.out, job.name)
    done = earlier and earlier.state == "done" and earlier.fingerprint == job.fingerprint
    done = done and not (sums_up and any(status.fresh for status in before))
    if earlier and done and not missing and not job.force and (job.out / f"{job.name}.html").exists():
        return earlier
    status = Status(
        name=job.name,
        state="not run",
        error=f"waits for {', '.join(missing)}" if missing else "",
        began=datetime.now(UTC).isoformat(timespec="seconds"),
        fingerprint=job.fingerprint,
        commit=commit(),
        hardware=device_name(),
        title=title(job.source),
        data=str(job.parameters.get("data", "synthvirat")),
        profile=str(job.parameters.get("profile", "")),
    )
    if not missing:
        own = job.out / "runs" / job.name
        if own.exists() and (job.force or not earlier or earlier.fingerprint != job.fingerprint):
            shutil.rmtree(own)  # of other settings or code; an interrupted run of these goes on where it was
        replace(status, state="failed", error="interrupted").write(job.out)  # until we know better
        start = time.monotonic()
        error = _papermill(job)
        status = replace(
            status, state="failed" if error else "done", error=error, seconds=round(time.monotonic() - start, 1)
        )
        from tinylib.pages import notebook_page

        executed = job.out / "notebooks" / f"{job.name}.ipynb"
        if executed.exists():
            others = {name for name in AFTER if (job.out / f"{name}.html").exists()} - {job.name}
            write_text(job.out / f"{job.name}.html", notebook_page(executed, status, others))
    status.write(job.out)
    return status


def _papermill(job: Job) -> str:
    """Execute into `out/notebooks`; '' or what went wrong (papermill calls the cells of a killed kernel completed)."""
    import nbformat

    target = job.out / "notebooks" / f"{job.name}.ipynb"
    working = target.with_suffix(".running.ipynb")
    working.parent.mkdir(parents=True, exist_ok=True)
    working.unlink(missing_ok=True)
    command = [sys.executable, "-m", "papermill", str(job.source), str(working), "-y", json.dumps(job.parameters)]
    command += [
        "--execution-timeout",
        str(job.cell_seconds),
        "--start-timeout",
        "120",
        "--no-progress-bar",
        "-k",
        "python3",
        "-l",
        "python",
    ]
    command += ["--cwd", str(home()), "--log-level", "ERROR"]
    with subprocess.Popen(
        command, env=_environment(job), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as p:
        try:
            _, log = p.communicate(timeout=job.seconds)
        except subprocess.TimeoutExpired:
            _kill(p.pid)
            _, log = p.communicate()
            log += f"\nstopped after {job.seconds} s"
    if not working.exists():
        return next((line for line in reversed(log.splitlines()) if line.strip()), "papermill left nothing")
    book = nbformat.read(working, as_version=4)
    cells = [cell for cell in book.cells if cell.cell_type == "code" and cell.source.strip()]
    raised = [o for cell in cells for o in cell.outputs if o.output_type == "error"]
    unrun = [cell for cell in cells if cell.execution_count is None]
    for cell in unrun:
        cell.metadata.setdefault("papermill", {})["status"] = "not run"
    nbformat.write(book, working)
    os.replace(working, target)
    if raised:
        return f"{raised[0].ename}: {raised[0].evalue}".splitlines()[0]
    if p.returncode or unrun:
        lines = [line for line in log.splitlines() if line.strip()] or ["cells were left unrun"]
        return "the kernel died" if "DeadKernelError" in log else lines[-1]
    return ""


def _environment(job: Job) -> dict[str, str]:
    threads, own = job.threads, {}
    if job.gpus or threads is None:
        from distributed import get_worker

        worker = get_worker()
        if job.gpus:
            own["CUDA_VISIBLE_DEVICES"] = job.gpus[int(worker.name) % len(job.gpus)]
        threads = threads or max(1, (os.cpu_count() or 1) // worker.state.nthreads)
    own |= {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "MKL", "OPENBLAS")}
    own["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    own["JUPYTER_PREFER_ENV_PATH"] = "1"  # this environment's python3 kernel, whatever the user has installed
    own["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    return os.environ | own


def _kill(pid: int) -> None:
    """A process and what it started: the kernel lives in a session of its own."""
    import psutil

    parent = psutil.Process(pid)
    for process in [*parent.children(recursive=True), parent]:
        process.kill()


def declared_parameters(notebook: Path) -> list[Declared]:
    """What the cell tagged `parameters` declares."""
    cells = [c for c in _cells(notebook) if "parameters" in c.get("metadata", {}).get("tags", [])]
    if len(cells) != 1:
        raise UsageError(f"{notebook}: expected one cell tagged `parameters`, found {len(cells)}")
    try:
        return declared("".join(cells[0]["source"]))
    except (UsageError, SyntaxError) as error:
        raise UsageError(f"{notebook}: {error}") from None


def _cells(notebook: Path) -> list[dict[str, Any]]:
    return json.loads(notebook.read_text(encoding="utf-8"))["cells"]


def _code(notebook: Path) -> list[str]:
    return ["".join(cell["source"]) for cell in _cells(notebook)]


def title(notebook: Path) -> str:
    """Its first heading."""
    lines = "\n".join(_code(notebook)[:1]).splitlines()
    return next((line.lstrip("# ").strip() for line in lines if line.startswith("#")), notebook.stem)


@cache
def package_digest() -> str:
    """Hash of the package's own files: a change of code makes what was done undone."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for file in sorted(p for p in here.rglob("*") if p.suffix in {".py", ".yaml", ".js"}):
        digest.update(str(file.relative_to(here)).encode() + file.read_bytes())
    return digest.hexdigest()[:16]
