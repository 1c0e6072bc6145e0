"""A study of attention transfer: which networks its tables need, and both stages of training, each network once."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tinylib.annotations.labels import mirror_permutation
from tinylib.datasets import motion
from tinylib.datasets.index import Index
from tinylib.datasets.loading import ClipDataset
from tinylib.datasets.store import ClipStore
from tinylib.errors import UsageError
from tinylib.evaluation import metrics
from tinylib.evaluation.scores import Scores, predict
from tinylib.methods import pairs
from tinylib.methods.attention_transfer import (
    SCHEMES,
    THIRD_OF_CE,
    Backbone,
    Jitter,
    Scheme,
    features,
    schedule,
    transfer,
)
from tinylib.models.segments import SegmentNetwork
from tinylib.training.loop import fit
from tinylib.training.objectives.classify import Classify

Stream = Literal["rgb", "motion", "fused"]
Shape = tuple[int, int]
Split = Literal["train", "labelled", "test", "unlabelled"]


class TransferJob(NamedTuple):
    """One network of the study, up to the stage that it ends with."""

    backbone: Backbone
    size: Shape | None = None  # (height, width) of a student's video; None: the teacher
    scheme: Scheme | None = None  # of stage 2; None: stage 1 alone
    stream: Stream = "rgb"  # "fused": the mean of both streams' scores, no network of its own
    fresh: bool = False  # starts from nothing, whatever the others start from

    @property
    def teacher(self) -> TransferJob:
        """Whom it learns from; a fresh student's teacher is not fresh."""
        return TransferJob(self.backbone, stream=self.stream)

    @property
    def alone(self) -> TransferJob:
        """Its own first stage."""
        return self._replace(scheme=None)

    @property
    def parts(self) -> tuple[TransferJob, ...]:
        """The networks whose scores are its scores."""
        return (self._replace(stream="rgb"), self._replace(stream="motion")) if self.stream == "fused" else (self,)

    @property
    def name(self) -> str:
        """Of its run folder."""
        size = "teacher" if self.size is None else pairs.named(self.size)
        stage = "alone" if self.scheme is None else self.scheme.name
        words = [self.backbone.network, f"{self.backbone.segments}x{self.backbone.length}", self.stream, size, stage]
        return "-".join([*words, *(["fresh"] * self.fresh)])


class Line(NamedTuple):
    """A row of one of the paper's tables, and the network that fills it."""

    table: str
    row: str
    job: TransferJob

    @property
    def input(self) -> str:
        """The paper's word for what the network sees; for its teacher's 256 x 340 px whatever stands in for them."""
        return "HR 256x340" if self.job.size is None else pairs.named(self.job.size)

    @property
    def metrics(self) -> dict[str, str]:
        """Ours by the paper's name."""
        if self.table == "Table 4":
            return {"top-1": "HMDB51 accuracy"}
        return {"top-1": "UCF101 Prec@1"} | ({"top-5": "UCF101 Prec@5"} if self.table == "Table 2" else {})


def part_of(store: ClipStore, index: Index) -> ClipStore:
    """A store's clips that `index` names, in its order, without copying them."""
    entries = {entry.clip_id: entry for entry in store.entries}
    chosen = tuple(entries[clip.clip_id] for clip in index.clips)
    return ClipStore(store.file, store.recipe | {"index": index.digest()}, chosen)


@dataclass
class TransferStudy:
    """Networks by (job, seed), each trained once and kept in its run folder; scores and logs beside them.

    settings: of notebook 07; its `begin` gives a network its starting weights, `begins` says whether there are any.
    splits: "train" is what teachers learn from, "labelled" what students do, "unlabelled" is without labels.
    """

    settings: Any
    splits: Mapping[Split, Index]
    sizes: Sequence[Shape]
    stores: dict[tuple[Stream, Split, Shape | None], ClipStore] = field(default_factory=dict)
    networks: dict[tuple[TransferJob, int], SegmentNetwork] = field(default_factory=dict)
    scores: dict[tuple[TransferJob, int], Scores] = field(default_factory=dict)
    logs: dict[tuple[TransferJob, int], list[dict[str, float]]] = field(default_factory=dict)
    seconds: dict[tuple[TransferJob, int], float] = field(default_factory=dict)

    def render(self, *, moving: Sequence[Shape | None] = ()) -> None:
        """High resolution for the teacher, low for students; of the sizes `moving` also what moves in them."""
        settings = self.settings
        for name, index in self.splits.items():
            if name == "labelled":  # of the training clips, whose pixels are there
                continue
            high = pairs.high(settings, index, settings.high)
            self.stores["rgb", name, None] = high
            for size in self.sizes:
                natural = settings.camera == "natural" and pairs.synthetic(settings)
                small = pairs.low(settings, index, size) if natural else pairs.degraded(settings, index, high, size)
                self.stores["rgb", name, size] = small
            for place in moving:
                resolution = "high" if place is None else "low"
                file = settings.runs / f"{index.split}-{settings.motion}-{resolution}.store"
                pictures = motion.moving(settings.motion, self.stores["rgb", name, place], index, file)
                self.stores["motion", name, place] = pictures
        labelled = self.splits["labelled"]
        for stream, name, place in [key for key in self.stores if key[1] == "train"]:
            self.stores[stream, "labelled", place] = part_of(self.stores[stream, name, place], labelled)

    def jitter(self, stream: Stream, *, labels: bool = True) -> Jitter:
        """Windows and mirroring of a training batch; optical flow cannot be mirrored by its pixels."""
        flip = 0.5 if stream == "rgb" else 0.5 * motion.MIRRORED[self.settings.motion]
        mirror = mirror_permutation(self.splits["train"].classes) if labels else None
        low, high = self.settings.jitter
        return Jitter(scale=(low, high), flip=flip, mirror=mirror)

    def clips(
        self, job: TransferJob, split: Split, seed: int, *, teacher: bool = False, test: bool = False
    ) -> ClipDataset:
        """A split as the job's network sees it, its teacher's view beside it where asked for."""
        return ClipDataset(
            self.splits[split],
            store=self.stores[job.stream, split, job.size],
            high=self.stores[job.stream, split, None] if teacher else None,
            sampler=job.backbone.sampler(),
            frames=job.backbone.segments * job.backbone.length,
            size=None,
            seed=seed,
            views="test" if test else "train",
        )

    def alone(self, job: TransferJob, seed: int) -> SegmentNetwork:
        """Stage 1: by cross-entropy, a teacher on all labelled clips and a student on those that are its own."""
        if job.scheme is not None:
            raise UsageError(f"{job.name}: stage 1 has no scheme")
        if (job, seed) not in self.networks:
            settings, student = self.settings, job.size is not None
            network = job.backbone.make(
                len(self.splits["train"].classes),
                2 * seed + student,
                reading=settings.reading,
                size=settings.high if student else None,
                initial="" if job.fresh else settings.initial_of(job.backbone),
            )
            if not job.fresh:
                settings.begin(network, self.splits["train"].classes)
            lessons = self.clips(job, "labelled" if student else "train", seed)
            config = schedule(settings.epochs, batch=settings.batch, lr=settings.lr, seed=seed)
            result = fit(
                Classify(network, loss="cross_entropy"),
                lessons,
                config,
                settings.runs / f"{job.name}-{seed}",
                transform=self.jitter(job.stream),
            )
            self._note(job, seed, network, result.seconds, result.history)
        return self.networks[job, seed]

    def without_labels(self, job: TransferJob, seed: int) -> SegmentNetwork:
        """SAT and TAT alone, on clips without labels (section 3.3.1); students of one start share it."""
        shared = job._replace(scheme=Scheme((0.0, 0.5, 0.5), unlabelled=True))
        if (shared, seed) not in self.networks:
            self._taught(shared, seed, self._begun(job, seed), supervised=False)
        return self.networks[shared, seed]

    def taught(self, job: TransferJob, seed: int) -> SegmentNetwork:
        """Stage 2: labels and the frozen teacher, weighed by the job's scheme."""
        if (job, seed) not in self.networks:
            assert job.scheme is not None
            begun = self.without_labels(job, seed) if job.scheme.unlabelled else self._begun(job, seed)
            self._taught(job, seed, begun, supervised=True)
        return self.networks[job, seed]

    def _begun(self, job: TransferJob, seed: int) -> SegmentNetwork:
        """What a second stage starts from: the first stage's student, or its teacher."""
        return self.alone(job.teacher if self.settings.start == "teacher" and not job.fresh else job.alone, seed)

    def _taught(self, job: TransferJob, seed: int, begun: SegmentNetwork, *, supervised: bool) -> None:
        settings = self.settings
        student = copy.deepcopy(self.alone(job.alone, seed))
        student.load_state_dict(begun.state_dict())
        assert job.scheme is not None
        epochs = settings.transfer_epochs if supervised else settings.unlabelled_epochs
        objective = transfer(
            student,
            self.alone(job.teacher, seed),
            job.scheme,
            epochs,
            supervised=supervised,
            freeze_norms=not job.fresh and settings.begins(job.backbone),
            joint=settings.joint,
        )
        result = fit(
            objective,
            self.clips(job, "labelled" if supervised else "unlabelled", seed, teacher=True),
            schedule(epochs, batch=settings.batch, lr=settings.lr, seed=seed),
            settings.runs / f"{job.name}{'' if supervised else '-without-labels'}-{seed}",
            transform=self.jitter(job.stream, labels=supervised),
            description={"maps": "joint" if settings.joint else "frame by frame"},
        )
        self._note(job, seed, student, result.seconds, result.history, judged=supervised)

    def _note(
        self,
        job: TransferJob,
        seed: int,
        network: SegmentNetwork,
        seconds: float,
        history: list[dict[str, float]],
        *,
        judged: bool = True,
    ) -> None:
        self.networks[job, seed], self.seconds[job, seed], self.logs[job, seed] = network, seconds, history
        if judged:
            exam = self.clips(job, "test", seed, test=True)
            label = f"{job.name}-{seed}"
            self.scores[job, seed] = predict(network, exam, batch_size=self.settings.batch, label=label)
            self.scores[job, seed].save(self.settings.runs / label / "scores.npz")

    def scored(self, job: TransferJob, seed: int) -> Scores:
        """Test scores of a job, the mean over its streams."""
        each = [self.scores[part, seed] for part in job.parts]
        return replace(each[0], scores=np.mean([scores.scores for scores in each], axis=0).astype(np.float32))

    def spent(self, jobs: Iterable[TransferJob], seeds: Iterable[int]) -> float:
        """Seconds of training of the jobs' own last stages."""
        wanted = {(part, seed) for job in jobs for part in job.parts for seed in seeds}
        return sum(seconds for key, seconds in self.seconds.items() if key in wanted)

    def looks(self, job: TransferJob, seed: int, *, maps: bool) -> dict[str, NDArray[np.float32]]:
        """`attention_transfer.features` of the job's network on the middle frames of the test clips."""
        exam = self.clips(job, "test", seed, test=True)
        return features(self.networks[job, seed], exam, batch_size=self.settings.batch, maps=maps)


def gains(study: TransferStudy, lines: Iterable[Line], seeds: Sequence[int]) -> pd.DataFrame:
    """Prec@1 that each row gained over its own student without transfer, and over the control with a third of CE.

    Paired clip by clip, with 95% intervals over source videos and seeds: a row (table, row, input, over, value, low,
    high, verdict) for each gain. A student from nothing is held against a student from nothing.
    """
    truth, index = study.splits["test"].targets(), study.splits["test"]
    videos, rows = [clip.video_id for clip in index.clips], []
    for line in lines:
        for over in ("Student", THIRD_OF_CE):
            rival = line.job._replace(scheme=SCHEMES[over])
            known = all((part, seed) in study.scores for part in rival.parts for seed in seeds)
            if line.job.scheme in (None, SCHEMES["Student"], rival.scheme) or not known:
                continue
            right = [[study.scored(job, seed).scores.argmax(1) == truth for seed in seeds] for job in (line.job, rival)]
            value, low, high = metrics.paired(np.array(right[0], float), np.array(right[1], float), videos)
            verdict = "no interval" if np.isnan(low) else "decided" if low > 0 or high < 0 else "within noise"
            rows.append((line.table, line.row, line.input, over, value, low, high, verdict))
    return pd.DataFrame(rows, columns=["table", "row", "input", "over", "value", "low", "high", "verdict"])
