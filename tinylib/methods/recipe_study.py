"""Recipes over seeds: learned, read, and compared on the same clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from tinylib.datasets.index import Index
from tinylib.datasets.loading import ClipDataset
from tinylib.evaluation import localisation, metrics, pairing
from tinylib.evaluation.clips import Clips
from tinylib.evaluation.scores import Scores
from tinylib.files import Json
from tinylib.methods import super_resolution
from tinylib.methods.material import Material
from tinylib.methods.recipes import Budget, Learned, Recipe, learn, read
from tinylib.models import attention_maps
from tinylib.models.common import VideoClassifier

SEVERAL = ("mAP", "F1 (fitted)", "F1", "F1 (micro)")  # metrics that tables show, of several labels a clip
SINGLE = ("top-1", "top-5")


class Crossed(NamedTuple):
    """A network trained on one kind of low resolution and tested on one."""

    recipe: str
    pixels: str
    trained: str
    tested: str


class Taught(NamedTuple):
    """A student, or its teacher: how it is taught, by whom."""

    way: str
    who: str
    by: str


@dataclass(frozen=True)
class Judged:
    """Equal runs with other seeds on the test clips; `held`: theirs on the clips that thresholds are fitted on."""

    runs: tuple[Scores, ...]
    held: tuple[Scores, ...] = ()

    @property
    def clips(self) -> Clips:
        return Clips.of(self.runs, self.held)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those that tables show: mAP first, or Prec@1."""
        if np.asarray(self.runs[0].targets).ndim == 1:
            return SINGLE
        return SEVERAL if self.held else tuple(name for name in SEVERAL if name != "F1 (fitted)")

    def table(self) -> pd.DataFrame:
        """`metrics.evaluate`, by metric."""
        return self.clips.table().set_index("metric")

    def spelled(self) -> dict[str, str]:
        """Every shown metric with its interval."""
        table = self.table()
        return {m: metrics.spelled(*table.loc[m, ["value", "low", "high"]]) for m in self.metrics if m in table.index}

    def over(self, other: Judged) -> pd.DataFrame:
        """What these have over others on the same clips, by metric: value, low, high, paired over videos and seeds."""
        lines = []
        for metric in self.metrics:
            gap = pairing.difference(self.clips, other.clips, metric)
            if gap is not None:
                lines.append({"metric": metric, "value": gap.value, "low": gap.low, "high": gap.high})
        return pd.DataFrame(lines, columns=["metric", "value", "low", "high"]).set_index("metric")


@dataclass(frozen=True)
class RecipeStudy:
    """Every recipe once a budget (they differ in their seed alone), each in its run folder below `runs`."""

    budgets: tuple[Budget, ...]
    runs: Path

    def learn(self, recipe: Recipe, material: Material, name: str) -> list[Learned]:
        """The recipe's networks, kept in runs/NAME-SEED."""
        return [learn(recipe, material, budget, self.runs / f"{name}-{budget.seed}") for budget in self.budgets]

    def judge(
        self,
        learned: Sequence[Learned],
        material: Mapping[str, Material],
        *,
        sees: str | None = None,
        fitted: bool = False,
    ) -> Judged:
        """Their scores on the test clips, and with `fitted` on the validation clips too. sees: as in `read`."""
        pairs = list(zip(learned, self.budgets, strict=True))
        runs = tuple(read(each, material["test"], budget, sees=sees) for each, budget in pairs)
        if not fitted:
            return Judged(runs)
        return Judged(runs, tuple(read(each, material["val"], budget, sees=sees) for each, budget in pairs))

    def teachers(self, students: Sequence[Learned]) -> list[Learned]:
        """The students' teachers, as networks of the same recipe."""
        return [replace(each, network=each.teacher, teacher=None) for each in students if each.teacher is not None]


def lessons(material: Mapping[str, Material], *, frames: int, seed: int, synthetic: bool) -> ClipDataset:
    """Pairs that teach a generator to undo the camera: clips as they came, and their truth.

    Of SynthVIRAT the validation clips, which no classifier learns from; of real data, whose validation split may be its
    test split, the training clips.
    """
    taught = material["val" if synthetic else "train"]
    return ClipDataset(
        taught.index, store=taught.low, high=taught.high, sampler="strided", frames=frames, size=None, seed=seed
    )


def restorer(settings: Any, name: str, clips: ClipDataset, *, scale: int) -> tuple[super_resolution.Restorer, Json]:
    """A super-resolver of notebook 11 by name, taught where it learns, and what it is (for its stores)."""
    if name == "bicubic":
        return super_resolution.bicubic(scale), {"bicubic": scale}
    if name == "realbasicvsr":
        from tinylib.models import official

        side = max(settings.high) if isinstance(settings.high, tuple) else settings.high
        return super_resolution.ToSize(official.open_converted(settings.file(settings.weights)), size=side), {
            "weights": settings.weights
        }
    kind, folder = {"dvsr": ("DVSR", "generator-dvsr"), "progressive": ("progressive", "generator")}[name]
    taught = super_resolution.generator(settings, kind, clips, settings.runs / folder)
    return taught.network, {"generator": kind, "start": taught.source}


def gradient_maps(
    network: VideoClassifier, video: Tensor, classes: Tensor, *, layer: str = "layer2", batch: int = 8
) -> Tensor:
    """(N, t, h, w): `attention_maps.gradient_map` of each clip for its own class, on the network's device."""
    device = next(network.parameters()).device
    network.eval()
    return torch.cat(
        [
            attention_maps.gradient_map(
                network, video[i : i + batch].to(device), layer, classes[i : i + batch].to(device)
            ).cpu()
            for i in range(0, len(video), batch)
        ]
    )


@torch.no_grad()
def activation_maps(
    network: VideoClassifier, video: Tensor, activation: Callable[[Tensor], Tensor], *, layer: str = "layer2"
) -> Tensor:
    """(N, t, h, w): STAT's Eq. 1 of a block, on the network's device."""
    device = next(network.parameters()).device
    return activation(network.eval().features(video.to(device))[layer]).cpu()


def ties(maps: Tensor, actors: NDArray[np.bool_], sure: NDArray[np.floating], *, seed: int = 0) -> Json:
    """Whether better attention goes with better recognition: the rank correlation of both, clip by clip.

    maps, actors: (N, T, H, W); sure: (N,) scores of each clip's own class.
    """
    aim = localisation.mass_inside(maps, torch.from_numpy(actors)).numpy()
    there = np.isfinite(aim)
    rho, low, high = metrics.spearman(aim[there], sure[there], seed=seed)
    return {"rank correlation": metrics.spelled(rho, low, high, digits=2), "clips": int(there.sum())}


def largest(index: Index, places: Sequence[int]) -> Tensor:
    """The class that each clip is asked about: its label, or the first of several."""
    targets = torch.from_numpy(np.asarray(index.targets())[list(places)])
    return targets.argmax(1) if index.multi_label else targets.long()


def spelled(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables by metric (value, low, high) side by side, in words: a row a metric that is shown, a column a name."""
    words = {
        name: {
            m: metrics.spelled(*table.loc[m, ["value", "low", "high"]]) for m in (*SEVERAL, *SINGLE) if m in table.index
        }
        for name, table in tables.items()
    }
    return pd.DataFrame(words)


def evidence(judged: Mapping[str, Judged]) -> dict[str, Clips]:
    """The scores behind each name's numbers, for `results.Log`."""
    return {name: each.clips for name, each in judged.items()}


def by_map(table: pd.DataFrame) -> pd.DataFrame:
    """`localisation.compare` in words: a row a map, a column a metric."""
    text = [metrics.spelled(*row) for row in table[["value", "low", "high"]].itertuples(index=False, name=None)]
    return table.assign(text=text).pivot(index="map", columns="metric", values="text")
