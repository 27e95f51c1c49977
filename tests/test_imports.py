"""Imports go one way: by the contracts of pyproject.toml, and with no circle in any package."""

import ast
import shutil
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("smoe", "ablations", "analysis")
LINT = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
# Complex layers ask for folded ones until a network gets its layers when it is put on a device.
ACCEPTED = {("smoe.network.complex_layers", "smoe.ops.folded")}


def modules_of(package: str) -> dict[str, Path]:
    names = {}
    for path in (ROOT / package).rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imports(path: Path, modules: dict[str, Path]) -> set[str]:
    """Return which of the modules a file imports, at its top or anywhere inside."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} has a relative import"
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                found.add(module if module in modules else str(node.module))
    return found & set(modules)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    modules = modules_of(package)
    graph = {name: imports(path, modules) for name, path in modules.items()}
    for importer, imported in ACCEPTED:
        graph.get(importer, set()).discard(imported)
    assert sum(map(len, graph.values())) > len(graph)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports\n".join(reversed(error.args[1])))


def test_the_import_contracts_hold() -> None:
    done = subprocess.run(LINT, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("path", "line", "broken"),
    [
        ("analysis/sneaky.py", "import torch", "analysis.sneaky -> torch"),
        ("smoe/audio/sneaky.py", "import smoe.training", "smoe.audio.sneaky -> smoe.training"),
    ],
)
def test_the_import_contracts_can_fail(tmp_path: Path, path: str, line: str, broken: str) -> None:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / path).write_text(f"{line}\n")
    done = subprocess.run(LINT, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert broken in done.stdout
