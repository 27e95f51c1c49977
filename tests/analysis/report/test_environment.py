"""Tables and figures depend on the bundle alone, not on whose machine draws them, nor where."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from analysis.report.build import build_report
from tests.analysis.simulate import Plan, write_bundle

ROOT = Path(__file__).parents[3]
MAKE = (
    "import sys; from pathlib import Path; from analysis.report.build import build_report; "
    "build_report(Path(sys.argv[1]))"
)
RC = "text.usetex: True\nfigure.dpi: 40\naxes.facecolor: red\nfont.size: 30\nsavefig.bbox: tight\n"


def copied(folder: Path, cwd: Path) -> Path:
    """Copy a bundle without the report beside it."""
    drawn = shutil.ignore_patterns("tables", "figures", "report.html")
    return Path(shutil.copytree(folder, cwd / folder.name, ignore=drawn))


def made(folder: Path, cwd: Path, **environment: str) -> dict[str, str]:
    """Return digests of the report of a copy of a bundle, made by another process."""
    copy = copied(folder, cwd)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MPL", "MATPLOTLIB"))}
    paths = {"PYTHONPATH": str(ROOT), **environment}
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MAKE, str(copy)],
        cwd=cwd, env={**inherited, **paths}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    return digests(copy)


def made_here(folder: Path, cwd: Path) -> dict[str, str]:
    copy = copied(folder, cwd)
    build_report(copy)
    return digests(copy)


def digests(copy: Path) -> dict[str, str]:
    return {
        str(path.relative_to(copy)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(copy.rglob("*"))
        if path.is_file()
    }


def test_neither_a_matplotlibrc_nor_hash_seed_time_zone_and_locale_change_anything(
    reported: Path, tmp_path: Path
):
    (tmp_path / "matplotlibrc").write_text(RC)
    elsewhere = tmp_path / "home"
    elsewhere.mkdir()
    (elsewhere / "matplotlibrc").write_text(RC)
    settings = {
        "MATPLOTLIBRC": str(elsewhere / "matplotlibrc"), "MPLBACKEND": "no such backend",
        "PYTHONHASHSEED": "7", "TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii", "COLUMNS": "20",
    }  # fmt: skip
    assert made(reported, tmp_path, **settings) == digests(reported)


def test_a_matplotlibrc_that_cannot_be_read_stops_nothing(tmp_path: Path):
    one = write_bundle(tmp_path / "one", Plan(["dense"], (0,), per_condition=4, clean=0))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "matplotlibrc").write_bytes(b"font.family: \xff\xfe\n")
    assert made(one, elsewhere) == made_here(one, tmp_path / "here")


def test_options_of_a_notebook_change_nothing(reported: Path, tmp_path: Path):
    import matplotlib as mpl
    import numpy as np
    import pandas as pd

    with (
        mpl.rc_context({"text.usetex": True, "axes.facecolor": "red", "figure.dpi": 33}),
        pd.option_context("display.precision", 1, "display.max_rows", 1),
        np.printoptions(precision=1, threshold=1),
    ):
        found = made_here(reported, tmp_path)
    assert found == digests(reported)
