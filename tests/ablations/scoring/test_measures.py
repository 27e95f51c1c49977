"""Further measures of finished runs: scored from their weights, and kept when a study is stored."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from ablations.bundles.storing import store_bundle
from ablations.runs.plan import plan
from ablations.scoring.cost import costs
from ablations.scoring.measures import measure
from ablations.studies.study import load_study
from analysis.bench.measures import cost_text
from analysis.bundle.load import load_reported
from analysis.rendering.table_files import FORMATS
from analysis.tables.further import further_table
from smoe.errors import UserError
from smoe.metrics import METRICS

QUIET = Console(quiet=True)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Score in this process: workers would only load again what is loaded."""
    monkeypatch.setattr("smoe.corpora.cores", lambda: 1)


def scores(results: Path) -> pd.DataFrame:
    return pd.read_parquet(results / "smoke" / "utterances.parquet")


@pytest.fixture
def results(smoke: Path, tmp_path: Path) -> Path:
    """The smoke study with the weights of its networks."""
    for name in ("smoke", ".corpora", ".runs"):
        shutil.copytree(smoke / name, tmp_path / name)
    return tmp_path


def test_runs_are_scored_without_training_and_the_scores_are_kept(results: Path):
    before = scores(results)
    done = measure(results / "smoke", "lsd,composite", QUIET)
    assert len(done) == len(set(before["run_id"]))
    after = scores(results)
    pd.testing.assert_frame_equal(after[before.columns], before)
    learned = after["counterfactual"] == "learned"
    assert after.loc[learned, ["lsd", "csig", "cbak", "covl"]].notna().all(axis=None)
    assert after.loc[~learned, "lsd"].isna().all()
    # COVL rises with PESQ, so networks that were loaded wrongly would show.
    ranks = after[learned].groupby("run_id")[["pesq_wb", "covl"]].mean().rank()
    assert np.corrcoef(ranks["pesq_wb"], ranks["covl"])[0, 1] > 0
    study = load_study("smoke", None, [])
    data_hash = pd.read_parquet(results / "smoke" / "runs.parquet")["data_hash"].iloc[0]
    runs = plan(study, results, data_hash)
    assert store_bundle(study, runs, results / "smoke", results / ".runs" / ".b", QUIET)
    pd.testing.assert_frame_equal(scores(results), after)
    stored = load_reported(results / "smoke")
    assert stored.further == ["csig", "cbak", "covl", "lsd"]
    assert "COVL" in FORMATS["md"](further_table(stored))


def test_an_unknown_measure_is_refused(results: Path):
    with pytest.raises(UserError, match="no measure"):
        measure(results / "smoke", "mos", QUIET)


def test_the_cost_of_each_measure_is_a_table(results: Path):
    found = costs(results, QUIET, rounds=1)
    assert {*METRICS, "composite", "lsd", "fwsegsnr"} <= set(found)
    assert min(found.values()) >= 0
    assert "composite" in cost_text(found)
