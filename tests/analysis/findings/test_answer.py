"""The answer names what is decided, in one family, and speaks of nothing that is not there."""

import numpy as np
import pytest

from analysis.bundle import vocabulary as words
from analysis.bundle.load import load_bundle, load_reported
from analysis.findings.answer import answer
from analysis.findings.compare import differences_to, judge, noise_kinds
from tests.analysis.simulate import Plan, write_bundle

CELLS = [words.cell_code(code) for code in ("E----", "--B--", "----L", "EMBDL")]


def bundle_with(tmp_path, effects: dict[str, float], seeds=(0, 1, 2, 3)):
    """Return a study in which these cells score so much above the dense network."""
    plan = Plan(
        ["dense", *CELLS], seeds, 30, seed_sd=0.001, rest_sd=0.01,
        late_seed_sd=0.0, effect=lambda cell: effects.get(cell, 0.0),
    )  # fmt: skip
    return load_bundle(write_bundle(tmp_path / "study", plan))


def test_planted_differences_are_named_with_their_direction(tmp_path):
    better, worse = CELLS[1], CELLS[2]
    said = answer(bundle_with(tmp_path, {better: 0.1, worse: -0.1}))
    assert 3 <= len(said) <= 4
    assert said[0].startswith("1 of 4 S-MoE networks is better than the dense network in PESQ-WB")
    assert "after Holm over 4: --B-- +0.1" in said[0] and "4 of 4 seeds above zero" in said[0]
    assert "; 1 of 4 S-MoE networks is worse" in said[0] and "----L −0." in said[0]


def test_all_verdicts_are_those_of_one_family(tmp_path):
    bundle = bundle_with(tmp_path, {CELLS[0]: 0.1})
    pairs = differences_to(bundle, CELLS, [words.DENSE] * 4, "pesq_wb")
    judged = judge(bundle, pairs, "pesq_wb", kinds=noise_kinds(bundle, CELLS))
    better = sum(one.verdict.startswith("better") for one in judged if one is not None)
    assert f"{better} of 4 S-MoE networks" in answer(bundle)[0]
    text = " ".join(answer(bundle))
    assert text.count("after Holm over 4") >= 1 and "after Holm over 5" not in text


def test_nothing_decided_is_said_and_the_extremes_are_named(tmp_path):
    plan = Plan(["dense", *CELLS], (0, 1, 2), 12, seed_sd=0.05, rest_sd=0.2)
    bundle = load_bundle(write_bundle(tmp_path / "study", plan))
    said = answer(bundle)
    assert said[0].startswith("None of 4 S-MoE networks is shown to be better or worse")
    means = {
        cell: np.nanmean(pair.values()[0])
        for cell, pair in zip(
            CELLS, differences_to(bundle, CELLS, [words.DENSE] * 4, "pesq_wb"), strict=True
        )
        if pair is not None
    }
    highest = max(means, key=means.__getitem__).split(".")[0]
    assert f"highest: {highest} " in said[1]


@pytest.mark.parametrize("cells", [["dense"], [CELLS[0]]])
def test_no_sentence_about_an_empty_set(tmp_path, cells):
    said = answer(load_bundle(write_bundle(tmp_path / "study", Plan(cells, (0,), 12))))
    assert len(said) == 1 and said[0].startswith("This study compares no S-MoE network")


def test_one_seed_decides_nothing(tmp_path):
    said = answer(bundle_with(tmp_path, {CELLS[0]: 0.5}, seeds=(0,)))
    assert said[0] == "With 1 seed nothing is decided about the 4 S-MoE networks of this study."
    assert not any(word in " ".join(said) for word in ("better", "worse", "equivalent"))


def test_the_answer_says_for_which_part_of_a_study_it_holds(tmp_path):
    plan = Plan(["dense", *CELLS], (0, 1, 2), 12)
    folder = write_bundle(tmp_path / "study", plan)
    last = answer(load_reported(folder))[-1]
    assert last.startswith("This holds for ") and "3 seeds" in last
