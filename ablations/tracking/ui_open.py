"""Opens the MLflow view of a study: on a server of its own, or on one that runs already."""

from functools import partial
from pathlib import Path

from rich.console import Console

from ablations.tracking.addresses import is_server, require_tracking
from ablations.tracking.mlflow_ui import rebuild, require_study, stored_cells
from ablations.tracking.saved_views import VIEWS, asked
from ablations.tracking.study_view import Draw, Summarise
from ablations.tracking.ui_server import free_port, say_where, serve


def open_view(
    results: Path,
    study: str,
    port: int,
    uri: str | None,
    console: Console,
    summarise: Summarise,
    draw: Draw,
) -> None:
    """Open the view of a study, and print where it is.

    Args:
        results: Results folder.
        study: Name of the study.
        port: Where to listen on this machine; 0 for any port that is free.
        uri: Tracking server, which is brought up to the results, or database; None for SQLite in
            the results folder.
        console: Where to print.
        summarise: What a bundle says.
        draw: Draws the figures of a run.

    Raises:
        UserError: no such study, port or store.
    """
    require_tracking(uri)
    require_study(results, study, uri)
    cells = stored_cells(results, study)
    views = VIEWS if cells is None else asked(cells)
    bring = partial(rebuild, results, study, uri=uri)
    if uri and is_server(uri):
        with console.status("Bringing MLflow up to the stored results ..."):
            experiment_id = bring(summarise, draw)
        say_where(f"{uri.rstrip('/')}/", experiment_id, views, console)
        return
    serve(
        results,
        free_port(port),
        console,
        prepare=lambda: bring(summarise, trainings=False),
        views=views,
        fill=lambda progress: bring(None, draw, progress=progress),
        uri=uri,
    )
