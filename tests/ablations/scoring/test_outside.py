"""Outside systems: the test set goes out as files, estimates come back as a cell of the study."""

import csv
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from mlflow.tracking import MlflowClient
from rich.console import Console
from scipy.signal import wiener

from ablations.bundles.storing import store_bundle
from ablations.runs.plan import plan
from ablations.scoring.outside import score_outside
from ablations.studies.study import load_study
from ablations.tracking.study_view import default_uri
from analysis.bundle.load import load_reported
from analysis.rendering.table_files import FORMATS
from analysis.tables.conditions import condition_tables
from analysis.tables.main import main_table
from smoe.metrics import METRICS
from tests.ablations.conftest import TABLES, run_here

SYSTEM = "outside:wiener"


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Score in this process: workers would only load again what is loaded."""
    monkeypatch.setattr("smoe.corpora.cores", lambda: 1)


def score(results: Path, folder: Path, name: str = "wiener", *more: str):
    where = ("--study", "smoke", "--results", results, "--no-report")
    return run_here("score", folder, "--as", name, *where, *more)


def tables(results: Path) -> dict[str, pd.DataFrame]:
    return {name: pd.read_parquet(results / "smoke" / f"{name}.parquet") for name in TABLES}


@pytest.fixture(scope="module")
def exported(smoke: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    finished = run_here("data", "export", folder, "--study", "smoke", "--results", smoke)
    assert finished.returncode == 0, finished.stderr
    return folder


@pytest.fixture(scope="module")
def estimates(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a Wiener filter over 11 samples makes of the test set."""
    folder = tmp_path_factory.mktemp("estimates")
    for path in (exported / "noisy").glob("*.wav"):
        noisy, rate = soundfile.read(path)
        soundfile.write(folder / path.name, wiener(noisy, 11), rate, subtype="FLOAT")
    return folder


@pytest.fixture
def results(smoke: Path, tmp_path: Path) -> Path:
    """The smoke study's bundle and corpus."""
    for name in ("smoke", ".corpora", ".mlflow"):
        shutil.copytree(smoke / name, tmp_path / name)
    return tmp_path


def test_the_export_is_the_test_set_and_its_manifest_says_what_is_what(
    smoke: Path, exported: Path, tmp_path: Path
):
    rows = list(csv.DictReader((exported / "manifest.csv").open()))
    known = tables(smoke)["utterances"].drop_duplicates("utterance").set_index("utterance")
    assert [row["utterance"] for row in rows] == list(known.index)
    for row in rows:
        for signal in ("noisy", "clean"):
            content = (exported / signal / row["file"]).read_bytes()
            assert row[f"{signal}_sha256"] == hashlib.sha256(content).hexdigest()
        wave, rate = soundfile.read(exported / "noisy" / row["file"])
        assert (
            (len(wave), rate) == (int(row["samples"]), int(row["sample_rate"])) == (24_000, 16_000)
        )
        about = known.loc[row["utterance"]]
        for column in ("condition", "speaker", "noise", "noise_type", "room"):
            assert row[column] == ("" if pd.isna(about[column]) else about[column])
        assert row["snr_db"] == ("" if np.isnan(about["snr_db"]) else f"{about['snr_db']:g}")
    run_here("data", "export", tmp_path, "--study", "smoke", "--results", smoke)
    assert (tmp_path / "manifest.csv").read_bytes() == (exported / "manifest.csv").read_bytes()


def test_the_noisy_files_score_as_the_unprocessed_input_does(results: Path, exported: Path):
    before = tables(results)
    score_outside(exported / "noisy", "nothing", results / "smoke", Console(quiet=True))
    after = tables(results)
    run_ids = after["runs"].set_index("cell")["run_id"]
    scores = after["utterances"].set_index(["run_id", "utterance"])[list(METRICS)]
    pd.testing.assert_frame_equal(
        scores.loc[run_ids["outside:nothing"]], scores.loc[run_ids["unprocessed"]]
    )
    for name, table in before.items():  # the study's own rows are as they were
        kept = after[name][after[name]["run_id"].isin(before["runs"]["run_id"])]
        pd.testing.assert_frame_equal(kept[table.columns].reset_index(drop=True), table)


def test_a_system_stands_in_tables_explanation_and_mlflow(results: Path, estimates: Path):
    version = "scipy.signal.wiener, 11 samples"
    assert score(results, estimates, "wiener", "--version", version).returncode == 0
    stored = load_reported(results / "smoke")
    for table in (main_table(stored), *condition_tables(stored)):
        text = FORMATS["md"](table)
        assert "wiener (outside system)" in text
        assert "covers utterances alone" in text
    said = run_here("explain", SYSTEM, "--study", "smoke", "--results", results).stdout
    assert version in said
    for path in estimates.iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() in said
    client = MlflowClient(default_uri(results))
    experiment = client.get_experiment_by_name("smoke")
    runs = client.search_runs([experiment.experiment_id], f"tags.cell = '{SYSTEM}'")
    assert {run.data.tags["summary"] for run in runs} == {"true", "false"}
    assert {run.data.params["placement"] for run in runs} == {"outside"}
    assert version in {run.data.tags.get("version") for run in runs}


def test_storing_the_study_again_keeps_it_and_new_estimates_replace_it(
    smoke: Path, results: Path, estimates: Path, exported: Path
):
    bundle, console = results / "smoke", Console(quiet=True)
    score_outside(estimates, "wiener", bundle, console)
    scored, written = tables(results), (bundle / "study.json").stat().st_mtime_ns
    score_outside(estimates, "wiener", bundle, console)
    assert (bundle / "study.json").stat().st_mtime_ns == written  # nothing to do
    shutil.copytree(smoke / ".runs", results / ".runs", dirs_exist_ok=True)
    study = load_study("smoke", None, [])
    runs = plan(study, results, scored["runs"]["data_hash"].iloc[0])
    assert store_bundle(study, runs, bundle, results / ".runs" / ".claim", console)
    for name, table in tables(results).items():
        pd.testing.assert_frame_equal(table, scored[name])
    score_outside(exported / "noisy", "wiener", bundle, console)
    runs = tables(results)["runs"]
    assert (runs["cell"] == SYSTEM).sum() == 1
    assert set(runs["run_id"]) != set(scored["runs"]["run_id"])


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda path, wave: path.unlink(), "lacks 1 of"),
        (
            lambda path, wave: shutil.copy(path, path.with_name("other.wav")),
            "none of this test set",
        ),
        (lambda path, wave: soundfile.write(path, wave[:-1], 16_000), "cut or pad"),
        (lambda path, wave: soundfile.write(path, wave, 8_000), "resample it to 16000"),
        (lambda path, wave: soundfile.write(path, wave * np.nan, 16_000, "FLOAT"), "not finite"),
        (lambda path, wave: soundfile.write(path, np.stack([wave] * 2, 1), 16_000), "2 channels"),
        (lambda path, wave: path.write_text("no audio"), "no audio"),
    ],
)
def test_a_wrong_file_is_one_sentence_and_changes_nothing(
    harm, said: str, results: Path, exported: Path, tmp_path: Path
):
    folder = Path(shutil.copytree(exported / "noisy", tmp_path / "harmed"))
    path = sorted(folder.iterdir())[3]
    harm(path, soundfile.read(path)[0])
    before = (results / "smoke" / "study.json").read_bytes()
    refused = score(results, folder)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert (results / "smoke" / "study.json").read_bytes() == before


def test_silence_and_impossible_names_are_refused(results: Path, exported: Path, tmp_path: Path):
    silent = Path(shutil.copytree(exported / "noisy", tmp_path / "silent"))
    for path in silent.iterdir():
        soundfile.write(path, np.zeros(24_000), 16_000)
    assert "defined for none" in score(results, silent).stderr
    assert "cannot name a system" in score(results, silent, "a.b").stderr
