"""From high resolution to low, as the papers do it: bicubic, or a camera's blur, pixel area and sensor noise.

Each operation comes twice with the same meaning: on (T, H, W, 3) uint8 as read (functions without suffix), and on
(B, C, T, H, W) float in [0, 1] on any device (`_batch`). Sizes are (height, width), or one number for a square.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from tinylib.errors import UsageError

Video = NDArray[np.uint8]
Size = int | tuple[int, int]


def pair(size: Size) -> tuple[int, int]:
    """(height, width) of a size given as either."""
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def centre_crop(video: Video, *, ratio: tuple[int, int] = (3, 4)) -> Video:
    """The largest centred window whose height to width is `ratio` (D14: 3:4), a view of (T, H, W, 3)."""
    height, width = video.shape[1:3]
    rows, columns = ratio
    unit = min(height // rows, width // columns)
    if not unit:
        raise UsageError(f"a {height}x{width} picture holds no window of ratio {rows}:{columns}")
    top, left = (height - rows * unit) // 2, (width - columns * unit) // 2
    return video[:, top : top + rows * unit, left : left + columns * unit]


def bicubic(video: Video, size: Size) -> Video:
    """Resize every frame with PIL's bicubic filter, which widens with the factor when shrinking (D11, D13)."""
    return _pil(video, size, "BICUBIC")


def bilinear(video: Video, size: Size) -> Video:
    """Resize every frame with PIL's (antialiased) bilinear filter."""
    return _pil(video, size, "BILINEAR")


def area(video: Video, size: Size) -> Video:
    """Shrink by averaging the area each new pixel covers, fractions of old pixels included; exact, rounded once."""
    return _to_uint8(_area(video.astype(np.float64), pair(size)))


def bicubic_pair(video: Video, size: Size, low: Size) -> tuple[Video, Video]:
    """(high, low resolution) training pair of a super-resolver (D11): bicubic to `size`, and from there to `low`."""
    high = bicubic(video, size)
    return high, bicubic(high, low)


def surveillance(
    video: Video,
    size: Size,
    *,
    rng: np.random.Generator,
    blur: float = 0.5,
    noise: float = 2 / 255,
    ratio: tuple[int, int] | None = (3, 4),
) -> Video:
    """A far camera (D14; STAT's 12 x 16): centre crop, lens blur, area average, Gaussian noise.

    blur: sigma in low-resolution pixels, applied before shrinking as blur * scale; noise: sigma in [0, 1] units.
    The paper gives neither strength nor the order; these are ours.
    """
    video = video if ratio is None else centre_crop(video, ratio=ratio)
    height, width = pair(size)
    image = video.astype(np.float64)
    image = _blur(image, blur * video.shape[1] / height, axis=1)
    image = _blur(image, blur * video.shape[2] / width, axis=2)
    image = _area(image, (height, width))
    return _to_uint8(image + 255 * noise * rng.standard_normal(image.shape))


def bicubic_batch(video: Tensor, size: Size) -> Tensor:
    """`bicubic` on the device: same filter (a = -0.5, antialiased).

    Within 1.5/255 of PIL, which rounds twice and, unlike this, clips to [0, 1] between the axes.
    """
    return _frames(video, lambda x: F.interpolate(x, pair(size), mode="bicubic", antialias=True).clamp(0, 1))


def bilinear_batch(video: Tensor, size: Size) -> Tensor:
    """Plain bilinear resize, without antialiasing: the TinyAction loader's (C4)."""
    return _frames(video, lambda x: F.interpolate(x, pair(size), mode="bilinear", align_corners=False))


def area_batch(video: Tensor, size: Size) -> Tensor:
    """`area` on the device, for any sizes, as two small matrix products."""
    height, width = pair(size)
    rows = torch.from_numpy(_area_weights(video.shape[-2], height)).to(video)
    columns = torch.from_numpy(_area_weights(video.shape[-1], width)).to(video)
    return rows @ video @ columns.T


def surveillance_batch(
    video: Tensor, size: Size, *, seeds: Sequence[int] | Tensor, blur: float = 0.5, noise: float = 2 / 255
) -> Tensor:
    """`surveillance` on the device, without the crop: noise drawn a sample from `seeds` (B,), so batches do not matter.

    The noise is drawn on the CPU: the same on every device, though not the numbers of the uint8 variant.
    """
    height, width = pair(size)
    for axis, sigma in ((-2, blur * video.shape[-2] / height), (-1, blur * video.shape[-1] / width)):
        kernel = torch.from_numpy(_gaussian(sigma)).to(video)
        video = _convolve(video, kernel, axis)
    video = area_batch(video, (height, width))
    draws = [np.random.default_rng(int(seed)).standard_normal(tuple(video.shape[1:]), np.float32) for seed in seeds]
    return (video + noise * torch.from_numpy(np.stack(draws)).to(video)).clamp(0, 1)


def _pil(video: Video, size: Size, name: str) -> Video:
    from PIL import Image

    height, width = pair(size)
    out = np.empty((len(video), height, width, 3), np.uint8)
    for i, frame in enumerate(video):
        out[i] = np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling[name]))
    return out


def _to_uint8(image: NDArray[np.float64]) -> Video:
    return np.floor(image.clip(0, 255) + 0.5).astype(np.uint8)


def _area_weights(old: int, new: int) -> NDArray[np.float64]:
    """(new, old) matrix: how much of each old pixel lies in each new one; rows sum to 1."""
    if new > old:
        raise UsageError(f"area averaging shrinks: {old} pixels cannot become {new}")
    edges = np.arange(new + 1) * (old / new)
    overlap = np.minimum(edges[1:, None], np.arange(1, old + 1)) - np.maximum(edges[:-1, None], np.arange(old))
    return overlap.clip(min=0) * (new / old)


def _area(image: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    rows, columns = _area_weights(image.shape[1], size[0]), _area_weights(image.shape[2], size[1])
    return np.einsum("ih,thwc,jw->tijc", rows, image, columns, optimize=True)


def _gaussian(sigma: float) -> NDArray[np.float64]:
    """Normalised Gaussian, cut at 4 sigma; a single 1 for sigma 0."""
    radius = int(np.ceil(4 * sigma))
    x = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (x / sigma) ** 2) if sigma > 0 else np.ones(1)
    return kernel / kernel.sum()


def _blur(image: NDArray[np.float64], sigma: float, *, axis: int) -> NDArray[np.float64]:
    from scipy.ndimage import correlate1d

    return correlate1d(image, _gaussian(sigma), axis=axis, mode="nearest")


def _convolve(video: Tensor, kernel: Tensor, axis: int) -> Tensor:
    """Correlate along one axis of (B, C, T, H, W), edges repeated."""
    radius = len(kernel) // 2
    moved = video.movedim(axis, -1)
    flat = moved.reshape(-1, 1, moved.shape[-1])
    flat = F.conv1d(F.pad(flat, (radius, radius), mode="replicate"), kernel.view(1, 1, -1))
    return flat.view(moved.shape).movedim(-1, axis)


def _frames(video: Tensor, resize: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a resize of (N, C, H, W) to every frame of (B, C, T, H, W)."""
    batch, _, frames = video.shape[:3]
    out = resize(video.transpose(1, 2).flatten(0, 1))
    return out.unflatten(0, (batch, frames)).transpose(1, 2)
