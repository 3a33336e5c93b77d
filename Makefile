# Everything a learner, a teacher or CI runs. `make help` lists it; .ci/install makes .venv, once.

PY := .venv/bin/python
# Generous, since machines are shared: a cell takes 25 seconds at most on a quiet one, a lesson 60.
NBVAL := RESNET_EDU_BUDGET=600 $(PY) -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=600 --durations=10
# A file of tests, or a lesson, is one process's; with one thread each, two processes take half the time.
JOBS ?= 2
SHARED := -n $(JOBS) --dist loadfile
LINTED := resnet_edu tests notebooks docs deploy assets
SPELLED := resnet_edu tests notebooks/source docs assets/weights .ci .github $(wildcard deploy) $(wildcard *.md) Makefile pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help lab test test-all test-oldest lint audit notebooks site wheel class study clean

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

lab: .venv/.lab ## open the course in JupyterLab; installs it first if need be
	@echo "The course's other commands: .venv/bin/resnet-edu --help"
	@.venv/bin/resnet-edu lab

test: .venv/.test lint ## all that CI runs: linters, tests, the lessons
	@echo "== tests"
	@test ! -x .ci/proxy || .ci/proxy
	@OMP_NUM_THREADS=1 $(PY) -m pytest tests $(SHARED) --durations=10 --junitxml=build/tests.xml
	@echo "== lessons: the worked edition whole, the learner's set-up and exercises"
	@OMP_NUM_THREADS=1 $(NBVAL) $(SHARED) notebooks

test-all: test ## the same, and the learner's edition whole
	@echo "== lessons: the learner's edition whole"
	@OMP_NUM_THREADS=1 RESNET_EDU_ALL=1 $(NBVAL) $(SHARED) notebooks --ignore=notebooks/solutions

test-oldest: ## the tests with the oldest torch and torchvision allowed, in .venv-oldest
	@VENV=.venv-oldest PIP_CONSTRAINT=.ci/oldest.txt .ci/install ".[lab,test,dev,docs,workshop]"
	@OMP_NUM_THREADS=1 .venv-oldest/bin/python -m pytest tests $(SHARED)

lint: .venv/.test ## ruff, codespell and pyright
	@echo "== ruff, codespell, pyright"
	@$(PY) -m ruff check $(LINTED)
	@$(PY) -m ruff format --check $(LINTED)
	@$(PY) -m codespell_lib $(SPELLED)
	@$(PY) -m pyright

audit: .venv/.test ## ask pip-audit about known weaknesses of what is installed; needs the network
	@$(PY) -m pip_audit --local --skip-editable

notebooks: .venv/.test ## build the lessons from notebooks/source; executes those that changed
	@$(PY) notebooks/build.py

site: .venv/.test ## build the site, build/site: worked lessons, reference, results, guides
	@$(PY) docs/site/build.py

wheel: .venv/.lab ## build the wheel to hand out, in dist: course, weights and the script that shows slides
	@.ci/reveal || .venv/bin/resnet-edu fetch reveal.js
	@$(PY) -m pip wheel --disable-pip-version-check --quiet --no-deps --wheel-dir dist .
	@ls dist/resnet_edu-*.whl

class: .venv/.test ## try a class's JupyterHub on this machine: http://127.0.0.1:8000
	@.ci/proxy
	@mkdir -p build/class
	@cd build/class && PATH="$(CURDIR)/build/proxy/node_modules/.bin:$$PATH" "$(CURDIR)/.venv/bin/jupyterhub" -f "$(CURDIR)/deploy/demo_config.py"

study: .venv/.lab ## train the recorded studies again (long) and write assets/runs
	@.venv/bin/resnet-edu study

clean: ## remove .venv and everything built, but not the notebooks
	@echo "removing .venv, build, dist and caches"
	@rm -rf .venv .venv-oldest build dist .pytest_cache .ruff_cache .hypothesis
	@find resnet_edu tests notebooks -name __pycache__ -prune -exec rm -rf {} +

# Each stamp says that .venv holds what pyproject.toml asks for; the larger one stands for both.
.venv/.lab: pyproject.toml
	@.ci/install ".[lab]"
	@touch $@

.venv/.test: pyproject.toml
	@.ci/install ".[lab,test,dev,docs,workshop]"
	@.ci/reveal || echo "Slides will not be tested in a browser."
	@touch .venv/.lab $@
