# The same tools here as in CI. `make demo` is the place to start.
# Nothing outside this checkout is changed: the environment is .venv/.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.insectary-setup
BENCH := .venv/.insectary-bench

.POSIX:
.PHONY: help setup demo test test-all check format bench lock clean

help:
	@echo "make demo      breed one family, prove it, measure detectors, write a report"
	@echo "make test      the fast and the real tests; names what it left out"
	@echo "make test-all  every test"
	@echo "make check     format, lint, types, import table"
	@echo "make bench     the speed ratios; installs what they compare with"
	@echo "make setup     only the environment (.venv/); every target above does it"
	@echo "make format    rewrite the sources as check wants them"
	@echo "make lock      write requirements.lock from .venv/"
	@echo "make clean     remove .venv/ and caches"

setup: $(STAMP)

# Re-done only when the lock or the package's metadata has changed.
$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo "error: '$(PYTHON)' was not found; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; \
	  exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: insectary needs Python 3.11 or newer, '$(PYTHON)' is $$($(PYTHON) -V 2>&1); name a newer one: make PYTHON=/path/to/python3" >&2; \
	  exit 1; }
	@# A half-made environment (an interrupted first run) is made again.
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo "installing the versions of requirements.lock into .venv/ (a few minutes the first time)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@# The build backend is in the lock: nothing else is downloaded to build the package.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: setup
	$(BIN)/insectary demo

# A file of tests stays on one worker, so that what its tests share is made once. A worker
# computes with one thread: threads of several on the same cores wait for each other.
WORKERS = -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(WORKERS)

test-all: setup
	$(BIN)/python -m pytest -m ""

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Only the benchmarks need what they compare with; no other target installs it. The lock is a
# constraint, so nothing that the tests run on changes.
$(BENCH): $(STAMP)
	@echo "installing what the benchmarks compare with (the extra bench) into .venv/"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --no-build-isolation --editable '.[bench]'
	@touch $(BENCH)

bench: $(BENCH)
	@status=0; for program in benchmarks/*.py; do \
	  echo "== $$program"; \
	  $(BIN)/python "$$program" || status=1; \
	done; exit $$status

# Versions only: which index or build (CPU, CUDA) they come from is pip's own configuration.
# What the extra bench brings is pinned there and left out.
lock: setup
	$(BIN)/python -m pip freeze --all --exclude pip --exclude insectary \
	    --exclude stable-baselines3 --exclude gymnasium --exclude farama-notifications \
	  | sed 's/+[a-z0-9.]*$$//' > requirements.lock

clean:
	rm -rf .venv build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
