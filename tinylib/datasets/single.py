"""One label a clip, for procedures that know no more: a view of multi-label splits as single-label ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from tinylib.datasets.index import Index
from tinylib.errors import DataError


def rarest_label(train: Index, test: Index, *, classes: int, at_least: int = 2) -> tuple[Index, Index]:
    """Both splits with each clip under its rarest label, the one that tells most about it; few-clip classes left out.

    Rarity is counted in `train`. The `classes` largest classes remain that then have `at_least` clips in both splits;
    clips of the others are dropped. Ours: no paper does this, it lets single-label tables run on multi-label data.
    """
    counts = Counter(name for clip in train.clips for name in clip.labels or ())
    views = []
    for index in (train, test):
        labelled = [clip for clip in index.clips if clip.labels]
        rarest = [min(clip.labels or (), key=lambda name: (counts[name], name)) for clip in labelled]
        views.append([replace(clip, labels=(name,)) for clip, name in zip(labelled, rarest, strict=True)])
    sizes = [Counter((clip.labels or ("",))[0] for clip in view) for view in views]
    enough = [name for name in train.classes if all(size[name] >= at_least for size in sizes)]
    largest = sorted(enough, key=lambda name: (-sizes[0][name], name))[:classes]
    if len(largest) < 2:
        raise DataError(f"{train.name}: {len(largest)} classes have {at_least} clips in both splits; 2 are needed")
    names = tuple(name for name in train.classes if name in largest)
    note = f"each clip under its rarest label, {len(names)} classes"
    indexes = [
        replace(index, classes=names, multi_label=False, notes=(*index.notes, note)).select([])
        for index in (train, test)
    ]
    chosen = [tuple(clip for clip in view if (clip.labels or ("",))[0] in largest) for view in views]
    return replace(indexes[0], clips=chosen[0]), replace(indexes[1], clips=chosen[1])
