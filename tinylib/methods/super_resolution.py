"""Super-resolution at work: which clips can teach it, its first phase, how well it restores (`prerender`: splits)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tinylib.datasets.degrade import bicubic_batch
from tinylib.datasets.index import Clip, Index
from tinylib.datasets.loading import Batch, BatchTransform, ClipDataset, batches
from tinylib.errors import DataError, UsageError
from tinylib.evaluation import metrics
from tinylib.evaluation.clips import Clips
from tinylib.files import Json
from tinylib.methods.prerender import Restorer, ToSize, fingerprint, pixels, restore, super_resolved
from tinylib.models.dvsr import DVSR, ProgressiveDVSR, resize
from tinylib.progress import Progress, track
from tinylib.training.loop import FitResult, fit
from tinylib.training.objectives.super_resolve import SuperResolve, pair_of, stage_schedule, stage_target
from tinylib.training.optimise import FitConfig
from tinylib.video import probe

__all__ = [
    "KINDS", "Generator", "Network", "Restoration", "Restorer", "StageQuality", "ToSize", "bicubic", "build",
    "by_stage", "clip_values", "compared", "fading", "fingerprint", "gains", "generator", "growth", "large",
    "phase_one", "pixels", "quality", "restore", "super_resolved", "trilinear",
]  # fmt: skip

Network = DVSR | ProgressiveDVSR
KINDS = ("DVSR", "progressive")  # of generators: trained end to end, and grown


class Restoration(NamedTuple):
    """How super-resolution networks are made and trained (phase 1)."""

    channels: int
    blocks: int  # RRDBs of DVSR; progressive DVSR has one a stage
    skip: bool  # DVSR too adds the upsampled input, and both start as that alone (released: no; else short runs copy)
    frames: int
    epochs: int  # multiple of 10: stages end with an epoch
    batches: tuple[int, ...]  # by stage, the last one last
    lr: float
    schedule: str
    fade: int  # iterations
    tuned: int = 0  # epochs of a network that starts from weights; 0: as many as one that starts from nothing


class Teaching(Protocol):
    """What a notebook's settings say of its generators."""

    seed: int
    scale: int
    restoration: Restoration

    def start(self, network: Network) -> Network: ...
    def source(self, network: Network) -> str: ...


@dataclass(frozen=True)
class Generator:
    """A generator that has been taught, and the run that taught it."""

    network: Network
    result: FitResult
    objective: SuperResolve
    source: str  # of its first weights: "none", a name or a file


def build(kind: str, recipe: Restoration, *, scale: int, seed: int = 0) -> Network:
    """A fresh generator of `KINDS`, the same for equal seeds."""
    if kind not in KINDS:
        raise UsageError(f"no generator {kind!r}; there are {', '.join(KINDS)}")
    torch.manual_seed(seed)
    if kind == "progressive":
        return ProgressiveDVSR(scale=scale, frames=recipe.frames, channels=recipe.channels)
    growth = max(4, recipe.channels // 2)
    return DVSR(scale=scale, channels=recipe.channels, growth=growth, blocks=recipe.blocks, global_skip=recipe.skip)


def generator(
    settings: Teaching,
    kind: str,
    clips: ClipDataset,
    run_dir: str | Path,
    *,
    scale: int | None = None,
    seed: int | None = None,
    crop: int | None = None,
    mirror: NDArray[np.int64] | None = None,
    from_nothing: bool = False,
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
) -> Generator:
    """A generator, built and taught by `settings.restoration` (TinyVIRAT, phase 1); killed and called again it goes on.

    kind: of `KINDS`. clips: reductions of them are its lessons, as in the paper; where they have a `high` store beside
    their own, that is the truth of the clips as they are. scale, seed: the settings' where None. crop:
    side of a random part of each clip (reductions only). It starts from the weights that the settings name, whole;
    where there are none, or with `from_nothing`, it begins from random ones and grows.
    """
    recipe, scale = settings.restoration, settings.scale if scale is None else scale
    seed = settings.seed if seed is None else seed
    network = build(kind, recipe, scale=scale, seed=seed)
    source = "none" if from_nothing else settings.source(network)
    if not from_nothing:
        settings.start(network)
    objective, config = phase_one(
        network,
        len(clips),
        epochs=recipe.epochs if source == "none" else recipe.tuned or recipe.epochs,
        batches=recipe.batches,
        lr=recipe.lr,
        fade=recipe.fade,
        schedule=recipe.schedule,
        from_interpolation=recipe.skip and source == "none",
        grow=source == "none",
        seed=seed,
    )
    about = {"generator": kind, "scale": scale, "start": source, "pairs": clips.high is not None}
    transform = BatchTransform(size=crop, flip=0.5, mirror=mirror)
    description = about | recipe._asdict() | {"batches": list(recipe.batches)}
    result = fit(
        objective, clips, config, Path(run_dir), transform=transform, validate=validate, description=description
    )
    return Generator(network.eval(), result, objective, source)


def bicubic(scale: int) -> Restorer:
    """The baseline every table starts from."""

    def enlarge(video: Tensor) -> Tensor:
        height, width = video.shape[-2:]
        return bicubic_batch(video, (scale * height, scale * width))

    return enlarge


def trilinear(scale: int) -> Restorer:
    """What a progressive network adds its details to."""

    def enlarge(video: Tensor) -> Tensor:
        frames, height, width = video.shape[-3:]
        return resize(video, (frames, scale * height, scale * width))

    return enlarge


def quality(
    restorers: Mapping[str, Restorer],
    dataset: ClipDataset,
    *,
    scale: int,
    transform: Callable[[Batch], Batch],
    batch_size: int = 4,
    device: torch.device | str = "cpu",
) -> pd.DataFrame:
    """PSNR (dB, peak 1) and SSIM, means over frames, of every restorer on every clip.

    A row each: method, clip_id, video_id, psnr, ssim. The clips' high resolution is the truth; what the restorers see
    is its bicubic reduction by `scale`, or, where the dataset has a `high` store, the clips as they are.
    """
    rows: list[Json] = []
    total = -(-len(dataset) // batch_size)
    for batch in track(batches(dataset, batch_size), "restoring", total=total):
        batch = transform(batch)
        low, high = (video.to(device) for video in pair_of(batch, scale))
        for method, restorer in restorers.items():
            image = restore(restorer, low)
            measures = metrics.psnr(image, high), metrics.ssim(image, high)  # of every frame
            by_clip = torch.stack([values.mean(1) for values in measures], dim=1).tolist()
            for place, (psnr, ssim) in zip(batch["index"].tolist(), by_clip, strict=True):
                clip = dataset.index.clips[place]
                row = {"method": method, "clip_id": clip.clip_id, "video_id": clip.video_id}
                rows.append(row | {"psnr": psnr, "ssim": ssim})
    return pd.DataFrame(rows)


def gains(table: pd.DataFrame, *, over: str = "bicubic", n: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Mean PSNR and SSIM by method, and the gain over a baseline on the same clips with a 95% interval by video."""
    wide = table.pivot(index="clip_id", columns="method", values=["psnr", "ssim"])
    videos = table.drop_duplicates("clip_id").set_index("clip_id").loc[wide.index, "video_id"]
    rows = []
    for method in dict.fromkeys(table["method"]):
        row: Json = {"method": method, "clips": len(wide)}
        for measure in ("psnr", "ssim"):
            values = wide[measure, method].to_numpy()
            gain = values - wide[measure, over].to_numpy()
            low, high = metrics.bootstrap(partial(metrics.weighted_mean, gain), videos, n=n, seed=seed)
            row |= {measure: values.mean(), f"{measure} gain": gain.mean()}
            row |= {f"{measure} low": low, f"{measure} high": high}
        rows.append(row)
    return pd.DataFrame(rows).set_index("method")


def clip_values(table: pd.DataFrame) -> dict[tuple[str, str], Clips]:
    """Of `quality`'s table: each clip's PSNR and SSIM, by ("psnr" or "ssim", method), as `results.Log` keeps them."""
    wide = table.pivot(index="clip_id", columns="method", values=["psnr", "ssim"])
    videos = table.drop_duplicates("clip_id").set_index("clip_id").loc[wide.index, "video_id"]
    return {
        (measure, method): Clips(wide[measure, method], videos)
        for method in dict.fromkeys(table["method"])
        for measure in ("psnr", "ssim")
    }


def compared(
    quality: Mapping[str, pd.DataFrame], claims: Sequence[tuple[str, str]], *, n: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Of claims (better, worse): the difference in PSNR on the same clips, a row an input, with intervals over videos.

    quality: `quality`'s tables, by what the restorers saw. Claims on methods that a table lacks are left out.
    """
    rows = []
    for source, table in quality.items():
        wide = table.pivot(index="clip_id", columns="method", values="psnr")
        videos = table.drop_duplicates("clip_id").set_index("clip_id").loc[wide.index, "video_id"]
        for better, worse in claims:
            if {better, worse} <= set(wide.columns):
                gain = (wide[better] - wide[worse]).to_numpy()
                low, high = metrics.bootstrap(partial(metrics.weighted_mean, gain), videos, n=n, seed=seed)
                held = "yes" if low > 0 else "no" if high < 0 else "open"
                rows.append((source, f"{better} > {worse}", gain.mean(), low, high, held, len(gain)))
    return pd.DataFrame(rows, columns=["input", "claim", "dB", "low", "high", "held", "clips"])


def large(index: Index, side: int, *, limit: int | None = None, seed: int = 0) -> Index:
    """The clips that have `side` pixels of themselves, both ways: what super-resolution can learn from.

    The paper's are above 112 x 112. At most `limit`, drawn by seed, in index order. DataError where there are none.
    """

    def enough(clip: Clip) -> bool:
        if clip.width and clip.height:
            return min(clip.width, clip.height) >= side
        info = probe(index.file(clip), exact=False)
        return min(info.width, info.height) >= side

    order = np.random.default_rng((seed, len(index))).permutation(len(index))
    places: list[int] = []
    for place in order.tolist():
        if len(places) == limit:
            break
        if enough(index.clips[place]):
            places.append(place)
    if not places:
        raise DataError(f"{index.name} {index.split}: no clip has {side} pixels of itself")
    return index.select(sorted(places))


def phase_one(
    network: Network,
    clips: int,
    *,
    epochs: int,
    batches: Sequence[int],
    lr: float,
    fade: int = 200,
    schedule: str = "constant",
    from_interpolation: bool = False,
    grow: bool = True,
    seed: int = 0,
) -> tuple[SuperResolve, FitConfig]:
    """Objective and settings of training on reconstruction alone (TinyVIRAT, sections IV-A4 and V-B).

    batches: of the last stages, first to last (released: 128, 64, 24); what does not grow has the last throughout.
    fade: iterations until a new stage is fully in (200 is the paper's step of 5e-3). from_interpolation: the network
    begins as the upsampled input it adds to, its last convolutions zero (ours, for short runs; released: random). grow:
    a progressive network goes through its stages; else it learns whole, as one that knows already should.
    """
    if from_interpolation:
        last = r"rgb_proj\.\d+\.seq\.l1\." if isinstance(network, ProgressiveDVSR) else r"conv2\."
        for name, parameter in network.named_parameters():
            if re.match(last, name):
                nn.init.zeros_(parameter)
    stages = stage_schedule(network, fade_step=1 / fade) if grow else None
    starts = (0.0,) if stages is None else stages.starts
    sizes = [min(batches[max(0, len(batches) - len(starts) + i)], clips) for i in range(len(starts))]
    config = FitConfig(
        epochs=epochs,
        batch_size=sizes[0],
        batch_sizes=tuple((round(start * epochs), size) for start, size in zip(starts, sizes, strict=True)),
        lr=lr,
        betas=(0.5, 0.9),
        schedule=schedule,  # type: ignore[arg-type]
        warmup=0.5 if schedule == "cosine" else 0.0,
        validate_every=max(1, epochs // 10),
        seed=seed,
    )
    return SuperResolve(network, schedule=stages), config


def growth(network: ProgressiveDVSR, clips: int, size: int, objective: SuperResolve, config: FitConfig) -> pd.DataFrame:
    """What each stage puts out and for how long it trains: a row a stage."""
    schedule = objective.schedule
    assert schedule is not None
    ends = [*schedule.starts[1:], 1.0]
    rows = []
    for number, (start, end) in enumerate(zip(schedule.starts, ends, strict=True), start=1):
        frames, factor = network.extent(number)
        side = size // network.scale * factor
        epochs = range(round(start * config.epochs), round(end * config.epochs))
        steps = sum(-(-clips // config.batch_size_at(epoch)) for epoch in epochs)
        new = [network.up_layers[number - 1], network.rgb_proj[number - 1]]
        new += [network.res_hall[(number - 1) // network.halves]] if (number - 1) % network.halves == 0 else []
        count = sum(parameter.numel() for module in new for parameter in module.parameters())
        rows.append(
            {"stage": number, "puts out": f"{frames} x {side} x {side}", "share": end - start, "iterations": steps}
            | {
                "batch": config.batch_size_at(epochs.start),
                "fades in over": 0 if number == 1 else round(1 / schedule.fade_step),
            }
            | {"new parameters": count}
        )
    return pd.DataFrame(rows)


def fading(objective: SuperResolve, clips: int, config: FitConfig) -> list[dict[str, float]]:
    """The schedule itself, asked at every iteration of the run: iteration, stage, alpha."""
    rows: list[dict[str, float]] = []
    for epoch in range(config.epochs):
        steps = -(-clips // config.batch_size_at(epoch))
        for step in range(steps):
            stage, alpha = (1, 1.0)
            if objective.schedule is not None:
                stage, alpha = objective.schedule.at(Progress(epoch, step, steps, config.epochs, len(rows)))
            rows.append({"iteration": len(rows), "stage": stage, "alpha": alpha})
    return rows


@dataclass(frozen=True)
class StageQuality:
    """For `fit`'s `validate`: how well the network's present stage does on held-out clips, intervals by source video.

    What a stage puts out is compared with `stage_target`, and so is bicubic enlargement to the same size. PSNR in dB.
    """

    dataset: ClipDataset
    transform: Callable[[Batch], Batch]
    device: torch.device | str = "cpu"
    batch_size: int = 4

    def __call__(self, network: Any) -> dict[str, float]:
        values: dict[str, list[float]] = {"psnr": [], "ssim": [], "bicubic psnr": [], "bicubic ssim": []}
        for batch in batches(self.dataset, self.batch_size):
            low, high = (video.to(self.device) for video in pair_of(self.transform(batch), network.scale))
            target = stage_target(high, network)
            plain = bicubic_batch(low[:, :, :: low.shape[2] // target.shape[2]], (target.shape[-2], target.shape[-1]))
            for name, image in (("", restore(network, low)), ("bicubic ", plain)):
                values[f"{name}psnr"] += metrics.psnr(image, target).mean(1).tolist()
                values[f"{name}ssim"] += metrics.ssim(image, target).mean(1).tolist()
        videos = [clip.video_id for clip in self.dataset.index.clips]
        grown = isinstance(network, ProgressiveDVSR)
        quality: dict[str, float] = {"stage": network.stage if grown else 1, "alpha": network.alpha if grown else 1.0}
        for name in ("psnr", "ssim"):
            gain = np.subtract(values[name], values[f"bicubic {name}"])
            low_end, high_end = metrics.bootstrap(partial(metrics.weighted_mean, gain), videos)
            quality |= {
                f"held {name}": float(np.mean(values[name])),
                f"bicubic {name}": float(np.mean(values[f"bicubic {name}"])),
            }
            quality |= {f"{name} gain": float(gain.mean()), f"{name} low": low_end, f"{name} high": high_end}
        return quality


def by_stage(history: Sequence[Mapping[str, float]]) -> pd.DataFrame:
    """The last validation of each stage out of a run's history: a row a stage."""
    rows = {row["stage"]: row for row in history if "held psnr" in row}
    names = ["stage", "epoch", "held psnr", "bicubic psnr", "psnr gain", "psnr low", "psnr high"]
    names += ["held ssim", "bicubic ssim", "ssim gain", "ssim low", "ssim high"]
    return pd.DataFrame([{name: row[name] for name in names} for row in rows.values()], columns=names)
