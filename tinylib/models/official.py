"""Official checkpoints in: read without running anything, names mapped, every tensor checked, saved as ours."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tinylib.errors import DataError, UsageError
from tinylib.models.common import VideoClassifier
from tinylib.models.official_keys import SOURCES, Source

NAMES: dict[str, str] = {name: source.origin for name, source in SOURCES.items()}

# a restorer saves its whole training set-up; the averaged generator is the one to use
GENERATORS = ("generator_ema.", "generator.")
# what a trainer puts before every name: torch.compile, DistributedDataParallel, Lightning and the like
PREFIXES = ("_orig_mod.", "module.", "model.", "net.")
RESTORER = (*GENERATORS, "discriminator.", "perceptual_loss.", "data_preprocessor.", "step_counter")

ClassRows = Sequence[int] | Literal["as filed"]


def load(name: str, source: str | Path | Mapping[str, object], *, class_rows: ClassRows | None = None) -> nn.Module:
    """The network of the official checkpoint `name` (one of NAMES) with the weights of a file or of its content.

    It comes in eval mode, with as many classes as the file has and with the norms' eps, mean and std it was trained
    with. Every tensor of the file is used, or the first one that does not fit is named in a DataError. `class_rows[i]`
    is the row of the file's classifier that holds class i; "as filed" keeps their order. It must be given where the
    file orders classes by a label list of its own (mmaction2's UniFormer).
    """
    entry = _entry(name)
    where, content = ("the given state dict", source) if isinstance(source, Mapping) else (str(source), read(source))
    tensors = unwrap(content, entry, where)
    return _fill(name, entry, tensors, where, class_rows)


def convert(name: str, source: str | Path, target: str | Path, *, class_rows: ClassRows | None = None) -> None:
    """Import the official file `source` as TARGET.safetensors with a JSON beside it; `open_converted` reads it."""
    from tinylib.files import sha256
    from tinylib.models import checkpoint

    model = load(name, source, class_rows=class_rows)
    entry = SOURCES[name]
    description = {
        "official": name,
        "origin": entry.origin,
        "num_classes": len(model.get_parameter(f"{entry.head}.weight")) if entry.head else 0,
        "class_rows": class_rows if class_rows is None or isinstance(class_rows, str) else list(map(int, class_rows)),
        "source": Path(source).name,
        "source_sha256": sha256(source),
    }
    checkpoint.save(target, model, description)


def open_converted(path: str | Path) -> nn.Module:
    """The network that `convert` wrote to `path`, in eval mode."""
    from tinylib.models import checkpoint

    state, description = checkpoint.load(path)
    if description.get("official") not in SOURCES:
        raise DataError(f"{path}: is not a converted official checkpoint")
    model = _build(SOURCES[description["official"]], description["num_classes"])
    checkpoint.restore(model, state, source=path)
    return model.eval()


def start_from(path: str | Path, num_classes: int, options: Mapping[str, object]) -> VideoClassifier:
    """A classifier with the converted weights at `path` and a fresh head, built with constructor `options` of your own.

    options: such as dropout and drop_path, which weights do not hold; in training mode.
    """
    from tinylib.models import checkpoint

    state, description = checkpoint.load(path)
    source = SOURCES.get(description.get("official", ""))
    if source is None or not source.head:
        raise DataError(f"{path}: is not a converted official classifier")
    model = _build(replace(source, arguments={**source.arguments, **options}), description["num_classes"])
    checkpoint.restore(model, state, source=path)
    assert isinstance(model, VideoClassifier)
    model.reset_classifier(num_classes)
    return model


def recognise(source: str | Path | Mapping[str, object]) -> list[str]:
    """The NAMES that a checkpoint fits whole, by the names and shapes of its tensors; several where these agree."""
    where, content = ("the given state dict", source) if isinstance(source, Mapping) else (str(source), read(source))
    fitting = []
    for name, entry in SOURCES.items():
        with suppress(DataError), torch.device("meta"):
            tensors = {key: tensor.to("meta") for key, tensor in unwrap(content, entry, where).items()}
            _fill(name, entry, tensors, where, "as filed")
            fitting.append(name)
    return fitting


def read(path: str | Path) -> Any:
    """What a checkpoint file holds: safetensors, or a pickle of tensors and plain data; nothing in it is ever run."""
    path = Path(path)
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            head = file.read(9)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if size == 0:
        raise DataError(f"{path}: is empty")
    try:
        if len(head) == 9 and head[8:] == b"{" and int.from_bytes(head[:8], "little") < size:
            from safetensors.torch import load_file

            return load_file(path)
        with torch.serialization.safe_globals(_numpy_numbers()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TorchScript, which is refused in the next moment
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        code = re.search(r"GLOBAL (\S+)", str(error))
        if code:
            reason = f"holds {code[1]}, which is neither a tensor nor plain data; nothing was run"
        else:
            reason = f"is not a whole checkpoint ({_first_line(error)})"
        raise DataError(f"{path}: {reason}") from error
    except Exception as error:  # whatever a damaged or foreign file provokes in the readers of three formats
        raise DataError(f"{path}: is not a whole checkpoint ({_first_line(error)})") from error


def unwrap(content: object, source: Source, where: str = "checkpoint") -> dict[str, Tensor]:
    """The bare state dict inside a checkpoint: wrappers and trainers' prefixes off, a restorer's averaged generator."""
    while isinstance(content, Mapping):
        inner = next((content[key] for key in source.wrappers if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, Mapping) or not any(isinstance(value, Tensor) for value in content.values()):
        raise DataError(f"{where}: holds no state dict, neither bare nor under {', '.join(source.wrappers)}")
    strange = next((key for key, value in content.items() if not isinstance(value, Tensor)), None)
    if strange is not None:
        raise DataError(f"{where}: {strange!r} is a {type(content[strange]).__name__} among tensors")
    tensors = _bare({str(key): value for key, value in content.items()}, source)
    for prefix in GENERATORS:
        if any(key.startswith(prefix) for key in tensors):
            strange = next((key for key in tensors if not key.startswith(RESTORER)), None)
            if strange is not None:
                raise DataError(f"{where}: {strange!r} is not a part of a restorer")
            tensors = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
            break
    return tensors


def _fill(name: str, source: Source, tensors: dict[str, Tensor], where: str, class_rows: ClassRows | None) -> nn.Module:
    if source.own_class_order and class_rows is None:
        raise UsageError(
            f"{name}: the rows of its classifier follow mmaction2's own label list; give class_rows, the file's row of "
            'each of your classes, or class_rows="as filed" if you read them by that list or replace the classifier'
        )
    classes = 0
    if source.head:
        key = source.name(f"{source.head}.weight")
        if key not in tensors or tensors[key].ndim < 2:
            raise DataError(f"{where}: not {name}: has no classifier {key!r}")
        classes = len(tensors[key])
    model = _build(source, classes)
    state: dict[str, Tensor] = {}
    left = dict(tensors)
    for ours, built in model.state_dict().items():
        if ours.endswith("_extra_state"):  # where a network of ours stands in its growth: at its end, as built
            continue
        theirs = source.name(ours)
        tensor = left.pop(theirs, None)
        if tensor is None and ours in source.constants:
            tensor = built
        elif tensor is None and ours.endswith("num_batches_tracked"):  # a file older than this counter
            tensor = torch.zeros_like(built)
        state[ours] = _checked(f"{where}: not {name}", theirs, tensor, built)
    strange = next((key for key in left if not key.startswith(source.rest)), None)
    if strange is not None:
        raise DataError(f"{where}: not {name}: has {strange!r} {tuple(left[strange].shape)} besides what was expected")
    if class_rows is not None and class_rows != "as filed":
        rows = list(class_rows)
        if sorted(rows) != list(range(classes)):
            raise UsageError(f"class_rows must name each of the {classes} rows of {name}'s classifier once")
        for part in ("weight", "bias"):
            state[f"{source.head}.{part}"] = state[f"{source.head}.{part}"][rows]
    missing = model.load_state_dict(state, strict=False).missing_keys
    assert all(key.endswith("_extra_state") for key in missing)
    return model.eval()


def _checked(complaint: str, key: str, tensor: Tensor | None, like: Tensor) -> Tensor:
    if tensor is None:
        raise DataError(f"{complaint}: lacks {key!r} {tuple(like.shape)}")
    if tensor.shape != like.shape:
        raise DataError(f"{complaint}: {key!r} is {tuple(tensor.shape)}, expected {tuple(like.shape)}")
    if tensor.is_floating_point() != like.is_floating_point():
        raise DataError(f"{complaint}: {key!r} is {tensor.dtype}, expected {like.dtype}")
    if tensor.is_floating_point() and not tensor.is_meta and not torch.isfinite(tensor).all():
        raise DataError(f"{complaint}: {key!r} holds values that are not finite")
    return tensor.to(like.dtype)


def _build(source: Source, classes: int) -> nn.Module:
    module, _, cls = source.model.partition(".")
    arguments = dict(source.arguments)
    if source.head:
        arguments["num_classes"] = classes
    return getattr(import_module(f"tinylib.models.{module}"), cls)(**arguments)


def _entry(name: str) -> Source:
    if name not in SOURCES:
        raise UsageError(f"no official checkpoint is called {name!r}; there are {', '.join(NAMES)}")
    return SOURCES[name]


def _bare(tensors: dict[str, Tensor], source: Source) -> dict[str, Tensor]:
    """The tensors without what trainers put before every name, over and over; a format's own prefix stays."""
    while prefix := next((p for p in PREFIXES if all(key.startswith(p) for key in tensors)), None):
        if source.head and source.name(f"{source.head}.weight").startswith(prefix):
            break
        tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
    return tensors


def _numpy_numbers() -> list[Any]:
    """What numpy numbers are pickled with: OpenMMLab writes its best scores so, and they can do no harm."""
    import numpy as np

    scalar = type(np.float64(0)).__reduce__(np.float64(0))[0]
    kinds = [type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "?")]
    return [np.dtype, *kinds, scalar, (scalar, "numpy.core.multiarray.scalar")]


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0][:120] if text else type(error).__name__
