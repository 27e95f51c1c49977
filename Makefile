# `make run` and `make test` do everything on a machine with Python 3.11, make and a C compiler.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: run test check slow browser install clean

run: install
	$(BIN)/python run_all.py

test: install
	$(BIN)/python -m pytest -q

slow: install
	$(BIN)/python -m pytest -q -n 0 -m slow

browser: install  # wants Debian's package chromium, or Chromium by another way
	$(BIN)/python -m pytest -q -n 0 -m browser -rs

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) results/.runs results/.corpora results/.mlflow
