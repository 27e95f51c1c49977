"""A study: a question, the cells that answer it, seeds, and the settings they share."""

import difflib
import hashlib
import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

import ablations
from ablations.studies.files import Seeds, read_study_text, require_name, require_text
from ablations.studies.grid import expand
from ablations.studies.impossible import impossible
from ablations.studies.variation import Values, Variation, require_variable, varied_settings
from ablations.studies.verdict import Verdict
from smoe.config import RunConfig
from smoe.errors import UserError

STUDIES = Path(ablations.__path__[0], "studies")
SECTIONS = ("model", "loss", "mix", "train", "test")


class _StudyFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str
    question: str
    cells: list[str] = Field(min_length=1)
    seeds: Seeds
    data: str
    model: dict[str, Any] = {}
    loss: dict[str, Any] = {}
    mix: dict[str, Any] = {}
    train: dict[str, Any] = {}
    test: dict[str, Any] = {}
    vary: dict[str, Any] | list[dict[str, Any]] = []
    verdict: Verdict = Verdict()


@dataclass(frozen=True)
class Study:
    """What is to be run.

    Attributes:
        name: Names the results folder. A study with other data or settings than its file says gets
            a suffix, so that its results never stand where the file's own would.
        title: For headings.
        question: What the study is to answer.
        cells: Cell codes, without the unprocessed input, which every study has.
        seeds: Each cell is trained once per seed.
        data: Corpus specification.
        settings: Sections of `RunConfig`, as resolved from file and overrides.
        variations: Settings that vary beside the cells; empty where none do.
        verdict: When a difference counts, declared before the study is run.
    """

    name: str
    title: str
    question: str
    cells: tuple[str, ...]
    seeds: tuple[int, ...]
    data: str
    settings: dict[str, dict[str, Any]]
    variations: tuple[Variation, ...] = ()
    verdict: Verdict = field(default_factory=Verdict)

    @property
    def varied(self) -> Values:
        """The varied settings with all their values."""
        return varied_settings(self.variations, self.base(""))

    def base(self, data_hash: str) -> RunConfig:
        """The configuration that the cells vary.

        Raises:
            UserError: a setting has an impossible value.
        """
        try:
            return RunConfig(**self.settings, data_hash=data_hash)  # type: ignore[arg-type]
        except ValidationError as error:
            wrong = impossible(error, RunConfig)
            raise UserError(f"Study {self.name}: the setting {wrong}.") from error


def available() -> dict[str, Path]:
    """The studies that come with the suite, by name."""
    return {path.stem: path for path in sorted(STUDIES.glob("*.toml"))}


def load_study(name: str, data: str | None = None, overrides: Iterable[str] = ()) -> Study:
    """Reads a study by name, or from a path that ends in `.toml`.

    Args:
        name: Name or path.
        data: Corpus instead of the study's own.
        overrides: `section.field=value`, values as in TOML.

    Raises:
        UserError: unknown study, malformed file, unknown setting; says what was probably meant.
    """
    path = Path(name) if name.endswith(".toml") else available().get(name)
    if path is None or not path.exists():
        known = available()
        nearest = difflib.get_close_matches(name, known, n=1)
        hint = f'did you mean "{nearest[0]}"?' if nearest else f"choose from {', '.join(known)}."
        raise UserError(f'There is no study "{name}"; {hint}')
    file = _read(path)
    settings = {section: getattr(file, section) for section in SECTIONS}
    for section, fields in settings.items():
        for leaf in fields:
            _require_known(f"{section}.{leaf}")
    cells = tuple(expand(file.cells))
    study = Study(
        name=path.stem,
        title=file.title,
        question=file.question,
        cells=cells,
        seeds=tuple(file.seeds),
        data=file.data,
        settings=settings,
        variations=_variations(file.vary, cells, path),
        verdict=file.verdict,
    )
    varied = _override(settings, overrides)
    corpus = file.data if data is None else data
    if (corpus, varied) == (file.data, settings):
        return study
    variation = json.dumps([corpus, varied], sort_keys=True).encode()
    suffix = hashlib.sha256(variation).hexdigest()[:6]
    return replace(study, name=f"{path.stem}-{suffix}", data=corpus, settings=varied)


def _variations(
    vary: dict[str, Any] | list[dict[str, Any]], cells: tuple[str, ...], path: Path
) -> tuple[Variation, ...]:
    """Return what `[vary]`, or each `[[vary]]`, of a study file says."""
    return tuple(
        _variation(table, cells, path) for table in ([vary] if isinstance(vary, dict) else vary)
    )


def _variation(table: dict[str, Any], cells: tuple[str, ...], path: Path) -> Variation:
    patterns = table.get("cells")
    chosen = None if patterns is None else tuple(c for c in expand(patterns) if c in cells)
    if chosen == ():
        raise UserError(f"{path}: [[vary]] names no cell of the study: {patterns}.")
    settings: dict[str, tuple[Any, ...]] = {}
    for section, fields in table.items():
        if section == "cells":
            continue
        if not isinstance(fields, dict):
            raise UserError(f"{path}: vary.{section} is a setting without its section.")
        for leaf, values in fields.items():
            name = f"{section}.{leaf}"
            _require_known(name)
            require_variable(name)
            if not isinstance(values, list) or not values:
                raise UserError(f"{path}: vary.{name} wants a list of values, not {values!r}.")
            settings[name] = tuple(values)
    return Variation(settings, chosen)


def _read(path: Path) -> _StudyFile:
    try:
        file = _StudyFile(**tomllib.loads(read_study_text(path)))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is not valid TOML: {error}.") from error
    except ValidationError as error:
        raise UserError(f"{path}: {impossible(error, _StudyFile)}.") from error
    for leaf in ("title", "question", "data"):
        require_text(f"{path}: {leaf}", getattr(file, leaf))
    require_name(path)
    return file


def _setting_names() -> list[str]:
    names = []
    for section in SECTIONS:
        default = RunConfig.model_fields[section].default
        names += [f"{section}.{field}" for field in type(default).model_fields]
    return names


def _require_known(name: str) -> None:
    names = _setting_names()
    if name in names:
        return
    leaf = name.rpartition(".")[2]
    by_leaf = [n for n in names if n.rpartition(".")[2] == leaf]
    nearest = by_leaf or difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f'did you mean "{nearest[0]}"?' if nearest else f"sections are {', '.join(SECTIONS)}."
    raise UserError(f'There is no setting "{name}"; {hint}')


def _override(
    settings: dict[str, dict[str, Any]], overrides: Iterable[str]
) -> dict[str, dict[str, Any]]:
    varied = {section: dict(fields) for section, fields in settings.items()}
    for override in overrides:
        name, equals, text = override.partition("=")
        if not equals:
            raise UserError(f'--set wants section.field=value, not "{override}".')
        _require_known(name.strip())
        section, field = name.strip().split(".")
        try:
            given = tomllib.loads(f"value = {text}")
        except tomllib.TOMLDecodeError:
            given = {}
        # What is no value of TOML is a bare word, such as bfloat16.
        value = given["value"] if set(given) == {"value"} else text.strip()
        varied[section][field] = value
    return varied
