"""A bundle as one file, and what is refused when it is unpacked."""

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ablations.travel.archive import MANIFEST, archive
from ablations.travel.unpack import unpack
from smoe.errors import UserError
from smoe.schema.digests import digest
from tests.ablations.conftest import run_here
from tests.ablations.travel.parts import contents

Members = list[tuple[tarfile.TarInfo, bytes]]


@pytest.fixture(scope="module")
def packed(smoke: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("archive") / "smoke.tar"
    done = run_here("results", "archive", "smoke", "--results", smoke, "--to", target)
    assert done.returncode == 0, done.stderr
    assert digest(target.read_bytes()) in done.stdout
    return target


def test_an_archive_has_the_same_bytes_each_time(packed: Path, smoke: Path, tmp_path: Path):
    archive(smoke / "smoke", tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == packed.read_bytes()


def test_what_is_unpacked_is_what_was_packed(packed: Path, smoke: Path, tmp_path: Path):
    unpacked = run_here("results", "unpack", packed, "--results", tmp_path)
    assert unpacked.returncode == 0, unpacked.stderr
    assert contents(tmp_path / "smoke") == contents(smoke / "smoke")
    for kind in ("tables", "figures"):
        for path in (smoke / "smoke" / kind).iterdir():
            assert (tmp_path / "smoke" / kind / path.name).read_bytes() == path.read_bytes()
    assert not (tmp_path / "smoke" / "report.html").exists()
    again = run_here("results", "unpack", packed, "--results", tmp_path)
    assert again.returncode == 0 and "it was there" in again.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["smoke"]


def test_a_manifest_names_every_file_and_its_digest(packed: Path):
    with tarfile.open(packed) as tar:
        names = tar.getnames()
        manifest = json.loads(tar.extractfile(f"smoke/{MANIFEST}").read())
        assert names == [f"smoke/{MANIFEST}", *(f"smoke/{name}" for name in manifest["files"])]
        for name, declared in manifest["files"].items():
            assert digest(tar.extractfile(f"smoke/{name}").read()) == declared["sha256"]
        assert {(m.mtime, m.uid, m.uname) for m in tar.getmembers()} == {(0, 0, "")}


def test_nothing_that_exists_is_replaced(packed: Path, tmp_path: Path):
    (tmp_path / "smoke").mkdir()
    (tmp_path / "smoke" / "study.json").write_text("{}")
    refused = run_here("results", "unpack", packed, "--results", tmp_path)
    assert refused.returncode == 2 and "--into" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert (tmp_path / "smoke" / "study.json").read_text() == "{}"
    beside = run_here("results", "unpack", packed, "--results", tmp_path, "--into", "theirs")
    assert beside.returncode == 0, beside.stderr
    (tmp_path / "other.tar").write_bytes(b"something else")
    kept = run_here(
        "results", "archive", "theirs", "--results", tmp_path, "--to", tmp_path / "other.tar"
    )
    assert kept.returncode == 2 and "is another file" in kept.stderr
    assert (tmp_path / "other.tar").read_bytes() == b"something else"


def rebuilt(packed: Path, target: Path, change: Callable[[Members], Members]) -> Path:
    """An archive with other members."""
    with tarfile.open(packed) as tar:
        members = [(member, tar.extractfile(member).read()) for member in tar.getmembers()]
    with tarfile.open(target, "w") as tar:
        for member, content in change(members):
            tar.addfile(member, io.BytesIO(content))
    return target


def added(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Callable[[Members], Members]:
    def change(members: Members) -> Members:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, link
        return [*members, (member, b"")]

    return change


def manifest_with(**changes: object) -> Callable[[Members], Members]:
    def change(members: Members) -> Members:
        (first, content), *others = members
        content = json.dumps({**json.loads(content), **changes}).encode()
        first.size = len(content)
        return [(first, content), *others]

    return change


def damaged(members: Members) -> Members:
    member, content = members[-1]
    return [*members[:-1], (member, bytes([content[0] ^ 1]) + content[1:])]


def larger(members: Members) -> Members:
    member, content = members[-1]
    member.size = len(content) + 1
    return [*members[:-1], (member, content + b" ")]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (added("smoke/../../evil.py"), "no file of a bundle"),
        (added("/etc/evil.py"), "no file of a bundle"),
        (added("other/runs.parquet"), "no file of a bundle"),
        (added("smoke/tables/../../evil.md"), "no file of a bundle"),
        (added("smoke/tables/a.md", tarfile.SYMTYPE, "/etc/passwd"), "no plain file"),
        (added("smoke/tables/a.md", tarfile.LNKTYPE, "smoke/study.json"), "no plain file"),
        (added("smoke/tables", tarfile.DIRTYPE), "no plain file"),
        (added("smoke/tables/a.md", tarfile.FIFOTYPE), "no plain file"),
        (added("smoke/tables/more.md"), "its manifest does not name"),
        (lambda members: [*members, members[-1]], "names once only"),
        (lambda members: members[:-1], "lacks"),
        (lambda members: members[1:], "no archive of results"),
        (lambda members: [], "no archive of results"),
        (damaged, "its sha256 is not the manifest's"),
        (larger, "its manifest says"),
        (manifest_with(study="../out"), "another study"),
        (manifest_with(version=2), "version 2"),
        (manifest_with(format="zip"), "cannot be used (format"),
        (manifest_with(files={}), "does not name"),
        (manifest_with(files={"study.json": {"bytes": -1, "sha256": ""}}), "cannot be used"),
    ],
)
def test_an_archive_with_something_else_in_it_is_refused(
    change: Callable[[Members], Members], said: str, packed: Path, tmp_path: Path
):
    evil = rebuilt(packed, tmp_path / "evil.tar", change)
    refused = run_here("results", "unpack", evil, "--results", tmp_path / "results")
    assert refused.returncode == 2
    assert said in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert not list((tmp_path / "results").glob("*")), "something is left"
    assert [path.name for path in tmp_path.iterdir() if path.name != "results"] == ["evil.tar"]


def test_other_files_and_compressed_ones_are_refused(packed: Path, tmp_path: Path):
    target = tmp_path / "file.tar"
    for content in (b"", b"no archive", gzip.compress(packed.read_bytes())):
        target.write_bytes(content)
        with pytest.raises(UserError, match="archive"):
            unpack(target, tmp_path / "results")
    missing = run_here("results", "unpack", tmp_path / "none.tar")
    assert missing.returncode == 2 and len(missing.stderr.strip().splitlines()) == 1


def test_no_damage_goes_unnoticed(packed: Path, tmp_path: Path):
    """A changed byte is refused, or was padding or a time, and the files are what they were."""
    content, rng = packed.read_bytes(), np.random.default_rng(0)
    with tarfile.open(packed) as tar:
        heads = [member.offset for member in tar.getmembers()][:4]
    places = [*(int(p) for p in rng.integers(len(content), size=6)),
              *(head + int(p) for head in heads for p in rng.integers(512, size=4))]  # fmt: skip
    cuts = [content[: int(p)] for p in rng.integers(len(content), size=5)]
    flips = [content[:p] + bytes([content[p] ^ 0x41]) + content[p + 1 :] for p in places]
    for number, changed in enumerate([*cuts, *flips]):
        target, results = tmp_path / "changed.tar", tmp_path / str(number)
        target.write_bytes(changed)
        try:
            folder, _ = unpack(target, results)
        except UserError:
            assert not list(results.glob("*"))
            continue
        manifest = json.loads(
            tarfile.open(packed).extractfile(f"smoke/{MANIFEST}").read()  # noqa: SIM115
        )
        for name, declared in manifest["files"].items():
            assert digest((folder / name).read_bytes()) == declared["sha256"]
