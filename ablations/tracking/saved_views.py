"""Ready answers in the MLflow UI: saved views with their charts, filters, and links to them.

The UI keeps a saved view in a tag of its experiment: a name and the page's state, deflated. The
format is the UI's own (seen in MLflow 3.17); a UI that does not know it shows its plain list.
"""

import base64
import json
import time
import zlib
from typing import Any, NamedTuple
from urllib.parse import urlencode

from smoe.config import POSITIONS

TAG = "mlflow.sharedViewState."
FILTERS = (
    "tags.summary = 'true' and params.bottleneck = 'True' and params.router_scope = 'global'",
    "params.expert_mode = 'single' and metrics.pesq_wb_reverb > 1.2",
    "tags.summary = 'true' and params.placement = 'EMBDL'",
)
MEANS = "tags.summary = 'true'"  # the summary runs: means over seeds and utterances
REFERENCE = (
    "params.expert_mode = 'multi' and params.routing = 'supervised' "
    "and params.router_scope = 'global'"
)


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
    "placements": View(
        "Which placement is best, and under reverb?",
        f"{MEANS} and {REFERENCE}",
        "pesq_wb_reverb",
        ("params.`placement`", "metrics.`pesq_wb_reverb`", "metrics.`pesq_wb`", "metrics.`stoi`"),
        (_parallel(POSITIONS, "pesq_wb_reverb"), _parallel(POSITIONS, "pesq_wb")),
    ),
    "expert-mode": View(
        "Several experts or a single one, at equal placement?",
        f"{MEANS} and params.expert_mode != 'none'",
        "pesq_wb",
        ("params.`placement`", "params.`expert_mode`", "metrics.`pesq_wb`", "metrics.`stoi`"),
        (_parallel(("placement", "routing", "router_scope", "expert_mode"), "pesq_wb"),),
    ),
    "cost": View(
        "What does quality cost?",
        MEANS,
        "pesq_wb",
        ("params.`placement`", "metrics.`macs`", "metrics.`params`", "metrics.`pesq_wb`"),
        (_scatter("macs", "pesq_wb"), _scatter("params", "pesq_wb")),
    ),
}


def view_tags() -> dict[str, str]:
    """The saved views as tags of an experiment."""
    now_ms = int(time.time() * 1000)
    tags = {}
    for key, view in VIEWS.items():
        state = base64.b64encode(zlib.compress(json.dumps(_state(view)).encode())).decode()
        entry = {"name": view.question, "createdAt": now_ms, "updatedAt": now_ms}
        tags[TAG + key] = json.dumps({**entry, "state": f"deflate;{state}"})
    return tags


def view_link(experiment_id: str, key: str) -> str:
    """Address of a saved view with its charts open, below the UI's own address."""
    query = {"viewStateShareKey": key, "compareRunsMode": "CHART"}
    return f"{runs_link(experiment_id)}&{urlencode(query)}"


def runs_link(experiment_id: str) -> str:
    """Address of the list of runs, below the UI's own address."""
    return f"#/experiments/{experiment_id}/runs?workflowType=machine_learning"


def guide(experiment_id: str) -> str:
    """Markdown for the head of an experiment: where its questions are answered."""
    links = [f"- [{v.question}]({view_link(experiment_id, k)})" for k, v in VIEWS.items()]
    return "\n".join(
        [
            "One click each (also under *Views*; brush an axis to keep a part of the runs):",
            "",
            *links,
            "",
            f"`{MEANS}` shows one run per cell, the mean over seeds and utterances with its 95 % "
            "interval (`pesq_wb`, `pesq_wb_low`, `pesq_wb_high`); `tags.summary = 'false'` shows "
            "the trainings. Charts here have no error bars: what a difference is worth stands in "
            "`report.html` and the tables beside it.",
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
