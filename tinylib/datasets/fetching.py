"""Datasets from their owners' own addresses: size and hash checked, cut downloads taken up again, terms agreed to."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from tinylib.errors import DataError, UsageError
from tinylib.files import locked, sha256, write_text
from tinylib.progress import Meter

BLOCK = 1 << 20


@dataclass(frozen=True)
class Remote:
    """A file at its owner's; size in bytes and hash where somebody has published them."""

    url: str
    size: int | None = None
    sha256: str | None = None

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[1]


@dataclass(frozen=True)
class Published:
    """A dataset as its owners give it out; `files` is empty where one has to ask them."""

    page: str
    terms: str
    files: tuple[Remote, ...] = ()
    then: str = ""  # what is left to do


UCF = "https://www.crcv.ucf.edu/data/UCF101/"
BROWN = "http://serre-lab.clps.brown.edu/wp-content/uploads/2013/10/"
SPLITS = "5c0d1a53b8ed364a2ac830a73f405e51bece7d98ce1254fd19ed4a36b224bd27"  # as TensorFlow Datasets has it
ASK = "its owners give it out on request or by a form: see the page, then data/README.md for what goes where"
SOURCES: dict[str, Published] = {
    "ucf101": Published(
        "https://www.crcv.ucf.edu/data/UCF101.php",
        "for research; cite Soomro, Zamir and Shah 2012; the clips are their uploaders'",
        (
            Remote(UCF + "UCF101.rar", 6_932_971_618),
            Remote(UCF + "UCF101TrainTestSplits-RecognitionTask.zip", 113_943, SPLITS),
        ),
        "unrar x UCF101.rar; unzip UCF101TrainTestSplits-RecognitionTask.zip",
    ),
    "hmdb51": Published(
        "https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database/",
        "as the page says; cite Kuehne et al. 2011; the clips are their films' owners'",
        (Remote(BROWN + "hmdb51_org.rar"), Remote(BROWN + "test_train_splits.rar")),
        "unrar x both, and each class's .rar in its own folder; the split files into splits/",
    ),
    "tinyvirat": Published("https://www.crcv.ucf.edu/", ASK),
    "tinyvirat-v2": Published("https://www.crcv.ucf.edu/", ASK),
    "virat": Published("https://viratdata.org/", ASK),
    "meva": Published("https://mevadata.org/", ASK),
}


def fetch(name: str, out: str | Path, *, agree: bool = False) -> list[Path]:
    """Download a dataset's files into `out`; what is there and whole stays, what was cut goes on where it was.

    UsageError: without `agree`, saying the terms; DataError: a size or hash that is not the published one, or a
    connection that broke. A file without a published hash gets NAME.sha256 beside it, which later downloads must match.
    """
    if name not in SOURCES:
        raise UsageError(f"fetch: no dataset {name!r}; there are {', '.join(SOURCES)}")
    source = SOURCES[name]
    if not source.files:
        raise UsageError(f"fetch: {name}: {source.terms} ({source.page})")
    if not agree:
        known = [file.size for file in source.files if file.size]
        size = f"{sum(known) / 1e9:.1f} GB" if len(known) == len(source.files) else "some GB"
        raise UsageError(f"fetch: {name}, {size}: {source.terms} ({source.page}); --agree says that you agree")
    return [_fetched(file, Path(out) / file.name) for file in source.files]


def _fetched(remote: Remote, target: Path) -> Path:
    with locked(target, wait=False):
        if not target.exists():
            part = target.with_name(f".{target.name}.part")
            _download(remote, part)
            _check(remote, part, target)
            os.replace(part, target)
        else:
            _check(remote, target, target)
        return target


def _download(remote: Remote, part: Path) -> None:
    """Append to `part` until the file is whole; a server that cannot go on in the middle starts again."""
    done = part.stat().st_size if part.exists() else 0
    if remote.size is not None and done == remote.size:
        return
    request = urllib.request.Request(remote.url, headers={"User-Agent": "tinylib"})
    if done:
        request.add_header("Range", f"bytes={done}-")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            done = done if answer.status == 206 else 0
            total = done + int(answer.headers["Content-Length"]) if answer.headers["Content-Length"] else None
            if remote.size is not None and total not in (None, remote.size):
                raise DataError(f"{remote.url}: has {total:,} bytes there, {remote.size:,} were published")
            with open(part, "ab" if done else "wb") as file, Meter(total, remote.name, done=done) as meter:
                while block := answer.read(BLOCK):
                    file.write(block)
                    meter.advance(len(block))
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing is left to send: the file was whole
            raise DataError(f"{remote.url}: the server says {error.code} {error.reason}") from None
        total = done
    except (OSError, HTTPException) as error:
        raise DataError(f"{remote.url}: {_words(error)}; the same command goes on from there") from None
    if total is not None and part.stat().st_size < total:
        raise DataError(
            f"{remote.url}: cut at {part.stat().st_size:,} of {total:,} bytes; the same command goes on there"
        )


def _words(error: BaseException) -> str:
    return " ".join(str(getattr(error, "reason", error) or type(error).__name__).split())


def _check(remote: Remote, file: Path, target: Path) -> None:
    note = target.with_name(f"{target.name}.sha256")
    expected = remote.sha256 or (note.read_text(encoding="utf-8").split()[0] if note.exists() else None)
    size = file.stat().st_size
    if remote.size is not None and size != remote.size:
        raise DataError(f"{file}: has {size:,} bytes, {remote.size:,} were published: move it away and fetch again")
    digest = sha256(file)
    if expected is None:
        write_text(note, f"{digest}  {target.name}\n")
    elif digest != expected:
        raise DataError(f"{file}: its sha256 is {digest}, expected {expected}: move it away and fetch again")
