# Every target sets up what it needs in .venv: nothing but Python 3.11 or newer and make has to be there before.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := $(shell sed -n '/^torch==/p' constraints.txt)

# One thread for each training and each test worker: more only get in each other's way.
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Data sets beside the checkout are used when there are any.
ifneq ($(wildcard ../shared/data),)
export TOMBOLA_DATA ?= $(abspath ../shared/data)
endif

RUFF_PATHS := $(wildcard tombola tests examples benchmarks tools conftest.py)
DOC_PATHS := README.md docs

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help setup demo test test-slow test-gpu check format bench bench-gpu docs clean

help:  ## Show this list.
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1#\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'#' '{ printf "%-18s %s\n", $$1, $$2 }'

setup: $(VENV)/.stamp-all  ## Set up .venv with everything that development needs.

demo: $(VENV)/.stamp-demo  ## Find a winning ticket on this machine and write a report on it.
	$(BIN)/tombola run quickstart
	$(BIN)/tombola report quickstart

test: $(VENV)/.stamp-test  ## Run the ordinary tests.
	$(BIN)/python -m pytest -n 2 -m "not slow and not gpu"

test-slow: $(VENV)/.stamp-test  ## Run the slow tests.
	$(BIN)/python -m pytest -n 2 -m "slow and not gpu"

test-gpu: $(VENV)/.stamp-test  ## Run the tests that need a CUDA device.
	$(BIN)/python -m pytest -m gpu

check: $(VENV)/.stamp-all  ## Check format, lint, types, layers, documentation and its examples.
	$(BIN)/ruff format --check $(RUFF_PATHS)
	$(BIN)/ruff check $(RUFF_PATHS)
	$(BIN)/pyright
	$(BIN)/lint-imports --no-logo
	$(BIN)/zensical build --clean --strict
	$(BIN)/python -m pytest --doctest-modules --markdown-docs -m "not slow and not gpu" tombola $(DOC_PATHS)

format: $(VENV)/.stamp-all  ## Format the code and mend what ruff can mend.
	$(BIN)/ruff check --fix-only $(RUFF_PATHS)
	$(BIN)/ruff format $(RUFF_PATHS)

bench: $(VENV)/.stamp-test  ## Run the benchmarks (half an hour; keep the machine quiet).
	$(BIN)/python -m benchmarks --out results/speed

bench-gpu: $(VENV)/.stamp-test  ## Measure what a CUDA GPU does (under nine minutes).
	$(BIN)/python -m benchmarks.gpu

docs: $(VENV)/.stamp-all  ## Build the documentation into site/.
	$(BIN)/zensical build --clean --strict

clean:  ## Remove builds, caches and the environment, but no runs.
	rm -rf $(VENV) build dist site .cache .hypothesis .import_linter_cache .pytest_cache .ruff_cache *.egg-info
	find tombola tests examples benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# The environment. One stamp for each set of extras; sets add up in the one .venv.
$(VENV)/.stamp-python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "make: there is no '$(PYTHON)' here. Tombola needs Python 3.11 or newer: install it, or name another" \
	    "with 'make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)'." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Tombola needs Python 3.11 or newer: name one with" \
	    "'make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)'." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "make: '$(PYTHON)' has no venv module. On Debian and Ubuntu 'apt install python3-venv' brings it;" \
	    "or name another Python with 'make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)'." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# PyTorch comes first and by its exact version, so that no later step can pick another build of it.
$(VENV)/.stamp-torch: constraints.txt $(VENV)/.stamp-python
	@echo "Installing PyTorch into $(VENV) (once; it is large)"
	$(BIN)/python -m pip install --quiet -c constraints.txt $(TORCH) setuptools
	@touch $@

$(VENV)/.stamp-demo: EXTRAS := report
$(VENV)/.stamp-test: EXTRAS := dev,report
$(VENV)/.stamp-all: EXTRAS := dev,docs,report
$(VENV)/.stamp-demo $(VENV)/.stamp-test $(VENV)/.stamp-all: pyproject.toml constraints.txt $(VENV)/.stamp-torch
	@echo "Installing Tombola [$(EXTRAS)] into $(VENV)"
	$(BIN)/python -m pip install --quiet --no-build-isolation -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@
