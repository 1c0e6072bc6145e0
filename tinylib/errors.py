"""What can be wrong with what a user gives us: one exception a kind, each a single clear line."""

from __future__ import annotations

from pathlib import Path


class TinylibError(Exception):
    """Base of every error that a user can cause; its text is one line."""


class UsageError(TinylibError):
    """The call is wrong: unknown option, parameter or name (exit code 2)."""


class DataError(TinylibError):
    """The data is bad (exit code 1)."""


class ClipError(DataError):
    """A video file cannot be read as asked."""

    def __init__(self, path: str | Path, reason: str):
        self.path, self.reason = str(path), reason
        super().__init__(f"{path}: {reason}")

    def __reduce__(self) -> tuple[type, tuple[str, str]]:  # so that it survives the trip out of a data-loading worker
        return type(self), (self.path, self.reason)


class AnnotationError(DataError):
    """An annotation or index file is malformed: file, line (or field) and what was expected."""

    def __init__(self, path: str | Path, line: int | None, reason: str):
        self.path, self.line, self.reason = str(path), line, reason
        where = f"{path}:{line}" if line is not None else str(path)
        super().__init__(f"{where}: {reason}")

    def __reduce__(self) -> tuple[type, tuple[str, int | None, str]]:
        return type(self), (self.path, self.line, self.reason)


class WorkerKilled(DataError):
    """A worker process was killed, twice, by what it worked on or for want of memory."""

    def __init__(self, item: str):
        super().__init__(f"{item}: the process that worked on it was killed, twice (out of memory?)")
        self.item = item

    def __reduce__(self) -> tuple[type[WorkerKilled], tuple[str]]:
        return type(self), (self.item,)
