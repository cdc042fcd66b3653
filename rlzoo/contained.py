"""Files of one folder (a run, a checkpoint, a package), read and written without leaving it by a link.

The folder itself, and those above it, may be links: where runs lie is the user's own word. Standard library only.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from rlzoo.errors import ExitCode, RlzooError, clean

MARKS = (("config.yaml", "info.json"), ("study.yaml",), ("manifest.json", "algorithm.json"), ("rlzoo/info.json",))
"""Files by which a run, a study, a checkpoint and a package are known: somebody else may have filled such a folder."""
HINT = "put the file or folder itself there; only a whole run, or the folder of all runs, may be a link"
MAX_SHOWN = 5
MAX_DEPTH = 64
"""Folders in each other: rlzoo makes five or six, and what empties a folder may follow a thousand only."""
MAX_NAME = 200
"""Bytes of the name of a file that others chose."""
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
_PART = re.compile(r"[^\s.~\-][^\x00-\x1f\x7f\\/:*?\"<>|]*(?<![\s.])")


def require(path: Path, home: Path) -> None:
    """Make sure that `path` lies in `home`, wherever links on the way between the two lead.

    Raises:
        RlzooError: with exit code 7.
    """
    if not _is_within(path, home):
        raise RlzooError(f"{path} is a link, or lies behind one, that leads out of {home}", HINT, ExitCode.UNSAFE)


def require_way(path: Path) -> None:
    """Make sure that no run, study, checkpoint or package on the way to `path` leads out of itself by a link.

    Raises:
        RlzooError: with exit code 7.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - as it is written: links are what this is about
    for home in path.parents:
        with suppress(OSError):  # no such folder can be: whoever makes it will say so
            if not any(all((home / name).is_file() for name in names) for names in MARKS):
                continue
            require(path, home)


def inside(folder: Path, name: str) -> Path:
    """Where a file of a name that others chose (in an archive, a manifest, a repository) lies below `folder`.

    Raises:
        RlzooError: with exit code 7, if the name could lead elsewhere: `..`, absolute, a drive, a stream, a link on the
            way; or is one that some system cannot have: too long, reserved, hidden, with control characters.
    """
    parts = name.split("/")
    plain = all(_PART.fullmatch(part) and part.isprintable() and not _RESERVED.fullmatch(part) for part in parts)
    if not plain or len(name.encode("utf-8", "surrogatepass")) > MAX_NAME:
        raise RlzooError(f"the file name {clean(repr(name))[:100]} is not taken", code=ExitCode.UNSAFE)
    path = folder.joinpath(*parts)
    if not _is_within(path, folder):
        raise RlzooError(f"{clean(repr(name))[:100]} lies behind a link that leads elsewhere", code=ExitCode.UNSAFE)
    return path


def walk(home: Path, *, hidden: bool = True) -> Iterator[Path]:
    """Everything below a folder, however deep: files, folders, and links, which are not followed.

    Args:
        home: the folder.
        hidden: look into folders whose names begin with a dot.
    """
    waiting = [home]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:  # as good as empty to everybody
            continue
        for entry in entries:
            yield Path(entry.path)
            if entry.is_dir(follow_symlinks=False) and (hidden or not entry.name.startswith(".")):
                waiting.append(Path(entry.path))


def require_whole(home: Path) -> None:
    """Make sure that no link in a folder leads out of it, and that it is not deeper than anybody can handle.

    Raises:
        RlzooError: with exit code 7, naming what does.
    """
    found = sorted(leading_out(home))
    if found:
        more = f" and {len(found) - MAX_SHOWN} more" if len(found) > MAX_SHOWN else ""
        names = ", ".join(clean(name) for name in found[:MAX_SHOWN])
        raise RlzooError(f"{home} has a link to a place outside of it: {names}{more}", HINT, ExitCode.UNSAFE)


def leading_out(home: Path) -> Iterator[str]:
    """Links below a folder that lead out of it, by their paths relative to it."""
    for path in walk(home):
        name = path.relative_to(home)
        if len(name.parts) > MAX_DEPTH:
            where = home.joinpath(*name.parts[:3])
            raise RlzooError(f"{where} holds folders in folders, {MAX_DEPTH} deep", "move it away", ExitCode.UNSAFE)
        if path.is_symlink() and not _is_within(path, home):
            yield str(name)


def read(path: Path, home: Path, limit: int) -> bytes:
    """The bytes of a file.

    Args:
        path: a file.
        home: the folder that it has to lie in.
        limit: bytes that it may have.

    Raises:
        OSError: if it cannot be read, or is not a file but a pipe, say, which would never end.
        ValueError: if it is larger.
        RlzooError: with exit code 7, if a link leads out of `home`.
    """
    require(path, home)
    with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError("it is not a file")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"it is larger than {limit / 2**20:g} MiB")
    return data


def opened(path: Path, mode: str, **options: Any) -> IO[Any]:
    """`path.open(mode, ...)`, but a link in the place of the file is an OSError, and so is a pipe."""
    return open(path, mode, opener=_plain_file, **options)


@contextmanager
def replacing(
    target: Path, settle: Callable[[], None] = lambda: None, *, hint: str | None = None, new_only: bool = False
) -> Iterator[Path]:
    """A new hidden folder beside `target`, which takes its place as a whole when the block ends without an error.

    Else `target` is as it was, and nothing is left of the new folder nor of parents that were made for it.

    Args:
        target: the folder to make or to replace.
        settle: called when the new folder is in its place and the old one is still there under another name.
        hint: with it, an OSError on the way becomes an error for the user.
        new_only: a `target` that is there by then is an OSError.
    """
    nonce = os.urandom(4).hex()
    new, old = (target.with_name(f".{target.name}.{nonce}.{what}") for what in ("new", "old"))
    made = [parent for parent in target.parents if not parent.exists()]  # the innermost first
    try:
        new.mkdir(parents=True)
        yield new
        if target.exists() and not new_only:
            target.rename(old)
        new.rename(target)
        settle()
    except BaseException as error:
        if old.exists() and not target.exists():
            old.rename(target)
        shutil.rmtree(new, ignore_errors=True)
        for parent in made:
            with suppress(OSError):  # what is in it stays
                parent.rmdir()
        if hint is not None and isinstance(error, OSError):
            raise RlzooError(f"cannot write {target}: {error.strerror or error}", hint, ExitCode.STORAGE) from error
        raise
    shutil.rmtree(old, ignore_errors=True)


def damaged(path: Path, reason: str) -> RlzooError:
    """The error that a file is not what rlzoo wrote."""
    return RlzooError(f"{path} is damaged: {reason}", "restore it, or move it away", ExitCode.STORAGE)


def _is_within(path: Path, home: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(home))


def _plain_file(path: str, flags: int) -> int:
    handle = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o666)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not a file", path)
    return handle
