"""Videos under a folder, and the datasets whose splits are official lists of files: UCF-101 and HMDB-51."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Sequence
from pathlib import Path

from tinylib.datasets.index import Clip, Index
from tinylib.errors import AnnotationError, DataError, UsageError
from tinylib.files import files_below

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".wmv")
_TEXTS = (".json", ".jsonl", ".txt", ".yml", ".yaml", ".csv", ".tsv", ".xml", ".md", ".html", ".py", ".ipynb", ".log")
_ARRAYS = (".npy", ".npz", ".pt", ".pth", ".pkl", ".h5", ".safetensors", ".store", ".zip", ".gz", ".tar", ".pdf")
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".heic", ".avif", ".svg")
_SOUNDS = (".m4a", ".mp3", ".wav", ".ogg", ".oga")  # they and pictures share containers with video
NOT_VIDEO = frozenset(_TEXTS + _ARRAYS + _PICTURES + _SOUNDS)  # what is not opened to see whether it is one
_HEADS = (
    *(b"\x1aE\xdf\xa3", b"FLV\x01", b"0&\xb2u\x8ef\xcf\x11", b"\0\0\1\xba", b"\0\0\1\xb3", b"YUV4MPEG2"),
    *(b"OggS", b"\x06\x0e+4", b"DHAV", b".RMF", b"\0\0\0\1g", b"\0\0\0\1'", b"\0\0\0\1@"),
)
_STILL = (b"heic", b"heix", b"avif", b"mif1", b"M4A ", b"M4B ")
_HMDB_TAIL = r"_[a-z]_[a-z]{2}_np\d+_[a-z]{2}_[a-z]{3}_\d+"  # body part, camera, people, view, quality, number


def video_files(root: str | Path) -> list[str]:
    """Video files under `root` as relative paths with forward slashes, sorted.

    Linked folders are followed, each once on a way; hidden files and folders are skipped. A file of another suffix than
    the common ones is a video if it begins like one. DataError where there is no such folder, or one cannot be listed.
    """
    root = Path(root)
    return [path for path in files_below(root) if is_video(root / path)]


def is_video(path: str | Path) -> bool:
    """Whether a file is a video by a common suffix, or else by its first bytes."""
    suffix = os.path.splitext(path)[1].lower()
    if suffix in VIDEO_SUFFIXES:
        return True
    if suffix in NOT_VIDEO or not os.path.isfile(path):  # a pipe would wait for ever
        return False
    try:
        with open(path, "rb") as file:
            head = file.read(512)
    except OSError:
        return False
    if head.startswith(_HEADS) or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return True
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide"):
        return head[8:12] not in _STILL
    packets = ((0, 188), (4, 192))  # transport streams: a mark at each packet, which some recorders put a time before
    return len(head) > 400 and any(head[a] == head[a + step] == 0x47 for a, step in packets)


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
            match = re.fullmatch(r"(?:.*/)?([^/]+)/([^/]+)\.\w+?(?:\s+\d+)?", text.replace("\\", "/"))
            if not match:
                raise AnnotationError(file, line, f"expected 'Class/clip.avi', got {text!r}")
            listed.append((part, match[1], match[2], ucf_group(match[2]) or match[2]))
    names = []
    for line, text in _lines(folder / "classInd.txt"):
        if len(text.split()) != 2:
            raise AnnotationError(folder / "classInd.txt", line, f"expected 'number Class', got {text!r}")
        if (name := text.split()[1]) in names:
            raise AnnotationError(folder / "classInd.txt", line, f"{name!r} is there twice")
        names.append(name)
    return _listed_index("ucf101", Path(root), folder, split, names, listed, strict)


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
            match = re.fullmatch(r"(?:.*/)?([^/]+)\.\w+\s+([012])", text.replace("\\", "/"))
            if not match:
                raise AnnotationError(file, line, f"expected 'clip.avi 0|1|2', got {text!r}")
            source = re.fullmatch(rf"(.+)_{re.escape(name)}{_HMDB_TAIL}", match[1])
            part = ("", "train", "test")[int(match[2])]
            listed.append((part, name, match[1], source[1] if source else match[1]))
    return _listed_index("hmdb51", Path(root), folder, split, names, listed, strict)


def _fold(data: str, fold: int, split: str) -> None:
    if fold not in (1, 2, 3):
        raise UsageError(f"fold {fold!r}: {data} has folds 1, 2 and 3")
    if split not in ("train", "test"):
        raise UsageError(f"split {split!r}: {data} has 'train' and 'test'")


def _beside(root: Path, name: str) -> Path:
    """The folder of lists whose name ends in `name`, in `root` or next to it."""
    return next((p for place in (root, root.absolute().parent) for p in sorted(place.glob(f"*{name}"))), root / name)


def _lines(file: Path) -> list[tuple[int, str]]:
    """Lines that hold anything, with their numbers, from whatever system or editor they come."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from None
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # what PowerShell writes
        text = data.decode("utf-16", errors="replace")
    else:
        text = data.decode("utf-8-sig", errors="surrogateescape")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]


def _listed_index(
    name: str,
    root: Path,
    lists: Path,
    split: str,
    names: list[str],
    listed: list[tuple[str, str, str, str]],
    strict: bool,
) -> Index:
    """Clips of official lists of (split, class, file stem, source) that are there, and what is not."""
    files: dict[str, str] = {}
    for path in video_files(root):
        stem = Path(path).stem
        if stem in files:
            raise DataError(f"{root}: {files[stem]} and {path} are the same clip twice")
        files[stem] = path
    if unlisted := {label for _, label, _, _ in listed} - set(names):
        raise DataError(f"{lists}: {min(unlisted)!r} is listed but not among the classes")
    rows, twice = _once(lists, listed)
    present = {row[1] for row in rows if row[2] in files}  # in any split, so that all agree
    classes = tuple(label for label in names if label in present)
    rows_here = [row for row in rows if row[0] == split and row[1] in present]
    lost = [stem for _, _, stem, _ in rows_here if stem not in files]
    strays = sorted(files[stem] for stem in files.keys() - {row[2] for row in rows})
    gaps, notes = [], []
    if len(classes) < len(names):
        gaps.append(f"{len(classes)} of {len(names)} classes are here: {', '.join(classes) or 'none'}")
    if lost:
        gaps.append(f"{len(lost)} {split} clips of these classes are missing: {some(lost)}")
    if strays:
        notes.append(f"{len(strays)} videos are in no list and are left out: {some(strays)}")
    if twice:
        notes.append(f"{len(twice)} clips are listed twice and count once: {some(twice)}")
    if not classes or (strict and gaps):
        raise DataError(f"{root}: {name} is not complete: {'; '.join(gaps)}")
    clips = (Clip(stem, files[stem], of, (label,), domain=name) for _, label, stem, of in rows_here if stem in files)
    return Index(name, split, root, classes, False, tuple(clips), (*gaps, *notes))


def _once(lists: Path, listed: list[tuple[str, str, str, str]]) -> tuple[list[tuple[str, str, str, str]], list[str]]:
    """The rows without repetitions, and the clips that were repeated; DataError where two rows contradict each other.

    HMDB-51 lists a clip that a fold leaves out under no split.
    """
    rows: dict[str, tuple[str, str, str, str]] = {}
    twice = []
    for row in listed:
        before = rows.setdefault(row[2], row)
        if before is row:
            continue
        if before[:2] != row[:2]:
            one, other = (f"{part or 'no split'} as {label}" for part, label, _, _ in (before, row))
            raise DataError(f"{lists}: {row[2]} is listed in {one} and in {other}")
        twice.append(row[2])
    return list(rows.values()), twice


def some(names: Sequence[str]) -> str:
    """The first five names."""
    return ", ".join(names[:5]) + ", ..." * (len(names) > 5)


def part_of(groups: Sequence[str], split: str) -> set[str]:
    """Every fifth group is 'test', the one before it 'val' (from three groups on), the others 'train'."""
    few = min(len(groups), 5)
    place = {"test": few - 1 if few > 1 else -1, "val": few - 2 if few > 2 else -1}
    parts = {name: {g for i, g in enumerate(groups) if i % 5 == spot} for name, spot in place.items()}
    return parts[split] if split in parts else set(groups) - parts["test"] - parts["val"]
