"""The submitit library, which talks to Slurm, where it is installed."""

import importlib
from typing import Any

from smoe.errors import UserError


def require_submitit() -> Any:
    """Import submitit and return it.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module("submitit")
    except ImportError as error:
        raise UserError(
            'The Slurm backend needs the extra "slurm": pip install -e ".[slurm]".'
        ) from error
