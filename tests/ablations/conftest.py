"""One smoke study, run for real through the command line, shared by all tests of its results."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, str(ROOT / "run_all.py"), *map(str, arguments)]


def run_all(*arguments: str | Path, **options) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "100"}
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, env=environment, check=False, **options
    )


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with the finished smoke study."""
    results = tmp_path_factory.mktemp("results")
    finished = run_all("run", "--study", "smoke", "--results", results)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    (results / "screen.txt").write_text(finished.stdout)
    return results
