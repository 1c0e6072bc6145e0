# make reports | test | check | lab | site | lock | quick | soak    (PYTHON=python3.12 make ... chooses the interpreter of a fresh .venv)
PYTHON ?= python3
VENV ?= .venv
PROFILE ?= demo
TESTERS ?= 2
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCKED = $(PIP) --no-deps --require-hashes
HERE = $(PIP) --no-deps --editable .
UV := $(shell sed -n 's/^uv==//p' constraints.txt)
TORCH := $(shell grep -E '^torch(vision)?==' constraints.txt)
# PyTorch's build: its CPU one (200 MB) where no NVIDIA GPU is, else and where that cannot be had the lock's (gigabytes)
BUILD ?= $(shell test "$$(uname)" != Linux || command -v nvidia-smi >/dev/null 2>&1 && echo locked || echo cpu)
CUDA = $(shell sed -nE 's/^((nvidia|cuda)-[a-z0-9-]+|triton|torch|torchvision)==.*/--no-emit-package \1/p' constraints.txt)
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11.5 --generate-hashes --no-annotate --no-header -c constraints.txt

.PHONY: help reports test quick soak check lab lock site clean

help:
	@echo "make reports   run every notebook and render it: reports/$(PROFILE)/index.html (PROFILE=smoke|demo|full)"
	@echo "make test      lint, types and all tests"
	@echo "make quick     lint and the tests of the rooms that need no network and no film"
	@echo "make soak      the long tests: kills at twenty moments, a thousand odd inputs a kind"
	@echo "make check     lint and types only"
	@echo "make lab       JupyterLab on notebooks/"
	@echo "make site      documents, notebooks, papers and API as pages: site/index.html"
	@echo "make lock      pins and hashes anew, of pyproject.toml within constraints.txt"

$(VENV)/pyvenv.cfg:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tinylib needs Python 3.11 or newer (PYTHON=...)")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.torch: requirements-torch.lock | $(VENV)/pyvenv.cfg
ifeq ($(BUILD),cpu)
	$(PIP) uv==$(UV)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --torch-backend cpu $(TORCH) \
	  || { echo "PyTorch's CPU build cannot be had here; taking the default one" >&2; $(LOCKED) -r requirements-torch.lock; }
else
	$(LOCKED) -r requirements-torch.lock
endif
	touch $@

$(VENV)/.installed: pyproject.toml requirements.lock $(VENV)/.torch
	$(LOCKED) -r requirements.lock
	$(HERE)
	touch $@

$(VENV)/.installed-dev: pyproject.toml requirements-dev.lock $(VENV)/.torch
	$(LOCKED) -r requirements-dev.lock
	$(HERE)
	touch $(VENV)/.installed $@

lock: $(VENV)/.installed-dev
	$(COMPILE) $(CUDA) pyproject.toml -o requirements.lock
	$(COMPILE) $(CUDA) --extra dev --extra export pyproject.toml -o requirements-dev.lock
	printf 'torch\ntorchvision\n' | $(COMPILE) - -o requirements-torch.lock

reports: $(VENV)/.installed
	$(BIN)/tinylib reports --profile $(PROFILE) --out reports/$(PROFILE)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TESTERS) --dist worksteal

quick: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -m "not slow and not soak" tests/datasets tests/annotations tests/settings tests/test_directions.py \
	  --ignore tests/datasets/test_store.py --ignore tests/datasets/test_integrity.py

soak: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m soak

site: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "site/index.html"

lab: $(VENV)/.installed
	$(BIN)/jupyter lab notebooks

clean:
	rm -rf site .pytest_cache .mypy_cache .ruff_cache build dist
