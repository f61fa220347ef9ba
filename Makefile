# fercore: `make course` and `make test` are all that is needed; both install first, once.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
PRESET ?= quick
# Threads that wait go to sleep soon: else two programs that compute at once slow each other down thirtyfold.
export GOMP_SPINCOUNT ?= 2000

.DEFAULT_GOAL := help
.PHONY: help course test lab notebooks results bench check clean test-paper gpu

help:  ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Installed again only when pyproject.toml changes: the stamp carries the time of the last success.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("fercore needs Python 3.11 or newer, this is " + sys.version.split()[0] + \
	  "; try: make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else None'
	@echo "Installing into $(VENV): some minutes, once."
	@$(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check -e ".[course,test]"
	@touch $@

course: $(STAMP)  ## run every lesson (PRESET=quick), executed copies in runs/lessons/
	@$(RUN) -m notebooks.tools run --preset $(PRESET)

test: $(STAMP)  ## unit tests, lessons at preset fast, style
	$(RUN) -m pytest

test-paper: $(STAMP)  ## nightly: preset paper of every method on a CPU, some minutes (PAPER_STEPS=100 PAPER_SIZE=48)
	PAPER_STEPS=$${PAPER_STEPS:-100} $(RUN) -m pytest tests/paper

gpu: $(STAMP)  ## ten minutes of a GPU: baseline and the five methods on DATA=data/ferplus at 112 pixels, side by side
	$(RUN) -m notebooks.tools.gpu --data $(or $(DATA),data/ferplus)

lab: $(STAMP)  ## open the lessons in JupyterLab
	$(RUN) -m jupyterlab notebooks

notebooks: $(STAMP)  ## rebuild the committed notebooks, with outputs, from notebooks/src
	$(RUN) -m notebooks.tools build

results: $(STAMP)  ## measure what the README and the lessons show; runs already in notebooks/results are skipped
	$(RUN) -m fercore run --plan notebooks/results/plan.toml
	$(RUN) -m notebooks.tools readme

bench: $(STAMP)  ## what a training step of each method costs beside a plain one
	$(RUN) -m fercore bench baseline cb eac rac_rsl

check: $(STAMP)  ## are the committed notebooks and the README up to date?
	$(RUN) -m notebooks.tools check

clean:  ## remove the environment (runs/ stays)
	rm -rf $(VENV)
