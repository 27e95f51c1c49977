"""MLflow's own database below a results folder."""

import logging
import os
import uuid
from pathlib import Path

from ablations.tracking.addresses import sqlite_uri


def default_uri(results: Path) -> str:
    """Return the address of the SQLite database below the results folder."""
    return sqlite_uri((results / ".mlflow" / "mlflow.db").resolve())


def quiet_mlflow() -> None:
    """Keep MLflow from telling what it does, unless the user asked for that."""
    if not logging.getLogger().isEnabledFor(logging.INFO):
        logging.getLogger("mlflow").setLevel(logging.WARNING)


def make_database(results: Path) -> None:
    """Make the database under another name: MLflow cannot mend one whose making was killed."""
    from mlflow.tracking import MlflowClient

    quiet_mlflow()
    folder = results / ".mlflow"
    if (folder / "mlflow.db").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f".{uuid.uuid4().hex}.db"
    MlflowClient(sqlite_uri(new.resolve())).search_experiments(max_results=1)
    try:
        os.link(new, folder / "mlflow.db")  # of two that make it at once, the first has made it
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        new.replace(folder / "mlflow.db")
    new.unlink(missing_ok=True)
