"""Super-resolution at work: which clips can teach it, its first phase, how well it restores (`prerender`: splits)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from tinylib.datasets.degrade import bicubic_batch
from tinylib.datasets.index import Clip, Index
from tinylib.datasets.loading import ClipDataset, batches
from tinylib.errors import DataError
from tinylib.evaluation import metrics
from tinylib.methods.prerender import Restorer, ToSize, fingerprint, pixels, restore, super_resolved
from tinylib.models.dvsr import DVSR, ProgressiveDVSR, resize
from tinylib.progress import Progress, track
from tinylib.training.objectives.super_resolve import SuperResolve, low_resolution, stage_schedule, stage_target
from tinylib.training.optimise import FitConfig
from tinylib.video import probe

__all__ = [
    "Network", "Restorer", "StageQuality", "ToSize", "bicubic", "by_stage", "fading", "fingerprint", "gains", "growth",
    "large", "phase_one", "pixels", "quality", "restore", "super_resolved", "trilinear",
]  # fmt: skip

Network = DVSR | ProgressiveDVSR


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
    transform: Callable[[dict[str, Any]], dict[str, Any]],
    batch_size: int = 4,
    device: torch.device | str = "cpu",
) -> pd.DataFrame:
    """PSNR (dB, peak 1) and SSIM, means over frames, of every restorer on every clip.

    A row each: method, clip_id, video_id, psnr, ssim. The clips' high resolution is the truth; what the restorers see
    is its bicubic reduction by `scale`.
    """
    rows: list[dict[str, Any]] = []
    total = -(-len(dataset) // batch_size)
    for batch in track(batches(dataset, batch_size), "restoring", total=total):
        batch = transform(batch)
        high = batch["video"].to(device)
        low = low_resolution(high, scale)
        for method, restorer in restorers.items():
            image = restore(restorer, low)
            measures = metrics.psnr(image, high), metrics.ssim(image, high)  # of every frame
            found = torch.stack([values.mean(1) for values in measures], dim=1).tolist()
            for place, (psnr, ssim) in zip(batch["index"].tolist(), found, strict=True):
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
        row: dict[str, Any] = {"method": method, "clips": len(wide)}
        for measure in ("psnr", "ssim"):
            values = wide[measure, method].to_numpy()
            gain = values - wide[measure, over].to_numpy()
            low, high = metrics.bootstrap(partial(metrics.weighted_mean, gain), videos, n=n, seed=seed)
            row |= {measure: values.mean(), f"{measure} gain": gain.mean()}
            row |= {f"{measure} low": low, f"{measure} high": high}
        rows.append(row)
    return pd.DataFrame(rows).set_index("method")


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
    found: list[int] = []
    for place in order.tolist():
        if len(found) == limit:
            break
        if enough(index.clips[place]):
            found.append(place)
    if not found:
        raise DataError(f"{index.name} {index.split}: no clip has {side} pixels of itself")
    return index.select(sorted(found))


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
    seed: int = 0,
) -> tuple[SuperResolve, FitConfig]:
    """Objective and settings of training on reconstruction alone (TinyVIRAT, sections IV-A4 and V-B).

    batches: of the last stages, first to last (released: 128, 64, 24); what does not grow has the last throughout.
    fade: iterations until a new stage is fully in (200 is the paper's step of 5e-3). from_interpolation: the network
    begins as the upsampled input it adds to, its last convolutions zero (ours, for short runs; released: random).
    """
    if from_interpolation:
        last = r"rgb_proj\.\d+\.seq\.l1\." if isinstance(network, ProgressiveDVSR) else r"conv2\."
        for name, parameter in network.named_parameters():
            if re.match(last, name):
                nn.init.zeros_(parameter)
    stages = stage_schedule(network, fade_step=1 / fade)
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
    transform: Callable[[dict[str, Any]], dict[str, Any]]
    device: torch.device | str = "cpu"
    batch_size: int = 4

    def __call__(self, network: Any) -> dict[str, float]:
        values: dict[str, list[float]] = {"psnr": [], "ssim": [], "bicubic psnr": [], "bicubic ssim": []}
        for batch in batches(self.dataset, self.batch_size):
            high = self.transform(batch)["video"].to(self.device)
            low, target = low_resolution(high, network.scale), stage_target(high, network)
            plain = bicubic_batch(low[:, :, :: low.shape[2] // target.shape[2]], (target.shape[-2], target.shape[-1]))
            for name, image in (("", restore(network, low)), ("bicubic ", plain)):
                values[f"{name}psnr"] += metrics.psnr(image, target).mean(1).tolist()
                values[f"{name}ssim"] += metrics.ssim(image, target).mean(1).tolist()
        videos = [clip.video_id for clip in self.dataset.index.clips]
        grown = isinstance(network, ProgressiveDVSR)
        found: dict[str, float] = {"stage": network.stage if grown else 1, "alpha": network.alpha if grown else 1.0}
        for name in ("psnr", "ssim"):
            gain = np.subtract(values[name], values[f"bicubic {name}"])
            low_end, high_end = metrics.bootstrap(partial(metrics.weighted_mean, gain), videos)
            found |= {
                f"held {name}": float(np.mean(values[name])),
                f"bicubic {name}": float(np.mean(values[f"bicubic {name}"])),
            }
            found |= {f"{name} gain": float(gain.mean()), f"{name} low": low_end, f"{name} high": high_end}
        return found


def by_stage(history: Sequence[Mapping[str, float]]) -> pd.DataFrame:
    """The last validation of each stage out of a run's history: a row a stage."""
    rows = {row["stage"]: row for row in history if "held psnr" in row}
    names = ["stage", "epoch", "held psnr", "bicubic psnr", "psnr gain", "psnr low", "psnr high"]
    names += ["held ssim", "bicubic ssim", "ssim gain", "ssim low", "ssim high"]
    return pd.DataFrame([{name: row[name] for name in names} for row in rows.values()], columns=names)
