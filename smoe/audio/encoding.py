"""Which container and encoding an enhanced file gets: its source's, or the nearest it can have."""

import io
from dataclasses import dataclass
from pathlib import Path

import soundfile

from smoe.audio.decoding import WIDTHS, AudioFile
from smoe.errors import UserError

FORMATS = {
    ".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".oga": "OGG", ".opus": "OGG", ".mp3": "MP3",
    ".aif": "AIFF", ".aiff": "AIFF", ".aifc": "AIFF", ".au": "AU", ".snd": "AU", ".w64": "W64",
    ".rf64": "RF64", ".caf": "CAF", ".sph": "NIST", ".nist": "NIST",
}  # fmt: skip
KEPT = (*WIDTHS, "VORBIS", "OPUS", "MPEG_LAYER_III", "ALAC_16", "ALAC_20", "ALAC_24", "ALAC_32")
FINE = ("PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAC_20", "ALAC_24", "ALAC_32")  # above 16 bit
LARGEST_WAV = 2**32 - 2**16  # bytes; RF64, which WAV readers know, goes beyond


@dataclass(frozen=True)
class Encoding:
    """How a file is written.

    Attributes:
        format, subtype: Container and encoding, as libsndfile names them.
        sample_rate: In Hz.
        channels: Number of channels.
        note: What is different from the source; "" if nothing is.
    """

    format: str
    subtype: str
    sample_rate: int
    channels: int
    note: str

    def bytes_for(self, frames: int) -> int:
        """Return how many bytes so many samples of each channel take at most."""
        return frames * self.channels * WIDTHS.get(self.subtype, 4)

    def open(self, path: Path, frames: int) -> soundfile.SoundFile:
        """Open a file of so many samples for writing."""
        large = self.format == "WAV" and self.bytes_for(frames) > LARGEST_WAV
        kind = "RF64" if large else self.format
        return soundfile.SoundFile(
            path, "w", self.sample_rate, self.channels, self.subtype, format=kind
        )


def require_extension(target: Path) -> None:
    """Refuse a file name whose extension names no format.

    Raises:
        UserError: it names none.
    """
    if target.suffix.lower() not in FORMATS:
        known = ", ".join(FORMATS)
        raise UserError(f"{target} cannot be written: give it one of the extensions {known}.")


def encoding_for(target: Path, source: AudioFile) -> Encoding:
    """Return the encoding of a target: sample rate, channels and bit depth of its source.

    Raises:
        UserError: the target's format is none, or cannot hold the source's rate or channels.
    """
    require_extension(target)
    kind = FORMATS[target.suffix.lower()]
    subtype = _subtype(target, kind, source.subtype)
    note = "" if subtype == source.subtype else f"written as {_words(subtype)}"
    note += f", it was {_words(source.subtype)}" if note else ""
    encoding = Encoding(kind, subtype, source.sample_rate, source.channels, note)
    try:
        soundfile.SoundFile(
            io.BytesIO(), "w", encoding.sample_rate, encoding.channels, subtype, format=kind
        ).close()
    except (soundfile.SoundFileError, TypeError, ValueError) as error:
        held = f"{source.channels} channels at {source.sample_rate} Hz"
        raise UserError(
            f"{target} cannot be written: {kind} does not take {held}; choose .wav or .flac."
        ) from error
    return encoding


def _subtype(target: Path, kind: str, source: str) -> str:
    """Return the first that a format takes of the source's encoding and what loses least of it."""
    wanted = ["OPUS"] if target.suffix.lower() == ".opus" else [source] if source in KEPT else []
    wanted += [name for name in ("PCM_24",) if source in FINE]
    wanted += ["PCM_16"]
    wanted += [soundfile.default_subtype(kind) or "PCM_16"]
    return next(name for name in wanted if soundfile.check_format(kind, name))


def _words(subtype: str) -> str:
    return soundfile.available_subtypes().get(subtype, subtype)
