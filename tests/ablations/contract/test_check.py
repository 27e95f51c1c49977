"""`check` on the command line, and what it finds in a bad study file."""

import shutil
from pathlib import Path

import pytest

from ablations.contract.study import broken_study
from ablations.studies.study import available
from smoe import metrics
from tests.ablations.conftest import run_here

SMOKE = available()["smoke"].read_text()


@pytest.mark.parametrize("name", ["smoke", "quick", "core"])
def test_the_suites_own_studies_pass(name, tmp_path):
    assert list(broken_study(name, tmp_path)) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title = ", "is not valid TOML"),
        (SMOKE.replace('"dense"', '"dens"'), "dense"),
        (SMOKE.replace("seeds = [0]", "seeds = [0, 0]"), "twice"),
        (SMOKE.replace("init_channels = 2", "init_channels = 0"), "init_channels"),
        (SMOKE.replace("init_channels = 2", "init_channel = 2"), "did you mean"),
        (SMOKE.replace("[model]", "[model]\nn_layers = 8"), "frames"),
    ],
)
def test_a_bad_study_is_found(text, said, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert said in " ".join(broken_study(str(path), tmp_path))


def test_status_and_sentences_of_the_command(tmp_path, prepared, monkeypatch):
    results = tmp_path / "results"
    shutil.copytree(prepared, results / ".corpora")
    passed = run_here("check", "metric", "si_sdr_db", "--results", results)
    assert passed.returncode == 0
    assert passed.stdout == "The metric si_sdr_db does what the suite relies on.\n"
    monkeypatch.setitem(metrics.METRICS, "mine", lambda **_: 0.5)
    failed = run_here("check", "metric", "mine", "--results", results)
    assert failed.returncode == 1
    assert "smoe/schema/measures.py" in failed.stdout
    assert all(line.endswith(".") for line in failed.stdout.splitlines())


def test_an_unknown_kind_is_refused(tmp_path: Path):
    refused = run_here("check", "experts", "noise", "--results", tmp_path)
    assert refused.returncode == 2
    assert 'did you mean "expert"?' in refused.stderr
