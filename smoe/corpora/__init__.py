"""Corpora: clean speech, noise and room impulse responses in splits that share nothing."""

import difflib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from smoe.corpora.pool import Corpus, Pool, Recording, Refused, load, save
from smoe.errors import UserError

__all__ = ["Corpus", "Pool", "open_corpus"]

Progress = Callable[[str, int, int], None]


def open_corpus(spec: str, cache_dir: Path, progress: Progress | None = None) -> Corpus:
    """Prepare a corpus, or reuse what an earlier call has prepared.

    Args:
        spec: "synthetic", "synthetic:tiny", or a folder (also "folders:PATH").
        cache_dir: Where prepared corpora are kept, one folder per content.
        progress: Called with what is being done, how much is done, and of how much.

    Raises:
        UserError: Unknown corpus, or files that make no corpus; says what to do.
    """
    prepare, content = _resolve(spec, progress or _silent)
    folder = Path(cache_dir).expanduser() / hashlib.sha256(content.encode()).hexdigest()[:24]
    corpus = load(folder, spec)
    if corpus is None:
        recordings, notes, refused = prepare()
        try:
            save(folder, recordings, notes, refused)
        except OSError as error:
            raise UserError(
                f"The corpus could not be written to {cache_dir} ({error.strerror}); "
                "free some space there or choose another folder."
            ) from error
        corpus = load(folder, spec)
    if corpus is None:
        raise UserError(f"The prepared corpus in {folder} is damaged; delete it and try again.")
    return corpus


Prepared = tuple[list[Recording], list[str], list[Refused]]


def _resolve(spec: str, progress: Progress) -> tuple[Callable[[], Prepared], str]:
    """How to prepare a corpus, and the text that identifies its content."""
    kind, _, rest = spec.partition(":")
    if kind == "synthetic":
        return _synthetic(rest, spec, progress)
    raise UserError(_unknown(spec))


def _synthetic(size_name: str, spec: str, progress: Progress) -> tuple[Callable[[], Prepared], str]:
    from smoe.corpora import synthetic

    sizes = {"": synthetic.FULL, "tiny": synthetic.TINY}
    if size_name not in sizes:
        raise UserError(_unknown(spec))
    size = sizes[size_name]
    jobs = len(os.sched_getaffinity(0))
    return (
        lambda: (synthetic.recordings(size, jobs, progress), [], []),
        f"synthetic {size} {synthetic.recipe()}",
    )


def _unknown(spec: str) -> str:
    known = ["synthetic", "synthetic:tiny", "folders"]
    nearest = difflib.get_close_matches(spec, known, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"choose from {', '.join(known)}"
    return f"There is no corpus and no folder named {spec}; {hint}"


def _silent(_what: str, _done: int, _total: int) -> None:
    pass
