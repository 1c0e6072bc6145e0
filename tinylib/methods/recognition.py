"""Classifiers at work: equal runs with other seeds, taught on one split's video and scored on others'."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tinylib.datasets.index import Index
from tinylib.datasets.loading import BatchTransform, ClipDataset, Views
from tinylib.datasets.store import ClipStore, Resize
from tinylib.errors import UsageError
from tinylib.evaluation import metrics
from tinylib.evaluation.clips import Clips
from tinylib.evaluation.pairing import difference
from tinylib.evaluation.scores import READINGS, Reading, Scores, predict
from tinylib.models.common import VideoClassifier
from tinylib.training.loop import FitResult, fit
from tinylib.training.objectives.classify import Classify
from tinylib.training.optimise import FitConfig

FITTED = "F1 (fitted)"  # at thresholds that were fitted on validation clips


@dataclass(frozen=True, kw_only=True)
class Feed:
    """How clips go into a classifier, and how its views become scores."""

    frames: int
    size: int | None = None  # px; None is the store's own
    resize: Resize = "bicubic"
    reading: Reading = READINGS["tinyvirat"]
    batch: int = 16
    flip: float = 0.5

    def clips(self, index: Index, store: ClipStore, *, views: Views = "train", seed: int = 0) -> ClipDataset:
        return ClipDataset(
            index, store=store, views=views, seed=seed,
            sampler=self.reading.sampler, frames=self.frames, size=self.size, resize=self.resize,
        )  # fmt: skip


@dataclass(frozen=True)
class Recognition:
    """Equal runs with other seeds on the clips of one split, and what they may be judged with."""

    runs: tuple[Scores, ...]  # a seed each
    held: tuple[Scores, ...] = ()  # the same networks on the validation clips; () where there are none
    networks: tuple[VideoClassifier, ...] = ()
    fits: tuple[FitResult, ...] = ()

    @property
    def seconds(self) -> float:
        """Of training, all seeds."""
        return sum(result.seconds for result in self.fits)

    def clips(self) -> Clips:
        """The scores as `results.Log` keeps them, with thresholds fitted on the validation clips, each run's own."""
        single = _truth(self.runs[0]).ndim == 1
        return Clips.of(self.runs, () if single else self.held)

    def table(self, *, seed: int = 0) -> pd.DataFrame:
        """Every metric with its interval over source videos and seeds: mAP first, then F1 fitted and at one half."""
        table = self.clips().table(seed=seed)
        order = {name: place for place, name in enumerate(("mAP", FITTED, "F1", "top-1"))}
        return table.sort_values("metric", key=lambda names: names.map(order).fillna(len(order)), kind="stable")

    def per_class(self) -> dict[str, float]:
        """F1 of each class at the thresholds of `clips`, or recall where clips have one label; means over the seeds."""
        first, cuts = self.runs[0], self.clips().thresholds
        truth = _truth(first)
        if truth.ndim == 1:
            named = [first.classes[number] for number in truth]
            means = pd.Series(self.right()).groupby(named).mean()
            return {str(name): float(value) for name, value in means.items()}
        each = [
            metrics.per_class(
                run.scores, truth, run.classes, threshold=0.5 if cuts is None else np.asarray(cuts)[place]
            )
            for place, run in enumerate(self.runs)
        ]
        table = pd.concat(each).groupby("class", sort=False)[["support", "f1"]].mean()
        return {str(name): float(row.f1) for name, row in table.iterrows() if row.support > 0}

    def right(self) -> NDArray[np.float64]:
        """Of single-label clips: the share of seeds that are right about each, (N,)."""
        return np.mean([run.scores.argmax(1) == _truth(run) for run in self.runs], axis=0)


def _truth(run: Scores) -> NDArray[np.generic]:
    if run.targets is None:
        raise UsageError(f"the labels of {run.name} {run.split} are withheld")
    return run.targets


def learn(
    build: Callable[[int], VideoClassifier],
    index: Index,
    store: ClipStore | None,
    feed: Feed,
    config: FitConfig | None,
    run_dir: str | Path,
    *,
    seeds: Sequence[int],
    mirror: NDArray[np.int64] | None = None,
    description: Mapping[str, object] | None = None,
) -> Recognition:
    """Networks of `build(seed)`, each taught on these clips in run_dir-SEED; to be scored by `judge`.

    config: its seed is replaced by each run's. Without one, or without a store, networks stay as built.
    """
    networks, fits = [], []
    for seed in seeds:
        network = build(seed)
        if config is not None and store is not None:
            result = fit(
                Classify(network, loss="bce" if index.multi_label else "cross_entropy"),
                feed.clips(index, store, seed=seed),
                replace(config, seed=seed, batch_size=min(config.batch_size, len(index))),
                Path(f"{run_dir}-{seed}"),
                transform=BatchTransform(flip=feed.flip, mirror=mirror),
                description=dict(description or {}),
            )
            fits.append(result)
        networks.append(network.eval())
    return Recognition((), networks=tuple(networks), fits=tuple(fits))


def judge(
    taught: Recognition,
    splits: Mapping[str, Index],
    stores: Mapping[str, ClipStore],
    feed: Feed,
    *,
    label: str,
    run_dir: str | Path | None = None,
) -> Recognition:
    """The same networks with their scores on "test", and on "val" where it is there and not the test split itself."""
    scores: dict[str, list[Scores]] = {}
    for name in ("test", "val"):
        if name not in splits or (name == "val" and splits[name].digest() == splits["test"].digest()):
            continue
        clips = feed.clips(splits[name], stores[name], views="test")
        scores[name] = [
            predict(
                network, clips, batch_size=4 * feed.batch, aggregate=feed.reading.aggregate, on=feed.reading.on,
                label=f"{label}, {name}",
            )
            for network in taught.networks
        ]  # fmt: skip
    if run_dir is not None:
        for seed, run in enumerate(scores["test"]):
            run.save(Path(run_dir) / "scores" / f"{label.replace(' ', '-').replace('/', '-')}-{seed}.npz")
    return replace(taught, runs=tuple(scores["test"]), held=tuple(scores.get("val", ())))


def copies(taught: Recognition) -> Callable[[int], VideoClassifier]:
    """`build` for `learn`: the networks of earlier runs, in their order, to go on from."""
    import copy

    waiting = [copy.deepcopy(network) for network in taught.networks]
    return lambda seed: waiting.pop(0).requires_grad_(True)


def spread(index: Index, clips: int | None) -> Index:
    """So many clips, evenly over the index and so over its videos; None is all."""
    if clips is None or clips >= len(index):
        return index
    return index.select(np.linspace(0, len(index) - 1, clips).round().astype(int).tolist())


def constant(index: Index) -> dict[str, float]:
    """What an answer has that is the same for every clip, the best there is: the row to beat."""
    truth = np.asarray(index.targets(), np.int64)
    if truth.ndim == 1:
        return {"top-1": float(np.bincount(truth).max() / len(truth))}
    share = (truth > 0).mean(axis=0)
    share = share[share > 0]
    return {"mAP": float(share.mean()), "F1": float((2 * share / (1 + share)).mean())}


def steps(judged: Mapping[str, Recognition], metric: str, *, seed: int = 0) -> pd.DataFrame:
    """From each row to the next and from the first to all: the paired difference of a metric, over videos and seeds."""
    names = list(judged)
    claims = dict.fromkeys([*zip(names[1:], names, strict=False), *((name, names[0]) for name in names[1:])])
    clips = {name: of.clips() for name, of in judged.items()}
    rows = []
    for after, before in claims:
        gap = difference(clips[after], clips[before], metric, seed=seed)
        if gap is not None:
            held = "yes" if gap.low > 0 else "no" if gap.high < 0 else "open"
            rows.append((f"{after} > {before}", gap.value, gap.low, gap.high, held, gap.seeds))
    return pd.DataFrame(rows, columns=["claim", "difference", "low", "high", "held", "seeds"])
