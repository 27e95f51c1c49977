"""The manners of the command line: help, output for programs, quiet, colours."""

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

import run_all
from ablations.cli.examples import EXAMPLES
from smoe.schema.bundle import read_runs
from tests.without import run_without

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "pandas", "numpy", "scipy", "mlflow", "matplotlib", "joblib", "pydantic"}
COMMANDS = sorted(set(EXAMPLES) - {""})
GROUPS = {command.split()[0] for command in COMMANDS if " " in command}


def invoke(*arguments: str):
    return CliRunner(env={"COLUMNS": "200"}).invoke(run_all.app, list(arguments))


def of(command: str) -> list[str]:
    return command.split()


def test_help_loads_no_heavy_library():
    """What keeps `--help` quick; a time itself would be a measurement, not a test."""
    code = "import sys, run_all; sys.stdout.write(' '.join(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(loaded.stdout.split())


def test_every_command_has_examples():
    shown = re.findall(r"^│ (\w+) ", invoke("--help").output, re.MULTILINE)
    assert set(shown) - GROUPS <= set(COMMANDS)
    assert {"run", "ui", "explain"} <= set(shown)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_shows_its_examples(command: str):
    narrow = CliRunner(env={"COLUMNS": "80"})
    shown = narrow.invoke(run_all.app, [*of(command), "--help"])
    assert shown.exit_code == 0
    for example in EXAMPLES[command]:
        assert example in shown.output  # on one line, as it is to be copied


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_name_options_and_arguments_that_exist(command: str):
    shown = invoke(*of(command), "--help").output
    for example in EXAMPLES[command]:
        assert all(option in shown for option in re.findall(r"--[a-z-]+", example)), example
        assert example.startswith(f"python run_all.py {' '.join(of(command))}")


def test_explain_for_programs_says_what_explain_says():
    arguments = ("explain", "dense", "--study", "quick", "--results", str(ROOT / "results"))
    facts = json.loads(invoke(*arguments, "--json").output)
    text = invoke(*arguments).output
    assert facts["runs"][0]["run_id"] in text
    for mean in facts["means"]:
        assert f"{mean['estimate']:.4f}" in text
        assert mean["low"] <= mean["estimate"] <= mean["high"]
    assert {entry["table"].split(":")[0] for entry in facts["table_entries"]} >= {"Table 1"}


def test_the_unprocessed_input_has_no_cost_in_the_facts():
    results = str(ROOT / "results")
    facts = json.loads(
        invoke("explain", "unprocessed", "--study", "quick", "--results", results, "--json").output
    )
    assert facts["runs"][0]["params"] is None


def test_plan_for_programs_lists_every_run(tmp_path: Path):
    rows = json.loads(
        invoke("plan", "--study", "smoke", "--results", str(tmp_path), "--json").output
    )
    assert len(rows) == 5
    assert {row["state"] for row in rows} == {"planned"}


def test_piped_output_has_no_colours_and_whole_lines(tmp_path: Path):
    finished = subprocess.run(
        [sys.executable, "run_all.py", "plan", "--study", "core", "--results", tmp_path],
        cwd=ROOT,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "\x1b" not in finished.stdout
    cells = [line for line in finished.stdout.splitlines() if ".multi.supervised.global" in line]
    assert len(cells) == 31
    assert all("2:planned" in line for line in cells)  # the last of three seeds, not wrapped


@pytest.mark.parametrize("where", ["first", "last"])
def test_a_cell_may_begin_with_hyphens(where: str):
    cell, study = ["----L.multi.supervised.global"], ["--study", "quick", "--json"]
    shown = invoke("explain", *(cell + study if where == "first" else study + cell))
    assert json.loads(shown.output)["cell"] == cell[0]


def test_a_placement_alone_is_answered_with_the_cells_that_exist():
    failed = CliRunner().invoke(run_all.app, ["explain", "----L", "--study", "quick"])
    assert "----L.multi.supervised.global" in str(failed.exception)


def test_the_console_script_is_the_command_line():
    (script,) = metadata.entry_points(group="console_scripts", name="smoe")
    assert script.load() is run_all.entry


def test_plan_needs_neither_torch_nor_mlflow(tmp_path: Path):
    arguments = ["run_all.py", "plan", "--study", "smoke", "--results", str(tmp_path)]
    code = f"sys.argv = {arguments!r}\nimport run_all; run_all.entry()"
    assert "5 runs" in run_without(("torch", "torchaudio", "mlflow"), code)


@pytest.mark.slow
def test_quiet_says_nothing_of_a_study_that_is_done(copied: Path):
    quiet = invoke("--quiet", "report", "--study", "quick", "--results", str(copied))
    assert quiet.exit_code == 0
    assert quiet.output == ""


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of a stored bundle, since `report` writes beside it."""
    (tmp_path / "quick").mkdir()
    for path in (ROOT / "results" / "quick").glob("*.*"):
        (tmp_path / "quick" / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_plan_knows_what_is_in_a_committed_bundle():
    """The runs of a clone: done, and not to be trained for a report; `--from-bundle` skips them."""
    results = str(ROOT / "results")
    rows = json.loads(invoke("plan", "--study", "core", "--results", results, "--json").output)
    stored = [row for row in rows if row["state"] == "stored"]
    runs = read_runs(ROOT / "results" / "core")
    assert {(row["cell"], row["seed"]) for row in stored} == {
        *zip(runs["cell"], runs["seed"], strict=True)
    }
    shown = invoke("plan", "--study", "core", "--results", results).output
    assert f"{len(runs)} stored" in shown
    assert f"`python run_all.py run --study core --results {results} --from-bundle`" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("report", "--study", "cor"), "there are budget, core"),
        (("explain", "dense", "--study", "cor"), "there are budget, core"),
        (
            ("explain", "EMBDL", "--study", "quick"),
            'did you mean "EMBDL.multi.implicit.global"? It has dense,',
        ),
        (("explain", "foo", "--study", "quick"), 'quick has no cell "foo"; it has dense, '),
        (("run", "--only", "foo"), 'There is no cell "foo"'),
        (("ui", "--study", "cor"), "there are budget, core"),
    ],
)
def test_wrong_names_are_answered_before_work_with_those_that_exist(arguments, said):
    """Without what takes long to load, which is how the answer comes at once."""
    argv = ["run_all.py", *arguments, "--results", str(ROOT / "results")]
    code = f"sys.argv = {argv!r}\nsys.stderr = sys.stdout\nimport run_all\n"
    code += "try: run_all.entry()\nexcept SystemExit as end: print('status', end.code)"
    blocked = ("mlflow",) if arguments[0] == "ui" else ("torch", "matplotlib", "scipy")
    shown = run_without(blocked, code)
    assert said in shown and shown.endswith("status 2\n")
