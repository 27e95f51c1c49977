"""The MLflow user interface as a process on this machine."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from ablations.tracking.mlflow_database import default_uri, make_database
from ablations.tracking.mlflow_ui import Progress
from ablations.tracking.saved_views import BEST, FILTERS, View, view_link
from smoe.errors import UserError

HOST = "127.0.0.1"  # nobody else on the network may look in
START_S = 120.0
STOP_S = 10.0
TOLD_S = 10.0  # between two lines of progress


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


class StoppedError(Exception):
    """The UI is being left while trainings are still brought to it."""


def serve(
    results: Path,
    port: int,
    console: Console,
    prepare: Callable[[], str],
    views: dict[str, View],
    fill: Callable[[Progress], object],
    uri: str | None = None,
) -> None:
    """Run the MLflow UI on loopback until Ctrl-C or a request to terminate.

    Args:
        results: Results folder.
        port: Where to listen.
        console: Where the address and progress are printed.
        prepare: Brings what answers the study's questions to MLflow, while the server starts;
            returns the experiment's id.
        views: The questions.
        fill: Brings the rest, while the UI is open; is given what to call on the way.
        uri: MLflow's database; None for the one in the results folder.

    Raises:
        UserError: the server does not start.
    """
    (results / ".mlflow").mkdir(parents=True, exist_ok=True)
    log = results / ".mlflow" / "server.log"
    if uri is None:
        make_database(results)
    with _server(uri or default_uri(results), port, log) as server:
        try:
            with console.status("MLflow starts and is given the means of each network ..."):
                experiment_id = prepare()
                _wait_until_up(server, port, log)
            say_where(f"http://{HOST}:{port}/", experiment_id, views, console, "(Ctrl-C stops it)")
            with _beside(fill, console):
                server.wait()
        except KeyboardInterrupt:
            console.print("Stopped.")


def say_where(
    address: str, experiment_id: str, views: dict[str, View], console: Console, hint: str = ""
) -> None:
    """Print the address of a study's list of networks, its questions and filters to try."""
    first = view_link(experiment_id, BEST)
    console.print(f"MLflow UI at {address}{first}  {hint}".rstrip())
    console.print("Questions:")
    for key, view in views.items():
        console.print(f"  {view.question}\n    {address}{view_link(experiment_id, key)}")
    console.print("Filters to try:")
    for each, view in FILTERS.items():
        if view in views:
            console.print(f"  {each}")


@contextlib.contextmanager
def _beside(fill: Callable[[Progress], object], console: Console) -> Iterator[None]:
    """Bring the rest to MLflow in a thread, with a line of progress now and then."""
    stop = threading.Event()
    told = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal told
        if stop.is_set():
            raise StoppedError
        if done == total or time.monotonic() - told > TOLD_S:
            told = time.monotonic()
            console.print(f"{done} of {total} trainings are in MLflow.")

    def work() -> None:
        try:
            fill(progress)
        except StoppedError:
            pass
        except UserError as error:
            console.print(f"Not all trainings are in MLflow: {error}")

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(STOP_S)


@contextlib.contextmanager
def _server(uri: str, port: int, log: Path) -> Iterator[subprocess.Popen]:
    """MLflow's server in a process group of its own, which is ended whole."""
    command = [sys.executable, "-m", "mlflow", "ui", "--host", HOST, "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", uri]
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
