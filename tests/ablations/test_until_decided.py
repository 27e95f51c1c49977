"""Seeds are added look by look; which look comes next follows from the bundle alone."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ablations.bundles.replacing import Kept
from ablations.execution.runner import Outcome
from ablations.studies.study import available, load_study
from ablations.studies.verdict import Verdict
from ablations.until_decided import (
    require_same_looks,
    run_until_decided,
    schedule,
    seeds_of,
    with_looks,
)
from smoe.errors import UserError
from tests.ablations.conftest import run_here


@pytest.mark.parametrize(
    ("most", "looks"),
    [(3, (3,)), (4, (3, 4)), (5, (3, 5)), (9, (3, 6, 9)), (10, (3, 6, 10)), (20, (3, 6, 12, 20))],
)
def test_looks_begin_at_three_seeds_and_double(most, looks):
    assert schedule(most) == looks
    Verdict(looks=looks)


def test_a_study_without_looks_is_described_as_before():
    assert "looks" not in Verdict().described()
    assert Verdict(looks=(3, 6)).described()["looks"] == [3, 6]


def test_declared_seeds_come_first_then_free_numbers():
    assert seeds_of((5, 0), 4) == (5, 0, 1, 2)
    assert seeds_of((0, 1, 2, 3), 3) == (0, 1, 2)


class Suite:
    """Stands in for training and analysis: stores the seeds, and decides from some number on."""

    def __init__(self, folder: Path, decided_at: int, stop_at: int = 99):
        self.folder, self.decided_at, self.stop_at = folder, decided_at, stop_at
        self.ran: list[int] = []

    def run(self, study) -> Outcome:
        self.ran.append(len(study.seeds))
        return Outcome(stopped=[(None, "time")] if len(study.seeds) >= self.stop_at else [])  # pyright: ignore

    def undecided(self, _: Path) -> list[str]:
        return [] if self.ran[-1] >= self.decided_at else ["EMBDL.multi.supervised.global"]


@pytest.mark.parametrize(
    ("decided_at", "stop_at", "ran"),
    [(3, 99, [3]), (6, 99, [3, 6]), (99, 99, [3, 6, 10]), (99, 6, [3, 6])],
)
def test_seeds_are_added_until_decided_or_spent(tmp_path, decided_at, stop_at, ran):
    suite, said = Suite(tmp_path, decided_at, stop_at), []
    study = with_looks(load_study("smoke"), True, 10, whole=True)
    run_until_decided(study, tmp_path, suite.run, suite.undecided, said.append)
    assert suite.ran == ran
    assert len(said) == len(ran) - (stop_at < 99)


def test_a_resumed_study_goes_on_at_its_look(tmp_path, monkeypatch):
    study = with_looks(load_study("smoke"), True, 10, whole=True)
    stored = {"study": {"seeds": list(range(6))}}
    monkeypatch.setattr("ablations.until_decided.look", lambda f: Kept(f, stored, {}))
    suite = Suite(tmp_path, decided_at=99)
    run_until_decided(study, tmp_path, suite.run, suite.undecided, lambda _: None)
    assert suite.ran == [6, 10]


@pytest.mark.parametrize(
    ("stored", "declared", "said"),
    [
        ((3, 6, 10), (), "--until-decided --max-seeds 10"),
        ((3, 6, 10), (3, 6, 12, 20), "--until-decided --max-seeds 10"),
        ((), (3, 6, 10), "leave out --until-decided"),
    ],
)
def test_levels_that_are_spent_are_not_spent_again(tmp_path, stored, declared, said):
    verdict = {"looks": list(stored)} if stored else {}
    kept = Kept(tmp_path, {"study": {"seeds": [0, 1, 2]}, "verdict": verdict}, {})
    study = load_study("smoke")
    with pytest.raises(UserError, match=said):
        require_same_looks(kept, replace(study, verdict=Verdict(looks=declared)))


def test_looks_may_be_declared_while_nothing_could_be_decided(tmp_path):
    kept = Kept(tmp_path, {"study": {"seeds": [0]}}, {})
    study = with_looks(load_study("smoke"), True, 4, whole=True)
    require_same_looks(kept, study)
    require_same_looks(Kept(tmp_path, None, {}), study)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--max-seeds", "5"], "goes with --until-decided"),
        (["--until-decided"], "wants --max-seeds of 3 or more"),
        (["--until-decided", "--max-seeds", "2"], "wants --max-seeds of 3 or more"),
        (["--until-decided", "--max-seeds", "4", "--limit", "2"], "whole seeds"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_sentence(tmp_path, options, said):
    done = run_here("run", "--study", "smoke", "--results", tmp_path, *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_looks_of_a_study_file_begin_at_three(tmp_path):
    text = available()["smoke"].read_text() + "\n[verdict]\nlooks = [2, 4]\n"
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(UserError, match="the first is 3"):
        load_study(str(tmp_path / "mine.toml"))


@pytest.mark.slow
def test_a_real_study_grows_and_keeps_its_looks(tmp_path):
    """Three seeds, then four, of a tiny study; the same command again trains nothing."""
    options = ("run", "--study", "smoke", "--results", tmp_path, "--no-report")
    growing = (*options, "--until-decided", "--max-seeds", "4")
    assert run_here(*growing).returncode == 0
    described = json.loads((tmp_path / "smoke" / "study.json").read_text())
    assert described["verdict"]["looks"] == [3, 4]
    assert described["study"]["seeds"] in ([0, 1, 2], [0, 1, 2, 3])
    assert "Nothing to train" in run_here(*growing).stdout
    refused = run_here(*options)
    assert refused.returncode == 2 and "whose levels are spent" in refused.stderr
