"""Code run where some modules cannot be imported."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run_without(modules: Sequence[str], code: str) -> str:
    """What `code` prints in a process of its own without these modules; fails where it does."""
    blocked = f"import sys; sys.modules.update(dict.fromkeys({tuple(modules)!r}))\n"
    finished = subprocess.run(
        [sys.executable, "-c", blocked + code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout
