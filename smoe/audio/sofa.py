"""Room impulse responses in SOFA files (AES69), read one by one.

A SOFA file is an HDF5 file with Data.IR [measurements, receivers, samples] and Data.SamplingRate in
Hz. An item such as "M4:R0" names the response of measurement 4 at receiver 0, both counted from 0.
A file of which no item is named gives its first receiver (of a head the left ear) at every
measurement, or at 12 of them evenly spaced. Data.Delay is not read: it moves a response's onset,
where it is cut anyway.

Sizes that a file claims are not believed: nothing is read or decompressed beyond limits below.
"""

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from smoe.audio.containers import RefusedFileError
from smoe.audio.decoding import unreadable
from smoe.audio.source import Source
from smoe.errors import UserError

if TYPE_CHECKING:
    import h5py

SUFFIX = ".sofa"
ITEM = re.compile(r"M(\d{1,9}):R(\d{1,9})", re.ASCII)
SIGNATURE = b"\x89HDF\r\n\x1a\n"
MOST = 12  # responses of a file of which no item is named
MAX_S = 60
BLOCK = 1 << 17  # samples that are read at once
MAX_CHUNK = 1 << 27  # bytes of a stored piece, which is decompressed as a whole
MAX_CHUNKS = 4096  # stored pieces along one response
DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3  # HDF5's numbers of its filters


@dataclass
class Response:
    """One impulse response in an open SOFA file; is read like an `AudioFile`."""

    sample_rate: int
    _data: "h5py.Dataset" = field(repr=False)
    _at: tuple[int, int] = field(repr=False)
    channels: int = 1
    full_scale: float | None = None
    notes: list[str] = field(default_factory=lambda: ["taken out of a SOFA file"])

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield all samples, float64 [samples, 1], in blocks.

        Raises:
            RefusedFileError: The file is damaged.
        """
        samples = self._data.shape[2]
        with _words_for_errors():
            _require_bounded(self._data, (*self._at, 0), samples)
            for start in range(0, samples, BLOCK):
                block = self._data[(*self._at, slice(start, start + BLOCK))]
                yield np.asarray(block, dtype=np.float64)[:, None]


def is_sofa(path: Path) -> bool:
    """Return whether a file is SOFA by its name."""
    return path.suffix.lower() == SUFFIX


def responses(source: Source, item: str = "") -> list[Source]:
    """List what a source holds: of a SOFA file each response, of any other file itself.

    Args:
        source: Of any kind.
        item: The one response that is wanted, or "" for the choice that this module makes.

    Returns:
        Sources with the name PATH#ITEM; one that is refused where the file cannot serve.
    """
    if source.refused:
        return [source]
    if not is_sofa(source.path):
        wrong = f"has no item {item}, as it is no SOFA file" if item else ""
        return [replace(source, refused=wrong)]
    if source.kind != "rir":
        wrong = f"is a SOFA file, which holds impulse responses and no {source.kind}"
        return [replace(source, refused=wrong)]
    try:
        items = [item] if item else _chosen(source.path)
    except RefusedFileError as error:
        return [replace(source, refused=str(error))]
    return [replace(source, name=f"{source.name}#{each}", item=each) for each in items]


def _chosen(path: Path) -> list[str]:
    with _opened(path) as file:
        measurements = _responses_in(file).shape[0]
    count = min(measurements, MOST)
    return [f"M{i * measurements // count}:R0" for i in range(count)]


@contextmanager
def open_response(path: Path, item: str) -> Iterator[Response]:
    """Open one response of a SOFA file.

    Args:
        path: The file.
        item: Such as "M4:R0".

    Raises:
        RefusedFileError: No SOFA file, damaged, without this item, or not stored in a sane way.
        UserError: The package h5py is missing.
    """
    named = ITEM.fullmatch(item)
    if not named:
        raise RefusedFileError(f"has no item {item}; items are named as in M4:R0")
    with _opened(path) as file:
        data = _responses_in(file)
        at = int(named[1]), int(named[2])
        if at[0] >= data.shape[0] or at[1] >= data.shape[1]:
            has = f"{data.shape[0]} measurements at {data.shape[1]} receivers"
            raise RefusedFileError(f"has no item {item}, but {has}, counted from 0")
        rate = _sample_rate(file, at[0])
        if data.shape[2] > MAX_S * rate:
            raise RefusedFileError(f"claims responses of more than {MAX_S} s")
        yield Response(rate, data, at)


@contextmanager
def _opened(path: Path) -> Iterator["h5py.File"]:
    try:
        import h5py
    except ImportError as error:
        raise UserError(
            f"{path} is a SOFA file, which the package h5py reads; `pip install h5py`."
        ) from error
    reason = unreadable(path)
    if reason:
        raise RefusedFileError(reason)
    with _words_for_errors():
        with path.open("rb") as file:
            if file.read(len(SIGNATURE)) != SIGNATURE:
                raise RefusedFileError("is no SOFA file (it does not begin as HDF5 does)")
        with h5py.File(path, "r", locking=False) as opened:
            yield opened


def _responses_in(file: "h5py.File") -> "h5py.Dataset":
    data = _dataset(file, "Data.IR", "f")
    if data.ndim != 3:
        raise RefusedFileError(
            f"has a Data.IR of {data.ndim} axes instead of measurements, receivers and samples"
        )
    if 0 in data.shape:
        raise RefusedFileError("has an empty Data.IR")
    return data


def _sample_rate(file: "h5py.File", measurement: int) -> int:
    """The sample rate in Hz, of which there is one, or one for each measurement."""
    rates = _dataset(file, "Data.SamplingRate", "fiu")
    if rates.ndim == 0:
        rate = float(rates[()])
    elif rates.size == 0:
        raise RefusedFileError("has an empty Data.SamplingRate")
    else:
        at = (min(measurement, rates.shape[0] - 1), *[0] * (rates.ndim - 1))
        _require_bounded(rates, at, 1)
        rate = float(rates[at])
    if not 4000 <= rate <= 768_000:  # not a number neither
        raise RefusedFileError(f"claims a sample rate of {rate:g} Hz")
    return round(rate)


def _dataset(file: "h5py.File", name: str, types: str) -> "h5py.Dataset":
    """An array of numbers of some of NumPy's kinds of types that stands in this very file."""
    import h5py

    link = file.get(name, getlink=True) if name in file else None
    data = file.get(name) if isinstance(link, h5py.HardLink) else None
    if not isinstance(data, h5py.Dataset) or data.shape is None:
        raise RefusedFileError(f"is no SOFA file with impulse responses: it holds no {name}")
    if data.external or data.is_virtual:
        raise RefusedFileError(f"keeps its {name} in other files; save it as one")
    if data.dtype.kind not in types:
        raise RefusedFileError(f"has a {name} of another type than floating-point numbers")
    return data


def _require_bounded(data: "h5py.Dataset", first: tuple[int, ...], count: int) -> None:
    """Refuse what would take memory without end to be read.

    Args:
        data: Stored as a whole or in chunks, which HDF5 decompresses to whatever size they have.
        first: Place of the first number that is to be read.
        count: How many, along the last axis.
    """
    if data.chunks is None:
        return
    bytes_of_chunk = int(np.prod(data.chunks, dtype=object)) * data.dtype.itemsize
    if bytes_of_chunk > MAX_CHUNK or count > MAX_CHUNKS * data.chunks[-1]:
        raise RefusedFileError("is stored in pieces that are too large or too many; save it again")
    filters = _filters(data)
    if not set(filters) <= {DEFLATE, SHUFFLE, FLETCHER32} or filters.count(DEFLATE) > 1:
        raise RefusedFileError("is not compressed as SOFA files are; save it with gzip or without")
    corner = [place // side * side for place, side in zip(first, data.chunks, strict=True)]
    for last in range(corner[-1], first[-1] + count, data.chunks[-1]):
        _require_honest(data, (*corner[:-1], last), bytes_of_chunk, filters)


def _filters(data: "h5py.Dataset") -> list[int]:
    made = data.id.get_create_plist()
    return [made.get_filter(i)[0] for i in range(made.get_nfilters())]


def _require_honest(
    data: "h5py.Dataset", corner: tuple[int, ...], claimed: int, filters: list[int]
) -> None:
    """Refuse a chunk that holds more than it should."""
    stored = data.id.get_chunk_info_by_coord(corner)
    if stored.byte_offset is None:
        raise RefusedFileError("is cut short: a part of it was never written")
    if stored.size > claimed + claimed // 100 + 1024:  # what cannot be compressed grows a little
        raise RefusedFileError("holds a piece larger than it claims; save it again")
    if DEFLATE in filters:
        skipped, content = data.id.read_direct_chunk(corner)
        deflated = not skipped >> filters.index(DEFLATE) & 1
        if deflated and len(zlib.decompressobj().decompress(content, claimed + 1)) > claimed:
            raise RefusedFileError("holds a piece larger than it claims; save it again")


@contextmanager
def _words_for_errors() -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, MemoryError, zlib.error) as e:
        raise RefusedFileError("is a damaged SOFA file, or is cut short") from e
