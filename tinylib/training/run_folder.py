"""A run's folder: whose it is, its log, and checkpoints of which one is always whole."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from tinylib.errors import DataError, UsageError
from tinylib.files import Json, atomic_path, sha256, write_json, write_text

# may differ between two attempts at the same run; the last three are of earlier versions, which nobody set
FREE = frozenset(
    f"config.{name}" for name in ("workers", "checkpoint_every", "track", "compile", "channels_last", "deterministic")
)
KEPT = 2


def claim(run_dir: Path, identity: Mapping[str, object]) -> None:
    """Write what the run is into config.json, or see that the run already there is the same one (UsageError).

    identity: nested dict of plain values. A folder without checkpoints is free for any run.
    """
    path, wanted = run_dir / "config.json", json.loads(json.dumps(identity))
    if path.exists() and any(_stamps(run_dir / "checkpoints")):
        try:
            earlier, now = _flat(json.loads(path.read_text(encoding="utf-8"))), _flat(wanted)
        except ValueError as error:
            raise DataError(f"{path}: not JSON ({error})") from None
        for name in sorted(earlier.keys() | now.keys()):
            if name not in FREE and earlier.get(name) != now.get(name):
                raise UsageError(
                    f"{run_dir} holds a run with {name} = {earlier.get(name)!r}, not {now.get(name)!r}: "
                    "choose another run_dir, or delete this one to start again"
                )
    write_json(path, wanted)


def _flat(value: object, name: str = "") -> Json:
    if not isinstance(value, dict) or not value:
        return {name: value}
    return {k: v for key, inner in value.items() for k, v in _flat(inner, f"{name}.{key}" if name else key).items()}


def _stamps(folder: Path) -> list[Path]:
    """The JSON halves of the checkpoints, oldest first; they are written last, so each had its tensors."""
    return sorted(path for path in folder.glob("*.json") if path.stem.isdigit())


def save_checkpoint(run_dir: Path, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, object]) -> None:
    """Tensors into checkpoints/STEP.safetensors, then counters and its hash into STEP.json; the last two stay."""
    from safetensors.torch import save_file

    folder = run_dir / "checkpoints"
    target = folder / f"{step:09d}.safetensors"
    whole = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    with atomic_path(target) as temporary:
        save_file(whole, str(temporary))
        digest = sha256(temporary)
    write_json(target.with_suffix(".json"), {"sha256": digest, **state})
    for old in _stamps(folder)[:-KEPT]:
        old.unlink()
        old.with_suffix(".safetensors").unlink(missing_ok=True)


def load_checkpoint(run_dir: Path) -> tuple[dict[str, Tensor], Json] | None:
    """The newest whole checkpoint, None if the run has none; a spoilt one is named and the one before it is taken."""
    from safetensors.torch import load_file

    stamps = _stamps(run_dir / "checkpoints")
    for stamp in reversed(stamps):
        tensors = stamp.with_suffix(".safetensors")
        try:
            state = json.loads(stamp.read_text(encoding="utf-8"))
            if sha256(tensors) != state.pop("sha256"):
                raise ValueError("its hash is not the one written down")
            return load_file(str(tensors)), state
        except (OSError, ValueError, KeyError, AttributeError) as error:
            print(f"warning: checkpoint {tensors} is spoilt ({error}); trying the one before it", flush=True)
    if stamps:
        raise DataError(f"{run_dir}/checkpoints: no checkpoint is whole; delete the folder to start the run again")
    return None


def sweep(run_dir: Path) -> None:
    """Remove what a killed writer left half written."""
    folder = run_dir / "checkpoints"
    for path in (*run_dir.glob(".*.part*"), *folder.glob(".*.part*")):
        path.unlink(missing_ok=True)
    whole = {stamp.stem for stamp in _stamps(folder)}
    for path in folder.glob("*.safetensors"):
        if path.stem not in whole:
            path.unlink()


def write_log(run_dir: Path, history: Sequence[Mapping[str, float]]) -> None:
    """log.jsonl: one line an epoch; a value that is not finite is written as null."""
    rows = ({key: value if math.isfinite(value) else None for key, value in row.items()} for row in history)
    write_text(run_dir / "log.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
