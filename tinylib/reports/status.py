"""What became of a notebook of the graph."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tinylib.files import write_json


@dataclass(frozen=True)
class Status:
    """What became of a notebook: `out/status/<name>.json`."""

    name: str
    state: str  # 'done', 'failed', 'not run'
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
    file = out / "status" / f"{name}.json"
    return Status(**json.loads(file.read_text(encoding="utf-8")), fresh=False) if file.exists() else None
