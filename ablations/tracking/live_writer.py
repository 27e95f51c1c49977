"""Keeps MLflow beside a study: one writer, and a server that goes away costs nothing."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from ablations.runs.claims import Claim, ClaimLostError
from ablations.runs.run_folder import RUNS_FOLDER
from ablations.tracking.run_contents import TrackedRun
from ablations.tracking.study_view import Summary, Tracker
from smoe.schema.text import plain

TURN_S = 60.0  # how long the last sync waits for another runner to be done with MLflow
Make = Callable[[Callable[[], None]], Tracker]


def claim_folder(results: Path, study: str) -> Path:
    """Return where the claim of a study's one writer of MLflow is kept."""
    return results / RUNS_FOLDER / f".mirror-{study}"


@contextmanager
def turn(results: Path, study: str, wait_s: float = TURN_S) -> Iterator[Callable[[], None] | None]:
    """Take the writing of a study's MLflow view for a while.

    Yields:
        What to call before each write; None where another process goes on writing the view.
    """
    claim = Claim.on(claim_folder(results, study))
    until = time.monotonic() + wait_s
    while not claim.take():
        if time.monotonic() > until:
            yield None
            return
        time.sleep(0.5)
    claim.keep()
    try:
        yield claim.require
    finally:
        claim.release()


class Mirror:
    """Brings MLflow up to a study whenever it can; trouble with it is a note, never a stop.

    Of several runners of a study one writes, the one that has the claim: parallel writers would
    make each run twice, and SQLite would lock them out.

    Args:
        make: Makes the tracker from what it is to call before each write; called again after each
            failure, since only the server knows what it has of a call that failed.
        folder: Where the claim is kept.
        console: Where notes go.
    """

    def __init__(
        self, make: Callable[[Callable[[], None]], Tracker], folder: Path, console: Console
    ):
        self._make, self._console = make, console
        self._claim = Claim.on(folder)
        self._tracker: Tracker | None = None
        self._mine = self._told = False

    def sync(self, runs: Iterable[TrackedRun]) -> None:
        """As `Tracker.sync`, if it is this runner's turn."""
        if self._is_mine():
            self._try(lambda tracker: tracker.sync(runs))

    def close(self, runs: Iterable[TrackedRun], summary: Summary) -> bool:
        """The last sync, the summary runs and the answer; True if MLflow has everything now."""
        stored = list(runs)  # a second attempt starts from the first run again

        def everything(tracker: Tracker) -> None:
            tracker.sync(stored)
            tracker.log_summary(summary)

        until = time.monotonic() + TURN_S
        complete = None
        while complete is None:
            while not self._is_mine():
                if time.monotonic() > until:
                    return False
                time.sleep(1.0)
            complete = self._try(everything)
        self._claim.release()
        self._mine = False
        return complete

    def _is_mine(self) -> bool:
        if self._mine and not self._claim.is_mine():  # lost while this process slept
            self._lose()
        if not self._mine and self._claim.take():
            self._mine = True
            self._claim.keep(on_lost=self._lose)
        return self._mine

    def _lose(self) -> None:
        self._mine, self._tracker = False, None

    def _try(self, action: Callable[[Tracker], None]) -> bool | None:
        """Whether the action was carried out; None if another runner writes now."""
        try:
            self._tracker = self._tracker or self._make(self._claim.require)
            action(self._tracker)
        except ClaimLostError:
            self._lose()
            return None
        except Exception as error:  # whatever a server, a network or a database may throw
            self._tracker = None
            if not self._told:
                self._told = True
                reason = plain((str(error) or type(error).__name__).splitlines()[0][:200])
                self._console.print(
                    f"MLflow cannot be written now; it is tried again ({reason})", style="yellow"
                )
            return False
        if self._told:
            self._told = False
            self._console.print("MLflow is being written again.")
        return True
