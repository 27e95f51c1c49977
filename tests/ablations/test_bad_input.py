"""What a user may get wrong: one sentence with the remedy, no traceback, exit status 2."""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import run_all

CASES = {
    "unknown study": (["run", "--study", "smok"], 'did you mean "smoke"'),
    "unknown cell": (["explain", "EMBDL.multi.supervised.globl"], 'did you mean "EMBDL.multi'),
    "misspelt setting": (["run", "--set", "train.step=3"], 'did you mean "train.steps"'),
    "impossible setting": (["run", "--set", "train.steps=0"], "train.steps"),
    "no such corpus": (["run", "--study", "smoke", "--data", "/nowhere"], "/nowhere"),
    "unknown device": (["run", "--device", "gpu"], "auto, cpu or cuda"),
    "unknown backend": (["run", "--backend", "lokki"], "loky or ray"),
    "no results yet": (["report", "--study", "quick"], "quick"),
    "no network yet": (["enhance", "in.wav", "out.wav"], "run the study first"),
}


def outcome(arguments: list, monkeypatch, capsys) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["run_all.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        run_all.entry()
    return int(stop.value.code or 0), capsys.readouterr().err


@pytest.mark.parametrize("case", CASES)
def test_it_is_one_sentence_and_status_2(case: str, tmp_path: Path, monkeypatch, capsys):
    arguments, message = CASES[case]
    status, errors = outcome([*arguments, "--results", tmp_path], monkeypatch, capsys)
    assert status == 2
    assert message in errors
    assert "Traceback" not in errors
    assert len(errors.strip().splitlines()) == 1


def test_a_misspelt_option_is_answered_with_the_nearest(monkeypatch, capsys):
    status, errors = outcome(["run", "--stdy", "smoke"], monkeypatch, capsys)
    assert status == 2
    assert "--study" in errors


@pytest.mark.parametrize("content", ["silent", "short", "nan", "text", "absent"])
def test_a_recording_that_cannot_be_enhanced_is_refused_by_name(
    content: str, smoke: Path, tmp_path: Path, monkeypatch, capsys
):
    path = tmp_path / "noisy.wav"
    waves = {"silent": np.zeros(16_000), "short": np.ones(1_600), "nan": np.full(16_000, np.nan)}
    if content in waves:
        soundfile.write(path, waves[content], 16_000, subtype="FLOAT")
    elif content == "text":
        path.write_text("not audio")
    arguments = ["enhance", path, tmp_path / "out.wav", "--study", "smoke", "--results", smoke]
    status, errors = outcome(arguments, monkeypatch, capsys)
    assert status == 2
    assert "noisy.wav" in errors
    assert not (tmp_path / "out.wav").exists()


def test_an_unwritable_results_folder_is_named(monkeypatch, capsys):
    status, errors = outcome(
        ["run", "--study", "smoke", "--results", "/proc/results"], monkeypatch, capsys
    )
    assert status == 2
    assert "/proc/results" in errors
    assert "--results" in errors
