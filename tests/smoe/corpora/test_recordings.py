"""The corpus `recordings`: its manifest, and fetching over a real HTTP server on this machine."""

import csv
import functools
import hashlib
import os
import re
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import numpy as np
import pytest

from smoe.corpora import fetching, open_corpus, recordings
from smoe.corpora.download import download
from smoe.errors import UserError

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("SMOE_DATA", ""))
COMMIT = "0123456789" * 4
SPLITS = ("train", "train", "valid", "test")  # of the four groups of `small_tree`


class Handler(SimpleHTTPRequestHandler):
    """Serves ranges, and does on the first request for a path what `trouble` says."""

    trouble: dict[str, int] = {}  # noqa: RUF012 - name of a file: HTTP status, or bytes sent of it
    asked: list[tuple[str, str | None]] = []  # noqa: RUF012

    def do_GET(self) -> None:
        name, wanted = Path(self.path).name, self.headers.get("Range")
        self.asked.append((name, wanted))
        trouble = self.trouble.pop(name, None)
        if trouble and trouble >= 400:
            self.send_error(trouble)
            return
        file = Path(self.translate_path(self.path))
        if not file.is_file():
            self.send_error(404)
            return
        content = file.read_bytes()[int(wanted[6:-1]) if wanted else 0 :]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:trouble])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def served(small_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The files of a small corpus at addresses like GitHub's, named by a manifest of their own."""
    rows, home = [], tmp_path / "server" / "owner" / "name" / COMMIT
    home.mkdir(parents=True)
    for path in sorted(small_tree.rglob("a.*")):
        kind, group = path.parts[-3], path.parts[-2]
        name = f"{kind}-{group} a{path.suffix}"
        content = path.read_bytes()
        (home / name).write_bytes(content)
        rows.append(
            {
                "path": f"{kind}/{group}/{name.replace(' ', '_')}",
                "item": "",
                "kind": "speech" if kind == "clean" else kind,
                "group": group,
                "split": SPLITS[int(group[-1])],
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "licence": "CC0 1.0",
                "attribution": "nobody",
                "address": f"{recordings.PUBLIC}/owner/name/{COMMIT}/{name.replace(' ', '%20')}",
            }
        )
    manifest = tmp_path / "recordings.csv"
    with manifest.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    monkeypatch.setattr(recordings, "MANIFEST", manifest)
    monkeypatch.setattr(fetching, "PAUSES_S", (0.0, 0.0))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Handler, "trouble", {})
    monkeypatch.setattr(Handler, "asked", [])
    handler = functools.partial(Handler, directory=str(tmp_path / "server"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv(recordings.MIRROR, f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield home
        server.shutdown()


def test_what_was_fetched_is_the_corpus_wherever_it_lies(served: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    (said,) = download("recordings", lambda *state: seen.append(state))
    assert seen == [("fetching", done, 12) for done in range(1, 13)]
    assert f"12 files, 0.1 MB, verified in {tmp_path / 'recordings'}" in said
    assert not list(tmp_path.rglob("*.partial"))
    corpus = open_corpus("recordings", tmp_path / "cache")
    assert {split: corpus.pools["speech", split].groups for split in SPLITS} == {
        "train": ["group0", "group1"], "valid": ["group2"], "test": ["group3"],
    }  # fmt: skip

    (tmp_path / "recordings").rename(tmp_path / "carried")
    for spec in (f"recordings:{tmp_path / 'carried'}", str(tmp_path / "carried")):
        again = open_corpus(spec, tmp_path / "cache")
        assert (again.data_hash, again.folder) == (corpus.data_hash, corpus.folder)
    (said,) = download("recordings:carried")
    assert "none had to be fetched" in said and len(Handler.asked) == 12


def test_a_file_that_was_cut_off_goes_on_where_it_ended(served: Path, tmp_path: Path) -> None:
    cut = "clean-group0 a.wav"
    Handler.trouble = {cut.replace(" ", "%20"): 100}
    download("recordings")
    assert [wanted for name, wanted in Handler.asked if name.startswith("clean-group0")] == [
        None, "bytes=100-",
    ]  # fmt: skip
    assert (tmp_path / "recordings" / "clean" / "group0" / "clean-group0_a.wav").read_bytes() == (
        served / cut
    ).read_bytes()


def test_the_part_of_a_killed_call_is_taken_up_unless_it_is_damaged(
    served: Path, tmp_path: Path
) -> None:
    whole = (served / "noise-group1 a.flac").read_bytes()
    folder = tmp_path / "recordings" / "noise" / "group1"
    folder.mkdir(parents=True)
    (tmp_path / "recordings" / "manifest.csv").write_bytes(recordings.MANIFEST.read_bytes())
    (folder / "noise-group1_a.flac.partial").write_bytes(whole[:500])
    damaged = tmp_path / "recordings" / "noise" / "group0" / "noise-group0_a.wav.partial"
    damaged.parent.mkdir()
    damaged.write_bytes(b"x" * 500)
    download("recordings")
    assert (folder / "noise-group1_a.flac").read_bytes() == whole
    asked = Counter(name for name, _ in Handler.asked)
    assert asked["noise-group1%20a.flac"] == 1 and asked["noise-group0%20a.wav"] == 2
    assert ("noise-group1%20a.flac", "bytes=500-") in Handler.asked
    open_corpus("recordings", tmp_path / "cache")


@pytest.mark.parametrize("change", ["a wrong byte", "a byte less", "nothing left"])
def test_a_damaged_file_is_named_and_fetched_again(
    served: Path, tmp_path: Path, change: str
) -> None:
    download("recordings")
    path = tmp_path / "recordings" / "rir" / "group3" / "rir-group3_a.mp3"
    whole = path.read_bytes()
    wrong = {"a wrong byte": whole[:-1] + bytes([whole[-1] ^ 1]), "a byte less": whole[:-1]}
    path.write_bytes(wrong.get(change, b""))
    with pytest.raises(UserError, match=r"1 damaged \(first rir/group3/rir-group3_a\.mp3\)"):
        open_corpus("recordings", tmp_path / "cache")
    first, last = download("recordings")
    assert first.startswith("rir/group3/rir-group3_a.mp3 held other bytes")
    assert "1 fetched from" in last and path.read_bytes() == whole


def test_a_server_with_other_bytes_is_not_believed(served: Path, tmp_path: Path) -> None:
    wrong = served / "rir-group0 a.wav"
    wrong.write_bytes(wrong.read_bytes()[:-1] + b"!")
    with pytest.raises(UserError, match=r"1 missing .*rir-group0%20a\.wav holds other bytes"):
        download("recordings")
    assert not list((tmp_path / "recordings" / "rir" / "group0").iterdir())


def test_a_busy_server_is_asked_again_and_a_missing_file_is_not(
    served: Path, tmp_path: Path
) -> None:
    Handler.trouble = {"rir-group0%20a.wav": 503, "rir-group1%20a.flac": 429}
    download("recordings")
    (tmp_path / "recordings" / "rir" / "group0" / "rir-group0_a.wav").unlink()
    (served / "rir-group0 a.wav").unlink()
    Handler.asked.clear()
    with pytest.raises(UserError, match=r"1 missing .*rir-group0%20a\.wav: 404"):
        download("recordings")
    assert len(Handler.asked) == 1


def test_without_network_one_sentence_says_what_is_missing_and_where_to_put_it(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv(recordings.MIRROR, f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(UserError) as refused:
            download("recordings")
    said = str(refused.value)
    assert said.startswith("Of the 12 files of recordings in recordings, 12 missing (first clean/")
    assert "Connection refused" in said and f"copy the folder to {tmp_path / 'recordings'}" in said
    assert said.count(". ") == 0 and said.endswith(".")


def test_a_folder_of_the_users_own_is_left_alone(served: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"12 missing .*data prepare --data recordings`"):
        open_corpus("recordings", tmp_path / "cache")
    (tmp_path / "corpus").rename(tmp_path / "recordings")
    manifest = (tmp_path / "recordings" / "manifest.csv").read_text()
    with pytest.raises(UserError, match=r"--data \./recordings"):
        open_corpus("recordings", tmp_path / "cache")
    with pytest.raises(UserError, match=r"files of your own; use them as --data \./recordings"):
        download("recordings")
    assert (tmp_path / "recordings" / "manifest.csv").read_text() == manifest
    assert open_corpus("./recordings", tmp_path / "cache").pools["rir", "test"].names
    (tmp_path / "recordings" / "manifest.csv").unlink()  # a tree without one would be misread
    with pytest.raises(UserError, match="holds files of your own"):
        download("recordings")
    assert not (tmp_path / "recordings" / "manifest.csv").exists()


def test_recordings_can_be_joined_with_other_corpora(served: Path, tmp_path: Path) -> None:
    download("recordings")
    (tmp_path / "mit").mkdir()
    for index in range(3):
        (tmp_path / "mit" / f"h00{index}_Hall_{index}txts.wav").write_bytes(
            (served / "rir-group0 a.wav").read_bytes()
        )
    from smoe.corpora.public import joined

    names = [source.name for source in joined("recordings+mit:mit") if source.kind == "rir"]
    assert "mit/h000_Hall_0txts.wav" in names and "rir/group0/rir-group0_a.wav" in names


def test_rows_may_share_a_file_which_is_fetched_once(served: Path, tmp_path: Path) -> None:
    irs = np.random.default_rng(0).standard_normal((2, 2, 4000)) * 0.998 ** np.arange(4000)
    with h5py.File(served / "room.sofa", "w") as file:
        file["Data.IR"], file["Data.SamplingRate"] = irs, np.array([16000.0])
    content = (served / "room.sofa").read_bytes()
    with recordings.MANIFEST.open("a", newline="") as file:
        for item in ("M0:R0", "M1:R1"):
            csv.writer(file).writerow(
                (
                    "rir/room/room.sofa", item, "rir", "room", "train", len(content),
                    hashlib.sha256(content).hexdigest(), "CC0 1.0", "nobody",
                    f"{recordings.PUBLIC}/owner/name/{COMMIT}/room.sofa",
                )
            )  # fmt: skip
    (said,) = download("recordings")
    assert "13 files" in said and len(Handler.asked) == 13
    corpus = open_corpus("recordings", tmp_path / "cache")
    names = corpus.pools["rir", "train"].names
    assert names[-2:] == ["rir/room/room.sofa#M0:R0", "rir/room/room.sofa#M1:R1"]
    again = open_corpus(f"folders:{tmp_path / 'recordings'}", tmp_path / "cache")
    assert again.data_hash == corpus.data_hash


def test_the_manifest_names_files_at_pinned_commits_in_splits_that_share_nothing() -> None:
    files = recordings.raw_files()
    address = re.compile(r"https://raw\.githubusercontent\.com/[\w.-]+/[\w.-]+/[0-9a-f]{40}/\S+")
    for file in files:
        assert address.fullmatch(file.address), file
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256), file
        assert re.fullmatch(rf"{file.kind}/{file.group}/[\w.+-]+", file.path), file
        assert file.licence and file.attribution, file
    assert len({file.path for file in files}) == len({file.sha256 for file in files}) == len(files)
    assert sum(file.bytes for file in files) < 40e6
    rows = recordings.rows()
    assert len({(row.path, row.item) for row in rows}) == len(rows)
    facts = {(r.path, r.group, r.split, r.bytes, r.sha256, r.licence, r.address) for r in rows}
    assert len(facts) == len(files)
    assert {(f.kind, f.split) for f in files} == {
        (kind, split) for kind in ("speech", "noise", "rir") for split in set(SPLITS)
    }
    units = {(f.kind, f.group, f.split) for f in files if f.kind != "noise"}
    assert len(units) == len({(kind, group) for kind, group, _ in units})


@pytest.mark.skipif(not (DATA / "manifest.csv").exists(), reason="no recordings at SMOE_DATA")
def test_the_manifest_keeps_to_the_speakers_clips_and_rooms_that_may_be_used() -> None:
    with (DATA / "manifest.csv").open(newline="") as file:
        allowed = {(row["kind"], row["group"], row["split"]) for row in csv.DictReader(file)}
    assert {(f.kind, f.group, f.split) for f in recordings.raw_files()} <= allowed


def test_the_command_fetches_prepares_and_checks(tmp_path: Path) -> None:
    """The real manifest without network: exit status 2 and one sentence."""
    environment = {**os.environ, recordings.MIRROR: "http://127.0.0.1:9", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, str(ROOT / "run_all.py"), "data", "prepare", "--data", "recordings"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 2, ran.stderr
    count = len(recordings.raw_files())
    assert f"Of the {count} files of recordings in recordings, {count} missing" in (
        ran.stdout + ran.stderr
    )
    assert "Traceback" not in ran.stderr
