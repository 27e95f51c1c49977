"""Settings at the edge: said in one sentence before any work begins, exit status 2."""

from pathlib import Path

import pytest

from ablations.addresses import require_tracking
from ablations.means import means_of
from ablations.study import load_study
from smoe.errors import UserError
from tests.ablations.conftest import run_here

STUDY = """
title = "Edge"
question = "Is it said?"
cells = ["dense"]
seeds = [0]
data = "synthetic:tiny"
"""
FILES = {
    "negative seed": (STUDY.replace("[0]", "[-1]"), "seeds"),
    "seed twice": (STUDY.replace("[0]", "[0, 0]"), "seed 0 stands there twice"),
    "huge seed": (STUDY.replace("[0]", "[99999999999999999999999]"), "seeds"),
    "seed of another type": (STUDY.replace("[0]", "[true]"), "seeds"),
    "fraction as a seed": (STUDY.replace("[0]", "[1.0]"), "seeds"),
    "no seed": (STUDY.replace("[0]", "[]"), "seeds"),
    "infinite setting": (STUDY + "[train]\nlearning_rate = inf\n", "train.learning_rate"),
    "no number": (STUDY + "[mix]\ncrop_s = nan\n", "mix.crop_s"),
    "no number in a list": (STUDY + "[test]\nsnrs_db = [0.0, nan]\n", "test.snrs_db"),
    "NUL in a text": (STUDY.replace('"Edge"', '"E\\u0000e"'), "NUL"),
    "NUL in the data": (STUDY.replace("synthetic:tiny", "a\\u0000b"), "NUL"),
    "nobody's home": (STUDY.replace("synthetic:tiny", "~nobody-has-this/x"), "nobody's home"),
}
CONTENTS = {
    "NUL in the file": (STUDY.encode() + b"\0", "NUL character"),
    "UTF-16": (STUDY.encode("utf-16"), "not UTF-8"),
    "Latin-1": (STUDY.replace("Edge", "Ränder").encode("latin-1"), "not UTF-8"),
    "binary": (bytes(range(256)), "not UTF-8"),
    "empty": (b"", "Field required"),
}
OPTIONS = {
    "no hours": (["--max-hours", "0"], "--max-hours"),
    "negative hours": (["--max-hours", "-1"], "--max-hours"),
    "hours that are no number": (["--max-hours", "nan"], "--max-hours"),
    "endless hours": (["--max-hours", "inf"], "--max-hours"),
    "no time for a run": (["--timeout", "0"], "--timeout"),
    "checkpoints at no time": (["--checkpoint-every", "nan"], "--checkpoint-every"),
    "no jobs": (["--jobs", "0"], "--jobs"),
    "negative jobs": (["--jobs", "-3"], "--jobs"),
    "raised two": (["--jobs", "²"], "--jobs"),
    "fraction of a job": (["--jobs", "1.5"], "--jobs"),
    "huge jobs": (["--jobs", "99999999999"], "--jobs"),
    "no threads": (["--threads", "0"], "--threads"),
    "huge threads": (["--threads", "9999999999"], "--threads"),
    "no tracking server": (["--tracking-uri", "nonsense"], "--tracking-uri"),
    "tracking database nowhere": (["--tracking-uri", "sqlite:////nowhere/x.db"], "--tracking-uri"),
    "tracking server without a host": (["--tracking-uri", "http://"], "--tracking-uri"),
    "tracking server with a strange port": (["--tracking-uri", "http://a:b"], "--tracking-uri"),
    "infinite setting": (["--set", "train.learning_rate=inf"], "train.learning_rate"),
    "two settings in one": (["--set", "train.steps=3\nx=4"], "train.steps"),
}


def refused(*arguments: str | Path) -> str:
    """Return the sentence with which a command line is refused."""
    finished = run_here(*arguments)
    assert finished.returncode == 2, finished
    assert "Traceback" not in finished.stderr
    assert len(finished.stderr.strip().splitlines()) == 1
    assert finished.stdout == ""
    return finished.stderr


@pytest.mark.parametrize("case", FILES)
def test_a_study_file(case: str, tmp_path: Path):
    text, sentence = FILES[case]
    path = tmp_path / "edge.toml"
    path.write_text(text, encoding="utf-8")
    assert sentence in refused("run", "--study", path, "--results", tmp_path / "results")
    assert not list(tmp_path.glob("results/.runs/*/*"))


@pytest.mark.parametrize("case", CONTENTS)
def test_the_content_of_a_study_file(case: str, tmp_path: Path):
    content, sentence = CONTENTS[case]
    path = tmp_path / "edge.toml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=sentence) as caught:
        load_study(str(path))
    assert str(path) in str(caught.value)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path):
    path = tmp_path / "edge.toml"
    path.write_bytes(STUDY.encode("utf-8-sig"))
    assert load_study(str(path)).title == "Edge"


def test_a_folder_of_a_study_s_name_is_said(tmp_path: Path):
    path = tmp_path / "edge.toml"
    path.mkdir()
    with pytest.raises(UserError, match=r"edge\.toml cannot be read"):
        load_study(str(path))


@pytest.mark.parametrize("name", [".runs", "bench", "Corpus", "a\x1bb", " a", "x" * 120, "-x"])
def test_a_name_that_stands_for_something_else_is_refused(name: str, tmp_path: Path):
    path = tmp_path / f"{name}.toml"
    path.write_text(STUDY)
    with pytest.raises(UserError, match="cannot name a study"):
        load_study(str(path))


@pytest.mark.parametrize("case", OPTIONS)
def test_an_option(case: str, tmp_path: Path):
    arguments, sentence = OPTIONS[case]
    results = tmp_path / "results"
    assert sentence in refused("run", "--study", "smoke", "--results", results, *arguments)
    assert not list(results.glob(".runs/*/*"))


def test_numbers_that_can_be_are_taken():
    means = means_of("2", "cpu", "loky", 0.0, 1, max_hours=0.5, timeout_hours=1e-3)
    assert means.jobs == 2 and means.timeout_s == pytest.approx(3.6)
    assert means.deadline is not None


@pytest.mark.parametrize("uri", ["http://host:5000", "https://host/path", "sqlite:////tmp/a.db",
                                 "postgresql+psycopg2://u:p@host/db", "databricks"])  # fmt: skip
def test_addresses_that_can_be_are_taken(uri: str):
    require_tracking(uri)
    require_tracking(None)
