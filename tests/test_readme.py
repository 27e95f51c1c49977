"""What the README says is what is stored, and its commands are commands."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import run_all
from analysis.bundle.load import load_reported
from analysis.findings.answer import answer

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path: path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("docs/*.md"))}
PAGES[ROOT / "README.md"] = README
EVERYTHING = "\n".join(PAGES.values())
COMMANDS = re.findall(
    r"^python run_all\.py ((?:data |results )?\w+)(.*?)(?:#.*)?$", EVERYTHING, re.MULTILINE
)
BLOCKS = re.findall(r"```(toml|python|diff)\n(.*?)```", EVERYTHING, re.DOTALL)
LINKS = [
    (path, link) for path, text in PAGES.items() for link in re.findall(r"\]\(([^)#:]+)\)", text)
]
MOST_WORDS = 1200


def test_the_readme_is_short():
    assert len(README.split()) <= MOST_WORDS


def test_the_answer_of_the_readme_is_that_of_the_stored_study():
    shown = README.split("<!-- the answer of results/core -->\n")[1].split("\n<!-- end -->")[0]
    assert shown == "\n".join(f"- {s}" for s in answer(load_reported(ROOT / "results" / "core")))


@pytest.mark.parametrize(("page", "link"), LINKS)
def test_every_link_leads_somewhere(page: Path, link: str):
    assert (page.parent / link).exists()


@pytest.mark.parametrize(("command", "arguments"), COMMANDS)
def test_every_command_of_the_readme_exists_with_its_options(command: str, arguments: str):
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(run_all.app, [*command.split(), "--help"])
    assert shown.exit_code == 0
    assert all(option in shown.output for option in re.findall(r"--[a-z-]+", arguments))


def test_the_example_study_of_the_readme_can_be_planned(tmp_path: Path):
    path = tmp_path / "depth.toml"
    path.write_text(block("toml", "Depth"))
    planned = CliRunner().invoke(
        run_all.app, ["plan", "--study", str(path), "--results", str(tmp_path)]
    )
    assert planned.exit_code == 0
    assert "10 runs" in planned.output  # the dense network has no mapping


def block(language: str, content: str) -> str:
    """The one block of README and docs in this language that has this content."""
    (found,) = [text for kind, text in BLOCKS if kind == language and content in text]
    return found
