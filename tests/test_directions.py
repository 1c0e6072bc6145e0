"""The rooms of the package, from the ground up: each imports from those before it alone, and no file in a circle."""

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tinylib"
ROOMS = [
    *("errors", "progress", "files", "workers", "annotations", "video", "datasets", "models", "building"),
    *("evaluation", "synth", "training", "results", "recognise", "methods", "settings", "figures", "viewers"),
    *("reports", "cli"),
]
GROUND = ("errors", "files", "progress", "workers")
ABOVE = {  # what a room does not see, though it stands further down
    "annotations": {"workers"},
    "models": {"annotations", "video", "building"},
    "training": {"annotations", "building", "synth"},
    "evaluation": {"building"},
}


def imports(file: Path) -> list[tuple[str, int]]:
    """Dotted names of ours that a file imports, at whatever depth, with the line."""
    imported = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tinylib":
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                path = PACKAGE.joinpath(*whole.split(".")[1:])
                is_module = path.with_suffix(".py").exists() or (path / "__init__.py").exists()
                imported.append((whole if is_module else str(node.module), node.lineno))
        elif isinstance(node, ast.Import):
            imported += [(a.name, node.lineno) for a in node.names if a.name.split(".")[0] == "tinylib"]
    return imported


def room(dotted: str) -> str:
    return dotted.split(".")[1] if "." in dotted else ""


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(file: Path) -> str:
    return ".".join(("tinylib", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


def breaches(sources: dict[str, list[tuple[str, int]]]) -> list[str]:
    """Imports against the list of rooms, each with its file and line."""
    wrong = []
    for module, lines in sources.items():
        here = room(module)
        for target, line in lines:
            there = room(target)
            if there in ("", here):
                continue
            if ROOMS.index(there) > ROOMS.index(here) or there in ABOVE.get(here, set()):
                wrong.append(f"{module.replace('.', '/')}.py:{line}: {here} may not import {target}")
    return wrong


def circle(sources: dict[str, list[tuple[str, int]]]) -> list[str]:
    """The modules of a circle of imports, or nothing."""
    open_, done = [], set()

    def visit(module: str) -> list[str]:
        if module in open_:
            return [*open_[open_.index(module) :], module]
        if module in done:
            return []
        open_.append(module)
        for target, _ in sources.get(module, []):
            if target in sources and target != module and (ring := visit(target)):
                return ring
        done.add(open_.pop())
        return []

    return next((ring for module in sources if (ring := visit(module))), [])


SOURCES = {name_of(file): imports(file) for file in files()}


def test_every_file_stands_in_a_room():
    assert {room(module) for module in SOURCES} - {""} == set(ROOMS)
    root = {p.stem for p in PACKAGE.glob("*.py")}
    assert root == {"__init__", "cli", *GROUND}


def test_nobody_imports_upwards():
    assert breaches(SOURCES) == []


def test_no_circles():
    assert circle(SOURCES) == []


def test_an_upward_import_is_named_with_its_file():
    sources = {"tinylib.models.tiny": [("tinylib.training.losses", 7)]}
    assert breaches(sources) == ["tinylib/models/tiny.py:7: models may not import tinylib.training.losses"]


def test_a_circle_is_named():
    sources = {"tinylib.a": [("tinylib.b", 1)], "tinylib.b": [("tinylib.c", 1)], "tinylib.c": [("tinylib.b", 1)]}
    assert circle(sources) == ["tinylib.b", "tinylib.c", "tinylib.b"]


@pytest.mark.parametrize("file", sorted({*ROOT.glob("benchmarks/*.py"), *ROOT.glob("notebooks/*.ipynb")}), ids=str)
def test_users_import_from_rooms(file):
    """Notebooks and benchmarks: `from tinylib.datasets import ...`, never from a file in a room."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".ipynb":
        text = "\n".join("".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "code")
    assert re.findall(r"^\s*from (tinylib\.\w+\.\w+)", text, re.MULTILINE) == []


def test_every_room_says_what_it_is_for_and_hands_on_what_exists():
    from importlib import import_module

    for folder in sorted(p.parent for p in PACKAGE.glob("*/__init__.py")):
        module = import_module(f"tinylib.{folder.name}")
        assert module.__doc__, folder
        for name in module.__all__:
            assert getattr(module, name) is not None, f"{folder.name}.{name}"
