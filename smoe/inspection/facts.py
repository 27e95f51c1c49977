"""What a prepared corpus is like, as plain arrays in one file: the numbers behind its pictures."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from smoe.config import MixConfig, TestSetConfig
from smoe.corpora.pool import SPLITS, Corpus
from smoe.inspection.check import levels_dbfs
from smoe.mixtures.mixing import REVERB, MixtureSource
from smoe.mixtures.test_set import TestSet, test_set
from smoe.network.stft import STFT

DRAWN = 1000  # training and validation mixtures whose SNRs are shown
DYNAMIC_RANGE_DB = 80.0


def write_facts(corpus: Corpus, path: Path) -> None:
    """Write the distributions and examples of a corpus as an NPZ file.

    Keys: "level_dbfs/KIND/SPLIT" for speech and noise [recordings], "rt60_s/SPLIT" and
    "drr_db/SPLIT" [impulse responses], "snr_db/SPLIT" [mixtures with noise],
    "spectrogram/CONDITION" uint8 [257, frames] from -80 dB (0) to 0 dB of its maximum (255), and
    "title/CONDITION", "name" and "data_hash" as text.

    Args:
        corpus: Prepared.
        path: Overwritten where it exists.
    """
    arrays = {"name": np.array(corpus.name), "data_hash": np.array(corpus.data_hash)}
    for split in SPLITS:
        for kind in ("speech", "noise"):
            arrays[f"level_dbfs/{kind}/{split}"] = levels_dbfs(corpus.pools[kind, split])
        arrays[f"rt60_s/{split}"] = corpus.pools["rir", split].rt60_s
        arrays[f"drr_db/{split}"] = corpus.pools["rir", split].drr_db
    test = test_set(corpus, TestSetConfig())
    arrays |= {f"snr_db/{split}": _drawn_snr_db(corpus, split) for split in ("train", "valid")}
    arrays["snr_db/test"] = _finite(test.mixture.snr_db.numpy())
    arrays |= dict(_examples(test))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, allow_pickle=False, **arrays)


def _drawn_snr_db(corpus: Corpus, split: str) -> np.ndarray:
    """SNRs of mixtures drawn as in training, of those that have noise."""
    source = MixtureSource(corpus, split, MixConfig())
    recipe = source.recipe(seed=SPLITS.index(split), step=0, batch_size=DRAWN)
    return recipe.snr_db[recipe.label != REVERB]


def _examples(test: TestSet) -> Iterator[tuple[str, np.ndarray]]:
    """One spectrogram per condition, of a middling SNR and reverberation time."""
    mixture = test.mixture
    snrs_db, rt60s_s = mixture.snr_db.numpy(), mixture.rt60_s.numpy()
    for condition in dict.fromkeys(test.condition):
        rows = [row for row, each in enumerate(test.condition) if each == condition]
        off_middle = [_off_median(snrs_db[rows]), _off_median(rt60s_s[rows])]
        row = rows[int(np.lexsort(off_middle[::-1])[0])]
        wave = mixture.noisy[row, : test.samples[row]]
        magnitude = STFT()(wave[None])[0, 0].abs()
        level_db = 20 * torch.log10(magnitude / magnitude.max())
        scaled = (1 + level_db / DYNAMIC_RANGE_DB).clamp(min=0) * 255
        snr_db, rt60_s = snrs_db[row], rt60s_s[row]
        parts = [f"{snr_db:.0f} dB SNR"] if np.isfinite(snr_db) else []
        parts += [f"T60 {rt60_s:.2f} s"] if np.isfinite(rt60_s) else []
        yield f"spectrogram/{condition}", scaled.round().to(torch.uint8).numpy()
        yield f"title/{condition}", np.array(", ".join([condition, *parts]))


def _off_median(values: np.ndarray) -> np.ndarray:
    """Distance from the median, [rows]; 0 where the condition has no such value."""
    return np.nan_to_num(np.abs(values - np.median(values)))


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]
