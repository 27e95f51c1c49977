"""`check`: tries an extension for what the suite relies on."""

import difflib
from pathlib import Path

import numpy as np

from ablations.execution.backends import cache_folder
from smoe.errors import UserError

KINDS = ("metric", "expert", "corpus", "study")
SPEECH_S = 3


def broken(kind: str, name: str, results: Path) -> list[str]:
    """Return one sentence for each thing that an extension lacks.

    Args:
        kind: "metric", "expert", "corpus" or "study".
        name: A metric, a kind of expert, the specification of a corpus, a study's name or file.
        results: Results folder, where corpora are kept.

    Raises:
        UserError: unknown kind.
    """
    if kind == "metric":
        from smoe.inspection.contract_metric import broken_metric

        return list(broken_metric(name, _speech(results)))
    if kind == "expert":
        from smoe.inspection.contract_expert import broken_expert

        return list(broken_expert(name))
    if kind == "corpus":
        from smoe.inspection.contract_corpus import broken_corpus

        return list(broken_corpus(name, cache_folder(results.absolute())))
    if kind == "study":
        from ablations.contract.study import broken_study

        return list(broken_study(name, results))
    near = difflib.get_close_matches(kind, KINDS, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"choose from {', '.join(KINDS)}."
    raise UserError(f'`check` does not know "{kind}"; {hint}')


def _speech(results: Path) -> np.ndarray:
    """Return some seconds of speech of the tiny embedded corpus, float32 [samples]."""
    from smoe.config import SAMPLE_RATE
    from smoe.corpora import open_corpus

    pool = open_corpus("synthetic:tiny", cache_folder(results.absolute())).pools["speech", "test"]
    return np.array(pool.item(0)[: SPEECH_S * SAMPLE_RATE], dtype=np.float32)
