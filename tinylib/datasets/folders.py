"""Class folders: anybody's videos divided by folder, group or clip, and Weizmann's one subject at a time."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tinylib.datasets.index import SPLITS, Clip, Index
from tinylib.datasets.readers import part_of, some, ucf_group, video_files
from tinylib.errors import DataError, UsageError

SPLIT_FOLDERS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validate": "val"}
SPLIT_FOLDERS |= {"validation": "val", "test": "test", "testing": "test"}


class _Row(NamedTuple):
    part: str  # the split whose folder it lies in, '' where folders do not divide
    label: str
    path: str
    group: str


def is_divided(paths: Sequence[str]) -> bool:
    """Whether videos at these relative paths lie in <split>/<class>/, rather than in <class>/.

    A class may be called `train`: a lone folder of a split's name beside others is a class, and so are folders whose
    videos lie in them directly.
    """
    tops = {path.split("/")[0] for path in paths if "/" in path}
    parts = {top for top in tops if top.lower() in SPLIT_FOLDERS}
    if not parts or (tops - parts and len({SPLIT_FOLDERS[top.lower()] for top in parts}) < 2):
        return False
    return any(path.count("/") >= 2 and path.split("/")[0] in parts for path in paths)


def read_folder(
    root: str | Path,
    split: str,
    *,
    group: str | Callable[[str], str] | None = None,
    held_out: int | str | Sequence[str] | None = None,
) -> Index:
    """Anybody's videos in class folders: ROOT/<split>/<class>/clip, or ROOT/<class>/clip divided by group.

    Videos in folders below a class are the class's. group: pattern whose first bracket (or whole match) in the file
    name is the group, or a function of the relative path; by default the name up to its first '_' (a subject). Groups
    never straddle splits: `held_out` names those of the test split (k: the k-th of the sorted groups, from 1, which is
    leave-one-subject-out); without it every fifth group is 'test', the one before it 'val'. Where names tell no groups
    (every class has one of its own), every fifth clip of a class is 'test', and a note says so. Sub-folders train, val
    or test divide by themselves. `notes` name what was left out. DataError where a class would not be trained on.
    """
    root = Path(root)
    if split not in SPLITS:
        raise UsageError(f"split {split!r}: expected one of {', '.join(SPLITS)}")
    paths = video_files(root)
    divided = is_divided(paths)
    if divided and held_out is not None:
        raise UsageError(f"held_out: {root} is already divided into sub-folders")
    rows, notes = _rows(root, paths, divided, group)
    classes = tuple(sorted({row.label for row in rows}))
    if divided:
        chosen = [row for row in rows if row.part == split]
    elif held_out is None:
        rows, how = _parted(root, rows, by_name=group is None)
        notes += how
        chosen = [row for row in rows if row.part == split]
    else:
        keep = _groups_of(root, split, sorted({row.group for row in rows}), held_out)
        chosen = [row for row in rows if row.group in keep]
        if group is None:
            _trained(root, classes, _others(rows, chosen) if split == "test" else chosen)
    if chosen and (absent := sorted(set(classes) - {row.label for row in chosen})):
        notes.append(f"the {split} split has no clip of {some(absent)}")
    stems: dict[str, str] = {}
    clips = []
    for row in chosen:
        stem = row.path.rsplit(".", 1)[0]
        if stem in stems:
            raise DataError(f"{root}: {stems[stem]} and {row.path} are the same clip twice")
        stems[stem] = row.path
        clips.append(Clip(stem, row.path, row.group, (row.label,), domain="folder"))
    return Index("folder", split, root, classes, False, tuple(clips), tuple(notes))


def _rows(
    root: Path, paths: list[str], divided: bool, group: str | Callable[[str], str] | None
) -> tuple[list[_Row], list[str]]:
    """What lies in class folders, and notes on what does not."""
    rows, loose, stray = [], [], []
    for path in paths:
        parts = path.split("/")
        part = SPLIT_FOLDERS.get(parts[0].lower(), "") if divided else ""
        if divided and not part:
            stray.append(path)
        elif len(parts) < 2 + divided:
            loose.append(path)
        else:
            rows.append(_Row(part, parts[divided], path, _group(group, path)))
    tops = {row.path.split("/")[0] for row in rows}
    wrapped = not divided and len(tops) == 1 and all(row.path.count("/") > 1 for row in rows)
    if not rows or (not divided and all(top.lower() in SPLIT_FOLDERS for top in tops)):
        raise DataError(f"{root}: expected videos in class folders, <class>/<clip>, or those in each of train and test")
    if wrapped and len({row.path.split("/")[1] for row in rows}) > 1:
        inner = root / min(tops)
        raise DataError(f"{root}: expected videos in class folders; they all lie below {inner}: is that the folder?")
    notes = [f"{len(loose)} videos lie in no class folder and are left out: {some(loose)}"] if loose else []
    if stray:
        notes.append(f"{len(stray)} videos lie in no split's folder and are left out: {some(stray)}")
    return rows, notes


def _group(group: str | Callable[[str], str] | None, path: str) -> str:
    stem = Path(path).stem
    if group is None:
        return ucf_group(stem) or stem.split("_", 1)[0]
    if callable(group):
        return group(path)
    match = re.search(group, stem)
    if not match:
        raise DataError(f"{path}: its name has no group by the pattern {group!r}")
    return match[match.re.groups and 1]


def _parted(root: Path, rows: list[_Row], *, by_name: bool) -> tuple[list[_Row], list[str]]:
    """The rows with their splits, and notes on how they were divided."""
    owners: dict[str, set[str]] = defaultdict(set)
    groups: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        owners[row.group].add(row.label)
        groups[row.label].add(row.group)
    whole = [row._replace(part=part) for row, part in zip(rows, _parts([r.group for r in rows]), strict=True)]
    labels = {part: {row.label for row in whole if row.part == part} for part in SPLITS}
    if not by_name or labels["train"] == labels["test"] == groups.keys():
        return whole, []
    lone = all(len(names) == 1 for names in owners.values())
    if lone and all(len(names) > 1 for names in groups.values()):
        return [row for _, row in sorted(_within(rows, lambda row: row.group))], []
    if lone or len(owners) == 1:
        single = [row._replace(group=row.path.rsplit(".", 1)[0]) for row in rows]
        note = "names tell no groups: the clips of each class are divided one by one (a pattern in `group` tells them)"
        return [row for _, row in sorted(_within(single, lambda row: row.group))], [note]
    _trained(root, sorted(groups), [row for row in whole if row.part == "train"])
    return whole, []


def _within(rows: list[_Row], key: Callable[[_Row], str]) -> list[tuple[str, _Row]]:
    """The rows divided in each class by itself."""
    divided = []
    for label in sorted({row.label for row in rows}):
        members = [row for row in rows if row.label == label]
        parts = _parts([key(row) for row in members])
        divided += [(row.path, row._replace(part=part)) for row, part in zip(members, parts, strict=True)]
    return divided


def _parts(groups: Sequence[str]) -> list[str]:
    """The split of each of these, by its place among all that differ."""
    names = sorted(set(groups))
    places = {group: split for split in SPLITS for group in part_of(names, split)}
    return [places[group] for group in groups]


def _others(rows: list[_Row], chosen: list[_Row]) -> list[_Row]:
    paths = {row.path for row in chosen}
    return [row for row in rows if row.path not in paths]


def _trained(root: Path, classes: Sequence[str], train: list[_Row]) -> None:
    absent = sorted(set(classes) - {row.label for row in train})
    if absent:
        raise DataError(
            f"{root}: no clip of {some(absent)} would be trained on: by their names all are of groups that are tested; "
            "give a pattern of the groups, or sub-folders train and test"
        )


def _groups_of(root: Path, split: str, groups: list[str], held_out: int | str | Sequence[str]) -> set[str]:
    if isinstance(held_out, int):
        if not 1 <= held_out <= len(groups):
            raise UsageError(f"held_out {held_out}: {root} has groups 1 to {len(groups)}")
        held_out = groups[held_out - 1]
    test = {held_out} if isinstance(held_out, str) else set(held_out)
    if unknown := test - set(groups):
        raise UsageError(f"held_out {min(unknown)!r}: {root} has groups {', '.join(groups)}")
    if split == "val":
        raise UsageError("split 'val': with held_out there are 'train' and 'test'")
    return test if split == "test" else set(groups) - test


def read_weizmann(root: str | Path, split: str, *, fold: int = 1) -> Index:
    """Weizmann's videos (Blank et al., 2005), <subject>_<action>[number], in class folders or in one: one subject out.

    fold: the k-th of the sorted subjects, from 1, is the test split. `video_id` is the subject. Videos of other names
    are left out and named in `notes`; DataError where a class folder contradicts a name.
    """
    root = Path(root)
    if split not in ("train", "test"):
        raise UsageError(f"split {split!r}: Weizmann, one subject out, has 'train' and 'test'")
    paths = video_files(root)
    matches = [(path, re.fullmatch(r"([^_]+)_(wave[12]|[A-Za-z]+)\d*", Path(path).stem)) for path in paths]
    odd = [path for path, match in matches if match is None]
    named = [(path, match[0], match[1], match[2]) for path, match in matches if match]
    classes = tuple(sorted({action for *_, action in named}))
    clips: dict[str, Clip] = {}
    for path, stem, subject, action in named:
        folder = Path(path).parent.name
        if folder in classes and folder != action:
            raise DataError(f"{root}: {path} is in the folder {folder!r}, and {action!r} by its name")
        if before := clips.get(stem):
            raise DataError(f"{root}: {before.path} and {path} are the same clip twice")
        clips[stem] = Clip(stem, path, subject, (action,), domain="weizmann")
    subjects = sorted({clip.video_id for clip in clips.values()})
    if len(subjects) < 2:
        raise DataError(f"{root}: expected videos of two subjects or more, named <subject>_<action>")
    keep = _groups_of(root, split, subjects, fold)
    notes = (f"{len(odd)} videos are not named <subject>_<action> and are left out: {some(odd)}",) if odd else ()
    return Index("weizmann", split, root, classes, False, tuple(c for c in clips.values() if c.video_id in keep), notes)
