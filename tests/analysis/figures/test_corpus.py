"""The page of pictures of a corpus, from numbers made here."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

from analysis.bundle.load import BundleError
from analysis.figures.corpus import draw_corpus


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    arrays = {"name": np.array("test"), "data_hash": np.array("0123456789abcdef")}
    for split in ("train", "valid", "test"):
        arrays[f"level_dbfs/speech/{split}"] = rng.normal(-26, 1, 20)
        arrays[f"level_dbfs/noise/{split}"] = rng.normal(-30, 1, 20)
        arrays[f"snr_db/{split}"] = rng.uniform(-5, 15, 50)
        arrays[f"rt60_s/{split}"] = rng.uniform(0.2, 1.2, 8)
        arrays[f"drr_db/{split}"] = np.append(rng.normal(0, 4, 7), np.nan)
    for condition in ("noise", "reverb", "both", "clean"):
        arrays[f"spectrogram/{condition}"] = rng.integers(0, 256, (257, 188)).astype(np.uint8)
        arrays[f"title/{condition}"] = np.array(condition)
    path = tmp_path / "facts.npz"
    np.savez(path, allow_pickle=False, **arrays)
    return path


def test_both_files_are_drawn_and_repeat_byte_by_byte(facts: Path, tmp_path: Path) -> None:
    once, again = draw_corpus(facts, tmp_path / "a"), draw_corpus(facts, tmp_path / "b")
    assert [path.name for path in once] == ["corpus.png", "corpus.pdf"]
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]
    pixels = image.imread(once[0])
    assert pixels.shape[1] == 2160  # 7.2 in at 300 dpi
    assert pixels.std() > 0.1


@pytest.mark.parametrize("damage", ["missing", "cut short", "not one", "without rooms"])
def test_what_cannot_be_drawn_is_said(damage: str, facts: Path, tmp_path: Path) -> None:
    if damage == "missing":
        facts.unlink()
    elif damage == "cut short":
        facts.write_bytes(facts.read_bytes()[:1000])
    elif damage == "not one":
        facts.write_text("no archive")
    else:
        with np.load(facts) as stored:
            arrays = {key: stored[key] for key in stored if not key.startswith("rt60_s")}
        np.savez(facts, allow_pickle=False, **arrays)
    with pytest.raises(BundleError, match=r"facts\.npz holds no corpus.*data check --figures"):
        draw_corpus(facts, tmp_path / "out")
