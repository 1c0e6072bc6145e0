"""The recipes of CONTRIBUTING.md, carried out as written in a copy of the tree."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^### Add a (\w+)\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL))
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def copy(tmp_path):
    for name in ("tinylib", "tests", "notebooks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def apply(text: str, tree: Path) -> None:
    """A diff whose blocks are found by what they replace, wherever it stands; that must stand there once."""
    file, parts = tree, re.split(r"^(?:--- .*\n\+\+\+ b/(.*)\n)?@@.*\n", text, flags=re.MULTILINE)[1:]
    for name, hunk in zip(parts[::2], parts[1::2], strict=True):
        file = tree / name if name else file
        old = "".join(f"{line[1:]}\n" for line in hunk.splitlines() if line[0] in " -")
        new = "".join(f"{line[1:]}\n" for line in hunk.splitlines() if line[0] in " +")
        whole = file.read_text(encoding="utf-8")
        assert f"\n{whole}".count(f"\n{old}") == 1, f"{file.relative_to(tree)}: {old!r} is not there once"
        file.write_text(f"\n{whole}".replace(f"\n{old}", f"\n{new}")[1:], encoding="utf-8")


def carry_out(recipe: str, tree: Path) -> None:
    for language, name, tag, text in BLOCK.findall(recipe):
        if name.endswith(".ipynb"):
            file = tree / name
            book = nbformat.read(file, 4) if file.exists() else nbformat.v4.new_notebook()
            cell = nbformat.v4.new_markdown_cell if language == "markdown" else nbformat.v4.new_code_cell
            book.cells.append(cell(text.rstrip(), metadata={"tags": [tag]} if tag else {}))
            nbformat.write(book, file)
        elif name:
            assert not (tree / name).exists()
            (tree / name).write_text(text, encoding="utf-8")
        elif language == "diff":
            apply(text, tree)
        else:
            for line in text.splitlines():
                run([sys.executable, *_words(line)[1:]], tree)


def _words(line: str) -> list[str]:
    import shlex

    words = shlex.split(line)
    assert words[0] == "python"
    return words


def run(command: list[str], tree: Path) -> None:
    """It succeeds, in the copy, which it imports rather than what is installed; pytest says how many passed."""
    environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command[1:])}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["backbone", "dataset", "paper", "figure"])
def test_a_recipe_works_as_written(name, copy):
    carry_out(RECIPES[name], copy)
    files = [str(copy / file) for _, file, _, _ in BLOCK.findall(RECIPES[name]) if file.endswith(".py")]
    if files:
        run([sys.executable, "-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), *files], copy)
        run([sys.executable, "-m", "ruff", "format", "--check", "--config", str(ROOT / "pyproject.toml"), *files], copy)


def test_there_are_four_recipes():
    assert list(RECIPES) == ["backbone", "dataset", "paper", "figure"]
