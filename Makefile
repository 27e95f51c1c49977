# `make run` and `make test` do everything on a machine with Python 3.11, make and a C compiler.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: run test test-avx2 check slow browser install clean

run: install
	$(BIN)/python run_all.py

test: install
	$(BIN)/python -m pytest -q

# As on a processor without AVX-512 and without bfloat16, which an x86 processor can imitate:
# networks, layers, kernels, training, and a study from the corpus to its tables.
AVX2 = ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2
AVX2_TESTS = tests/smoe/test_processor.py tests/smoe/test_network.py tests/smoe/test_folded.py \
  tests/smoe/test_narrow_conv.py tests/smoe/test_resample.py tests/smoe/test_fused.py \
  tests/smoe/test_complex_nn.py tests/smoe/test_experts.py tests/smoe/test_router.py \
  tests/smoe/test_train.py tests/ablations/test_emulation.py tests/ablations/test_smoke.py \
  tests/ablations/test_bench.py tests/ablations/test_bench_gpu.py

test-avx2: install
	$(AVX2) $(BIN)/python -m pytest -q $(AVX2_TESTS)

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
