"""The whole report, and odd studies."""

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from analysis.bundle.load import BundleError, load_bundle
from analysis.figures.all_figures import all_figures
from analysis.report.build import build_report, main_table_text, placement_table_text
from analysis.report.explain import explain
from analysis.report.page import write_page
from analysis.tables.main import placement_table
from tests.analysis.simulate import FULL, Plan, drop_runs, edit_study, write_bundle

ROOT = Path(__file__).parents[3]


def written(folder: Path) -> dict[str, bytes]:
    parts = [*folder.glob("tables/*"), *folder.glob("figures/*"), folder / "report.html"]
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(parts)}


def test_every_table_and_figure_is_written(reported):
    names = set(written(reported))
    drawn = set(all_figures()) - {"levels", "systems"}
    assert {f"figures/{n}.{s}" for n in drawn for s in ("png", "pdf")} <= names
    for number in "12345678":
        for suffix in ("md", "tex", "csv"):
            assert any(n.startswith(f"tables/table{number}") and n.endswith(suffix) for n in names)


def test_terminal_tables_fit_100_columns(quick):
    placements = placement_table_text(placement_table(quick))
    for text in (main_table_text(quick), placements):
        assert max(map(len, text.splitlines())) <= 100
    assert "SI-SDR" in main_table_text(quick)
    assert "EMBDL" in placements


class Links(HTMLParser):
    """Everything that a page refers to, and the tags left open."""

    def __init__(self):
        super().__init__()
        self.references, self.ids, self.open = [], set(), []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.references += [v for k, v in values.items() if k in ("src", "href")]
        self.ids |= {values["id"]} if "id" in values else set()
        self.open += [tag] if tag not in ("meta", "link", "img", "br", "input") else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_is_self_contained_and_well_formed(reported):
    page = Links()
    page.feed((reported / "report.html").read_text(encoding="utf-8"))
    assert page.open == []
    ui = "http://127.0.0.1:5000/#/experiments"  # a link to follow; nothing is loaded from it
    assert page.references.count(ui) == 1
    inside = [r for r in page.references if not r.startswith("data:") and r != ui]
    assert all(r.startswith("#") and r[1:] in page.ids for r in inside)
    drawn = len(all_figures()) - 2  # all but those of varied settings and of outside systems
    assert sum(r.startswith("data:image/png") for r in page.references) == drawn


def test_page_escapes_what_studies_are_called(folder):
    edit_study(folder, study={"name": "<b>", "title": "<script>", "question": "a & b?",
                              "cells": ["dense", FULL], "seeds": [0, 1, 2]})  # fmt: skip
    page = folder / "report.html"
    write_page(load_bundle(folder), [], {}, dict.fromkeys(all_figures(), "<no>"), ["1 < 2"], page)
    text = page.read_text(encoding="utf-8")
    assert "<p>1 &lt; 2</p>" in text and "Not drawn: &lt;no&gt;." in text
    assert "<h1>&lt;script&gt;</h1>" in text
    assert "a &amp; b?" in text


@pytest.mark.parametrize("cells", [["dense"], [FULL], ["uniform"]])
def test_study_of_one_cell(tmp_path, cells):
    folder = write_bundle(tmp_path / "one", Plan(cells, (0,), per_condition=4, clean=0))
    summary = build_report(folder)
    assert "effects_shapley" in summary.skipped
    assert main_table_text(summary.bundle)
    assert not (folder / "figures" / "effects_shapley.png").exists()


def test_study_without_unprocessed_input_and_examples(folder):
    drop_runs(folder, ["unprocessed-0"])
    (folder / "examples.npz").unlink()
    stale = folder / "figures" / "spectrograms.pdf"
    stale.parent.mkdir()
    stale.write_bytes(b"of an earlier report")
    summary = build_report(folder)
    assert "no example spectrograms" in summary.skipped["spectrograms"]
    assert not stale.exists()
    assert not any("unprocessed" in f for f in summary.answer)


def test_explain_shows_runs_and_numbers(small_folder):
    text = explain(small_folder, FULL)
    assert f"run {FULL}-2" in text
    assert "minus dense" in text
    assert "Table 1: main comparison (STOI): overall 0.727" in text
    assert "Table 2: placements of the experts: PESQ-WB 2.295" in text
    assert "Table 7c: causal specialisation: Condition reverb" in text
    assert '"init_channels": 4' in text


def test_explain_offers_the_nearest_cell(small_folder):
    with pytest.raises(BundleError, match='did you mean "dense-macs"'):
        explain(small_folder, "dense-mac")


def test_explain_of_a_cell_that_failed(folder):
    drop_runs(folder, [f"dense-macs-{s}" for s in range(3)])
    assert "No run is finished" in explain(folder, "dense-macs")


@pytest.mark.slow
def test_full_study_reports_within_a_minute_and_3_gib(tmp_path):
    import resource
    import time

    from tests.analysis.simulate import EVERY

    plan = Plan(EVERY, (0, 1, 2), 100, clean=20, counterfactual_per_condition=100)
    folder = write_bundle(tmp_path / "full", plan)
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", f"from pathlib import Path; from analysis.report.build import "
         f"build_report; build_report(Path({str(folder)!r}))"], cwd=ROOT, check=True,
    )  # fmt: skip
    assert time.perf_counter() - start < 60
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 3 * 2**20  # KiB
