# `make` explains itself. Needed: GNU make and Python 3.11 or newer; everything else goes into .venv.

.DEFAULT_GOAL := help
SHELL := /bin/bash

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
WORKLOAD ?= c
# Set PYTHON to choose the interpreter; otherwise the first of these that works and is new enough.
PYTHON ?=
PYTHONS := python3.13 python3.12 python3.11 python3.14 python3 python
USABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

INTERPRETER := $(VENV)/.interpreter
DEPENDENCIES := $(VENV)/.dependencies
PROJECT := $(VENV)/.project

.PHONY: help
help: ## show this
	@echo "Springtide: a Kubernetes node autoscaler. Start with \`make demo\`."
	@echo
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) \
	    | while IFS='|' read -r target text; do printf '  make %-12s %s\n' "$$target" "$$text"; done
	@echo
	@echo "ARGS='…' is passed on: make demo ARGS=--help, make test ARGS='-k drain', make devcluster ARGS=--help"

# --- the environment -------------------------------------------------------------------------------------------------

.PHONY: setup
setup: $(PROJECT) ## make .venv with everything in it, as pinned by hash in constraints/ (once; then only what changed)
	@echo "ready: $(VENV) is complete"

# A .venv that is there and works is kept, whoever made it.
$(INTERPRETER):
	@if $(BIN)/python -c '$(USABLE)' 2>/dev/null && $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	    touch $@; \
	else \
	    found=; \
	    for candidate in $(or $(PYTHON),$(PYTHONS)); do \
	        if "$$candidate" -c '$(USABLE)' >/dev/null 2>&1; then found=$$candidate; break; fi; \
	    done; \
	    if [ -z "$$found" ]; then \
	        echo "Springtide needs Python 3.11 or newer with its venv module. Tried: $(or $(PYTHON),$(PYTHONS))." >&2; \
	        echo "Install one (Debian, Ubuntu: apt install python3-venv), or name it: make $(or $(MAKECMDGOALS),setup) PYTHON=/path/to/python3" >&2; \
	        exit 1; \
	    fi; \
	    echo "making $(VENV) with $$("$$found" --version)"; \
	    "$$found" -m venv --clear $(VENV) && touch $@; \
	fi

$(DEPENDENCIES): $(INTERPRETER) constraints/dev.txt
	@echo "installing the pinned dependencies (about 80 wheels, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints/dev.txt
	@touch $@

$(PROJECT): $(DEPENDENCIES) pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# --- what one does with it -------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(PROJECT) ## watch a real control plane grow and shrink (the first run builds it: minutes)
	@$(BIN)/springtide demo $(ARGS)

.PHONY: devcluster
devcluster: $(PROJECT) ## keep a control plane and its cloud up in the foreground; prints the export KUBECONFIG line
	@$(BIN)/python -m devcluster $(ARGS)

.PHONY: test
test: $(PROJECT) ## the quick tests, which need no control plane: unit, scenarios, conformance, short faults
	@$(BIN)/python -m pytest tests --ignore=tests/e2e -m "not e2e and not faults" $(ARGS)

.PHONY: faults
faults: $(PROJECT) ## inject faults for half an hour: killed at every step, stateful stories, soak, the real control plane
	@$(BIN)/python -m devcluster.binary
	@FAULTS_REPORT=build/faults $(BIN)/python -m pytest tests/faults -m faults $(ARGS)

.PHONY: faults-long
faults-long: $(PROJECT) ## the same with larger numbers, for hours
	@$(BIN)/python -m devcluster.binary
	@FAULTS=long FAULTS_REPORT=build/faults $(BIN)/python -m pytest tests/faults -m faults $(ARGS)

.PHONY: conformance
conformance: $(PROJECT) ## compare with recorded answers of kube-scheduler and Cluster Autoscaler; CORPUS=folder for others
	@$(BIN)/python -m tests.conformance.run $(CORPUS) $(ARGS)

.PHONY: e2e
e2e: $(PROJECT) ## end-to-end tests on the real control plane
	@$(BIN)/python -m devcluster.binary
	@$(BIN)/python -m pytest tests/e2e -m e2e $(ARGS)

.PHONY: lint
lint: $(PROJECT) ## formatting, lint, types, layers, drift of generated files, and that the repository stands alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy docs
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/unit/test_docs_drift.py tests/unit/test_docs_stand_alone.py

.PHONY: bench
bench: $(PROJECT) ## plan the peers' workloads, figures side by side; ARGS=all: also on the real control plane
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: profile
profile: $(PROJECT) ## where the time of a pass goes: make profile WORKLOAD=c
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.profiling $(WORKLOAD) $(ARGS)

# --- what is generated and checked in --------------------------------------------------------------------------------

.PHONY: crds
crds: $(PROJECT) ## generate crds/ and all that follows from the models: reference pages, IAM policy
	@$(BIN)/springtide crds --output crds
	@$(BIN)/python docs/generate.py

.PHONY: constraints
constraints: $(INTERPRETER) ## pin the dependencies anew in constraints/ (needs uv; UPGRADE=1 takes the newest versions)
	@constraints/compile $(if $(UPGRADE),--upgrade)

# In an environment of its own: it is no part of what we run or test. Exit 2 where the database cannot be asked.
.PHONY: audit
audit: $(INTERPRETER) ## look up known vulnerabilities of all pinned dependencies (needs network; says so if it could not)
	@if ! build/audit/bin/pip-audit --version >/dev/null 2>&1 || [ constraints/audit.txt -nt build/audit ]; then \
	    $(BIN)/python -m venv --clear build/audit \
	    && build/audit/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints/audit.txt \
	    && touch build/audit; \
	fi || { echo "NOT AUDITED: pip-audit cannot be installed" >&2; exit 2; }
	@build/audit/bin/python constraints/audit.py --pip-audit build/audit/bin/pip-audit \
	    constraints/operator.txt constraints/build.txt constraints/dev.txt constraints/audit.txt

.PHONY: clean
clean: ## remove .venv and all caches of this checkout (a built control plane stays in the user's cache folder)
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
