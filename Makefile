# `make help` lists the targets. Fresh machine: Python >= 3.10, make, a package index.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
COMPILE := pip compile -q --upgrade --universal --python-version 3.10 --no-header --no-emit-index-url --no-annotate \
           --group dev --all-extras pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-lowest check bench soak lab-up lab-down lock clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

setup: $(STAMP)  ## a virtual environment with the locked dependencies

demo: $(STAMP)  ## a real MCP client drives the server over stdio against a simulated network
	@$(BIN)/netssh-mcp demo

test: $(STAMP)  ## the test suite (real FRR and OpenSSH too: as root it installs them)
	@$(BIN)/python -m pytest -q -n 4 --dist loadfile --no-loadscope-reorder

test-lowest:  ## the suite on the lowest versions that pyproject.toml allows
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	.venv-lowest/bin/python -m pytest -q

check: $(STAMP)  ## lint, types, import contract, docs drift
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.docs_drift

bench: $(STAMP)  ## benchmarks/results.json and a table, every figure a ratio within one run
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "scrapli>=2026.10" || echo "scrapli cannot be had: its rows say so"
	@$(BIN)/python -m benchmarks

soak: $(STAMP)  ## long fuzz and soak runs
	@$(BIN)/python -m pytest -q -m soak -o timeout=3600

lab-up: $(STAMP)  ## real FRR routers and a Linux host in network namespaces (root on Debian)
	@$(BIN)/python -m tests.lab.reallab up

lab-down: $(STAMP)  ## remove them without a trace
	@$(BIN)/python -m tests.lab.reallab down

lock:  ## write requirements.lock and requirements.lowest anew
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv $(COMPILE) -o requirements.lock
	$(BIN)/uv $(COMPILE) --resolution lowest-direct -o requirements.lowest

clean:  ## remove environments and caches
	rm -rf .venv .venv-lowest build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
