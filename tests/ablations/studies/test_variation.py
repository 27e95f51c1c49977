"""Studies that vary settings beside their cells."""

from pathlib import Path

import pytest

from ablations.pipeline import Choice
from ablations.runs.plan import plan
from ablations.studies.study import Study, load_study
from smoe.errors import UserError

HEAD = """
title = "T"
question = "Q?"
cells = ["dense", "--B--.multi.supervised.global", "E----.single.implicit.global"]
seeds = [0, 1]
data = "synthetic:tiny"
[model]
init_channels = 2
[train]
steps = 30
"""
SWEEP = """
[[vary]]
train.steps = [10, 30]
[[vary]]
cells = ["--B--*"]
train.steps = [10, 30]
model.both_mapping = ["normalized"]
"""


def study(folder: Path, more: str) -> Study:
    path = folder / "sweep.toml"
    path.write_text(HEAD + more)
    return load_study(str(path))


def names(made: Study, results: Path) -> list[str]:
    return [run.name for run in plan(made, results, "x")]


def test_levels_are_crossed_seed_by_seed(tmp_path: Path) -> None:
    """Every combination of a table; a table for some cells adds its own; seeds are blocks."""
    block = [
        "dense, steps=10", "dense, steps=30",
        "E----.single.implicit.global, steps=10, both_mapping=paper",
        "E----.single.implicit.global, steps=30, both_mapping=paper",
        "--B--.multi.supervised.global, steps=10, both_mapping=paper",
        "--B--.multi.supervised.global, steps=30, both_mapping=paper",
        "--B--.multi.supervised.global, steps=10, both_mapping=normalized",
        "--B--.multi.supervised.global, steps=30, both_mapping=normalized",
    ]  # fmt: skip
    found = names(study(tmp_path, SWEEP), tmp_path)
    assert found[0] == "unprocessed"
    assert set(found[1:9]) == {f"{name}, seed 0" for name in block}
    assert set(found[9:]) == {f"{name}, seed 1" for name in block} and len(found) == 17


def test_a_setting_without_effect_is_no_level(tmp_path: Path) -> None:
    """The dense network has no mapping: it is trained once for both, and says so."""
    made = study(tmp_path, '[vary]\nmodel.both_mapping = ["paper", "normalized"]\n')
    runs = plan(made, tmp_path, "x")
    assert made.varied == {"model.both_mapping": ("paper", "normalized")}
    dense = [run.level for run in runs if run.cell == "dense"]
    assert dense == [{"model.both_mapping": None}] * 2
    assert len({run.folder.run_id for run in runs}) == len(runs) == 11


def test_runs_are_shared_with_other_studies(tmp_path: Path) -> None:
    """A level is a configuration like any other: identity knows nothing of sweeps."""
    plain = {run.folder.run_id for run in plan(study(tmp_path, ""), tmp_path, "x")}
    swept = {run.folder.run_id for run in plan(study(tmp_path, SWEEP), tmp_path, "x")}
    assert plain < swept


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("[vary]\ntest.per_snr = [1, 2]", "cannot vary test.per_snr"),
        ('[vary]\nmodel.routing = ["implicit"]', "cannot vary model.routing"),
        ("[vary]\ntrain.step = [1, 2]", 'did you mean "train.steps"'),
        ("[vary]\ntrain.steps = 10", "wants a list"),
        ("[vary]\ntrain.steps = []", "wants a list"),
        ("[vary]\nsteps = [1]", "without its section"),
        ('[[vary]]\ncells = ["EMBDL*"]\ntrain.steps = [1]', "names no cell of the study"),
        ("[vary]\ntrain.steps = [0, 10]", "impossible value"),
    ],
)
def test_what_cannot_be_varied_is_said(table: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        plan(study(tmp_path, table), tmp_path, "x")


def test_a_limited_start_compares_cells_before_it_goes_on_to_levels(tmp_path: Path) -> None:
    """And a second limited start goes on where that has ended, whatever is done by now."""
    runs = plan(study(tmp_path, "[vary]\ntrain.steps = [10, 20, 30]\n"), tmp_path, "x")
    first = Choice(limit=4).of(runs, runs)
    assert [run.name.removesuffix(", seed 0") for run in first] == [
        "unprocessed",
        "dense, steps=10",
        "--B--.multi.supervised.global, steps=10",
        "E----.single.implicit.global, steps=10",
    ]
    left = [run for run in runs if run not in first]
    second = Choice(limit=4).of(runs, left)
    levels = sorted((run.level["train.steps"], run.seed) for run in second)
    assert levels == [(20, 0)] * 3 + [(30, 0)]
    assert Choice().of(runs, left) == left
    only = Choice(only=("dense",), limit=4).of(runs, left)
    assert [run.name for run in only] == [
        f"dense, steps={steps}, seed {seed}" for steps, seed in ((20, 0), (30, 0), (10, 1), (20, 1))
    ]
