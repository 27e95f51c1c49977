"""Whole seeds and levels: what of a bundle a report speaks of."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.bundle.load import load_bundle, load_reported
from analysis.bundle.parts import at_level, levels, main_level, reported, take_runs, whole_seeds
from analysis.findings.pareto import points
from analysis.tables.all_tables import all_tables
from analysis.tables.levels import against_dense, levels_table
from analysis.tables.variance import common_to_all_cells
from tests.analysis.simulate import Plan, write_bundle

CELLS = ["dense", words.FULL_CELL, "--B--.multi.supervised.global"]
STEPS = [100, 400]


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> Path:
    """A study of two budgets, the second of which has the scores of the first plus 0.1 PESQ-WB.

    The control `uniform` stands for a cell on which the setting has no effect.
    """
    plan = Plan([*CELLS, "uniform"], seeds=(0, 1, 2), per_condition=6, clean=2)
    folder = write_bundle(tmp_path_factory.mktemp("studies") / "swept", plan)
    first = pd.read_parquet(folder / "runs.parquet")
    same = first["cell"].isin([words.UNPROCESSED, "uniform"])
    twins = first[~same].assign(run_id=lambda r: r["run_id"] + "b")
    for name in ("utterances", "routing", "history"):
        table = pd.read_parquet(folder / f"{name}.parquet")
        more = table[table["run_id"].isin(first.loc[~same, "run_id"])].copy()
        more["run_id"] += "b"
        if name == "utterances":
            more["pesq_wb"] += 0.1
        pd.concat([table, more]).to_parquet(folder / f"{name}.parquet", index=False)
    runs = pd.concat([first, twins], ignore_index=True)
    runs["train.steps"] = np.where(
        runs["cell"].isin([words.UNPROCESSED, "uniform"]),
        np.nan,
        np.where(runs["run_id"].str.endswith("b"), *reversed(STEPS)),
    )
    runs.to_parquet(folder / "runs.parquet", index=False)
    study = json.loads((folder / "study.json").read_text())
    study["study"] |= {"vary": {"train.steps": STEPS}, "runs_per_seed": 7}
    study["config"]["train"]["steps"] = STEPS[0]
    (folder / "study.json").write_text(json.dumps(study))
    return folder


def pesq(bundle: Bundle, cell: str) -> float:
    return float(np.nanmean(bundle.sample(cell, "pesq_wb").scores))


def test_levels_are_told_apart_and_shared_runs_belong_to_all(swept: Path) -> None:
    bundle = load_bundle(swept)
    assert levels(bundle) == [{"train.steps": 100}, {"train.steps": 400}]
    assert main_level(bundle) == {"train.steps": 100}
    short, long = (at_level(bundle, level) for level in levels(bundle))
    assert short.cells() == long.cells()
    for cell in CELLS:
        assert pesq(long, cell) - pesq(short, cell) == pytest.approx(0.1)
    assert pesq(long, "uniform") == pesq(short, "uniform")
    assert set(short.runs["run_id"]) & set(long.runs["run_id"]) == {
        *bundle.runs.loc[bundle.runs["cell"].isin(["uniform", "unprocessed"]), "run_id"]
    }


def test_runs_keep_their_scores_and_decisions(swept: Path) -> None:
    """Whatever is taken out, every remaining run has the rows that it had."""
    bundle = load_bundle(swept)
    mask = np.arange(len(bundle.runs)) % 3 == 0
    part = take_runs(bundle, mask)
    for new, old in enumerate(np.flatnonzero(mask)):
        run_id = bundle.runs["run_id"].iloc[old]
        assert part.runs["run_id"].iloc[new] == run_id
        for metric in words.METRICS:
            assert np.array_equal(
                part.scores[metric][:, new], bundle.scores[metric][:, old], equal_nan=True
            )
        assert set(part.routing.loc[part.routing["run"] == new, "run_id"]) <= {run_id}
    assert set(part.history["run_id"]) <= set(part.runs["run_id"])


def test_a_report_shows_the_own_level_and_a_table_of_all(swept: Path) -> None:
    bundle = load_reported(swept)
    assert bundle.level == "steps 100" and bundle.left_out == ""
    names = [table.name for table in all_tables(bundle)]
    assert "table12_levels" in names
    table = levels_table(bundle)
    assert list(dict.fromkeys(row.group for row in table.rows)) == ["steps 100", "steps 400"]
    for _, part in bundle.levels:
        pair = against_dense(part, [(words.FULL_CELL, "learned")], "pesq_wb")[0]
        mask = part.in_conditions(words.DISTORTED)
        by_hand = [
            np.nanmean(part.sample(cell, "pesq_wb").scores[:, mask])
            for cell in (words.FULL_CELL, words.DENSE)
        ]
        assert pair is not None
        assert float(pair.mean().estimate) == pytest.approx(by_hand[0] - by_hand[1])


def test_a_seed_counts_once_it_is_whole(swept: Path) -> None:
    """Nothing is averaged over unequal sets: runs of an unfinished seed are left out, and said."""
    bundle = load_bundle(swept)
    assert whole_seeds(bundle) == (bundle, "")
    seeds, cells = bundle.runs["seed"], bundle.runs["cell"]
    cut = take_runs(bundle, ~((seeds == 2) & (cells == words.FULL_CELL)).to_numpy())
    part, said = whole_seeds(cut)
    assert said == "2 of 3 seeds are complete and counted; 5 further runs are not counted."
    assert set(part.runs.loc[part.runs["cell"] != words.UNPROCESSED, "seed"]) == {0, 1}
    assert part.seeds == [0, 1] and not part.missing_seeds(words.FULL_CELL)
    unfinished = take_runs(bundle, (cells != words.FULL_CELL).to_numpy())
    part, said = whole_seeds(unfinished)
    assert said.startswith("No seed is complete: this is seed 0 with 5 of its 7 runs")
    assert len(part.runs) == 6
    assert part.seeds == [0] and part.missing_seeds(words.FULL_CELL) == [0]


def test_a_failed_run_does_not_keep_its_seed_out(swept: Path) -> None:
    """It has ended; the tables say that its cell lacks a seed."""
    bundle = load_bundle(swept)
    lost = (bundle.runs["seed"] == 1) & (bundle.runs["run_id"].str.endswith("b"))
    lost &= bundle.runs["cell"] == words.FULL_CELL
    part = take_runs(bundle, ~lost.to_numpy())
    part.study["failed"] = [{"cell": words.FULL_CELL, "seed": 1, "train.steps": 400}]
    try:
        assert whole_seeds(part) == (part, "")
    finally:
        part.study["failed"] = []


def test_a_study_that_varies_nothing_has_one_level(small: Bundle) -> None:
    assert levels(small) == [{}] and at_level(small, {}).runs.equals(small.runs)


def test_a_report_of_whole_seeds_has_variances_and_costs(swept: Path) -> None:
    """Planned seeds that are not there yet leave neither table 9 nor the figure of cost empty."""
    bundle = load_bundle(swept)
    lost = (bundle.runs["seed"] == 2) & (bundle.runs["cell"] != "dense")
    cut = take_runs(bundle, ~lost.to_numpy())
    part = reported(cut)
    assert np.isfinite(common_to_all_cells(part, "pesq_wb"))
    assert {point.cell for point in points(part)} == set(part.cells())
