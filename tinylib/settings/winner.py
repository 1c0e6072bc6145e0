"""What notebooks 08 to 10 run with: the challenge's 2022 winner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from tinylib.datasets.index import Index
from tinylib.datasets.store import ClipStore
from tinylib.errors import UsageError
from tinylib.methods.super_resolution import Restoration
from tinylib.models.common import VideoClassifier
from tinylib.models.official import start_from
from tinylib.models.probe import Probe
from tinylib.settings.parameters import home, scaled
from tinylib.settings.study import Recognising
from tinylib.training.optimise import FitConfig


class Network(NamedTuple):
    """One of the winner's two networks, or what stands in for it."""

    row: str  # its name in the paper's tables
    model: str  # a name in `models.CLASSIFIERS`
    lr: float
    options: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Winner(Recognising):
    """What the three share, so that their networks can meet in one ensemble.

    SynthVIRAT is taken as a balanced study (`pairs`) whose training split is then given a long tail of known slope. Any
    TinyVIRAT layout, a built SynthVIRAT-v2 too, goes in as data="tinyvirat-v2".
    """

    data: str = "synthvirat-v2"
    portion: int | None = scaled(None, 120, None)  # training clips a class of the study, before the long tail
    ratio: float = scaled(2.0, 6.0, 50.0)  # training clips of the most frequent class over those of the rarest
    tail: int = scaled(6, 60, 500)  # classes with fewer training clips get mirrored copies
    kept: int | None = scaled(8, 8, 48)  # frames of each clip, evenly spaced
    low: int = scaled(16, 14, 28)  # pixels of the study's recordings; real clips come as they are
    size: int = scaled(32, 32, 224)  # pixels that the networks see
    frames: int = scaled(4, 4, 16)  # that they see
    networks: tuple[Network, ...] = scaled(
        (
            Network("ir-CSN", "ircsn_tiny", 2e-3, (("width", 8),)),
            Network("UniFormer", "uniformer_tiny", 2e-3, (("dims", (16, 32, 32, 32)), ("head_dim", 16))),
        ),
        (
            Network("ir-CSN", "ircsn_tiny", 1e-3, (("dropout", 0.2),)),
            Network("UniFormer", "uniformer_tiny", 5e-4, (("drop_path", 0.1),)),
        ),
        (
            Network("ir-CSN", "ircsn152", 1e-4, (("dropout", 0.5),)),
            Network("UniFormer", "uniformer_b", 2e-4, (("drop_path", 0.4),)),
        ),
    )
    csn_weights: str = ""  # Kinetics weights as `tinylib convert` wrote them; "" starts from nothing
    uniformer_weights: str = ""
    epochs: int = scaled(4, 4, 120)
    batch: int = scaled(8, 16, 32)
    warmup: float = scaled(0.5, 0.5, 10.0)  # epochs
    ema: float = scaled(0.9, 0.95, 0.999)  # the paper has none
    seeds: int = scaled(1, 2, 3)
    workers: int = scaled(0, 0, 8)

    def __post_init__(self) -> None:
        super().__post_init__()
        networks = []
        for network in self.networks:
            model, options = self.chosen(network.model, network.options)
            networks.append(network._replace(model=model, options=options))
        object.__setattr__(self, "networks", tuple(networks))
        if self.network and (self.csn_weights or self.uniformer_weights):
            raise UsageError("network: csn_weights and uniformer_weights are of the networks that it replaces")

    @property
    def studied(self) -> bool:
        return self.dataset_source.studies

    def clips(self) -> dict[str, Index]:
        """ "train", "val" and, where there is one, "test", whose labels may be withheld."""
        from tinylib.datasets.balance import long_tail
        from tinylib.methods import pairs

        if not self.multi_label:
            raise UsageError(f"data {self.data!r}: the challenge's clips carry several labels")
        if self.studied:
            splits = pairs.splits(self)
            return splits | {"train": long_tail(splits["train"], ratio=self.ratio, seed=self.seed)}
        splits = self.splits()
        return splits if "val" in splits else {"train": splits["train"], "val": splits["test"]}

    def judged(self, splits: dict[str, Index]) -> str:
        """The split that is measured: the test split, unless its labels are the challenge's secret."""
        test = splits.get("test")
        return "val" if test is None or any(clip.labels is None for clip in test.clips) else "test"

    @property
    def high(self) -> int:
        """Of clean video: pixels."""
        return self.size

    def recorded(self, index: Index) -> ClipStore:
        """The clips as the camera recorded them; a study's lie beside it, for all notebooks."""
        from tinylib.methods import pairs

        if not self.studied:
            return ClipStore.build(index, self.runs / f"{index.split}.store")
        return pairs.low(self, index, self.low)

    def clean(self, index: Index) -> ClipStore:
        """The same clips as a lens without faults and a sensor without noise would see them (a study's only)."""
        from tinylib.methods import pairs

        if not self.studied:
            raise UsageError(f"data {self.data!r} has no resolution but its own")
        return pairs.high(self, index, self.size)

    def build(self, network: Network, classes: Sequence[str], seed: int) -> VideoClassifier:
        """The network with a fresh head, from its Kinetics weights where they are given, else from `pretrained`'s."""
        weights = self.csn_weights if network is self.networks[0] else self.uniformer_weights
        if weights:
            torch.manual_seed(seed)
            options = {name: value for name, value in network.options if name != "probe"}
            model = start_from(self.file(weights), len(classes), options)
            return Probe(model, kind=self.probe, num_classes=len(classes)) if self.probe else model  # type: ignore[arg-type]
        return self.classifier(network.model, classes, seed=seed, options=dict(network.options))

    def file(self, name: str) -> Path:
        """A file of weights, from the project's folder where it is relative."""
        return home() / name

    def fitting(self, network: Network, items: int, seed: int) -> FitConfig:
        """AdamW, warm-up and cosine restarts, as the paper; decay, cycles and averaging, which it leaves open, ours."""
        return FitConfig(
            epochs=self.epochs,
            batch_size=min(self.batch, items),
            lr=network.lr,
            optimiser="adamw",
            weight_decay=1e-2,
            schedule="restarts",
            cycle=0.25,
            warmup=self.warmup,
            ema=self.ema,
            keep_cycles=True,
            seed=seed,
            workers=self.workers,
        )


@dataclass(frozen=True, kw_only=True)
class SamplingAndBalance(Winner):
    """08: winner Table 1."""

    run_dir: str = "runs/08_sampling_and_balance"
    draws: int = scaled(2, 3, 5)  # random test samplings, as published


@dataclass(frozen=True, kw_only=True)
class DualResolution(Winner):
    """09: winner Table 2 and Fig. 1."""

    run_dir: str = "runs/09_dual_resolution_distillation"
    weights: str = ""  # RealBasicVSR as `tinylib convert` wrote it; "" trains progressive DVSR
    scale: int = scaled(2, 2, 4)  # of progressive DVSR
    large: int | None = scaled(8, 160, None)  # clips that teach it
    restoration: Restoration = scaled(  # noqa: RUF009
        Restoration(4, 1, True, 4, 10, (4,), 3e-3, "cosine", 3),
        Restoration(8, 2, True, 8, 2, (8,), 1e-3, "cosine", 8),
        Restoration(32, 4, False, 16, 500, (64, 20), 2e-4, "constant", 200),
    )
    alpha: float = 0.5  # share of the labels' loss; the paper does not say
    alphas: tuple[float, ...] = scaled((0.9,), (0.3,), (0.3, 0.7, 0.9))  # besides
    rendering: int = scaled(0, 2, 8)  # processes that render super-resolved video
    scheduler: str | None = None  # a dask scheduler's address, for rendering on a cluster
    shown: int = scaled(1, 2, 6)


@dataclass(frozen=True, kw_only=True)
class Ensemble(DualResolution):
    """10: winner Table 3 and the challenge's submission. What 08 and 09 have trained on these clips is taken over."""

    run_dir: str = "runs/10_ensemble_and_submission"
    sampling_run: str | None = None  # None: beside this one
    distillation_run: str | None = None
