"""What is shipped is found and fits together: data folders, version, extras, ranges and pins."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import rlzoo
from rlzoo.config import paths

REPOSITORY = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PYPROJECT["project"]["optional-dependencies"]


def test_root_of_a_checkout_holds_the_configuration() -> None:
    assert paths.root() == REPOSITORY
    assert (paths.root() / "conf" / "train.yaml").is_file()
    assert any((paths.root() / "hyperparams").rglob("*.yaml"))


def test_root_of_an_installed_wheel_is_the_package(tmp_path: Path) -> None:
    package = tmp_path / "site" / "rlzoo"
    (package / "config").mkdir(parents=True)
    for name in ("__init__.py", "config/__init__.py", "config/paths.py"):
        shutil.copy(REPOSITORY / "rlzoo" / name, package / name)
    (package / "conf").mkdir()
    code = "import sys; sys.path.insert(0, sys.argv[1]); from rlzoo.config import paths; print(paths.root())"
    command = [sys.executable, "-I", "-c", code, str(tmp_path / "site")]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == str(package)


def test_the_current_folder_is_the_users_unless_it_is_rlzoos_own(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert paths.user_roots() == [workdir]
    monkeypatch.chdir(REPOSITORY)
    assert paths.user_roots() == []


def test_version_is_a_literal_that_the_build_reads() -> None:
    source = (REPOSITORY / "rlzoo" / "__init__.py").read_text(encoding="utf-8")
    assert re.findall(r'^__version__ = "(.+)"$', source, re.MULTILINE) == [rlzoo.__version__]
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{rlzoo.__version__}]" in changelog or "## [Unreleased]" in changelog


def test_extras_named_in_environment_files_exist() -> None:
    files = sorted((REPOSITORY / "conf" / "env").glob("*.yaml"))
    assert files
    extras = {file.name: (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("extra") for file in files}
    assert {file: extra for file, extra in extras.items() if extra is not None and extra not in EXTRAS} == {}


def test_every_dependency_has_a_pin_within_its_range() -> None:
    pins = {canonicalize_name(name): version for name, version in constraints()}
    wanted = [Requirement(text) for group in (PYPROJECT["project"]["dependencies"], *EXTRAS.values()) for text in group]
    wrong = [
        str(requirement)
        for requirement in wanted
        if not requirement.specifier.contains(pins.get(canonicalize_name(requirement.name), "0"))
    ]
    assert wrong == []
    assert pins["torch"] == "2.13.0"


def test_extras_that_make_installs_exist() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    lists = re.findall(r"^\w+_EXTRAS := (\S+)$", makefile, re.MULTILINE)
    assert len(lists) == 2
    assert {extra for names in lists for extra in names.split(",")} <= EXTRAS.keys()


def constraints() -> list[tuple[str, str]]:
    text = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8")
    return re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE)
