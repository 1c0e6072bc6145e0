"""A split's clips at the resolutions that recipes need: as they are, seen better, and super-resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tinylib.datasets.degrade import Size, pair
from tinylib.datasets.index import Index
from tinylib.datasets.store import ClipStore
from tinylib.errors import UsageError
from tinylib.methods import pairs, super_resolution


@dataclass(frozen=True)
class Material:
    """A split's clips, and their pixels: as they are, seen better, and super-resolved by a frozen network."""

    index: Index
    low: ClipStore
    high: ClipStore
    restored: ClipStore | None = None

    def seen(self, which: str) -> ClipStore:
        store = {"low": self.low, "high": self.high, "restored": self.restored}[which]
        if store is None:
            raise UsageError("this recipe needs super-resolved video: give the material's `restored`")
        return store

    def restored_by(
        self, restorer: super_resolution.Restorer, file: str | Path, *, frames: int, origin: Mapping[str, object]
    ) -> Material:
        """The same clips with `restored` as this super-resolver makes it of `low`, `frames` at a time, kept in `file`.

        origin: what the restorer is; a network's own weights are hashed into the store's recipe. A network works on the
        GPU where there is one, and stays there.
        """
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if isinstance(restorer, nn.Module):
            restorer.to(device)
        pixels = super_resolution.super_resolved(
            restorer, self.low, self.index, file, size=None, frames=frames, shown=None, origin=origin, device=device
        )
        return replace(self, restored=pixels)


def at_size(
    settings: Any,
    material: Mapping[str, Material],
    size: Size,
    *,
    resized: bool = False,
    restorer: nn.Module | None = None,
    origin: Mapping[str, object] | None = None,
) -> dict[str, Material]:
    """The train and test clips at another size: natural, or resized from the high resolution by STAT's camera model.

    settings: of notebook 11, whose `low`, `high` and `kept` say what `material` is; natural clips at `low` are returned
    as they are. restorer (`origin` says which): they are restored too, brought to between `low` and twice that first
    (so that a generator of scale 8 is never given 80 px), and what it makes is brought to `high`.
    """
    if not resized and pair(size) == pair(settings.low):
        return {split: material[split] for split in ("train", "test")}
    resolved, side, least = {}, max(pair(settings.high)), max(pair(settings.low))
    for split in ("train", "test"):
        each, kind = material[split], "resized-" if resized else ""
        low = (
            pairs.degraded(settings, each.index, each.high, size) if resized else pairs.low(settings, each.index, size)
        )
        resolved[split] = replace(each, low=low, restored=None)
        if restorer is not None:
            enlarger = super_resolution.ToSize(restorer, size=side, at_least=least, at_most=2 * least)
            file = settings.runs / f"{split}-restored-{kind}{pairs.named(size)}.store"
            resolved[split] = resolved[split].restored_by(
                enlarger, file, frames=settings.kept or 16, origin=origin or {}
            )
    return resolved
