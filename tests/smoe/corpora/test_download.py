"""Fetching through torchaudio: what is there is used, what was cut off is made good."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from smoe.corpora import download as downloading
from smoe.corpora.download import LIBRISPEECH_PARTS, STAGING, download
from smoe.corpora.public import DOWNLOADABLE
from smoe.errors import UserError

pytest.importorskip("torchaudio.datasets", exc_type=(ImportError, OSError))  # no CUDA libraries


def archive(staging: Path, part: str) -> None:
    """An archive as torchaudio leaves it when it has been fetched and verified."""
    staging.mkdir(parents=True, exist_ok=True)
    with tarfile.open(staging / f"{part}.tar.gz", "w:gz") as file:
        for name in ("1/2/1-2-0000.flac", "1/2/1-2-0001.flac"):
            entry = tarfile.TarInfo(f"LibriSpeech/{part}/{name}")
            entry.size = len(name)
            file.addfile(entry, io.BytesIO(name.encode()))


def test_what_can_be_fetched_is_what_the_reader_says() -> None:
    assert set(downloading.PARTS) == set(DOWNLOADABLE)


def test_a_corpus_that_is_there_is_left_alone(tmp_path: Path) -> None:
    for part in LIBRISPEECH_PARTS:
        (tmp_path / "LibriSpeech" / part).mkdir(parents=True)
    (said,) = download(f"librispeech:{tmp_path}+mit:{tmp_path}")
    assert said == f"librispeech is in {tmp_path} already."


def test_fetched_archives_are_unpacked_also_where_that_was_interrupted(tmp_path: Path) -> None:
    staging = tmp_path / STAGING
    for part in LIBRISPEECH_PARTS:
        archive(staging, part)
    half = staging / "LibriSpeech" / "dev-clean" / "1" / "2"
    half.mkdir(parents=True)
    (half / "1-2-0000.flac").write_text("cut o")
    (staging / "x.tar.gz.0123.partial").write_text("cut off")
    (said,) = download(f"librispeech:{tmp_path}")
    assert "was downloaded" in said
    assert "openslr.org/12 (CC BY 4.0)" in said
    for part in LIBRISPEECH_PARTS:
        folder = tmp_path / "LibriSpeech" / part / "1" / "2"
        assert (folder / "1-2-0000.flac").read_text() == "1/2/1-2-0000.flac"
        assert (folder / "1-2-0001.flac").exists()
    assert not staging.exists()


def test_vctk_is_unpacked_to_where_its_reader_looks(tmp_path: Path) -> None:
    (tmp_path / STAGING).mkdir()
    with zipfile.ZipFile(tmp_path / STAGING / "VCTK-Corpus-0.92.zip", "w") as file:
        file.writestr("txt/p225/p225_001.txt", "Please call Stella.")
        file.writestr("wav48_silence_trimmed/p225/p225_001_mic1.flac", "audio")
    download(f"vctk:{tmp_path}")
    audio = tmp_path / "VCTK-Corpus-0.92" / "wav48_silence_trimmed" / "p225" / "p225_001_mic1.flac"
    assert audio.read_text() == "audio"


def test_a_damaged_archive_is_thrown_away(tmp_path: Path) -> None:
    archive(tmp_path / STAGING, "dev-clean")
    path = tmp_path / STAGING / "dev-clean.tar.gz"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UserError, match="librispeech could not be downloaded"):
        download(f"librispeech:{tmp_path}")
    assert not (tmp_path / STAGING).exists()
    assert not (tmp_path / "LibriSpeech" / "dev-clean").exists()


def test_without_a_network_the_page_and_licence_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for scheme in ("http", "https"):  # a proxy that nobody runs: no network on any machine
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:9")
    with pytest.raises(UserError) as error:
        download(f"vctk:{tmp_path / 'vctk'}")
    assert "Connection refused" in str(error.value)
    assert "https://doi.org/10.7488/ds/2645 (CC BY 4.0)" in str(error.value)


def test_a_corpus_that_cannot_be_fetched_says_which_can(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Nothing in demand:.*librispeech and vctk can"):
        download(f"demand:{tmp_path}")
