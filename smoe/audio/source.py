"""A file of a corpus before it is read."""

from dataclasses import dataclass
from pathlib import Path

KIND_FOLDERS = {"clean": "speech", "speech": "speech", "noise": "noise", "rir": "rir"}
SPLIT_FOLDERS = {"train": "train", "valid": "valid", "val": "valid", "dev": "valid", "test": "test"}


@dataclass(frozen=True)
class Source:
    """A file of a corpus before it is read.

    Attributes:
        path: The file.
        name: Relative to the corpus, with forward slashes and composed accents; PATH#ITEM for an
            item of a file.
        kind: "speech", "noise" or "rir".
        group: Speaker, type of noise or room.
        split: "train", "valid", "test", or "" where it is still to be dealt out.
        onset: Known onset of an impulse response, or None to detect it.
        rt60_s: Known reverberation time in s, or NaN to measure it.
        refused: Why it is left out already, or "".
        distinct_from: Names of files that it sounds like, but is not, by its owner's word.
        item: Which response of a SOFA file it is, as in "M4:R0"; "" for a whole file.
    """

    path: Path
    name: str
    kind: str
    group: str
    split: str = ""
    onset: int | None = None
    rt60_s: float = float("nan")
    refused: str = ""
    distinct_from: frozenset[str] = frozenset()
    item: str = ""

    @property
    def unit(self) -> str:
        """What must not stand in two splits: speaker, noise recording or room."""
        return self.name if self.kind == "noise" else self.group
