"""Workflows, container and hooks: what they call exists. None of them can be run in a test."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.test_house import ROOT, locked

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def commands(file: Path) -> list[str]:
    """What the steps of a workflow run."""
    jobs = yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def test_workflows_test_on_three_systems_and_build_site_and_report():
    test, pages = (yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text()) for name in ("test", "pages"))
    assert test["jobs"]["test"]["strategy"]["matrix"]["os"] == ["ubuntu-latest", "macos-latest", "windows-latest"]
    assert any(step.get("run", "").startswith("make test") for step in test["jobs"]["test"]["steps"])
    assert pages["permissions"]["pages"] == "write"
    for file in WORKFLOWS:
        called = {
            target
            for command in commands(file)
            for target in re.findall(r"make ([a-z]+)", command)
            if target in command
        }
        assert called <= targets(), file


@pytest.mark.parametrize(
    "file", [*WORKFLOWS, ROOT / "Dockerfile", ROOT / ".pre-commit-config.yaml"], ids=lambda file: file.name
)
def test_they_name_no_host(file):
    assert "://" not in file.read_text(encoding="utf-8")


def test_the_container_installs_from_the_locks():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for name in re.findall(r"^COPY (.*) \./$", text, re.MULTILINE)[0].split():
        assert (ROOT / name).is_file(), name
    assert "make BUILD=$BUILD .venv/.installed" in text
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8"))
    assert (ROOT / ".devcontainer" / container["build"]["dockerfile"]).is_file()
    assert container["postCreateCommand"] == "make .venv/.installed-dev"


def test_hooks_are_tools_of_the_lock():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    assert [hook["id"] for hook in hooks] == ["strip", "ruff", "ruff-format", "mypy"]
    packages = {"jupyter": "nbconvert", "ruff": "ruff", "mypy": "mypy"}
    for hook in hooks:
        assert packages[hook["entry"].split()[0].removeprefix(".venv/bin/")] in locked("requirements-dev.lock")
