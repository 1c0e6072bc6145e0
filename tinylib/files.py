"""Files that are either whole or not there, hashes, and paths that stay inside their root."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tinylib.errors import DataError, UsageError

Json = dict[str, Any]  # an object of a JSON or YAML file: plain values by name
BEFORE = ".before-"  # in the name of a folder that was set aside


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; on success flush it to disk and move it over `target`.

    A crash at any moment leaves the old file or the new one, never half a file.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.part{target.suffix}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))  # as open to others as the umask says
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        if target.exists():  # a file that was made private stays so
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
        _flush(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _flush(folder: Path) -> None:
    """Bring a folder's entries to the disk, where the system lets a folder be opened."""
    if os.name == "nt":
        return
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def set_aside(folder: Path, held: str = "") -> Path | None:
    """Rename a folder that holds anything to NAME.before-DATE beside it, and say where; None: it held nothing.

    held: the name of a lock in the folder that the caller holds; it stays where it is.
    """
    contents = [path for path in folder.iterdir() if path.name != f".{held}.lock"] if folder.exists() else []
    if not contents:
        return None
    stem = f"{folder.name}{BEFORE}{datetime.now(UTC):%Y-%m-%d-%H%M%S}"
    names = (stem, *(f"{stem}-{number}" for number in range(2, 1000)))
    target = next(path for path in map(folder.with_name, names) if not path.exists())
    if not held:
        os.replace(folder, target)
        return target
    target.mkdir()
    for path in contents:
        path.rename(target / path.name)
    return target


@contextmanager
def locked(path: str | Path, *, wait: bool | float = True) -> Iterator[None]:
    """Hold the lock of `path` (`.NAME.lock` beside it) among all processes of this machine.

    wait=False, or so many seconds: UsageError at once, or after these, if another process or thread holds it.
    """
    from filelock import FileLock, Timeout

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=-1 if wait is True else float(wait))
    except Timeout:
        raise UsageError(f"{path}: in use by another process; wait until it ends") from None
    try:
        yield
    finally:
        lock.release()


def write_text(target: str | Path, text: str) -> None:
    with atomic_path(target) as path:
        path.write_text(text, encoding="utf-8")


def write_json(target: str | Path, value: object, *, indent: int | None = 1) -> None:
    write_text(target, json.dumps(value, indent=indent, ensure_ascii=False) + "\n")


def sha256(path: str | Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_below(root: str | Path, *, hidden: bool = False) -> list[str]:
    """Files under `root` as relative paths with forward slashes, sorted; hidden ones and hidden folders if asked for.

    Linked folders are followed, each once on a way. DataError where there is no such folder, or one cannot be listed.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    return sorted(_below(root, "", frozenset(), hidden))


def _below(folder: Path, prefix: str, above: frozenset[tuple[int, int]], hidden: bool) -> Iterator[str]:
    status = folder.stat()
    here = (status.st_dev, status.st_ino) if status.st_ino else None
    if here in above:  # a link to a folder above itself
        return
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed: {error.strerror}") from None
    for entry in entries:
        if entry.name.startswith(".") and not hidden:
            continue
        if entry.is_dir():
            yield from _below(
                folder / entry.name, f"{prefix}{entry.name}/", above | ({here} if here else set()), hidden
            )
        else:
            yield prefix + entry.name


def inside(root: str | Path, relative: str) -> Path:
    """`root / relative`, refusing absolute paths and any `..` (DataError)."""
    return Path(root, *relative_path(relative).split("/"))


def relative_path(relative: str) -> str:
    """The path with forward slashes, if it stays inside the folder it is relative to (DataError)."""
    path = relative.replace("\\", "/")
    if path.startswith("/") or path in ("", ".") or ".." in path.split("/") or "\0" in path:
        raise DataError(f"{relative!r}: a path must stay inside its dataset folder")
    return path
