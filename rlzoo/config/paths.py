"""Where configuration lies: rlzoo's own `conf/` and `hyperparams/`, the folder of the user, installed plugins."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path

PLUGINS = "rlzoo.algorithms"


@lru_cache(maxsize=1)
def root() -> Path:
    """The folder that holds rlzoo's `conf/` and `hyperparams/`.

    In an installed wheel it is the package itself, in a checkout or an editable install the package's parent.
    """
    package = Path(__file__).resolve().parent.parent
    return package if (package / "conf").is_dir() else package.parent


def user_roots() -> list[Path]:
    """Folders whose `conf/` and `hyperparams/` add to rlzoo's own and win over them: the current one."""
    here = Path.cwd()
    return [] if here.resolve() == root() else [here]


@cache
def plugin_algorithms() -> dict[str, str]:
    """Name to `"package.module:Class"` of every algorithm that installed packages offer, read without importing them.

    A package offers one with `[project.entry-points."rlzoo.algorithms"]`, `my_algo = "mine.learner:MyAlgo"`,
    and describes its keywords in `mine/conf/algo/my_algo.yaml`.
    """
    if not any(map(_may_offer, sys.path)):
        return {}
    from importlib.metadata import entry_points

    return {entry.name: entry.value for entry in entry_points(group=PLUGINS)}


def _may_offer(folder: str) -> bool:
    """Whether a package in a folder of the search path may offer algorithms; importlib.metadata takes 20 ms to say."""
    try:
        names = os.listdir(folder or ".")  # noqa: PTH208 - five times as fast
    except OSError:
        return os.path.isfile(folder)  # noqa: PTH113 - an archive, as an egg may be one
    for name in names:
        if name.endswith(".egg"):
            return True
        if name.endswith("-info"):
            with suppress(OSError), open(f"{folder or '.'}/{name}/entry_points.txt", "rb") as file:  # noqa: PTH123
                if PLUGINS.encode() in file.read():
                    return True
    return False


@cache
def plugin_roots() -> tuple[Path, ...]:
    """The folders of the packages that offer algorithms; `conf/algo/<name>.yaml` lies below them."""
    roots = []
    for reference in plugin_algorithms().values():
        spec = find_spec(reference.partition(":")[0].partition(".")[0])  # a top package is found without importing it
        if spec is not None and spec.origin is not None:
            roots.append(Path(spec.origin).parent)
    return tuple(dict.fromkeys(roots))


def cache_home() -> Path | None:
    """The folder of the user's caches; None where there is none."""
    folder = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not folder.is_absolute():  # below the current folder, where somebody else's may lie
        folder = at_home("~/.cache")
    return folder if folder.is_absolute() else None


def short_path(path: Path) -> str:
    """A path as a person would write it: relative to the working directory or to rlzoo's own files if inside."""
    with suppress(FileNotFoundError):  # there is a working directory no more
        if path.is_relative_to(Path.cwd()):
            return str(path.relative_to(Path.cwd()))
    if path.is_relative_to(root()):
        return str(path.relative_to(root()))
    return str(path)


def at_home(path: Path | str) -> Path:
    """The path with a `~` at its beginning expanded; as it is where there is no such user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path.expanduser raises a RuntimeError there
