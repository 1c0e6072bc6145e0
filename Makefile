# make reports | test | check | lab    (PYTHON=python3.12 make ... chooses the interpreter of a fresh .venv)
PYTHON ?= python3
VENV ?= .venv
PROFILE ?= demo
BIN := $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help reports test quick soak check lab clean

help:
	@echo "make reports   run every notebook and render it: reports/$(PROFILE)/index.html (PROFILE=smoke|demo|full)"
	@echo "make test      lint, types and all tests"
	@echo "make quick     lint and the tests of the rooms that need no network and no film"
	@echo "make soak      the long tests: kills at twenty moments, a thousand odd inputs a kind"
	@echo "make check     lint and types only"
	@echo "make lab       JupyterLab on notebooks/"

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tinylib needs Python 3.11 or newer (PYTHON=...)")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e '.[dev]'
	touch $(VENV)/.installed $@

reports: $(VENV)/.installed
	$(BIN)/tinylib reports --profile $(PROFILE) --out reports/$(PROFILE)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check
	$(BIN)/python -m pytest

quick: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -m "not slow and not soak" tests/datasets tests/annotations tests/settings tests/test_directions.py

soak: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m soak

lab: $(VENV)/.installed
	$(BIN)/jupyter lab notebooks

clean:
	rm -rf .pytest_cache .mypy_cache .ruff_cache build dist
