"""What a notebook's source says of itself, and what the package is at."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

from tinylib.errors import UsageError
from tinylib.files import Json
from tinylib.settings.parameters import Declared, declared


def declared_parameters(notebook: Path) -> list[Declared]:
    """What the cell tagged `parameters` declares."""
    cells = [c for c in _cells(notebook) if "parameters" in c.get("metadata", {}).get("tags", [])]
    if len(cells) != 1:
        raise UsageError(f"{notebook}: expected one cell tagged `parameters`, found {len(cells)}")
    try:
        return declared("".join(cells[0]["source"]))
    except (UsageError, SyntaxError) as error:
        raise UsageError(f"{notebook}: {error}") from None


def _cells(notebook: Path) -> list[Json]:
    return json.loads(notebook.read_text(encoding="utf-8"))["cells"]


def _code(notebook: Path) -> list[str]:
    return ["".join(cell["source"]) for cell in _cells(notebook)]


def title(notebook: Path) -> str:
    """Its first heading."""
    lines = "\n".join(_code(notebook)[:1]).splitlines()
    return next((line.lstrip("# ").strip() for line in lines if line.startswith("#")), notebook.stem)


@cache
def package_digest() -> str:
    """Hash of the package's own files: a change of code makes what was done undone."""
    digest = hashlib.sha256()
    here = Path(__file__).parents[1]
    for file in sorted(p for p in here.rglob("*") if p.suffix in {".py", ".yaml", ".js"}):
        digest.update(str(file.relative_to(here)).encode() + file.read_bytes())
    return digest.hexdigest()[:16]
