"""Which clips a split has: `Clip` records, and an `Index` of them for every dataset we read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinylib.annotations.labels import CLASSES, video_domain
from tinylib.errors import AnnotationError, DataError, UsageError
from tinylib.files import Json, inside, relative_path, write_json

SPLITS = ("train", "val", "test")


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
        rows: list[object] = [self.name, self.split, self.classes]
        rows += [[c.clip_id, c.path, c.video_id, c.labels, c.frames, c.width, c.height] for c in self.clips]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


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


def tinyvirat_clip(file: Path, number: int, row: Json, prefix: str) -> Clip:
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
        path = prefix + relative_path(row["path"])
    except DataError as error:
        raise AnnotationError(file, None, f"row {number}: {error}") from None
    video = row["video_id"]
    frames, height, width = dim
    labels = None if label is None else tuple(label)
    domain = "" if video.isdecimal() else video_domain(video)  # the public test rows have numbers for names
    return Clip(row["id"], path, video, labels, frames, width, height, domain, row.get("clip_id"))


def write_tinyvirat(index: Index, root: str | Path, *, version: int = 1) -> None:
    """Write class_map.json and the split's JSON; v2's test labels go to the private file alone."""
    root = Path(root)
    rows, secret = [], []
    for clip in index.clips:
        row: Json = {"id": clip.clip_id, "video_id": clip.video_id}
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
        return json.loads(file.read_bytes())  # UTF-8, with a byte order mark or without, or UTF-16
    except OSError as error:
        raise AnnotationError(file, None, f"cannot be read: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise AnnotationError(file, error.lineno, f"malformed JSON: {error.msg}") from None
    except UnicodeDecodeError:
        raise AnnotationError(file, None, "expected JSON in UTF-8") from None
    except (ValueError, RecursionError):  # numbers of thousands of digits, brackets in thousands of brackets
        raise AnnotationError(file, None, "malformed JSON: a number or a nesting without end") from None
