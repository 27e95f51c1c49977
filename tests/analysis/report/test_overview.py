"""One page over all studies."""

import json

import pytest

from analysis.report.overview import build_overview
from smoe.schema.errors import BundleError
from tests.analysis.simulate import Plan, edit_study, write_bundle


def test_every_study_stands_on_the_page_with_its_answer(tmp_path):
    for name in ("one", "two"):
        write_bundle(tmp_path / name, Plan(["dense", "EMBDL.multi.supervised.global"], (0,), 4))
    page = build_overview(tmp_path).read_text(encoding="utf-8")
    assert page.count("nothing is decided about the 1 S-MoE network") == 2
    for name in ("one", "two"):
        assert f'href="{name}/report.html"' in page
        assert (tmp_path / name / "report.html").is_file()
    assert (tmp_path / "robustness.csv").read_text(encoding="utf-8").startswith("finding,")


def test_a_study_that_has_only_begun_is_said_and_not_reported(tmp_path):
    folder = write_bundle(
        tmp_path / "begun", Plan(["dense", "----L.multi.supervised.global"], (0,), 4)
    )
    stored = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    edit_study(folder, study=stored["study"] | {"runs_per_seed": 9})
    page = build_overview(tmp_path).read_text(encoding="utf-8")
    assert "No seed is complete" in page and not (folder / "report.html").exists()


def test_no_study_is_said(tmp_path):
    with pytest.raises(BundleError, match="no results in"):
        build_overview(tmp_path)
