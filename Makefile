# Everything a person or CI does with a checkout. Packages live in $(VENV); stamps inside it remember which requirements
# it holds, so that nothing is installed twice and nothing is forgotten after a pull.

VENV ?= .venv
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3,$(shell command -v $(name))))
STUDIES ?= studies
MODEL ?= sample_data/demo_model
PORT ?= 8000
JOBS ?= $(shell nproc)
ARGS ?=
LABEL_MAPS ?= label_maps
HC18 ?= hc18

BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

# Nothing here has a screen, and nothing may look for a model on the network.
export MPLBACKEND ?= Agg
export QT_QPA_PLATFORM ?= offscreen
export VTK_DEFAULT_OPENGL_WINDOW ?= vtkEGLRenderWindow
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false
# Some containers set it: then each of the many processes that tests start would compile the project anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo serve view screenshots demo-model evaluate-demo demo-card lint test clean

help:  ## Show what there is
	@echo "usage: make TARGET [ARGS='...']"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMPS)/server  ## Install server, command line and samples into .venv

demo: install  ## Ask a real chest CT and a real brain MRI, then keep serving (ARGS=--once: stop after asking)
	$(BIN)/medsight demo --studies $(STUDIES) --model $(MODEL) $(ARGS)

serve: install  ## Serve the studies folder on 127.0.0.1 (STUDIES=..., MODEL=..., PORT=...)
	$(BIN)/medsight serve --studies $(STUDIES) --model $(MODEL) --port $(PORT) $(ARGS)

view: $(STAMPS)/view  ## Ask in a page in the browser, without 3D Slicer (ARGS='--server http://...')
	$(BIN)/medsight view --studies $(STUDIES) --model $(MODEL) $(ARGS)

screenshots: $(STAMPS)/dev  ## Take the documentation's pictures anew (needs Chromium)
	$(BIN)/python tests/slicer/render_panel.py docs/images --studies $(STUDIES) --model $(MODEL)
	$(BIN)/python tests/slicer/render_worklist.py docs/images/slicer-worklist.png $(MODEL) $(STUDIES)/ct-chest.nrrd
	$(BIN)/python tests/viewer/take_screenshot.py docs/images/viewer.png --studies $(STUDIES) --model $(MODEL)

# Large maps are taken and given back at every step: without these settings glibc asks the system for each of them.
demo-model: $(STAMPS)/server  ## Train the shipped model anew, two to three hours on two cores (LABEL_MAPS=..., HC18=...)
	MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184 GOMP_SPINCOUNT=0 OMP_WAIT_POLICY=PASSIVE \
	  $(BIN)/python -m sample_data.make_demo_model --labels $(LABEL_MAPS) --fetal $(HC18) --studies $(STUDIES) $(ARGS)

evaluate-demo: $(STAMPS)/server  ## Examine the shipped model on subjects it never saw (LABEL_MAPS=..., HC18=..., MODEL=...)
	$(BIN)/python -m benchmarks.demo --model $(MODEL) --labels $(LABEL_MAPS) --fetal $(HC18) --studies $(STUDIES) $(ARGS)

demo-card: $(STAMPS)/server  ## Write the shipped model's card from what evaluate-demo measured (MODEL=...)
	$(BIN)/python -m sample_data.demo_card --model $(MODEL) $(ARGS)

lint: $(STAMPS)/dev  ## Check style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Several processes of one thread each: what the tests run is too small to share.
test: lint  ## Lint, then run the tests (ARGS='-k client' goes to pytest)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

clean:  ## Remove caches and what demo wrote; .venv and studies stay
	rm -rf build dist demo *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf

$(STAMPS)/venv:
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' \
	  || { echo "MedSIGHT's pinned packages need Python 3.11 or 3.12: install one and run make PYTHON=/path/to/it." >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) \
	  || { echo "Python's venv module is incomplete: on Debian run 'apt-get install python3-venv'." >&2; exit 1; }
	@mkdir -p $(STAMPS) && touch $@

# pip compiles one file after another, all cores do it afterwards. What was written for other Pythons does not compile.
$(STAMPS)/server: requirements/server.txt requirements/no-deps.txt pyproject.toml $(STAMPS)/venv
	@echo "Installing server packages into $(VENV) (once, some minutes) ..."
	@$(PIP) --no-compile -r requirements/server.txt
	@$(PIP) --no-deps -r requirements/no-deps.txt
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1 || true
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(STAMPS)/view: requirements/view.txt $(STAMPS)/server
	@echo "Installing the page's packages into $(VENV) (once, a minute) ..."
	@$(PIP) -r requirements/view.txt
	@touch $@

$(STAMPS)/dev: requirements/dev.txt requirements/view.txt requirements/scale.txt $(STAMPS)/server
	@echo "Installing test packages into $(VENV) (once, some minutes) ..."
	@$(PIP) -r requirements/dev.txt
	@touch $@
