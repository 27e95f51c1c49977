"""Outside systems in the reports: what is known of one, and what its numbers do not say."""

from pathlib import Path
from typing import Any

from analysis.bundle.contents import Bundle
from smoe.schema.bundle import read_bundle
from smoe.schema.cells import outside_name

UNKNOWN = "version not said"


def outside_notes(bundle: Bundle) -> list[str]:
    """Say which outside systems stand in a table and what their intervals cover; [] without any."""
    named = [f"{outside_name(c)} ({version_of(bundle, c)})" for c in bundle.outside_systems()]
    if not named:
        return []
    return [
        f"Outside systems, whose estimates were scored on the same utterances: {', '.join(named)}. "
        "They have no seeds: ± of their means covers utterances alone, and that of Δ also the "
        "seeds of the network it is taken from. Nothing is known of the spread of their trainings, "
        "so they have no p-value and no verdict, change no other row's, and are never bold; where "
        "one has the highest mean of a column, nothing in it is."
    ]


def version_of(bundle: Bundle, cell: str) -> str:
    """Return what `score --version` said of an outside system."""
    return str(bundle.cell_row(cell).get("system_version") or UNKNOWN)


def system_facts(folder: Path, bundle: Bundle, cell: str) -> dict[str, Any]:
    """Return an outside system's name, version, and the sha256 of its estimate by utterance."""
    rows = read_bundle(folder).utterances
    rows = rows[rows["run_id"].astype(str) == bundle.cell_row(cell)["run_id"]]
    named = zip(rows["utterance"].astype(str), rows["estimate_sha256"].astype(str), strict=True)
    return {
        "name": outside_name(cell),
        "version": version_of(bundle, cell),
        "identity": str(bundle.cell_row(cell)["config_hash"]),
        "estimates_sha256": dict(named),
    }


def system_lines(system: dict[str, Any]) -> list[str]:
    """Return the same as text, one line per estimate."""
    files = system["estimates_sha256"]
    return [
        "",
        f"Outside system {system['name']}, {system['version']}",
        f"  identity {system['identity']}: digest of the {len(files)} estimates below",
        *(f"  {utterance:20} sha256 {digest}" for utterance, digest in files.items()),
    ]
