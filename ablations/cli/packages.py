"""Packages that are not installed, or not whole: which one, and what installs it."""

import importlib.util
from collections.abc import Iterable

from smoe.errors import UserError

OWN = ("smoe", "ablations", "analysis", "run_all")
# What a study needs beside this command line itself, by the name that is imported; corpora may
# need more, which is said while they are prepared.
TRAINING = (
    "torch", "torchaudio", "numpy", "scipy", "pandas", "pyarrow", "pesq", "pystoi", "mlflow",
    "joblib", "psutil", "soundfile", "soxr",
)  # fmt: skip
REPORTING = ("matplotlib", "seaborn")
# Names for pip where they differ from those that are imported.
_EXTRAS = {"ray": '-e ".[cluster]"', "submitit": '-e ".[slurm]"'}
_NAMES = {"espeakng_loader": "espeakng-loader"}


def require_packages(names: Iterable[str]) -> None:
    """Refuse to begin work that a missing package would end; nothing is imported.

    Raises:
        UserError: names the first one that is missing.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise UserError(missing_package(name))


def missing_package(name: str, reason: str | None = None) -> str:
    """Return the sentence for a package that is not installed, or that `reason` keeps from loading.

    Args:
        name: As it is imported.
        reason: Why it cannot be imported though it is there; None if it is not there.
    """
    install = _EXTRAS.get(name, _NAMES.get(name, name))
    if reason is None:
        return f"The package {name} is not installed; pip install {install}"
    why = " ".join(reason.split())
    return f"The package {name} cannot be used ({why}); pip install --force-reinstall {install}"


def refused_import(error: ImportError) -> str | None:
    """Return the sentence for an import that failed; None where it is a fault of this suite."""
    top = (error.name or "").partition(".")[0]
    if not top or top in OWN:
        return None
    if importlib.util.find_spec(top) is None:
        return missing_package(top)
    missing = isinstance(error, ModuleNotFoundError)
    return missing_package(top, f"it has no {error.name}" if missing else str(error))
