# Two commands matter: `make up` (everything on one machine) and `make test`.
# Needs git, make and Python 3.11 or newer; the rest is installed into .venv.
# ARGS is handed on: make up ARGS='--specs my-specs', make test ARGS='-k drift'.

PYTHON ?= python3
ARGS ?=
HISTORIES ?= 20000
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help up test check bench properties fmt tools clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: $(VENV)/.installed ## start PostgreSQL and n8n, apply specs/, stay in the foreground
	@$(BIN)/reconciler up $(ARGS)

test: $(VENV)/.tools ## run every test
	@$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.tools ## lint, format, types, import contracts, schemas and docs: all but the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest tests/architecture -n 0 -q

bench: $(VENV)/.tools ## measure against bare floors, as ratios within one run (needs minutes)
	@$(BIN)/python -m benchmarks $(ARGS)

properties: $(VENV)/.tools ## the long property run: 20,000 histories of commits, drift and crashes
	@HISTORIES=$(HISTORIES) $(BIN)/python -m pytest tests/properties -o faulthandler_timeout=0 $(ARGS)

fmt: $(VENV)/.tools ## format the code and mend what can be mended
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

tools: $(VENV)/.tools ## install what the other targets need

clean: ## remove caches and build results; .venv and .reconciler/ stay
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find reconciler tests migrations benchmarks -name __pycache__ -prune -exec rm -rf {} +

# A stamp file a step: the second run starts at once, a changed pyproject.toml installs again.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: $(PYTHON) is older than 3.11; try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "make: cannot make a virtual environment; on Debian: apt install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.installed: pyproject.toml | $(VENV)/.created
	@echo "Installing reconciler into $(VENV) ..."
	@$(PIP) install --editable .
	@touch $@

# `--group` came with pip 25.1; the pip that comes with Python may be older.
$(VENV)/.tools: pyproject.toml $(VENV)/.installed
	@echo "Installing the development tools into $(VENV) ..."
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --group dev
	@touch $@
