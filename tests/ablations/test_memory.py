"""A real shortage of memory, by a limit on the address space of the process that trains."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.ablations.conftest import ROOT

# Trains one cell in this process under a limit and prints the most memory that training asked for,
# in bytes. Scoring is given all memory: its libraries reserve more than they use.
SCRIPT = """
import logging, resource, sys
from pathlib import Path
from ablations.execution.isolation import preload
from ablations.runs.plan import plan
from ablations.studies.study import load_study
from ablations.execution.worker import Job, execute
from smoe.corpora import open_corpus

results, cache, batch_size, limit = Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:])
settings = [f"train.batch_size={batch_size}", "train.steps=2", "mix.crop_s=3.0",
            "model.init_channels=4", "train.precision=float32"]
study = load_study("smoke", None, settings)
corpus = open_corpus(study.data, cache)
run = next(run for run in plan(study, results, corpus.data_hash) if run.cell == "dense")
run.folder.path.mkdir(parents=True)
preload()
unlimited = resource.RLIM_INFINITY

class AtScoring(logging.Handler):
    def emit(self, record):
        if record.getMessage().startswith("scoring"):
            status = Path("/proc/self/status").read_text()
            print(1024 * int(status.partition("VmPeak:")[2].split()[0]))
            resource.setrlimit(resource.RLIMIT_AS, (unlimited, unlimited))

logging.basicConfig(level=logging.INFO, handlers=[AtScoring()])
resource.setrlimit(resource.RLIMIT_AS, (limit or unlimited, unlimited))
execute(Job(run.folder, run.cell, run.config, run.seed, corpus.folder, "", ("", 0)))
"""


def train(results: Path, smoke: Path, batch_size: int, limit: int = 0) -> tuple[Path, int]:
    """Folder and peak of a run of the dense network; 0 if its training failed."""
    arguments = [results, smoke / ".corpora", batch_size, limit]
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    (folder,) = results.glob(".runs/*/*")
    assert (folder / "done").exists() or (folder / "failed.json").exists(), finished.stderr
    return folder, int(finished.stdout or 0)


@pytest.mark.slow
def test_when_memory_runs_out_the_batch_is_halved_and_the_second_time_the_run_fails_alone(
    smoke: Path, tmp_path: Path
):
    _, peak = train(tmp_path / "whole", smoke, batch_size=48)
    _, peak_of_half = train(tmp_path / "half", smoke, batch_size=24)
    difference = peak - peak_of_half
    assert difference > 400e6, "too little to tell the two apart"

    folder, _ = train(tmp_path / "short", smoke, 48, peak - difference // 4)
    assert (folder / "done").exists(), (folder / "failed.json").read_text()
    assert json.loads((folder / "run.json").read_text())["batch_parts"] == 2
    assert len(pd.read_parquet(folder / "history.parquet")) == 2

    folder, _ = train(tmp_path / "shorter", smoke, 48, peak_of_half - difference // 2)
    assert json.loads((folder / "failed.json").read_text())["class"] == "out of memory"
    assert not (folder / "done").exists()
