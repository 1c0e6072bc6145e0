"""From activations to attention maps, and how well a map finds the actor.

Maps and masks are (B, T, H, W); maps are non-negative, masks true on the actor. Scores come one a clip, as the mean
over the frames whose mask is not empty (NaN where none is), so that intervals can be taken over clips or videos.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tinylib.models.common import VideoClassifier


def to_size(maps: Tensor, size: tuple[int, int, int]) -> Tensor:
    """Maps (B, T, H, W) brought to `size` = (T, H, W), trilinear."""
    return F.interpolate(maps[:, None], size=size, mode="trilinear", align_corners=False)[:, 0]


def match(teacher: Tensor, student: Tensor) -> Tensor:
    """The teacher's maps averaged over areas to the size of the student's (STAT, native-size reading of Eq. 2)."""
    frames, height, width = student.shape[1:]
    return F.adaptive_avg_pool3d(teacher[:, None], (frames, height, width))[:, 0]


def stretch(maps: Tensor) -> Tensor:
    """Each clip's maps stretched to [0, 1], for showing; a constant map becomes 0."""
    low, high = maps.amin((1, 2, 3), keepdim=True), maps.amax((1, 2, 3), keepdim=True)
    return (maps - low) / (high - low).clamp(min=1e-12)


def gradient_map(
    network: VideoClassifier, video: Tensor, layer: str, targets: Tensor, *, local: bool = False
) -> Tensor:
    """Grad-CAM (Selvaraju et al. 2017) of `layer`: channels weighed by the mean gradient of the target's logit.

    video: (B, 3, T, H, W) in [0, 1]; targets: (B,) class numbers  ->  (B, T', H', W'), non-negative. local: each place
    by its own gradient (HiResCAM, Draelos and Carin 2020): the same at the last layer, and true to the network before
    it, where a mean gradient may leave nothing.
    """
    with torch.enable_grad():
        maps = network.features(video.detach().requires_grad_())
        logits = network.get_submodule(network.head_name)(maps["pooled"])
        (gradient,) = torch.autograd.grad(logits.gather(1, targets[:, None]).sum(), maps[layer])
    weights = gradient if local else gradient.mean((2, 3, 4), keepdim=True)
    return F.relu((weights * maps[layer].detach()).sum(1))


def centre_baseline(size: tuple[int, int, int], *, spread: float = 0.25) -> Tensor:
    """A Gaussian at the middle of the frame, `spread` of its side wide: (1, T, H, W). Clips are cut around actors."""
    frames, height, width = size
    y = (torch.arange(height) + 0.5) / height - 0.5
    x = (torch.arange(width) + 0.5) / width - 0.5
    bump = torch.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / (2 * spread**2))
    return bump.expand(1, frames, height, width)


def motion_baseline(video: Tensor, *, blur: int = 5) -> Tensor:
    """What moves: smoothed absolute difference to the frames before and after, (B, 3, T, H, W) -> (B, T, H, W)."""
    difference = (video[:, :, 1:] - video[:, :, :-1]).abs().mean(1)
    both = torch.cat([difference[:, :1], difference, difference[:, -1:]], dim=1)
    return F.avg_pool2d((both[:, 1:] + both[:, :-1]) / 2, blur, stride=1, padding=blur // 2)
