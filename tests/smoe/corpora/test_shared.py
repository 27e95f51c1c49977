"""Prepared corpora in folders that colleagues share, and users without a name or a home."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from smoe.atomic import write_atomic
from smoe.corpora import open_corpus
from smoe.errors import UserError

STRANGER = 54_321  # a user id without an entry in the list of users

may_change_user = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may become another user"
)


def as_stranger(work: Callable[[], object]) -> str:
    """Do something as another user; return what it returns, or the error it raises, as text."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(STRANGER)
            os.setuid(STRANGER)
            said = str(work())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(write_end, said.encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    return said


@pytest.fixture
def everyone() -> Iterator[Path]:
    """A folder that everyone may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def tree(small_tree: Path, everyone: Path) -> Path:
    return Path(shutil.copytree(small_tree, everyone / "corpus"))


@pytest.fixture
def results(everyone: Path) -> Path:
    return everyone / "results"


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_the_umask_decides_who_may_read(umask: int, small_tree: Path, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        corpus = open_corpus(str(small_tree), tmp_path / "cache")
        write_atomic(tmp_path / "new" / "note.json", b"{}")
    finally:
        os.umask(before)
    made = [corpus.folder, *corpus.folder.iterdir(), tmp_path / "new", tmp_path / "new/note.json"]
    assert len(made) > 5
    for path in made:
        everything = 0o777 if path.is_dir() else 0o666
        assert stat.S_IMODE(path.stat().st_mode) == everything & ~umask, path


@may_change_user
def test_a_colleague_reads_a_prepared_corpus(tree: Path, results: Path) -> None:
    corpus = open_corpus(str(tree), results)
    found = as_stranger(lambda: open_corpus(str(tree), results).data_hash)
    assert found == corpus.data_hash


@may_change_user
def test_what_may_not_be_read_is_called_so_and_stays(tree: Path, results: Path) -> None:
    corpus = open_corpus(str(tree), results)
    for mode, path in ((0o700, corpus.folder), (0o600, corpus.folder / "index.json")):
        before = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode)
        said = as_stranger(lambda: open_corpus(str(tree), results))
        assert said.startswith("UserError: The prepared corpus in ")
        assert "may not be read (Permission denied); have its owner allow it" in said
        path.chmod(before)
    assert open_corpus(str(tree), results).data_hash == corpus.data_hash


@may_change_user
def test_what_may_not_be_written_is_called_so(tree: Path, results: Path) -> None:
    results.mkdir()
    said = as_stranger(lambda: open_corpus(str(tree), results))
    assert "UserError: The corpus may not be written to" in said
    assert "(Permission denied); have the folder's owner allow it" in said


@may_change_user
def test_a_corpus_that_may_not_be_read_is_called_so(tree: Path, results: Path) -> None:
    before = stat.S_IMODE(tree.parent.stat().st_mode)
    tree.parent.chmod(0o700)
    said = as_stranger(lambda: open_corpus(str(tree), results))
    tree.parent.chmod(before)
    assert said.startswith(f"UserError: {tree} may not be read (Permission denied)")


def test_a_folder_that_cannot_be_made_is_one_sentence(small_tree: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="could not be written to"):
        open_corpus(str(small_tree), tmp_path / "file")


NAMELESS = """
import os, sys
from pathlib import Path
for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME"):
    os.environ.pop(name, None)
from smoe.corpora import open_corpus
from smoe.inspection.check import check
import encodings.utf_8_sig, smoe.corpora.folders, smoe.inspection.unprocessed
os.setgroups([]); os.setgid(54321); os.setuid(54321)
print(check(open_corpus(sys.argv[1], Path(sys.argv[2]))))
"""


@may_change_user
def test_a_user_without_name_or_home_prepares_a_corpus(tree: Path, results: Path) -> None:
    results.mkdir()
    results.chmod(0o777)
    command = [sys.executable, "-c", NAMELESS, str(tree), str(results)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "leakage: none found" in done.stdout
