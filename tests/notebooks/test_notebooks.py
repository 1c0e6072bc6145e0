"""Every notebook: its form, and that it runs in the `smoke` profile."""

import ast
import json
import re
from pathlib import Path

import pytest

from tinylib import reports, results, settings
from tinylib.settings import parameters

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def cells(path, kind="code"):
    return [c for c in json.loads(path.read_text(encoding="utf-8"))["cells"] if kind in ("", c["cell_type"])]


def source(cell):
    return "".join(cell["source"])


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return request.param


def test_it_is_stripped_and_has_cell_ids(notebook):
    book = json.loads(notebook.read_text(encoding="utf-8"))
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert all(cell["id"] for cell in book["cells"])
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells(notebook))
    assert "widgets" not in book["metadata"]


def test_it_begins_and_ends_in_words(notebook):
    every = cells(notebook, "")
    assert every[0]["cell_type"] == every[-1]["cell_type"] == "markdown"
    assert source(every[0]).startswith(f"# {notebook.stem[:2]} · ")
    for word in ("**Question.**", "**Reproduces.**", "**Expected.**", "**Time.**"):
        assert word in source(every[0])


def test_it_defines_nothing_and_is_short(notebook):
    assert len(cells(notebook)) <= 25
    assert [c["id"] for c in cells(notebook) if len(source(c).splitlines()) > 25] == []
    for cell in cells(notebook):
        kinds = {type(node).__name__ for node in ast.walk(ast.parse(source(cell)))}
        assert not kinds & {"FunctionDef", "AsyncFunctionDef", "ClassDef"}, source(cell)


def test_it_displays_nothing_that_hangs_an_executor(notebook):
    names = {n.id for c in cells(notebook) for n in ast.walk(ast.parse(source(c))) if isinstance(n, ast.Name)}
    attributes = {
        n.attr for c in cells(notebook) for n in ast.walk(ast.parse(source(c))) if isinstance(n, ast.Attribute)
    }
    assert not (names | attributes) & {"interact", "interactive", "Output", "live_monitor"}


def test_its_parameters_are_typed_literals_that_its_settings_know(notebook):
    lines = reports.declared_parameters(notebook)
    assert tuple(line.name for line in lines[:5]) == parameters.COMMON
    assert all(parameters.conforms(line.value, line.hint) for line in lines)
    assert lines[0].value == "smoke"
    assert lines[4].value == f"runs/{notebook.stem}"
    loading = source(cells(notebook)[1])
    imported = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(ast.parse(loading))
        if isinstance(node, ast.ImportFrom) and node.module == "tinylib.settings"
        for alias in node.names
    }
    if f'of_paper("{notebook.stem}").load(globals())' in loading:
        kind = settings.of_paper(notebook.stem)
    else:
        (loaded,) = re.findall(r"(\w+)\.load\(globals\(\)\)", loading)
        kind = SETTINGS[imported[loaded]]
    assert {line.name for line in lines} <= {line.name for line in kind.right()}
    assert kind.of("full").run_dir == lines[4].value


SETTINGS = {name: kind for name in settings.__all__ if hasattr(kind := getattr(settings, name), "load")}


def test_the_graph_names_only_notebooks_of_the_plan():
    plans = results.planned()
    plan = {*plans, *(n for line in plans.values() for n in line.after if n != "*")}
    assert {path.stem for path in NOTEBOOKS} <= plan | {"06_low_resolution_ucf_hmdb"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_notebook_runs_in_smoke(tmp_path):
    statuses = reports.run(FOLDER, "smoke", out=tmp_path / "out", parameters={"data_root": str(tmp_path / "data")})
    assert [(s.name, s.error) for s in statuses if s.state != "done"] == []
    for status in statuses:
        page = (tmp_path / "out" / f"{status.name}.html").read_text(encoding="utf-8")
        assert "Traceback (most recent call last)" not in page
