"""Two bundles of one study put together."""

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import compute

from ablations.bundles.parquet import to_bytes
from ablations.studies.study import load_study
from ablations.travel.merge import merge
from smoe.schema.bundle import read_bundle
from smoe.schema.columns import TABLES
from smoe.schema.digests import with_digests
from tests.ablations.conftest import ROOT, run_here
from tests.ablations.travel.parts import change_table, contents, describe_otherwise, store_part


@pytest.fixture
def halves(smoke: Path, tmp_path: Path) -> list[Path]:
    """The smoke study in two parts that share the unprocessed input and one network."""
    places = [(0, 1, 3), (0, 2, 3, 4)]
    return [store_part(smoke, tmp_path / f"half {n}", each) for n, each in enumerate(places)]


@pytest.mark.parametrize("swapped", [False, True])
def test_two_halves_are_the_undivided_study_to_the_byte(
    halves: list[Path], swapped: bool, smoke: Path, tmp_path: Path
):
    first, second = reversed(halves) if swapped else halves
    merged = run_here("results", "merge", first, second, "--results", tmp_path)
    assert merged.returncode == 0, merged.stderr
    assert "5 runs, 2 of them in both" in merged.stdout
    assert contents(tmp_path / "smoke") == contents(smoke / "smoke")


def test_parts_with_cells_of_their_own_are_the_study_of_all_cells(smoke: Path, tmp_path: Path):
    study = load_study("smoke")
    cells = [study.cells[2:], study.cells[:2]]
    parts = [
        store_part(smoke, tmp_path / str(n), (0, 1, 2), dataclasses.replace(study, cells=each))
        for n, each in enumerate(cells)
    ]
    merge(*parts, tmp_path / "smoke")
    assert contents(tmp_path / "smoke") == contents(smoke / "smoke")


def part_of_stored(study: str, folder: Path, belongs) -> Path:
    """Some runs of a study that is stored in this repository, written as a bundle of its own."""
    source = ROOT / "results" / study
    files = {name: pq.read_table(io.BytesIO((source / name).read_bytes())) for name in TABLES}
    kept = [row["run_id"] for row in files["runs.parquet"].to_pylist() if belongs(row)]
    written = {
        name: to_bytes(table.filter(compute.is_in(table["run_id"], pa.array(kept))))
        for name, table in files.items()
    }
    described = json.loads((source / "study.json").read_text())
    written["study.json"] = json.dumps(with_digests(described, written)).encode()
    folder.mkdir(parents=True)
    for name, content in written.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "belongs",
    [
        lambda row: row["seed"] == 1,
        lambda row: row["train.steps"] == 4000,
        lambda row: row["cell"].startswith("EMB--"),
    ],
    ids=["seeds", "levels", "cells"],
)
def test_a_study_of_seeds_and_varied_settings_is_what_it_was(belongs, tmp_path: Path):
    parts = [
        part_of_stored("budget", tmp_path / "a", belongs),
        part_of_stored("budget", tmp_path / "b", lambda row: not belongs(row)),
    ]
    merge(*parts, tmp_path / "budget", mixed=True)
    for name in TABLES:
        whole, merged = (
            pq.read_table(io.BytesIO((results / "budget" / name).read_bytes()))
            for results in (ROOT / "results", tmp_path)
        )
        if name == "runs.parquet":  # which names the version of pandas that made it
            whole, merged = (table.replace_schema_metadata(None) for table in (whole, merged))
        assert to_bytes(merged) == to_bytes(whole)


def test_a_run_with_two_results_is_named_and_kept_from_whom_one_says(
    halves: list[Path], tmp_path: Path
):
    first, second = halves
    change_table(second, "utterances", lambda table: table.assign(stoi=table["stoi"] * 0.5))
    command = ("results", "merge", first, second, "--results", tmp_path)
    refused = run_here(*command)
    assert refused.returncode == 2
    assert len(refused.stderr.strip().splitlines()) == 1
    assert "seed 0 (by up to" in refused.stderr and "in stoi" in refused.stderr
    assert "and 1 more" in refused.stderr and "--keep first" in refused.stderr
    assert not (tmp_path / "smoke").exists()
    merged = run_here(*command, "--keep", "second")
    assert merged.returncode == 0, merged.stderr
    assert merged.stdout.count("kept from the second") == 2
    kept, theirs = (read_bundle(each).utterances for each in (tmp_path / "smoke", second))
    for run_id in theirs["run_id"].unique():
        scores = [each.loc[each["run_id"] == run_id, "stoi"] for each in (kept, theirs)]
        np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"config__train__steps": 30}, "train.steps is 20 in the first and 30 in the second"),
        ({"study__name": "other"}, "name is smoke in the first and other"),
        ({"study__question": "Why?"}, "question is"),
        ({"rounding": {"stoi": 0.1}}, None),
        ({"packages__torch": "2.12.0"}, "the version of torch is"),
        ({"python": "3.14.0"}, "the version of Python is"),
        ({"verdict__alpha": 0.01}, "verdict is"),
    ],
)
def test_what_is_no_part_of_the_same_study_is_refused(
    changes: dict, said: str | None, halves: list[Path], tmp_path: Path
):
    describe_otherwise(halves[1], **changes)
    merged = run_here("results", "merge", *halves, "--results", tmp_path)
    assert merged.returncode == (2 if said else 0), merged.stderr
    assert (said or "") in merged.stderr
    assert len(merged.stderr.strip().splitlines()) == (1 if said else 0)
    assert (tmp_path / "smoke").exists() == (said is None)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("git_commit", "abcdef", "the commit is"),
        ("config_hash", "f" * 64, "two revisions of the code"),
    ],
)
def test_parts_of_other_code_are_refused(
    column: str, value: str, said: str, halves: list[Path], tmp_path: Path
):
    change_table(halves[1], "runs", lambda table: table.assign(**{column: value}))
    merged = run_here("results", "merge", *halves, "--results", tmp_path)
    assert merged.returncode == 2
    assert said in merged.stderr
    mixed = run_here("results", "merge", *halves, "--results", tmp_path, "--mixed")
    assert mixed.returncode == (0 if column == "git_commit" else 2)


def test_parts_of_two_corpora_are_refused(halves: list[Path], tmp_path: Path):
    change_table(halves[1], "runs", lambda table: table.assign(data_hash="0" * 64))
    describe_otherwise(halves[1], data_hash="0" * 64)
    merged = run_here("results", "merge", *halves, "--results", tmp_path)
    assert merged.returncode == 2 and "data_hash is" in merged.stderr


def test_a_bundle_grows_and_its_earlier_state_is_kept(halves: list[Path], smoke: Path):
    first, second = halves
    before = contents(first)
    merged = run_here("results", "merge", "smoke", second, "--results", first.parent)
    assert merged.returncode == 0, merged.stderr
    assert contents(first) == contents(smoke / "smoke")
    (aside,) = (first.parent / ".replaced").iterdir()
    assert contents(aside) == before
    assert str(aside) in merged.stdout
    again = run_here("results", "merge", "smoke", second, "--results", first.parent)
    assert "is kept in" not in again.stdout


def test_another_bundle_is_never_replaced(halves: list[Path], smoke: Path, tmp_path: Path):
    stranger = store_part(smoke, tmp_path, (0, 4))
    before = contents(stranger)
    refused = run_here("results", "merge", *halves, "--results", tmp_path)
    assert refused.returncode == 2
    assert "holds another bundle" in refused.stderr and "--into" in refused.stderr
    assert contents(stranger) == before
    merged = run_here("results", "merge", *halves, "--results", tmp_path, "--into", "both")
    assert merged.returncode == 0, merged.stderr
    assert contents(tmp_path / "both") == contents(smoke / "smoke")


@pytest.mark.parametrize("name", ["../out", "ui", ".hidden", "a/b"])
def test_a_merged_bundle_goes_into_the_results_folder(
    name: str, halves: list[Path], tmp_path: Path
):
    refused = run_here("results", "merge", *halves, "--results", tmp_path, "--into", name)
    assert refused.returncode == 2 and "cannot name a folder" in refused.stderr
