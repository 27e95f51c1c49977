"""Settings that a study varies beside its cells, such as the number of training steps.

A study file has one or more `[[vary]]` tables. Each lists values of settings, which are crossed,
and may name the cells that it concerns; the study is the union of them.
"""

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from smoe.config import ModelConfig, RunConfig
from smoe.errors import UserError

SECTIONS = ("model", "loss", "mix", "train")  # the test set is the same for all of a study
Level = dict[str, Any]
Values = dict[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Variation:
    """Values of settings to be crossed.

    Attributes:
        settings: From "section.field" to the values it takes; empty for none.
        cells: Codes of the cells concerned; None for all of the study.
    """

    settings: Values
    cells: tuple[str, ...] | None = None

    def levels(self) -> list[Level]:
        """Return every combination of values, the last setting changing fastest."""
        combinations = itertools.product(*self.settings.values())
        return [dict(zip(self.settings, values, strict=True)) for values in combinations]


def levels_of(variations: Iterable[Variation], cell: str) -> list[Level]:
    """Return the levels at which a cell is trained, each once, in the order of the study file.

    A study without variations has one level, the empty one.
    """
    variations = list(variations)
    if not variations:
        return [{}]
    concerned = [v for v in variations if v.cells is None or cell in v.cells]
    levels = [level for variation in concerned for level in variation.levels()]
    return list({json.dumps(level, sort_keys=True): level for level in levels}.values())


def varied_settings(variations: Iterable[Variation], base: RunConfig) -> Values:
    """Return each varied setting with all its values, in the order in which they first stand.

    A table that does not name a setting leaves it at the study's own value, which then is one.
    """
    variations = list(variations)
    values: dict[str, list[Any]] = {n: [] for v in variations for n in v.settings}
    for variation in variations:
        for name, known in values.items():
            some = variation.settings.get(name, (_value(base, name),))
            known += [value for value in some if value not in known]
    return {name: tuple(each) for name, each in values.items()}


def at_level(config: RunConfig, level: Level) -> RunConfig:
    """Return a configuration with the settings of a level.

    Raises:
        pydantic.ValidationError: a value is impossible.
    """
    fields = config.model_dump()
    for name, value in level.items():
        section, field = name.split(".")
        fields[section][field] = value
    return RunConfig(**fields)


def effective(config: RunConfig, varied: Values) -> Level:
    """Return the value of each varied setting in a run; None where it has no effect on that run.

    A setting without effect, such as the mapping of a network without a router, stands for all of
    its levels: the run is trained once and compared with the others at each.
    """
    if config.model is None:
        return dict.fromkeys(varied)
    level: Level = {}
    for name, values in varied.items():
        identities = {at_level(config, {name: value}).identity() for value in values}
        matters = len(identities) > 1 or len(values) == 1
        level[name] = _value(config, name) if matters else None
    return level


def _value(config: RunConfig, name: str) -> Any:
    section, field = name.split(".")
    return getattr(getattr(config, section), field)


def require_variable(name: str) -> None:
    """Refuse a setting that a study cannot vary.

    Raises:
        UserError: it belongs to the test set, or it is what cells differ in.
    """
    section, _, field = name.partition(".")
    if section not in SECTIONS:
        raise UserError(f"A study cannot vary {name}: its runs must share one test set.")
    axes = {"smoe_layer_positions", "enable_multi_expert", "routing", "router_scope"}
    if section == "model" and field in axes & set(ModelConfig.model_fields):
        raise UserError(f"A study cannot vary {name}, which is part of a cell: name other cells.")
