"""How MLflow shows a cell: its name, group, colour, params and description."""

import shlex
from collections.abc import Mapping
from typing import Any

from ablations.studies.grid import CONTROLS, DENSE, UNPROCESSED, WIDTHS, find
from smoe.config import POSITIONS
from smoe.schema.cells import is_outside, is_trained, outside_name

AXES = ("expert_mode", "routing", "router_scope")
REFERENCE = ("multi", "supervised", "global")
COLOR = "mlflow.runColor"  # the tag from which the UI takes a run's colour
# Few, so that charts can be read: of the house style of the figures.
COLORS = {
    "input": "#999999",
    "outside": "#CC79A7",
    "dense": "#000000",
    "control": "#E69F00",
    "with late decoder": "#D55E00",
    "without late decoder": "#0072B2",
}


def group_of(code: str) -> str:
    """Return `placement`, `variant`, `control`, `width`, `input` or `outside`.

    Placements are the 32 that one compares: multiple experts, supervised global routing, and the
    dense network, which has none of them. A variant differs from one of them in another axis.
    """
    if not is_trained(code):
        return "outside" if is_outside(code) else "input"
    if code in CONTROLS or code in WIDTHS:
        return "control" if code in CONTROLS else "width"
    axes = tuple(code.split(".")[1:])
    return "placement" if code == DENSE or axes == REFERENCE else "variant"


def color_of(code: str) -> str:
    """Return the colour of a cell's runs in lists and charts."""
    group = group_of(code)
    if group in ("placement", "variant") and code != DENSE:
        late = "late_decoder" in find(code).placement
        return COLORS["with late decoder" if late else "without late decoder"]
    return COLORS["dense" if "dense" in code else group]


def run_name(code: str, which: str, level: Mapping[str, Any] | None = None) -> str:
    """Return the name of a run, what tells runs apart first: lists and legends cut names.

    Args:
        code: The cell.
        which: Such as "seed 0" or "mean".
        level: Settings that the study varies, of this run.
    """
    if not is_trained(code):
        return code
    placement, _, axes = code.partition(".")
    others = "" if tuple(axes.split(".")) == REFERENCE else axes.replace(".", " ")
    levels = " ".join(f"{name.split('.')[-1]}={value}" for name, value in (level or {}).items())
    return " ".join(part for part in (placement, which, levels, others) if part)


def cell_params(code: str) -> dict[str, str]:
    """Return a cell's placement, five booleans and axes, as params of MLflow."""
    cell = find(code)
    if not is_trained(code):
        return {"placement": "outside" if is_outside(code) else "none"}
    values = {
        "placement": cell.placement_code,
        **{position: position in cell.placement for position in POSITIONS},
        **{axis: getattr(cell, axis) or "none" for axis in AXES},
    }
    return {key: str(value) for key, value in values.items()}


def describe_cell(code: str, study: str) -> str:
    """Return Markdown for the head of a run: what the cell is, and where its numbers stand."""
    cell = find(code)
    if cell.code == UNPROCESSED:
        what = "The noisy input itself, scored like any network's output."
    elif is_outside(code):
        what = f"{outside_name(code)}, an outside system: its estimates alone are known."
    elif not cell.placement:
        what = "Plain complex U-Net, no experts."
    else:
        places = ", ".join(position.replace("_", " ") for position in cell.placement)
        scope = str(cell.router_scope).replace("_", " ")
        what = f"Experts in {places}; {cell.expert_mode} expert, {cell.routing}, {scope} router."
    return f"**{code}.** {what}\n\n`python run_all.py explain {code} --study {shlex.quote(study)}`"


def cell_tags(study: str, code: str) -> dict[str, str]:
    """Return the tags that all runs of a cell have."""
    return {"study": study, "cell": code, "group": group_of(code), COLOR: color_of(code)}
