"""Names of files that others chose (of an archive, a manifest, a repository), as places inside of one folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

from rlzoo.errors import ExitCode, RlzooError, clean

MAX_BYTES = 200
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
_PART = re.compile(r"[^\s.~\-][^\x00-\x1f\x7f\\/:*?\"<>|]*(?<![\s.])")


def inside(folder: Path, name: str) -> Path:
    """Where a file of that name lies below `folder`, on every system.

    Raises:
        RlzooError: with exit code 7, if the name could lead elsewhere: `..`, absolute, a drive, a stream, a link on the
            way; or is one that some system cannot have: too long, reserved, hidden, with control characters.
    """
    parts = name.split("/")
    plain = all(_PART.fullmatch(part) and part.isprintable() and not _RESERVED.fullmatch(part) for part in parts)
    if not plain or len(name.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise RlzooError(f"the file name {clean(repr(name))[:100]} is not taken", code=ExitCode.UNSAFE)
    path = folder.joinpath(*parts)
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise RlzooError(f"{clean(repr(name))[:100]} lies behind a link that leads elsewhere", code=ExitCode.UNSAFE)
    return path
