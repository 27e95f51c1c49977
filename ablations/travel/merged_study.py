"""The `study.json` of a merged bundle."""

from typing import Any

from ablations.studies.grid import expand
from ablations.travel.part import Part
from smoe.errors import UserError
from smoe.schema.digests import KEY


def merged_description(parts: list[Part]) -> dict[str, Any]:
    """Return the description of both parts together, without digests.

    What both say stands as it is. Cells and seeds are those of either; a run that failed is one
    that no part has finished; versions that differ are named side by side.

    Raises:
        UserError: the parts of a study with varied settings list other cells.
    """
    first, second = (part.study for part in parts)
    merged: dict[str, Any] = {**second, **first}
    merged["study"] = _merged_study(first["study"], second["study"])
    merged["failed"] = _failed(parts, merged["study"])
    versions = [each.get("packages", {}) for each in (first, second)]
    merged["packages"] = {
        name: _both(*(each.get(name) for each in versions))
        for name in dict.fromkeys([*versions[0], *versions[1]])
    }
    merged["python"] = _both(first.get("python"), second.get("python"))
    return {name: value for name, value in merged.items() if name != KEY}


def _merged_study(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    cells, seeds = (_union(first[name], second[name]) for name in ("cells", "seeds"))
    study = {**second, **first, "seeds": seeds, "cells": cells}
    if cells == first["cells"] or "runs_per_seed" not in first:
        return study
    if cells == second["cells"]:
        return {**study, "runs_per_seed": second.get("runs_per_seed", len(cells))}
    if first.get("vary"):
        raise UserError(
            f"The parts of {first['name']} list other cells, and how often each is trained depends "
            "on the study's varied settings; merge parts that were run from one study file."
        )
    return {**study, "cells": expand(cells), "runs_per_seed": len(cells)}


def _union(first: list[Any], second: list[Any]) -> list[Any]:
    """The longer of two lists if it holds the other, else all values of both in order."""
    for longer, other in ((first, second), (second, first)):
        if set(other) <= set(longer):
            return longer
    return sorted({*first, *second})


def _failed(parts: list[Part], study: dict[str, Any]) -> list[dict[str, Any]]:
    """Runs that failed in a part and were finished in none, in the study's order."""
    varied = tuple(study.get("vary") or {})

    def key(run: dict[str, Any]) -> tuple[Any, ...]:
        return (run["cell"], run["seed"], *(run.get(name) for name in varied))

    done = {key(row) for part in parts for row in part.runs().values()}
    failed = {key(run): run for part in reversed(parts) for run in part.study.get("failed", [])}
    left = [run for known, run in failed.items() if known not in done]
    cells, seeds = study["cells"], study["seeds"]
    return sorted(left, key=lambda run: _place(seeds, run["seed"]) + _place(cells, run["cell"]))


def _place(values: list[Any], value: Any) -> tuple[int]:
    return (values.index(value) if value in values else len(values),)


def _both(first: str | None, second: str | None) -> str:
    return " and ".join(dict.fromkeys(each for each in (first, second) if each))
