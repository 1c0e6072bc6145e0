"""Verify a dataset: every file there, whole, of the declared size, unchanged, once, and in one split only."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tinylib.annotations.labels import CLASSES
from tinylib.datasets.folders import SPLIT_FOLDERS, is_divided
from tinylib.datasets.index import SPLITS, Clip, read_json, tinyvirat_clip, tinyvirat_json, video_prefix
from tinylib.datasets.readers import ucf_group, video_files
from tinylib.errors import AnnotationError, ClipError, DataError
from tinylib.files import inside, sha256
from tinylib.progress import track
from tinylib.video import probe
from tinylib.workers import cores, in_order

MANY = 200  # files from which it pays to start processes


@dataclass(frozen=True)
class CheckReport:
    """What `check` found: one line a problem; notes are no problems."""

    root: Path
    kind: str  # 'tinyvirat', 'tinyvirat-v2', 'ucf101' or 'folder'
    clips: dict[str, int]  # by split
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        count = ", ".join(f"{n} {split}".strip() for split, n in self.clips.items())
        verdict = "all well" if self.ok else f"{len(self.problems)} problems"
        return "\n".join([*self.problems, *self.notes, f"{self.root}: {self.kind}, {count} clips, {verdict}"])


class _File(NamedTuple):
    """What a video file turned out to be."""

    size: tuple[int, int, int]  # frames, height, width
    sha256: str
    error: str


def check(root: str | Path, *, workers: int | None = None) -> CheckReport:
    """Verify the dataset in `root`: TinyVIRAT v1 or v2, real or built, or class folders (UCF-101 and others).

    Every clip is decoded to its end. workers: processes (None: one a core where there are many files, 0: this one).
    DataError where there is nothing to check.
    """
    began, root = time.monotonic(), Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    versions = [v for v in (1, 2) if any((root / tinyvirat_json(split, v)).exists() for split in SPLITS)]
    if versions:
        kind = "tinyvirat" if versions == [1] else "tinyvirat-v2"
        clips, problems, notes = _check_tinyvirat(root, versions, workers)
    else:
        kind, clips, problems, notes = _check_folders(root, workers)
    return CheckReport(root, kind, clips, tuple(problems), tuple(notes), time.monotonic() - began)


def _check_tinyvirat(
    root: Path, versions: Sequence[int], workers: int | None
) -> tuple[dict[str, int], list[str], list[str]]:
    problems: list[str] = []
    notes: list[str] = []
    counts: dict[str, int] = {}
    try:
        if read_json(root / "class_map.json") != {name: i for i, name in enumerate(CLASSES)}:
            problems.append(f"{root / 'class_map.json'}: expected the {len(CLASSES)} classes of TinyVIRAT")
    except AnnotationError as error:
        problems.append(str(error))
    splits: dict[str, list[Clip]] = {}
    for version in versions:
        for split in SPLITS:
            file = root / tinyvirat_json(split, version)
            if file.exists():
                splits[file.name] = _rows(file, split, problems)
                counts[split if len(versions) == 1 else file.stem] = len(splits[file.name])
        _leaks({name: clips for name, clips in splits.items() if ("_v2" in name) == (version == 2)}, problems)
    for name, clips in splits.items():
        if clips and not any((root / clip.path).exists() for clip in clips):
            problems.append(f"{root / name}: none of its {len(clips)} videos is here")
            clips.clear()
    wanted = {clip.path: (name, clip) for name, clips in splits.items() for clip in clips}
    files = _inspect(root, sorted(wanted), workers)
    same: dict[str, list[str]] = defaultdict(list)
    for path, video in files.items():
        _, clip = wanted[path]
        if video.error:
            problems.append(video.error)
            continue
        same[video.sha256].append(path)
        if video.size != (clip.frames, clip.height, clip.width):
            declared = " x ".join(map(str, (clip.frames, clip.height, clip.width)))
            problems.append(f"{root / path}: declared {declared}, is {' x '.join(map(str, video.size))}")
    for paths in same.values():
        owners = {(wanted[path][0], wanted[path][1].video_id) for path in paths}
        if len(paths) > 1 and len(owners) > 1:
            problems.append(f"{root / paths[0]}: same content as {', '.join(paths[1:])}")
        elif len(paths) > 1:  # two activities of the same actors at the same time: the released data has such twins
            notes.append(f"{paths[0]}: same content as {', '.join(paths[1:])}, of the same video and split")
    _checksums(root, files, problems)
    stray = set(video_files(root)) - wanted.keys()
    if stray and wanted:
        notes.append(f"{len(stray)} videos are in no index, such as {min(stray)}")
    if (root / "quarantine.json").exists() and (bad := read_json(root / "quarantine.json")):
        notes.append(f"{len(bad)} files were left out by the builder: see quarantine.json")
    return counts, problems, notes


def _rows(file: Path, split: str, problems: list[str]) -> list[Clip]:
    """The readable rows of an index; the others, and repeated paths and ids, are problems."""
    try:
        rows = read_json(file)
    except AnnotationError as error:
        problems.append(str(error))
        return []
    if not isinstance(rows, list):
        problems.append(f"{file}: expected a list of clips")
        return []
    prefix, clips = video_prefix(file.parent, split), []
    ids: dict[str, int] = {}
    paths: dict[str, int] = {}
    for number, row in enumerate(rows):
        try:
            clip = tinyvirat_clip(file, number, row, prefix)
        except AnnotationError as error:
            problems.append(str(error))
            continue
        if clip.clip_id in ids:
            problems.append(f"{file}: row {number} repeats the id of row {ids[clip.clip_id]}: {clip.clip_id}")
        if clip.path in paths:
            problems.append(f"{file}: row {number} repeats the video of row {paths[clip.path]}: {clip.path}")
        else:
            clips.append(clip)
        ids.setdefault(clip.clip_id, number)
        paths.setdefault(clip.path, number)
    return clips


def _leaks(splits: dict[str, list[Clip]], problems: list[str]) -> None:
    names = list(splits)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            shared = sorted({clip.video_id for clip in splits[a]} & {clip.video_id for clip in splits[b]})
            if shared:
                problems.append(f"{a} and {b} share {len(shared)} source videos: {_some(shared)}")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + ", ..." * (len(names) > 5)


def _checksums(root: Path, files: dict[str, _File], problems: list[str]) -> None:
    """Compare with the hashes that the builder wrote down, if it did."""
    if not (root / "checksums.json").exists():
        return
    try:
        recorded: object = read_json(root / "checksums.json")
    except AnnotationError as error:
        problems.append(str(error))
        return
    for path, digest in sorted(recorded.items()) if isinstance(recorded, dict) else ():
        try:
            there = inside(root, path).exists()
        except DataError as error:
            problems.append(f"{root / 'checksums.json'}: {error}")
            continue
        if path in files:
            if files[path].sha256 and files[path].sha256 != digest:
                problems.append(f"{root / path}: changed since it was built")
        elif not there:
            problems.append(f"{root / path}: built once, and missing")


def _check_folders(root: Path, workers: int | None) -> tuple[str, dict[str, int], list[str], list[str]]:
    paths = [path for path in video_files(root) if "/" in path]
    if not paths:
        raise DataError(f"{root}: expected TinyVIRAT's tiny_*.json, or videos in class folders")
    divided = is_divided(paths)
    files = _inspect(root, paths, workers)
    problems = [file.error for file in files.values() if file.error]
    counts: dict[str, int] = defaultdict(int)
    same: dict[str, list[str]] = defaultdict(list)
    groups: dict[str, set[str]] = defaultdict(set)
    for path, file in files.items():
        split = SPLIT_FOLDERS.get(path.split("/")[0].lower(), path.split("/")[0]) if divided else ""
        counts[split] += 1
        if file.sha256:
            same[file.sha256].append(path)
        if group := ucf_group(Path(path).stem):
            groups[group].add(split)
    for alike in same.values():
        if len(alike) > 1:
            problems.append(f"{root / alike[0]}: same content as {', '.join(alike[1:])}")
    leaks = sorted(group for group, where in groups.items() if len(where) > 1)
    if leaks:
        problems.append(f"{root}: {len(leaks)} groups are in more than one split: {_some(leaks)}")
    return "ucf101" if len(groups) > 1 else "folder", dict(counts), problems, []


def _inspect(root: Path, paths: Sequence[str], workers: int | None) -> dict[str, _File]:
    """Decode every file; in the order of `paths`."""
    full = [str(root / path) for path in paths]
    workers = (cores() if len(full) >= MANY else 0) if workers is None else workers
    looks = in_order(_look, [(path,) for path in full], workers, name=lambda item: item[0])
    return dict(zip(paths, _shown(looks, len(full)), strict=True))


def _shown(files: Iterable[_File], total: int) -> Iterable[_File]:
    return track(files, "clips checked", total=total)


def _look(path: str) -> _File:
    try:
        info = probe(path)
        return _File((info.frames, info.height, info.width), sha256(path), "")
    except ClipError as error:
        return _File((0, 0, 0), "", str(error))
