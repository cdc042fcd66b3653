"""Modules of the user's own, beside which a command is given: those that its request names are found, and no others.

The current folder is on no search path: what lies in it may be a stranger's, down to files that have the name of an
optional package. Standard library only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

SAFE_PATH = "PYTHONSAFEPATH"
"""With it, `python -c` and `python -m` leave the current folder off their search path."""
SEARCHED = ("PATH", "LD_LIBRARY_PATH")
"""Where programs and libraries are looked for; an empty entry is the current folder, and OpenCV leaves one."""

PACKAGES = frozenset("ale_py gymnasium gymnasium_robotics minigrid panda_gym vizdoom".split())
"""Packages of environments that are known: where they are installed, a run may name them."""

_folders: dict[str, str] = {}
"""Each top-level module that may be found, and the folder that it may lie in."""


class _Finder:
    """Finds these modules where nobody else does: it stands last. What is below a package is found by the package."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        folder = _folders.get(name) if path is None else None
        return None if folder is None else PathFinder.find_spec(name, [folder])


def named(values: Mapping[str, Any]) -> list[str]:
    """What a configuration has imported, checked or not, apart from known packages of environments.

    These are all places where a configuration can name a module: `"module"`, `"package.module"`, `"module:Class"`.
    """
    env, algo = (section if isinstance(section := values.get(key), Mapping) else {} for key in ("env", "algo"))
    prefix = str(env.get("id")).rpartition(":")[0]
    imports, wrappers = env.get("imports"), env.get("wrappers")
    named = [*(imports if isinstance(imports, list | tuple) else [imports]), prefix]
    unknown = [str(name) for name in named if name and str(name).partition(".")[0] not in PACKAGES]
    classes = [str(algo.get("name")), *(map(str, wrappers) if isinstance(wrappers, Mapping) else ())]
    return [*unknown, *(name for name in classes if ":" in name)]


def allow(references: Iterable[str]) -> None:
    """Let the modules that are `named` be imported from the current folder, unless they are installed."""
    names = {reference.partition(":")[0].partition(".")[0] for reference in references}
    if names:
        _find(dict.fromkeys(names, str(Path.cwd())))


def _find(folders: Mapping[str, str]) -> None:
    _folders.update(folders)
    if _Finder in sys.meta_path:
        sys.meta_path.remove(_Finder)
    sys.meta_path.append(_Finder)


def hint(name: str) -> str:
    """What helps where the module `name` is not found."""
    top, _, below = name.partition(".")
    if below or top in _folders or not top.isidentifier():
        return ""
    if PathFinder.find_spec(top, [str(Path.cwd())]) is not None:
        only = "only modules that the request names are imported from the current folder"
        return f"{only}: env.imports=[{top}] names it too, or make a package of them"
    return install(top)


def install(name: str) -> str:
    """The line that installs what has the top-level module `name`; empty if there can be none of that name."""
    return f"pip install {name.replace('_', '-')}" if name.isidentifier() else ""


@dataclass(frozen=True)
class Imports:
    """Where a process finds modules, for another one that it starts."""

    folders: tuple[str, ...]
    own: Mapping[str, str]
    safe_path: str | None

    @classmethod
    def here(cls) -> Imports:
        """Where this process finds them."""
        folders = tuple(folder or str(Path.cwd()) for folder in sys.path)
        return cls(folders, dict(_folders), os.environ.get(SAFE_PATH))

    def apply(self) -> None:
        """Find them there in this process too."""
        here = ("", str(Path.cwd()))  # where `python -m` begins to look
        kept = [folder for folder in sys.path if folder in self.folders or folder not in here]
        sys.path[:] = [*kept, *(folder for folder in self.folders if folder not in kept)]
        _restore_safe_path(self.safe_path)
        if self.own:
            _find(self.own)


def skip_empty_entries() -> None:
    """Look for programs and libraries no more in the current folder, which an empty entry means and nobody meant."""
    for name in SEARCHED:
        if name in os.environ:
            os.environ[name] = os.pathsep.join(filter(None, os.environ[name].split(os.pathsep)))


@contextmanager
def outside_the_folder() -> Iterator[None]:
    """What is started within it finds neither modules nor libraries nor programs in the current folder.

    In a Python that is started so, `Imports.apply` makes the variables those of this process again.
    """
    skip_empty_entries()
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        _restore_safe_path(before)


def _restore_safe_path(value: str | None) -> None:
    if value is None:
        os.environ.pop(SAFE_PATH, None)
    else:
        os.environ[SAFE_PATH] = value
