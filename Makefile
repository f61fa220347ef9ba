# fercore: `make course` and `make test` are all that is needed; both install first, once.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
PRESET ?= quick
START = runs/landmarks-clean-quick-$$seed/model.safetensors
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
	$(RUN) -m fercore run --methods baseline --conditions clean,noise:0.3,imbalance:100,labels:100 --seeds 0,1,2
	$(RUN) -m fercore run --methods baseline --weights none --conditions clean,noise:0.3,imbalance:100,labels:100 --seeds 0,1,2
	$(RUN) -m fercore run --methods baseline,rac_rsl --conditions imbalance:100 --seeds 0,1,2,3,4
	$(RUN) -m fercore run --methods cb,eac --conditions imbalance:100 --seeds 0,1,2
	$(RUN) -m fercore run --methods baseline,scn,dmue,ada_df,la_net --conditions noise:0.3 --seeds 0,1,2,3,4
	$(RUN) -m fercore run --methods baseline,scn,dmue,ada_df,la_net --conditions noise:0.3+labels:1500 --seeds 0,1,2,3,4
	$(RUN) -m fercore run --methods baseline,ada_df,la_net --conditions clean,noise:0.1,noise:0.2 --seeds 0,1,2
	$(RUN) -m fercore run --methods scn,dmue --conditions noise:0.1,noise:0.2 --seeds 0,1,2
	$(RUN) -m fercore run --methods baseline,dmue --conditions labels:1500 --seeds 0,1,2
	for change in omega=0 gamma=0 confidence=False mining=LD-A "confidence=False omega=0 gamma=0" \
	  "confidence=False gamma=0" "confidence=False omega=0" "omega=0 gamma=0"; do $(RUN) -m fercore run --methods dmue \
	  --conditions noise:0.3+labels:1500 --seeds 0,1,2 --settings $$change || exit 1; done
	$(RUN) -m fercore run --methods dmue --conditions noise:0.3+labels:1500 --seeds 0,1,2,3,4 --settings gamma=10000
	$(RUN) -m fercore run --methods baseline,la_net --conditions annotators:A+B --seeds 0,1,2
	for parts in LD LD+LM LD+LM+EL "LD+LM alpha=0"; do $(RUN) -m fercore run --methods la_net --conditions noise:0.3 \
	  --seeds 0,1,2 --settings components=$$parts || exit 1; done
	for target in class label; do $(RUN) -m fercore run --methods ada_df --conditions clean --seeds 0,1,2 \
	  --settings target=$$target || exit 1; done
	$(RUN) -m fercore run --methods fixmatch,leaf --conditions labels:100 --seeds 0,1,2
	for seed in 0 1 2 3 4; do \
	  $(RUN) -m fercore run --methods landmarks --conditions clean --seeds $$seed && \
	  { test -f $(START) || $(RUN) -m fercore train landmarks --seed $$seed; } && \
	  $(RUN) -m fercore run --methods baseline,fixmatch,leaf --conditions labels:100 --seeds $$seed \
	  --weights $(START) --variant weights=landmarks || exit 1; done
	for seed in 0 1 2; do $(RUN) -m fercore run --methods baseline,fixmatch,leaf --conditions labels:200,labels:400 \
	  --seeds $$seed --weights $(START) --variant weights=landmarks || exit 1; done
	for seed in 0 1 2; do for change in "semantic=False instance=False" semantic=False instance=False consistency=none \
	  consistency=cross_entropy; do $(RUN) -m fercore run --methods leaf --conditions labels:100 --seeds $$seed \
	  --weights $(START) \
	  --settings $$change --variant "weights=landmarks,$$(echo $$change | tr ' ' ,)" || exit 1; done; done
	for seed in 0 1 2; do $(RUN) -m fercore run --methods fixmatch --conditions labels:100 --seeds $$seed \
	  --weights $(START) --settings semantic=True instance=True \
	  --variant weights=landmarks,semantic=True,instance=True || exit 1; done
	for expert in linear bottleneck; do $(RUN) -m fercore run --methods leaf --conditions labels:100 --seeds 0 \
	  --weights runs/landmarks-clean-quick-0/model.safetensors --settings expert=$$expert \
	  --variant weights=landmarks,expert=$$expert || exit 1; done
	$(RUN) -m fercore run --methods pseudo_label,mean_teacher,uda,flexmatch,adacm --conditions labels:100 --seeds 0 \
	  --weights runs/landmarks-clean-quick-0/model.safetensors --variant weights=landmarks
	$(RUN) -m notebooks.tools readme

bench: $(STAMP)  ## what a training step of each method costs beside a plain one
	$(RUN) -m fercore bench baseline cb eac rac_rsl

check: $(STAMP)  ## are the committed notebooks and the README up to date?
	$(RUN) -m notebooks.tools check

clean:  ## remove the environment (runs/ stays)
	rm -rf $(VENV)
