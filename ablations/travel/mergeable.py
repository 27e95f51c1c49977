"""Whether two bundles are parts of one study; what speaks against it is said in one sentence."""

from typing import Any

from ablations.travel.compared import UNLIKE, differences
from ablations.travel.part import Part
from smoe.errors import UserError
from smoe.schema.columns import ROUTING_FORMS
from smoe.schema.digests import KEY

# What `study.json` may say otherwise in each part: the cells and seeds that it was to do, how they
# ended, the place of the corpus, versions (looked at apart), and digests.
PER_PART = ("study", "failed", "corpus", "packages", "python", KEY)
STUDY = ("name", "title", "question", "vary")


def require_one_study(first: Part, second: Part) -> None:
    """Refuse bundles of two studies, corpora, settings, or revisions of the code.

    Raises:
        UserError: the first thing in which they differ.
    """
    for name, a, b in _facts(first, second):
        if a != b:
            raise UserError(
                f"{first.folder} and {second.folder} are not parts of one study: {name} is {a} in "
                f"the first and {b} in the second; merge bundles that were run from one study file."
            )
    _require_revision(first, second)
    forms = [_form(part) for part in (first, second)]
    if forms[0] != forms[1]:
        raise UserError(
            f"{first.folder} and {second.folder} store routing in two forms; write the older one "
            "anew with `run_all.py run --study NAME --from-bundle` and merge then."
        )


def require_one_origin(first: Part, second: Part) -> None:
    """Refuse bundles that different code or different packages have made.

    Raises:
        UserError: commits or versions differ.
    """
    commits = [
        sorted({row["git_commit"] for row in part.runs().values()}) for part in (first, second)
    ]
    pairs = [("the commit", *(", ".join(each) or "unknown" for each in commits))]
    packages = [part.stored.study["packages"] for part in (first, second)]
    for name in sorted(set(packages[0]) & set(packages[1])):
        pairs.append((f"the version of {name}", packages[0][name], packages[1][name]))
    pairs.append(
        ("the version of Python", *(part.stored.study["python"] for part in (first, second)))
    )
    for name, a, b in pairs:
        if a != b:
            raise UserError(
                f"{name} is {a} in {first.folder} and {b} in {second.folder}; give --mixed if you "
                "know that what lies between them changes no number but for rounding."
            )


def conflicts(first: Part, second: Part) -> list[str]:
    """Say which runs both have with different results, and how far these lie apart."""
    found = []
    rows = first.runs()
    for run_id in rows.keys() & second.runs().keys():
        apart = differences(first.stored, second.stored, run_id)
        if not apart.none:
            run = rows[run_id]
            name, value = _largest(apart.values)
            how = "in what it stores" if value == UNLIKE else f"by up to {value:.2g} in {name}"
            found.append(f"{run['cell']} seed {run['seed']} ({how})")
    return sorted(found)


def _largest(values: dict[str, float]) -> tuple[str, float]:
    scores = {name: value for name, value in values.items() if value}
    name = max(scores, key=lambda each: scores[each], default="")
    return (name, scores[name]) if name else ("", UNLIKE)


def _facts(first: Part, second: Part) -> list[tuple[str, Any, Any]]:
    """Names and both values of all that has to be the same in two parts of a study."""
    studies = [part.study for part in (first, second)]
    facts = [(name, *(each["study"].get(name) for each in studies)) for name in STUDY]
    facts += [("data_hash", *(part.stored.runs["data_hash"].iloc[0] for part in (first, second)))]
    names = {name for each in studies for name in each} - set(PER_PART) - {"config"}
    for name in sorted(names & studies[0].keys() & studies[1].keys()):
        facts.append((name, *(each[name] for each in studies)))
    settings = [_flat(each.get("config", {})) for each in studies]
    for name in sorted(settings[0].keys() | settings[1].keys()):
        facts.append((name, *(each.get(name, "absent") for each in settings)))
    return facts


def _flat(config: dict[str, Any]) -> dict[str, Any]:
    flat = {}
    for section, fields in config.items():
        for name, value in fields.items() if isinstance(fields, dict) else ():
            flat[f"{section}.{name}"] = value
    return flat


def _require_revision(first: Part, second: Part) -> None:
    """Refuse parts in which one cell has two identities though all settings are the same."""
    known: dict[tuple[Any, ...], str] = {}
    varied = tuple(first.study["study"].get("vary") or {})
    for row in (*first.runs().values(), *second.runs().values()):
        key = (row["cell"], *(str(row.get(name)) for name in varied))
        if known.setdefault(key, row["config_hash"]) != row["config_hash"]:
            raise UserError(
                f"{first.folder} and {second.folder} were made by two revisions of the code that "
                f"compute other numbers: {row['cell']} has two identities; run the older one again."
            )


def _form(part: Part) -> tuple[str, ...] | None:
    names = part.tables["routing.parquet"].schema.names
    return next((form for form in ROUTING_FORMS if set(form) <= set(names)), None)
