"""The words of the reports: metrics, conditions, placements and how a cell is called."""

import re

from smoe.schema.cells import UNPROCESSED, is_outside, outside_name
from smoe.schema.measures import FURTHER, METRICS, Metric

POSITIONS = ("early_encoder", "mid_encoder", "bottleneck", "mid_decoder", "late_decoder")
LETTERS = "EMBDL"
POSITION_NAMES = ("early encoder", "mid encoder", "bottleneck", "mid decoder", "late decoder")
NO_PLACEMENT = "-----"

DISTORTED = ("noise", "reverb", "both")
CONDITIONS = (*DISTORTED, "clean")
RT60_BANDS_S = ((0.0, 0.4), (0.4, 0.8), (0.8, float("inf")))  # from and below; as the engine's
CLUSTERS = ("speaker", "noise", "room")  # what test utterances can have in common
CLASSES = DISTORTED  # router classes 0, 1, 2
N_CLASSES = len(CLASSES)

AXES = ("expert_mode", "routing", "router_scope")
AXIS_NAMES = {"expert_mode": "expert mode", "routing": "routing", "router_scope": "router scope"}
AXIS_LEVELS = {
    "expert_mode": ("multi", "single"),
    "routing": ("supervised", "implicit"),
    "router_scope": ("global", "per_layer"),
}
REFERENCE_AXES = ("multi", "supervised", "global")
FULL_CELL = "EMBDL.multi.supervised.global"
DENSE = "dense"
DENSE_CONTROLS = ("dense-params", "dense-macs")
ROUTING_CONTROLS = ("uniform", "shuffled-labels")
COUNTERFACTUALS = (
    "learned", "oracle", "uniform", "random", "swapped", "noise-only", "reverb-only",
    "learned-normalized", "learned-paper", "oracle-paper",
)  # fmt: skip
OTHER_MAPPINGS = ("learned-paper", "learned-normalized")

_CELL_NAMES = {
    UNPROCESSED: "Unprocessed input",
    DENSE: "Dense",
    "dense-params": "Dense, parameters of full S-MoE",
    "dense-macs": "Dense, MACs of full S-MoE",
    "uniform": "S-MoE EMBDL, experts averaged",
    "shuffled-labels": "S-MoE EMBDL, shuffled labels",
}

PRIMARY = "pesq_wb"  # of figures; tables and verdicts ask the study (`verdict_rules`)


def measure(name: str) -> Metric:
    """Return how a measure is written, one of every run's or a further one."""
    return METRICS[name] if name in METRICS else FURTHER[name]


def is_dense(cell: str) -> bool:
    """Return whether a cell is a plain network of any width: `dense`, `dense-macs`, `dense-w10`."""
    return cell == DENSE or cell.startswith(f"{DENSE}-")


def placements() -> list[str]:
    """Return all 32 placement codes, by number of positions, then from encoder to decoder."""
    codes = [
        "".join(letter if bits >> (4 - i) & 1 else "-" for i, letter in enumerate(LETTERS))
        for bits in range(32)
    ]
    return sorted(codes, key=placement_order)


def placement_order(code: str) -> tuple[int, str]:
    """Return the sort key of a placement code: fewer positions first, earlier positions first."""
    return (len(code) - code.count("-"), code.translate(str.maketrans("EMBDL-", "abcdez")))


def cell_code(placement: str, axes: tuple[str, str, str] = REFERENCE_AXES) -> str:
    """Return the code of the cell with this placement; without positions it is dense."""
    return DENSE if placement == NO_PLACEMENT else ".".join((placement, *axes))


def cell_name(cell: str) -> str:
    """Return a cell's name for readers: `S-MoE E-B--, multi, supervised, global`."""
    if cell in _CELL_NAMES:
        return _CELL_NAMES[cell]
    if is_outside(cell):
        return f"{outside_name(cell)} (outside system)"
    if "." not in cell:
        return cell
    placement, *axes = cell.split(".")
    return f"S-MoE {placement}, {', '.join(axes).replace('per_layer', 'per layer')}"


def short_name(cell: str) -> str:
    """Return a short name of a cell, which leaves out the reference axes."""
    short = {
        "dense-params": "Dense, equal parameters",
        "dense-macs": "Dense, equal MACs",
        "uniform": "experts averaged",
        "shuffled-labels": "shuffled labels",
    }
    return short.get(cell, cell_name(cell).replace(", multi, supervised, global", ""))


def _in_numeric_order(cell: str) -> tuple[str, tuple[int, ...]]:
    """Return a sort key that puts dense-w6 before dense-w10."""
    return re.sub(r"\d+", "", cell), tuple(int(n) for n in re.findall(r"\d+", cell))


def cell_order(cell: str) -> tuple:
    """Return a sort key: input, dense, S-MoE by placement and axes, controls, outside systems."""
    fixed = (UNPROCESSED, DENSE, *DENSE_CONTROLS)
    if cell in fixed:
        return (0, fixed.index(cell), "", ())
    if is_dense(cell):
        return (0, len(fixed), *_in_numeric_order(cell))
    if "." in cell:
        placement, *axes = cell.split(".")
        ranks = tuple(
            AXIS_LEVELS[axis].index(level) if level in AXIS_LEVELS[axis] else 9
            for axis, level in zip(AXES, axes, strict=False)
        )
        return (1, *placement_order(placement), ranks)
    return (3 if is_outside(cell) else 2, 0, cell, ())
