"""A real MLflow server on loopback."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

from ablations.tracking.ui_server import HOST, free_port

START_S = 600.0  # of a busy machine


class MlflowServer:
    """A tracking server with its own database and artifact store, to be stopped and started."""

    def __init__(self, folder: Path):
        folder.mkdir()
        self.folder, self.port = folder, free_port(0)
        self.uri = f"http://{HOST}:{self.port}"
        self.start()

    def start(self) -> None:
        where = ["--host", HOST, "--port", str(self.port), "--workers", "1"]
        store = ["--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}"]
        store += ["--artifacts-destination", str(self.folder / "artifacts")]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *where, *store],
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + START_S
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < until, "it did not start"
            time.sleep(0.2)

    def stop(self) -> None:
        """Kills it, in the midst of whatever it does; a second time has no effect."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), urlopen(f"{self.uri}/health", timeout=5):
            return True
        return False
