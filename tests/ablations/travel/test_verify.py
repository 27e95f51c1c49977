"""Runs of a bundle trained again and compared with what is stored."""

import dataclasses
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from ablations.travel.compared import UNLIKE, Differences, differences
from ablations.travel.sample import sample_runs
from ablations.travel.stored import described_runs, described_study
from ablations.travel.tolerance import judge, limits_of
from ablations.travel.verify import corpus_of
from smoe.errors import UserError
from smoe.schema.bundle import read_bundle
from tests.ablations.conftest import ROOT, run_here
from tests.ablations.travel.parts import change_table, contents, describe_otherwise


@pytest.fixture
def clone(smoke: Path, tmp_path: Path) -> Path:
    """The smoke study's bundle as on another machine, which has the corpus and no run."""
    shutil.copytree(smoke / "smoke", tmp_path / "smoke")
    shutil.copytree(smoke / ".corpora", tmp_path / ".corpora")
    return tmp_path


def halve_stoi(table):
    return table.assign(stoi=table["stoi"] * 0.5)


@pytest.mark.slow
def test_a_run_that_is_trained_again_is_equal_to_the_bit(clone: Path):
    before = contents(clone / "smoke")
    command = ("results", "verify", "smoke", "--results", clone, "--runs", "1", "--cell", "dense")
    verified = run_here(*command, "--threads", "1")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "1 runs trained again: 1 equal to the bit." in verified.stdout
    assert contents(clone / "smoke") == before
    assert not list((clone / ".runs").glob("*/*"))


def test_a_run_that_was_trained_again_is_told_from_one_with_other_scores(
    clone: Path, smoke: Path, tmp_path_factory: pytest.TempPathFactory
):
    """The scratch folder has the runs, as after a kill, so that nothing is trained."""
    scratch = tmp_path_factory.mktemp("scratch")
    shutil.copytree(smoke / ".runs", scratch / ".runs")
    command = (
        "results",
        "verify",
        "smoke",
        "--results",
        clone,
        "--scratch",
        scratch,
        "--runs",
        "4",
    )
    verified = run_here(*command)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "dense, seed 0: equal to the bit\n" in verified.stdout
    assert "4 runs trained again: 4 equal to the bit." in verified.stdout
    change_table(clone / "smoke", "utterances", halve_stoi)
    change_table(clone / "smoke", "runs", lambda table: table.assign(git_commit="abc"))
    changed = run_here(*command)
    assert changed.returncode == 1, changed.stderr
    assert "dense, seed 0: different" in changed.stdout
    assert "  stoi: mean +" in changed.stdout and "(limit 0.01)" in changed.stdout
    assert "Stored by commit abc" in changed.stdout
    assert 'no more than "within rounding"' in changed.stdout


def test_every_stored_run_is_known_from_its_bundle_alone(tmp_path: Path):
    """A study of three seeds and of a varied setting."""
    stored = read_bundle(ROOT / "results" / "budget")
    runs = described_runs(stored, described_study(stored), tmp_path)
    assert [run.folder.run_id for run in runs] == stored.runs["run_id"].tolist()
    chosen = sample_runs(runs, 3)
    assert chosen == sample_runs(runs, 3)
    assert [run.seed for run in chosen] == [0, 1, 2]
    assert len({run.cell for run in chosen}) == 3
    more = sample_runs(runs, 8)
    assert len({run.cell for run in more}) > 4 and {run.seed for run in more} == {0, 1, 2}
    assert len(sample_runs(runs, 999)) == len(runs) - 1  # without the unprocessed input
    assert {run.seed for run in sample_runs(runs, 3, seeds=(2,))} == {2}
    assert {run.cell for run in sample_runs(runs, 99, cells=("dense",))} == {"dense"}
    cheapest = sample_runs(runs, 2, cheapest=True)
    assert max(run.work for run in cheapest) <= min(run.work for run in chosen)


@pytest.mark.parametrize(
    ("changes", "options", "said"),
    [
        ({}, ("--cell", "dens"), 'did you mean "dense"'),
        ({}, ("--seed", "7"), "no trained run of these cells and seeds"),
        ({}, ("--data", "synthetic:tin"), "synthetic:tiny"),
        ({"config__train__steps": 30}, (), "would be another one here"),
        ({"config__train__stepps": 30}, (), "another version of the suite"),
    ],
)
def test_what_cannot_be_verified_is_said_in_one_sentence(
    changes: dict, options: tuple[str, ...], said: str, clone: Path
):
    describe_otherwise(clone / "smoke", **changes)
    refused = run_here("results", "verify", "smoke", "--results", clone, *options)
    assert refused.returncode == 2
    assert said in refused.stderr and len(refused.stderr.strip().splitlines()) == 1


def test_the_stored_results_are_no_scratch_folder(clone: Path):
    command = ("results", "verify", "smoke", "--results", clone, "--scratch")
    for scratch in (clone, clone / "smoke"):
        refused = run_here(*command, scratch)
        assert refused.returncode == 2 and "--scratch" in refused.stderr


def test_a_corpus_of_other_content_is_refused(clone: Path):
    stored = read_bundle(clone / "smoke")
    other = dataclasses.replace(stored, runs=stored.runs.assign(data_hash="0" * 64))
    with pytest.raises(UserError, match=r"is another one here .* name the same recordings"):
        corpus_of(other, None, clone, Console(quiet=True))


def test_results_are_compared_value_by_value(clone: Path, smoke: Path):
    first = read_bundle(smoke / "smoke")
    run_id = first.runs["run_id"].iloc[-1]
    assert differences(first, first, run_id).none
    change_table(clone / "smoke", "utterances", halve_stoi)
    change_table(clone / "smoke", "history", lambda table: table.assign(loss=table["loss"] + 0.25))
    found = differences(first, read_bundle(clone / "smoke"), run_id)
    own = first.utterances[first.utterances["run_id"] == run_id]
    assert found.values["stoi"] == pytest.approx(own["stoi"].abs().max() / 2)
    judged = own[(own["condition"] != "clean") & (own["counterfactual"] == "learned")]
    assert found.means["stoi"] == pytest.approx(-judged["stoi"].mean() / 2, abs=1e-6)
    assert not found.trained_alike
    assert found.values["loss"] == pytest.approx(0.25)
    assert found.values["pesq_wb"] == 0 and not found.none
    assert found.rows == () == found.forms
    fewer = dataclasses.replace(first, history=first.history.iloc[:-1])
    assert differences(first, fewer, run_id).rows == ("history",)
    renamed = first.utterances.assign(error="why")
    other = differences(first, dataclasses.replace(first, utterances=renamed), run_id)
    assert other.values["error"] == UNLIKE


def apart(**means: float) -> Differences:
    return Differences({name: abs(value) for name, value in means.items()}, means)


def trained_alike(mean: float, error: float) -> Differences:
    values = {"pesq_wb": mean, "loss": 0.0}
    return Differences(values, {"pesq_wb": mean}, {"pesq_wb": error})


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (apart(pesq_wb=0.0), "equal to the bit"),
        (apart(pesq_wb=-0.019), "within rounding"),
        (apart(pesq_wb=0.021), "different"),
        (apart(pesq_wb=0.001, stoi=-0.02), "different"),
        (apart(other=0.001), "different"),  # nothing to judge it by
        (dataclasses.replace(apart(pesq_wb=0.001), losses=0.49), "within rounding"),
        (dataclasses.replace(apart(pesq_wb=0.001), losses=0.51), "different"),
        (dataclasses.replace(apart(pesq_wb=0.03), errors={"pesq_wb": 0.006}), "within rounding"),
        (trained_alike(0.03, 0.011), "different"),
        (dataclasses.replace(apart(pesq_wb=0.0), rows=("history",)), "different"),
    ],
)
def test_a_study_without_a_rounding_spread_is_judged_by_its_margins(found: Differences, word: str):
    assert judge(found, limits_of({})) == word


def test_a_stored_rounding_spread_takes_the_place_of_margins():
    limits = limits_of({"rounding": {"pesq_wb": 0.001}, "verdict": {"margins": {"stoi": 0.3}}})
    assert judge(apart(pesq_wb=0.004, stoi=0.2), limits) == "within rounding"
    assert judge(apart(pesq_wb=0.005), limits) == "different"
