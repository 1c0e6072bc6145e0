"""A small network for a user's first video: taught on the training videos, calibrated on one that is kept back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tinylib.annotations.labels import mirror_permutation
from tinylib.datasets.index import Index
from tinylib.datasets.loading import BatchTransform, ClipDataset
from tinylib.datasets.statistics import sample
from tinylib.datasets.store import ClipStore
from tinylib.evaluation.model_card import ModelCard, Trained, calibrated
from tinylib.evaluation.scores import predict
from tinylib.training.loop import fit
from tinylib.training.objectives.classify import Classify
from tinylib.training.optimise import FitConfig


def train(settings: Any, index: Index, run: Path) -> Trained:
    """Taught on all but the last source video, calibrated on that one; settings: of notebook 13."""
    last = sorted({clip.video_id for clip in index.clips})[-1]
    lessons, held = index.select(lambda clip: clip.video_id != last), index.select(lambda clip: clip.video_id == last)
    if settings.train:
        lessons = sample(lessons, min(settings.train, len(lessons)), seed=settings.seed)
    card = ModelCard(
        model=settings.network.model,
        options=dict(settings.network.options),
        classes=index.classes,
        multi_label=index.multi_label,
        frames=settings.frames,
        size=settings.size,
        sampler="strided",
        resize="bicubic",
        on="logits",
    )
    stores = [
        ClipStore.build(clips, settings.runs / f"{part}.store", size=card.size, resize=card.resize)
        for part, clips in (("learn", lessons), ("held", held))
    ]
    torch.manual_seed(settings.seed)
    network = card.build()
    fit(
        Classify(network, loss="bce" if index.multi_label else "cross_entropy"),
        _clips(card, lessons, stores[0], seed=settings.seed),
        FitConfig(
            epochs=settings.epochs, batch_size=min(settings.batch, len(lessons)), lr=settings.lr, seed=settings.seed
        ),
        run,
        transform=BatchTransform(flip=0.5, mirror=mirror_permutation(index.classes)),
        description=card.description(),
    )
    exam = _clips(card, held, stores[1], test=True)
    return calibrated(run, predict(network, exam, aggregate=card.aggregate, on=card.on, label="calibrating"))


def _clips(card: ModelCard, index: Index, store: ClipStore, *, seed: int = 0, test: bool = False) -> ClipDataset:
    return ClipDataset(
        index,
        store=store,
        sampler=card.sampler,
        frames=card.frames,
        size=card.size,
        resize=card.resize,
        seed=seed,
        views="test" if test else "train",
    )
