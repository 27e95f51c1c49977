"""The smoke study end to end: what a run leaves behind, and that it is done once only."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from tests.ablations.conftest import ROOT, assert_same_bundle, bundle, command, run_all, run_here
from tests.without import run_without

FULL = "EMBDL.multi.supervised.global"


def folder_of(cell: str, smoke: Path, results: Path) -> Path:
    """Return the folder of a run of the smoke study in a results folder."""
    runs = bundle(smoke)["runs"].set_index("cell")
    identity, _, seed = str(runs.loc[cell, "run_id"]).rpartition("-")
    return results / ".runs" / identity / seed


def test_every_cell_and_the_unprocessed_input_are_in_the_bundle(smoke: Path):
    runs = bundle(smoke)["runs"]
    planned = json.loads((smoke / "smoke" / "study.json").read_text())["study"]["cells"]
    assert set(runs["cell"]) == {*planned, "unprocessed"}
    assert len(planned) == 4


def test_every_metric_of_every_utterance_is_there_or_says_why_not(smoke: Path):
    scores = bundle(smoke)["utterances"]
    metrics = ["pesq_wb", "stoi", "estoi", "si_sdr_db"]
    assert (scores[metrics].isna().any(axis=1) == (scores["error"] != "")).all()
    clean = scores[(scores["condition"] == "clean") & scores["si_sdr_db"].isna()]
    assert clean["error"].str.contains("SI-SDR").all()  # infinite for an untouched signal
    assert scores[metrics].notna().mean().min() > 0.9


def test_counterfactuals_are_scored_where_they_mean_something(smoke: Path):
    tables = bundle(smoke)
    merged = tables["utterances"].merge(tables["runs"][["run_id", "cell"]], on="run_id")
    kinds = merged.groupby("cell")["counterfactual"].unique().map(set)
    everything = {
        "learned", "learned-normalized", "oracle", "oracle-paper", "uniform", "random", "swapped",
        "noise-only", "reverb-only",
    }  # fmt: skip
    weighted = {"learned-normalized", "oracle-paper", "uniform"}  # what one expert cannot show
    assert kinds[FULL] == everything
    assert kinds["-M-D-.single.supervised.global"] == everything - weighted
    assert kinds["dense"] == kinds["unprocessed"] == {"learned"}


def test_each_router_has_a_decision_for_each_utterance(smoke: Path):
    tables = bundle(smoke)
    routing = tables["routing"].merge(tables["runs"][["run_id", "cell"]], on="run_id")
    layers = routing.groupby("cell")["layer"].unique().map(set)
    assert layers[FULL] == {"global"}
    assert layers["E-B-L.single.implicit.per_layer"] == {
        "early_encoder", "bottleneck", "late_decoder",
    }  # fmt: skip
    utterances = tables["utterances"]["utterance"].nunique()
    assert (routing.groupby(["cell", "layer"])["utterance"].nunique() == utterances).all()


def test_losses_by_routing_are_those_that_each_cell_has(smoke: Path):
    """Of 20 steps only the last one is far enough from the beginning."""
    tables = bundle(smoke)
    history = tables["history"].merge(tables["runs"][["run_id", "cell"]], on="run_id")
    columns = ["loss_labelled", "loss_routed"]
    assert history.loc[history["step"] < 20, columns].isna().all(axis=None)
    last = history[history["step"] == 20].set_index("cell")[columns].notna()
    assert last.loc["dense"].tolist() == [False, False]
    assert last.loc["E-B-L.single.implicit.per_layer"].tolist() == [False, True]
    for cell in ("EMBDL.multi.supervised.global", "-M-D-.single.supervised.global"):
        assert last.loc[cell].tolist() == [True, True]


def test_tables_in_three_formats_and_figures_in_two(smoke: Path):
    names = {path.suffix for path in (smoke / "smoke" / "tables").iterdir()}
    assert names == {".md", ".tex", ".csv"}
    assert {path.suffix for path in (smoke / "smoke" / "figures").iterdir()} == {".png", ".pdf"}


def test_the_page_plays_a_triplet_of_each_condition(smoke: Path):
    assert (smoke / "smoke" / "report.html").read_text().count("<audio") == 9


def test_the_last_screen_shows_the_tables_and_where_everything_lies(smoke: Path):
    screen = (smoke / "screen.txt").read_text()
    for words in ("PESQ-WB", "Unprocessed", "Tables", "Figures", "Bundle", "run_all.py ui"):
        assert words in screen


def test_a_second_run_trains_nothing_and_changes_nothing(smoke: Path):
    before = bundle(smoke)
    again = run_here("run", "--study", "smoke", "--results", smoke)
    assert again.returncode == 0
    assert "Nothing to train: all 5 runs are done" in again.stdout
    for name, table in bundle(smoke).items():
        pd.testing.assert_frame_equal(table, before[name])


def test_a_killed_study_goes_on_and_ends_as_an_undisturbed_one(smoke: Path, tmp_path: Path):
    """Killed while it starts, and while it trains the last of its runs."""
    rng = np.random.default_rng(int.from_bytes(os.urandom(4), "little"))
    shutil.copytree(smoke, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "smoke")
    unfinished = folder_of(FULL, smoke, tmp_path)
    shutil.rmtree(unfinished)
    study = ("run", "--study", "smoke", "--results", tmp_path, "--no-report")
    for training, latest_s in ((False, 5.0), (True, 2.0)):
        process = subprocess.Popen(
            command(*study), start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while training and not has_trained(unfinished):
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(rng.uniform(0, latest_s))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert not (unfinished / "done").exists()
    finished = run_here(*study)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert_same_bundle(tmp_path, smoke)


def has_trained(folder: Path) -> bool:
    log = folder / "log.txt"
    return log.exists() and "training: step" in log.read_text()


def test_a_damaged_result_is_noticed_and_made_again(smoke: Path, tmp_path: Path):
    shutil.copytree(smoke, tmp_path, dirs_exist_ok=True)
    torn = folder_of("dense", smoke, tmp_path) / "utterances.parquet"
    torn.write_bytes(torn.read_bytes()[:100])
    (tmp_path / "smoke" / "study.json").unlink()
    finished = run_here("run", "--study", "smoke", "--results", tmp_path, "--no-report")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert_same_bundle(tmp_path, smoke)


def test_report_needs_neither_torch_nor_mlflow(smoke: Path):
    arguments = ["run_all.py", "report", "--study", "smoke", "--results", str(smoke)]
    code = f"sys.argv = {arguments!r}\nimport run_all; run_all.entry()"
    assert "PESQ-WB" in run_without(("torch", "torchaudio", "mlflow"), code)


def test_enhance_writes_a_file_of_the_same_length(smoke: Path, tmp_path: Path):
    """And of the same sample rate and channels; of a folder all files, each failure named."""
    rng = np.random.default_rng(0)
    noisy = tmp_path / "in" / "noisy stereo 44.wav"
    noisy.parent.mkdir()
    soundfile.write(noisy, 0.1 * rng.standard_normal((66_150, 2)), 44_100)
    network = ("--study", "smoke", "--cell", FULL, "--results", smoke)
    finished = run_here("enhance", noisy, tmp_path / "out.wav", *network)
    assert finished.returncode == 0, finished.stderr
    assert "brought back to 44100 Hz" in finished.stdout
    samples, rate = soundfile.read(tmp_path / "out.wav")
    assert (rate, samples.shape) == (44_100, (66_150, 2))
    assert np.isfinite(samples).all()
    (noisy.parent / "broken.wav").write_text("no audio")
    finished = run_here("enhance", noisy.parent, tmp_path / "out", *network)
    assert finished.returncode == 1
    assert (
        "1 of 2 files enhanced" in finished.stdout and "broken.wav is not audio" in finished.stdout
    )
    again, _ = soundfile.read(tmp_path / "out" / noisy.name)
    assert np.array_equal(again, samples)


def test_plan_says_what_is_done_and_trains_nothing(smoke: Path):
    finished = run_here("plan", "--study", "smoke", "--results", smoke)
    assert "5 runs (5 done)" in finished.stdout
    full = run_here("plan", "--study", "full", "--results", smoke)
    assert "249 cells and 4 controls" in full.stdout


def test_explain_shows_the_runs_behind_a_cell(smoke: Path):
    finished = run_here("explain", "dense", "--study", "smoke", "--results", smoke)
    run_id = bundle(smoke)["runs"].query("cell == 'dense'")["run_id"].iloc[0]
    assert finished.returncode == 0, finished.stderr
    assert run_id in finished.stdout


@pytest.mark.slow
def test_the_smoke_study_runs_on_real_recordings(tmp_path: Path):
    data = Path(os.environ.get("SMOE_DATA", ROOT.parent / "shared" / "data"))
    if not data.is_dir():
        pytest.skip("no folder of recordings; set SMOE_DATA")
    finished = run_all("run", "--study", "smoke", "--data", data, "--results", tmp_path)
    assert finished.returncode == 0, finished.stdout + finished.stderr
