"""One smoke study, run for real through the command line, shared by all tests of its results."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
TIMINGS = ["train_s", "inference_rtf", "git_commit"]
TABLES = ("runs", "utterances", "routing", "history")


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, str(ROOT / "run_all.py"), *map(str, arguments)]


def run_all(
    *arguments: str | Path, environment: dict[str, str] | None = None, **options
) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "COLUMNS": "100", **(environment or {})}
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, env=env, check=False, **options
    )


def bundle(results: Path) -> dict[str, pd.DataFrame]:
    """The tables of the smoke study, without what differs from one doing to the next."""
    tables = {name: pd.read_parquet(results / "smoke" / f"{name}.parquet") for name in TABLES}
    tables["runs"] = tables["runs"].drop(columns=TIMINGS)
    return tables


def assert_same_bundle(results: Path, smoke: Path) -> None:
    """To the bit."""
    undisturbed = bundle(smoke)
    for name, table in bundle(results).items():
        pd.testing.assert_frame_equal(table, undisturbed[name], check_exact=True)


def forget_digests(folder: Path) -> None:
    """Make a bundle an old one, without digests, so that a test may change its tables."""
    path = folder / "study.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "sha256": None}))


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with the finished smoke study."""
    results = tmp_path_factory.mktemp("results")
    finished = run_all("run", "--study", "smoke", "--results", results)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    (results / "screen.txt").write_text(finished.stdout)
    return results
