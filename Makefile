# Everything a learner, a teacher or CI runs. `make help` lists it; .ci/install makes .venv, once.

PY := .venv/bin/python
# Generous, since machines are shared: a cell takes 25 seconds at most on a quiet one, a lesson 60.
NBVAL := RESNET_EDU_BUDGET=600 $(PY) -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=300
LINTED := resnet_edu tests notebooks

.DEFAULT_GOAL := help
.PHONY: help lab test test-all lint notebooks study clean

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

lab: .venv/.lab ## open the course in JupyterLab; installs it first if need be
	@.venv/bin/resnet-edu lab

test: .venv/.test lint ## all that CI runs: linters, tests, the lessons
	@echo "== tests"
	@$(PY) -m pytest tests
	@echo "== lessons: the worked edition whole, the learner's set-up and exercises"
	@$(NBVAL) notebooks

test-all: test ## the same, and the learner's edition whole
	@echo "== lessons: the learner's edition whole"
	@RESNET_EDU_ALL=1 $(NBVAL) notebooks --ignore=notebooks/solutions

lint: .venv/.test ## ruff and pyright
	@echo "== ruff, pyright"
	@$(PY) -m ruff check $(LINTED)
	@$(PY) -m ruff format --check $(LINTED)
	@$(PY) -m pyright

notebooks: .venv/.test ## build the lessons from notebooks/source; executes those that changed
	@$(PY) notebooks/build.py

study: .venv/.lab ## train the recorded studies again (long) and write assets/runs
	@.venv/bin/resnet-edu study

clean: ## remove .venv and everything built, but not the notebooks
	@echo "removing .venv, build, dist and caches"
	@rm -rf .venv build dist .pytest_cache .ruff_cache .hypothesis
	@find resnet_edu tests notebooks -name __pycache__ -prune -exec rm -rf {} +

# Each stamp says that .venv holds what pyproject.toml asks for; the larger one stands for both.
.venv/.lab: pyproject.toml
	@.ci/install .
	@touch $@

.venv/.test: pyproject.toml
	@.ci/install ".[test,dev,docs,workshop]"
	@touch .venv/.lab $@
