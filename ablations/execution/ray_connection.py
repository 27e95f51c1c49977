"""The Ray library where it is installed, and the cluster that it is connected to."""

import importlib
import socket
from typing import Any

import ablations
import smoe
from smoe.errors import UserError

ANSWER_S = 20.0  # within which a node that lives answers


def connect(address: str | None) -> dict[str, float]:
    """Join a Ray cluster, or start one on this machine, and return its resources.

    The nodes get this code from here, so all of them run the same.

    Raises:
        UserError: Ray is not installed, or no cluster answers there.
    """
    ray = require_ray()
    if not ray.is_initialized():
        packages = [package.__path__[0] for package in (ablations, smoe)]
        try:
            _knock(address)
            ray.init(address, runtime_env={"py_modules": packages}, log_to_driver=False)
        except (OSError, RuntimeError, ValueError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0][:120]
            raise UserError(
                f"No Ray cluster can be joined at {address} ({reason}); "
                "start one with `ray start --head`."
            ) from error
    return ray.cluster_resources()


def _knock(address: str | None) -> None:
    """Raises OSError where nobody listens: Ray itself would go on trying for many minutes."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=ANSWER_S).close()


def require_ray() -> Any:
    """Import Ray and the modules of it that are used here, and return it.

    Raises:
        UserError: Ray is not installed.
    """
    try:
        ray = importlib.import_module("ray")
        importlib.import_module("ray.util.joblib")
        importlib.import_module("ray.util.scheduling_strategies")
    except ImportError as error:
        raise UserError(
            'The Ray backend needs the extra "cluster": pip install -e ".[cluster]".'
        ) from error
    return ray
