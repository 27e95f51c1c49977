"""Evidence for and against findings: what is planted is found where it was planted."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis.bundle.load import load_bundle, load_reported
from analysis.figures.all_figures import all_figures
from analysis.findings.claims import claims
from analysis.findings.evidence import AS_TRAINED, differences_by_routing, evidence
from analysis.rendering.forms import Entry
from analysis.report.evidence_page import NOTHING, sections, to_page
from analysis.report.page import write_page
from tests.analysis.simulate import CORE, FULL, Plan, drop_runs, edit, edit_study, write_bundle

DENSE = "the dense network"


@pytest.fixture
def gain(tmp_path):
    """A full S-MoE that is surely better than dense, in every metric; a test may turn parts."""
    plan = Plan(["dense", FULL], (0, 1, 2, 3), 30, 20, seed_sd=0.002, rest_sd=0.01,
                counterfactual_per_condition=30, effect=lambda c: 0.3 * (c == FULL))  # fmt: skip
    return write_bundle(tmp_path / "gain", plan)


def of_dense(folder):
    bundle = load_bundle(folder)
    claim = next(c for c in claims(bundle) if c.reference == DENSE)
    return evidence(bundle, claim)


def turn(folder, metric, change, where):
    """Add to the full cell's scores where a function of the rows says so."""

    def edited(frame):
        hit = frame["run_id"].str.startswith(FULL) & where(frame)
        return frame.assign(**{metric: frame[metric] + change * hit})

    edit(folder, "utterances.parquet", edited)


def test_a_gain_everywhere_holds(gain):
    found = of_dense(gain)
    assert found.conclusion.startswith("Better; nothing turns it over")
    assert not [i for i in found.items if i.speaks == "against"]
    assert {i.kind for i in found.items} == {"seed", "metric", "part", "clean", "routing"}


@pytest.mark.parametrize(
    ("metric", "change", "where", "named"),
    [
        ("stoi", -0.3, lambda f: f["condition"] != "clean", "STOI"),
        ("pesq_wb", -0.8, lambda f: f["snr_db"] == -5, "SNR −5 dB"),
        ("pesq_wb", -0.7, lambda f: f["condition"] == "reverb", "reverb"),
        (
            "pesq_wb", -0.7, lambda f: f["counterfactual"] == "learned-normalized",
            "learned, normalized mapping",
        ),
    ],
)  # fmt: skip
def test_what_turns_a_gain_over_makes_it_undecided(gain, metric, change, where, named):
    turn(gain, metric, change, where)
    found = of_dense(gain)
    assert found.conclusion.startswith("Undecided, it turns over: ")
    assert named in [i.name for i in found.items if i.turns_over]
    assert all(i.speaks == "against" for i in found.items if i.turns_over)


def test_one_seed_against_the_others_is_counted(gain):
    effect = of_dense(gain).primary
    assert min(effect.by_seed) > 0
    turn(gain, "pesq_wb", -0.32, lambda f: f["run_id"].str.endswith("-3"))
    seeds = of_dense(gain).items[0]
    assert seeds.name.startswith("3 of 4 seeds above zero")
    assert seeds.speaks == "against"
    assert not seeds.turns_over  # with so much between seeds the gain itself is undecided


def test_harm_to_clean_speech_is_said_beside_a_gain(gain):
    turn(gain, "pesq_wb", -0.8, lambda f: f["condition"] == "clean")
    found = of_dense(gain)
    assert found.conclusion.endswith("but the opposite holds on clean speech.")


def test_a_level_that_turns_a_gain_over_makes_it_undecided(gain):
    """A second budget of the same networks, at which the full S-MoE loses what it gained."""
    first = pd.read_parquet(gain / "runs.parquet")
    trained = first[first["cell"] != "unprocessed"]
    for name in ("utterances", "routing", "history"):
        table = pd.read_parquet(gain / f"{name}.parquet")
        more = table[table["run_id"].isin(trained["run_id"])].copy()
        if name == "utterances":
            more["pesq_wb"] -= 0.6 * more["run_id"].str.startswith(FULL)
        more["run_id"] += "-short"
        pd.concat([table, more]).to_parquet(gain / f"{name}.parquet", index=False)
    runs = pd.concat([first, trained.assign(run_id=trained["run_id"] + "-short")])
    short = runs["run_id"].str.endswith("-short")
    runs["train.steps"] = np.where(short, 100.0, 400.0)
    runs.loc[runs["cell"] == "unprocessed", "train.steps"] = np.nan
    runs.to_parquet(gain / "runs.parquet", index=False)
    study = json.loads((gain / "study.json").read_text())["study"]
    edit_study(gain, study=study | {"vary": {"train.steps": [100, 400]}, "runs_per_seed": 4})
    bundle = load_reported(gain)
    found = evidence(bundle, next(c for c in claims(bundle) if c.reference == DENSE))
    assert bundle.level == "steps 400"
    assert found.conclusion == "Undecided, it turns over: steps 100."


def test_an_equivalence_that_a_metric_breaks_turns_over(tmp_path):
    plan = Plan(["dense", FULL], (0, 1, 2, 3), 40, seed_sd=0.001, rest_sd=0.005,
                effect=lambda _: 0.0)  # fmt: skip
    folder = write_bundle(tmp_path / "same", plan)
    assert of_dense(folder).conclusion.startswith("Equivalent; nothing turns it over")
    turn(folder, "si_sdr_db", -4.0, lambda f: f["condition"] != "clean")
    assert of_dense(folder).conclusion == "Undecided, it turns over: SI-SDR."


def test_single_lines_carry_no_verdict(gain):
    """Sure as each of them is; what turns a finding over is said where it does."""
    turn(gain, "pesq_wb", -0.7, lambda f: f["condition"] == "reverb")
    found = of_dense(gain)
    lines = {item.name: item.text for item in found.items if item.comparison}
    assert lines["reverb"].endswith(" PESQ-WB, turns it over")
    assert not [text for text in lines.values() if "better" in text or "worse" in text]
    section = next(s for s in sections(load_bundle(gain)) if DENSE in s.title)
    marks = [value.mark for t in section.tables for row in t.rows for value in row.values
             if isinstance(value, Entry)]  # fmt: skip
    assert marks and not any(marks)


def test_an_equivalence_is_spoken_for_by_what_lies_within_its_margin(tmp_path):
    """SI-SDR has no margin in this study: it speaks neither for nor against."""
    rules = {"primary": "pesq_wb", "margins": {"pesq_wb": 0.05, "stoi": 1e-6}, "reason": "a test"}
    plan = Plan(["dense", FULL], (0, 1, 2, 3), 40, seed_sd=0.001, rest_sd=0.005,
                effect=lambda _: 0.0, verdict=rules)  # fmt: skip
    folder = write_bundle(tmp_path / "same", plan)
    found = of_dense(folder)
    assert found.conclusion.startswith("Equivalent; nothing turns it over")
    speaks = {item.name: item.speaks for item in found.items}
    assert speaks["SI-SDR"] == "neither"
    assert speaks["STOI"] == "against"
    assert speaks["noise"] == "for"
    lists = next(s for s in sections(load_bundle(folder)) if DENSE in s.title).lists
    assert [text.split(":")[0] for text in lists["Without a margin"]] == ["ESTOI", "SI-SDR"]


def test_too_few_seeds_decide_nothing(quick):
    claim = claims(quick)[0]
    assert evidence(quick, claim).conclusion == "Too few seeds: nothing is decided."


def test_routings_are_compared_over_the_same_utterances(small):
    claim = next(c for c in claims(small) if c.reference == DENSE)
    found = differences_by_routing(small, claim, "pesq_wb")
    assert next(iter(found)) == AS_TRAINED
    assert {c.n_utterances for c in found.values()} == {18}


def test_evidence_speaks_of_the_claims(small):
    sentences = [c.sentence(small.primary) for c in claims(small)]
    assert len(sentences) == 4
    assert [s.sentences[0] for s in sections(small)[:4]] == sentences


def test_every_cell_has_its_seeds_and_its_conclusion(tmp_path):
    plan = Plan(CORE, (0, 1, 2, 3), 12, seed_sd=0.002, rest_sd=0.01, late_seed_sd=0.0,
                effect=lambda cell: 0.2 * ("." in cell))  # fmt: skip
    folder = write_bundle(tmp_path / "core", plan)

    def turned(frame):
        hit = frame["run_id"].str.startswith("----L.") & (frame["condition"] != "clean")
        return frame.assign(stoi=frame["stoi"] - 0.2 * hit)

    edit(folder, "utterances.parquet", turned)
    section = sections(load_bundle(folder))[-1]
    said = {str(r.values[0]): r.values for r in section.tables[0].rows}
    assert said[FULL][-1] == "better"
    assert said[FULL][2] == "4 of 4 (++++)"
    late = next(values for name, values in said.items() if name.startswith("----L"))
    assert late[-1] == "undecided (turns over)"
    assert section.sentences[0].endswith("of 31 S-MoE cells: 30 better, 1 undecided (turns over).")


def test_page_of_evidence_lies_beside_the_tables_and_in_the_report(folder):
    edit_study(folder, study={"name": "x", "title": "*bold* <b>", "question": "",
                              "cells": ["dense", FULL], "seeds": [0, 1, 2]})  # fmt: skip
    bundle = load_bundle(folder)
    write_page(bundle, [], {}, dict.fromkeys(all_figures(), "no"), [], folder / "report.html")
    page = (folder / "tables" / "evidence.md").read_text(encoding="utf-8")
    assert page.startswith("# Evidence: \\*bold* \\<b>")
    html = (folder / "report.html").read_text(encoding="utf-8")
    for section in sections(bundle):
        assert f"## {section.title}" in page
        assert f"<h3>{section.title}</h3>" in html
    assert '<a href="#evidence">' in html and 'id="evidence"' in html


def test_a_study_without_findings_says_so(folder):
    bundle = load_bundle(folder)
    drop_runs(folder, [r for r in bundle.runs["run_id"] if not r.startswith("dense")])
    bundle = load_bundle(folder)
    assert sections(bundle) == []
    assert NOTHING in to_page(bundle, [])


def test_a_study_without_other_routings_says_so(folder):
    edit(folder, "utterances.parquet", lambda f: f[f["counterfactual"] == "learned"])
    notes = [n for s in sections(load_bundle(folder)) for t in s.tables for n in t.notes]
    assert "The study scored no other routing of this cell." in notes
