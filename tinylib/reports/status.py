"""What became of a notebook of the graph."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from tinylib.files import write_json

STATES = ("done", "failed", "not run", "running")


@dataclass(frozen=True)
class Status:
    """What became of a notebook: `out/status/<name>.json`."""

    name: str
    state: str  # one of STATES
    error: str = ""
    seconds: float = 0.0
    began: str = ""
    fingerprint: str = ""
    commit: str = ""
    hardware: str = ""
    title: str = ""
    data: str = ""
    profile: str = ""
    fresh: bool = field(default=True, compare=False)  # False: found done from an earlier call

    def write(self, out: Path) -> None:
        write_json(out / "status" / f"{self.name}.json", {k: v for k, v in asdict(self).items() if k != "fresh"})


def read_status(out: Path, name: str) -> Status | None:
    """What an earlier call wrote; None: nothing. A file that is no status counts as not run, and is named."""
    file = out / "status" / f"{name}.json"
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        return _foreign(file, str(error))
    if not isinstance(values, dict):
        return _foreign(file, "no object")
    known = {f.name: f.type for f in fields(Status) if f.name != "fresh"}
    given = {key: value for key, value in values.items() if key in known}  # another version may say more
    types: dict[str, type | tuple[type, ...]] = {"str": str, "float": (int, float)}
    wrong = [key for key, value in given.items() if not isinstance(value, types[str(known[key])])]
    if wrong or given.get("name") != name or given.get("state") not in STATES:
        return _foreign(file, f"{wrong[0]}: {given[wrong[0]]!r}" if wrong else "name or state")
    return Status(**given, fresh=False)


def _foreign(file: Path, why: str) -> Status:
    return Status(file.stem, "not run", error=f"{file}: not a status of this program ({why})", fresh=False)
