# make demo and make test need Python 3.11 or newer, make and git; each makes the environment that it needs.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
OLD_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c '$(OLD_ENOUGH)' 2>/dev/null && echo $$p && break; done)
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e
DIOPTRA_HOME ?= $(CURDIR)/.dioptra
export DIOPTRA_HOME

.DEFAULT_GOAL := help
.PHONY: help demo test test-all coverage lint format bench clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.core ## attack a model and see its robustness curve (about a minute after the installation)
	@$(BIN)/dioptra demo

test: $(VENV)/.test ## run the tests that need nothing but what pip brings
	@env -u DIOPTRA_HOME $(BIN)/python -m pytest -n 2 --dist worksteal -m "not browser and not own_environment"

test-all: $(VENV)/.test $(VENV)/.browser ## run all tests: also those that need a browser or an environment of their own
	@env -u DIOPTRA_HOME $(BIN)/python -m pytest -n 2 --dist worksteal

coverage: $(VENV)/.test $(VENV)/.browser ## run all tests and say what part of the code they executed (takes half as long again)
	@env -u DIOPTRA_HOME $(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term

lint: $(VENV)/.test $(VENV)/.lint $(VENV)/.browser ## check format, style, types and the import directions
	@$(BIN)/ruff format --check src tests bench examples docs
	@$(BIN)/ruff check src tests bench examples docs
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: $(VENV)/.lint ## format the code
	@$(BIN)/ruff format src tests bench examples docs
	@$(BIN)/ruff check --fix src tests bench examples docs

bench: $(VENV)/.test ## measure speed beside the peers, as ratios
	@$(BIN)/python bench/run.py
	@$(BIN)/python bench/flows.py
	@$(BIN)/python bench/executors.py
	@$(BIN)/python bench/snapshots.py
	@$(BIN)/python bench/queues.py
	@$(BIN)/python bench/jobs.py
	@$(BIN)/python bench/plugins.py
	@$(BIN)/python bench/training.py
	@$(BIN)/python bench/serve.py

clean: ## remove the environments and what tests leave behind
	rm -rf $(VENV) .test-envs dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.*

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and was not found; name one: make demo PYTHON=/path/to/python3.12" >&2; exit 2; }
	@$(PYTHON) -c '$(OLD_ENOUGH)' || { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1)" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) has no venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@echo "making the environment $(VENV) with $(PYTHON) (about a minute, once)"
	@rm -rf $(VENV) && $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip --version >/dev/null && touch $@

$(VENV)/.core: $(VENV)/.made pyproject.toml constraints.txt
	@$(INSTALL) .
	@touch $@

$(VENV)/.test: $(VENV)/.made pyproject.toml constraints.txt
	@$(INSTALL) '.[test]'
	@touch $@ $(VENV)/.core

$(VENV)/.lint $(VENV)/.browser: $(VENV)/.made pyproject.toml constraints.txt
	@$(INSTALL) '.[$(patsubst .%,%,$(notdir $@))]'
	@touch $@ $(VENV)/.core
