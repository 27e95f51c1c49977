"""The MLflow user interface over what is stored."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from ablations.runs.claims import ClaimLostError
from ablations.tracking.live_writer import turn
from ablations.tracking.run_contents import from_bundle
from ablations.tracking.saved_views import FILTERS, VIEWS, runs_link, view_link
from ablations.tracking.study_view import Draw, Summarise, Tracker, default_uri
from smoe.errors import UserError
from smoe.schema.bundle import describe_bundle
from smoe.schema.text import markdown, plain

HOST = "127.0.0.1"  # nobody else on the network may look in
START_S = 120.0
STOP_S = 10.0
LOOK_S = 20.0  # after which the view is opened as another process has it so far


def rebuild(
    results: Path, study: str, summarise: Summarise | None = None, draw: Draw | None = None
) -> str:
    """Brings the MLflow view of a study up to its stored bundle; gives its experiment's id.

    A study that runs for the first time has no bundle; its view is what MLflow has of it so far.

    Args:
        results: Results folder.
        study: Name of the study.
        summarise: What a bundle says; None for no summary runs and no answer.
        draw: Draws the figures of a run; None for none.

    Raises:
        UserError: there is neither, or MLflow's database is of no use.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    folder = results / study
    try:
        if not (folder / "study.json").is_file():
            return _of_running(results, study)
        with turn(results, study, LOOK_S) as before_write:
            if before_write is None:  # a runner of the study writes it
                return _of_running(results, study)
            tracker = bundle_tracker(folder, draw=draw, before_write=before_write)
            tracker.sync(from_bundle(folder))
            if summarise:
                tracker.log_summary(summarise(folder))
    except ClaimLostError as error:
        raise UserError(
            f"Another process has taken over the view of {study}; give the command again."
        ) from error
    except (MlflowException, SQLAlchemyError) as error:
        reason = plain(str(error).splitlines()[0][:200])
        raise UserError(
            f"MLflow's database in {results / '.mlflow'} cannot be used ({reason}); move that "
            "folder aside, which loses nothing, and `ui` makes the view of each study again from "
            "its bundle."
        ) from error
    return tracker.experiment_id


def bundle_tracker(
    folder: Path,
    uri: str | None = None,
    draw: Draw | None = None,
    before_write: Callable[[], None] = lambda: None,
) -> Tracker:
    """The tracker of the study that a bundle, `results/<study>`, holds; see `Tracker`."""
    stored = describe_bundle(folder)
    text = describe(stored["study"]["title"], stored["study"]["question"])
    return Tracker(folder.name, text, stored["corpus"], folder.parent, uri, draw, before_write)


def _of_running(results: Path, study: str) -> str:
    from mlflow.tracking import MlflowClient

    if (results / ".mlflow" / "mlflow.db").is_file():
        found = MlflowClient(default_uri(results)).get_experiment_by_name(study)
        if found:
            return found.experiment_id
    have = ", ".join(sorted(path.parent.name for path in results.glob("*/study.json")))
    remedy = f"there are {have}" if have else "run the study first"
    raise UserError(f"There are no results in {results / study}; {remedy}.")


def describe(title: str, question: str) -> str:
    """Return Markdown for the head of an experiment: what is asked."""
    return f"**{markdown(title)}.** {markdown(question)}"


def free_port(port: int) -> int:
    """The port itself, or any free one for 0.

    Raises:
        UserError: something else uses it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or "no such port"
            raise UserError(
                f"Port {port} cannot be used on this machine ({reason}); "
                "choose another with --port, or 0 for any that is free."
            ) from error
        return probe.getsockname()[1]


def serve(results: Path, port: int, experiment_id: str, console: Console) -> None:
    """Runs the MLflow UI on loopback until Ctrl-C or a request to terminate.

    Raises:
        UserError: the server does not start.
    """
    log = results / ".mlflow" / "server.log"
    with _server(results, port, log) as server:
        try:
            _wait_until_up(server, port, log)
            address = f"http://{HOST}:{port}/"
            console.print(f"MLflow UI at {address}{runs_link(experiment_id)}  (Ctrl-C stops it)")
            console.print("Questions:")
            for key, view in VIEWS.items():
                console.print(f"  {view.question}\n    {address}{view_link(experiment_id, key)}")
            console.print("Filters to try:")
            for each in FILTERS:
                console.print(f"  {each}")
            server.wait()
        except KeyboardInterrupt:
            console.print("Stopped.")


@contextlib.contextmanager
def _server(results: Path, port: int, log: Path) -> Iterator[subprocess.Popen]:
    """MLflow's server in a process group of its own, which is ended whole."""
    command = [sys.executable, "-m", "mlflow", "ui", "--host", HOST, "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", default_uri(results)]
    # Background jobs are for language models; their processes also outlive the server.
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment["MLFLOW_DISABLE_TELEMETRY"] = "true"
    before = signal.signal(signal.SIGTERM, _interrupt)
    with log.open("wb") as out:
        server = subprocess.Popen(
            command, stdout=out, stderr=out, env=environment, start_new_session=True
        )
    try:
        yield server
    finally:
        _end_group(server)
        signal.signal(signal.SIGTERM, before)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _end_group(server: subprocess.Popen) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(STOP_S)


def _wait_until_up(server: subprocess.Popen, port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=5),
        ):
            return
        time.sleep(0.2)
    raise UserError(f"The MLflow UI did not start; {log} says why.")
