"""A study by a user without name and home, as in a container: it runs to its last screen."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = (
    "--set",
    "train.steps=2",
    "--set",
    "test.per_snr=1",
    "--set",
    "test.clean=0",
    "--only",
    "dense",
)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("setpriv"),
    reason="only root may become another user",
)
@pytest.mark.parametrize("command", [("run", "--study", "smoke", *SMALL), ("plan",)])
def test_no_name_and_no_home_are_needed(command: tuple[str, ...]) -> None:
    """The user's number has no entry; files may be read as before, since Python may be root's."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        stranger = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]
        stranger += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
        done = subprocess.run(
            [*stranger, sys.executable, str(ROOT / "run_all.py"), *command, "--results", folder],
            env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True, text=True, check=False, cwd=ROOT,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "failed" not in done.stdout
        assert "Traceback" not in done.stderr
