# make demo     the demo, with the serving stack only (no PyTorch)
# make quick    style, types and tests of what changed, in less than a minute
# make test     every test
# make check    style and types
# make dist     wheel and source archive, in dist/, checked and installed into fresh environments
# make docs     the documentation as a site, in build/site
# make clean    forget what was built; the environment stays
#
# Everything is installed into .venv with the versions of constraints.txt. Stamp files in it remember what was
# installed, so nothing is installed twice; the environment of the tests serves the demo too.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= auto
SERVING := $(VENV)/.framestate-serving
TESTING := $(VENV)/.framestate-testing
TYPES := build/types/framestate
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: help demo test check types clean docs dist quick
.DELETE_ON_ERROR:

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

demo: $(SERVING)
	$(BIN)/framestate demo

# Two workers and more run side by side, a file at a time; what tells time comes after them, by itself.
test: $(TESTING)
	@failed=0; \
	  OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not alone" || failed=1; \
	  $(BIN)/python -m pytest -m alone || failed=1; \
	  exit $$failed

quick: $(TESTING) types
	@$(BIN)/python tests/quick.py

check: $(TESTING) types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(TYPES) tests examples docs

# The folders at the root are framestate.<folder> once installed. Type checkers know nothing of that, so they are
# shown the installed shape, made of links.
types:
	@rm -rf $(TYPES) && mkdir -p $(TYPES)
	@for init in */__init__.py; do folder=$${init%/*}; ln -s ../../../$$folder $(TYPES)/$$folder; done

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Framestate needs Python 3.11 or newer; name one with: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(SERVING): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable .
	@touch $@

$(TESTING): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[torch,bench,dev,docs,ray]'
	$(PIP) --no-deps trackers trackeval  # they ask for opencv-python, which would overwrite ours
	@touch $(SERVING) $@

dist: $(TESTING)
	rm -rf dist
	$(BIN)/python -m build --no-isolation >/dev/null
	$(BIN)/twine check --strict dist/*
	PATH="$(CURDIR)/$(BIN):$$PATH" deploy/check_wheel.sh dist/*.whl

docs: $(TESTING) types
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	@echo "open build/site/index.html"

clean:
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
