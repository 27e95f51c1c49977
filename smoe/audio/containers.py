"""What an audio file's header says about its length, compared with what the file holds.

libsndfile believes headers: it reads no further than they say. Here each common kind of file is
looked through before it is decoded, and is shown to libsndfile with a header that makes it read on
to the end. Kinds: RIFF, RIFX and RF64 (WAV), AIFF, AU, NIST SPHERE, FLAC (RFC 9639), Ogg pages
(RFC 3533), MPEG audio frames (ISO 11172-3 and 13818-3) with the Xing count that encoders put into
the first frame.
"""

import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from smoe.audio.mpeg import mpeg_layout

CHUNKED = {  # by magic and kind: the chunk that holds the audio, and the order of bytes
    (b"RIFF", b"WAVE"): (b"data", "little"),
    (b"RF64", b"WAVE"): (b"data", "little"),
    (b"RIFX", b"WAVE"): (b"data", "big"),
    (b"FORM", b"AIFF"): (b"SSND", "big"),
    (b"FORM", b"AIFC"): (b"SSND", "big"),
}
LARGEST = 2**32 - 1
STREAMING = 0x7FFFF000  # and above: what programs write into a header that they cannot go back to
RIFF_CHUNK = re.compile(rb"[A-Za-z0-9_ ]{4}")
UNREADABLE = {
    (4, b"ftyp"): "MPEG-4 audio (m4a)",
    (0, b"\x30\x26\xb2\x75"): "Windows Media audio (wma)",
    (0, b"\x1a\x45\xdf\xa3"): "Matroska or WebM",
    (0, b"\xff\xf1"): "AAC",
    (0, b"\xff\xf9"): "AAC",
    (0, b"#!AMR"): "AMR",
    (0, b"MAC "): "Monkey's Audio",
    (0, b"wvpk"): "WavPack",
}


class RefusedFileError(Exception):
    """A file that cannot serve; the message is the reason."""


@dataclass
class Layout:
    """How a file is to be shown to libsndfile.

    Attributes:
        spans: First byte and end of each stream in it, one after the other.
        prefix: Bytes put before the first stream.
        patches: Bytes that replace others, by their offset in the file.
        frames: Sample frames that the header promises, where libsndfile is kept from knowing.
        notes: What was different from what the header says.
    """

    spans: list[tuple[int, int]]
    prefix: bytes = b""
    patches: dict[int, bytes] = field(default_factory=dict)
    frames: int | None = None
    notes: list[str] = field(default_factory=list)


class Shown(io.RawIOBase):
    """One span of a file with its prefix and patches, as libsndfile is to see it."""

    def __init__(self, file: BinaryIO, layout: Layout, span: tuple[int, int]) -> None:
        self._file, self._layout, self._at = file, layout, 0
        self._start, self._end = span
        self._prefix = layout.prefix if span == layout.spans[0] else b""

    def __len__(self) -> int:
        return len(self._prefix) + self._end - self._start

    def readable(self) -> bool:  # noqa: D102
        return True

    def seekable(self) -> bool:  # noqa: D102
        return True

    def tell(self) -> int:  # noqa: D102
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:  # noqa: D102
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: len(self)}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer) -> int:  # noqa: D102
        data = self._prefix[self._at : self._at + len(buffer)]
        if len(data) < len(buffer):
            at = self._start + self._at + len(data) - len(self._prefix)
            data += self._patched(at, max(0, min(len(buffer) - len(data), self._end - at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _patched(self, at: int, count: int) -> bytes:
        self._file.seek(at)
        data = self._file.read(count)
        for offset, patch in self._layout.patches.items():
            first, end = max(offset, at), min(offset + len(patch), at + len(data))
            if first < end:
                new = patch[first - offset : end - offset]
                data = data[: first - at] + new + data[end - at :]
        return data


def layout(file: BinaryIO) -> Layout:
    """Look through a file and say how libsndfile is to see it.

    Raises:
        RefusedFileError: The file is cut short, or of a kind that cannot be decoded.
    """
    size = file.seek(0, os.SEEK_END)
    start = _after_id3(file)
    head = _bytes(file, start, 12)
    for (offset, magic), name in UNREADABLE.items():
        if head[offset : offset + len(magic)] == magic:
            raise RefusedFileError(f"is {name}, which cannot be decoded; convert it to FLAC or WAV")
    if (head[:4], head[8:]) in CHUNKED:
        return _chunked(file, start, size, *CHUNKED[head[:4], head[8:]])
    kinds = {b".snd": _au, b"NIST": _sphere, b"fLaC": _flac, b"OggS": _ogg}
    return kinds.get(head[:4], _mpeg)(file, start, size)


def _mpeg(file: BinaryIO, start: int, size: int) -> Layout:
    """An MPEG audio file, or one of a kind that is left to libsndfile."""
    mpeg = mpeg_layout(file, start, size)
    if mpeg is None:
        return Layout([(0, size)])
    return Layout([(mpeg.start, size)], mpeg.prefix, notes=mpeg.notes)


def _bytes(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)


def _after_id3(file: BinaryIO) -> int:
    """The first byte after ID3v2 tags, which may stand before anything."""
    at = 0
    while (head := _bytes(file, at, 10))[:3] == b"ID3" and len(head) == 10:
        length = sum((byte & 127) << 7 * (3 - i) for i, byte in enumerate(head[6:]))
        at += 10 + length + (10 if head[5] & 16 else 0)
    return at


def _chunks(file: BinaryIO, at: int, end: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and declared length of each RIFF chunk, while they look like chunks."""
    while at + 8 <= end:
        head = _bytes(file, at, 8)
        length = int.from_bytes(head[4:], order)  # type: ignore[arg-type]
        if not RIFF_CHUNK.fullmatch(head[:4]):
            return
        yield head[:4], at + 8, length
        at += 8 + length + length % 2


def _chunked(file: BinaryIO, start: int, size: int, audio: bytes, order: str) -> Layout:
    """WAV or AIFF: does its chunk of audio end where the file or other chunks say?"""
    chunks = _chunks(file, start + 12, size, order)
    data = next((chunk for chunk in chunks if chunk[0] == audio), None)
    if data is None:
        return Layout([(start, size)])
    _, first, length = data
    magic = _bytes(file, start, 4)
    if magic == b"RF64" and length == LARGEST:  # the chunk ds64 gives the length
        length = int.from_bytes(_bytes(file, start + 28, 8), "little")
    rest = first + length + length % 2
    streaming = length == 0 or (magic != b"RF64" and length >= STREAMING)
    if not streaming and first + length > size:
        raise _cut(size - first, length)
    if not streaming and (rest >= size or _only_tags(file, rest, size, audio, order)):
        return Layout([(start, size)])
    # libsndfile takes the largest length for "up to the end of the file".
    unknown = LARGEST.to_bytes(4, "big")
    patches = {first - 4: unknown, start + 4: unknown}
    if magic == b"RF64":
        patches[start] = b"RIFF"
    return _to_the_end(start, size, patches, known=not streaming)


def _cut(there: int, told: int) -> RefusedFileError:
    return RefusedFileError(
        f"is cut short ({max(0, there) / told:.1%} of what its header says is there)"
    )


def _to_the_end(start: int, size: int, patches: dict[int, bytes], *, known: bool) -> Layout:
    length = "another length" if known else "no length"
    note = f"read to its end, as its header gives {length}"
    return Layout([(start, size)], patches=patches, notes=[note])


def _au(file: BinaryIO, start: int, size: int) -> Layout:
    first, length = (int.from_bytes(_bytes(file, start + at, 4), "big") for at in (4, 8))
    there = size - start - first
    if length in (LARGEST, there) or not 24 <= first < size:
        return Layout([(start, size)])
    if there < length < STREAMING:
        raise _cut(there, length)
    unknown = LARGEST.to_bytes(4, "big")
    return _to_the_end(start, size, {start + 8: unknown}, known=0 < length < STREAMING)


def _sphere(file: BinaryIO, start: int, size: int) -> Layout:
    """A NIST SPHERE file, whose header is text; libsndfile does not compare its length."""
    header = _bytes(file, start, 4096)
    told = dict(re.findall(rb"(\w+) -i (\d+)", header))
    lines = header.split(b"\n", 2)
    names = (b"sample_count", b"channel_count", b"sample_n_bytes")
    if not all(name in told for name in names) or not lines[1].strip().isdigit():
        return Layout([(start, size)])
    length = int(told[names[0]]) * int(told[names[1]]) * int(told[names[2]])
    there = size - start - int(lines[1])
    if there < length:
        raise _cut(there, length)
    known = Layout([(start, size)])
    if there - length >= 1024:  # more than a filled-up last block
        known.notes.append("read as far as its header says, though more follows")
    return known


def _only_tags(file: BinaryIO, at: int, size: int, audio: bytes, order: str) -> bool:
    """Whether nothing but chunks or tags follows, the last of which may be cut."""
    if size - at < 8 or _bytes(file, at, 3) in (b"TAG", b"ID3"):
        return True
    end = at
    for name, first, length in _chunks(file, at, size, order):
        if name == audio:
            raise RefusedFileError("holds more than one chunk of audio; save it again as one")
        end = first + length + length % 2
    return end > at and size - end < 8


def _flac(file: BinaryIO, start: int, size: int) -> Layout:
    """A FLAC file: its number of samples is made unknown, so that decoding goes on to the end."""
    word = int.from_bytes(_bytes(file, start + 18, 8), "big")
    frames = word & (1 << 36) - 1
    patch = (word >> 36 << 36).to_bytes(8, "big")
    if _bytes(file, size - 128, 3) == b"TAG":  # ID3v1, which the decoder would stumble over
        size -= 128
    found = Layout([(start, size)], patches={start + 18: patch}, frames=frames or None)
    found.notes = [] if frames else ["read to its end, as its header gives no length"]
    return found


def _ogg(file: BinaryIO, start: int, size: int) -> Layout:
    """An Ogg file: its pages must be whole, and each stream in it is decoded."""
    begins, at, flags, previous = [], start, 0, 2
    while at < size:
        head = _bytes(file, at, 27)
        table = file.read(head[26]) if len(head) == 27 else b""
        if head[:4] != b"OggS" or len(head) < 27 or len(table) < head[26]:
            break
        flags = head[5]
        if flags & 2 and not (previous & 2 and begins):
            begins.append(at)
        previous = flags
        at += 27 + len(table) + sum(table)
    tag = _bytes(file, at, 3) in (b"TAG", b"ID3") if at < size else True
    if at > size or not tag:
        raise RefusedFileError("is cut short or damaged (its last Ogg page is not whole)")
    ends = [*begins[1:], at]
    found = Layout(list(zip(begins, ends, strict=True)) or [(start, size)])
    if len(begins) > 1:
        found.notes.append(f"read as {len(begins)} streams in a row")
    if not flags & 4:
        found.notes.append("read to its end, which carries no end mark")
    return found
