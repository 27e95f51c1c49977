"""Parts of a bundle: whole seeds, and one level of the settings that a study varies."""

from dataclasses import replace
from typing import Any

import numpy as np

from analysis.bundle.contents import Bundle
from analysis.bundle.verdict_rules import verdict_rules
from analysis.statistics.spending import last_look
from smoe.schema.cells import is_trained

Level = dict[str, Any]


def reported(bundle: Bundle) -> Bundle:
    """Return what a report speaks of: whole seeds, at the study's main level.

    The other levels are in its `levels`.
    """
    whole, left_out = at_last_look(*whole_seeds(bundle))
    there = levels(whole)
    if there == [{}]:
        return replace(whole, left_out=left_out)
    main = main_level(whole)
    return replace(
        at_level(whole, main),
        left_out=left_out,
        levels=tuple((level, at_level(whole, level)) for level in there),
        level=level_name(main),
    )


def take_runs(bundle: Bundle, mask: np.ndarray) -> Bundle:
    """Return the bundle of the runs in a mask, boolean [runs]."""
    rows = np.flatnonzero(mask)
    new_row = np.full(len(mask), -1)
    new_row[rows] = np.arange(len(rows))
    routing = bundle.routing[mask[bundle.routing["run"]]]
    errors = bundle.errors[mask[bundle.errors["run"].to_numpy(dtype=int)]]
    runs = bundle.runs.iloc[rows].reset_index(drop=True)
    known = bundle.history["run_id"].isin(runs["run_id"])
    return replace(
        bundle,
        runs=runs,
        scores={metric: values[:, rows] for metric, values in bundle.scores.items()},
        errors=errors.assign(run=new_row[errors["run"].to_numpy(dtype=int)]).reset_index(drop=True),
        routing=routing.assign(run=new_row[routing["run"]]).reset_index(drop=True),
        history=bundle.history[known].reset_index(drop=True),
    )


def whole_seeds(bundle: Bundle) -> tuple[Bundle, str]:
    """Return the runs of the seeds that are complete, and a sentence on what is left out.

    Nothing is averaged over sets of cells that differ: a seed counts once every run that the study
    plans for it is done or has failed. While no seed is complete, the one with most runs counts
    alone. The sentence is empty where nothing is left out.
    """
    runs, planned = bundle.runs, bundle.study["study"].get("runs_per_seed")
    trained = runs["cell"].map(is_trained).astype(bool)
    counts = runs[trained].groupby("seed").size()
    if planned is None or counts.empty:
        return bundle, ""
    ended = counts.copy()
    for failed in bundle.study.get("failed", []):
        ended[failed["seed"]] = ended.get(failed["seed"], 0) + 1
    whole = [seed for seed in counts.index if ended[seed] >= planned]
    shown = whole or [counts.idxmax()]
    mask = (~trained | runs["seed"].isin(shown)).to_numpy()
    waiting = int((~mask).sum())
    if whole and len(whole) == len(bundle.seeds):
        return bundle, ""
    if not whole:
        done, seed = int(counts[shown[0]]), shown[0]
        said = f"No seed is complete: this is seed {seed} with {done} of its {planned} runs"
    else:
        said = f"{len(whole)} of {len(bundle.seeds)} seeds are complete and counted"
    more = f"; {waiting} further runs are not counted" if waiting else ""
    return replace(take_runs(bundle, mask), counted=tuple(shown)), f"{said}{more}."


def at_last_look(bundle: Bundle, left_out: str) -> tuple[Bundle, str]:
    """Return the runs that the last look at a growing study counts, and what is left out.

    Seeds beyond it wait for the next look, whose level is not spent before.

    Args:
        bundle: Whole seeds.
        left_out: Sentence of `whole_seeds`.
    """
    looks, seeds = verdict_rules(bundle.study).looks, bundle.seeds
    if not looks or len(seeds) <= looks[0] or len(seeds) in looks:
        return bundle, left_out
    last = last_look(looks, len(seeds))
    shown, later = seeds[:last], len(seeds) - last
    trained = bundle.runs["cell"].map(is_trained).astype(bool)
    mask = ~trained | bundle.runs["seed"].isin(shown)
    following = next((f" (after {look} seeds)" for look in looks if look > last), "")
    said = f"This is the look after {last} seeds; {later} more wait for the next{following}."
    return replace(take_runs(bundle, mask.to_numpy()), counted=tuple(shown)), said


def levels(bundle: Bundle) -> list[Level]:
    """Return the levels at which runs exist, in the order of the study file; [{}] without any.

    A setting that has no effect on a run does not tell levels apart.
    """
    varied: dict[str, list[Any]] = bundle.study["study"].get("vary") or {}
    if not varied:
        return [{}]
    found: list[Level] = []
    for row in bundle.runs[[n for n in varied if n in bundle.runs]].drop_duplicates().itertuples():
        values = dict(zip(varied, row[1:], strict=True))
        if not any(_is_none(value) for value in values.values()):
            found.append({name: _plain(value) for name, value in values.items()})
    places = {name: [str(v) for v in values] for name, values in varied.items()}
    found.sort(key=lambda level: [_place(places[n], v) for n, v in reversed(level.items())])
    return found or [{}]


def at_level(bundle: Bundle, level: Level) -> Bundle:
    """Return the runs of a level, with those on which the varied settings have no effect."""
    mask = np.ones(len(bundle.runs), dtype=bool)
    for name, value in level.items():
        column = bundle.runs[name]
        mask &= (column.isna() | (column.astype(object) == value)).to_numpy()
    return take_runs(bundle, mask)


def main_level(bundle: Bundle) -> Level:
    """Return the level of the tables that do not sweep: the study's own settings, else the last."""
    own = bundle.study.get("config", {})
    there = levels(bundle)
    for level in there:
        if all(own.get(s, {}).get(f) == v for (s, _, f), v in _parted(level)):
            return level
    return there[-1]


def level_name(level: Level) -> str:
    """Return a level as a reader sees it: "steps 4000, both_mapping paper"."""
    return ", ".join(f"{name.rpartition('.')[2]} {value}" for name, value in level.items())


def _parted(level: Level) -> list[tuple[tuple[str, str, str], Any]]:
    return [(name.partition("."), value) for name, value in level.items()]


def _place(places: list[str], value: Any) -> int:
    return places.index(str(value)) if str(value) in places else len(places)


def _is_none(value: Any) -> bool:
    return value is None or value != value  # noqa: PLR0124  (NaN)


def _plain(value: Any) -> Any:
    """Return a whole number as an int: a column with gaps holds it as a float."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
