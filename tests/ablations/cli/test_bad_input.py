"""What a user may get wrong: one sentence with the remedy, no traceback, exit status 2."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.ablations.conftest import run_here

CASES = {
    "unknown study": (["run", "--study", "smok"], 'did you mean "smoke"'),
    "unknown cell": (
        ["run", "--only", "EMBDL.multi.supervised.globl"],
        'did you mean "EMBDL.multi',
    ),
    "misspelt setting": (["run", "--set", "train.step=3"], 'did you mean "train.steps"'),
    "impossible setting": (["run", "--set", "train.steps=0"], "train.steps"),
    "no such corpus": (["run", "--study", "smoke", "--data", "/nowhere"], "/nowhere"),
    "unknown device": (["run", "--device", "gpu"], "auto, cpu or cuda"),
    "unknown backend": (["run", "--backend", "lokki"], "loky or ray"),
    "no results yet": (["report", "--study", "quick"], "quick"),
    "no network yet": (["enhance", "in.wav", "out.wav"], "run the study first"),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_one_sentence_and_status_2(case: str, tmp_path: Path):
    arguments, message = CASES[case]
    finished = run_here(*arguments, "--results", tmp_path)
    assert finished.returncode == 2
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr
    assert len(finished.stderr.strip().splitlines()) == 1


def test_a_misspelt_option_is_answered_with_the_nearest():
    finished = run_here("run", "--stdy", "smoke")
    assert finished.returncode == 2
    assert "--study" in finished.stderr


@pytest.mark.parametrize("content", ["silent", "short", "nan", "text", "absent"])
def test_a_recording_that_cannot_be_enhanced_is_refused_by_name(
    content: str, smoke: Path, tmp_path: Path
):
    path = tmp_path / "noisy.wav"
    waves = {"silent": np.zeros(16_000), "short": np.ones(1_600), "nan": np.full(16_000, np.nan)}
    if content in waves:
        soundfile.write(path, waves[content], 16_000, subtype="FLOAT")
    elif content == "text":
        path.write_text("not audio")
    out = tmp_path / "out.wav"
    finished = run_here("enhance", path, out, "--study", "smoke", "--results", smoke)
    assert finished.returncode == 2
    assert "noisy.wav" in finished.stderr
    assert not out.exists()


def test_an_unwritable_results_folder_is_named():
    finished = run_here("run", "--study", "smoke", "--results", "/proc/results")
    assert finished.returncode == 2
    assert "/proc/results" in finished.stderr
    assert "--results" in finished.stderr
