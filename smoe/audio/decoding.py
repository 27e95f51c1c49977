"""Decoding a file block by block to its very end, whatever its header says about its length."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import soundfile

from smoe.audio.containers import Layout, RefusedFileError, Shown, layout

BLOCK = 1 << 17  # samples of all channels that are decoded at once
MAX_BYTES = 1 << 35  # 32 GiB: 12 h of 16 channels, or what never ends
MAX_HOURS = 12
SPECIAL = {
    stat.S_ISDIR: "a folder", stat.S_ISFIFO: "a FIFO", stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device", stat.S_ISBLK: "a device",
}  # fmt: skip
MAX_CHANNELS = 1024
# libsndfile's log, where it has found less than the header of one of the rarer formats says.
CUT = ("(should be", "truncated file", "not equal to frame count", "does not match value from")
SEEN = ("WAV", "WAVEX", "RF64", "AIFF", "AU", "NIST", "FLAC", "OGG", "MPEG", "MP3")  # by `layout`
WIDTHS = {  # bytes per sample where that is constant
    "PCM_S8": 1, "PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8,
    "ULAW": 1, "ALAW": 1,
}  # fmt: skip
MAX_OVERHEAD = 1 << 20  # bytes of a file that are neither header nor audio
# Largest level of the formats that cannot hold 0.999 of full scale; others with a limit can.
FULL_SCALE = {"PCM_S8": 0.99, "PCM_U8": 0.99, "ULAW": 0.98, "ALAW": 0.98}
WITH_LIMIT = ("PCM_", "ULAW", "ALAW", "ALAC_", "DPCM_", "DWVW_")


class _ToTheEnd(soundfile.SoundFile):
    """A file that is read like a stream: no further than it goes, and never sought in."""

    def __init__(self, shown: Shown) -> None:
        super().__init__(cast(Any, shown))  # any file-like object will do, whatever its type says

    def seekable(self) -> bool:
        return False


@dataclass
class AudioFile:
    """An open audio file.

    Attributes:
        sample_rate: In Hz.
        channels: Number of channels.
        format, subtype: Container and encoding, as libsndfile names them, e.g. "WAV", "PCM_16".
        frames: Samples of each channel, as the header says; 0 where it does not.
        full_scale: Magnitude from which a sample counts as at full scale; None where the format
            has no limit (floating point, and codings that decode to it).
        notes: What was different from what the header says; whole once the last block was read.
    """

    path: Path
    sample_rate: int
    channels: int
    format: str
    subtype: str
    frames: int
    full_scale: float | None
    notes: list[str] = field(default_factory=list)
    _file: BinaryIO = field(repr=False, default=None)  # type: ignore[assignment]
    _layout: Layout = field(repr=False, default=None)  # type: ignore[assignment]

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield all samples, float64 [samples, channels], in blocks.

        Raises:
            RefusedFileError: The file is cut short or damaged, or longer than 12 h.
        """
        frames = 0
        with _words_for_errors():
            for span in self._layout.spans:
                with _ToTheEnd(Shown(self._file, self._layout, span)) as file:
                    if (file.samplerate, file.channels) != (self.sample_rate, self.channels):
                        raise RefusedFileError("changes its sample rate or channels on the way")
                    promised = file.frames if self._layout.frames is None else None
                    read = 0
                    at_once = max(1, BLOCK // self.channels)
                    while len(block := file.read(at_once, dtype="float64", always_2d=True)):
                        read += len(block)
                        frames += len(block)
                        if frames > MAX_HOURS * 3600 * self.sample_rate:
                            raise RefusedFileError(f"is longer than {MAX_HOURS} h; split it")
                        yield block
                    _require(read, promised)
        told = self._layout.frames
        if told is not None and frames > told:
            self.notes.append("read to its end, as its header gives another length")
        _require(frames, told)


def _require(read: int, promised: int | None) -> None:
    if promised is not None and promised < 1 << 60 and read < promised:
        raise RefusedFileError(f"is cut short ({read} of {promised} samples)")


@contextmanager
def open_audio(path: Path) -> Iterator[AudioFile]:
    """Open an audio file.

    Raises:
        RefusedFileError: Not a file, not audio, or cut short.
    """
    reason = unreadable(path)
    if reason:
        raise RefusedFileError(reason)
    with _words_for_errors(), path.open("rb") as file:
        found = layout(file)
        with _ToTheEnd(Shown(file, found, found.spans[0])) as opened:
            _sane(opened, path.stat().st_size)
            yield AudioFile(
                path=path,
                sample_rate=opened.samplerate,
                channels=opened.channels,
                format=opened.format,
                subtype=opened.subtype,
                frames=_promised(found, opened),
                full_scale=_full_scale(opened.subtype),
                notes=list(found.notes),
                _file=file,
                _layout=found,
            )


def _sane(file: soundfile.SoundFile, size: int) -> None:
    if not 4000 <= file.samplerate <= 768_000:
        raise RefusedFileError(f"claims a sample rate of {file.samplerate} Hz")
    if not 1 <= file.channels <= MAX_CHANNELS:
        raise RefusedFileError(f"claims {file.channels} channels")
    if file.format not in SEEN:
        log = file.extra_info
        if any(words in log for words in CUT):
            raise RefusedFileError("is cut short: its header says more than is there")
        width = WIDTHS.get(file.subtype, 0)
        if width and size - file.frames * file.channels * width > MAX_OVERHEAD:
            raise RefusedFileError("holds more than its header says; save it again")


def _promised(found: Layout, opened: soundfile.SoundFile) -> int:
    frames = opened.frames if found.frames is None else found.frames
    return frames if frames <= MAX_HOURS * 3600 * opened.samplerate else 0


def _full_scale(subtype: str) -> float | None:
    if not subtype.startswith(WITH_LIMIT):
        return None
    return FULL_SCALE.get(subtype, 0.999)


def unreadable(path: Path) -> str | None:
    """Say why a path is no file that can be read to an end, without opening it; None if it is one.

    Opening a FIFO, or reading a device or a socket, can take forever.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return "does not exist" + (" (a broken link)" if path.is_symlink() else "")
    except (OSError, ValueError) as error:
        return f"cannot be opened ({getattr(error, 'strerror', None) or error})"
    kind = next((name for is_kind, name in SPECIAL.items() if is_kind(status.st_mode)), None)
    if kind:
        return f"is not a file but {kind}"
    if not 0 < status.st_size <= MAX_BYTES:
        large = f"is larger than {MAX_BYTES >> 30} GiB; split it"
        return large if status.st_size else "is empty (zero bytes)"
    return None if os.access(path, os.R_OK) else "cannot be opened (Permission denied)"


@contextmanager
def _words_for_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RefusedFileError(f"cannot be opened ({error.strerror or error})") from error
    except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError, MemoryError) as error:
        raise RefusedFileError("is not audio that can be decoded, or is cut short") from error
