"""A folder of files that somebody published; each is opened only if its name, kind and size are fine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rlzoo import contained
from rlzoo.config import yaml_file
from rlzoo.errors import ExitCode, RlzooError, clean
from rlzoo.runs import checkpoints
from rlzoo.untrusted import pickle_files
from rlzoo.untrusted.file_names import inside

LIMITS = {
    ".zip": 512 * 2**20,
    ".pt": 128 * 2**20,
    ".pkl": pickle_files.MAX_BYTES,
    ".safetensors": checkpoints.MAX_PART,
    ".json": checkpoints.MAX_JSON,
    ".yml": yaml_file.MAX_BYTES,
    ".yaml": yaml_file.MAX_BYTES,
    ".md": 2**20,
    ".csv": 64 * 2**20,
}
"""Bytes that a file of each kind may have; others are not taken."""
MAX_SHOWN = 20
MAX_FILES = 10_000
"""Files that a folder may hold: a package has a few dozen, a home hundreds of thousands."""


@dataclass(frozen=True)
class Origin:
    """Where files come from: a repository of the Hub at one commit, or a folder.

    Attributes:
        repo_id: `owner/name`; the folder's path where there is no repository.
        commit: all of its 40 digits; empty for a folder.
        revision: what was asked for: a branch, a tag, a commit.
    """

    repo_id: str
    commit: str = ""
    revision: str | None = None

    @property
    def name(self) -> str:
        """The repository's name without its owner."""
        return self.repo_id.rpartition("/")[2]

    def __str__(self) -> str:
        return f"{self.repo_id} at commit {self.commit[:8]}" if self.commit else self.repo_id


@dataclass(frozen=True)
class Repository:
    """Published files in a folder.

    Attributes:
        folder: where they lie.
        origin: where they come from.
        only: the names that count, if not all do.
    """

    folder: Path
    origin: Origin
    only: tuple[str, ...] = ()

    def names(self) -> list[str]:
        """The names of all files, relative to the folder; links are named, never followed.

        Raises:
            RlzooError: if there are more than anybody would publish.
        """
        if self.only:
            return sorted(name for name in self.only if os.path.lexists(self.folder / name))
        found: list[str] = []
        for number, path in enumerate(contained.walk(self.folder, hidden=False), 1):
            if not path.is_dir() or path.is_symlink():
                found.append(path.relative_to(self.folder).as_posix())
            if number > MAX_FILES:
                raise RlzooError(f"{self.origin} holds more than {MAX_FILES:,} files", "name the folder of one agent")
        return sorted(found)

    def find(self, name: str) -> Path | None:
        """The file of that name, None if there is none.

        Raises:
            RlzooError: with exit code 7, if the name leads out of the folder, or the file is a link or too large.
        """
        if self.only and name not in self.only:
            return None
        path = inside(self.folder, name)
        if path.is_symlink():
            raise RlzooError(f"{clean(name)[:100]} of {self.origin} is a link, no file", code=ExitCode.UNSAFE)
        if not path.is_file():
            return None
        check_size(name, path.stat().st_size, self.origin)
        return path

    def need(self, name: str) -> Path:
        """The file of that name.

        Raises:
            RlzooError: as `find` does, and if there is none.
        """
        path = self.find(name)
        if path is None:
            raise RlzooError(
                f"{self.origin} has no {clean(name)[:100]}", f"it has: {shown(self.names())}", ExitCode.HUB
            )
        return path


def check_size(name: str, size: int, origin: Origin) -> None:
    """Refuse a file that is larger than any of its kind.

    Raises:
        RlzooError: with exit code 7.
    """
    limit = LIMITS.get(PurePosixPath(name).suffix, 0)
    if size > limit:
        text = f"{clean(name)[:100]} of {origin} has {size:,} bytes; at most {limit:,} are read of such a file"
        raise RlzooError(text, code=ExitCode.UNSAFE)


def shown(names: list[str]) -> str:
    """Names of files for a message."""
    if not names:
        return "no files"
    more = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
    return ", ".join(" ".join(clean(name).split())[:80] for name in names[:MAX_SHOWN]) + more
