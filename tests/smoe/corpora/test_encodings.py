"""Tables of a corpus in any encoding: UTF-8 with or without a mark is read, all else named."""

import unicodedata
from pathlib import Path

import pytest

from smoe.corpora import Corpus, open_corpus
from smoe.errors import UserError


@pytest.fixture
def accented(small_tree: Path) -> Path:
    """The small tree with names that are not ASCII."""
    (small_tree / "noise").rename(small_tree / "noise é")
    (small_tree / "noise é" / "group0").rename(small_tree / "noise é" / "日本 ü")
    text = (small_tree / "manifest.csv").read_text()
    text = text.replace("noise/group0/", "noise é/日本 ü/").replace("\nnoise/", "\nnoise é/")
    (small_tree / "manifest.csv").write_text(text, "utf-8")
    return small_tree


def opened(root: Path, cache: Path, content: bytes) -> Corpus:
    (root / "manifest.csv").write_bytes(content)
    return open_corpus(str(root), cache)


def test_utf_8_is_read_with_any_mark_and_line_ends(accented: Path, tmp_path: Path) -> None:
    text = (accented / "manifest.csv").read_text("utf-8")
    plain = opened(accented, tmp_path / "cache", text.encode())
    assert not plain.refused
    assert any("日本 ü" in name for pool in plain.pools.values() for name in pool.names)
    spellings = {
        "mark": text.encode("utf-8-sig"),
        "windows": text.replace("\n", "\r\n").encode("utf-8-sig"),
        "old mac": text.replace("\n", "\r").encode(),
        "no last line end": text.rstrip("\n").encode(),
        "blank lines": text.replace("\n", "\n\n").encode(),
        "decomposed": unicodedata.normalize("NFD", text).encode(),
        "quoted": b'"path","kind","group"\n' + text.split("\n", 1)[1].encode(),
    }
    for name, content in spellings.items():
        found = opened(accented, tmp_path / "cache", content)
        assert found.data_hash == plain.data_hash, name
        assert not found.refused, name


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "utf-32", "cp1252"])
def test_other_encodings_are_one_sentence(encoding: str, accented: Path, tmp_path: Path) -> None:
    text = (accented / "manifest.csv").read_text("utf-8").replace("日本", "xx")
    with pytest.raises(UserError) as error:
        opened(accented, tmp_path / "cache", text.encode(encoding))
    assert "manifest.csv" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_nul_bytes_are_named_with_their_line(small_tree: Path, tmp_path: Path) -> None:
    text = (small_tree / "manifest.csv").read_bytes()
    for content in (text + b"a\0b.wav,noise,g\n", text.replace(b"path", b"pa\0th"), b"\0" * 500):
        with pytest.raises(UserError) as error:
            opened(small_tree, tmp_path / "cache", content)
        assert "manifest.csv" in str(error.value)
        assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"path;kind;group\na.wav;noise;g\n", "the column path is missing"),
        (b"", "is empty"),
        (b"path,kind,group\n", "holds no speech files"),
        (b"path,kind,group\n" + b"x" * 200_000 + b",noise,g\n", "cannot be read as UTF-8 CSV"),
    ],
)
def test_what_is_no_table_is_one_sentence(
    content: bytes, message: str, small_tree: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message) as error:
        opened(small_tree, tmp_path / "cache", content)
    assert len(str(error.value)) < 1000
