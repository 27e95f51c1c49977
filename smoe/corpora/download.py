"""Fetching LibriSpeech and VCTK through torchaudio, which knows their addresses and checksums.

torchaudio takes a folder that exists for a corpus that is whole, also where unpacking was
interrupted. Hence all happens in a folder of its own, out of which finished parts are moved: a part
that stands in its place is whole, and a later call goes on with the first one that is not.
"""

import gzip
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from smoe.corpora.public import LAYOUTS
from smoe.corpora.spec import folder, parts
from smoe.errors import UserError

STAGING = ".downloading"
DAMAGED = (EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile)
LIBRISPEECH_PARTS = ("dev-clean", "test-clean", "train-clean-100")


def download(spec: str) -> list[str]:
    """Fetch those parts of a corpus that can be fetched and are not there yet.

    Args:
        spec: As for `open_corpus`, e.g. "librispeech:ROOT+demand:ROOT+mit:ROOT".

    Returns:
        One sentence for each corpus that was fetched or found.

    Raises:
        UserError: None of the corpora can be fetched, or one could not be.
    """
    offered = [(name, folder(root)) for name, root in parts(spec) if name in PARTS and root]
    if not offered:
        raise UserError(
            f"Nothing in {spec} can be downloaded; {' and '.join(PARTS)} can, as in "
            "librispeech:ROOT. For all others the corpus's own page says how to get it."
        )
    return [_fetched(name, root) for name, root in offered]


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
            f"{name} could not be downloaded to {root} ({_reason(error)}); try again, which goes "
            f"on from here, or get it by hand from {LAYOUTS[name].source} and unpack it there."
        ) from error
    return f"{name} was downloaded to {root}; its source and licence: {LAYOUTS[name].source}."


def _reason(error: Exception) -> str:
    """The cause in a few words: what urllib and the operating system wrap, unwrapped."""
    inner = getattr(error, "reason", error)
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return text.splitlines()[0]
