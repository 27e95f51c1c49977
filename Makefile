# `make run` and `make test` do everything on a machine with Python 3.11, make and a C compiler.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: run test test-avx2 check slow browser install clean

run: install
	$(BIN)/python run_all.py

test: install
	$(BIN)/python -m pytest -q

# As on a processor without AVX-512 and without bfloat16, which an x86 processor can imitate: what
# the processor's own instructions compute, from layers to a study with its bundle. Left out is what
# does not depend on them, as processes, files, and shapes.
AVX2 = ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2
STUDY = tests/ablations/test_smoke.py::test
AVX2_TESTS = tests/smoe/network/test_unet.py tests/smoe/ops/test_folded.py \
  tests/smoe/ops/fused/test_narrow_conv.py tests/smoe/ops/fused/test_resample.py \
  tests/smoe/ops/fused/test_fused.py tests/smoe/network/test_complex_layers.py \
  tests/smoe/network/test_experts.py tests/smoe/network/test_router.py \
  tests/smoe/training/test_train.py tests/ablations/bench/test_emulation.py \
  tests/ablations/bench/test_benchmark.py \
  $(STUDY)_every_cell_and_the_unprocessed_input_are_in_the_bundle \
  $(STUDY)_every_metric_of_every_utterance_is_there_or_says_why_not \
  $(STUDY)_enhance_writes_a_file_of_the_same_length
AVX2_LEFT_OUT = not all_cells_build and not needs_torch_alone and not way_of_the_gpu

test-avx2: install
	$(AVX2) $(BIN)/python -m pytest -q -k "$(AVX2_LEFT_OUT)" $(AVX2_TESTS)

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
