# Every target makes .venv when it is missing or out of date; `make demo` and `make test` need nothing before them.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
    command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=

.PHONY: setup demo up test test-faults bench lint clean

setup: $(STAMP)

$(STAMP): pyproject.toml requirements.lock
	@test -n "$(PYTHON)" || { echo "Earshot needs Python 3.11, 3.12 or 3.13 (or say PYTHON=/path/to/python)"; exit 1; }
	@echo "installing into $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

demo: $(STAMP)
	@$(BIN)/earshot demo $(ARGS)

up: $(STAMP)
	@$(BIN)/earshot up $(ARGS)

test: $(STAMP)
	@$(BIN)/python -m pytest $(ARGS)

test-faults: $(STAMP)
	@N=$(or $(N),100) SEED=$(or $(SEED),1) BROKER=$(or $(BROKER),redis) $(BIN)/python -m pytest tests/faults $(ARGS)

bench: $(STAMP)
	@$(BIN)/python -m benchmarks $(ARGS)

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
