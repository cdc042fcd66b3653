"""Names to objects: lazy `"module:Attribute"` references and look-ups that suggest the nearest name."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from rlzoo.errors import ExitCode, RlzooError

T = TypeVar("T")

_own_folders: list[str] = []


def load(reference: str) -> Any:
    """Import `"package.module:Attribute"` and return the attribute.

    Raises:
        RlzooError: if the reference is malformed, the module cannot be imported or lacks the attribute.
    """
    from importlib import import_module

    module_name, separator, attribute = reference.partition(":")
    if not (separator and module_name and attribute.isidentifier()):
        raise RlzooError(f"{reference!r} is not of the form package.module:Name")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        raise RlzooError(f"cannot import {module_name!r}: no module named {error.name!r}") from error
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise RlzooError(
            f"module {module_name!r} has no {attribute!r}{did_you_mean(attribute, vars(module))}"
        ) from None


def find_own_modules() -> None:
    """Let the modules of the current folder be imported: an environment, a wrapper or an algorithm of the user's.

    They come last, so that none takes the place of an installed one, under `python -m rlzoo` too.
    """
    try:
        here = str(Path.cwd())
    except FileNotFoundError as error:
        raise RlzooError("the current folder does not exist any more", "cd to one", ExitCode.STORAGE) from error
    is_module = sys.orig_argv[1:3] == ["-m", "rlzoo"]
    if is_module and sys.path[:1] == [here]:
        del sys.path[0]
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
        _own_folders.append(here)


def forget_own_modules() -> None:
    """Undo `find_own_modules`: what lies in the current folder may be a stranger's."""
    while _own_folders:
        folder = _own_folders.pop()
        if folder in sys.path:
            sys.path.remove(folder)


def lookup(table: Mapping[str, T], name: str, kind: str) -> T:
    """`table[name]`, or an error that names the nearest entries. `kind` says what the table holds: "algorithm"."""
    try:
        return table[name]
    except KeyError:
        raise RlzooError(f"unknown {kind} {name!r}{did_you_mean(name, table)}") from None


def nearest(name: str, names: Iterable[str], n: int = 3) -> list[str]:
    """The up to `n` names most like `name`, ignoring case, best first."""
    by_lower = {candidate.lower(): candidate for candidate in names}
    found = get_close_matches(name.lower(), by_lower, n=n, cutoff=0.6)
    found += [lower for lower in by_lower if name and lower.startswith(name.lower()) and lower not in found]
    return [by_lower[lower] for lower in found[:n]]


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A phrase to append to an error: `"; did you mean 'ppo'?"`, or nothing if no name is near."""
    found = nearest(name, names)
    return f"; did you mean {' or '.join(repr(near) for near in found)}?" if found else ""
