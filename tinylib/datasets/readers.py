"""Folders of videos as indexes: UCF-101, HMDB-51, class folders, and the one door to every dataset."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from tinylib.datasets.index import DATASETS, SPLITS, Clip, Index, read_tinyvirat, tinyvirat_json
from tinylib.errors import AnnotationError, DataError, UsageError

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".wmv")
_HMDB_TAIL = r"_[a-z]_[a-z]{2}_np\d+_[a-z]{2}_[a-z]{3}_\d+"  # body part, camera, people, view, quality, number


_NO_VIDEO = (".jpg", ".jpeg", ".png", ".txt", ".csv", ".json", ".yml", ".yaml", ".npy", ".npz", ".zip", ".wav", ".mp3")
_NO_VIDEO += (
    ".m4a",
    ".mka",
    ".wma",
    ".heic",
    ".heif",
    ".avif",
    ".md",
    ".py",
    ".html",
    ".xml",
    ".safetensors",
    ".store",
)
_MAGIC = {0: (b"\x1a\x45\xdf\xa3", b"\x00\x00\x01\xba", b"FLV\x01", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), 4: (b"ftyp",)}


def is_video(path: Path) -> bool:
    """Whether a file is a video: by a usual suffix, else by its first bytes (MP4 and 3GP, AVI, MPEG, FLV, ASF, ...)."""
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES or suffix in _NO_VIDEO:
        return suffix in VIDEO_SUFFIXES
    if not path.is_file():  # a pipe would wait for ever
        return False
    try:
        with path.open("rb") as file:
            head = file.read(400)
    except OSError:
        return False
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return True
    if any(head[at : at + len(mark)] == mark for at, marks in _MAGIC.items() for mark in marks):
        return True
    # a transport stream's packets begin with the same byte, 188 bytes apart (192 with a recorder's time stamp)
    return len(head) > 380 and (head[0] == head[188] == head[376] == 0x47 or head[4] == head[196] == 0x47)


def video_files(root: str | Path) -> list[str]:
    """Video files under `root` (see `is_video`) as relative paths with forward slashes, sorted; no hidden ones."""
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    inside = (path for path in root.rglob("*") if not any(p.startswith(".") for p in path.relative_to(root).parts))
    return sorted(path.relative_to(root).as_posix() for path in inside if is_video(path))


def ucf_group(stem: str) -> str | None:
    """The group ('v_Archery_g01') of a UCF-101 clip name, None for any other name: clips of a group share a scene."""
    match = re.fullmatch(r"(v_\w+_g\d+)_c\d+", stem)
    return match[1] if match else None


def read_ucf101(
    root: str | Path, lists: str | Path | None = None, *, fold: int = 1, split: str = "train", strict: bool = False
) -> Index:
    """UCF-101 by its official lists (folder `lists`, default `ucfTrainTestlist` in or beside ROOT).

    Files match by name, any suffix. Classes without a file are left out, so that a subset works; `notes` say what is
    missing, or `strict` refuses (DataError). `video_id` is the group.
    """
    _fold("UCF-101", fold, split)
    folder = Path(lists) if lists is not None else _beside(Path(root), "ucfTrainTestlist")
    listed = []
    for part in ("train", "test"):
        file = folder / f"{part}list{fold:02d}.txt"
        for line, text in _lines(file):
            match = re.fullmatch(r"(\w+)/(\S+)\.avi(?: \d+)?", text)
            if not match:
                raise AnnotationError(file, line, f"expected 'Class/clip.avi', got {text!r}")
            listed.append((part, match[1], match[2], ucf_group(match[2]) or match[2]))
    names = []
    for line, text in _lines(folder / "classInd.txt"):
        if len(text.split()) != 2:
            raise AnnotationError(folder / "classInd.txt", line, f"expected 'number Class', got {text!r}")
        names.append(text.split()[1])
    return _listed_index("ucf101", Path(root), split, names, listed, strict)


def read_hmdb51(
    root: str | Path, splits: str | Path | None = None, *, fold: int = 1, split: str = "train", strict: bool = False
) -> Index:
    """HMDB-51 by its official 70/30 lists (folder `splits`, default `testTrainMulti_7030_splits`), as `read_ucf101`.

    `video_id` is the source film; the lists leave about 2,000 clips out of each fold.
    """
    _fold("HMDB-51", fold, split)
    folder = Path(splits) if splits is not None else _beside(Path(root), "testTrainMulti_7030_splits")
    files = sorted(folder.glob(f"*_test_split{fold}.txt"))
    if not files:
        raise DataError(f"{folder}: expected HMDB-51's '<class>_test_split{fold}.txt' files")
    names, listed = [], []
    for file in files:
        names.append(name := file.name.removesuffix(f"_test_split{fold}.txt"))
        for line, text in _lines(file):
            match = re.fullmatch(r"(.+)\.avi ([012])", text)
            if not match:
                raise AnnotationError(file, line, f"expected 'clip.avi 0|1|2', got {text!r}")
            source = re.fullmatch(rf"(.+)_{re.escape(name)}{_HMDB_TAIL}", match[1])
            part = ("", "train", "test")[int(match[2])]
            listed.append((part, name, match[1], source[1] if source else match[1]))
    return _listed_index("hmdb51", Path(root), split, names, listed, strict)


def _fold(data: str, fold: int, split: str) -> None:
    if fold not in (1, 2, 3):
        raise UsageError(f"fold {fold!r}: {data} has folds 1, 2 and 3")
    if split not in ("train", "test"):
        raise UsageError(f"split {split!r}: {data} has 'train' and 'test'")


def _beside(root: Path, name: str) -> Path:
    """The folder of lists whose name ends in `name`, in `root` or next to it."""
    return next((p for place in (root, root.absolute().parent) for p in sorted(place.glob(f"*{name}"))), root / name)


def _lines(file: Path) -> list[tuple[int, str]]:
    try:
        lines = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from None
    return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]


def _listed_index(
    name: str, root: Path, split: str, names: list[str], listed: list[tuple[str, str, str, str]], strict: bool
) -> Index:
    """Clips of official lists of (split, class, file stem, source) that are there, and what is not."""
    files: dict[str, str] = {}
    for path in video_files(root):
        stem = Path(path).stem
        if stem in files:
            raise DataError(f"{root}: {files[stem]} and {path} are the same clip twice")
        files[stem] = path
    if unlisted := {label for _, label, _, _ in listed} - set(names):
        raise DataError(f"{name}: {min(unlisted)!r} is listed but not among the classes")
    present = {label for _, label, stem, _ in listed if stem in files}  # in any split, so that all agree
    classes = tuple(label for label in names if label in present)
    rows = [(label, stem, source) for part, label, stem, source in listed if part == split and label in present]
    lost = [stem for _, stem, _ in rows if stem not in files]
    notes = []
    if len(classes) < len(names):
        notes.append(f"{len(classes)} of {len(names)} classes are here: {', '.join(classes) or 'none'}")
    if lost:
        some = ", ".join(lost[:5]) + ", ..." * (len(lost) > 5)
        notes.append(f"{len(lost)} {split} clips of these classes are missing: {some}")
    if not classes or (strict and notes):
        raise DataError(f"{root}: {name} is not complete: {'; '.join(notes)}")
    clips = (Clip(stem, files[stem], source, (label,), domain=name) for label, stem, source in rows if stem in files)
    return Index(name, split, root, classes, False, tuple(clips), tuple(notes))


def read_folder(
    root: str | Path,
    split: str,
    *,
    group: str | Callable[[str], str] | None = None,
    held_out: int | str | Sequence[str] | None = None,
) -> Index:
    """Anybody's videos in class folders: ROOT/<split>/<class>/clip, or ROOT/<class>/clip divided by group.

    group: pattern whose first bracket (or whole match) in the file name is the group, or a function of the relative
    path; by default the name up to its first '_' (a subject). Groups never straddle splits: `held_out` names those of
    the test split (k: the k-th of the sorted groups, from 1, which is leave-one-subject-out); without it every fifth
    group is 'test', the one before it 'val'. Sub-folders train, val or test divide by themselves.
    """
    root = Path(root)
    if split not in SPLITS:
        raise UsageError(f"split {split!r}: expected one of {', '.join(SPLITS)}")
    divided = any((root / name).is_dir() for name in SPLITS)
    if divided and held_out is not None:
        raise UsageError(f"held_out: {root} is already divided into sub-folders")
    found = []
    for path in video_files(root):
        parts = path.split("/")
        if len(parts) == 2 + divided and (not divided or parts[0] in SPLITS):
            found.append((parts[0] if divided else "", parts[-2], path, _group(group, path)))
    if not found:
        raise DataError(f"{root}: expected videos in class folders, <class>/<clip>{' in each split' * divided}")
    classes = tuple(sorted({label for _, label, _, _ in found}))
    if divided:
        chosen = [row for row in found if row[0] == split]
    else:
        keep = _groups_of(root, split, sorted({row[3] for row in found}), held_out)
        chosen = [row for row in found if row[3] in keep]
    stems: dict[str, str] = {}
    clips = []
    for _, label, path, source in chosen:
        stem = path.rsplit(".", 1)[0]
        if stem in stems:
            raise DataError(f"{root}: {stems[stem]} and {path} are the same clip twice")
        stems[stem] = path
        clips.append(Clip(stem, path, source, (label,), domain="folder"))
    return Index("folder", split, root, classes, False, tuple(clips))


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


def _groups_of(root: Path, split: str, groups: list[str], held_out: int | str | Sequence[str] | None) -> set[str]:
    if held_out is None:
        parts = {name: part_of(groups, name) for name in SPLITS}
        return parts[split]
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


def part_of(groups: Sequence[str], split: str) -> set[str]:
    """Every fifth group is 'test', the one before it 'val' (from three groups on), the others 'train'."""
    few = min(len(groups), 5)
    place = {"test": few - 1 if few > 1 else -1, "val": few - 2 if few > 2 else -1}
    parts = {name: {g for i, g in enumerate(groups) if i % 5 == spot} for name, spot in place.items()}
    return parts[split] if split in parts else set(groups) - parts["test"] - parts["val"]


def open_split(data: str, root: str | Path, split: str, *, fold: int | None = None) -> Index:
    """The index of a split of any dataset, by the names that notebooks use.

    fold: of UCF-101 and HMDB-51 (None: 1); of class folders, which group is held out (None: every fifth) unless
    sub-folders divide them.
    """
    if data in ("tinyvirat", "synthvirat"):
        return read_tinyvirat(root, split, version=1, name=data)
    if data in ("tinyvirat-v2", "synthvirat-v2"):
        private = split == "test" and Path(root, tinyvirat_json("test", 2, private=True)).exists()
        return read_tinyvirat(root, split, version=2, private=private, name=data)
    if data == "ucf101":
        return read_ucf101(root, fold=fold or 1, split=split)
    if data == "hmdb51":
        return read_hmdb51(root, fold=fold or 1, split=split)
    if data == "folder":
        divided = any(Path(root, name).is_dir() for name in SPLITS)
        return read_folder(root, split, held_out=None if divided else fold)
    raise UsageError(f"data {data!r}: expected one of {', '.join(DATASETS)}")
