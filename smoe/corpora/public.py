"""Public corpora in the layout in which their publishers hand them out.

Each is one rule that tells from a file's place what it is. Speech, noise and impulse responses are
joined with a plus sign: `librispeech:ROOT+demand:ROOT+mit:ROOT`.

`voicebank-demand:ROOT+demand:ROOT+mit:ROOT` trains on mixtures like every other corpus, with the
clean training speech of 26 speakers (two more validate), and replaces the test condition "noise" by
the 824 published pairs, once they have passed the gate in `voicebank`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from smoe.audio.sofa import responses
from smoe.audio.source import Source
from smoe.audio.walking import walk
from smoe.corpora import recordings
from smoe.corpora.folders import complete, dealt_out, tree
from smoe.corpora.pool import PAIRED
from smoe.corpora.spec import comparable, folder, parts
from smoe.corpora.voicebank import CLEAN_TEST, NOISY_TEST
from smoe.errors import UserError

Place = tuple[str, str]  # group, and split or "" where the publisher gives none
DOWNLOADABLE = ("librispeech", "vctk")  # by `download`
VALID_SPEAKERS = ("p226", "p287")  # usual validation speakers of VoiceBank-DEMAND, 28-speaker set
# The environments in VoiceBank-DEMAND's test set (Valentini-Botinhao et al. 2016) only ever test.
DEMAND_TEST = ("DLIVING", "OOFFICE", "TBUS", "SCAFE", "SPSQUARE")
DEMAND_VALID = ("OHALLWAY", "NRIVER")
ESC50_SPLITS = {"1": "train", "2": "train", "3": "train", "4": "valid", "5": "test"}


@dataclass(frozen=True)
class Layout:
    """How a public corpus is laid out.

    Attributes:
        kind: "speech", "noise" or "rir".
        place: From the path's parts, root folder included, to group and split; None for files
            that do not belong.
        expected: A file as it should be found, for error messages.
        source: Where to get the corpus, and its licence.
    """

    kind: str
    place: Callable[[tuple[str, ...]], Place | None]
    expected: str
    source: str


def _librispeech(parts: tuple[str, ...]) -> Place | None:
    match = re.match(r"(train|dev|test)-(clean|other)", "".join(parts[-4:-3]))
    return (parts[-3], {"dev": "valid"}.get(match[1], match[1])) if match else None


def _vctk(parts: tuple[str, ...]) -> Place | None:
    if parts[-3:-2] == ("wav48_silence_trimmed",):  # version 0.92: two microphones, one will do
        return (parts[-2], "") if "_mic1." in parts[-1] else None
    return (parts[-2], "") if parts[-3:-2] == ("wav48",) else None


def _voicebank(parts: tuple[str, ...]) -> Place | None:
    speaker = parts[-1].split("_")[0]
    if parts[-2:-1] in ((CLEAN_TEST,), (NOISY_TEST,)):
        return speaker, "test"
    if parts[-2:-1] == ("clean_trainset_28spk_wav",):
        return speaker, "valid" if speaker in VALID_SPEAKERS else "train"
    return None


def _demand(parts: tuple[str, ...]) -> Place | None:
    # The 16 channels are one recording; the first stands for all.
    if parts[-1].lower() != "ch01.wav":
        return None
    place = parts[-2]
    return place, "test" if place in DEMAND_TEST else "valid" if place in DEMAND_VALID else "train"


def _wham(parts: tuple[str, ...]) -> Place | None:
    split = {"tr": "train", "cv": "valid", "tt": "test"}.get(parts[-2])
    return ("wham", split) if split else None


def _musan(parts: tuple[str, ...]) -> Place | None:
    return (parts[-2], "") if parts[-3:-2] == ("noise",) else None


def _esc50(parts: tuple[str, ...]) -> Place | None:
    # Fold-clip-take-class.wav; clips cut from one recording share a fold.
    match = re.fullmatch(r"([1-5])-\d+-[A-Z]-(\d+)\.wav", parts[-1])
    return (f"class {match[2]}", ESC50_SPLITS[match[1]]) if match else None


def _rirs_noises(parts: tuple[str, ...]) -> Place | None:
    return ("/".join(parts[-3:-1]), "") if parts[-4:-3] == ("simulated_rirs",) else None


def _but(parts: tuple[str, ...]) -> Place | None:
    # ROOM/MicID/SpkID/position/RIR/IR_sweep_....wav
    return (parts[-6], "") if parts[-2] == "RIR" and len(parts) > 5 else None


def _mit(parts: tuple[str, ...]) -> Place | None:
    match = re.match(r"h\d{3}_", parts[-1])
    return (Path(parts[-1]).stem, "") if match else None


LAYOUTS: dict[str, Layout] = {
    "librispeech": Layout(
        "speech", _librispeech, "train-clean-100/103/1240/103-1240-0000.flac",
        "https://www.openslr.org/12 (CC BY 4.0)",
    ),
    "vctk": Layout(
        "speech", _vctk, "wav48_silence_trimmed/p225/p225_001_mic1.flac",
        "https://doi.org/10.7488/ds/2645 (CC BY 4.0)",
    ),
    "voicebank-demand": Layout(
        "speech", _voicebank, "clean_trainset_28spk_wav/p226_001.wav",
        "https://doi.org/10.7488/ds/2117 (CC BY 4.0)",
    ),
    "demand": Layout(
        "noise", _demand, "DKITCHEN/ch01.wav",
        "https://doi.org/10.5281/zenodo.1227121 (CC BY-SA 3.0 by its manual)",
    ),
    "wham": Layout(
        "noise", _wham, "wham_noise/tr/011a0101_0.061105_401c020r_-0.061105.wav",
        "http://wham.whisper.ai (CC BY-NC 4.0)",
    ),
    "musan": Layout(
        "noise", _musan, "musan/noise/free-sound/noise-free-sound-0000.wav",
        "https://www.openslr.org/17 (Creative Commons, see its LICENSE files)",
    ),
    "esc50": Layout(
        "noise", _esc50, "ESC-50-master/audio/1-100032-A-0.wav",
        "https://github.com/karolpiczak/ESC-50 (CC BY-NC 3.0)",
    ),
    "rirs-noises": Layout(
        "rir", _rirs_noises, "simulated_rirs/smallroom/Room001/Room001-00001.wav",
        "https://www.openslr.org/28 (Apache 2.0)",
    ),
    "but-reverbdb": Layout(
        "rir", _but, "VUT_FIT_L207/MicID01/SpkID01_20170901_S/01/RIR/IR_sweep_15s_45Hzto22kHz.wav",
        "https://speech.fit.vut.cz/software/but-speech-fit-reverb-database (CC BY 4.0)",
    ),
    "mit": Layout(
        "rir", _mit, "Audio/h001_Bedroom_65txts.wav",
        "https://mcdermottlab.mit.edu/Reverb/IR_Survey.html (CC BY 4.0; cite Traer 2016)",
    ),
}  # fmt: skip


def joined(spec: str) -> list[Source]:
    """Files of several corpora together.

    Args:
        spec: Parts "name:ROOT" joined by "+"; "folders:PATH" and "recordings" may stand among them.

    Raises:
        UserError: Unknown name, a root without such files, or a kind that no part has.
    """
    found: list[Source] = []
    pieces = parts(spec)
    for place, (name, root) in enumerate(pieces):
        # By place among corpora of one name, never by root: names must not say where files lie.
        before = sum(other == name for other, _ in pieces[:place])
        prefix = f"{name}-{before + 1}" if before else name
        if name == "folders":
            members = [
                replace(
                    s,
                    name=f"{prefix}/{s.name}",
                    distinct_from=frozenset(f"{prefix}/{name}" for name in s.distinct_from),
                )
                for s in tree(folder(root))
            ]
        elif name == recordings.NAME:
            members = recordings.sources(root)
        elif name in LAYOUTS:
            members = [
                replace(s, name=prefix + s.name.removeprefix(name))
                for s in laid_out(name, folder(root))
            ]
        else:
            known = ", ".join([*LAYOUTS, "folders", recordings.NAME])
            raise UserError(f"There is no corpus {name}; joined by + can be {known}.")
        found += members
    found = complete(found, spec, "join one with +, such as demand:ROOT or mit:ROOT")
    # Some publishers give splits and some do not: only the latter's files are dealt out.
    dealt = {s.name: s for s in dealt_out([s for s in found if not s.split])}
    return [dealt.get(s.name, s) for s in found]


def laid_out(name: str, root: Path) -> list[Source]:
    """Files of one public corpus below a folder.

    Args:
        name: A key of `LAYOUTS`.
        root: The unpacked corpus, or a folder above it.

    Raises:
        UserError: No such folder, or no file in that corpus's layout.
    """
    layout = LAYOUTS[name]
    found = []
    for path in walk(root.resolve()):
        relative = path.relative_to(root.resolve()).parts
        place = layout.place((root.resolve().name, *relative))
        if place:
            group, split = place
            full_name = comparable("/".join((name, *relative)))
            kind = PAIRED if path.parent.name == NOISY_TEST else layout.kind
            source = Source(path, full_name, kind, f"{name}/{comparable(group)}", split)
            found += responses(source)
    if not found:
        fetch = ", or let `data prepare --download` fetch it" if name in DOWNLOADABLE else ""
        raise UserError(
            f"{root} holds no {name}: expected files such as {layout.expected}; "
            f"get it from {layout.source} and unpack it there{fetch}."
        )
    return found
