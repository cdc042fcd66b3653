"""Files of the current folder that libraries and programs take for settings of the user's: none of them is followed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rlzoo import registry
from rlzoo.errors import RlzooError
from rlzoo.loggers.wandb import open_logger
from rlzoo.runs import info
from rlzoo.runs.run import Run
from tests.system import needs

pytestmark = pytest.mark.usefixtures("workdir")
TOUCH = "touch canary; cat"


def git(*words: str) -> None:
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words], check=True)


@pytest.fixture
def repository(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a change that is not committed, as an archive could bring it."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(workdir.parent))
    git("init", "-q")
    (workdir / ".gitattributes").write_text("*.txt filter=a=b diff=mine\n*.md filter=plain\n")
    for name in ("agent.txt", "agent.md"):
        (workdir / name).write_text("gain = 1\n")
    git("add", "--all")
    git("commit", "-q", "-m", "first")
    for name in ("agent.txt", "agent.md"):
        (workdir / name).write_text("gain = 2\n")
    return workdir


SETTINGS = {
    "core.fsmonitor": TOUCH,
    "filter.a=b.clean": TOUCH,
    "filter.plain.process": TOUCH,
    "filter.plain.required": "true",
    "diff.external": TOUCH,
    "diff.mine.command": TOUCH,
    "diff.mine.textconv": TOUCH,
    "core.pager": TOUCH,
    "core.hooksPath": "hooks",
    "core.sshCommand": TOUCH,
}


@needs("git", "--version")
def test_git_runs_nothing_that_a_repository_names(repository: Path) -> None:
    (repository / "hooks").mkdir()
    for hook in ("post-index-change", "fsmonitor-watchman"):
        (repository / "hooks" / hook).write_text("#!/bin/sh\ntouch canary\n")
        (repository / "hooks" / hook).chmod(0o755)
    for name, value in SETTINGS.items():
        git("config", name, value)
    state, diff = info.git_state(), info.git_diff()
    assert state is not None and state["dirty"] and diff.count("+gain = 2") == 2
    assert not (repository / "canary").exists()
    subprocess.run(["git", "status"], capture_output=True, check=False)
    assert (repository / "canary").exists(), "git itself does run it"


@needs("git", "--version")
def test_git_reads_no_files_elsewhere(repository: Path, tmp_path: Path) -> None:
    """A repository may say that its files are those of a folder above it."""
    inner = repository / "sent"
    inner.mkdir()
    (repository / ".git").rename(inner / ".git")
    (repository / "agent.txt").write_text("a private line\n")
    os.chdir(inner)
    git("config", "core.worktree", str(repository))
    assert "private" in subprocess.run(["git", "diff"], capture_output=True, text=True, check=True).stdout
    assert info.git_state() is None and info.git_diff() == ""


def test_programs_look_for_no_libraries_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV leaves an empty entry, which is the current folder, to whatever is started after it."""
    monkeypatch.setenv("LD_LIBRARY_PATH", "/somewhere:")
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    said = "import os, sys; print(os.environ['LD_LIBRARY_PATH'], '' in sys.path)"
    with registry.outside_the_folder():
        inside = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True).stdout
    assert inside.split() == ["/somewhere", "False"]
    assert "PYTHONSAFEPATH" not in os.environ


@needs("git", "--version")
def test_no_program_of_the_folder_is_run(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`PATH=$MINE:$PATH` with a variable that is not set begins with the current folder."""
    (repository / "git").write_text("#!/bin/sh\ntouch canary\n")
    (repository / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "")  # git takes that for 0
    state = info.git_state()
    assert state is not None and state["dirty"] and "+gain = 2" in info.git_diff()
    assert not (repository / "canary").exists()
    monkeypatch.setenv("PATH", f"{os.pathsep}{os.environ['PATH']}")
    subprocess.run(["git", "status"], capture_output=True, check=False)
    assert (repository / "canary").exists(), "without rlzoo it is run"


def test_what_libraries_say_of_a_file_steers_no_terminal(workdir: Path) -> None:
    pytest.importorskip("matplotlib")
    (workdir / "matplotlibrc").write_text("backend: \x1b[31mred\x07\n\x1b]0;title: 1\n")
    said = []
    for first in ("", "from rlzoo.console import clean_library_logs; clean_library_logs()"):
        script = [sys.executable, "-c", f"{first}\nimport matplotlib"]
        environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
        said.append(subprocess.run(script, capture_output=True, check=True, env=environment).stderr)
    assert b"\x1b" in said[0] and b"backend" in said[1] and b"\x1b" not in said[1]


def test_numba_takes_no_settings_from_here(workdir: Path) -> None:
    numba = pytest.importorskip("numba")
    import rlzoo.algos.tabular.compiled  # noqa: F401

    (workdir / ".numba_config.yaml").write_text("cache_dir: planted\nchrome_trace: canary\n")
    numba.core.config.reload_config()  # as for every function that it compiles
    assert numba.core.config.CACHE_DIR == ""
    script = "import rlzoo.algos.tabular.compiled as c; print(c.njit, c.compiled(len) is len)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "True"] and not (workdir / "canary").exists()


@pytest.mark.parametrize("place", ["wandb/settings", ".wandb/settings"])
def test_no_key_goes_where_a_folder_says(place: str, workdir: Path) -> None:
    (workdir / place).parent.mkdir()
    (workdir / place).write_text("[default]\nproject = mine\nbase_url = http://127.0.0.1:9\n")
    with pytest.raises(RlzooError, match=f"{place} in the current folder says base_url"):
        open_logger(Run(workdir / "runs"), {}, mode="disabled")
    (workdir / place).unlink()
    os.mkfifo(workdir / place)
    with pytest.raises(RlzooError, match=f"{place} in the current folder is not a file"):
        open_logger(Run(workdir / "runs"), {}, mode="disabled")
