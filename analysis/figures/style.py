"""Style and storage of figures.

Text stays text in the PDF (TrueType), dates and versions stay out, so that files repeat byte by
byte. Widths are those of a journal's single and double column.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from analysis.bundle.contents import Bundle
from analysis.figures.plots import Axes, Figure, mpl
from analysis.rendering.files import store

SINGLE_COLUMN_IN = 3.5
DOUBLE_COLUMN_IN = 7.2
# Okabe and Ito's palette, told apart with any colour vision.
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
GREY, LIGHT_GREY = "#7F7F7F", "#D9D9D9"
CONDITION_COLOURS = {"noise": VERMILION, "reverb": BLUE, "both": PURPLE, "clean": GREEN}
CONDITION_MARKERS = {"noise": "o", "reverb": "s", "both": "D", "clean": "^"}
_STYLE = {
    "font.family": "DejaVu Sans", "font.size": 7, "axes.titlesize": 7.5, "axes.labelsize": 7,
    "xtick.labelsize": 6.5, "ytick.labelsize": 6.5, "legend.fontsize": 6.5,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6,
    "axes.titlelocation": "left", "axes.unicode_minus": True, "legend.frameon": False,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.major.size": 2.5,
    "ytick.major.size": 2.5, "lines.linewidth": 1.1, "patch.linewidth": 0.6,
    "pdf.fonttype": 42, "savefig.dpi": 300, "svg.hashsalt": "analysis",
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
}  # fmt: skip


class NothingToDrawError(Exception):
    """The study has no data for a figure; the sentence says which."""


@contextmanager
def house_style() -> Iterator[None]:
    """Set the style that all figures share within a `with` block, and restore the caller's."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)  # pyright: ignore[reportArgumentType, reportCallIssue]
        yield


def save(
    figure: Figure, *files: Path, dpi: int | None = None, bundle: Bundle | None = None
) -> None:
    """Write a figure to PNG and PDF files, by their suffix, so that it repeats byte by byte.

    Args:
        figure: What was drawn.
        files: Where to.
        dpi: Resolution; None for that of the style.
        bundle: What it was drawn from, which must still be there; None if from none.
    """
    for file in files:
        dated = ("CreationDate", "Creator", "Producer") if file.suffix == ".pdf" else ("Software",)
        drawn = io.BytesIO()
        figure.savefig(
            drawn,
            format=file.suffix[1:],
            dpi=dpi or mpl.rcParams["savefig.dpi"],
            metadata=dict.fromkeys(dated),
        )
        store(bundle, file, drawn.getvalue())


def new_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty figure with constrained layout."""
    return Figure(figsize=(width_in, height_in), layout="constrained")


def light_grid(axes: Axes, axis: str = "x") -> None:
    """Draw thin grid lines behind the data; `axis` is x, y or both."""
    axes.grid(axis=axis, color=LIGHT_GREY, linewidth=0.5, zorder=0)  # pyright: ignore
    axes.set_axisbelow(True)
