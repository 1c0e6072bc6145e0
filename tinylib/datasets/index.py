"""Which clips a split has: `Clip` records, and an `Index` of them for every dataset we read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinylib.datasets.labels import CLASSES, video_domain
from tinylib.errors import AnnotationError, DataError, UsageError
from tinylib.files import inside, write_json

SPLITS = ("train", "val", "test")
DATASETS = ("synthvirat", "synthvirat-v2", "tinyvirat", "tinyvirat-v2", "ucf101", "hmdb51", "folder")


@dataclass(frozen=True, slots=True)
class Clip:
    """One row of a dataset's index; sizes are what the index declares, `None` where it says nothing."""

    clip_id: str  # unique within its dataset
    path: str  # of the video file, relative to `Index.root`, with forward slashes
    video_id: str  # the source video (or subject, or group): the unit of splits and of bootstrap intervals
    labels: tuple[str, ...] | None  # None: withheld (public test splits)
    frames: int | None = None
    width: int | None = None
    height: int | None = None
    domain: str = ""  # 'virat', 'meva', 'ucf101', ...
    window: str | None = None  # MEVA rows: '<activity id>_<Old_Name>_<first>_<last>'


@dataclass(frozen=True)
class Index:
    """The clips of one split of one dataset."""

    name: str
    split: str
    root: Path
    classes: tuple[str, ...]
    multi_label: bool
    clips: tuple[Clip, ...]
    notes: tuple[str, ...] = ()  # what was odd but readable, such as duplicate rows left out

    def __len__(self) -> int:
        return len(self.clips)

    def file(self, clip: Clip) -> Path:
        return inside(self.root, clip.path)

    def targets(self) -> NDArray[np.float32] | NDArray[np.int64]:
        """(N, classes) multi-hot float32 where clips carry several labels, else (N,) int64 class numbers.

        Clips without labels have no class: zeros, or number -1.
        """
        column = {name: i for i, name in enumerate(self.classes)}
        if not self.multi_label:
            return np.array([column[clip.labels[0]] if clip.labels else -1 for clip in self.clips], dtype=np.int64)
        hot = np.zeros((len(self.clips), len(self.classes)), dtype=np.float32)
        for row, clip in enumerate(self.clips):
            for name in clip.labels or ():
                hot[row, column[name]] = 1
        return hot

    def select(self, keep: Callable[[Clip], bool] | Sequence[int]) -> Index:
        """The same index with the clips that `keep` accepts, or those at the given positions."""
        clips = tuple(filter(keep, self.clips)) if callable(keep) else tuple(self.clips[i] for i in keep)
        return replace(self, clips=clips)

    def digest(self) -> str:
        """Hash of what the index says (not of the videos): 16 hex digits."""
        rows: list[Any] = [self.name, self.split, self.classes]
        rows += [[c.clip_id, c.path, c.video_id, c.labels, c.frames, c.width, c.height] for c in self.clips]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".wmv")
_HMDB_TAIL = r"_[a-z]_[a-z]{2}_np\d+_[a-z]{2}_[a-z]{3}_\d+"  # body part, camera, people, view, quality, number


def tinyvirat_json(split: str, version: int, *, private: bool = False) -> str:
    """File name of a split's index, as the released datasets have it."""
    if version not in (1, 2):
        raise UsageError(f"version {version!r}: expected 1 or 2")
    if split not in SPLITS:
        raise UsageError(f"split {split!r}: expected one of {', '.join(SPLITS)}")
    if version == 1:
        return f"tiny_{split}.json"
    return f"tiny_{split}_v2{'' if split != 'test' else '_private' if private else '_public'}.json"


def read_tinyvirat(
    path: str | Path, split: str, *, version: int = 1, private: bool = False, name: str = "tinyvirat"
) -> Index:
    """The index of a split of TinyVIRAT (or of anything we built): `path` is its root folder or its JSON file.

    Rows that repeat a path are left out and named in `notes`. `private=True` reads the labelled v2 test file, where
    there is one. Raises AnnotationError naming the row.
    """
    path = Path(path)
    file = path if path.suffix == ".json" else path / tinyvirat_json(split, version, private=private)
    root = file.parent
    mapped = read_json(root / "class_map.json") if (root / "class_map.json").exists() else None
    if mapped is not None and (not isinstance(mapped, dict) or mapped != {c: i for i, c in enumerate(CLASSES)}):
        raise AnnotationError(root / "class_map.json", None, f"expected the {len(CLASSES)} classes of TinyVIRAT")
    rows = read_json(file)
    if not isinstance(rows, list):
        raise AnnotationError(file, None, "expected a list of clips")
    prefix = video_prefix(root, split)
    clips: dict[str, Clip] = {}
    ids: dict[str, int] = {}
    notes = []
    for number, row in enumerate(rows):
        clip = tinyvirat_clip(file, number, row, prefix)
        if clip.clip_id in ids:
            raise AnnotationError(
                file, None, f"row {number}: id {clip.clip_id} is already that of row {ids[clip.clip_id]}"
            )
        ids[clip.clip_id] = number
        if clip.path in clips:
            notes.append(f"{file.name} row {number}: {clip.clip_id} repeats {row['path']} and is left out")
        else:
            clips[clip.path] = clip
    return Index(name, split, root, CLASSES, True, tuple(clips.values()), tuple(notes))


def video_prefix(root: Path, split: str) -> str:
    """Where the paths of a TinyVIRAT split begin: 'videos/<split>/', '<split>/', 'videos/' or ''."""
    names = (split, "validate") if split == "val" else (split,)
    places = [place for name in names for place in (f"videos/{name}", name)]
    return next((f"{place}/" for place in [*places, "videos"] if (root / place).is_dir()), "")


def tinyvirat_clip(file: Path, number: int, row: Any, prefix: str) -> Clip:
    """Row `number` of a TinyVIRAT index as a record, or AnnotationError with what was expected."""

    def wrong(what: str) -> AnnotationError:
        return AnnotationError(file, None, f"row {number}: expected {what}")

    if not isinstance(row, dict):
        raise wrong("an object with id, video_id, path, dim and label")
    for key in ("id", "video_id", "path"):
        if not isinstance(row.get(key), str) or not row[key]:
            raise wrong(f"a text in '{key}', got {row.get(key)!r}")
    dim, label = row.get("dim"), row.get("label")
    if not isinstance(dim, list) or len(dim) != 3 or not all(type(n) is int and n > 0 for n in dim):
        raise wrong(f"three positive numbers in 'dim', got {dim!r}")
    if label is not None and (not isinstance(label, list) or not label or not all(name in CLASSES for name in label)):
        raise wrong(f"a list of known class names in 'label', got {label!r}")
    try:
        inside(".", row["path"])
    except DataError as error:
        raise AnnotationError(file, None, f"row {number}: {error}") from None
    video = row["video_id"]
    frames, height, width = dim
    labels = None if label is None else tuple(label)
    return Clip(
        row["id"], prefix + row["path"], video, labels, frames, width, height, video_domain(video), row.get("clip_id")
    )


def write_tinyvirat(index: Index, root: str | Path, *, version: int = 1) -> None:
    """Write class_map.json and the split's JSON; v2's test labels go to the private file alone."""
    root = Path(root)
    rows, secret = [], []
    for clip in index.clips:
        row: dict[str, Any] = {"id": clip.clip_id, "video_id": clip.video_id}
        if clip.window is not None:
            row["clip_id"] = clip.window
        row["path"] = clip.path.removeprefix(f"videos/{index.split}/")
        row["dim"] = [clip.frames, clip.height, clip.width]
        secret.append(row | {"label": list(clip.labels or ())})
        rows.append(row if clip.labels is None or (version == 2 and index.split == "test") else secret[-1])
    write_json(root / "class_map.json", {name: i for i, name in enumerate(CLASSES)})
    write_json(root / tinyvirat_json(index.split, version), rows)
    if version == 2 and index.split == "test" and all(clip.labels is not None for clip in index.clips):
        write_json(root / tinyvirat_json("test", 2, private=True), secret)


def read_json(file: Path) -> Any:
    """Parsed JSON, or AnnotationError with the line."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise AnnotationError(file, None, f"cannot be read: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise AnnotationError(file, error.lineno, f"malformed JSON: {error.msg}") from None
    except (UnicodeDecodeError, RecursionError):
        raise AnnotationError(file, None, "expected JSON in UTF-8") from None


def video_files(root: str | Path) -> list[str]:
    """Video files under `root` as relative paths with forward slashes, sorted; hidden ones are skipped."""
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    found = (path.relative_to(root) for path in root.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    return sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))


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
