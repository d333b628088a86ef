# Everything starts here. On a new machine only Python 3.11 or newer, git and make are needed.

PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input

# The steps of a set-up build on one another.
.NOTPARALLEL:
.PHONY: help run setup test check bench

help:
	@echo "make run     Set up if needed, then start the server (ARGS=\"--port 9000\" adds options)"
	@echo "make setup   Prepare $(VENV) for development, and nothing else"
	@echo "make test    Set up if needed, then run all tests (ARGS=\"tests/tickets\" chooses some)"
	@echo "make check   Lint, format, types and import order"
	@echo "make bench   Measure the speed (ARGS=\"--help\" lists options)"
	@echo "make help    List these commands"

run: $(VENV)/.run $(VENV)/.package
	@$(BIN)/ticketry serve $(ARGS)

setup: $(VENV)/.dev $(VENV)/.package
	@echo "Ready: $(BIN)/ticketry --help"

test: $(VENV)/.dev $(VENV)/.package
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

check: $(VENV)/.dev $(VENV)/.package
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/.dev $(VENV)/.package
	@$(BIN)/python -m bench $(ARGS)

# Each step leaves a stamp, so that it is repeated only when what it read has changed.

$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON). Install Python 3.11 or newer, or name one: make run PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is too old: Python 3.11 or newer is needed. Name one: make run PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: its parts venv and ensurepip are missing. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.made requirements/run.txt
	@echo "Installing the locked dependencies (a minute at the first time) ..."
	@$(PIP) --require-hashes -r requirements/run.txt
	@touch $@

# What development needs holds all that running needs, so `make run` after it has nothing left to do.
$(VENV)/.dev: $(VENV)/.made requirements/dev.txt
	@echo "Installing the locked dependencies of development (a minute at the first time) ..."
	@$(PIP) --require-hashes -r requirements/dev.txt
	@touch $(VENV)/.run $@

$(VENV)/.package: $(VENV)/.made pyproject.toml
	@echo "Installing Ticketry ..."
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@
