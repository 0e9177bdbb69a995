# make demo    environment, installation, images of LiCoO2 from examples/LiCoO2.cif
# make test    environment, lint, types, layers, docs, tests, wheel; GPAW=1 also installs GPAW and forbids skipping
#              the checks against it (default when CI is set)
# Parts:       make lint | types | layers | docs | tests | wheel | gpaw | clean

SHELL := /bin/sh
VENV ?= .venv
PYTHON ?= $(shell sh scripts/find-python.sh)
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt
JOBS ?= 2
ifdef CI
GPAW ?= 1
endif
# One thread per worker: two workers with two BLAS threads each would fight for two cores.
export OMP_NUM_THREADS ?= 1

.PHONY: demo test lint format types layers docs tests wheel gpaw clean
.NOTPARALLEL:

$(VENV)/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || exit 2
	@echo "environment: $(VENV), $(PYTHON) (the first time takes one to three minutes)"
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "environment: tools for tests and documentation"
	@$(PIP) -e '.[dev,docs]'
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/rhotem image examples/LiCoO2.cif --out demo-images
	@echo "The pictures are in $(CURDIR)/demo-images:"
	@ls -1 demo-images/*.png

test: lint types layers docs wheel tests
	@echo "all checks passed"

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

layers: $(VENV)/.installed-dev
	$(BIN)/lint-imports

docs: $(VENV)/.installed-dev
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

ifeq ($(GPAW),1)
tests: gpaw
tests: export RHOTEM_REQUIRE_GPAW = 1
endif
tests: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(JOBS) --durations=10

wheel: $(VENV)/.installed-dev
	@rm -rf build/wheel
	@$(BIN)/python -m pip wheel -qq --disable-pip-version-check --no-deps -w build/wheel .
	$(BIN)/python scripts/check_wheel.py build/wheel/*.whl

gpaw: $(VENV)/.installed-dev
	@sh scripts/install-gpaw.sh $(BIN)/python

clean:
	rm -rf build docs/_build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache demo-images
