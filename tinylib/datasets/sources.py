"""The datasets that notebooks know by name: how each is opened, and what it can do. A new one is one entry here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tinylib.datasets.folders import is_divided, read_folder, read_weizmann
from tinylib.datasets.index import SPLITS, Index, read_tinyvirat, tinyvirat_json
from tinylib.datasets.readers import read_hmdb51, read_ucf101, video_files
from tinylib.errors import UsageError

Opener = Callable[[str | Path, str, int | None], Index]  # (root, split, fold)


@dataclass(frozen=True)
class Source:
    """A dataset by name."""

    name: str
    opener: Opener
    multi_label: bool = False
    splits: tuple[str, ...] = ("train", "test")
    evaluation: str = "test"  # the split that carries labels and is not trained on
    version: int = 1  # of the layout, where it is TinyVIRAT's
    indexed: bool = False  # each split has a JSON file, and one whose file is absent is not there
    synthetic: bool = False  # filmed by this package on first use, full frames and all
    twins: bool = False  # each clip can be filmed at any resolution, with the sensor and without
    masks: bool = False  # it is known where the actors are
    studies: bool = False  # balanced studies of chosen classes
    official_splits: bool = False
    leave_one_out: bool = False  # fold k holds out the k-th subject or group


def _tinyvirat(name: str, version: int, root: str | Path, split: str, fold: int | None) -> Index:
    private = version == 2 and split == "test" and Path(root, tinyvirat_json("test", 2, private=True)).exists()
    return read_tinyvirat(root, split, version=version, private=private, name=name)


def _ucf101(root: str | Path, split: str, fold: int | None) -> Index:
    return read_ucf101(root, fold=fold or 1, split=split)


def _hmdb51(root: str | Path, split: str, fold: int | None) -> Index:
    return read_hmdb51(root, fold=fold or 1, split=split)


def _folder(root: str | Path, split: str, fold: int | None) -> Index:
    return read_folder(root, split, held_out=None if fold is None or is_divided(video_files(root)) else fold)


def _weizmann(root: str | Path, split: str, fold: int | None) -> Index:
    return read_weizmann(root, split, fold=fold or 1)


def _of_tinyvirat(name: str, version: int, *, synthetic: bool) -> Source:
    return Source(
        name,
        partial(_tinyvirat, name, version),
        multi_label=True,
        splits=("train", "test") if version == 1 else SPLITS,
        evaluation="test" if version == 1 else "val",  # the v2 test labels are the challenge's secret
        version=version,
        indexed=True,
        synthetic=synthetic,
        twins=synthetic,
        masks=synthetic,
        studies=synthetic,
        official_splits=True,
    )


SOURCES = {
    source.name: source
    for source in (
        _of_tinyvirat("synthvirat", 1, synthetic=True),
        _of_tinyvirat("synthvirat-v2", 2, synthetic=True),
        _of_tinyvirat("tinyvirat", 1, synthetic=False),
        _of_tinyvirat("tinyvirat-v2", 2, synthetic=False),
        Source("ucf101", _ucf101, official_splits=True),
        Source("hmdb51", _hmdb51, official_splits=True),
        Source("folder", _folder, splits=SPLITS, leave_one_out=True),
        Source("weizmann", _weizmann, leave_one_out=True),
    )
}


def source_of(data: str) -> Source:
    """The dataset of this name, or UsageError with the names there are."""
    if data not in SOURCES:
        raise UsageError(f"data {data!r}: expected one of {', '.join(SOURCES)}")
    return SOURCES[data]


def is_synthetic(data: str) -> bool:
    """Whether numbers on this dataset are from synthetic video; a name that is not known here is none of ours."""
    return data in SOURCES and SOURCES[data].synthetic


def open_split(data: str, root: str | Path, split: str, *, fold: int | None = None) -> Index:
    """The index of a split of any dataset, by the names that notebooks use.

    fold: of UCF-101 and HMDB-51 (None: 1); of Weizmann, which subject is held out (None: the first); of class folders,
    which group is (None: every fifth) unless sub-folders divide them.
    """
    return source_of(data).opener(root, split, fold)
