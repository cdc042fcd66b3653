"""The layers of the package hold: import-linter's contracts of pyproject.toml."""

from __future__ import annotations

import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

from rlzoo.algos.specs import ALGOS

REPOSITORY = Path(__file__).resolve().parent.parent


def test_layers_point_down() -> None:
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_help_imports_no_third_party_package() -> None:
    third_party = imported_by("from rlzoo.cli.main import main; assert main(['--help']) == 0")
    assert third_party == set()


def test_importing_rlzoo_is_free() -> None:
    assert imported_by("import rlzoo") == set()
    assert not imported_by("from rlzoo import train, evaluate, load, compose, Run") & {"torch", "stable_baselines3"}


def imported_by(code: str) -> set[str]:
    """The packages outside the standard library that running `code` in a fresh interpreter imports."""
    report = (
        "import sys; before = set(sys.modules); "
        f"{code}; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print('imported:', *sorted(new - set(sys.stdlib_module_names) - {'rlzoo'}))"
    )
    result = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.splitlines()[-1].split()[1:])


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """Every file and the files that it imports, also inside of functions; not what is only imported for types."""
    graph = grimp.build_graph("rlzoo", cache_dir=None, exclude_type_checking_imports=True)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def test_no_file_imports_itself_by_way_of_others(imports: dict[str, set[str]]) -> None:
    TopologicalSorter(imports).prepare()  # it names the cycle


def test_no_algorithm_of_our_own_imports_another(imports: dict[str, set[str]]) -> None:
    own = {spec.entry_point.partition(":")[0] for spec in ALGOS.values() if spec.backend == "rlzoo"}
    assert {module: imports[module] & own for module in own} == {module: set() for module in own}
