"""Audio is decoded to its end whatever the header says; a difference is a note or a refusal."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from smoe.audio.reading import Decoded, RefusedFileError, read

RATE = 16_000
SECONDS = 10.0


def wave(rate: int = RATE, seconds: float = SECONDS) -> np.ndarray:
    """Quiet for seven tenths and loud at the end, so that early frames mislead about the length."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(int(rate * seconds))
    return noise * np.where(np.arange(len(noise)) < 0.7 * len(noise), 1e-3, 0.1)


def written(path: Path, rate: int = RATE, **how: object) -> bytearray:
    soundfile.write(path, wave(rate), rate, **how)  # type: ignore[arg-type]
    return bytearray(path.read_bytes())


def reread(path: Path, content: bytes) -> Decoded:
    path.write_bytes(content)
    return read(path, "speech")


def first_mp3_frame(content: bytes) -> int:
    """Length of the first frame of an MPEG 1 layer 3 file."""
    kbps = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)[content[2] >> 4]
    rate = (44_100, 48_000, 32_000)[content[2] >> 2 & 3]
    return 144_000 * kbps // rate + (content[2] >> 1 & 1)


def variable_mp3(path: Path, channels: int = 1) -> bytearray:
    with soundfile.SoundFile(
        path, "w", 44_100, channels, format="MP3", bitrate_mode="VARIABLE", compression_level=0.3
    ) as file:
        file.write(np.repeat(wave(44_100)[:, None], channels, 1))
    return bytearray(path.read_bytes())


@pytest.mark.parametrize("channels", [1, 2])
def test_a_variable_bit_rate_mp3_without_its_count_is_whole(channels: int, tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    content = variable_mp3(path, channels)
    whole = read(path, "speech").audio
    bare = content[first_mp3_frame(content) :]
    path.write_bytes(bare)
    assert soundfile.info(path).duration < 6  # what the decoder alone would take it for
    found = read(path, "speech").audio
    # Only the encoder's own delay and padding, which stood in the frame cut off, are back.
    assert len(found) / RATE == pytest.approx(SECONDS, abs=0.1)
    lag = int(np.correlate(found[: 8 * RATE], whole[: 7 * RATE], "valid").argmax())
    middle = slice(RATE, 9 * RATE)
    later = slice(RATE + lag, 9 * RATE + lag)
    assert np.abs(found[later] - whole[middle]).max() < 0.02


def test_an_mp3_whose_count_is_wrong_is_whole_with_a_note(tmp_path: Path) -> None:
    content = variable_mp3(tmp_path / "a.mp3")
    at = content.find(b"Xing") + 8
    content[at : at + 4] = struct.pack(">I", 50)
    found = reread(tmp_path / "a.mp3", content)
    assert len(found.audio) / RATE == pytest.approx(SECONDS, abs=0.1)
    assert "read to its end, as its header gives another length" in found.notes


def test_two_mp3_files_in_a_row_are_both_read(tmp_path: Path) -> None:
    content = variable_mp3(tmp_path / "a.mp3")
    found = reread(tmp_path / "a.mp3", b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + content + content)
    assert len(found.audio) / RATE == pytest.approx(2 * SECONDS, abs=0.15)


def data_size(content: bytearray, size: int) -> bytearray:
    at = content.find(b"data") + 4
    content[at : at + 4] = struct.pack("<I", size)
    return content


STREAMED = "read to its end, as its header gives no length"
OTHER = "read to its end, as its header gives another length"


@pytest.mark.parametrize(
    ("size", "note"),
    [
        (0, STREAMED),
        (2**32 - 1, STREAMED),
        (2**31 - 1, STREAMED),
        (0x7FFFF000, STREAMED),
        (2 * 48_000, OTHER),
        (2, OTHER),
    ],
)
@pytest.mark.parametrize("riff", [None, 0, 2**32 - 1, 2**31 + 36])
def test_a_wav_header_without_a_true_length(
    size: int, note: str, riff: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "a.wav"
    content = data_size(written(path, subtype="PCM_16"), size)
    whole = np.round(wave() * 2**15) / 2**15
    if riff is not None:
        content[4:8] = struct.pack("<I", riff)
    found = reread(path, content)
    np.testing.assert_allclose(found.audio, whole, atol=2**-15)
    assert found.notes == (note,)


@pytest.mark.parametrize("tail", [b"", b"\0", b"LIST\4\0\0\0abcd", b"TAG" + bytes(125)])
def test_a_wav_file_with_tags_after_its_audio_is_as_long_as_it_says(
    tail: bytes, tmp_path: Path
) -> None:
    found = reread(tmp_path / "a.wav", written(tmp_path / "a.wav") + tail)
    assert len(found.audio) == SECONDS * RATE
    assert found.notes == ()


def test_an_odd_number_of_bytes_is_no_difference(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", wave()[-80_001:], RATE, subtype="PCM_U8")
    found = read(tmp_path / "a.wav", "speech")
    assert (len(found.audio), found.notes) == (80_001, ())


def test_aiff_and_au_and_rf64_without_a_true_length(tmp_path: Path) -> None:
    whole = np.round(wave() * 2**15) / 2**15
    for name, magic, skip, order in (("a.aiff", b"SSND", 4, ">I"), ("a.au", b".snd", 8, ">I")):
        for size, note in ((0, STREAMED), (2**31 - 1, STREAMED), (2 * 48_000, OTHER)):
            content = written(tmp_path / name, subtype="PCM_16")
            at = content.find(magic) + skip
            content[at : at + 4] = struct.pack(order, size)
            found = reread(tmp_path / name, content)
            np.testing.assert_allclose(found.audio, whole, atol=2**-15)
            assert found.notes == (note,), (name, size)
    content = written(tmp_path / "a.rf64", format="RF64", subtype="PCM_16")
    content[28:36] = struct.pack("<Q", 2 * 48_000)
    found = reread(tmp_path / "a.rf64", content)
    np.testing.assert_allclose(found.audio, whole, atol=2**-15)
    assert found.notes == (OTHER,)


def flac_frames(content: bytearray, frames: int) -> bytearray:
    word = int.from_bytes(content[18:26], "big") >> 36 << 36 | frames
    content[18:26] = word.to_bytes(8, "big")
    return content


@pytest.mark.parametrize(("frames", "note"), [(0, STREAMED), (48_000, OTHER), (159_999, OTHER)])
def test_a_flac_header_without_a_true_length(frames: int, note: str, tmp_path: Path) -> None:
    content = written(tmp_path / "a.flac")
    whole = read(tmp_path / "a.flac", "speech")
    assert whole.notes == ()
    found = reread(tmp_path / "a.flac", flac_frames(content, frames))
    assert np.array_equal(found.audio, whole.audio)
    assert found.notes == (note,)


def test_ogg_streams_in_a_row_are_all_read(tmp_path: Path) -> None:
    content = written(tmp_path / "a.ogg")
    once = read(tmp_path / "a.ogg", "speech").audio
    found = reread(tmp_path / "a.ogg", content * 3)
    assert np.array_equal(found.audio, np.tile(once, 3))
    assert found.notes == ("read as 3 streams in a row",)


def without_end_mark(content: bytearray) -> bytearray:
    """Leave out the last Ogg page."""
    return content[: content.rfind(b"OggS")]


def test_ogg_that_ends_on_a_page_without_its_end_mark_is_noted(tmp_path: Path) -> None:
    content = written(tmp_path / "a.ogg")
    found = reread(tmp_path / "a.ogg", without_end_mark(content))
    assert found.notes == ("read to its end, which carries no end mark",)
    assert 8 < len(found.audio) / RATE < SECONDS


def half(content: bytearray) -> bytearray:
    return content[: len(content) // 2 + 1]


CUT: dict[str, tuple[dict[str, str], Callable[[bytearray], bytearray]]] = {
    "a.wav": ({}, half),
    "extensible.wav": ({"format": "WAVEX"}, half),
    "a.flac": ({}, half),
    "unknown length.flac": ({}, lambda content: half(flac_frames(content, 0))),
    "promises more.flac": ({}, lambda content: flac_frames(content, 200_000)),
    "a.ogg": ({}, half),
    "a.opus": ({"format": "OGG", "subtype": "OPUS"}, half),
    "a.aiff": ({}, half),
    "a.au": ({}, half),
    "a.w64": ({}, half),
    "a.caf": ({"format": "CAF"}, half),
    "a.rf64": ({"format": "RF64"}, half),
    "a.voc": ({"format": "VOC"}, half),
    "a.sph": ({"format": "NIST", "subtype": "PCM_16"}, half),
}


@pytest.mark.parametrize("name", CUT)
def test_what_is_cut_short_is_refused(name: str, tmp_path: Path) -> None:
    how, cut = CUT[name]
    content = written(tmp_path / name, **how)
    assert len(read(tmp_path / name, "speech").audio) / RATE == pytest.approx(SECONDS, abs=0.01)
    with pytest.raises(RefusedFileError, match="cut short"):
        reread(tmp_path / name, cut(content))


NOT_DECODED = {
    "a.m4a": (b"\0\0\0\x20ftypM4A ", "MPEG-4"),
    "a.wma": (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media"),
    "a.aac": (b"\xff\xf1\x50\x80", "AAC"),
    "a.webm": (b"\x1a\x45\xdf\xa3", "WebM"),
    "a": (b"some text", "not audio"),
}


@pytest.mark.parametrize("name", NOT_DECODED)
def test_what_cannot_be_decoded_is_named_by_its_kind(name: str, tmp_path: Path) -> None:
    content, kind = NOT_DECODED[name]
    with pytest.raises(RefusedFileError, match=kind):
        reread(tmp_path / name, content.ljust(4000, b"\x01"))


@pytest.mark.parametrize("suffix", ["", ".raw", ".dat", ".mp3"])
def test_the_name_says_nothing_about_the_content(suffix: str, tmp_path: Path) -> None:
    content = written(tmp_path / "a.flac")
    found = reread(tmp_path / f"a{suffix}", content)
    assert len(found.audio) == SECONDS * RATE
