"""Against the long tail (winner, section 2; D18): further items of an index, as `ClipDataset(extra=...)` takes them.

An item is (place in the index, mirrored?). Mirrored copies need `mirror=labels.mirror_permutation(classes)` beside
them: a flipped left turn is a right turn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tinylib.annotations.labels import mirror_permutation
from tinylib.datasets.index import Index
from tinylib.errors import DataError, UsageError

Item = tuple[int, bool]
TAIL = 500  # training clips; the paper does not say where its tail begins: 17 of TinyVIRAT-v2's 26 classes have fewer


def tail_classes(train: Index, *, tail: int = TAIL) -> tuple[str, ...]:
    """Classes with fewer than `tail` training clips, but some, in the index's class order."""
    counts = _counts(train)
    return tuple(name for name, count in zip(train.classes, counts, strict=True) if 0 < count < tail)


def flipped_tail(train: Index, *, tail: int = TAIL) -> list[Item]:
    """One mirrored copy of every clip that holds a tail label, in index order.

    What comes with it is copied too: a tail clip's other labels are often of the head.
    """
    wanted = set(tail_classes(train, tail=tail))
    return [(place, True) for place, clip in enumerate(train.clips) if wanted & set(clip.labels or ())]


def label_wise(train: Index) -> list[Item]:
    """Each clip once for each of its labels: copies of clips with several, so that items are as many as labels.

    Not in the paper: the authors' later code lists TinyVIRAT-v2's 16,950 training clips as 24,581 rows in this way.
    """
    return [(place, False) for place, clip in enumerate(train.clips) for _ in (clip.labels or ())[1:]]


def counts(train: Index, extra: Sequence[Item] = ()) -> pd.DataFrame:
    """Training clips a class before and after `extra`: class, clips, with copies; mirrored copies have swapped labels.

    Classes from the most frequent on.
    """
    before = _counts(train)
    targets, mirror = _multi_hot(train), mirror_permutation(train.classes)
    added = sum(
        (targets[place][mirror] if flipped else targets[place] for place, flipped in extra), np.zeros_like(before)
    )
    table = pd.DataFrame({"class": train.classes, "clips": before, "with copies": before + added})
    return table.sort_values("clips", ascending=False, kind="stable", ignore_index=True)


def long_tail(train: Index, *, ratio: float, seed: int = 0) -> Index:
    """A part of a balanced index whose classes fall off geometrically, the first having `ratio` times the last one's.

    The classes' order is drawn by seed, and so is which clips stay. Each clip stands for its rarest label (of equally
    rare ones the first in class order), so the counts of classes that come along with others fall less than asked.
    Ours: it makes the long tail of a study a known quantity, as is customary for balanced image datasets.
    """
    if ratio < 1:
        raise UsageError(f"ratio {ratio}: expected 1 (as balanced as before) or more")
    if not len(train):
        raise DataError(f"{train.name} {train.split}: the index has no clips")
    rng = np.random.default_rng((seed, len(train), 0x7A11))
    totals = _counts(train)
    present = np.flatnonzero(totals)
    rank = {int(column): at for at, column in enumerate(rng.permutation(present))}
    hot = _multi_hot(train) > 0
    rarest = np.array([min(np.flatnonzero(row), key=lambda column: totals[column], default=-1) for row in hot])
    chosen: list[int] = []
    for column, at in rank.items():
        places = np.flatnonzero(rarest == column)
        share = ratio ** (-at / max(1, len(rank) - 1))
        chosen += rng.permutation(places)[: max(1, round(share * len(places)))].tolist() if len(places) else []
    return train.select(sorted(chosen))


def _multi_hot(index: Index) -> NDArray[np.int64]:
    targets = index.targets()
    return targets.astype(np.int64) if index.multi_label else np.eye(len(index.classes), dtype=np.int64)[targets]


def _counts(index: Index) -> NDArray[np.int64]:
    return _multi_hot(index).sum(0)
