"""Runs the graph of notebooks with papermill on dask, renders each to one self-contained page, and writes an index.

A notebook starts when those it depends on are done. What is done stays done until its source, its parameters or the
package change.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tinylib.files import Json, locked, set_aside, write_text
from tinylib.reports.folders import thin
from tinylib.reports.graph import Job, after, before_of, plan
from tinylib.reports.source import title
from tinylib.reports.status import Status, read_status
from tinylib.reports.watch import watched
from tinylib.results.rows import commit
from tinylib.settings.parameters import home
from tinylib.workers import connect, cores, device_name


def run(
    notebooks: str | Path | None = None,
    profile: str = "demo",
    only: Sequence[str] = (),
    out: str | Path | None = None,
    scheduler: str | None = None,
    parameters: Mapping[str, object] | None = None,
    *,
    texts: Mapping[str, str] | None = None,
    force: bool = False,
    keep_checkpoints: bool = False,
) -> list[Status]:
    """Run, render and index the notebooks; a failing one is shown as failed and those after it as not run.

    notebooks: their folder (default: the project's); only: numbers or names; out: default reports/<profile>;
    scheduler: address of a dask scheduler that shares the folder (default: this machine); parameters: passed to every
    notebook that has them; texts: the same as a person typed them, read as each notebook declares them. Unknown or
    ill-typed parameters are a UsageError before anything runs, and so is a second call while one runs in `out`.
    keep_checkpoints: all that trainings leave; by default of those that have ended the newest alone stays.
    """
    folder = Path(notebooks) if notebooks else home() / "notebooks"
    from tinylib.reports.pages import index_page

    target = (Path(out) if out else home() / "reports" / profile).resolve()
    remote = scheduler is not None
    jobs = plan(folder, profile, only, target, dict(parameters or {}), texts=texts, force=force, remote=remote)
    jobs = {name: replace(job, keep_checkpoints=keep_checkpoints) for name, job in jobs.items()}

    def index() -> None:
        every = [read_status(target, file.stem) for file in sorted((target / "status").glob("*.json"))]
        write_text(target / "index.html", index_page(target, [status for status in every if status]))

    statuses: dict[str, Status] = {}
    with locked(target / "reports", wait=False):
        _end_interrupted(target)
        with watched(target, list(jobs), index):
            for status in _statuses(jobs, scheduler):
                statuses[status.name] = status
                note = status.error or (f"{status.seconds:.0f} s" if status.fresh else "already done")
                left = f"; {len(jobs) - len(statuses)} of {len(jobs)} notebooks to go"
                print(f"{status.name}: {status.state} ({note}){left if len(statuses) < len(jobs) else ''}", flush=True)
                index()
    return [statuses[name] for name in jobs]


def _end_interrupted(out: Path) -> None:
    """A status 'running' while we hold the lock is of a call that was killed."""
    for file in sorted((out / "status").glob("*.json")):
        status = read_status(out, file.stem)
        if status and status.state == "running":
            replace(status, state="failed", error="interrupted").write(out)


def _statuses(jobs: dict[str, Job], scheduler: str | None) -> Iterable[Status]:
    """Submit the graph and yield each notebook's status as it comes."""
    first = next(iter(jobs.values()))
    workers = len(first.gpus) or max(1, cores() // (first.threads or 1))
    with connect(scheduler, workers, processes=False) as client:  # threads do: each notebook is a process of its own
        from distributed import as_completed

        futures: Json = {}
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
    sums_up = "*" in after(job.name)  # what others left, be it little: runs again when one of them has
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
        run_dir = job.out / "runs" / job.name
        if run_dir.exists() and (job.force or not earlier or earlier.fingerprint != job.fingerprint):
            before_it = set_aside(
                run_dir
            )  # of other settings or code; an interrupted run of these goes on where it was
            if before_it:
                print(f"{job.name}: the run of before is kept as {before_it.parent.name}/{before_it.name}", flush=True)
        replace(status, state="running").write(job.out)
        start = time.monotonic()
        error = _papermill(job)
        status = replace(
            status, state="failed" if error else "done", error=error, seconds=round(time.monotonic() - start, 1)
        )
        if not error and not job.keep_checkpoints:
            thin(run_dir)
        from tinylib.reports.pages import notebook_page

        executed = job.out / "notebooks" / f"{job.name}.ipynb"
        if executed.exists():
            others = {page.stem for page in job.out.glob("[0-9]*.html")} - {job.name}
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
        lines = [line for line in log.splitlines() if line.strip() and "[IPKernelApp]" not in line]
        return "the kernel died" if "DeadKernelError" in log or not lines else lines[-1]
    return ""


def _environment(job: Job) -> dict[str, str]:
    threads, variables = job.threads, {}
    if job.gpus or threads is None:
        from distributed import get_worker

        worker = get_worker()
        if job.gpus:
            variables["CUDA_VISIBLE_DEVICES"] = job.gpus[int(worker.name) % len(job.gpus)]
        threads = threads or max(1, (os.cpu_count() or 1) // worker.state.nthreads)
    variables |= {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "MKL", "OPENBLAS")}
    variables["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    variables["JUPYTER_PREFER_ENV_PATH"] = "1"  # this environment's python3 kernel, whatever the user has installed
    variables["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    return os.environ | variables


def _kill(pid: int) -> None:
    """A process and what it started: the kernel lives in a session of its own."""
    import psutil

    parent = psutil.Process(pid)
    for process in [*parent.children(recursive=True), parent]:
        process.kill()
