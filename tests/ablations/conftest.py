"""One smoke study, run for real through the command line, shared by all tests of its results."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pandas as pd
import pytest

import run_all as commands
from tests.conftest import made_once

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


def run_here(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command line in this process: what a new one would only load again is loaded."""
    out, errors, status = io.StringIO(), io.StringIO(), 0
    argv = ["run_all.py", *map(str, arguments)]
    with (
        mock.patch.object(sys, "argv", argv),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(errors),
    ):
        try:
            commands.entry()
        except SystemExit as stop:
            status = int(stop.code or 0)
    return subprocess.CompletedProcess(argv, status, out.getvalue(), errors.getvalue())


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
def smoke(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Path:
    """A results folder with the finished smoke study.

    It is run once, by the first process of pytest's that asks for it; each gets a copy.
    """

    def run(results: Path) -> None:
        shutil.copytree(prepared, results / ".corpora")
        finished = run_all("run", "--study", "smoke", "--results", results)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        (results / "screen.txt").write_text(finished.stdout)

    made = made_once(tmp_path_factory, "smoke study", run)
    return Path(shutil.copytree(made, tmp_path_factory.mktemp("results"), dirs_exist_ok=True))
