"""What `enhance` refuses before it works: overwriting, its own input, places without room."""

import os
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import soundfile

from smoe.errors import UserError
from smoe.evaluation import enhance_plan
from smoe.evaluation.enhance_files import enhance_file
from smoe.evaluation.enhance_plan import plan_enhancement
from tests.smoe.evaluation.enhancers import tiny

NOISE = 0.1 * np.random.default_rng(0).standard_normal(8000)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "in.wav", NOISE, 16_000)
    return tmp_path / "in.wav"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three recordings in a tree, one of them no audio, and a text beside them."""
    for name in ("a.wav", "deep/er/b.flac"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, NOISE, 16_000)
    (tmp_path / "tree" / "broken.wav").write_text("no audio")
    (tmp_path / "tree" / "notes.txt").write_text("no audio")
    return tmp_path / "tree"


def test_nothing_is_overwritten_without_force(recording: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.wav"
    target.write_text("precious")
    with pytest.raises(UserError, match=r"out\.wav exists; give --force"):
        plan_enhancement(recording, target, force=False)
    with pytest.raises(UserError, match=r"out\.wav exists; give --force"):
        enhance_file(tiny(), recording, target)
    assert target.read_text() == "precious"
    enhance_file(tiny(), recording, target, force=True)
    assert soundfile.info(target).frames == len(NOISE)


@pytest.mark.parametrize("how", ["same", "symbolic", "hard", "dots"])
def test_the_input_is_never_overwritten(how: str, recording: Path, tmp_path: Path) -> None:
    target = {
        "same": recording,
        "symbolic": tmp_path / "link.wav",
        "hard": tmp_path / "link.wav",
        "dots": tmp_path / ".." / tmp_path.name / "in.wav",
    }[how]
    if how == "symbolic":
        target.symlink_to(recording)
    if how == "hard":
        os.link(recording, target)
    before = recording.read_bytes()
    for act in (plan_enhancement, lambda *to, force: enhance_file(tiny(), *to, force=force)):
        with pytest.raises(UserError, match="is the input itself"):
            act(recording, target, force=True)
    assert recording.read_bytes() == before


def test_a_file_goes_into_a_folder_under_its_name(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    [pair] = plan_enhancement(recording, tmp_path / "out", force=False).pairs
    assert pair.target == tmp_path / "out" / "in.wav" and pair.seconds == 0.5


def test_a_folder_is_mirrored(tree: Path, tmp_path: Path) -> None:
    plan = plan_enhancement(tree, tmp_path / "new" / "out", force=False)
    targets = [str(pair.target.relative_to(tmp_path / "new" / "out")) for pair in plan.pairs]
    assert targets == ["a.wav", "broken.wav", "deep/er/b.flac"]


def test_of_a_folder_what_is_there_is_left_as_it_is(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.wav").write_text("precious")
    plan = plan_enhancement(tree, tmp_path / "out", force=False)
    assert plan.kept == [tmp_path / "out" / "a.wav"] and len(plan.pairs) == 2
    assert len(plan_enhancement(tree, tmp_path / "out", force=True).pairs) == 3
    for name in ("broken.wav", "deep/er/b.flac"):
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_text("precious")
    with pytest.raises(UserError, match=r"All 3 files are in .* already; give --force"):
        plan_enhancement(tree, tmp_path / "out", force=False)


def test_a_folder_is_never_written_over_inputs(tree: Path, tmp_path: Path) -> None:
    for inside in (tree, tree / "deep", tree / "new"):
        with pytest.raises(UserError, match="name a folder outside of it"):
            plan_enhancement(tree, inside, force=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.wav").symlink_to(tree / "deep" / "er" / "b.flac")
    with pytest.raises(UserError, match=r"is the input .*b\.flac"):
        plan_enhancement(tree, tmp_path / "out", force=True)


def test_what_cannot_be_written_is_refused(
    recording: Path, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"one of the extensions \.wav"):
        plan_enhancement(recording, tmp_path / "out.xyz", force=False)
    with pytest.raises(UserError, match="is a file and"):
        plan_enhancement(tree, recording, force=True)
    with pytest.raises(UserError, match="holds no audio files"):
        (tmp_path / "empty").mkdir()
        plan_enhancement(tmp_path / "empty", tmp_path / "out", force=False)
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(enhance_plan.shutil, "disk_usage", lambda _: usage(20_000))
    with pytest.raises(UserError, match="are needed; make room"):
        plan_enhancement(recording, tmp_path / "out.wav", force=False)
    monkeypatch.undo()
    monkeypatch.setattr(enhance_plan.os, "access", lambda *_: False)  # root may write anywhere
    for source in (recording, tree):
        with pytest.raises(UserError, match="cannot be written to; change its permissions"):
            plan_enhancement(source, tmp_path / f"{source.stem}-new.wav", force=True)
