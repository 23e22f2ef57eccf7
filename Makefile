# refsav: the front door. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
SHARD ?= demo
export HF_HUB_OFFLINE ?= 1

# Print this list
help:
	@awk '/^# / { text = substr($$0, 3) } /^[a-z-]+:/ { split($$1, name, ":"); if (text) printf "  make %-10s %s\n", name[1], text; text = "" } !/^#/ { if ($$0 !~ /:/) text = "" }' $(MAKEFILE_LIST)

# Annotate a shard: SHARD=demo | sav_000[,sav_001] SAV_ROOT=dir [OUT=dir] [RECIPE=paper] [ENGINE=measured]
annotate: $(VENV)/.base
	@$(PY) -m pipeline.annotate --shard "$(SHARD)" $(if $(SAV_ROOT),--sav-root "$(SAV_ROOT)") $(if $(OUT),--out "$(OUT)") \
	  $(if $(RECIPE),--recipe "$(RECIPE)") $(if $(ENGINE),--engine "$(ENGINE)")

# Lint, type-check and run every test
test: check browser
	$(PY) -m pytest

# Lint and type-check only
check: $(VENV)/.dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m pipeline.annotate --shard demo --check

# Measure speed against named references and print the ratios
bench: $(VENV)/.dev
	$(PY) -m benchmarks.render_views
	$(PY) -m benchmarks.manifest
	$(PY) -m benchmarks.whole_run

# Make the environment with the tools of developers
setup: $(VENV)/.dev

# A Chromium for the tests of the report: one that is there, else Debian's, else Playwright's
browser: $(VENV)/.dev
	@$(PY) -m tests.browser >/dev/null 2>&1 || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } \
	  || $(PY) -m playwright install --with-deps chromium

# Remove the environment and the caches, keep the runs
clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info build

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/pip install -q --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/pip install -q --disable-pip-version-check -e ".[dev]"
	@touch $@ $(VENV)/.base

.PHONY: help annotate test check bench setup browser clean
