"""What a folder of annotations describes: one source a video, its split, and where the video itself lies."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinylib.annotations.kpf import read_kpf
from tinylib.annotations.tracks import VideoAnnotation
from tinylib.annotations.virat import read_virat
from tinylib.datasets.index import SPLITS
from tinylib.datasets.readers import part_of, video_files
from tinylib.errors import DataError, UsageError
from tinylib.files import files_below, sha256

_SPLIT_FOLDERS = {"train": "train", "training": "train", "val": "val", "validate": "val", "validation": "val"} | {
    "test": "test"
}
_MAIN_FILE = re.compile(r"(?P<kpf>.+)[.-]activities\.yml|(?P<virat>.+)\.viratdata\.events\.txt")


@dataclass(frozen=True, slots=True)
class Source:
    """The annotations of one video; `file` is the activities or events file."""

    video_id: str
    file: Path
    split: str | None  # named by a folder on the way, else None

    def read(self) -> VideoAnnotation:
        return read_virat(self.file) if self.file.name.endswith(".txt") else read_kpf(self.file)


def find_sources(folder: str | Path) -> tuple[list[Source], list[tuple[str, str]]]:
    """Sources under `folder` by video, and (file, reason) of those left out: no video's, or a video's second.

    KPF files win over Release-2 text of the same video: only they have the names of the 26 classes.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of annotations")
    sources: dict[str, Source] = {}
    twice = []
    files = sorted(folder / path for path in files_below(folder, hidden=True))
    matches = [(match, path) for path in files if (match := _MAIN_FILE.fullmatch(path.name))]
    for match, path in sorted(matches, key=lambda pair: pair[0]["kpf"] is None):
        video_id = match["kpf"] or match["virat"]
        if not video_id.strip("."):
            twice.append((str(path), f"{video_id!r} names no video"))
            continue
        names = [_SPLIT_FOLDERS[p] for p in path.relative_to(folder).parts[:-1] if p in _SPLIT_FOLDERS]
        source = Source(video_id, path, names[0] if names else None)
        other = sources.setdefault(video_id, source)
        if other is not source and (match["kpf"] or other.file.parent != path.parent):
            twice.append((str(path), f"{video_id} is already annotated by {other.file}"))
    if not sources:
        raise DataError(f"{folder}: expected '*.activities.yml' or '*.viratdata.events.txt' files")
    return [sources[video_id] for video_id in sorted(sources)], twice


def assign_splits(sources: Sequence[Source], splits: Mapping[str, str] | None, *, version: int) -> dict[str, str]:
    """The split of every video: as `splits` says, else by its folder, else every fifth video is held out.

    v1 has no validation set: what is held out is 'test' (the released test split is VIRAT's validation set). In v2 it
    is 'val', as test labels are withheld.
    """
    if splits is not None:
        for source in sources:
            if splits.get(source.video_id) not in SPLITS:
                raise UsageError(f"splits: expected one of {', '.join(SPLITS)} for {source.video_id}")
        return {source.video_id: splits[source.video_id] for source in sources}
    free = [source.video_id for source in sources if source.split is None]
    held = part_of(free, "test")
    named = {source.split for source in sources}
    rename = {"val": "test"} if version == 1 and "test" not in named else {}
    return {
        s.video_id: rename.get(s.split, s.split)
        if s.split
        else ("train" if s.video_id not in held else "test" if version == 1 else "val")
        for s in sources
    }


def find_videos(folder: str | Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Videos by their name without suffix and without MEVA's '.r13' revision, and why a name stands for none.

    Several files of one name that are the same byte for byte are one video; where they differ, nobody can say which one
    was annotated, and the name's reason names them.
    """
    alike: dict[str, list[Path]] = {}
    for path in video_files(folder):
        stem = Path(path).stem
        for name in dict.fromkeys((stem, re.sub(r"\.r\d+$", "", stem))):
            alike.setdefault(name, []).append(Path(folder, path))
    files = {name: paths[0] for name, paths in alike.items() if len(paths) == 1 or _equal(paths)}
    unclear = {
        name: f"{len(paths)} different videos have this name: {', '.join(map(str, paths))}"
        for name, paths in alike.items()
        if name not in files
    }
    return files, unclear


def _equal(paths: Sequence[Path]) -> bool:
    return len({path.stat().st_size for path in paths}) == 1 and len({sha256(path) for path in paths}) == 1
