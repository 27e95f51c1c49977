"""Matplotlib as it comes, whatever the user's environment says of it.

A `matplotlibrc` in the current or the home folder, MATPLOTLIBRC and MPLBACKEND are for the user's
own figures; broken ones would even end the import. So matplotlib is imported here alone, beside
its own defaults, and `house_style` of `analysis.figures.style` starts from these.
"""

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def _beside_its_defaults() -> Iterator[None]:
    found = importlib.util.find_spec("matplotlib")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("matplotlib is not installed", name="matplotlib")
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        with contextlib.chdir(Path(found.origin).parent / "mpl-data"):
            yield
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend


with _beside_its_defaults():
    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.colors import TwoSlopeNorm
    from matplotlib.figure import Figure, SubFigure

__all__ = ["Axes", "Figure", "SubFigure", "TwoSlopeNorm", "mpl"]
