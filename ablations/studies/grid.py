"""The grid: which cells exist, what they are called, and the settings each stands for.

A cell code reads placement, expert mode, routing, router scope: `E-B--.multi.supervised.global`.
Without experts the other axes mean nothing, so the 256 combinations are 249 distinct cells; the one
without experts is `dense`.
"""

import difflib
import fnmatch
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from smoe.config import POSITIONS, ModelConfig, Position, RunConfig
from smoe.errors import UserError
from smoe.network.cost import match_dense
from smoe.schema.cells import UNPROCESSED, is_outside, is_trained

LETTERS = "EMBDL"
EXPERT_MODES = ("multi", "single")
ROUTINGS = ("supervised", "implicit")
ROUTER_SCOPES = ("global", "per_layer")
DENSE = "dense"
EXAMPLE_CODE = "E-B--.multi.supervised.global"


@dataclass(frozen=True)
class Cell:
    """A point of the grid or a control; the axes are None where they mean nothing.

    Attributes:
        code: Name of the cell, unique.
        placement: Positions that carry an S-MoE layer.
        expert_mode: "multi" or "single".
        routing: "supervised", "implicit", or "uniform" for the control without a router.
        router_scope: "global" or "per_layer".
    """

    code: str
    placement: tuple[Position, ...] = ()
    expert_mode: str | None = None
    routing: str | None = None
    router_scope: str | None = None

    @property
    def placement_code(self) -> str:
        """Five letters, `-` where there is no S-MoE layer."""
        pairs = zip(LETTERS, POSITIONS, strict=True)
        return "".join(x if p in self.placement else "-" for x, p in pairs)


def _grid_cell(placement: tuple[Position, ...], mode: str, routing: str, scope: str) -> Cell:
    if not placement:
        return Cell(DENSE)
    letters = Cell("", placement).placement_code
    return Cell(f"{letters}.{mode}.{routing}.{scope}", placement, mode, routing, scope)


def _all_cells() -> dict[str, Cell]:
    placements: list[tuple[Position, ...]] = [
        tuple(p for p, on in zip(POSITIONS, switches, strict=True) if on)
        for switches in itertools.product((False, True), repeat=len(POSITIONS))
    ]
    axes = itertools.product(placements, EXPERT_MODES, ROUTINGS, ROUTER_SCOPES)
    cells = [_grid_cell(*point) for point in axes]
    return {cell.code: cell for cell in cells}


CELLS: dict[str, Cell] = _all_cells()
CONTROLS: dict[str, Cell] = {
    cell.code: cell
    for cell in (
        Cell("dense-params"),
        Cell("dense-macs"),
        Cell("uniform", POSITIONS, "multi", "uniform", "global"),
        Cell("shuffled-labels", POSITIONS, "multi", "supervised", "global"),
    )
}
# Dense networks of other widths: with `dense` they are the curve of quality against cost.
WIDTHS = {f"dense-w{width}": width for width in range(1, 129)}
KNOWN: dict[str, Cell] = {
    **CELLS,
    **CONTROLS,
    **{code: Cell(code) for code in WIDTHS},
    UNPROCESSED: Cell(UNPROCESSED),
}


def _set_model(**fields: Any) -> Callable[[RunConfig], RunConfig]:
    return lambda base: base.model_copy(
        update={"model": ModelConfig(**{**_model(base).model_dump(), **fields})}
    )


def _match(quantity: Any) -> Callable[[RunConfig], RunConfig]:
    return lambda base: base.model_copy(
        update={"model": match_dense(_full(base), quantity)},
    )


def _shuffle(base: RunConfig) -> RunConfig:
    return base.model_copy(
        update={
            "model": _full(base),
            "train": base.train.model_copy(update={"shuffle_labels": True}),
        }
    )


# What a cell that is no point of the grid changes in the base configuration.
_SPECIAL: dict[str, Callable[[RunConfig], RunConfig]] = {
    DENSE: _set_model(smoe_layer_positions=()),
    "dense-params": _match("params"),
    "dense-macs": _match("macs_per_s"),
    "uniform": _set_model(smoe_layer_positions=POSITIONS, routing="uniform"),
    "shuffled-labels": _shuffle,
    **{
        code: _set_model(smoe_layer_positions=(), init_channels=width, level_channels=None)
        for code, width in WIDTHS.items()
    },
}


def resolve(code: str, base: RunConfig) -> RunConfig:
    """The configuration of a cell: the study's base with the cell's axes set.

    Two cells that are the same network have configurations of the same identity.
    """
    if not is_trained(code):
        return base.model_copy(update={"model": None})
    if code in _SPECIAL:
        config = _SPECIAL[code](base)
    else:
        cell = find(code)
        config = _set_model(
            smoe_layer_positions=cell.placement,
            enable_multi_expert=cell.expert_mode == "multi",
            routing=cell.routing,
            router_scope=cell.router_scope,
        )(base)
    return config.model_copy(update={"model": _model(config).canonical()})


def find(code: str) -> Cell:
    """The cell of a code; any outside system is one.

    Raises:
        UserError: there is none; the message offers the nearest.
    """
    if code in KNOWN:
        return KNOWN[code]
    if is_outside(code):
        return Cell(code)
    nearest = [name for name in KNOWN if name.split(".")[0] == code.upper()][:1]
    nearest = nearest or difflib.get_close_matches(code, KNOWN, n=1, cutoff=0.5)
    hint = f'did you mean "{nearest[0]}"?' if nearest else f"codes look like {EXAMPLE_CODE}."
    raise UserError(f'There is no cell "{code}"; {hint}')


def expand(patterns: Iterable[str]) -> list[str]:
    """Return the cell codes that match any of the patterns, in the grid's order, each once.

    `*` and `?` stand for any text and any character of grid cells and controls; dense networks of
    other widths are named one by one.

    Raises:
        UserError: a pattern matches nothing.
    """
    order = [DENSE, *(c for c in CELLS if c != DENSE), *CONTROLS]
    chosen: set[str] = set()
    for pattern in patterns:
        matches = fnmatch.filter(order, pattern)
        chosen.update(matches or [find(pattern).code])
    return [code for code in (*order, *WIDTHS) if code in chosen]


def _model(base: RunConfig) -> ModelConfig:
    if base.model is None:
        raise UserError("A study needs a model section; remove the override that unsets it.")
    return base.model


def _full(base: RunConfig) -> ModelConfig:
    """All five placements, multi, supervised, global: what the controls are matched to."""
    return ModelConfig(
        **{
            **_model(base).model_dump(),
            "smoe_layer_positions": POSITIONS,
            "enable_multi_expert": True,
            "routing": "supervised",
            "router_scope": "global",
        }
    )
