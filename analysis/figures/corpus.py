"""A page of pictures of a corpus: distributions by split, and one spectrogram per condition."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.lib.npyio import NpzFile

from analysis.bundle import vocabulary as words
from analysis.bundle.load import BundleError
from analysis.figures import style
from analysis.figures.plots import Axes, Figure, SubFigure
from smoe.schema.text import plain

_SPLIT_COLOURS = {"train": style.BLUE, "valid": style.ORANGE, "test": style.VERMILION}
_DISTRIBUTIONS = {
    "level of recordings (dBFS)": {"speech": "level_dbfs/speech", "noise": "level_dbfs/noise"},
    "SNR of mixtures (dB)": {"": "snr_db"},
    "reverberation time T60 (s)": {"": "rt60_s"},
    "direct-to-reverberant ratio (dB)": {"": "drr_db"},
}
_LINES = ("-", ":")
_FRAMES_PER_S = 62.5
_RANGE_DB = 80


def draw_corpus(facts: Path, folder: Path) -> list[Path]:
    """Draw the page as `corpus.png` and `corpus.pdf`.

    Args:
        facts: NPZ file of level_dbfs/{speech,noise}/SPLIT in dBFS, snr_db/SPLIT in dB, rt60_s/SPLIT
            in s, drr_db/SPLIT in dB [values each], spectrogram/CONDITION uint8 [bins, frames] from
            -80 (0) to 0 dB (255), title/CONDITION, name and data_hash.
        folder: Where the files go.

    Raises:
        BundleError: The file is missing, damaged or of another kind.
    """
    try:
        with np.load(facts) as stored, style.house_style():
            files = [folder / "corpus.png", folder / "corpus.pdf"]
            folder.mkdir(parents=True, exist_ok=True)
            style.save(_page(stored), *files)
            return files
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise BundleError(
            f"{facts} holds no corpus that could be drawn ({error}); run `data check --figures`."
        ) from error


def _page(facts: NpzFile) -> Figure:
    figure = style.new_figure(style.DOUBLE_COLUMN_IN, 3.9)
    above, below = figure.subfigures(2, 1, height_ratios=[1, 1.05])  # pyright: ignore
    for axes, (label, curves) in zip(
        above.subplots(1, len(_DISTRIBUTIONS), sharey=True), _DISTRIBUTIONS.items(), strict=True
    ):
        _shares(axes, facts, curves)
        axes.set_xlabel(label)
    above.axes[0].set_ylabel("share at or below")
    _legends(above)
    _spectrograms(below, facts)
    above.suptitle(
        f"{plain(str(facts['name']))}  (data {str(facts['data_hash'])[:12]})", x=0.01, ha="left"
    )
    return figure


def _shares(axes: Axes, facts: NpzFile, curves: dict[str, str]) -> None:
    """Draw cumulative distributions, which compare splits of any size without choosing bins."""
    for line, key in zip(_LINES, curves.values(), strict=False):
        for split, colour in _SPLIT_COLOURS.items():
            values = facts[f"{key}/{split}"]
            values = values[np.isfinite(values)]
            if len(values):
                axes.ecdf(values, color=colour, linestyle=line)
    axes.set_ylim(0, 1.02)
    style.light_grid(axes, "both")


def _legends(figure: SubFigure) -> None:
    levels, snrs = figure.axes[:2]
    for line, kind in zip(_LINES, ("speech", "noise"), strict=True):
        levels.plot([], [], color=style.BLACK, linestyle=line, label=kind)
    levels.legend(loc="best", handlelength=1.4)
    for split, colour in _SPLIT_COLOURS.items():
        snrs.plot([], [], color=colour, label=split)
    snrs.legend(loc="lower right", handlelength=1.4)


def _spectrograms(figure: SubFigure, facts: NpzFile) -> None:
    shown = [c for c in words.CONDITIONS if f"spectrogram/{c}" in facts]
    grid = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    image = None
    for axes, condition in zip(grid, shown, strict=True):
        levels_db = (facts[f"spectrogram/{condition}"] / 255.0 - 1) * _RANGE_DB
        extent = (0, levels_db.shape[1] / _FRAMES_PER_S, 0, 8)
        image = axes.imshow(
            levels_db, origin="lower", aspect="auto", extent=extent, cmap="magma",
            vmin=-_RANGE_DB, vmax=0, interpolation="nearest", rasterized=True,
        )  # fmt: skip
        axes.set_yticks([0, 2, 4, 6, 8])
        axes.set_title(plain(str(facts[f"title/{condition}"])))
        axes.set_xlabel("time (s)")
    grid[0].set_ylabel("frequency (kHz)")
    assert image is not None
    bar = figure.colorbar(image, ax=grid, pad=0.01, aspect=25)
    bar.set_label("dB re maximum")
    bar.outline.set_visible(False)  # pyright: ignore
