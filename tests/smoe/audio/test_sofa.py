"""SOFA files as a source of impulse responses: which ones are read, and what is refused by name."""

import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile

from smoe.audio.reading import RefusedFileError, read
from smoe.audio.sofa import responses
from smoe.audio.source import Source
from smoe.corpora import open_corpus
from smoe.corpora.folders import sources
from smoe.corpora.pool import SPLITS
from smoe.errors import UserError
from tests.without import run_without

RATE = 16_000


def decays(measurements: int, receivers: int = 2, samples: int = RATE // 4) -> np.ndarray:
    """Responses [measurements, receivers, samples] that differ and begin after 30 samples."""
    shape = (measurements, receivers, samples - 31)
    tails = 0.3 * np.random.default_rng(77).standard_normal(shape) * 0.998 ** np.arange(shape[-1])
    direct = np.ones((*shape[:2], 1))
    return np.concatenate([np.zeros((*shape[:2], 30)), direct, tails], axis=-1)


def write_sofa(path: Path, irs: np.ndarray, rate: float = RATE, **how: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("Data.IR", data=irs, **how)
        file["Data.SamplingRate"] = np.array([rate])
    return path


def of_room(path: Path) -> Source:
    return Source(path, path.name, "rir", "room")


@pytest.mark.parametrize(
    "how", [{}, {"compression": "gzip", "shuffle": True, "fletcher32": True}, {"chunks": True}]
)
def test_an_item_is_one_response_and_nothing_else(tmp_path: Path, how: dict) -> None:
    irs = decays(3)
    path = write_sofa(tmp_path / "a.sofa", irs, **how)
    for measurement, receiver in ((0, 0), (2, 1)):
        decoded = read(path, "rir", f"M{measurement}:R{receiver}")
        np.testing.assert_array_equal(decoded.audio, irs[measurement, receiver].astype("float32"))
        assert decoded.notes == ("taken out of a SOFA file",)


def test_another_sample_rate_is_resampled_and_may_be_given_for_each_measurement(
    tmp_path: Path,
) -> None:
    path = write_sofa(tmp_path / "a.sofa", decays(2, samples=48_000))
    with h5py.File(path, "a") as file:
        del file["Data.SamplingRate"]
        file["Data.SamplingRate"] = np.array([48_000.0, 24_000.0])
    for measurement, seconds in ((0, 1), (1, 2)):
        assert len(read(path, "rir", f"M{measurement}:R0").audio) == seconds * RATE


@pytest.mark.parametrize(
    ("measurements", "chosen"), [(1, [0]), (12, list(range(12))), (37, list(range(0, 37, 3))[:12])]
)
def test_without_items_the_first_receiver_is_read_at_most_twelve_times(
    tmp_path: Path, measurements: int, chosen: list[int]
) -> None:
    path = write_sofa(tmp_path / "a.sofa", decays(measurements))
    found = responses(of_room(path))
    assert [each.item for each in found] == [f"M{m}:R0" for m in chosen]
    assert [each.name for each in found] == [f"a.sofa#M{m}:R0" for m in chosen]


def test_a_plain_folder_may_hold_sofa_files(small_tree: Path, tmp_path: Path) -> None:
    (small_tree / "manifest.csv").unlink()
    irs = decays(3)
    write_sofa(small_tree / "rir" / "hall" / "b.SOFA", irs)
    write_sofa(small_tree / "rir" / "hall" / "broken.sofa", irs[:, 0])
    write_sofa(small_tree / "clean" / "group0" / "c.sofa", irs)
    corpus = open_corpus(str(small_tree), tmp_path / "cache")
    (pool,) = (p for p in (corpus.pools["rir", s] for s in SPLITS) if "hall" in p.groups)
    held = [i for i, group in enumerate(pool.groups) if group == "hall"]
    assert [pool.names[i] for i in held] == [f"rir/hall/b.SOFA#M{m}:R0" for m in range(3)]
    for i, ir in zip(held, irs[:, 0], strict=True):
        np.testing.assert_array_equal(pool.item(i), ir[30:].astype("float32"))
    reasons = {each.name: each.reason for each in corpus.refused}
    assert "2 axes" in reasons["rir/hall/broken.sofa"]
    assert "no speech" in reasons["clean/group0/c.sofa"]


def with_manifest(root: Path, *rows: str) -> Path:
    """Split the files of `small_tree`, and add rows of path, item, kind, group, split."""
    splits = ("train", "train", "valid", "test")
    files = sorted(p for p in root.rglob("a.*") if p.suffix != ".sofa")
    lines = [
        f"{p.relative_to(root)},,{p.parts[-3]},{p.parts[-2]},{splits[int(p.parts[-2][-1])]}"
        for p in files
    ]
    table = ["path,item,kind,group,split", *lines, *rows]
    (root / "manifest.csv").write_text("\n".join(table) + "\n")
    return root


def test_rows_of_a_manifest_may_name_items_of_one_file(small_tree: Path, tmp_path: Path) -> None:
    irs = decays(3)
    write_sofa(small_tree / "rir" / "hall" / "b.sofa", irs)
    root = with_manifest(
        small_tree,
        *(f"rir/hall/b.sofa,{item},rir,hall,train" for item in ("M2:R1", "M0:R0", "M3:R0", "left")),
        "rir/group0/a.wav,M0:R0,rir,group0,train",
    )
    lines = (root / "manifest.csv").read_text().splitlines()
    lines.remove("rir/group0/a.wav,,rir,group0,train")
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    (root / "rir_info.csv").write_text("path,t20_s\nrir/hall/b.sofa#M0:R0,0.75\n")
    corpus = open_corpus(str(root), tmp_path / "cache")
    pool = corpus.pools["rir", "train"]
    held = [name for name in pool.names if "hall" in name]
    assert held == ["rir/hall/b.sofa#M0:R0", "rir/hall/b.sofa#M2:R1"]
    assert pool.rt60_s[pool.names.index(held[0])] == 0.75
    np.testing.assert_array_equal(
        pool.item(pool.names.index(held[1])), irs[2, 1, 30:].astype("float32")
    )
    reasons = {each.name: each.reason for each in corpus.refused}
    assert (
        "has no item M3:R0, but 3 measurements at 2 receivers" in (reasons["rir/hall/b.sofa#M3:R0"])
    )
    assert "has no item left" in reasons["rir/hall/b.sofa#left"]
    assert "is no SOFA file" in reasons["rir/group0/a.wav"]


def test_an_item_is_listed_once(small_tree: Path) -> None:
    write_sofa(small_tree / "rir" / "hall" / "b.sofa", decays(3))
    row = "rir/hall/b.sofa,M1:R0,rir,hall,train"
    with pytest.raises(UserError, match="second time"):
        sources(with_manifest(small_tree, row, row))
    with pytest.raises(UserError, match="second time"):
        sources(with_manifest(small_tree, row, row.replace("M1:R0", "")))


def without_responses(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["Data.IR"]


def with_responses_elsewhere(path: Path) -> None:
    write_sofa(path.with_name("other.sofa"), decays(3))
    with h5py.File(path, "a") as file:
        del file["Data.IR"]
        file["Data.IR"] = h5py.ExternalLink("other.sofa", "Data.IR")


def with_raw_bytes_of_another_file(path: Path) -> None:
    path.with_name("raw").write_bytes(bytes(8 * 100))
    with h5py.File(path, "a") as file:
        del file["Data.IR"]
        file.create_dataset(
            "Data.IR", (1, 1, 100), "f8", external=[(str(path.with_name("raw")), 0, 800)]
        )


def claims(shape: tuple[int, ...], **how: object) -> Callable[[Path], object]:
    """Sizes of which nothing was ever written."""

    def change(path: Path) -> None:
        with h5py.File(path, "a") as file:
            del file["Data.IR"]
            file.create_dataset("Data.IR", shape, "f8", **how)

    return change


def bomb(path: Path) -> None:
    """A chunk of 64 kB that decompresses to 256 times as much."""
    content = zlib.compress(bytes(1 << 24))
    with h5py.File(path, "a") as file:
        del file["Data.IR"]
        data = file.create_dataset(
            "Data.IR", (1, 1, 8192), "f8", chunks=(1, 1, 8192), compression="gzip"
        )
        data.id.write_direct_chunk((0, 0, 0), content)


def packed(compression: str) -> Callable[[Path], object]:
    return lambda path: write_sofa(path, decays(1), compression=compression)


def at_rate(rate: float) -> Callable[[Path], object]:
    return lambda path: write_sofa(path, decays(1), rate)


def cut(share: float) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda path: path.write_bytes(b"RIFF" * 100), "does not begin as HDF5"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (cut(0.01), "damaged SOFA file"),
        (cut(0.9), "damaged SOFA file"),
        (without_responses, "holds no Data.IR"),
        (with_responses_elsewhere, "holds no Data.IR"),
        (with_raw_bytes_of_another_file, "in other files"),
        (lambda path: write_sofa(path, decays(2)[..., None]), "4 axes"),
        (lambda path: write_sofa(path, np.ones((2, 2, 900), int)), "floating-point"),
        (lambda path: write_sofa(path, np.ones((0, 2, 900))), "empty Data.IR"),
        (lambda path: write_sofa(path, np.full((1, 1, 900), np.nan)), "not finite"),
        (lambda path: write_sofa(path, np.zeros((1, 1, 900))), "silent"),
        (at_rate(0), "sample rate of 0 Hz"),
        (at_rate(np.nan), "sample rate of nan Hz"),
        (claims((1, 1, 10**15), chunks=(1, 1, 1000)), "more than 60 s"),
        (claims((10**12, 10**3, 900), chunks=(10**6, 1, 900)), "too large"),
        (claims((1, 1, 900_000), chunks=(1, 1, 1)), "too many"),
        (claims((10**12, 2, 900), chunks=(1, 1, 900)), "never written"),
        (bomb, "larger than it claims"),
        (packed("lzf"), "not compressed as SOFA"),
    ],
)
def test_what_cannot_serve_is_refused_by_name(
    tmp_path: Path, change: Callable[[Path], object], reason: str
) -> None:
    path = write_sofa(tmp_path / "a.sofa", decays(3))
    change(path)
    first = responses(of_room(path))[0]
    if first.refused:
        assert reason in first.refused
    else:
        with pytest.raises(RefusedFileError, match=reason):
            read(path, "rir", first.item)


def test_without_h5py_other_corpora_are_read_and_sofa_says_what_to_install(
    small_tree: Path, tmp_path: Path
) -> None:
    code = f"""
from pathlib import Path
from smoe.corpora import open_corpus
from smoe.errors import UserError
root = Path({str(small_tree)!r})
(root / "manifest.csv").unlink()
print(len(open_corpus(str(root), root / "cache").pools))
(root / "rir" / "b.sofa").write_bytes(b"x")
try:
    open_corpus(str(root), root / "cache")
except UserError as error:
    print(error)
"""
    count, said = run_without(["h5py"], code).splitlines()
    assert count == "9" and "pip install h5py" in said


def test_sound_files_are_read_as_before(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", decays(1)[0, 0], RATE)
    source = of_room(tmp_path / "a.wav")
    assert responses(source) == [source]
