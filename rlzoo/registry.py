"""Names to objects: lazy `"module:Attribute"` references and look-ups that suggest the nearest name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from rlzoo import own_modules
from rlzoo.errors import RlzooError

T = TypeVar("T")


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
        hint = own_modules.hint(str(error.name))
        raise RlzooError(f"cannot import {module_name!r}: no module named {error.name!r}", hint) from error
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise RlzooError(
            f"module {module_name!r} has no {attribute!r}{did_you_mean(attribute, vars(module))}"
        ) from None


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


def version_of(distribution: str) -> str | None:
    """The version of an installed package; None if it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A phrase to append to an error: `"; did you mean 'ppo'?"`, or nothing if no name is near."""
    found = nearest(name, names)
    return f"; did you mean {' or '.join(repr(near) for near in found)}?" if found else ""
