"""The one reader of bundles: every file whole, every column checked, every text fit to be shown."""

import io
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from smoe.schema import checks
from smoe.schema.columns import REPEATED, TABLES
from smoe.schema.description import read_description
from smoe.schema.digests import KEY, OWN, digest
from smoe.schema.errors import BundleError
from smoe.schema.text import plain

EXAMPLES = "examples.npz"
WRITING_S = 0.5  # between two looks at a bundle that may be being written
LOOKS = 8


@dataclass(frozen=True)
class Stored:
    """A bundle as its files hold it.

    Attributes:
        study: Content of `study.json`, with defaults filled in.
        runs: One row per finished run.
        utterances: One row per run, utterance and counterfactual; repeated texts are categories.
        routing: One row per run, utterance and layer, and expert where `weight` is a column.
        history: One row per run and logged step.
        examples: Spectrograms of the example triplet; empty if none are stored.
        mark: Digest of `study.json`, another one whenever the bundle is.
    """

    study: dict[str, Any]
    runs: pd.DataFrame
    utterances: pd.DataFrame
    routing: pd.DataFrame
    history: pd.DataFrame
    examples: dict[str, np.ndarray]
    mark: str


def read_bundle(folder: Path) -> Stored:
    """Read a bundle, `results/<study>`, and check it.

    While a study is being stored, files of two states lie side by side for a moment; what does not
    fit together is looked at again until nothing changes any more.

    Raises:
        BundleError: a file is missing, unreadable or damaged, or the tables do not fit together.
    """
    for _ in range(LOOKS - 1):
        before = _state(folder)
        try:
            return _read(folder)
        except BundleError:
            time.sleep(WRITING_S if before else 0)
            if _state(folder) == before:
                raise
    return _read(folder)


def describe_bundle(folder: Path) -> dict[str, Any]:
    """Return a bundle's `study.json`, checked; the tables are not looked at.

    Raises:
        BundleError: the file is missing, unreadable or damaged.
    """
    return read_description(folder / OWN, _description_of(folder))


def read_runs(folder: Path) -> pd.DataFrame:
    """Read and check a bundle's runs alone: which cells and seeds have been trained.

    Raises:
        BundleError: `study.json` or the table of runs is missing, unreadable or damaged.
    """
    study = describe_bundle(folder)
    path = folder / "runs.parquet"
    runs = _frame(_table(path, study[KEY]))
    checks.check_runs(path, runs, study)
    return runs


def mark_of(folder: Path) -> str:
    """Return the digest of a bundle's `study.json`, as `Stored.mark`; empty where it is none."""
    try:
        return digest((folder / OWN).read_bytes())
    except OSError:
        return ""


def _description_of(folder: Path) -> bytes:
    return _content(folder / OWN, "name a study that has results, or run it first")


def intact_examples(folder: Path) -> bytes | None:
    """Return a bundle's `examples.npz` as it stands; None where it is absent or damaged."""
    try:
        digests = describe_bundle(folder)[KEY]
        found = _examples(folder / EXAMPLES, digests)
        return (folder / EXAMPLES).read_bytes() if found else None
    except (BundleError, OSError):
        return None


def _read(folder: Path) -> Stored:
    described = _description_of(folder)
    study = read_description(folder / OWN, described)
    tables = {name: _table(folder / name, study[KEY]) for name in TABLES}
    runs, utterances, routing, history = (_frame(table) for table in tables.values())
    paths = [folder / name for name in TABLES]
    checks.check_runs(paths[0], runs, study)
    checks.check_utterances(paths[1], utterances, runs)
    checks.check_routing(paths[2], routing, runs, utterances)
    checks.check_history(paths[3], history, runs)
    examples = _examples(folder / EXAMPLES, study[KEY])
    return Stored(study, runs, utterances, routing, history, examples, digest(described))


def _state(folder: Path) -> list[tuple[str, int, int]]:
    """Names, sizes and times of a folder's files, those being written included."""
    try:
        found = [(path.name, path.stat()) for path in sorted(folder.iterdir())]
    except OSError:
        return []
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in found]


def _content(path: Path, absent: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise BundleError(f"{path} does not exist: {absent}.") from None
    except OSError as error:
        raise BundleError(
            f"{path} cannot be read ({error.strerror}): make it a file that you may read, "
            f"or {checks.AGAIN}."
        ) from None


def _intact(path: Path, content: bytes, digests: dict[str, str] | None) -> None:
    if digests is not None and digests.get(path.name) != digest(content):
        raise BundleError(
            f"{path} is damaged (its sha256 is not the one in study.json): {checks.AGAIN}."
        )


def _table(path: Path, digests: dict[str, str] | None) -> pa.Table:
    """A table with the columns of the schema; texts that repeat are read as dictionaries."""
    content = _content(path, "run the study again to rebuild it")
    _intact(path, content, digests)
    columns = TABLES[path.name]
    try:
        present = pq.read_schema(io.BytesIO(content))
        texts = [n for n in REPEATED if n in columns and n in present.names]
        table = pq.read_table(io.BytesIO(content), read_dictionary=texts)
        table = table.replace_schema_metadata(None)  # pandas' own note is not ours to trust
        table.validate(full=True)
    except Exception as error:  # pyarrow has no common class for a damaged file
        raise BundleError(f"{path} cannot be read ({_reason(error)}): {checks.AGAIN}.") from None
    try:
        checks.check_columns(path, table, columns)
    except BundleError:
        raise
    except Exception as error:  # a page that can be opened and not decoded, e.g. text not in UTF-8
        raise BundleError(f"{path} is damaged ({_reason(error)}): {checks.AGAIN}.") from None
    return table


def _frame(table: pa.Table) -> pd.DataFrame:
    frame = table.to_pandas()
    for name in frame.columns:
        kind = table.schema.field(name).type
        if name in REPEATED and name in frame:
            frame[name] = _shown(frame[name].astype("category"))
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            frame[name] = frame[name].map(plain, na_action="ignore")
    frame["run_id"] = frame["run_id"].astype("category" if "cell" not in frame else str)
    return frame


def _shown(texts: pd.Series) -> pd.Series:
    names = [plain(str(each)) for each in texts.cat.categories]
    same = names == list(texts.cat.categories) and len(set(names)) == len(names)
    return texts if same else texts.astype(object).map(plain, na_action="ignore").astype("category")


def _examples(path: Path, digests: dict[str, str] | None) -> dict[str, np.ndarray]:
    if not path.exists() and (digests is None or EXAMPLES not in digests):
        return {}
    content = _content(path, "run the study again to rebuild it")
    _intact(path, content, digests)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except Exception as error:  # zipfile, zlib and numpy each have errors of their own
        raise BundleError(f"{path} cannot be read ({_reason(error)}): {checks.AGAIN}.") from None
    for name, values in arrays.items():
        image = values.dtype == np.uint8 and values.ndim == 2 and values.size
        if not (image or (name == "cell" and values.dtype.kind == "U" and not values.ndim)):
            raise BundleError(f"{path} has no spectrogram under {plain(name)}: {checks.AGAIN}.")
    wanted = {f"{c}/{s}" for c in ("noise", "reverb", "both") for s in _SIGNALS} | {"cell"}
    if missing := sorted(wanted - set(arrays)):
        raise BundleError(f"{path} lacks {missing[0]}: {checks.AGAIN}.")
    return {**arrays, "cell": np.array(plain(str(arrays["cell"])))}


_SIGNALS = ("noisy", "enhanced", "clean")


def _reason(error: Exception) -> str:
    lines = plain(str(error) or type(error).__name__)
    return lines if len(lines) <= 120 else f"{lines[:120]} ..."
