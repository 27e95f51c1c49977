"""The answer of a study in a few sentences, all of one family of comparisons.

The family is every S-MoE network against the dense network in the primary metric, with Holm over
all of them. The same sentences head the report, the terminal, the README and MLflow.
"""

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.bundle.verdict_rules import FEWEST_SEEDS
from analysis.findings import captions
from analysis.findings.compare import margin_phrase
from analysis.findings.primary_family import Judged, primary_family
from analysis.rendering.forms import estimate

MOST_NAMED = 3  # networks that a sentence names


def answer(bundle: Bundle) -> list[str]:
    """Say how the S-MoE networks of a study compare with its dense network.

    Returns:
        Three or four sentences; one if there is nothing to compare, one more after repeated looks.
        Each difference has its 95 % interval (after repeated looks: that of the look's level), the
        verdicts are those after Holm over all S-MoE networks of the study.
    """
    cells = [c for c in bundle.cells() if "." in c]
    if not cells or not bundle.has(words.DENSE):
        return [f"This study compares no S-MoE network with a dense one. {_scope(bundle)}"]
    metric = bundle.primary
    known = primary_family(bundle)
    if not known:
        return [f"No S-MoE network shares a seed with the dense one. {_scope(bundle)}"]
    said = _decided(bundle, known) if known[0].found.n_seeds >= FEWEST_SEEDS else _too_few(known)
    sentences = [said, _not_yet_named(known, metric), _needed(bundle, known), _scope(bundle)]
    return [s for s in (*sentences, *captions.repeated_looks(bundle)) if s]


def _decided(bundle: Bundle, known: list[Judged]) -> str:
    """Count the verdicts, and name what is better or worse."""
    name, n = words.METRICS[bundle.primary].label, len(known)
    of, after = captions.plural(n, "S-MoE network"), f"after Holm over {n}"
    chosen = {v: _with(known, v) for v in ("better", "worse", "equivalent", "undecided")}
    said = [
        f"{len(found)} of {of} {_be(len(found))} {verdict} than the dense network in {name}, "
        f"{after}: {_list(found, bundle.primary)}"
        for verdict, found in chosen.items()
        if found and verdict in ("better", "worse")
    ] or [f"None of {of} is shown to be better or worse than the dense network in {name}, {after}"]
    if len(chosen["undecided"]) == n:
        return f"{said[0]}, nor equivalent to it."
    if equal := len(chosen["equivalent"]):
        within = margin_phrase(bundle.rules, bundle.primary, known[0].found.gain)
        said.append(f"{equal} {_be(equal)} equivalent to it within {within}")
    if left := len(chosen["undecided"]):
        said.append(f"{left} {_be(left)} undecided")
    return f"{'; '.join(said)}."


def _too_few(known: list[Judged]) -> str:
    seeds = captions.plural(known[0].found.n_seeds, "seed")
    return (
        f"With {seeds} nothing is decided about the "
        f"{captions.plural(len(known), 'S-MoE network')} of this study."
    )


def _not_yet_named(known: list[Judged], metric: str) -> str:
    """Name the highest, the lowest and the full network, where no verdict has named them."""
    ranked = sorted(known, key=lambda one: one.effect)
    roles = {"Highest": ranked[-1], "lowest": ranked[0]}
    full = [one for one in known if one.cell == words.FULL_CELL]
    roles |= {"all five placements": full[0]} if full else {}
    left = {role: one for role, one in roles.items() if one.verdict not in ("better", "worse")}
    if len(known) == 1:
        left = dict(list(left.items())[:1])
    phrases = [f"{role}: {_entry(one, metric)}" for role, one in left.items()]
    text = "; ".join(phrases)
    return f"Against dense, {text[0].lower()}{text[1:]}." if phrases else ""


def _needed(bundle: Bundle, known: list[Judged]) -> str:
    """Say how many seeds a difference of the margin needs; empty where nobody can know."""
    margin = bundle.rules.margins.get(bundle.primary)
    if margin is None:
        return ""
    return captions.seeds_sentence([one.found for one in known], bundle.primary, margin)


def _scope(bundle: Bundle) -> str:
    """Say for which training, data and seeds all this holds."""
    config = bundle.study.get("config", {})
    model, train = config.get("model", {}), config.get("train", {})
    settings = [
        f"{train['steps']:,} steps".replace(",", " ") if "steps" in train else "",
        f"batches of {train['batch_size']}" if "batch_size" in train else "",
        f"width {model['init_channels']}" if "init_channels" in model else "",
        f"the {model['both_mapping']} mapping" if "both_mapping" in model else "",
        f"the corpus {bundle.study['corpus']}" if bundle.study.get("corpus") else "",
    ]
    said = ", ".join(text for text in settings if text)
    level = " Other levels of what the study varies are in table 12." if bundle.levels else ""
    n = int(bundle.in_conditions(words.DISTORTED).sum())
    seeds = captions.plural(len(bundle.seeds), "seed")
    counted = f" {bundle.left_out}" if bundle.left_out else ""
    return f"This holds for {said}; N = {n} distorted utterances, {seeds}.{counted}{level}"


def _with(known: list[Judged], verdict: str) -> list[Judged]:
    chosen = [one for one in known if one.verdict == verdict]
    return sorted(chosen, key=lambda one: one.effect, reverse=verdict == "better")


def _list(chosen: list[Judged], metric: str) -> str:
    named = [_entry(one, metric, verdict=False) for one in chosen[:MOST_NAMED]]
    more = len(chosen) - MOST_NAMED
    return "; ".join(named) + (f"; and {more} more" if more > 0 else "")


def _entry(one: Judged, metric: str, *, verdict: bool = True) -> str:
    gain = estimate(one.found.interval, words.METRICS[metric].decimals, signed=True)
    up = sum(value > 0 for value in one.found.by_seed)
    seeds = f"{up} of {captions.plural(one.found.n_seeds, 'seed')} above zero"
    name = words.short_name(one.cell).removeprefix("S-MoE ")
    said = f"{one.verdict}, " if verdict and one.found.n_seeds >= FEWEST_SEEDS else ""
    return f"{name} {gain} ({said}{seeds})"


def _be(count: int) -> str:
    return "is" if count == 1 else "are"
