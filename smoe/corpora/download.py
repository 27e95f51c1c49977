"""Fetching corpora: `recordings` file by file, and LibriSpeech and VCTK through torchaudio.

torchaudio knows the addresses and checksums of those two, but takes a folder that exists for a
corpus that is whole, also where unpacking was interrupted. Hence all happens in a folder of its
own, out of which finished parts are moved: a part that stands in its place is whole, and a later
call goes on with the first one that is not.
"""

import gzip
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from smoe.corpora import recordings
from smoe.corpora.fetching import reason
from smoe.corpora.public import LAYOUTS
from smoe.corpora.spec import folder, parts
from smoe.errors import UserError

Progress = Callable[[str, int, int], None]
STAGING = ".downloading"
DAMAGED = (EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile)
LIBRISPEECH_PARTS = ("dev-clean", "test-clean", "train-clean-100")


def _silent(_what: str, _done: int, _total: int) -> None:
    pass


def is_fetched_unasked(spec: str) -> bool:
    """Return whether preparing a corpus fetches what it lacks: `recordings`, which is small."""
    return any(name == recordings.NAME for name, _ in parts(spec))


def download(spec: str, progress: Progress = _silent) -> list[str]:
    """Fetch those parts of a corpus that can be fetched and are not there yet.

    Args:
        spec: As for `open_corpus`, e.g. "librispeech:ROOT+demand:ROOT+mit:ROOT".
        progress: Called with what is being done, how much is done, and of how much.

    Returns:
        A sentence or more for each corpus that was fetched or found.

    Raises:
        UserError: None of the corpora can be fetched, or one could not be.
    """
    said = []
    for name, root in parts(spec):
        if name == recordings.NAME:
            said += recordings.fetched(root, progress)
        elif name in PARTS and root:
            said.append(_fetched(name, folder(root)))
    if not said:
        raise UserError(
            f"Nothing in {spec} can be downloaded; {recordings.NAME}, {' and '.join(PARTS)} can, "
            "as in librispeech:ROOT. For all others the corpus's own page says how to get it."
        )
    return said


def _librispeech(staging: Path, part: str) -> None:
    from torchaudio.datasets import LIBRISPEECH

    LIBRISPEECH(staging, url=part, download=True)


def _vctk(staging: Path, _part: str) -> None:
    from torchaudio.datasets import VCTK_092

    VCTK_092(str(staging), mic_id="mic1", download=True)


# For each corpus, where its parts stand below the root, and what fetches one.
PARTS: dict[str, tuple[tuple[str, ...], Callable[[Path, str], None]]] = {
    "librispeech": (tuple(f"LibriSpeech/{part}" for part in LIBRISPEECH_PARTS), _librispeech),
    "vctk": (("VCTK-Corpus-0.92",), _vctk),
}


def _fetched(name: str, root: Path) -> str:
    all_parts, fetch = PARTS[name]
    missing = [part for part in all_parts if not (root / part).is_dir()]
    if not missing:
        return f"{name} is in {root} already."
    staging = root / STAGING
    try:
        staging.mkdir(parents=True, exist_ok=True)
        for part in missing:
            shutil.rmtree(staging / part, ignore_errors=True)  # half unpacked
            for cut_off in staging.glob("*.partial"):
                cut_off.unlink()
            fetch(staging, Path(part).name)
            (root / part).parent.mkdir(parents=True, exist_ok=True)
            (staging / part).rename(root / part)
        shutil.rmtree(staging)
    except (*DAMAGED, OSError, RuntimeError, ImportError) as error:
        if isinstance(error, DAMAGED):
            shutil.rmtree(staging)  # an archive that cannot be unpacked is fetched anew
        raise UserError(
            f"{name} could not be downloaded to {root} ({reason(error)}); try again, which goes "
            f"on from here, or get it by hand from {LAYOUTS[name].source} and unpack it there."
        ) from error
    return f"{name} was downloaded to {root}; its source and licence: {LAYOUTS[name].source}."
