"""The MLflow user interface over what is stored."""

import json
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from ablations.tracked import from_bundle
from ablations.tracking import Tracker, default_uri
from smoe.errors import UserError

FILTERS = (
    "params.bottleneck = 'True' and params.router_scope = 'global'",
    "params.expert_mode = 'single' and metrics.pesq_wb_reverb > 1.2",
    "tags.summary = 'true'",
)


def rebuild(results: Path, study: str) -> Tracker:
    """Brings the MLflow view of a study up to its stored bundle.

    Raises:
        UserError: there is no such bundle.
    """
    folder = results / study
    if not (folder / "study.json").is_file():
        raise UserError(f"There are no results in {folder}; run the study first.")
    stored = json.loads((folder / "study.json").read_text())
    description = describe(stored["study"]["title"], stored["study"]["question"])
    tracker = Tracker(study, description, stored["corpus"], results)
    tracker.sync(from_bundle(folder))
    return tracker


def describe(title: str, question: str) -> str:
    """Markdown for the head of an experiment: the question, and how to compare placements."""
    return (
        f"**{title}.** {question}\n\n"
        "To compare placements: select runs, *Compare*, *Parallel coordinates*, with the five "
        "placement params and `pesq_wb`. Means with 95 % intervals stand in the summary runs "
        f"(`{FILTERS[2]}`: `pesq_wb`, `pesq_wb_low`, `pesq_wb_high`). "
        "For quality against cost: a scatter plot of `macs` against `pesq_wb`."
    )


def serve(results: Path, port: int, console: Console) -> None:
    """Runs the MLflow UI on loopback until it is interrupted."""
    console.print(f"MLflow UI at http://127.0.0.1:{port} (Ctrl-C stops it). Filters to try:")
    for each in FILTERS:
        console.print(f"  {each}", highlight=False)
    command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen([*command, "--backend-store-uri", default_uri(results)])
    try:
        server.wait()
    except KeyboardInterrupt:
        server.terminate()
        server.wait()
