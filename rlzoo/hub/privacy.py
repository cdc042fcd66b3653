"""What leaves this machine names nothing of it: no secret, no absolute path."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlzoo import contained
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.redaction import known_secrets, redact, redact_values

_PART = r"[^\s\\/'\"=,;:()<>|{}\[\]]"
_FOLDERS = re.compile(rf"(?<![\w./:~%-])(?:~[\w.-]*)?/(?:{_PART}+/)*(?=[\w.])")
_WINDOWS = re.compile(r"(?<!\w)[A-Za-z]:[\\/](?:[^\s\\/'\"]+[\\/])*")
LOCAL = ("runs_dir", "n_jobs", "launcher", "logger")
"""Settings that say where a training ran and who heard of it; nobody else can use them."""


def portable(value: Any) -> Any:
    """Plain data without secrets; of a path that begins at a root or at home only the last part is left."""
    return _without_folders(redact_values(value))


def portable_text(text: str) -> str:
    """Text without secrets and without the folders of this machine."""
    text = redact(text)
    for folder in _known_folders():
        text = re.sub(rf"{re.escape(folder)}(?:[\\/]{_PART}+)*[\\/](?=[\w.])", "", text)
        text = text.replace(folder, Path(folder).name)
    return _FOLDERS.sub("", _WINDOWS.sub("", text))


def portable_words(words: list[str]) -> list[str]:
    """Words of a command line that mean the same elsewhere, without those that do not or that nobody could type."""
    kept = [word for word in words if word.isprintable() and re.split(r"[.=]", word.lstrip("+~"))[0] not in LOCAL]
    parts = (redact(word).partition("=") for word in kept)
    return [f"{key}{sign}{_without_folders(value)}" for key, sign, value in parts]


def refuse_leaks(folder: Path, *others: Path) -> None:
    """Make sure that no file below a folder holds a secret of this user, or the place of their files.

    Args:
        folder: what is to be published.
        others: further places that no file may name.

    Raises:
        RlzooError: with exit code 7, naming the file.
    """
    secrets = [os.fsencode(secret) for secret in known_secrets()]
    folders = [os.fsencode(f"{path}{os.sep}") for path in (*_known_folders(), *(path.resolve() for path in others))]
    for path in sorted(contained.walk(folder)):
        if not path.is_file():
            continue
        data = path.read_bytes()
        name = path.relative_to(folder).as_posix()
        if any(secret in data for secret in secrets):
            raise RlzooError(f"{name} would hold a secret of yours; it was not written", code=ExitCode.UNSAFE)
        if any(place in data for place in folders):
            raise RlzooError(f"{name} would name a folder of this machine; it was not written", code=ExitCode.UNSAFE)


def _without_folders(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_folders(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_without_folders(child) for child in value]
    if not isinstance(value, str):
        return value
    is_path = re.match(r"(~[\w.-]*)?/[\w.~]|[A-Za-z]:[\\/]", value) and "\n" not in value
    return re.split(r"[\\/]", value.rstrip("\\/"))[-1] if is_path else portable_text(value)


def _known_folders() -> list[str]:
    """This user's home and the current folder, the longest first; short ones such as `/root` name nobody."""
    found = set()
    for place in (Path.home, Path.cwd):
        try:
            found.add(str(place()))
        except (RuntimeError, OSError):
            continue
    return sorted((path for path in found if len(Path(path).parts) > 2), key=len, reverse=True)
