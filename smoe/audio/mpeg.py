"""Counting the frames of an MPEG audio file (MP3), whose header seldom gives its length.

Frame headers are those of ISO 11172-3 and 13818-3. The first frame of a file with a variable bit
rate should carry a count named Xing or Info; without it decoders guess the length from the first
frames' size. Here the frames are counted, and where the count is missing or wrong, the file gets
one.
"""

from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

KBPS = {  # by (MPEG 1, layer), from bit rate index 1
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES = (44_100, 48_000, 32_000)
SEARCHED = 1 << 16  # bytes in which the first frame, and the next one after damage, must begin
ROOMY = 9  # bit rate index of a frame with room for a count


class Frame(NamedTuple):
    """One frame's header: MPEG version 1, layer, length in bytes and offset of a count in it."""

    mpeg1: bool
    layer: int
    length: int
    side: int


@dataclass(frozen=True)
class Mpeg:
    """Where the audio of an MPEG file starts, and the frame with a count to put before it."""

    start: int
    prefix: bytes
    notes: list[str]


def mpeg_layout(file: BinaryIO, start: int, size: int) -> Mpeg | None:
    """Count the frames of an MPEG audio file; None where it is none, or needs no help.

    Args:
        file: Open for reading.
        start: First byte after ID3v2 tags.
        size: Of the file.
    """
    if not start and _frame(_read(file, 0, 4)) is None:
        return None
    first = _next_frame(file, start, size)
    if first is None:
        return None
    at, frame = first
    header = _read(file, at, frame.length)
    told = _told(header, frame)
    if told is None and header[frame.side : frame.side + 4] == b"VBRI":
        return None
    count, whole = _count(file, at, size)
    if told is not None and abs(told + 1 - count) <= 1 and whole:
        return None
    if told is not None:
        at += frame.length
        count -= 1
    notes = [] if told is None else ["read to its end, as its header gives another length"]
    if not whole:
        notes.append("cut off within its last frame")
    return Mpeg(at, _counted(header[:4], frame, count), notes)


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)


def _frame(header: bytes) -> Frame | None:
    """What four bytes say as a frame's header, or None where they are none."""
    word = int.from_bytes(header[:4], "big")
    version, layer, rate, kbps = word >> 19 & 3, 4 - (word >> 17 & 3), word >> 10 & 3, word >> 12
    kbps &= 15
    if len(header) < 4 or word >> 21 != 0x7FF or version == 1 or layer == 4 or rate == 3:
        return None
    if not 0 < kbps < 15:
        return None
    mpeg1, padding, mono = version == 3, word >> 9 & 1, word >> 6 & 3 == 3
    sample_rate = RATES[rate] // {3: 1, 2: 2, 0: 4}[version]
    bits = KBPS[mpeg1, layer][kbps - 1] * 1000
    if layer == 1:
        length = (12 * bits // sample_rate + padding) * 4
    else:
        length = (144 if mpeg1 or layer == 2 else 72) * bits // sample_rate + padding
    side = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}[mpeg1, mono]
    return Frame(mpeg1, layer, length, 4 + side)


def _next_frame(file: BinaryIO, start: int, size: int) -> tuple[int, Frame] | None:
    """The first place at which two frames of one layer follow each other, or a last one ends."""
    window = _read(file, start, SEARCHED)
    at = window.find(b"\xff")
    while at >= 0:
        frame = _frame(window[at : at + 4])
        if frame:
            end = start + at + frame.length
            after = _frame(_read(file, end, 4))
            if end == size or (after and (after.mpeg1, after.layer) == (frame.mpeg1, frame.layer)):
                return start + at, frame
        at = window.find(b"\xff", at + 1)
    return None


def _told(header: bytes, frame: Frame) -> int | None:
    """Frames that a first frame promises to follow it, or None where it carries no count."""
    tag = header[frame.side : frame.side + 12]
    if tag[:4] not in (b"Xing", b"Info") or len(tag) < 12 or not tag[7] & 1:
        return None
    return int.from_bytes(tag[8:], "big")


def _count(file: BinaryIO, at: int, size: int) -> tuple[int, bool]:
    """Number of whole frames from a first one on, and whether the last one is whole."""
    count = 0
    while at + 4 <= size:
        frame = _frame(_read(file, at, 4))
        if frame is None:
            if _read(file, at, 3) == b"TAG":
                break
            found = _next_frame(file, at, size)
            if found is None:
                break
            at, frame = found
        if at + frame.length > size:
            return count, False
        count += 1
        at += frame.length
    return count, True


def _counted(header: bytes, frame: Frame, count: int) -> bytes:
    """An empty frame with a count, of the same format as the file's other frames."""
    if frame.layer != 3:
        return b""
    word = int.from_bytes(header, "big") & ~(0xF << 12) & ~(1 << 9) | ROOMY << 12 | 1 << 16
    empty = word.to_bytes(4, "big")
    like = _frame(empty)
    length = like.length if like else frame.length
    tag = b"Xing" + (1).to_bytes(4, "big") + count.to_bytes(4, "big")
    return (empty.ljust(frame.side, b"\0") + tag).ljust(length, b"\0")
