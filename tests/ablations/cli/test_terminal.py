"""Terminals as they come: other encodings, closed and broken pipes, full disks; no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from ablations.cli.terminal import PlainConsole, lasting_output, say
from tests.ablations.conftest import ROOT, assert_same_bundle, command

QUICK = ("report", "--study", "quick")
LOCALES = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "C as it comes": {"LC_ALL": "C"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "latin-1": {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"},
}


def ran(arguments: list, environment: dict[str, str], **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(*arguments), env={**os.environ, **environment}, check=False, **options
    )


@pytest.mark.parametrize("locale", LOCALES)
def test_a_terminal_of_another_encoding_gets_what_it_can_show(locale: str, tmp_path: Path):
    # Told not to use UTF-8, Python cannot decode the name of such a file; its text it can.
    study = tmp_path / ("[b].toml" if locale == "C" else "ränder ± [b].toml")
    text = (ROOT / "ablations" / "studies" / "smoke.toml").read_text(encoding="utf-8")
    study.write_text(text.replace("Smoke test", "Ränder ± → 語 [bold]"), encoding="utf-8")
    arguments = ["plan", "--study", study, "--results", tmp_path]
    done = ran(arguments, LOCALES[locale], capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    first = done.stdout.splitlines()[0]
    assert b"[bold]" in first
    # Unless it is told not to, Python takes the C locale for UTF-8 (PEP 538).
    assert first.isascii() or locale in ("latin-1", "C as it comes")


@pytest.mark.parametrize("locale", LOCALES)
def test_tables_reach_any_terminal(locale: str):
    done = ran(["explain", "dense", *QUICK[1:], "--results", ROOT / "results"], LOCALES[locale],
               capture_output=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"PESQ-WB" in done.stdout


def test_a_pipe_that_closes_ends_nothing(tmp_path: Path):
    shell = f"{' '.join(command('plan', '--study', 'core', '--results', tmp_path))} | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {shell}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("closing", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_end_nothing(closing: str, tmp_path: Path):
    shell = f"{' '.join(command('plan', '--study', 'smoke', '--results', tmp_path))} {closing}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_behind_the_output_is_told():
    with Path("/dev/full").open("wb") as full:
        done = ran(["plan", "--study", "smoke", "--json"], {}, stdout=full, stderr=subprocess.PIPE)
    assert b"Traceback" not in done.stderr
    assert done.returncode == 2
    assert b"output could not be written" in done.stderr


def test_training_goes_on_when_its_terminal_goes_away(smoke: Path, tmp_path: Path):
    import shutil

    shutil.copytree(smoke, tmp_path, dirs_exist_ok=True)
    run_id = pd.read_parquet(smoke / "smoke" / "runs.parquet").query("cell == 'dense'")["run_id"]
    identity, _, seed = run_id.iloc[0].rpartition("-")
    shutil.rmtree(tmp_path / ".runs" / identity / seed)  # one of the runs is to be trained
    read, write = os.pipe()
    os.close(read)
    done = ran(["run", "--study", "smoke", "--results", tmp_path, "--no-report"],
               {"PYTHONIOENCODING": "ascii"}, stdout=write, stderr=subprocess.PIPE)  # fmt: skip
    os.close(write)
    assert done.returncode == 0, done.stderr
    assert_same_bundle(tmp_path, smoke)


def test_say_and_console_survive_a_stream_that_fails(monkeypatch):
    class Broken:
        encoding = "utf-8"

        def write(self, text: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

        def flush(self) -> None:
            raise BrokenPipeError(32, "Broken pipe")

        def isatty(self) -> bool:
            return False

        def fileno(self) -> int:
            raise OSError

    monkeypatch.setattr(sys, "stdout", Broken())
    with lasting_output():
        say("text")
        PlainConsole().print("text")
    assert isinstance(sys.stdout, Broken)
