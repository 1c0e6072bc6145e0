"""The challenge's 2022 winner at work: which video a network sees, how it is sampled, who teaches it; its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F

from tinylib.annotations.labels import mirror_permutation
from tinylib.datasets import balance
from tinylib.datasets.index import Index
from tinylib.datasets.loading import BatchTransform, ClipDataset, Views
from tinylib.datasets.store import ClipStore
from tinylib.evaluation import metrics, pairing
from tinylib.evaluation.clips import Clips
from tinylib.evaluation.scores import Scores
from tinylib.methods import pairs, snapshots, super_resolution
from tinylib.methods.recipes import mean_asymmetric
from tinylib.models import official
from tinylib.training.loop import FitResult
from tinylib.training.objectives.classify import Classify, Loss
from tinylib.training.objectives.distill import Distillation

FITTED = "F1 (fitted)"
MEASURES = ("mAP", FITTED, "F1", "F1 (micro)", "F1 (samples)")
LOSSES: dict[str, Loss] = {"bce": F.binary_cross_entropy_with_logits, "asl": mean_asymmetric}


class Entry(NamedTuple):
    """A row: its network, what it sees, what it learns from."""

    row: str  # the paper's word, or ours
    network: str = "ir-CSN"  # one of the settings' two, by its row
    video: str = "LR"  # "LR": as recorded; "SR": super-resolved; "HR": the truth, of a study alone
    sampler: str = "uniform"
    copies: str = "tail"  # mirrored copies of the tail's clips; "none"; "labels": and each clip once a label
    teacher: str = ""  # the row whose network teaches it, by the video that it sees itself
    alpha: float = 1.0  # share of the labels' loss (Eq. 1)
    loss: str = "bce"  # or "asl"
    stream: str = ""  # of the ensemble that its snapshots belong to
    once: bool = False  # one seed alone

    @property
    def folder(self) -> str:
        return self.row.replace(" ", "").replace(":", "-")


@dataclass
class WinnerStudy:
    """Networks by (row, seed), each trained once and kept in its run folder, and their scores by split.

    settings: of notebooks 08 to 10. judged: the split that is measured.
    """

    settings: Any
    splits: Mapping[str, Index]
    judged: str
    videos: dict[tuple[str, str], ClipStore] = field(default_factory=dict)  # by kind of video and split
    entries: dict[str, Entry] = field(default_factory=dict)
    networks: dict[tuple[str, int], torch.nn.Module] = field(default_factory=dict)
    scores: dict[tuple[str, int], dict[str, Scores]] = field(default_factory=dict)
    fits: dict[tuple[str, int], FitResult] = field(default_factory=dict)
    members: dict[str, list[snapshots.Member]] = field(default_factory=dict)  # by stream of the ensemble

    @property
    def exam_splits(self) -> dict[str, Index]:
        """All but the training split."""
        return {name: index for name, index in self.splits.items() if name != "train"}

    def clips(self, entry: Entry, split: str, *, seed: int = 0, views: Views = "train") -> ClipDataset:
        """A split as the entry's network sees it; in training with its copies, and its teacher's view beside it."""
        train, extra = self.splits["train"], []
        if views == "train" and split == "train" and entry.copies != "none":
            extra = balance.flipped_tail(train, tail=self.settings.tail)
            extra = extra + balance.label_wise(train) if entry.copies == "labels" else extra
        teacher = self.entries.get(entry.teacher) if views == "train" and split == "train" else None
        return ClipDataset(
            self.splits[split],
            store=self.videos[entry.video, split],
            high=None if teacher is None else self.videos[teacher.video, split],
            sampler=entry.sampler,
            frames=self.settings.frames,
            size=self.settings.size,
            resize="bicubic",
            seed=seed,
            views=views,
            extra=extra,
            mirror=mirror_permutation(train.classes),
        )

    def train(self, entry: Entry, seed: int) -> None:
        """One run of a row, scored on every split; of the first seed the ensemble's snapshots are kept."""
        settings, self.entries[entry.row] = self.settings, entry
        network = next(network for network in settings.networks if network.row == entry.network)
        model = settings.build(network, self.splits["train"].classes, seed)
        lessons, member = self.clips(entry, "train", seed=seed), bool(entry.stream) and seed == settings.seed
        loss = LOSSES[entry.loss]
        objective: Classify | Distillation = Classify(model, loss=loss)
        if entry.teacher:
            objective = Distillation(model, self.networks[entry.teacher, seed], alpha=entry.alpha, loss=loss)
        run = settings.runs / f"{entry.folder}-{seed}"
        result, scored = snapshots.train(
            objective,
            lessons,
            settings.fitting(network, len(lessons), seed),
            run,
            exams={split: self.clips(entry, split, views="test") for split in self.exam_splits},
            count=snapshots.COUNTS[entry.stream] if member else 1,
            raw=member and entry.stream == "ir-CSN",
            transform=BatchTransform(),
            description={"model": network.model, "num_classes": len(self.splits["train"].classes)}
            | dict(network.options),
            batch_size=4 * settings.batch,
        )
        key = entry.row, seed
        self.networks[key], self.fits[key], self.scores[key] = model, result, list(scored.values())[-1]
        if member:
            averaged = [scored[name] for name in scored if name != snapshots.RAW]
            streams = {entry.stream: averaged}
            if snapshots.RAW in scored:
                streams[f"{entry.stream}, {snapshots.RAW}"] = [scored[snapshots.RAW]]
            self.members |= streams
            for stream, each in streams.items():
                snapshots.save(settings.runs / "members", stream, each)

    def runs(self, row: str, split: str = "") -> list[Scores]:
        """A row's scores, seed by seed; by default of the split that is measured."""
        return [scores[split or self.judged] for (name, _), scores in self.scores.items() if name == row]

    def evidence(self, row: str) -> Clips:
        """The scores behind a row's numbers; thresholds are fitted on the validation clips where those are others."""
        return Clips.of(self.runs(row), self.runs(row, "val") if self.judged == "test" else ())

    def quality(self, row: str) -> pd.DataFrame:
        """`metrics.evaluate` of a row over its seeds, F1 at fitted thresholds beside F1 at one half."""
        return self.evidence(row).table(seed=self.settings.seed)

    def spent(self, row: str) -> float:
        """Seconds of training, all seeds."""
        return sum(result.seconds for (name, _), result in self.fits.items() if name == row)

    def steps(self, rows: Sequence[tuple[str, str]]) -> pd.DataFrame:
        """What the second row of each pair has over the first, the same clips, paired over source videos and seeds."""
        lines = []
        for before, after in rows:
            line = {"step": f"{before} → {after}"}
            for metric in ("mAP", FITTED, "F1"):
                step = pairing.difference(self.evidence(after), self.evidence(before), metric)
                if step is None:
                    continue
                verdict = "gain" if step.low > 0 else "loss" if step.high < 0 else "open"
                line[metric] = f"{metrics.spelled(step.value, step.low, step.high)}, {verdict}"
                line["seeds"] = str(step.seeds)
            lines.append(line)
        return pd.DataFrame(lines)


def generator(settings: Any, splits: Mapping[str, Index]) -> tuple[super_resolution.ToSize, str]:
    """The super-resolver of the winner's second video, and what it is.

    RealBasicVSR from official weights (`settings.weights`), or a DVSR that learns from pairs of recorded and clean
    validation clips of a study (so not from those that classifiers learn from or are judged on); from real data, which
    has no such pairs, of reductions of the training clips that are large of themselves, as TinyVIRAT does.
    """
    if settings.weights:
        network = official.open_converted(settings.file(settings.weights))
        return super_resolution.ToSize(network, size=settings.size), "RealBasicVSR"
    recipe, high = settings.restoration, settings.low * settings.scale
    if settings.studied:
        index = splits["val"]
        if settings.large is not None and settings.large < len(index):
            index = index.select(np.linspace(0, len(index) - 1, settings.large).round().astype(int).tolist())
        low, clean = pairs.low(settings, index, settings.low), pairs.high(settings, index, high)
        lessons = ClipDataset(
            index, store=low, high=clean, sampler="strided", frames=recipe.frames, size=None, seed=settings.seed
        )
    else:
        index = super_resolution.large(splits["train"], high, limit=settings.large, seed=settings.seed)
        store = ClipStore.build(index, settings.runs / "teach.store", size=high, resize="bicubic")
        lessons = ClipDataset(
            index, store=store, sampler="strided", frames=recipe.frames, size=high, resize="bicubic", seed=settings.seed
        )
    taught = super_resolution.generator(settings, "progressive", lessons, settings.runs / "generator")
    restorer = super_resolution.ToSize(taught.network, size=settings.size, at_least=settings.low, at_most=settings.low)
    kind = "progressive DVSR" if taught.network.scale > 2 else "DVSR"  # of scale 2 there is one stage: nothing grows
    source = "pairs" if lessons.high is not None else "reductions"
    return restorer, f"{kind}, {settings.low} to {high} px, taught on {source}, from {taught.source}"


def restored(
    settings: Any, splits: Mapping[str, Index], recorded: Mapping[str, ClipStore], restorer: super_resolution.ToSize
) -> dict[tuple[str, str], ClipStore]:
    """Every split as recorded ("LR") and super-resolved ("SR"), rendered once; killed, it goes on at the next clip."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kinds: dict[str, super_resolution.ToSize | None] = {"LR": None, "SR": restorer.to(device)}
    return {
        (kind, split): super_resolution.super_resolved(
            network,
            recorded[split],
            index,
            Path(settings.runs) / f"{split}-{kind}.store",
            size=None,
            frames=settings.restoration.frames,
            shown=None,
            keep=settings.kept,
            origin={"kind": kind},
            device=device,
            workers=settings.rendering,
            scheduler=settings.scheduler,
        )
        for kind, network in kinds.items()
        for split, index in splits.items()
    }
