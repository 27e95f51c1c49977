"""What MLflow is given, within the lengths and the alphabet that its stores take."""

import hashlib
from collections.abc import Callable
from typing import Any

from ablations.runs.claims import ClaimLostError
from smoe.schema.text import plain_lines

# Of the narrowest database that MLflow makes: names of experiments, runs, data sets and models,
# values of params, then tags of experiments and of runs.
NAME = 250
PARAM = 250
TAG = 4500
DIGEST = 36
_HASH_DIGITS = 12
# Calls that only look.
READS = (
    "get_experiment", "get_experiment_by_name", "get_metric_history", "get_run", "list_artifacts",
    "search_experiments", "search_runs",
)  # fmt: skip


def bounded(text: str, most: int) -> str:
    """Return a text of at most so many characters that can be shown and stored.

    What is too long ends in a hash of the whole instead, so that two texts stay two.
    """
    shown = plain_lines(text)
    if len(shown) <= most:
        return shown
    whole = hashlib.sha256(shown.encode()).hexdigest()[:_HASH_DIGITS]
    return f"{shown[: most - _HASH_DIGITS - 1]}~{whole}"


class GuardedClient:
    """MLflow's client, asked before each call that writes whether this process still may.

    Args:
        client: `MlflowClient`.
        before_write: Raises `ClaimLostError` where another process has taken the writing over.
    """

    def __init__(self, client: Any, before_write: Callable[[], None]):
        self._client, self._before_write = client, before_write

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)
        if name in READS:
            return call

        def guarded(*arguments: Any, **options: Any) -> Any:
            self._before_write()
            return call(*arguments, **options)

        return guarded

    def create_run(self, *arguments: Any, **options: Any) -> Any:
        """Create a run; if the writing was lost while that was done, the run is taken back."""
        self._before_write()
        created = self._client.create_run(*arguments, **options)
        try:
            self._before_write()
        except ClaimLostError:
            self._client.delete_run(created.info.run_id)
            raise
        return created
