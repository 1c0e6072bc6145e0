"""How well super-resolution restores clips of which the truth is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tinylib import metrics
from tinylib.datasets.loading import ClipDataset, batches
from tinylib.degrade import bicubic_batch
from tinylib.models.dvsr import resize
from tinylib.objectives.super_resolve import low_resolution
from tinylib.progress import track

Restorer = Callable[[Tensor], Tensor]  # low-resolution video in [0, 1] -> super-resolved


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


@torch.no_grad()
def restore(restorer: Restorer, low: Tensor) -> Tensor:
    """Super-resolved video, in eval mode where the restorer has one, clamped to [0, 1]."""
    if isinstance(restorer, nn.Module):
        restorer.eval()
    return restorer(low).float().clamp(0, 1)


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
            low, high = metrics.bootstrap(partial(_weighted_mean, gain), videos, n=n, seed=seed)
            row |= {measure: values.mean(), f"{measure} gain": gain.mean()}
            row |= {f"{measure} low": low, f"{measure} high": high}
        rows.append(row)
    return pd.DataFrame(rows).set_index("method")


def _weighted_mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return weights @ values / weights.sum(1)
