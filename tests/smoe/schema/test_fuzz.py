"""Bundles in any state: every reader ends in a sentence or in the numbers of the whole bundle."""

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

import smoe.schema.bundle
from ablations.runs.plan import plan
from ablations.studies.study import load_study
from smoe.schema.digests import with_digests
from tests.smoe.schema.damage import CELLS, FILES, damages, readers, small_copy, verdict

ROOT = Path(__file__).parents[3]
FLIPS = 4
# Which damages a reader is tried on: every so many; all of everything takes minutes.
FEW = {"arrays": 2, "report": 32, "ui": 5, "restore": 6, "enhance": 8}
MANY = {"report": 16, "ui": 2, "restore": 3, "enhance": 4}
# What an old bundle, without digests, cannot know of itself: a bit of a number that stays within
# its bounds, another text, and columns or files that may be empty or absent.
UNSIGNED = ("flip", "json", "missing examples.npz", "null utterances.parquet error",
            "null history.parquet grad_norm")  # fmt: skip


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(smoe.schema.bundle, "WRITING_S", 0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "quick"
    return small_copy(ROOT / "results" / "quick", folder)


def sign(folder: Path) -> None:
    path = folder / "study.json"
    files = {name: (folder / name).read_bytes() for name in FILES if name != path.name}
    path.write_text(json.dumps(with_digests(json.loads(path.read_text()), files)))


def opened(folder: Path) -> dict:
    data_hash = json.loads((ROOT / "results" / "quick" / "study.json").read_text())["data_hash"]
    runs = [r for r in plan(load_study("quick"), folder.parent, data_hash) if r.cell in CELLS]
    return readers(folder, runs)


def verdicts(
    whole: Path, tmp_path: Path, signed: bool, turns: dict[str, int]
) -> dict[tuple[str, str], str]:
    reference = tmp_path / "reference" / "quick"
    shutil.copytree(whole, reference)
    if signed:
        sign(reference)
    expected = {name: read() for name, read in opened(reference).items()}
    found, folder = {}, tmp_path / "damaged" / "quick"
    readers_of_damaged = opened(folder)
    for i, (name, damage) in enumerate(damages(FLIPS)):
        shutil.rmtree(folder.parent, ignore_errors=True)
        shutil.copytree(reference, folder)
        damage(folder)
        for number, (reader, read) in enumerate(readers_of_damaged.items()):
            if (i + number) % turns.get(reader, 1) == 0:
                found[name, reader] = verdict(read, expected[reader], folder)
    return found


@pytest.mark.parametrize("turns", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_a_bundle_with_digests_is_read_whole_or_refused_by_name(
    turns: dict[str, int], whole: Path, tmp_path: Path
):
    found = verdicts(whole, tmp_path, signed=True, turns=turns)
    wrong = {key: each for key, each in found.items() if each not in ("sentence", "equal")}
    assert not wrong
    # `enhance` reads two of the files: what it is not told of the others is equal, and rightly so.
    counts = Counter(each for (_, reader), each in found.items() if reader != "enhance")
    assert counts["sentence"] > 20 * counts["equal"]
    read = [(name, each) for (name, reader), each in found.items() if reader == "enhance"]
    refused = Counter(each for name, each in read if "runs.parquet" in name)
    assert refused["sentence"] > 20 * refused["equal"]


@pytest.mark.parametrize("turns", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_an_old_bundle_never_gives_a_traceback_nor_what_cannot_be(
    turns: dict[str, int], whole: Path, tmp_path: Path
):
    found = verdicts(whole, tmp_path, signed=False, turns=turns)
    wrong = {
        key: each
        for key, each in found.items()
        if each not in ("sentence", "equal")
        and not (each == "silent" and key[0].startswith(UNSIGNED))
    }
    assert not wrong


@pytest.mark.parametrize("name", FILES)
def test_a_file_without_permission_is_named(name: str, whole: Path, tmp_path: Path):
    folder = tmp_path / "quick"
    shutil.copytree(whole, folder)
    (folder / name).chmod(0)
    user = os.geteuid()
    if user == 0:
        for path in (tmp_path, *tmp_path.parents):
            if path.stat().st_uid == 0 and path != Path("/") and not path.stat().st_mode & 0o005:
                path.chmod(path.stat().st_mode | 0o055)
        os.seteuid(65534)
    try:
        with pytest.raises(smoe.schema.bundle.BundleError, match=rf"{name} cannot be read \(Perm"):
            smoe.schema.bundle.read_bundle(folder)
    finally:
        os.seteuid(user)


def test_a_bundle_that_is_being_written_is_read_when_it_is_written(
    whole: Path, tmp_path: Path, monkeypatch
):
    folder = tmp_path / "quick"
    shutil.copytree(whole, folder)
    sign(folder)
    table = folder / "utterances.parquet"
    content = table.read_bytes()
    table.write_bytes(content[:-7] + content[-6:])

    def finish(_: float) -> None:
        table.write_bytes(content)

    monkeypatch.setattr(smoe.schema.bundle.time, "sleep", finish)
    assert len(smoe.schema.bundle.read_bundle(folder).runs) == len(CELLS)


def test_every_stored_bundle_of_the_repository_is_read():
    for path in sorted((ROOT / "results").glob("*/study.json")):
        assert len(smoe.schema.bundle.read_bundle(path.parent).runs)
