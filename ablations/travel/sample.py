"""Which runs of a bundle are trained again: spread over seeds and cells, always the same ones."""

from ablations.runs.plan import PlannedRun
from ablations.studies.grid import find
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
    groups: dict[int, list[PlannedRun]] = {}
    for run in known:
        groups.setdefault(run.seed, []).append(run)
    return _spread(list(groups.values()), min(count, len(known)))


def _spread(groups: list[list[PlannedRun]], count: int) -> list[PlannedRun]:
    """Take runs from all seeds in turn, or from evenly spaced ones, each further on in its seed.

    Evenly spaced places of the whole table would be the same cell in each seed.
    """
    chosen: dict[str, PlannedRun] = {}
    for place in range(count):
        seed = (2 * place + 1) * len(groups) // (2 * min(count, len(groups))) % len(groups)
        in_turn = [*groups[seed:], *groups[:seed]]
        left = [[run for run in group if run.folder.run_id not in chosen] for group in in_turn]
        group = in_turn[next(at for at, runs in enumerate(left) if runs)]
        at = (2 * place + 1) * len(group) // (2 * count)
        run = next(r for r in [*group[at:], *group[:at]] if r.folder.run_id not in chosen)
        chosen[run.folder.run_id] = run
    return list(chosen.values())
