"""The files around the package agree with each other."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def required():
    extras = (line for lines in PROJECT["project"]["optional-dependencies"].values() for line in lines)
    return {canonicalize_name(r.name): r for r in map(Requirement, [*PROJECT["project"]["dependencies"], *extras])}


def pinned():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in pins}


def locked(name):
    """The pins of a lock, each with how many hashes it has."""
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = re.findall(r"^(\S.*?)((?:\n\s+--hash=sha256:[0-9a-f]{64}(?: \\)?)*)$", text, re.MULTILINE)
    return {
        canonicalize_name((pin := Requirement(head.rstrip(" \\"))).name): (pin, tail.count("--hash"))
        for head, tail in blocks
    }


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock", "requirements-torch.lock"])
def test_a_lock_has_hashes_no_address_and_the_versions_of_the_pins(name):
    pins, every = pinned(), locked(name)
    assert len(every) > 20
    assert [pin for pin, hashes in every.values() if not hashes] == []
    assert "://" not in (ROOT / name).read_text(encoding="utf-8")
    assert [str(pin) for key, (pin, _) in every.items() if key in pins and pin.specifier != pins[key].specifier] == []


def test_the_locks_hold_what_pyproject_asks_for():
    lines = {part: PROJECT["project"]["optional-dependencies"][part] for part in ("dev", "export")}
    needed = {canonicalize_name(Requirement(line).name) for line in PROJECT["project"]["dependencies"]}
    more = {canonicalize_name(Requirement(line).name) for part in lines.values() for line in part}
    torch = {"torch", "torchvision"}
    assert torch <= set(locked("requirements-torch.lock"))
    assert needed - torch <= set(locked("requirements.lock"))
    assert (needed | more) - torch <= set(locked("requirements-dev.lock"))
    heavy = [name for name in locked("requirements-dev.lock") if re.match(r"nvidia-|cuda-|torch$|triton", name)]
    assert heavy == []  # so that a CPU's PyTorch may stand under them


def test_both_ways_to_set_up_install_from_the_locks():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    assert {"pip": ["--require-hashes", "-r requirements-torch.lock", "-r requirements.lock"]} in listed
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name in ("requirements.lock", "requirements-dev.lock", "requirements-torch.lock"):
        assert f"$(LOCKED) -r {name}" in makefile


def test_the_pins_satisfy_pyproject_and_leave_nothing_out():
    pins = pinned()
    for name, requirement in required().items():
        if name == "torchcodec":  # needs the system's FFmpeg: optional, and unpinned
            continue
        assert name in pins, name
        (pin,) = pins[name].specifier
        assert pin.operator == "=="
        assert requirement.specifier.contains(pin.version), f"{pins[name]} against {requirement}"


def imported(source):
    """Top-level names of the foreign modules that a source imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"tinylib", "tests"}


def cells_of(notebook):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    lines = "".join("\n" + "".join(cell["source"]) + "\n" for cell in cells if cell["cell_type"] == "code").splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))


def test_every_foreign_module_that_is_imported_is_declared_and_what_is_declared_is_used():
    lines = PROJECT["project"]["dependencies"]
    run_time = {re.sub("[-_.]+", "-", Requirement(line).name).lower() for line in lines}
    run_time |= {extra for line in lines for extra in Requirement(line).extras}  # dask[distributed]
    optional = set(required())
    providers = packages_distributions()

    def providing(module):  # what is optional may not be installed here
        return {re.sub("[-_.]+", "-", name).lower() for name in providers.get(module, [module])}

    used = set()
    for path in (ROOT / "tinylib").rglob("*.py"):
        used |= imported(path.read_text(encoding="utf-8"))
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        used |= imported(cells_of(path))
    extras = {"torchcodec", "onnx", "onnxscript", "onnxruntime"}  # imported where they are asked for, and named there
    assert [module for module in sorted(used) if not providing(module) & (run_time | extras)] == []
    checked = set().union(*(imported(p.read_text(encoding="utf-8")) for p in (ROOT / "tests").rglob("*.py")))
    checked |= set().union(*(imported(p.read_text(encoding="utf-8")) for p in (ROOT / "benchmarks").rglob("*.py")))
    assert [module for module in sorted(checked) if not providing(module) & (run_time | extras | optional)] == []
    commands = {"jupyterlab", "ipykernel", "papermill", "tabulate"}  # programs, and what pandas asks for by name
    assert sorted(run_time - commands - set().union(*map(providing, used))) == []


def test_the_commands_of_the_documents_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    for name in ("README.md", "CONTRIBUTING.md", "reports/README.md", ".ci/run"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for target in re.findall(r"(?:^|`|exec )make ([a-z]+)", text, re.MULTILINE):
            assert target in targets, f"{name}: make {target}"


def test_make_knows_its_targets():
    for target in ("reports", "test", "check", "lab", "lock"):
        subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


def test_ci_calls_make_test():
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
    assert "make test" in (ROOT / ".ci/run").read_text(encoding="utf-8")


def test_what_is_data_of_the_package_is_shipped():
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["tinylib"]
    top = {p.name for pattern in patterns for p in (ROOT / "tinylib").glob(pattern)}
    needed = {"viewer.js", "viewer.css", "report.css", "report_page.html", "report_index.html", "stat.yaml"}
    assert needed | {"real_statistics.yaml"} <= top


def tracked():
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listing.stdout.splitlines() if (ROOT / name).is_file()]


def test_no_file_names_a_machine():
    banned = re.compile(r"(?<![\w.])/(?:root|home/\w+|work)/|file://" + r"/")
    for path in tracked():
        if (
            path.suffix in {".py", ".md", ".yaml", ".yml", ".toml", ".ipynb", ".txt", ".css", ".js"}
            or path.name == "Makefile"
        ):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                assert not banned.search(line), f"{path.relative_to(ROOT)}:{number}"


def test_no_source_file_is_a_novel():
    long = {p.name: n for p in (ROOT / "tinylib").rglob("*.py") if (n := len(p.read_text().splitlines())) > 400}
    assert long == {}


def test_only_figures_and_widgets_import_matplotlib_and_ipywidgets():
    pattern = re.compile(r"^\s*(?:import|from) (?:matplotlib|ipywidgets|seaborn)\b", re.MULTILINE)
    imported = {
        p.name
        for p in (ROOT / "tinylib").rglob("*.py")
        if p.parent.name != "figures" and pattern.search(p.read_text(encoding="utf-8"))
    }
    assert imported <= {"clips.py"}


def test_the_readmes_name_what_exists():
    """Notebooks in the front page's table, commands of `tinylib`, and checkpoints that `convert` knows."""
    from tinylib import cli, results
    from tinylib.models.official import NAMES

    front = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\d\d_\w+)` \|", front, re.MULTILINE)
    assert listed == sorted(results.planned())
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} <= set(listed)
    data = (ROOT / "data/README.md").read_text(encoding="utf-8")
    names = re.findall(
        r"`([a-z0-9_]+)`", "".join(re.findall(r"^\|[^|]*\|([^|]*)\|", data.split("## Checkpoints")[1], re.M))
    )
    assert len(names) > 15
    assert set(names) <= set(NAMES)
    commands = set(re.findall(r"tinylib ([a-z]+) (?:--|[A-Z]|[a-z|]+ --|[a-z]+\.mp4|clips)", front + data))
    assert commands >= {"predict", "build", "check", "convert", "reports"}
    for command in commands:
        with pytest.raises(SystemExit) as done:
            cli.parser().parse_args([command, "--help"])
        assert done.value.code == 0
    for name in ("README.md", "data/README.md", "reports/README.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#]+)\)", text):
            assert (ROOT / name).parent.joinpath(link).exists() or link.startswith("http"), f"{name}: {link}"


VAGUE = {"found", "own", "made", "kept", "asked", "told"}  # deeds: a variable has the name of the thing that it holds


def sources():
    """(where, its lines of Python) of every file and of every notebook's cell."""
    for folder in ("tinylib", "tests", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"], 1):
            if cell["cell_type"] == "code":
                yield f"{path.name}, cell {number}", "".join(cell["source"])


def bound(tree):
    """Every variable, argument and attribute that is set, with its line; fields of classes have names of their own."""
    fields = {id(node.target) for each in ast.walk(tree) if isinstance(each, ast.ClassDef) for node in each.body
              if isinstance(node, ast.AnnAssign)}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and id(node) not in fields:
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno


def test_variables_have_the_names_of_things():
    vague = [f"{where}:{line}: {name}" for where, text in sources() for name, line in bound(ast.parse(text))
             if name in VAGUE]  # fmt: skip
    assert vague == []


def test_a_type_that_is_known_is_said():
    words = {path.relative_to(ROOT).as_posix(): len(re.findall(r"\bAny\b", path.read_text(encoding="utf-8")))
             for path in (ROOT / "tinylib").rglob("*.py")}  # fmt: skip
    assert sum(words.values()) < 120, sorted(words.items(), key=lambda item: -item[1])[:5]
