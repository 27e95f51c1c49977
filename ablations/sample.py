"""Which runs of a bundle are trained again: spread over seeds and cells, always the same ones."""

from ablations.grid import find
from ablations.plan import PlannedRun
from smoe.errors import UserError


def sample_runs(
    runs: list[PlannedRun],
    count: int,
    *,
    cells: tuple[str, ...] = (),
    seeds: tuple[int, ...] = (),
    cheapest: bool = False,
) -> list[PlannedRun]:
    """Return a sample of the trained runs of a bundle.

    Args:
        runs: All of its runs, in the order of its table: seed by seed, in the grid's order.
        count: How many; all that there are if they are fewer.
        cells: Codes of the cells to choose from; empty for all.
        seeds: Seeds to choose from; empty for all.
        cheapest: Take those with the least to compute instead of evenly spaced ones.

    Raises:
        UserError: no run is of these cells and seeds.
    """
    wanted = {find(cell).code for cell in cells}
    known = [
        run
        for run in runs
        if run.config.model is not None
        and (not wanted or run.cell in wanted)
        and (not seeds or run.seed in seeds)
    ]
    if not known:
        raise UserError(
            "The bundle has no trained run of these cells and seeds; `run_all.py plan` lists what "
            "the study has, without --cell and --seed any run may be chosen."
        )
    if cheapest:
        return sorted(known, key=lambda run: run.work)[:count]
    count = min(count, len(known))
    return [known[(2 * place + 1) * len(known) // (2 * count)] for place in range(count)]
