"""Networks that are not here: one sentence, at once, with what there is or what to do."""

import shlex
from pathlib import Path

import pytest

from ablations.runs.trained_networks import trained_run
from smoe.errors import UserError
from smoe.schema.bundle import read_runs
from smoe.schema.errors import BundleError
from smoe.schema.names import cell_names
from tests.without import ROOT, run_without

RESULTS = ROOT / "results"
FULL = "EMBDL.multi.supervised.global"


def test_wrong_names_are_answered_with_those_that_exist() -> None:
    with pytest.raises(BundleError, match=r"no results in .*cor; there are .*core, .*quick"):
        trained_run(RESULTS, "cor", FULL, 0)
    with pytest.raises(UserError, match=r"it has dense, .*EMBDL with \.multi\.supervised\.global"):
        trained_run(RESULTS, "core", "EMBLD", 0)
    with pytest.raises(UserError, match=r"of seed 77; it has the seeds 0, 1, 2"):
        trained_run(RESULTS, "core", FULL, 77)


@pytest.mark.parametrize(("study", "seed"), [("quick", 0), ("core", 2)])
def test_a_clone_is_told_how_to_train(study: str, seed: int) -> None:
    """The command that is named exists, and trains the network that was asked for."""
    with pytest.raises(UserError, match="not in git") as refused:
        trained_run(RESULTS, study, "E----" if study == "core" else FULL, seed)
    words = shlex.split(str(refused.value).split("`")[1])
    assert words[:5] == ["python", "run_all.py", "run", "--study", study]
    limit = int(words[words.index("--limit") + 1]) if "--limit" in words else 1
    runs = read_runs(RESULTS / study).query("cell == @words[6]")
    assert sorted(runs["seed"])[limit - 1] == seed
    assert f"{runs.query('seed == @seed')['train_s'].iloc[0]:.0f} s on" in str(refused.value)


def test_refusals_load_nothing_that_computes(tmp_path: Path) -> None:
    """PyTorch alone takes longer to load than the answer may take."""
    arguments = ["run_all.py", "enhance", "a.wav", str(tmp_path / "b.wav"), "--seed", "77"]
    code = f"sys.argv = {arguments!r}\nimport run_all\ntry: run_all.entry()\n"
    code += "except SystemExit as end: print('status', end.code)"
    assert run_without(("torch", "scipy", "mlflow", "matplotlib"), code) == "status 2\n"


def test_cells_are_listed_by_what_they_share() -> None:
    cells = ["dense", "E----.multi.x.y", "-M---.multi.x.y", "E----.single.x.y"]
    assert cell_names(cells) == "dense, E----.single.x.y; -M---, E---- with .multi.x.y"
