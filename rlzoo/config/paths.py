"""Where configuration lies: rlzoo's own `conf/` and `hyperparams/`, and the folder of the user."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path


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


def short_path(path: Path) -> str:
    """A path as a person would write it: relative to the working directory or to rlzoo's own files if inside."""
    for base in (Path.cwd(), root()):
        if path.is_relative_to(base):
            return str(path.relative_to(base))
    return str(path)


def at_home(path: Path | str) -> Path:
    """The path with a `~` at its beginning expanded; as it is where there is no such user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path.expanduser raises a RuntimeError there
