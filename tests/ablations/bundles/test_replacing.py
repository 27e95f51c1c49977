"""A stored bundle is never replaced by a smaller one, nor by that of another study of its name."""

import hashlib
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.ablations.conftest import ROOT, assert_same_bundle, forget_digests, run_here

STUDY = ROOT / "ablations" / "studies" / "smoke.toml"


def content(results: Path) -> dict[str, str]:
    """Digest of every file of the study's folder."""
    return {
        str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((results / "smoke").rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def clone(smoke: Path, tmp_path: Path) -> Path:
    """The smoke study's bundle with tables and figures, as in a clone: no run is at hand."""
    shutil.copytree(smoke / "smoke", tmp_path / "smoke")
    shutil.copytree(smoke / ".corpora", tmp_path / ".corpora")
    return tmp_path


def bring_runs(smoke: Path, clone: Path) -> None:
    """Add the finished runs, and what MLflow was told of them."""
    for name in (".runs", ".mlflow"):
        shutil.copytree(smoke / name, clone / name)


@pytest.mark.parametrize("part", [["--limit", "1"], ["--only", "dense"]])
def test_a_part_of_a_stored_study_is_refused_before_anything_is_trained(
    part: list[str], clone: Path
):
    before = content(clone)
    finished = run_here("run", "--study", "smoke", "--results", clone, *part)
    assert finished.returncode == 2
    assert "finished runs that are not at hand" in finished.stderr
    assert "--from-bundle" in finished.stderr
    assert len(finished.stderr.strip().splitlines()) == 1
    assert content(clone) == before
    assert not list(clone.glob(".runs/*/*/done"))


def test_from_bundle_goes_on_and_loses_nothing(smoke: Path, clone: Path):
    options = ("--limit", "1", "--from-bundle", "--no-report")
    finished = run_here("run", "--study", "smoke", "--results", clone, *options)
    assert finished.returncode == 0, finished.stderr
    assert_same_bundle(clone, smoke)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda text: text.replace("steps = 20", "steps = 3"), "train.steps is 20, not 3"),
        (lambda text: text.replace('"dense",', ""), "runs that this study has not"),
    ],
)
def test_another_study_of_the_same_name_is_refused(
    change, difference: str, clone: Path, tmp_path: Path
):
    own = tmp_path / "own" / "smoke.toml"
    own.parent.mkdir()
    text = change(STUDY.read_text(encoding="utf-8"))
    assert text != STUDY.read_text(encoding="utf-8")
    own.write_text(text, encoding="utf-8")
    before = content(clone)
    finished = run_here("run", "--study", own, "--results", clone)
    assert finished.returncode == 2
    assert difference in finished.stderr and "another name" in finished.stderr
    assert content(clone) == before


def test_a_bundle_of_other_identities_is_kept_aside_when_all_is_trained_anew(
    clone: Path, smoke: Path
):
    bring_runs(smoke, clone)
    path = clone / "smoke" / "runs.parquet"
    for table in ("runs", "utterances", "routing", "history"):
        file = clone / "smoke" / f"{table}.parquet"
        frame = pd.read_parquet(file)
        frame.assign(run_id="f" + frame["run_id"].str[1:]).to_parquet(file, index=False)
    forget_digests(clone / "smoke")
    earlier = pd.read_parquet(path)["run_id"].tolist()
    (clone / ".runs" / ".unclosed-smoke").touch()
    finished = run_here("run", "--study", "smoke", "--results", clone, "--no-report")
    assert finished.returncode == 0, finished.stderr
    aside = list((clone / ".replaced").iterdir())
    assert len(aside) == 1
    assert str(aside[0]) in finished.stdout.replace("\n", "")
    assert pd.read_parquet(aside[0] / "runs.parquet")["run_id"].tolist() == earlier
    assert_same_bundle(clone, smoke)


def test_a_bundle_stays_when_a_run_fails_that_it_holds(clone: Path, smoke: Path):
    from rich.console import Console

    from ablations.bundles.storing import store_bundle
    from ablations.runs.plan import plan
    from ablations.studies.study import load_study

    bring_runs(smoke, clone)
    study = load_study("smoke")
    runs = plan(study, clone, pd.read_parquet(clone / "smoke" / "runs.parquet")["data_hash"][0])
    runs[1].folder.file("done").unlink()
    before = content(clone)
    console = Console(record=True, width=400)
    bundle, claim = clone / "smoke", clone / ".runs" / ".bundle-smoke"
    assert not store_bundle(study, runs, bundle, claim, console)
    assert "stays as it is" in console.export_text()
    assert content(clone) == before


def test_a_damaged_bundle_is_made_again_from_the_runs_at_hand(clone: Path, smoke: Path):
    bring_runs(smoke, clone)
    damaged = clone / "smoke" / "utterances.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-40])
    finished = run_here("run", "--study", "smoke", "--results", clone, "--no-report")
    assert finished.returncode == 0, finished.stderr
    assert_same_bundle(clone, smoke)


def test_a_study_that_grows_keeps_its_name(clone: Path, tmp_path: Path):
    from ablations.bundles.replacing import look, require_nothing_lost, require_same_study
    from ablations.runs.plan import plan
    from ablations.studies.study import load_study

    own = tmp_path / "own" / "smoke.toml"
    own.parent.mkdir()
    own.write_text(STUDY.read_text(encoding="utf-8").replace("seeds = [0]", "seeds = [0, 1]"))
    study, kept = load_study(str(own)), look(clone / "smoke")
    assert kept.study is not None
    runs = plan(study, clone, kept.study["data_hash"])
    require_same_study(kept, study, kept.study["data_hash"])
    require_nothing_lost(kept, runs, runs, from_bundle=False)
    assert len(runs) > len(kept.runs)
