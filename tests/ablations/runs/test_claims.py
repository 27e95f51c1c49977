"""One writer: the claim is looked at before each write, also by a runner that slept."""

import contextlib
import json
import shutil
import sqlite3
import time
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from rich.console import Console

from ablations.runs.claims import Claim, ClaimLostError
from ablations.runs.plan import PlannedRun, plan
from ablations.studies.study import load_study
from ablations.tracking.limits import NAME, TAG, GuardedClient, bounded
from ablations.tracking.live_writer import Mirror
from ablations.tracking.mlflow_database import default_uri, make_database
from ablations.tracking.run_contents import from_bundle
from ablations.tracking.study_view import Summary, Tracker
from tests.ablations.conftest import ROOT

QUICK = ROOT / "results" / "quick"


def tracker_of(results: Path, before_write=lambda: None, *, study: str = "s", data: str = "d"):
    return Tracker(study, "question", data, results, before_write=before_write)


def taken_over(folder: Path) -> Claim:
    """The claim of another process that found this one's stale."""
    (folder / "claim.json").unlink()
    other = Claim.on(folder)
    assert other.take()
    return other


def runs_of(results: Path, study: str = "s") -> list:
    client = MlflowClient(default_uri(results))
    experiment = client.get_experiment_by_name(study)
    assert experiment is not None
    return client.search_runs([experiment.experiment_id])


def test_a_runner_that_wakes_after_its_claim_was_taken_writes_nothing_more(tmp_path: Path):
    runs = from_bundle(QUICK)[:4]
    mirror = Mirror(lambda guard: tracker_of(tmp_path, guard), tmp_path / "claim", Console())

    def slept():
        yield runs[0]
        taken_over(tmp_path / "claim")  # while this runner slept
        yield from runs[1:]

    mirror.sync(slept())
    assert len(runs_of(tmp_path)) == 1
    mirror.sync(runs)
    assert len(runs_of(tmp_path)) == 1


def test_it_goes_on_when_the_other_has_ended_and_makes_no_run_twice(tmp_path: Path):
    runs = from_bundle(QUICK)[:4]
    mirror = Mirror(lambda guard: tracker_of(tmp_path, guard), tmp_path / "claim", Console())
    mirror.sync(runs[:1])
    other = taken_over(tmp_path / "claim")
    tracker_of(tmp_path, other.require).sync(runs[:3])
    mirror.sync(runs)  # not its turn
    assert len(runs_of(tmp_path)) == 3
    other.release()
    assert mirror.close(runs, Summary())
    found = [run.data.tags["run_id"] for run in runs_of(tmp_path)]
    assert sorted(found) == sorted(run.run_id for run in runs)


def test_a_run_made_while_the_claim_was_lost_is_taken_back():
    class Client:
        def __init__(self):
            self.deleted: list[str] = []

        def create_run(self, *_, **__):
            class Made:
                class info:  # noqa: N801
                    run_id = "1"

            answers.append(True)
            return Made

        def delete_run(self, run_id: str) -> None:
            self.deleted.append(run_id)

    answers: list[bool] = []

    def require() -> None:
        if answers:
            raise ClaimLostError

    client = Client()
    with pytest.raises(ClaimLostError):
        GuardedClient(client, require).create_run("0")
    assert client.deleted == ["1"]


def test_a_bundle_is_not_written_after_its_claim_was_taken(smoke: Path, tmp_path: Path):
    from ablations.bundles.bundle import write_bundle

    results = Path(shutil.copytree(smoke, tmp_path / "results"))
    before = {p.name: p.read_bytes() for p in (results / "smoke").glob("*.*")}
    study = load_study("smoke")
    data_hash = json.loads((results / "smoke" / "study.json").read_text())["data_hash"]
    runs: list[PlannedRun] = plan(study, results, data_hash)
    claim = Claim.on(tmp_path / "claim")
    assert claim.take()
    taken_over(tmp_path / "claim")
    with pytest.raises(ClaimLostError):
        write_bundle(study, runs[:2], results / "smoke", claim.require)
    assert {p.name: p.read_bytes() for p in (results / "smoke").glob("*.*")} == before


def test_a_worker_that_wakes_after_its_claim_was_taken_stores_nothing(tmp_path: Path):
    from ablations.execution import worker
    from ablations.runs import claims

    folder = tmp_path / "0"
    folder.mkdir()
    claim = Claim.on(folder)
    assert claim.take()
    claims.require_held(folder)
    owner = {"host": "another", "pid": 1, "token": "another"}
    (folder / "claim.json").write_text(json.dumps(owner))
    with pytest.raises(ClaimLostError):
        claims.require_held(folder)
    assert worker.require_held is claims.require_held


def test_a_report_of_a_bundle_that_was_replaced_meanwhile_is_not_written(tmp_path: Path):
    from analysis.bundle.load import BundleError, load_bundle
    from analysis.rendering.files import store

    folder = Path(shutil.copytree(QUICK, tmp_path / "quick"))
    bundle = load_bundle(folder)
    store(bundle, folder / "tables" / "x.md", b"1")
    (folder / "study.json").write_text((folder / "study.json").read_text() + "\n")
    with pytest.raises(BundleError, match="written anew"):
        store(bundle, folder / "tables" / "x.md", b"2")
    assert (folder / "tables" / "x.md").read_bytes() == b"1"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database of no study, to be copied: making one takes a second."""
    folder = tmp_path_factory.mktemp("empty")
    make_database(folder)
    return folder / ".mlflow" / "mlflow.db"


def with_database(results: Path, database: Path) -> Path:
    (results / ".mlflow").mkdir(parents=True)
    return Path(shutil.copy(database, results / ".mlflow"))


@pytest.mark.parametrize("length", [10, 499, 501, 2000, 10_000])
def test_texts_of_any_length_close_a_study(length: int, database: Path, tmp_path: Path):
    with_database(tmp_path, database)
    data = "x" * (length - 4) + "\x1b\n<b>"
    tracker = Tracker("n" * length, "q" * length, data, tmp_path)
    tracker.sync(from_bundle(QUICK)[:1])
    (run,) = runs_of(tmp_path, bounded("n" * length, NAME))
    assert run.info.status == "FINISHED"


def test_what_is_shortened_stays_distinct():
    one, other = "a" * 3000 + "b", "a" * 3000 + "c"
    assert bounded(one, NAME) != bounded(other, NAME)
    assert len(bounded(one, NAME)) == NAME
    assert bounded("short [b]", TAG) == "short [b]"


NAMES = ["a b", "a%20b", "a#b", "a?b=c", "a%b", "ü&é", "a+b", "[b]", "x" * 200]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_mean_something_in_an_address_are_names(
    name: str, database: Path, tmp_path: Path
):
    results = tmp_path / name
    own = with_database(results, database)
    tracker_of(results).sync(from_bundle(QUICK)[:1])
    with contextlib.closing(sqlite3.connect(own)) as connection:
        assert connection.execute("select count(*) from runs").fetchone() == (1,)
    (run,) = runs_of(results)
    assert list((results / ".mlflow" / "artifacts").rglob("config.json"))
    assert run.info.status == "FINISHED"
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


def test_a_claim_that_nobody_took_stays(tmp_path: Path):
    claim = Claim.on(tmp_path)
    assert claim.take()
    time.sleep(0.01)
    claim.require()
    assert claim.is_mine()


def test_two_that_make_the_database_at_once_keep_one(tmp_path: Path):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        trackers = list(pool.map(lambda s: tracker_of(tmp_path, study=s), ["one", "two"]))
    found = MlflowClient(default_uri(tmp_path)).search_experiments()
    assert {"one", "two"} <= {each.name for each in found}
    assert len({tracker.experiment_id for tracker in trackers}) == 2


def test_two_uis_at_once_show_each_run_once(tmp_path: Path):
    import subprocess
    import sys

    shutil.copytree(QUICK, tmp_path / "quick")
    code = (
        "import sys; from pathlib import Path; from ablations.tracking.mlflow_ui import rebuild; "
    )
    code += "print(rebuild(Path(sys.argv[1]), 'quick'))"
    both = [
        subprocess.Popen([sys.executable, "-W", "ignore", "-c", code, str(tmp_path)], cwd=ROOT,
                         stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]  # fmt: skip
    said = [process.communicate(timeout=300)[0].split()[-1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0] == said[1]
    found = [run.data.tags["run_id"] for run in runs_of(tmp_path, "quick")]
    assert len(found) == len(set(found)) == len(from_bundle(QUICK))


def test_a_bundle_is_read_in_one_state_while_it_is_written(smoke: Path, tmp_path: Path):
    import threading

    from ablations.bundles.bundle import write_bundle
    from smoe.schema.bundle import read_bundle

    results = Path(shutil.copytree(smoke, tmp_path / "results"))
    study = load_study("smoke")
    data_hash = json.loads((results / "smoke" / "study.json").read_text())["data_hash"]
    runs = plan(study, results, data_hash)
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(1.0):
            for part in (runs[:3], runs):
                write_bundle(study, part, results / "smoke")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = {len(read_bundle(results / "smoke").runs) for _ in range(20)}
    finally:
        stop.set()
        writer.join()
    assert seen <= {3, len(runs)}
