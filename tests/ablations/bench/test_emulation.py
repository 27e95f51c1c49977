"""No embedded study emulates its precision; whoever asks for it is told before it trains."""

import re
import shutil
from pathlib import Path

import pytest

from ablations.bench import emulation
from ablations.execution.resources import Means
from ablations.studies.study import available, load_study
from smoe.ops.processor import native_bfloat16
from tests.ablations.conftest import ROOT, run_here

README = (ROOT / "README.md").read_text()
# Every study and where it runs, as the README's table has it.
STUDIES = dict(re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", README, re.MULTILINE))
ASKED = load_study("smoke", overrides=["train.precision=bfloat16"])
SENTENCE = re.compile(r"has no instructions .* ([\d.]+) times .* --set train\.precision=float32\.$")


def test_every_embedded_study_says_where_it_runs():
    assert set(STUDIES) == set(available())
    assert any("cores" in where for where in STUDIES.values())


@pytest.mark.parametrize("name", [name for name, where in STUDIES.items() if "core" in where])
def test_a_study_for_processors_asks_for_what_every_processor_has(name: str):
    """And says so itself: a default may change."""
    assert load_study(name).settings["train"]["precision"] == "float32"


@pytest.mark.parametrize(
    ("study", "means", "native", "told"),
    [
        (ASKED, Means(1), False, True),
        (ASKED, Means(1), True, False),
        (load_study("smoke"), Means(1), False, False),
        (ASKED, Means(1, device="cuda"), False, False),
        (ASKED, Means(1, backend="ray"), False, True),
        (ASKED, Means(1, backend="ray", address="auto"), False, False),
        (ASKED, Means(1, backend="slurm"), False, False),
    ],
)
def test_who_is_told(study, means, native, told, monkeypatch):
    monkeypatch.setattr("smoe.ops.processor.native_bfloat16", lambda: native)
    monkeypatch.setattr(emulation, "emulation_factor", lambda: 7.0)
    sentence = emulation.emulation_warning(study, means)
    assert bool(sentence) == told
    assert sentence is None or SENTENCE.search(sentence)


def test_the_sentence_comes_before_training_which_then_goes_on(
    smoke: Path, tmp_path: Path, monkeypatch
):
    """On a processor with bfloat16 as if it had none; `make test-avx2` lets one emulate it."""
    if native_bfloat16():
        monkeypatch.setattr("smoe.ops.processor.native_bfloat16", lambda: False)
        monkeypatch.setattr(emulation, "emulation_factor", lambda: 7.0)
    shutil.copytree(smoke / ".corpora", tmp_path / ".corpora")
    settings = ("train.precision=bfloat16", "train.steps=1", "test.per_snr=1", "test.clean=0")
    asked = [part for setting in settings for part in ("--set", setting)]
    study = ("run", "--study", "smoke", "--only", "dense", "--no-report")
    finished = run_here(*study, *asked, "--results", tmp_path)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    lines = finished.stdout.splitlines()
    (told,) = [line for line in lines if SENTENCE.search(line)]
    assert float(SENTENCE.search(told)[1]) > 1  # pyright: ignore
    assert lines.index(told) < next(i for i, line in enumerate(lines) if line.startswith("done "))
