"""A whole dataset decoded once into one memory-mapped file.

The file is the clips' frames, (T, H, W, 3) uint8 one after another, then a JSON table of contents, then a fixed trailer
with the table's place and hash. It is written under another name, clip by clip with a journal, and moved into place
when it is whole: killed at any moment it leaves nothing that could be taken for a store, and the next build goes on
from the last clip that was written.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from math import gcd
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from tinylib.datasets import degrade
from tinylib.datasets.index import Index
from tinylib.datasets.journal import (
    Entry,
    Made,
    Remains,
    Video,
    entry_of,
    hash_of,
    same_source,
    source_file,
    with_spare,
)
from tinylib.errors import ClipError, DataError, UsageError
from tinylib.files import Json, locked, write_text
from tinylib.video import read_frames
from tinylib.workers import in_order, suited

MAGIC = b"tinyclp1"
TRAILER = struct.Struct("<QQ32s8s")  # place and length of the table, its sha256, magic

Resize = Literal["bilinear", "bicubic", "area"]
Fit = Literal["stretch", "crop"]


def resize_video(video: Video, size: degrade.Size, resize: Resize = "bilinear", fit: Fit = "stretch") -> Video:
    """(T, H, W, 3) to `size`; fit: stretch the whole picture, or crop the largest centred window of that shape first.

    bilinear is plain (no antialiasing), as in the TinyAction loader (C4), to within one grey level; bicubic is PIL's;
    area shrinks only.
    """
    height, width = degrade.pair(size)
    if fit == "crop":
        unit = gcd(height, width)
        video = degrade.centre_crop(video, ratio=(height // unit, width // unit))
    if video.shape[1:3] == (height, width):
        return video
    if resize == "bicubic":
        return degrade.bicubic(video, size)
    if resize == "area":
        return degrade.area(video, size)
    if resize != "bilinear":
        raise UsageError(f"resize {resize!r}: expected 'bilinear', 'bicubic' or 'area'")
    import cv2

    out = np.empty((len(video), height, width, 3), np.uint8)
    for source, target in zip(video, out, strict=True):
        cv2.resize(source, (width, height), dst=target, interpolation=cv2.INTER_LINEAR)
    return out


class ClipStore:
    """The decoded clips of one index, in its order: `store[i]` is a read-only (T, H, W, 3) view of the file."""

    def __init__(self, file: Path, recipe: Json, entries: tuple[Entry, ...]):
        self.file, self.recipe, self.entries = file, recipe, entries
        self.frames = np.array([entry.shape[0] for entry in entries], np.int64)
        self.missing = {entry.clip_id: entry.problem for entry in entries if entry.problem is not None}
        sizes = {entry.shape[1:] for entry in entries if entry.problem is None}
        self.size = sizes.pop() if len(sizes) == 1 else None  # (height, width) where all clips share it
        self._offsets = np.array([entry.offset for entry in entries], np.int64)
        self._bytes: Video | None = None

    def __len__(self) -> int:
        return len(self.entries)

    def __getstate__(self) -> Json:
        return self.__dict__ | {"_bytes": None}  # a worker maps the file again instead of receiving its contents

    def __getitem__(self, i: int) -> Video:
        entry = self._present(i)
        return self._map()[entry.offset : entry.offset + entry.nbytes].reshape(*entry.shape, 3)

    def take(self, clips: NDArray[np.int64], frames: NDArray[np.int64]) -> Video:
        """Frames (B, T) of clips (B,) in one gather: (B, T, H, W, 3). Only for stores whose clips share a size."""
        if self.size is None:
            raise UsageError(f"{self.file}: its clips differ in size; take them one by one")
        for i in clips:
            self._present(int(i))
        whole = self._map()
        picture = 3 * self.size[0] * self.size[1]
        pictures = whole[: len(whole) // picture * picture].reshape(-1, *self.size, 3)
        return pictures[(self._offsets[clips] // picture)[:, None] + frames]

    def verify(self) -> None:
        """Hash every clip again; DataError names those that are not what was decoded."""
        bad = [e.clip_id for i, e in enumerate(self.entries) if not e.problem and hash_of(self[i]) != e.sha256]
        if bad:
            raise DataError(f"{self.file}: {len(bad)} clips are damaged: {', '.join(bad)}")

    @classmethod
    def open(cls, file: str | Path, index: Index) -> ClipStore:
        """The store of exactly this index, whose video files have not changed since. DataError otherwise.

        Video files that are no longer there are not missed: the store stands in for them.
        """
        store = cls._read(Path(file))
        if store.recipe["index"] != index.digest():
            raise DataError(f"{file}: made for another index than {index.name} {index.split}; build it again")
        for clip, entry in zip(index.clips, store.entries, strict=True):
            if not same_source(index.file(clip), entry):
                raise DataError(f"{file}: {clip.path} has changed since the store was made; build it again")
        return store

    @classmethod
    def build(
        cls,
        index: Index,
        file: str | Path,
        *,
        size: degrade.Size | None = None,
        resize: Resize = "bilinear",
        fit: Fit = "stretch",
        workers: int | None = None,
        allow_missing: bool = False,
    ) -> ClipStore:
        """Open the store at `file` if it is this index made this way, else decode every clip into it.

        size: of the stored frames; None keeps each clip's own. workers: processes that decode (0: this one, None: one
        a core where there are many clips); the bytes do not depend on it. Two builders of one file wait for each other.
        DataError lists every clip that cannot be decoded, unless `allow_missing`, which records them in
        `store.missing`; the others are kept for the next build.
        """
        if not len(index):
            raise DataError(f"{index.name} {index.split}: the index has no clips")
        file = Path(file)
        shape = None if size is None else list(degrade.pair(size))
        jobs = suited(len(index)) if workers is None else workers
        recipe = {"version": 1, "index": index.digest(), "size": shape, "resize": resize, "fit": fit}
        return cls._made(index, file, recipe, lambda places: _decoded(index, recipe, places, jobs), allow_missing)

    @classmethod
    def render(
        cls, index: Index, file: str | Path, videos: Callable[[int], Iterable[Video]], *, origin: Mapping[str, object]
    ) -> ClipStore:
        """A store of other frames of this index's clips, such as super-resolved ones, killable like any other.

        videos(start): the clips (T, H, W, 3) from place `start` on, in order. origin: what they are made with, as plain
        values; a store that was made with anything else is replaced.
        """
        recipe = {"version": 1, "index": index.digest(), "made": json.loads(json.dumps(origin))}

        def rendered(places: Sequence[int]) -> Iterator[Made]:
            start = len(index) - len(places)  # always the last ones: none is ever bad
            for clip, video in zip(index.clips[start:], videos(start), strict=True):
                file = index.file(clip)
                yield np.ascontiguousarray(video), source_file(file) if file.is_file() else (0, 0, ""), None

        return cls._made(index, Path(file), recipe, rendered, False)

    @classmethod
    def made_with(cls, file: str | Path, origin: Mapping[str, object]) -> ClipStore | None:
        """The rendered store at `file`, of whatever clips, if it was made with `origin`, else None."""
        try:
            store = cls._read(Path(file))
        except DataError:
            return None
        return store if store.recipe.get("made") == json.loads(json.dumps(origin)) else None

    def part(self, index: Index) -> ClipStore | None:
        """The clips of `index`, if all are here, else None. They are told by their names: of the same dataset only."""
        entries = {entry.clip_id: entry for entry in self.entries}
        if any(clip.clip_id not in entries for clip in index.clips):
            return None
        recipe = self.recipe | {"index": index.digest()}
        return ClipStore(self.file, recipe, tuple(entries[clip.clip_id] for clip in index.clips))

    @classmethod
    def _made(
        cls,
        index: Index,
        file: Path,
        recipe: Json,
        clips: Callable[[Sequence[int]], Iterator[Made]],
        missing: bool,
    ) -> ClipStore:
        with locked(file):
            try:
                store = cls.open(file, index)
            except DataError:
                store = None
            if store is None or store.recipe != recipe or (store.missing and not missing):
                store = cls._write(index, file, recipe, clips, missing)
            return store

    @classmethod
    def _write(
        cls,
        index: Index,
        file: Path,
        recipe: Json,
        clips: Callable[[Sequence[int]], Iterator[Made]],
        allow_missing: bool,
    ) -> ClipStore:
        remains = Remains(file)
        try:
            entries, spare = remains.resume(recipe, index)
            write_text(remains.journal, "".join(json.dumps(line) + "\n" for line in (recipe, *map(asdict, entries))))
            remains.partial.touch()
            with open(remains.partial, "rb+") as data, open(remains.journal, "a", encoding="utf-8") as log:
                end = sum(entry.nbytes for entry in entries)
                data.truncate(end)
                data.seek(end)
                places = range(len(entries), len(index))
                for video, source, problem in with_spare(clips, places, spare, remains.spare.partial):
                    clip_id, shape = index.clips[len(entries)].clip_id, video.shape[:3]
                    entries.append(Entry(clip_id, data.tell(), shape, hash_of(video), source, problem))
                    data.write(video.data if video.size else b"")
                    data.flush()
                    log.write(json.dumps(asdict(entries[-1])) + "\n")
                    log.flush()
                bad = [f"{entry.clip_id} ({entry.problem})" for entry in entries if entry.problem]
                if not bad or (allow_missing and len(bad) < len(entries)):
                    _finish(data, recipe, entries)
        except OSError as error:  # a full disk, a folder that is read-only
            raise DataError(f"{file}: {error.strerror}; what was decoded is kept for the next build") from error
        if len(bad) == len(entries):
            remains.remove()
            remains.spare.remove()
            raise DataError(f"{len(bad)} of {len(entries)} clips cannot be decoded: {'; '.join(bad)}")
        if bad and not allow_missing:
            raise DataError(
                f"{len(bad)} of {len(entries)} clips cannot be decoded: {'; '.join(bad)}; "
                f"the others are kept beside {file.name} and are not decoded again"
            )
        os.replace(remains.partial, file)
        remains.remove()
        remains.spare.remove()
        return cls(file, recipe, tuple(entries))

    @classmethod
    def _read(cls, file: Path) -> ClipStore:
        try:
            with open(file, "rb") as data:
                data.seek(-TRAILER.size, os.SEEK_END)
                place, length, digest, magic = TRAILER.unpack(data.read(TRAILER.size))
                data.seek(place if magic == MAGIC else 0)
                table = data.read(length) if magic == MAGIC else b""
        except (OSError, ValueError) as error:
            raise DataError(f"{file}: not a clip store ({error})") from error
        if magic != MAGIC or hashlib.sha256(table).digest() != digest:
            raise DataError(f"{file}: not a whole clip store")
        contents = json.loads(table)
        return cls(file, contents["recipe"], tuple(map(entry_of, contents["clips"])))

    def _present(self, i: int) -> Entry:
        entry = self.entries[i]
        if entry.problem is not None:
            raise DataError(f"{entry.clip_id}: not in the store ({entry.problem})")
        return entry

    def _map(self) -> Video:
        if self._bytes is None:
            self._bytes = np.asarray(np.memmap(self.file, np.uint8, "r"))
        return self._bytes


def _decode(path: Path, size: list[int] | None, resize: Resize, fit: Fit) -> Made:
    """The clip as it will be stored, its source, and why it could not be read (then with no frames)."""
    try:
        video = read_frames(path)
        if size is not None:
            video = resize_video(video, (size[0], size[1]), resize, fit)
        return np.ascontiguousarray(video), source_file(path), None
    except (ClipError, OSError, UsageError) as error:
        reason = error.reason if isinstance(error, ClipError) else str(error)
        return np.empty((0, 0, 0, 3), np.uint8), (0, 0, ""), reason


def _decoded(index: Index, recipe: Json, places: Sequence[int], workers: int) -> Iterator[Made]:
    """Decode the clips at these places, in order."""
    clips = [index.clips[place] for place in places]
    tasks = [(index.file(clip), recipe["size"], recipe["resize"], recipe["fit"]) for clip in clips]
    return in_order(_decode, tasks, min(workers, len(tasks)), name=lambda task: str(task[0]))


def _finish(data: BinaryIO, recipe: Json, entries: list[Entry]) -> None:
    place = data.tell()
    table = json.dumps({"recipe": recipe, "clips": [asdict(entry) for entry in entries]}).encode()
    data.write(table + TRAILER.pack(place, len(table), hashlib.sha256(table).digest(), MAGIC))
    data.flush()
    os.fsync(data.fileno())
