"""Stores a study's bundle: one writer at a time, and nothing that was stored is lost."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from ablations.bundles.bundle import write_bundle
from ablations.bundles.replacing import kept_note, look, set_aside_bundle
from ablations.runs.claims import Claim, ClaimLostError
from ablations.runs.plan import PlannedRun
from ablations.studies.study import Study
from smoe.errors import UserError

WAIT_S = 60.0  # for another runner of the study that stores the same
LOOK_S = 0.5


def store_bundle(study: Study, runs: list[PlannedRun], folder: Path, claim: Path, console: Console
                 ) -> bool:  # fmt: skip
    """Write a study's bundle if it holds all that the stored one does; return whether it did.

    Args:
        study: The study.
        runs: Its plan.
        folder: `results/<study>`.
        claim: Folder of the claim by which one runner writes at a time.
        console: Is told what is kept, and where.

    Raises:
        UserError: another runner keeps writing the same bundle.
    """
    try:
        with claimed(claim, folder) as mine:
            done = [run for run in runs if run.folder.is_done()]
            kept = look(folder)
            note = kept_note(kept, done)
            if note:
                console.print(note)
                return False
            aside = set_aside_bundle(kept, done)
            if aside:
                console.print(f"The earlier bundle of {study.name} is kept in {aside}.")
            write_bundle(study, runs, folder, mine.require)
    except ClaimLostError:
        console.print("Another runner has stored the study while this one slept.")
        return False
    return True


@contextmanager
def claimed(claim: Path, folder: Path) -> Iterator[Claim]:
    """Hold the claim by which one process at a time writes a bundle.

    Args:
        claim: Folder of the claim.
        folder: `results/<study>`, for the message.

    Raises:
        UserError: another runner keeps writing the same bundle.
    """
    mine = take_claim(claim, folder)
    mine.keep()
    try:
        yield mine
    finally:
        mine.release()


def take_claim(claim: Path, folder: Path) -> Claim:
    """Take the claim by which one process at a time writes a bundle's folder.

    Raises:
        UserError: another one keeps writing.
    """
    until = time.monotonic() + WAIT_S
    mine = Claim.on(claim)
    while not mine.take():
        if time.monotonic() > until:
            raise UserError(
                f"{folder} is being written by another runner of the study; "
                "give the same command again when that has ended."
            )
        time.sleep(LOOK_S)
    return mine
