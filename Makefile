# Each target makes what it needs: Python 3.11 or newer and make are enough. `make help` lists them.

SHELL := /bin/sh
VENV ?= .venv
BIN := $(VENV)/bin
# The first Python that is new enough: `make PYTHON=/path/to/python` decides otherwise.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
PIP_INSTALL = $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check
# What is checked: those of them that there are.
CODE := $(wildcard pipeline stages tests examples docs/*.py)

# The tests start many processes: where no bytecode is kept, each of them compiles the library anew.
export PYTHONDONTWRITEBYTECODE :=
# Nobody needs to know of a newer pyright.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-full bench check docs format clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/make \1|\2/p' Makefile | awk -F'|' '{ printf "  %-16s %s\n", $$1, $$2 }'

demo: $(VENV)/runtime ## show it working: a chat server, a client, a tap, a tested stage
	$(BIN)/python examples/demo.py

test: $(VENV)/developer ## run the tests on all processors, and hold branch coverage at 100 %
	$(BIN)/python -m pytest -n auto -m "not full" --cov --cov-report=term

test-full: $(VENV)/developer ## run the heavy sizes, other programs, type checkers; stages by their own tests; pipelines' long ways
	$(BIN)/python -m pytest -m full -n auto
	$(BIN)/python -m pytest --long-ways -m "not full and not short_ways" -n auto tests/pipeline

bench: $(VENV)/developer ## measure what it costs: a server beside loops by hand, one more stage, latency, memory, framers
	$(BIN)/python tests/benchmarks/bench.py

check: $(VENV)/developer ## lint, formatting, types, news fragments
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/towncrier build --draft --version next

docs: $(VENV)/writer ## build the documentation, build/docs/index.html; warnings are errors
	$(BIN)/python -m sphinx -E --fail-on-warning --keep-going --quiet -d build/doctrees docs build/docs

format: $(VENV)/developer ## mend what `make check` can mend by itself
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

clean: ## remove everything that make and the tools made
	rm -rf $(VENV) .cache .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -prune -exec rm -rf {} +

# The environment is made anew when pyproject.toml changes; a half-made one has no mark and is made anew too.
$(VENV)/runtime: pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found: make PYTHON=/path/to/python ..." >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version); this happens once ..."
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/developer: $(VENV)/runtime
	@echo "Adding the developers' tools to $(VENV) ..."
	@$(PIP_INSTALL) --editable '.[test,check]'
	@touch $@

$(VENV)/writer: $(VENV)/runtime
	@echo "Adding Sphinx to $(VENV) ..."
	@$(PIP_INSTALL) --editable '.[docs]'
	@touch $@
