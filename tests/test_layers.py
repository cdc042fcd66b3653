"""The layers of the package hold: import-linter's contracts of pyproject.toml."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

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


def test_every_algorithm_of_our_own_is_kept_apart_from_the_others() -> None:
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (apart,) = (contract["modules"] for contract in contracts if contract["type"] == "independence")
    own = {spec.entry_point.partition(":")[0] for spec in ALGOS.values() if spec.backend == "rlzoo"}
    assert set(apart) == own
