# make demo    environment, installation, images of LiCoO2 from examples/LiCoO2.cif
# make test    environment, lint, types, layers, docs, wheel, tests below ten seconds. GPAW=1 and TORCH=1 install these first
#              and forbid skipping what needs them; both are the default when CI is set
# make slow    the tests that make test leaves out, with GPAW and PyTorch, and all tutorials; what lacks a system package
#              (postgresql, chromium) is listed as skipped
# Parts:       make lint | types | layers | docs | tests | notebooks | wheel | gpaw | clean; make format

SHELL := /bin/sh
VENV ?= .venv
PYTHON ?= $(shell sh scripts/find-python.sh)
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt
JOBS ?= 2
ifneq ($(CI)$(filter slow,$(MAKECMDGOALS)),)
GPAW ?= 1
TORCH ?= 1
endif
ifeq ($(TORCH),1)
export RHOTEM_REQUIRE_TORCH = 1
TOOLS := $(VENV)/.installed-dev-training
else
TOOLS := $(VENV)/.installed-dev
endif
ifeq ($(GPAW),1)
export RHOTEM_REQUIRE_GPAW = 1
EXTRA := gpaw
endif

.PHONY: demo test slow lint format types layers docs tests notebooks wheel gpaw clean
# `make test` does two things at once where they wait for nothing; other targets stand in the order in which they are asked for.
ifeq ($(MAKECMDGOALS),test)
MAKEFLAGS += -j$(JOBS)
else
.NOTPARALLEL:
endif

$(BIN)/python:
	@test -n "$(PYTHON)" || exit 2
	@echo "environment: $(VENV), $(PYTHON) (the first time takes one to three minutes)"
	@"$(PYTHON)" -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@$(PIP) -e .
	@touch $@

# Tools for tests and documentation; PyTorch for training and imported networks, SevenNet for relaxation.
$(VENV)/.installed-dev: EXTRAS := dev,docs
$(VENV)/.installed-dev-training: EXTRAS := dev,docs,training,battery
$(VENV)/.installed-dev $(VENV)/.installed-dev-training: pyproject.toml constraints.txt | $(BIN)/python
	@echo "environment: $(EXTRAS)"
	@$(PIP) -e '.[$(EXTRAS)]' -e packages/rhotem-data
	@touch $(VENV)/.installed $(VENV)/.installed-dev $@

demo: $(VENV)/.installed
	$(BIN)/rhotem image examples/LiCoO2.cif --out demo-images
	@echo "The pictures are in $(CURDIR)/demo-images:"
	@ls -1 demo-images/*.png

# In this order: what fails at once comes first, and the tests, which wait for GPAW, begin as early as they can.
test: lint layers tests types docs wheel
	@echo "all checks passed"

slow: export OMP_NUM_THREADS ?= 1
slow: $(TOOLS) $(EXTRA)
	$(BIN)/python -m pytest $(WORKERS) --durations=20 -rs -m slow
	$(BIN)/python scripts/run_notebooks.py

lint: $(TOOLS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(TOOLS)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(TOOLS)
	$(BIN)/mypy

layers: $(TOOLS)
	$(BIN)/lint-imports

docs: $(TOOLS)
	$(BIN)/sphinx-build -q -W -E --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

# One thread per worker: two workers with two BLAS threads each would fight for two cores. Each begins with its half of the tests,
# so that what tests of one file share is made, and kernels are compiled, by one of them.
WORKERS := -n $(JOBS) --dist worksteal
tests: export OMP_NUM_THREADS ?= 1
tests: $(TOOLS) $(EXTRA)
	$(BIN)/python -m pytest $(WORKERS) --durations=10 -m "not slow"

# The tutorials; one of them: make notebooks NOTEBOOKS=docs/tutorials/first-image.ipynb
notebooks: export OMP_NUM_THREADS ?= 1
notebooks: $(TOOLS)
	$(BIN)/python scripts/run_notebooks.py $(NOTEBOOKS)

wheel: $(TOOLS)
	@rm -rf build/wheel
	@for part in . packages/rhotem-data; do $(BIN)/python -m build --outdir build/wheel $$part >/dev/null || exit 1; done
	$(BIN)/python scripts/check_wheel.py build/wheel/rhotem-*.whl

# Compiled on one core for minutes, beside the installation of everything else.
build/gpaw/compiled: scripts/install-gpaw.sh constraints.txt | $(BIN)/python
	@sh scripts/install-gpaw.sh $(BIN)/python compile
	@touch $@

gpaw: build/gpaw/compiled $(TOOLS)
	@sh scripts/install-gpaw.sh $(BIN)/python

clean:
	rm -rf build docs/_build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache demo-images
