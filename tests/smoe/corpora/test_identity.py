"""The same files are the same corpus wherever they lie: same data hash, same splits."""

import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile

from smoe.corpora import Corpus, open_corpus
from smoe.corpora.folders import sources
from smoe.corpora.public import joined

RATE = 16_000


def write(path: Path, seed: int, *, rir: bool = False) -> None:
    rng = np.random.default_rng(seed)
    audio = 0.1 * rng.standard_normal(RATE)
    if rir:
        audio = np.concatenate([[1.0], audio * 10 ** (-3 * np.arange(RATE) / RATE / 0.3)])
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, RATE)


@pytest.fixture
def one(tmp_path: Path) -> Path:
    root = tmp_path / "one"
    for i in range(8):
        write(root / "clean" / f"speaker{i}" / "ä b.wav", i)
        write(root / "noise" / "straße" / f"é{i}.wav", 100 + i)
        write(root / "rir" / f"room{i}" / "r.wav", 200 + i, rir=True)
    return root


def splits(corpus: Corpus) -> dict[str, str]:
    return {name: split for (_, split), pool in corpus.pools.items() for name in pool.names}


def same(first: Corpus, second: Corpus) -> bool:
    return first.data_hash == second.data_hash and splits(first) == splits(second)


@pytest.mark.parametrize("place", ["two", "deeper/down/here", "with + and blank", "ü%20#?"])
def test_a_copy_elsewhere_is_the_same_corpus(
    place: str, one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = tmp_path / place
    shutil.copytree(one, two)
    original = open_corpus(str(one), tmp_path / "cache")
    assert same(original, open_corpus(str(two), tmp_path / "cache2"))
    assert same(original, open_corpus(f"folders:{two}/", tmp_path / "cache3"))
    monkeypatch.chdir(two)
    assert same(original, open_corpus(".", tmp_path / "cache4"))


def test_joined_folders_are_the_same_corpus_elsewhere(one: Path, tmp_path: Path) -> None:
    rooms = tmp_path / "rooms"
    for i in range(4):
        write(rooms / "Audio" / f"h00{i}_Hall_1txts.wav", 300 + i, rir=True)
    found = []
    for place in ("a", "b/c+d"):
        shutil.copytree(one, tmp_path / place / "mine")
        shutil.copytree(rooms, tmp_path / place / "mit")
        spec = f"folders:{tmp_path / place / 'mine'}+mit:{tmp_path / place / 'mit'}"
        found.append(open_corpus(spec, tmp_path / f"cache {len(found)}"))
    assert same(*found)
    assert not any(str(tmp_path) in name for name in splits(found[0]))


def test_two_folders_joined_keep_files_of_one_name_apart(one: Path, tmp_path: Path) -> None:
    two = tmp_path / "two"
    shutil.copytree(one, two)
    names = [source.name for source in joined(f"folders:{one}+folders:{two}")]
    assert len(set(names)) == len(names) == 48


def test_another_spelling_of_accents_is_the_same_corpus(one: Path, tmp_path: Path) -> None:
    two = tmp_path / "two"
    for path in one.rglob("*.wav"):
        name = unicodedata.normalize("NFD", path.relative_to(one).as_posix())
        (two / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, two / name)
    first, second = (open_corpus(str(r), tmp_path / f"{r.name}.cache") for r in (one, two))
    assert same(first, second)


def listed(root: Path, spelt: str) -> None:
    """Write a manifest whose paths are spelt in one way or another."""
    lines = ["path,kind,group"]
    for source in sources(root):
        path = {
            "plain": source.name,
            "dotted": f"./{source.name}",
            "windows": source.name.replace("/", "\\"),
            "absolute": str(root / source.name),
            "roundabout": source.name.replace("/", "/../" + source.name.split("/")[0] + "/", 1),
            "decomposed": unicodedata.normalize("NFD", source.name),
        }[spelt]
        lines.append(f"{path},{source.kind},{source.group}")
    (root / "manifest.csv").write_text("\n".join(lines), "utf-8")


@pytest.mark.parametrize("spelt", ["dotted", "windows", "absolute", "roundabout", "decomposed"])
def test_a_manifest_may_spell_paths_in_any_way(spelt: str, one: Path, tmp_path: Path) -> None:
    two = tmp_path / "two"
    shutil.copytree(one, two)
    listed(one, "plain")
    listed(two, spelt)
    first, second = (open_corpus(str(r), tmp_path / f"{r.name}.cache") for r in (one, two))
    assert not second.refused
    assert same(first, second)


def test_what_is_left_out_moves_nothing_to_another_split(one: Path, tmp_path: Path) -> None:
    before = open_corpus(str(one), tmp_path / "cache")
    (one / "noise" / "notes.txt").write_text("about")
    (one / "noise" / "README").write_text("about")
    (one / "noise" / ".hidden.wav").write_bytes(b"x")
    (one / "noise" / "gone.wav").symlink_to(tmp_path / "nowhere")
    (one / "LICENSE").write_text("free")
    after = open_corpus(str(one), tmp_path / "cache")
    assert same(before, after)
    assert {each.name for each in after.refused} == {
        "LICENSE", "noise/.hidden.wav", "noise/README", "noise/gone.wav", "noise/notes.txt",
    }  # fmt: skip
