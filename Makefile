# FastTrack. `make` prints what there is. Needs python3 (3.11 or newer) and make, nothing else.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Tests wait for processes and servers half of their time. Each worker has a logical database of the one Valkey, of 16.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(16, 2 * (os.cpu_count() or 1)))')
SOURCES := shared services cli tests bench contracts examples/clients
PACKAGES := shared/fasttrack services/api/fasttrack_api services/scheduler/fasttrack_scheduler \
	services/notifier/fasttrack_notifier cli/fasttrack_cli
# Byte code makes every process start three times faster; some machines turn it off for all.
export PYTHONDONTWRITEBYTECODE =
# Behind a company's proxy the certificates to trust are those of the system.
export UV_SYSTEM_CERTS = 1

.DEFAULT_GOAL := help
.PHONY: help setup run test bench check fix seen stories states schema openapi graphql clients contract migration lock clean

help: ## Print this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## Make the virtual environment and install what the lock file says

$(STAMP): requirements.lock requirements-uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "FastTrack needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Set PYTHON=/path/to/python3.11")'
	@echo "Installing into $(VENV); the first time this takes about half a minute …"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q $(PACKAGES)
	@touch $@

run: $(STAMP) ## Run the fine-tuning example for real, with a live view
	@$(BIN)/fasttrack run examples/finetune.yaml --wait

.PHONY: demo-cluster
demo-cluster: $(STAMP) ## Run a pipeline on four kinds of accelerator of a stand-in for a Backend.AI cluster
	@$(BIN)/python infra/backendai-standin/demo.py $(if $(GENERATION),--generation $(GENERATION))

test: $(STAMP) ## Run every test on the real servers
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -q

bench: $(STAMP) ## Measure how fast it is, beside the floor; writes docs/capabilities/performance.md
	@$(BIN)/python -m bench --markdown docs/capabilities/performance.md

.PHONY: chaos
chaos: $(STAMP) ## Kill schedulers, the database and Valkey for two minutes while jobs run, and look for damage
	@$(BIN)/python -m tests.chaos

.PHONY: test-backendai
test-backendai: $(STAMP) ## Hold the backend to its contract on a real cluster: make test-backendai CLUSTER=cluster.json
	@test -s "$(CLUSTER)" || { echo "CLUSTER=cluster.json must name the description of a running cluster"; exit 2; }
	@BACKENDAI_TEST_CLUSTER=$(abspath $(CLUSTER)) $(BIN)/python -m pytest -q -p no:randomly --timeout 1200 --durations=0 \
		tests/contracts tests/scheduler/backend_ai/test_stories.py

simulate: $(STAMP) ## Run many worlds in which everything goes wrong: make simulate SEEDS=2000
	@$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),200)

mutants: $(STAMP) ## Take one safeguard out after the other; the simulation must notice each
	@$(BIN)/python -m tests.mutants

seen: $(STAMP) ## Use the API's pages in a real Chromium, where there is one, and leave pictures in seen/
	@$(BIN)/python -m tests.seen

stories: $(STAMP) ## Run the tests that read like a tutorial
	@$(BIN)/python -m pytest tests/stories -v

check: $(STAMP) ## Format, lint, types, import contracts, generated files, size budgets
	@$(BIN)/ruff format --check --quiet $(SOURCES) || { echo "run make fix"; exit 1; }
	@$(BIN)/ruff check --quiet $(SOURCES)
	@$(BIN)/mypy
	@MYPYPATH=examples/clients/python $(BIN)/mypy --strict examples/clients contracts infra/backendai-standin/standin
	@$(BIN)/lint-imports --no-cache > $(VENV)/imports.txt 2>&1 || { cat $(VENV)/imports.txt; exit 1; }
	@grep "^Contracts:" $(VENV)/imports.txt
	@$(BIN)/python -m contracts
	@$(BIN)/python -m pytest tests/architecture -q

fix: $(STAMP) ## Format, and repair what the linter can
	@$(BIN)/ruff format --quiet $(SOURCES)
	@$(BIN)/ruff check --quiet --fix $(SOURCES)

states: $(STAMP) ## Print docs/states.md from the state table
	@$(BIN)/python -m fasttrack.domain.states > docs/states.md

schema: $(STAMP) ## Print docs/pipeline.schema.json from the models
	@$(BIN)/python -m fasttrack.spec.schema > docs/pipeline.schema.json

openapi: $(STAMP) ## Print docs/openapi.json from the routes
	@$(BIN)/python -m fasttrack_api.app > docs/openapi.json

graphql: $(STAMP) ## Print schema.graphql from the types
	@$(BIN)/python -m fasttrack_api.graphql.printing > schema.graphql

clients: $(STAMP) ## Print the TypeScript client's operations from schema.graphql
	@$(BIN)/python examples/clients/typescript/generate.py > $(VENV)/operations.ts
	@cp $(VENV)/operations.ts examples/clients/typescript/operations.ts

contract: $(STAMP) ## Take the API as it is as the contract: make contract VERSION=0.2.0
	@$(BIN)/python -m contracts $(if $(VERSION),release $(VERSION),baseline)

migration: $(STAMP) ## Write a migration from the difference to the tables: make migration name="what it does"
	@$(BIN)/python -m tests.make_migration "$(name)"

lock: ## Resolve the pinned dependencies anew
	@$(BIN)/uv pip compile pyproject.toml --quiet --all-extras --group dev --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --universal --python-version 3.11 --output-file requirements.lock

clean: ## Remove the virtual environment and caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis
