SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help setup fmt lint types layers test coverage test-fast demo simulate mutations chaos chaos-moving bench bench-quick peers numbers model docs docs-serve changelog ci clean

BIN := .venv/bin
export PYTHON

help:  ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## Make .venv with everything in uv.lock (quick when it is there)
	@tools/setup

fmt: setup  ## Format the code and fix what can be fixed by a machine
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

lint: setup  ## All static checks: ruff, format, mypy, layers, purity, names, docstrings, log events, generated docs
	@tools/lint

types: setup  ## mypy --strict
	@$(BIN)/mypy

layers: setup  ## Who may import whom, which modules stay pure, and no name twice
	@tools/lint layers purity names

test: setup  ## All tests but the slow ones (ARGS=… goes to pytest)
	@tools/test $(ARGS)

coverage: setup  ## The same, and which lines they reach; takes half as long again
	@rm -f .coverage .coverage.*
	@tools/test --cov --cov-report=term $(ARGS)

test-fast: setup  ## Unit and property tests
	@$(BIN)/pytest -n 2 -m "not slow" --inline-snapshot=disable $(wildcard tests/unit tests/properties) $(ARGS)

demo: setup  ## See it work: one node, a receiver and 200 jobs
	@$(BIN)/python -m hookline.cli.demo

simulate: setup  ## Deterministic simulation; SEED=7 replays one seed, SEEDS=500 runs that many, PRESET=fleet of one kind
	@$(BIN)/pytest tests/simulation -p no:randomly $(if $(PRESET),--preset=$(PRESET)) $(if $(SEED),--seed=$(SEED)) \
	  $(if $(SEEDS),--seeds=$(SEEDS)) $(ARGS)

mutations: setup  ## Table of the simulation's planted bugs, and which run shows each (ARGS=cluster for one preset)
	@$(BIN)/python -m tests.simulation.hunt $(ARGS)

chaos: setup  ## Every fault on three nodes with real etcd, and docs/reference/chaos.md (ARGS="--only pause", ETCD=3.6.5)
	@$(if $(ETCD),PATH="$$(tools/build-etcd $(ETCD)):$$PATH") $(BIN)/python -m tests.chaos.run $(ARGS)

chaos-moving: setup  ## Kill at every turn while clusters are added and taken out (ARGS="--nodes 1 --rate 100")
	@$(BIN)/python -m tests.chaos.moving $(ARGS)

bench: setup  ## Measure this machine (ARGS=… goes to benchmarks/run.py)
	@$(BIN)/python benchmarks/run.py $(ARGS)

bench-quick: setup  ## Tell in two minutes whether a job costs more CPU than it did; fails on a loss of a quarter
	@$(BIN)/python benchmarks/quick.py $(ARGS)

peers: setup  ## Compare with Celery, BullMQ, River, Restate and others, all set up here (ARGS="--quick --only river")
	@PYTHONPATH=benchmarks $(BIN)/python -m peers.run $(ARGS)

numbers: setup  ## Measure every claim, and write docs/explanation/numbers.md (ARGS=--render writes it only, ARGS=--quick tries it)
	@PYTHONPATH=benchmarks $(BIN)/python -m report.run $(ARGS)

model: setup  ## Simulate up to 1,000 clusters with measured costs (ARGS="--write" fills the page about internet scale)
	@PYTHONPATH=benchmarks $(BIN)/python -m model.run $(ARGS)

docs:  ## Build the documentation into site/
	@tools/setup --docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs-serve:  ## Read the documentation at http://127.0.0.1:8000 while you write it
	@tools/setup --docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --dev-addr 127.0.0.1:8000

changelog: setup  ## What the next release notes will say, from changes/
	@$(BIN)/towncrier build --draft

ci:  ## What the continuous integration runs
	@.ci/run

clean:  ## Remove what was built or cached (.venv stays; remove it by hand)
	@rm -rf site dist .coverage .coverage.* .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	@find src tests tools benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +
