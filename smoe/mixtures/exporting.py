"""A test set as files that other enhancers can read, and the estimates that they made of it."""

import csv
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from scipy.io import wavfile
from torch import Tensor

from smoe.atomic import write_atomic
from smoe.config import SAMPLE_RATE
from smoe.errors import UserError
from smoe.mixtures.test_set import TestSet

NOISY, CLEAN = "noisy", "clean"
MANIFEST = "manifest.csv"
COLUMNS = (
    "file", "utterance", "condition", "snr_db", "rt60_s", "speaker", "noise", "noise_type", "room",
    "samples", "sample_rate", "noisy_sha256", "clean_sha256",
)  # fmt: skip


@dataclass(frozen=True)
class Estimates:
    """What a system made of the test set.

    Attributes:
        waves: Float32 [U, N] at 16 kHz, zero after each utterance's own length.
        sha256: Digest of the file of each utterance.
    """

    waves: Tensor
    sha256: list[str]


def file_name(utterance: str) -> str:
    """Return the name of an utterance's file: "noise/snr-05/003" is "noise_snr-05_003.wav"."""
    return f"{utterance.replace('/', '_')}.wav"


def export_test_set(test: TestSet, folder: Path) -> Path:
    """Write `noisy/*.wav`, `clean/*.wav` (16 kHz mono, float32) and `manifest.csv`.

    The same test set gives the same bytes.

    Returns:
        The manifest: one row per utterance, see `COLUMNS`; empty where something does not apply.

    Raises:
        UserError: the folder holds audio of something else, or cannot be written to.
    """
    names = [file_name(utterance) for utterance in test.utterance]
    for signal in (NOISY, CLEAN):
        _require_no_others(folder / signal, names, "name an empty folder")
    table = io.StringIO()
    rows: csv.DictWriter[str] = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    rows.writeheader()
    try:
        for row in range(len(names)):
            rows.writerow(_exported(test, row, folder))
        write_atomic(folder / MANIFEST, table.getvalue().encode())
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written to ({error.strerror}); name another folder."
        ) from error
    return folder / MANIFEST


def read_estimates(test: TestSet, folder: Path) -> Estimates:
    """Read one estimate for each utterance: WAV, 16 kHz mono, named like the exported noisy file.

    Raises:
        UserError: a file is missing, there is one too many, or one has another rate, length or
            number of channels, is no audio, or holds values that are not finite.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; name the one that holds the estimates.")
    names = [file_name(utterance) for utterance in test.utterance]
    _require_no_others(folder, names, "leave only the estimates there")
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise UserError(
            f"{folder} lacks {len(missing)} of {len(names)} estimates ({missing[0]}); write one "
            f"for each file in {NOISY}/ of `data export`, under the same name."
        )
    waves = torch.zeros(len(names), max(test.samples))
    digests = []
    for row, (name, samples) in enumerate(zip(names, test.samples, strict=True)):
        content = (folder / name).read_bytes()
        waves[row, :samples] = torch.from_numpy(_decoded(folder / name, content, samples))
        digests.append(hashlib.sha256(content).hexdigest())
    return Estimates(waves, digests)


def _exported(test: TestSet, row: int, folder: Path) -> dict[str, object]:
    """Write the two files of an utterance; return its row of the manifest."""
    name, samples = file_name(test.utterance[row]), test.samples[row]
    digests = {}
    for signal in (NOISY, CLEAN):
        buffer = io.BytesIO()
        wavfile.write(buffer, SAMPLE_RATE, getattr(test.mixture, signal)[row, :samples].numpy())
        digests[f"{signal}_sha256"] = hashlib.sha256(buffer.getvalue()).hexdigest()
        write_atomic(folder / signal / name, buffer.getvalue())
    snr_db, rt60_s = float(test.mixture.snr_db[row]), float(test.mixture.rt60_s[row])
    return {
        "file": name,
        **{key: getattr(test, key)[row] for key in ("utterance", "condition", "speaker")},
        **{key: getattr(test, key)[row] or "" for key in ("noise", "noise_type", "room")},
        "snr_db": "" if np.isnan(snr_db) else f"{snr_db:g}",
        "rt60_s": "" if np.isnan(rt60_s) else f"{rt60_s:.3f}",
        "samples": samples,
        "sample_rate": SAMPLE_RATE,
        **digests,
    }


def _require_no_others(folder: Path, names: list[str], remedy: str) -> None:
    known = set(names)
    audio = sorted(p.name for p in folder.glob("*") if p.suffix.lower() in (".wav", ".flac"))
    if others := [name for name in audio if name not in known]:
        raise UserError(
            f"{folder} holds {len(others)} files that are none of this test set ({others[0]}); "
            f"{remedy}."
        )


def _decoded(path: Path, content: bytes, samples: int) -> NDArray[np.float32]:
    try:
        wave, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise UserError(f"{path} is no audio that can be read; write it as WAV.") from error
    if rate != SAMPLE_RATE:
        raise UserError(f"{path} has {rate} samples per second; resample it to {SAMPLE_RATE}.")
    if wave.shape[1] != 1:
        raise UserError(f"{path} has {wave.shape[1]} channels; write one.")
    if len(wave) != samples:
        raise UserError(
            f"{path} has {len(wave)} samples, its noisy file {samples}; cut or pad it to that, "
            "aligned in time with the noisy file."
        )
    if not np.isfinite(wave).all():
        raise UserError(f"{path} holds values that are not finite; have the system mended.")
    return wave[:, 0].astype(np.float32, copy=False)
