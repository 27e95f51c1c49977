"""The MLflow view of a stored study: what answers its questions first, then all trainings."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ablations.runs.claims import ClaimLostError
from ablations.tracking.live_writer import turn
from ablations.tracking.mlflow_database import default_uri
from ablations.tracking.run_contents import TrackedRun, from_bundle
from ablations.tracking.study_view import Draw, Summarise, Tracker
from smoe.errors import UserError
from smoe.schema.bundle import describe_bundle
from smoe.schema.names import require_stored
from smoe.schema.text import markdown, plain

LOOK_S = 20.0  # after which the view is opened as another process has it so far
Progress = Callable[[int, int], None]  # trainings that are in MLflow, of how many


def rebuild(
    results: Path,
    study: str,
    summarise: Summarise | None = None,
    draw: Draw | None = None,
    *,
    uri: str | None = None,
    trainings: bool = True,
    progress: Progress = lambda done, total: None,
    only: Callable[[str], bool] = lambda _: True,
) -> str:
    """Bring the MLflow view of a study up to its stored bundle; return its experiment's id.

    A study that runs for the first time has no bundle; its view is what MLflow has of it so far.

    Args:
        results: Results folder.
        study: Name of the study.
        summarise: What a bundle says; None for no summary runs and no answer.
        draw: Draws the figures of a run; None for none.
        uri: Tracking server or database; None for SQLite in the results folder.
        trainings: Whether the runs of single seeds are brought there, too.
        progress: Called after each of them; what it raises ends the work.
        only: Whether a cell's runs are brought there; by default all are.

    Raises:
        UserError: there is neither, or MLflow's database is of no use.
    """
    folder = results / study
    with _words_for_errors(results, study):
        if not (folder / "study.json").is_file():
            return _of_running(results, study, uri)
        with turn(results, study, LOOK_S) as before_write:
            if before_write is None:  # a runner of the study writes it
                return _of_running(results, study, uri)
            tracker = bundle_tracker(folder, uri, draw=draw, before_write=before_write)
            if summarise:
                tracker.log_summary(summarise(folder))
            if trainings:
                chosen = [run for run in from_bundle(folder) if only(run.tags["cell"])]
                tracker.sync(_counted(chosen, progress))
    return tracker.experiment_id


def _counted(runs: list[TrackedRun], progress: Progress) -> Iterable[TrackedRun]:
    for done, run in enumerate(runs):
        progress(done, len(runs))
        yield run
    progress(len(runs), len(runs))


@contextmanager
def _words_for_errors(results: Path, study: str) -> Iterator[None]:
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
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


def bundle_tracker(
    folder: Path,
    uri: str | None = None,
    draw: Draw | None = None,
    before_write: Callable[[], None] = lambda: None,
) -> Tracker:
    """The tracker of the study that a bundle, `results/<study>`, holds; see `Tracker`."""
    stored = describe_bundle(folder)
    text = describe(stored["study"]["title"], stored["study"]["question"])
    cells = stored["study"].get("cells")
    return Tracker(
        folder.name, text, stored["corpus"], folder.parent, uri, draw, before_write, cells
    )


def stored_cells(results: Path, study: str) -> list[str] | None:
    """Return the cells of a study; None where it has no bundle."""
    folder = results / study
    if not (folder / "study.json").is_file():
        return None
    return describe_bundle(folder)["study"].get("cells")


def require_study(results: Path, study: str, uri: str | None = None) -> None:
    """Refuse a study that neither has a bundle nor is in MLflow.

    Raises:
        BundleError: it is one.
    """
    if (results / study / "study.json").is_file():
        return
    if not (uri or (results / ".mlflow" / "mlflow.db").is_file()):
        require_stored(results, study)  # at once: without loading MLflow
    with _words_for_errors(results, study):
        _of_running(results, study, uri)


def _of_running(results: Path, study: str, uri: str | None) -> str:
    from mlflow.tracking import MlflowClient

    if uri or (results / ".mlflow" / "mlflow.db").is_file():
        found = MlflowClient(uri or default_uri(results)).get_experiment_by_name(study)
        if found:
            return found.experiment_id
    require_stored(results, study)
    raise UserError(f"{study} is not in MLflow yet; give the command again when its run goes on.")


def describe(title: str, question: str) -> str:
    """Return Markdown for the head of an experiment: what is asked."""
    return f"**{markdown(title)}.** {markdown(question)}"
