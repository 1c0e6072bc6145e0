"""Worker processes: how many cores there are, a dask client on this machine or elsewhere, and a script that forgets."""

from __future__ import annotations

import ast
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinylib.errors import UsageError

if TYPE_CHECKING:
    import torch


LOOPBACK = "127.0.0.1"


def cores() -> int:
    """Those this process may use, which on a shared machine are fewer than it has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def connect(scheduler: str | None, workers: int, *, processes: bool = True) -> Iterator[Any]:
    """A dask client of the scheduler at this address, or of `workers` processes (or threads) made for the occasion."""
    if scheduler is None and processes:
        check_guard()
    import dask
    from distributed import Client, LocalCluster

    # a connection that is closed while its last message is under way is told with a traceback; nothing is lost
    logging.getLogger("distributed.batched").setLevel(logging.WARNING)
    if scheduler is not None:
        with Client(scheduler) as client:
            yield client
        return
    # what goes wrong in a worker comes back with its result, not by its log
    local = {"threads_per_worker": 1, "silence_logs": "ERROR"} | ({"host": LOOPBACK} if processes else {})
    address = dashboard()
    quiet = {} if address else {f"distributed.{part}.http.routes": [] for part in ("scheduler", "worker")}
    pages = {"dashboard_address": address or f"{LOOPBACK}:0", "worker_dashboard_address": f"{LOOPBACK}:0"}
    with (
        dask.config.set(quiet),
        LocalCluster(n_workers=workers, processes=processes, **local, **pages) as cluster,
        Client(cluster) as client,
    ):
        yield client


def dashboard() -> str | None:
    """Where dask's page is served: nowhere, or with `TINYLIB_DASHBOARD=PORT` on that port, seen by this machine alone.

    It shows files' names and the code that runs. UsageError: no port.
    """
    port = os.environ.get("TINYLIB_DASHBOARD", "")
    if port and not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise UsageError(f"TINYLIB_DASHBOARD: expected a port from 0 to 65535, not {port!r}")
    return f"{LOOPBACK}:{port}" if port else None


def check_guard() -> None:
    """UsageError if the script that is running would be run again by each process that it is about to start.

    A new process imports the script for its functions; what stands at its top level, outside
    `if __name__ == "__main__":`, then happens there too, and processes would start processes.
    """
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    if main is None or path is None:
        return  # a prompt, a notebook, `python -c`: there is nothing to import again
    line = _line_of(vars(main))
    if line is None:
        return
    try:
        tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        where = f"{path}, line {line}"
        raise UsageError(f"{where}: worker processes need a script that is a file; save it, or use workers=1") from None
    if not any(_names_main(node.test) for node in ast.walk(tree) if isinstance(node, ast.If) and _holds(node, line)):
        raise UsageError(
            f"{path}, line {line}: this starts worker processes, and each of them would run the script again: "
            'put the call under `if __name__ == "__main__":`, or pass workers=1'
        )


def _line_of(script: dict[str, Any]) -> int | None:
    """The line that the script's own top level has reached, None where it is not on the way here."""
    frame = sys._getframe()
    while frame is not None:
        if frame.f_globals is script and frame.f_code.co_name == "<module>":
            return frame.f_lineno
        frame = frame.f_back  # type: ignore[assignment]
    return None


def _holds(node: ast.If, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)


def _names_main(test: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(test))


def device_name(device: torch.device | None = None) -> str:
    """'CPU, 2 cores', or the GPU's name; nothing that tells one machine from another of its kind."""
    import torch

    kind = device.type if device is not None else "cuda" if torch.cuda.is_available() else "cpu"
    if kind == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {cores()} cores" if kind == "cpu" else kind.upper()
