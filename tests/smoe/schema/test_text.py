"""What comes from users is shown, never obeyed: terminal, HTML, LaTeX, Markdown, MLflow."""

import io
import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ablations.cli.terminal import PlainConsole
from ablations.tracking.mlflow_ui import describe
from analysis.bundle.load import load_bundle
from analysis.rendering.forms import Column, Row, Table, to_markdown
from analysis.rendering.latex import PREAMBLE, to_latex
from analysis.report.page import write_page
from smoe.schema.text import markdown, plain, plain_lines
from tests.ablations.conftest import run_here
from tests.analysis.simulate import FULL, Plan, write_bundle

NASTY = (
    "[red]a[/red] [/] [link=http://x]b[/link] :smile: <b>c</b> <script>alert(1)</script> d_e_f $g$ "
    "|h| `i` *j* \x1b[31mk\x1b]0;title\x07 \u202el\x00 &amp; \\m{n} 50% #1 ~~o~~ ![p](q) é"
)


def test_no_control_character_is_left():
    shown = plain(NASTY + "\nnext\ttab")
    assert not [c for c in shown if not c.isprintable()]
    assert "\\x1b[31mk" in shown and "\\u202el" in shown and "next tab" in shown
    assert plain_lines("a\nb\x1b") == "a\nb\\x1b"
    assert plain("\udcff") == "\\udcff"


def test_the_terminal_shows_brackets_and_obeys_nothing():
    out = io.StringIO()
    PlainConsole(file=out, force_terminal=True, width=2000).print(NASTY)
    assert out.getvalue().rstrip("\n") == plain(NASTY)


def test_progress_and_summary_lines_show_a_reason_as_it_stands(tmp_path: Path):
    from ablations.cli.display import _run_line
    from ablations.runs.plan import plan
    from ablations.studies.study import load_study

    run = plan(load_study("smoke"), tmp_path, "d")[1]
    run.folder.path.mkdir(parents=True)
    run.folder.mark_failed("error", NASTY)
    out = io.StringIO()
    PlainConsole(file=out, width=2000).print(_run_line(run, "failed"))
    assert plain(NASTY) in out.getvalue()


def table(text: str) -> Table:
    columns = [Column(text, "a", numeric=False), Column("b", "b", numeric=False)]
    rows = [Row([text, text], text), Row(["[x]", "*"], text)]
    return Table("t", text, text, columns, rows, [text])


def test_markdown_shows_the_text():
    """Each character that Markdown would act upon has a backslash before it."""
    shown = to_markdown(table(plain(NASTY)))
    dead_of = {
        "|h|": "\\|h\\|", "`i`": "\\`i\\`", "*j*": "\\*j*", "<script>": "\\<script>",
        "![p](q)": "![p\\](q)", "$g$": "\\$g\\$",
    }  # fmt: skip
    for live, dead in dead_of.items():
        assert dead in shown
        assert live not in shown.replace(dead, "")
    rows = [line for line in shown.splitlines() if line.startswith("| ")]
    assert {len(line.replace("\\|", "").split("|")) for line in rows} == {4}


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no LaTeX is installed")
def test_latex_compiles(tmp_path: Path):
    body = to_latex(table(plain(NASTY)))
    packages = PREAMBLE.removeprefix("% Preamble: ")
    text = rf"\documentclass{{article}}{packages}\begin{{document}}"
    (tmp_path / "t.tex").write_text(text + body + r"\end{document}")
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "t.tex"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout[-800:]


def test_no_command_of_latex_is_left():
    body = to_latex(table(plain(NASTY)))
    for live in ("_e_", " $g$", "50% ", " #1", "{n}", " &amp"):
        assert live not in body
    assert "\n{}[x]" in body  # a row that begins with a bracket is no option of the row before


def test_mlflow_shows_the_text():
    assert "<script>" not in describe(NASTY, NASTY).replace("\\<script\\>", "")
    assert markdown("a[b](c)") == "a\\[b\\](c)"
    assert "\x1b" not in describe(NASTY, NASTY)


class Seen(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


def test_the_page_shows_the_text_of_a_hostile_bundle(tmp_path: Path):
    folder = write_bundle(tmp_path / "a <b> & $(c)", Plan(["dense", FULL], (0,), 3, 0))
    path = folder / "study.json"
    study = json.loads(path.read_text())
    study["study"] |= {"title": NASTY, "question": NASTY, "seeds": [0, 1]}
    study["failed"] = [{"cell": "dense", "seed": 1, "class": "error", "reason": NASTY}]
    study |= {"corpus": NASTY, "python": NASTY, "packages": {NASTY: NASTY}}
    path.write_text(json.dumps(study))
    from analysis.figures.all_figures import all_figures

    bundle = load_bundle(folder)
    page = tmp_path / "report.html"
    write_page(bundle, [table(NASTY)], {}, dict.fromkeys(all_figures(), NASTY), [NASTY], page)
    seen = Seen()
    seen.feed(page.read_text(encoding="utf-8"))
    assert seen.tags.count("script") == 1 and "b" not in seen.tags
    assert seen.text.count(plain(NASTY)) > 3
    assert "\x1b" not in seen.text.replace(NASTY, "") or "\x1b" in NASTY
    assert bundle.study["study"]["title"] == plain(NASTY)


def test_no_escape_code_of_a_bundle_reaches_the_terminal(tmp_path: Path):
    folder = write_bundle(tmp_path / "study", Plan(["dense", FULL], (0,), 3, 0))
    path = folder / "study.json"
    study = json.loads(path.read_text())
    study["study"]["seeds"] = [0, 1]
    study["failed"] = [{"cell": "dense", "seed": 1, "reason": NASTY}]
    study["config"] = {**study["config"], NASTY: NASTY}
    path.write_text(json.dumps(study))
    for command in (["report"], ["explain", FULL], ["explain", FULL, "--json"]):
        done = run_here(*command, "--study", "study", "--results", tmp_path)
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout and "\x07" not in done.stdout
