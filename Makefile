# The commands of epsball. `make` lists them; the README explains them.
.DEFAULT_GOAL := help
.PHONY: help repro look test experiment ui compare verify clean venv peers known-experiment without-git
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
# Stages start as `python -m pipeline ...`: it must be the one with everything installed.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true
export MPLBACKEND := Agg

NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
# The first that runs and is new enough; PYTHON=/path/to/python chooses another.
PYTHON ?= $(shell for name in python3.12 python3.11 python3 python; do \
	$$name -c '$(NEW_ENOUGH)' 2>/dev/null \
	&& { echo $$name; break; }; done)

# EXPERIMENT=mnist means the folder experiments/mnist; without it the top level is meant.
EXPERIMENT ?=
HERE := $(if $(filter-out default,$(EXPERIMENT)),experiments/$(EXPERIMENT)/)
PARAMS := $(HERE)params.yaml

# Stages that run at once; as many as there are cores for, if not given.
JOBS ?=

# Wheels of torch for another device, e.g. TORCH_INDEX=<the index of CPU builds>.
TORCH_INDEX ?=
INSTALL := -e '.[pipeline,test]' -c constraints.txt \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "  EXPERIMENT=mnist with repro, compare or verify: the experiment in experiments/mnist"
	@echo "  JOBS=1 with repro: one stage after another; else as many as there are cores for"
	@echo "  PYTHON=... the Python to make $(VENV) with; TORCH_INDEX=... an index of torch builds"

repro: known-experiment $(VENV)/.ready without-git ## Run what has changed, then say what was found
	@$(BIN)/python -m pipeline repro --params $(PARAMS) $(if $(JOBS),--jobs $(JOBS))
	@$(BIN)/python -m pipeline summary --params $(PARAMS)
	@$(BIN)/python -m pipeline index

look: $(VENV)/.ready ## One network, one picture, in half a minute; or IMAGE=photo.jpg TO=broccoli
	@$(BIN)/python -m pipeline look \
		$(if $(IMAGE),--image "$(IMAGE)") $(if $(TO),--to "$(TO)") \
		$(if $(WEIGHTS),--weights "$(WEIGHTS)") $(if $(EPS),--eps "$(EPS)")

experiment: $(VENV)/.ready ## Start a new experiment: NAME=mine FROM=mnist
	@test -n "$(NAME)" || { echo "usage: make experiment NAME=mine [FROM=mnist]" >&2; exit 2; }
	@$(BIN)/python -m pipeline experiment "$(NAME)" --from "$(or $(FROM),default)"

compare: known-experiment $(VENV)/.ready ## Say what has changed since BASE=<Git revision or folder>
	@test -n "$(BASE)" || { echo "usage: make compare BASE=<Git revision or folder>" >&2; exit 2; }
	@$(BIN)/python -m pipeline compare --params $(PARAMS) --base "$(BASE)"

verify: known-experiment $(VENV)/.ready ## Check every stored adversarial image again
	@$(BIN)/python -m pipeline verify --params $(PARAMS)

ui: $(VENV)/.ready ## Open the results in MLflow (it needs about 20 s to start)
	@echo "In half a minute: http://127.0.0.1:5000/#/experiments?workflowType=machine_learning"
	@$(BIN)/mlflow ui --workers 1 \
		--backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///$(CURDIR)/mlflow.db}"

test: $(VENV)/.ready ## Check style, types and behaviour
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile
	@test ! -x $(PEERS)/bin/python \
		|| OMP_NUM_THREADS=1 $(PEERS)/bin/python -m pytest tests/test_peers.py

clean: ## Remove caches, unfinished work and seeds kept apart; results and data stay
	@rm -rf .pytest_cache .mypy_cache .ruff_cache build dist epsball.egg-info
	@rm -rf .work experiments/*/.work .kept experiments/*/.kept
	@find attacks models pipeline tests -name __pycache__ -type d -prune -exec rm -rf {} +

venv: $(VENV)/.ready ## Install everything into .venv (the others do so by themselves)

# The attack libraries that ours is compared with. They see torch in .venv, and come without their
# other dependencies: torchattacks pins a `requests` of 2020.
PEERS := .venv-peers
PEER_PACKAGES := foolbox==3.3.4 eagerpy==0.30.0 torchattacks==3.5.1 \
	adversarial-robustness-toolbox==1.20.1
SITE := -c 'import sysconfig; print(sysconfig.get_path("purelib"))'

peers: $(VENV)/.ready ## Install foolbox, torchattacks and ART into .venv-peers, for benchmarks/
	@$(BIN)/python -m venv --without-pip $(PEERS)
	@$(BIN)/python $(SITE) > "$$($(PEERS)/bin/python $(SITE))/epsball.pth"
	@if command -v uv >/dev/null; then \
		uv pip install --quiet --python $(PEERS)/bin/python --no-deps $(PEER_PACKAGES); \
	else \
		$(BIN)/python -m pip --python $(PEERS)/bin/python install --quiet \
			--disable-pip-version-check --no-deps $(PEER_PACKAGES); \
	fi

# Written last: an installation that was interrupted starts again.
$(VENV)/.ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" && "$(PYTHON)" -c '$(NEW_ENOUGH)' \
		2>/dev/null || { \
		echo "epsball needs Python 3.11 or newer, and found none." >&2; \
		echo "Install it, or name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; \
		exit 2; }
	@echo "Installing into $(VENV) (some minutes the first time; torch is large) ..."
	@if command -v uv >/dev/null; then \
		{ $(BIN)/python -c '$(NEW_ENOUGH)' 2>/dev/null \
			|| uv venv --quiet --clear --python "$(PYTHON)" $(VENV); } \
		&& uv pip install --quiet --python $(BIN)/python \
			$(if $(TORCH_INDEX),--index-strategy unsafe-best-match) $(INSTALL); \
	else \
		"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
			echo "$(PYTHON) cannot make virtual environments." >&2; \
			echo "On Debian and Ubuntu install the missing part: apt install python3-venv" >&2; \
			exit 2; }; \
		{ $(BIN)/python -c 'import pip; $(NEW_ENOUGH)' 2>/dev/null \
			|| "$(PYTHON)" -m venv --clear $(VENV); } \
		&& $(BIN)/python -m pip install --quiet --disable-pip-version-check $(INSTALL); \
	fi
	@touch $@

known-experiment:
	@test -f "$(PARAMS)" || { \
		echo "EXPERIMENT=$(EXPERIMENT): there is no $(PARAMS); there are:" \
			"default $(notdir $(patsubst %/params.yaml,%,$(wildcard experiments/*/params.yaml)))" >&2; \
		exit 2; }

# DVC looks for a Git repository unless it is told that there is none (an unpacked archive).
without-git: $(VENV)/.ready
	@test -e .git || git rev-parse --git-dir >/dev/null 2>&1 \
		|| grep -qs no_scm .dvc/config.local || $(BIN)/dvc config --quiet --local core.no_scm true
