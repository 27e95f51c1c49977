"""Ready answers in the MLflow UI: saved views with their charts, filters, and links to them.

The UI keeps a saved view in a tag of its experiment: a name and the page's state, deflated. The
format is the UI's own (seen in MLflow 3.17); a UI that does not know it shows its plain list.
"""

import base64
import json
import time
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from ablations.studies.grid import UNPROCESSED, find
from ablations.tracking.shown_cells import group_of
from smoe.config import POSITIONS

TAG = "mlflow.sharedViewState."
FILTERS = {  # and the view whose question is of the same runs
    "tags.summary = 'true' and params.bottleneck = 'True' and params.router_scope = 'global'": (
        "placements"
    ),
    "params.expert_mode = 'single' and metrics.pesq_wb_reverb > 1.2": "expert-mode",
    "tags.summary = 'true' and params.placement = 'EMBDL'": "best",
}
MEANS = "tags.summary = 'true'"  # the summary runs: means over seeds and utterances
BEST = "best"  # the view that is opened first
VERDICT = (
    "metrics.`delta_pesq`", "metrics.`delta_from`", "metrics.`delta_to`",  # names fit the columns
    "tags.`verdict`",
)  # fmt: skip


class View(NamedTuple):
    """A page of the UI that answers a question.

    Attributes:
        question: What it answers.
        search: Which runs it shows.
        metric: What they are sorted by, best first.
        columns: Params and metrics of its list, as the UI writes them.
        charts: What is drawn of them.
    """

    question: str
    search: str
    metric: str
    columns: tuple[str, ...]
    charts: tuple[dict[str, Any], ...]


def _parallel(params: tuple[str, ...], metric: str) -> dict[str, Any]:
    axes = {"selectedParams": list(params), "selectedMetrics": [metric]}
    return {"type": "PARALLEL", "showAllRuns": True, **axes}


def _scatter(x: str, y: str) -> dict[str, Any]:
    axes = {name: {"key": key, "type": "METRIC"} for name, key in (("xaxis", x), ("yaxis", y))}
    return {"type": "SCATTER", **axes}


VIEWS = {
    BEST: View(
        "Which networks score best, and is the difference to the dense network decided?",
        MEANS,
        "pesq_wb",
        ("metrics.`pesq_wb`", *VERDICT, "metrics.`stoi`", "params.`placement`"),
        (),
    ),
    "placements": View(
        "Which placement is best, and under reverb?",
        f"{MEANS} and tags.group = 'placement'",
        "pesq_wb_reverb",
        ("metrics.`pesq_wb_reverb`", "metrics.`pesq_wb`", *VERDICT, "params.`placement`"),
        (_parallel(POSITIONS, "pesq_wb_reverb"), _parallel(POSITIONS, "pesq_wb")),
    ),
    "expert-mode": View(
        "Several experts or a single one, at equal placement?",
        f"{MEANS} and tags.group != 'control' and params.expert_mode != 'none'",
        "pesq_wb",
        ("params.`placement`", "params.`expert_mode`", "metrics.`pesq_wb`", "metrics.`stoi`"),
        (_parallel(("placement", "routing", "router_scope", "expert_mode"), "pesq_wb"),),
    ),
    "cost": View(
        "What does quality cost?",
        f"{MEANS} and tags.group != 'input'",
        "pesq_wb",
        ("metrics.`macs`", "metrics.`params`", "metrics.`pesq_wb`", *VERDICT),
        (_scatter("macs", "pesq_wb"), _scatter("params", "pesq_wb")),
    ),
}


def asked(cells: Iterable[str]) -> dict[str, View]:
    """Return the views whose questions a study of these cells can answer."""
    networks = [find(cell) for cell in cells if cell != UNPROCESSED]
    placements = [cell for cell in networks if group_of(cell.code) == "placement"]
    modes: dict[str, set[str | None]] = {}
    for cell in networks:
        if cell.placement and group_of(cell.code) != "control":
            modes.setdefault(cell.placement_code, set()).add(cell.expert_mode)
    has_data = {
        BEST: True,
        "placements": len(placements) > 1,
        "expert-mode": any(len(found) > 1 for found in modes.values()),
        "cost": len(networks) > 1,
    }
    return {key: view for key, view in VIEWS.items() if has_data[key]}


def view_tags(views: Mapping[str, View]) -> dict[str, str]:
    """Return saved views as tags of an experiment."""
    now_ms = int(time.time() * 1000)
    tags = {}
    for key, view in views.items():
        state = base64.b64encode(zlib.compress(json.dumps(_state(view)).encode())).decode()
        entry = {"name": view.question, "createdAt": now_ms, "updatedAt": now_ms}
        tags[TAG + key] = json.dumps({**entry, "state": f"deflate;{state}"})
    return tags


def view_link(experiment_id: str, key: str) -> str:
    """Return the address of a saved view below the UI's own, with its charts, if any, open."""
    charts = {"compareRunsMode": "CHART"} if VIEWS[key].charts else {}
    query = {"viewStateShareKey": key, **charts}
    return f"{runs_link(experiment_id)}&{urlencode(query)}"


def runs_link(experiment_id: str) -> str:
    """Address of the list of runs, below the UI's own address."""
    return f"#/experiments/{experiment_id}/runs?workflowType=machine_learning"


def box_link(experiment_id: str, run_ids: Iterable[str]) -> str:
    """Return the address of the comparison of runs that offers box plots."""
    query = {"runs": json.dumps([*run_ids]), "experiments": json.dumps([experiment_id])}
    return f"#/compare-runs?{urlencode(query)}"


def guide(experiment_id: str, views: Mapping[str, View], placements: Iterable[str] = ()) -> str:
    """Return Markdown for the head of an experiment: where its questions are answered.

    Args:
        experiment_id: Of the experiment.
        views: Those that it has.
        placements: MLflow's ids of the summary runs of its placements.
    """
    links = [f"- [{v.question}]({view_link(experiment_id, k)})" for k, v in views.items()]
    if len(runs := [*placements]) > 1:
        box = box_link(experiment_id, runs)
        links.append(
            f"- [With and without each placement]({box}): choose *Box Plot*, then x "
            "`bottleneck` or another placement, and y `pesq_wb`."
        )
    return "\n".join(
        [
            "One click each (also under *Views*; brush an axis to keep a part of the runs):",
            "",
            *links,
            "",
            f"`{MEANS}` shows one run per cell, the mean over seeds and utterances with its 95 % "
            "interval (`pesq_wb`, `pesq_wb_low`, `pesq_wb_high`), its difference to the dense "
            "network (`delta_pesq`, from `delta_from` to `delta_to`) and the verdict on that; "
            "`tags.summary = 'false'` shows the trainings. Black is dense, red has a "
            "late decoder layer, blue has none, orange is a control.",
        ]
    )


def _state(view: View) -> dict[str, Any]:
    section = {"uuid": "s", "name": view.question, "columns": 1, "display": True}
    unset = {"deleted": False, "isGenerated": False}
    charts = [
        {"uuid": f"c{i}", "metricSectionId": "s", "runsCountToCompare": 300, **unset, **chart}
        for i, chart in enumerate(view.charts)
    ]
    return {
        "searchFilter": view.search,
        "orderByKey": f"metrics.`{view.metric}`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(view.columns),
        "runsHiddenMode": "SHOWALL",
        "compareRunCharts": charts,
        "compareRunSections": [{**section, "isReordered": False, **unset}],
    }
