"""Starting weights: those that the package ships (`synthvirat`), torchvision's (`kinetics400`, `imagenet`), a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from tinylib.errors import DataError, UsageError
from tinylib.files import Json
from tinylib.models import checkpoint, published
from tinylib.models.common import VideoClassifier
from tinylib.models.dvsr import DVSR, ProgressiveDVSR
from tinylib.models.foreground import ForegroundAttention
from tinylib.models.probe import Probe
from tinylib.models.segments import SegmentNetwork

SYNTHVIRAT = "synthvirat"
SOURCES = (
    SYNTHVIRAT,
    published.KINETICS400,
    published.IMAGENET,
)  # names that stand for weights; anything else is a file
FOLDER = Path(__file__).resolve().parent.parent / "weights"
OWN_VIDEO = FOLDER / "tiny_r3d_own_video.safetensors"  # what `tinylib predict` asks where no model is given
Network = TypeVar("Network", bound=nn.Module)

# What is not a classifier of `models.create`, by the name that a weights file gives it.
OTHERS: dict[str, type[nn.Module]] = {
    "segments": SegmentNetwork,
    "dvsr": DVSR,
    "progressive_dvsr": ProgressiveDVSR,
    "foreground": ForegroundAttention,
}
TRAITS = ("scale", "global_skip", "mode", "seamless")  # of a network's structure that no module of it tells


def start(network: Network, source: str | Path | None, *, classes: Sequence[str] = ()) -> Network:
    """Give a freshly built network its starting weights, in place, and return it.

    source: "synthvirat", the shipped weights of a network of this structure; "kinetics400" or "imagenet", torchvision's
    for this network, through torch.hub's cache; a .safetensors file that `fit`, `tinylib pretrain` or `tinylib convert`
    wrote; None, "" or "none" leaves it as it is. Dropout, drop path and the number of classes are free. The head is
    kept where it has as many classes; with `classes`, the names of the network's outputs, each class gets the row of
    its name, and those without one keep their fresh row; else the head stays fresh. A segment network takes an image or
    video network's weights for its backbone, a probe for its frozen body.
    UsageError: no such weights, or none for this structure. DataError: a damaged or absent file, or tensors that do not
    fit.
    """
    source = "" if source is None else str(source)
    if source in ("", "none"):
        return network
    if isinstance(network, Probe):
        start(network.body, source)
        return network
    state, description, where = _weights(network, source)
    fresh, head = network.state_dict(), head_of(network)
    values = {name: tensor.to(fresh[name].dtype) if name in fresh else tensor for name, tensor in state.items()}
    if head:
        for name in (name for name in fresh if name.startswith(f"{head}.") and name in values):
            values[name] = _rows(values[name], fresh[name], description.get("classes", ()), classes)
    checkpoint.restore(network, values, source=where)
    return network


def _weights(network: nn.Module, source: str) -> tuple[dict[str, Tensor], Json, str | Path]:
    """Tensors under the network's keys, what their file says of itself, and what to call it in a message."""
    if source in (published.KINETICS400, published.IMAGENET):
        return published.load(network, source), {}, source
    path = _shipped_for(network) if source == SYNTHVIRAT else _file(source)
    state, description = checkpoint.load(path)
    if "official" in description and isinstance(network, SegmentNetwork):
        rest = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("backbone.")}
        state = rest | {f"backbone.{name}": tensor for name, tensor in state.items() if not name.startswith("fc.")}
    elif source != SYNTHVIRAT:
        _check_structure(network, description, path)
    return state, description, path


def chosen(network: nn.Module, sources: str) -> str:
    """One network's part of "NAME=SOURCE,NAME=SOURCE" ("none" where it is not named), or `sources` where it is plain.

    NAME: of `models.CLASSIFIERS`, of a segment network's backbone, or of OTHERS. UsageError: a part without "=".
    """
    if "=" not in sources:
        return sources
    parts = [part.partition("=") for part in sources.split(",")]
    if wrong := [name for name, sign, source in parts if not (name and sign and source)]:
        raise UsageError(f"pretrained: expected NAME=SOURCE, separated by commas, found {wrong[0]!r}")
    return {name.strip(): source.strip() for name, _, source in parts}.get(name_of(network), "none")


def name_of(network: nn.Module) -> str:
    """What a network is called where weights are chosen by name; "" for one that has no name."""
    if isinstance(network, VideoClassifier | SegmentNetwork):
        return network.name
    return next((name for name, kind in OTHERS.items() if type(network) is kind), "")


def available(network: nn.Module, source: str) -> bool:
    """Whether a name of SOURCES stands for weights of this network; what is no name is a file, and is taken as one."""
    if isinstance(network, Probe):
        return available(network.body, source)
    if source in (published.KINETICS400, published.IMAGENET):
        return published.weights_of(network, source) is not None
    if source != SYNTHVIRAT:
        return True
    return _shipped_file(network) is not None


def head_of(network: nn.Module) -> str:
    """The name of the layer that tells classes apart; "" where there is none."""
    if isinstance(network, VideoClassifier):
        return network.head_name
    return "fc" if isinstance(network, SegmentNetwork) else ""


def build(description: Json) -> nn.Module:
    """The network that a weights file describes, with fresh weights."""
    from tinylib import models

    name, options = description["model"], dict(description.get("options", {}))
    if description.get("classes"):
        options["num_classes"] = len(description["classes"])
    with torch.random.fork_rng(devices=[]):
        return OTHERS[name](**options) if name in OTHERS else models.create(name, **options)


@cache
def shipped() -> dict[Path, Json]:
    """The package's weights files, and what each says of its network."""
    return {path: _description(path) for path in sorted(FOLDER.glob("*.safetensors"))}


def spelled(description: Json) -> str:
    """A network in a line: its name and the options that differ from its defaults."""
    options = ", ".join(f"{name}={_plain(value)}" for name, value in description.get("options", {}).items())
    return f"{description['model']}({options})"


def _plain(value: object) -> str:
    return repr(tuple(value) if isinstance(value, list) else value)


def _file(source: str | Path) -> Path:
    path = Path(source).expanduser()
    if path.suffix != ".safetensors":
        raise UsageError(f"pretrained: expected {', '.join(SOURCES)}, none or a .safetensors file, got {str(source)!r}")
    if not path.is_file():
        raise UsageError(f"pretrained: {path}: no such file")
    return path


def _shipped_file(network: nn.Module) -> Path | None:
    """The shipped weights of a network of this kind (or of one made of it) and structure."""
    wanted = structure(network)
    for path, description in shipped().items():
        kind = OTHERS.get(description["model"], VideoClassifier)
        if isinstance(network, kind) and structure(build(description)) == wanted:
            return path
    return None


def _shipped_for(network: nn.Module) -> Path:
    if path := _shipped_file(network):
        return path
    there = ", ".join(spelled(description) for description in shipped().values())
    raise UsageError(
        f"pretrained: {SYNTHVIRAT} has no weights for {type(network).__name__} with these options; "
        f"there are {there or 'none'}"
    )


def structure(network: nn.Module) -> tuple[tuple[str, ...], ...]:
    """What must agree for weights to mean the same: layers with strides and widths, input scaling, traits.

    Dropout, drop path and how many classes the head tells apart do not count.
    """
    head = head_of(network)
    rows: list[tuple[str, ...]] = [
        (name, type(module).__name__, "" if name == head else module.extra_repr())
        for name, module in network.named_modules()
        if not list(module.children()) and "Drop" not in type(module).__name__ and type(module) is not nn.Identity
    ]
    rows += [(trait, str(getattr(network, trait))) for trait in TRAITS if hasattr(network, trait)]
    scaling = [(name, buffer) for name, buffer in network.named_buffers() if name.split(".")[-1] in ("mean", "std")]
    rows += [(name, *(f"{value:.4f}" for value in buffer.flatten().tolist())) for name, buffer in scaling]
    return tuple(rows)


def _check_structure(network: nn.Module, description: Json, path: Path) -> None:
    """UsageError where the file says what it is of, and that is not this network; shapes alone do not tell strides."""
    try:
        other = structure(build(description))
    except (KeyError, TypeError, UsageError):  # a file that describes no network of ours
        return
    layers = structure(network)
    wrong = next(((a, b) for a, b in zip(layers, other, strict=False) if a != b), None)
    if wrong is None and len(layers) == len(other):
        return
    where = f": {' '.join(wrong[0])} against {' '.join(wrong[1])}" if wrong else ""
    raise UsageError(f"pretrained: {path} holds {spelled(description)}, which this network is not{where}")


def _rows(theirs: Tensor, fresh: Tensor, names: Sequence[str], classes: Sequence[str]) -> Tensor:
    """The head's rows for `classes`; as they are, or fresh, where no names say which."""
    if classes and len(classes) != len(fresh):
        raise UsageError(f"pretrained: {len(classes)} class names for a network of {len(fresh)} classes")
    if not classes or not names:
        return theirs if theirs.shape == fresh.shape else fresh
    rows, place = fresh.clone(), {name: i for i, name in enumerate(names)}
    for i, name in enumerate(classes):
        if name in place and theirs.shape[1:] == fresh.shape[1:]:
            rows[i] = theirs[place[name]]
    return rows


def _description(path: Path) -> Json:
    """From the head of the file alone, which is quick."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            return dict(json.loads(json.loads(file.read(length))["__metadata__"]["description"]))
        except (ValueError, KeyError) as error:
            raise DataError(f"{path}: not a weights file of this package") from error
