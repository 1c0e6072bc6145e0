"""Weights that torchvision publishes, for its networks and for ours that are built alike, through torch.hub's cache."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlparse

import torch
from torch import Tensor, nn

from tinylib.errors import DataError, UsageError
from tinylib.models.adapted import TORCHVISION, Adapted
from tinylib.models.common import VideoClassifier
from tinylib.models.segments import SegmentNetwork

KINETICS400, IMAGENET = "kinetics400", "imagenet"


class Weights(NamedTuple):
    """A file of torchvision's: the network it is of and its name there."""

    network: str
    name: str
    head: str = "fc"  # the last layer's key


TWINS: dict[str, dict[str, Weights]] = {  # of networks of ours that are torchvision's key by key, by name
    KINETICS400: {
        "r3d18_torchvision": Weights("r3d_18", "KINETICS400_V1"),
        "r2plus1d18": Weights("r2plus1d_18", "KINETICS400_V1"),
    },
    IMAGENET: {"resnet34": Weights("resnet34", "IMAGENET1K_V1")},
}


def weights_of(network: nn.Module, source: str) -> Weights | None:
    """What torchvision has of `source` ("kinetics400", "imagenet") for a network of this name; None: nothing."""
    if isinstance(network, Adapted):
        known = network.published if source == KINETICS400 else ""
        return Weights(known, "KINETICS400_V1", TORCHVISION[known].head) if known else None
    named = isinstance(network, VideoClassifier | SegmentNetwork)
    return TWINS[source].get(str(network.name)) if named else None


def load(network: nn.Module, source: str) -> dict[str, Tensor]:
    """torchvision's weights under this network's keys; a segment network gets them for its backbone alone.

    UsageError: there are none for it. DataError, in one line: the file is not there, and which goes where.
    """
    weights = weights_of(network, source)
    if weights is None:
        name = getattr(network, "name", "") or type(network).__name__
        there = ", ".join([*(TORCHVISION if source == KINETICS400 else ()), *TWINS[source]])
        raise UsageError(f"pretrained: torchvision has no {source} weights for {name}; it has them for {there}")
    state = _read(weights, source)
    if isinstance(network, Adapted):
        return to_ours(weights.network, state)
    if not isinstance(network, SegmentNetwork):
        return state
    body = {f"backbone.{key}": value for key, value in state.items() if not key.startswith(f"{weights.head}.")}
    return {key: value for key, value in network.state_dict().items() if not key.startswith("backbone.")} | body


def to_ours(name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """torchvision's state dict of the network `name` under the keys of its `Adapted`."""
    head = TORCHVISION[name].head
    ours = {f"body.{key}": value for key, value in state.items() if not key.startswith(f"{head}.")}
    return ours | {"fc.weight": state[f"{head}.weight"].flatten(1), "fc.bias": state[f"{head}.bias"]}


def _read(weights: Weights, source: str) -> dict[str, Tensor]:
    from torchvision.models import get_model_weights

    entry = get_model_weights(weights.network)[weights.name]
    file = Path(urlparse(entry.url).path).name
    place = Path(torch.hub.get_dir()) / "checkpoints"
    try:
        state: dict[str, Tensor] = entry.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(
            f"pretrained: no {source} weights of {weights.network} here: put {file} into {place} ({reason})"
        ) from None
    return state
