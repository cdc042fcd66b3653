"""Agents on this disk that are no runs: a package's folder, a downloaded repository, a single file of weights.

They are read as `load-from-hub` reads a repository, into a run of their own, `hub/local/<name>-<digest>`, where results
and films go too. Nothing is written into the folder that they lie in.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import astuple, replace
from pathlib import Path

from rlzoo import __version__, contained
from rlzoo.console import say, warn
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.hub.formats import read as layouts
from rlzoo.hub.formats.repository import Origin, Repository
from rlzoo.hub.formats.sb3 import STATISTICS
from rlzoo.hub.formats.source import Wishes
from rlzoo.runs.run import Run, folder_name

NAMED = ("env", "algo", "file")
"""Words that say what an agent does not say by itself; where it is a run they are settled."""
ROOT = Path("hub", "local")
"""Where they become runs, below the current folder."""
WEIGHTS = (".zip", ".pt", ".pkl")
"""Kinds of files that agents are in."""
OWN = Path("rlzoo", "checkpoint", "manifest.json")
"""What only a package of rlzoo's has."""
CHUNK = 2**20


def is_agent(path: Path) -> bool:
    """Whether there is something to read at a path: a file of weights, or a folder with one, that is no run's."""
    if path.is_file():
        return path.suffix in WEIGHTS
    if not path.is_dir() or (path / "info.json").is_file():
        return False
    with os.scandir(path) as found:
        return (path / OWN).is_file() or any(Path(entry.name).suffix in WEIGHTS for entry in found)


def read(path: Path, wishes: Wishes) -> Run:
    """The run of an agent on this disk, made when it is first asked for, and again when its files have changed.

    Args:
        path: a file of weights, or a folder with one.
        wishes: what it does not say by itself.

    Raises:
        RlzooError: with exit code 7 if a file is refused, 5 if it is damaged, 2 if it does not say enough.
    """
    _require_no_checkpoint(path.parent if path.is_file() else path)
    try:
        run = _read(path, wishes)
    except RlzooError as error:
        code = ExitCode.WRONG_REQUEST if error.code is ExitCode.HUB else error.code
        raise RlzooError(error.message, error.hint, code) from error
    about = run.read_info()["hub"]
    say(f"{path}: {layouts.TITLES[about['layout']]} layout, as the run {run.path}")
    if path.suffix == ".zip" and not any((path.parent / name).is_file() for name in STATISTICS):
        say("no vec_normalize.pkl lies beside it: its observations are taken as they are")
    for text in about["assumed"]:
        say(f"assumed: {text}")
    for record in about["trusted"]:
        warn(f"unpickled on trust: {record['file']}, SHA-256 {record['sha256'][:16]}…")
    return run


def source(run: Run) -> Path | None:
    """The folder on this disk that a run was read from; None for any other run."""
    about = run.read_info().get("hub")
    return Path(str(about["repo_id"])).resolve() if isinstance(about, dict) and not about.get("commit") else None


def _read(path: Path, wishes: Wishes) -> Run:
    folder = path
    only: tuple[str, ...] = ()
    if path.is_file():
        folder, only = path.parent, layouts.beside(path.name)
        wishes = replace(wishes, file=path.name)
    origin = Origin(str(folder) if folder.name else str(folder.resolve()))
    folder = folder.absolute()  # what is found and replaced in messages
    repository = Repository(folder, origin, only)
    layout = layouts.recognise(repository.names(), file=wishes.file, repo_name=origin.name)
    into = ROOT / f"{_name(path)}-{_digest(repository, layout.files, wishes)}"
    contained.require_way(into)
    if into.absolute().is_relative_to(folder):
        contained.require(into, folder)
    if not into.exists():
        try:
            layouts.read(folder, into, origin=origin, wishes=wishes, only=only)
        except RlzooError:
            if not into.exists():  # another process was not quicker
                raise
    return Run.open(into)


def _require_no_checkpoint(folder: Path) -> None:
    """A checkpoint of a run is better named as such: the run knows its environment and settings."""
    run = folder.resolve().parent.parent
    if folder.resolve().parent.name == "checkpoints" and (run / "info.json").is_file():
        hint = f"run={run} checkpoint={folder.resolve().name}"
        raise RlzooError(f"{folder} is a checkpoint of a run, which knows its environment", hint)


def _name(path: Path) -> str:
    """What the run is called: as the folder, and as the file where that is named."""
    whole = path.resolve()
    return folder_name(f"{whole.parent.name}-{whole.stem}" if path.is_file() else whole.name).strip("-.")[:80]


def _digest(repository: Repository, names: tuple[str, ...], wishes: Wishes) -> str:
    """Of everything that the run is made of: the files that are read, what was wished for, and the reader."""
    digest = hashlib.sha256(repr((__version__, astuple(wishes))).encode())
    for name in names:
        path = repository.need(name)
        digest.update(f"\0{name}\0{path.stat().st_size}\0".encode())
        try:
            with path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    digest.update(chunk)
        except OSError as error:
            raise RlzooError(f"cannot read {path}: {error.strerror}", code=ExitCode.STORAGE) from error
    return digest.hexdigest()[:8]
