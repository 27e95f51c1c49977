"""Corpora: clean speech, noise and room impulse responses in splits that share nothing."""

import difflib
import hashlib
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from smoe.corpora.pool import Corpus, Pool, Recording, Refused, load, save
from smoe.corpora.spec import folder, is_folder, parts
from smoe.errors import UserError

__all__ = ["Corpus", "Pool", "open_corpus"]

Progress = Callable[[str, int, int], None]
NAMED_ROOTS = (
    "folders", "librispeech", "vctk", "voicebank-demand", "demand", "wham", "musan", "esc50",
    "rirs-noises", "but-reverbdb", "mit",
)  # fmt: skip
SYNTHETIC = (
    "smoe.corpora.synthetic",
    "smoe.synthesis.noises",
    "smoe.synthesis.rooms",
    "smoe.audio.acoustics",
    "smoe.synthesis.sentences",
    "smoe.synthesis.espeak",
    "smoe.audio.resampling",
)
SYNTHESIS = ("espeakng-loader", "pyroomacoustics")
READING = (
    "smoe.corpora.folders",
    "smoe.corpora.public",
    "smoe.corpora.manifest",
    "smoe.audio.source",
    "smoe.corpora.spec",
    "smoe.audio.walking",
    "smoe.audio.reading",
    "smoe.audio.containers",
    "smoe.audio.mpeg",
    "smoe.audio.decoding",
    "smoe.audio.sofa",
    "smoe.audio.levels",
    "smoe.audio.resampling",
    "smoe.audio.acoustics",
    "smoe.corpora.leakage",
    "smoe.corpora.alike",
    "smoe.corpora.fingerprint",
)
DECODING = ("soundfile", "soxr", "numpy", "scipy")
KNOWN = ("synthetic", "synthetic:tiny", "recordings", *(f"{name}:ROOT" for name in NAMED_ROOTS))


def open_corpus(spec: str, cache_dir: Path, progress: Progress | None = None) -> Corpus:
    """Prepare a corpus, or reuse what an earlier call has prepared.

    Args:
        spec: "synthetic", "synthetic:tiny", "recordings" (in ./recordings; "recordings:PATH" for
            another folder, see `recordings`), a folder (also "folders:PATH"), or public corpora
            joined by "+" such as "librispeech:ROOT+demand:ROOT+mit:ROOT" (see `public`).
        cache_dir: Where prepared corpora are kept, one folder per content.
        progress: Called with what is being done, how much is done, and of how much.

    Raises:
        UserError: Unknown corpus, files that make no corpus, or two splits that share a speaker, a
            room or a recording; says what to do.
    """
    progress = progress or _silent
    content, prepare, remarks = _resolve(spec, progress)
    cached = (
        folder(str(cache_dir))
        / hashlib.sha256(content.encode(errors="surrogateescape")).hexdigest()[:24]
    )
    corpus = load(cached, spec)
    if corpus is None:
        from smoe.corpora.leakage import guarded
        from smoe.corpora.voicebank import gated

        shutil.rmtree(cached, ignore_errors=True)  # there is none, or a damaged one
        work = cached.with_name(f".making-{cached.name}")
        try:
            cached.parent.mkdir(parents=True, exist_ok=True)
            checked = guarded(prepare(work), cached.parent, remarks)
            save(cached, gated(checked, cores(), progress), remarks)
        except PermissionError as error:
            raise UserError(
                f"The corpus may not be written to {cache_dir} ({error.strerror}); have the "
                "folder's owner allow it, or choose another folder for results."
            ) from error
        except OSError as error:
            raise UserError(
                f"The corpus could not be written to {cache_dir} ({error.strerror}); "
                "free some space there or choose another folder."
            ) from error
        shutil.rmtree(work, ignore_errors=True)
        corpus = load(cached, spec)
    if corpus is None:
        raise UserError(f"The prepared corpus in {cached} is damaged; delete it and try again.")
    return corpus


# Takes a folder in which to keep what an interrupted preparation can go on with.
Prepare = Callable[[Path], Iterator[Recording | Refused]]
Resolved = tuple[str, Prepare, dict[str, str]]


def _resolve(spec: str, progress: Progress) -> Resolved:
    """What identifies a corpus's content, how to prepare it, and what is to be said of it."""
    kind, _, rest = spec.partition(":")
    if kind == "synthetic" and rest in ("", "tiny"):
        return _synthetic(rest, progress)
    if kind == "recordings":
        return _folders(spec, progress)
    if is_folder(spec):
        return _folders(f"folders:{spec}", progress)
    if rest and (len(parts(spec)) > 1 or kind in NAMED_ROOTS):
        return _folders(spec, progress)
    nearest = difflib.get_close_matches(spec, KNOWN, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"choose from {', '.join(KNOWN)}."
    raise UserError(f"There is no corpus and no folder named {spec}; {hint}")


def _synthetic(size_name: str, progress: Progress) -> Resolved:
    def prepare(work: Path) -> Iterator[Recording | Refused]:
        from smoe.corpora import synthetic

        size = synthetic.TINY if size_name == "tiny" else synthetic.FULL
        return synthetic.recordings(size, cores(), progress, work)

    return f"synthetic {size_name} {_made_by(SYNTHETIC, SYNTHESIS)}", prepare, {}


def _folders(spec: str, progress: Progress) -> Resolved:
    from smoe.corpora import folders, public
    from smoe.corpora.manifest import UNLISTED

    (kind, root), *others = parts(spec)
    alone = kind == "folders" and not others
    found = folders.sources(folder(root)) if alone else public.joined(spec)
    unlisted = [f"{source.name} {UNLISTED}" for source in found if source.refused == UNLISTED]
    found = [source for source in found if source.refused != UNLISTED]
    content = "".join((folders.content_hash(found), *unlisted, _made_by(READING, ())))
    remarks = {"unlisted": "\n".join(unlisted)} if unlisted else {}
    return content, lambda _work: folders.recordings(found, cores(), progress), remarks


def _made_by(modules: tuple[str, ...], synthesis: tuple[str, ...]) -> str:
    """The code and the libraries that make a corpus: when they change, it is prepared anew."""
    libraries = [f"{name} {version(name)}" for name in (*synthesis, *DECODING)]
    texts = [_source_of(name) for name in modules]
    return hashlib.sha256("".join(libraries + texts).encode()).hexdigest()


def _source_of(module: str) -> str:
    """Return a module's source text, without importing it."""
    found = find_spec(module)
    assert found is not None and found.origin is not None
    return Path(found.origin).read_text("utf-8")


def cores() -> int:
    """Return how many cores this process may use.

    Its affinity counts, and in a container the share of processor time that it is given, which may
    be two cores' worth of a machine with a hundred.
    """
    import joblib

    return joblib.cpu_count()


def _silent(_what: str, _done: int, _total: int) -> None:
    pass
