# `make train` and `make test` need python3 (3.11 or later) and nothing else: each sets up .venv first, when it has to.
PYTHON ?= python3
# What `make train` runs: any words of `rlzoo train`.
ARGS ?= algo=ppo env=CartPole
# Test processes at once: one more than two cores, as many tests wait for processes, signals and servers.
JOBS ?= 3
# The versions to install; /dev/null takes the newest that pyproject.toml allows.
CONSTRAINTS ?= constraints.txt
# TORCH_INDEX=cpu also looks at PyTorch's own index of CPU builds (a tenth of the size of the CUDA build for Linux).
TORCH_INDEX ?=

VENV := .venv
BIN := $(VENV)/bin
TRAIN_EXTRAS := box2d,video,hub,plot
TEST_EXTRAS := box2d,mujoco,video,hub,plot,display,ray,slurm,wandb,trackio,tune,postgresql,grpc,dashboard,profile,dev
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint $(CONSTRAINTS)
TORCH_FLAGS := $(if $(filter cpu,$(TORCH_INDEX)),--extra-index-url https://download.pytorch.org/whl/cpu)
# The thousand processes that tests start find rlzoo compiled, else each takes a third of a second longer; modules that
# tests write are not, as a second one of the same size within the same second would not be noticed.
PYTEST := $(BIN)/python -m compileall -q rlzoo && PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)

.DEFAULT_GOAL := help
.PHONY: help setup train test test-slow faults lint format type layers wheel validate signatures docs bench bars clean ci

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.test ## .venv with everything that training, testing and developing need
	@:

train: $(VENV)/.train ## train an agent: make train ARGS="algo=dqn env=SpaceInvaders"
	@$(BIN)/rlzoo train $(ARGS)

test: $(VENV)/.test ## the tests
	@$(PYTEST)

test-slow: $(VENV)/.test ## the tests that take longer
	@$(PYTEST) -m "slow and not gpu"

faults: $(VENV)/.test ## real faults in full number, an hour or more; writes benchmarks/results/faults.json
	@$(PYTEST) tests/faults --faults=full --timeout=3600 -m "not gpu"

lint: $(VENV)/.test ## ruff: rules and format
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

format: $(VENV)/.test ## let ruff fix what it can
	@$(BIN)/ruff check --fix-only
	@$(BIN)/ruff format

type: $(VENV)/.test ## mypy
	@$(BIN)/mypy

layers: $(VENV)/.test ## import-linter: who may import whom
	@$(BIN)/lint-imports --no-logo

wheel: $(VENV)/.test ## build the wheel, install it into a clean environment, use it from an empty folder
	@.ci/wheel $(BIN)/python

validate: $(VENV)/.train ## check every shipped configuration file, and that every environment was played at random
	@$(BIN)/rlzoo validate
	@$(BIN)/python -m rlzoo.envs.compile_baselines --check

signatures: $(VENV)/.test ## compile the tables of algorithm keywords and tuned ranges, and the YAML of our own algorithms
	@$(BIN)/python -m rlzoo.algos.schema.compile

docs: $(VENV)/.test ## write docs/algorithms/ from docstrings, conf/algo/ and the measured curves
	@$(PIP) matplotlib
	@$(BIN)/python docs/build.py

bench: $(VENV)/.train ## speed beside rl_zoo3, best with nothing beside it: make bench ARGS="'256 steps' --repeats 5"
	@$(BIN)/python -m benchmarks speed $(if $(filter command line environment,$(origin ARGS)),$(ARGS))

bars: $(VENV)/.train ## train towards the course's bars, hours: make bars ARGS="unit1_lunarlander --seeds 100"
	@$(BIN)/python -m benchmarks.course_bars $(if $(filter command line environment,$(origin ARGS)),$(ARGS))

clean: ## remove what was built and cached (not .venv, not runs)
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find rlzoo tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

ci: ## everything a change must pass
	@.ci/run

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "rlzoo needs Python 3.11 or later, and $(PYTHON) is %s. Name another: make PYTHON=python3.12 ..." % sys.version.split()[0])'
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)

# torch has a pip command of its own: a build that is there already, for a CPU or a GPU, is kept.
$(VENV)/.train: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing rlzoo with $(TRAIN_EXTRAS); the first time this takes some minutes"
	@$(PIP) $(TORCH_FLAGS) torch
	@$(PIP) --editable ".[$(TRAIN_EXTRAS)]"
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing rlzoo with $(TEST_EXTRAS); the first time this takes some minutes"
	@$(PIP) $(TORCH_FLAGS) torch
	@$(PIP) --editable ".[$(TEST_EXTRAS)]"
	@touch $@ $(VENV)/.train
