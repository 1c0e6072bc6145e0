"""Worker processes: how many cores there are, one pool for all that is spread, dask, and a script that forgets."""

from __future__ import annotations

import ast
import logging
import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from multiprocessing import connection, current_process, get_all_start_methods, get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tinylib.errors import UsageError, WorkerKilled
from tinylib.files import Json

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext

    import torch

Result = TypeVar("Result")
Item = TypeVar("Item", bound=tuple[object, ...])
SLOW = ("torch", "scipy.spatial.transform", "pandas", "cv2", "numba", "av")  # what workers import, and wait for
MANY = 200  # items from which it pays to start processes
AHEAD = 2  # items a worker that are handed out before their turn
LOOPBACK = "127.0.0.1"


def cores() -> int:
    """Those this process may use, which on a shared machine are fewer than it has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def suited(count: int) -> int:
    """Processes for so many items: one a core from `MANY` on; 0 where there can be none or starting takes longer."""
    if count < MANY or current_process().daemon:
        return 0
    try:
        check_guard()
    except UsageError:
        return 0
    return cores()


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
    quiet: dict[str, list[str]] = (
        {} if address else {f"distributed.{part}.http.routes": [] for part in ("scheduler", "worker")}
    )
    pages = {"dashboard_address": address or f"{LOOPBACK}:0", "worker_dashboard_address": f"{LOOPBACK}:0"}
    with (
        dask.config.set(quiet),
        LocalCluster(n_workers=workers, processes=processes, **local, **pages) as cluster,
        Client(cluster) as client,
    ):
        yield client


def in_order(
    function: Callable[..., Result],
    items: Iterable[Item],
    workers: int,
    *,
    scheduler: str | None = None,
    shared: tuple[object, ...] = (),
    name: Callable[[Item], str] = str,
) -> Iterator[Result]:
    """`function(*shared, *item)` of every item, in order, two a worker in advance; as `as_finished`, and it raises."""
    for _, result in _outcomes(function, items, workers, scheduler, shared, name, ordered=True):
        yield result()


def as_finished(
    function: Callable[..., Result],
    items: Iterable[Item],
    workers: int,
    *,
    scheduler: str | None = None,
    shared: tuple[object, ...] = (),
    name: Callable[[Item], str] = str,
) -> Iterator[tuple[Item, Callable[[], Result]]]:
    """Every item with a function that gives its result, or raises what it raised, in the order in which they end.

    workers: processes of this machine (0, 1: this process); scheduler: address of a dask scheduler instead. shared:
    arguments that travel once to each process. A process that is killed, for want of memory say, is replaced, and what
    it held is tried once more; the item that ends its process again is a WorkerKilled with its name.
    """
    return _outcomes(function, items, workers, scheduler, shared, name, ordered=False)


def _outcomes(
    function: Callable[..., Result],
    items: Iterable[Item],
    workers: int,
    scheduler: str | None,
    shared: tuple[object, ...],
    name: Callable[[Item], str],
    *,
    ordered: bool,
) -> Iterator[tuple[Item, Callable[[], Result]]]:
    if scheduler is not None:
        yield from _on_dask(function, items, scheduler, shared, name, ordered=ordered)
    elif workers <= 1:
        for item in items:
            yield item, lambda item=item: function(*shared, *item)  # type: ignore[misc]
    else:
        check_guard()
        yield from _on_processes(function, items, workers, shared, name, ordered=ordered)


def _on_processes(
    function: Callable[..., Result],
    items: Iterable[Item],
    workers: int,
    shared: tuple[object, ...],
    name: Callable[[Item], str],
    *,
    ordered: bool,
) -> Iterator[tuple[Item, Callable[[], Result]]]:
    pool = _Pool(shared, name)
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    rest = iter(items)
    with ThreadPoolExecutor(workers, thread_name_prefix="tinylib-worker") as threads:
        try:
            while True:
                for item in islice(rest, (1 + AHEAD) * workers - len(waiting)):
                    waiting.append((item, threads.submit(pool.call, function, item)))
                if not waiting:
                    return
                wait([future for _, future in waiting][: 1 if ordered else None], return_when=FIRST_COMPLETED)
                place = next(i for i, (_, future) in enumerate(waiting) if future.done())
                item, future = waiting[place]
                del waiting[place]
                yield item, future.result
        finally:
            for _, future in waiting:
                future.cancel()
            pool.close()


class _Pool:
    """Processes, each behind a thread of this one that hands it an item and waits: so it is known what each one holds.

    They are new processes, not copies of this one: a copy of a process with threads, such as a kernel, may stand still.
    """

    def __init__(self, shared: tuple[object, ...], name: Callable[[Any], str]):
        self.shared, self.name = shared, name
        self.of_thread = threading.local()
        self.lock = threading.Lock()
        self.processes: list[BaseProcess] = []
        self.closed = False

    def call(self, function: Callable[..., Result], item: tuple[object, ...]) -> Result:
        """Its result, from this thread's process, or from a second one where the first is killed."""
        for _ in range(2):
            pipe = self.pipe()
            try:
                pipe.send((function, item))
                value, error = pipe.recv()
            except (EOFError, ConnectionError):
                self.of_thread.pipe = None
                pipe.close()
                continue
            if error is not None:
                raise error
            result: Result = value
            return result
        raise WorkerKilled(self.name(item))

    def pipe(self) -> connection.Connection:
        """To this thread's process, which is started where there is none."""
        if getattr(self.of_thread, "pipe", None) is None:
            context = _processes()
            mine, theirs = context.Pipe()
            with self.lock:  # one start at a time, and none after the end
                if self.closed:
                    raise CancelledError
                process = context.Process(target=_work, args=(theirs, self.shared), daemon=True)
                process.start()
                self.processes.append(process)
            theirs.close()
            self.of_thread.pipe = mine
        pipe: connection.Connection = self.of_thread.pipe
        return pipe

    def close(self) -> None:
        with self.lock:
            self.closed = True
            for process in self.processes:
                process.terminate()
        for process in self.processes:
            process.join()


def _work(pipe: connection.Connection, shared: tuple[object, ...]) -> None:
    """A worker's life: items in, (result, error) out; it ends with the process that started it."""

    def watch() -> None:
        parent = parent_process()
        if parent is not None:
            connection.wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the starter's to answer
    answer: tuple[object, Exception | None]
    while True:
        try:
            function, item = pipe.recv()
            answer = (function(*shared, *item), None)
        except EOFError:
            return
        except Exception as error:
            error.add_note(f"in a worker process:\n{traceback.format_exc()}")
            answer = (None, error)
        try:
            pipe.send(answer)
        except ConnectionError:
            return
        except Exception as error:  # what cannot travel
            pipe.send((None, RuntimeError(f"{type(error).__name__}: {error}")))


def _on_dask(
    function: Callable[..., Result],
    items: Iterable[Item],
    scheduler: str,
    shared: tuple[object, ...],
    name: Callable[[Item], str],
    *,
    ordered: bool,
) -> Iterator[tuple[Item, Callable[[], Result]]]:
    with connect(scheduler, 0) as client:
        from distributed import KilledWorker, as_completed

        everywhere = client.scatter(list(shared), broadcast=True, hash=False) if shared else []

        def outcome(item: Item, future: Any) -> tuple[Item, Callable[[], Result]]:
            def result() -> Result:
                try:
                    value: Result = future.result()
                except KilledWorker:
                    raise WorkerKilled(name(item)) from None
                return value

            return item, result

        if ordered:
            waiting: deque[tuple[Item, object]] = deque()
            for item in items:
                waiting.append((item, client.submit(function, *everywhere, *item, pure=False)))
                if len(waiting) > AHEAD * max(1, len(client.nthreads())):
                    yield outcome(*waiting.popleft())
            while waiting:
                yield outcome(*waiting.popleft())
        else:
            futures = {client.submit(function, *everywhere, *item, pure=False): item for item in items}
            for future in as_completed(futures):
                yield outcome(futures[future], future)


def dashboard() -> str | None:
    """Where dask's page is served: nowhere, or with `TINYLIB_DASHBOARD=PORT` on that port, seen by this machine alone.

    It shows files' names and the code that runs. UsageError: no port.
    """
    port = os.environ.get("TINYLIB_DASHBOARD", "")
    if port and not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise UsageError(f"TINYLIB_DASHBOARD: expected a port from 0 to 65535, not {port!r}")
    return f"{LOOPBACK}:{port}" if port else None


def _processes() -> ForkServerContext | SpawnContext:
    """How processes are started: never as copies of this one, whose threads a copy lacks.

    Where the system can, they are copies of one that has only imported what takes seconds to import.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(list(SLOW))
    return context


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


def _line_of(script: Json) -> int | None:
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
