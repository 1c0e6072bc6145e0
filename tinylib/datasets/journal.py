"""What a store says of its clips, and what builds that were cut short leave beside it to go on from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinylib.datasets.index import Index
from tinylib.files import Json, sha256

Video = NDArray[np.uint8]
SourceFile = tuple[int, int, str]  # size, mtime_ns, sha256
Made = tuple[Video, SourceFile, str | None]  # frames, what they are from, and why there are none


@dataclass(frozen=True, slots=True)
class Entry:
    """One clip of a store: where its frames are, what they hash to, and the file they came from."""

    clip_id: str
    offset: int
    shape: tuple[int, int, int]  # frames, height, width; frames 0: the clip is missing
    sha256: str
    source: tuple[int, int, str]  # size, mtime_ns, sha256
    problem: str | None = None  # why it is missing

    @property
    def nbytes(self) -> int:
        return 3 * int(np.prod(self.shape))


def hash_of(video: Video) -> str:
    """Of the frames' bytes."""
    return hashlib.sha256(np.ascontiguousarray(video).reshape(-1).data).hexdigest()


def source_file(path: Path) -> SourceFile:
    """What a video file is at this moment."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns, sha256(path)


def same_source(path: Path, entry: Entry) -> bool:
    """Whether the file is what the clip was decoded from; one that is away is taken to be."""
    if not path.is_file():
        return True
    status = path.stat()
    if (status.st_size, status.st_mtime_ns) == entry.source[:2]:
        return True
    return status.st_size == entry.source[0] and sha256(path) == entry.source[2]  # copied, or merely touched


def entry_of(row: Json) -> Entry:
    """From its row of a table or journal."""
    return Entry(**(row | {"shape": tuple(row["shape"]), "source": tuple(row["source"])}))


@dataclass(frozen=True)
class Remains:
    """What interrupted or refused builds left beside a store: frames, and a journal of which clips they are.

    The journal's clips are in the index's order and its first ones can be gone on with in place. Where a clip was bad,
    what follows it is put aside as the spare, out of which the next build takes it.
    """

    file: Path

    @property
    def partial(self) -> Path:
        return self.file.with_name(f".{self.file.name}.partial")

    @property
    def journal(self) -> Path:
        return self.file.with_name(f".{self.file.name}.journal")

    @property
    def spare(self) -> Remains:
        return Remains(self.file.with_name(f"{self.file.name}.spare"))

    def remove(self) -> None:
        self.journal.unlink(missing_ok=True)
        self.partial.unlink(missing_ok=True)

    def read(self, recipe: Json, index: Index) -> list[Entry]:
        """The clips that are whole, unchanged at their source, and hash to what was decoded; bad ones as they stand."""
        entries: list[Entry] = []
        try:
            lines = self.journal.read_text(encoding="utf-8").splitlines()
            if not lines or json.loads(lines[0]) != recipe:
                return []
            with open(self.partial, "rb") as data:
                for clip, line in zip(index.clips, lines[1:], strict=False):
                    entry = entry_of(json.loads(line))
                    frames = np.frombuffer(data.read(entry.nbytes), np.uint8)
                    if not entry.problem and (
                        hash_of(frames) != entry.sha256 or not same_source(index.file(clip), entry)
                    ):
                        break
                    entries.append(entry)
        except (OSError, ValueError, TypeError, KeyError):  # a line cut short ends what can be trusted
            pass
        return entries

    def resume(self, recipe: Json, index: Index) -> tuple[list[Entry], dict[int, Entry]]:
        """The clips that stand in their places, and those that the spare has, by place in the index."""
        entries = self.read(recipe, index)
        good = next((place for place, entry in enumerate(entries) if entry.problem), len(entries))
        if len(entries) == len(index) and good < len(entries):  # a whole pass: it holds all that an older spare held
            os.replace(self.journal, self.spare.journal)
            os.replace(self.partial, self.spare.partial)
            good = 0
        spare = {place: entry for place, entry in enumerate(self.spare.read(recipe, index)) if not entry.problem}
        return entries[:good], spare


def with_spare(
    decoded: Callable[[Sequence[int]], Iterator[Made]], places: range, spare: dict[int, Entry], file: Path
) -> Iterator[Made]:
    """The clips at these places, in order: out of the spare file where it has them."""
    if not any(place in spare for place in places):
        yield from decoded(places)
        return
    fresh = decoded([place for place in places if place not in spare])
    with open(file, "rb") as data:
        for place in places:
            if place in spare:
                entry = spare[place]
                data.seek(entry.offset)
                frames = np.frombuffer(data.read(entry.nbytes), np.uint8)
                yield frames.reshape(*entry.shape, 3), entry.source, None
            else:
                yield next(fresh)
