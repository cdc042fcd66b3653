"""Runs that others made: what their configuration names is not imported.

A run made here is signed (`untrusted.signature`). Of any other, data is read: weights, settings, results.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from rlzoo import contained, registry
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.runs.run import Run

OWN_FILES = ("csv", "tensorboard")
"""Loggers that write into the run's folder only."""
MOST = 200_000
"""Of anything: an Atari game is cut off after 108,000 frames."""
_OF_PLACES = frozenset(":/\\")
"""Characters of module:Class and of paths."""


def require_trusted(
    run: Run, values: Mapping[str, Any], *, own: bool = False, trust: bool = False, training: bool = False
) -> None:
    """Let a run be used whose code and places are the user's own, or trusted.

    Only of such a run the modules that it names may be found in the current folder.

    Args:
        run: the run.
        values: its configuration.
        own: that this user has signed what these values were read from.
        trust: that the user has asked for it, for this run.
        training: it will be trained on, so its loggers are opened.

    Raises:
        RlzooError: with exit code 7, naming everything that only a trusted run may have, or links that lead out of it,
            which no run may have.
    """
    contained.require_whole(run.path)  # of one's own too: only its configuration is signed
    if trust is True or own:
        registry.allow_imports(registry.modules_named(values))
        return
    found = foreign(values)
    loggers = values.get("logger")
    if training and isinstance(loggers, Mapping):
        found += [f"logs to {name}" for name in loggers if name not in OWN_FILES]
    if found:
        raise RlzooError(
            f"{run.path} was not made here, and {'; '.join(found)}",
            "trust=true uses it all the same, which may run whatever its author put into it",
            ExitCode.UNSAFE,
        )


def foreign(values: Mapping[str, Any]) -> list[str]:
    """What a configuration has that only a trusted one may have, each as it follows its name in a message."""
    return [
        *(f"imports {name}" for name in registry.modules_named(values)),
        *(f"has {key} name a file or a module" for key in naming(values)),
        *(f"has {key} larger than {MOST:,}" for key in excessive(values)),
    ]


def naming(values: Mapping[str, Any]) -> list[str]:
    """Keys of an environment's keywords with a text that names a file or a module.

    An environment opens the files that it is told to: a model in which more are named, or settings that name a program.
    A mere word names one if there is something of that name in the current folder.
    """
    env = values.get("env")
    kwargs = env.get("kwargs") if isinstance(env, Mapping) else None
    return [
        f"env.kwargs.{key}" for key, value in (kwargs.items() if isinstance(kwargs, Mapping) else ()) if _names(value)
    ]


def excessive(values: Mapping[str, Any]) -> list[str]:
    """Keys of an environment's keywords and wrappers with a whole number that may keep a single step busy for hours.

    An environment does what it is told in one call, and a simulator's library in one that Ctrl-C does not reach.
    """
    env = values.get("env")
    sections = [(name, env.get(name)) for name in ("kwargs", "wrappers")] if isinstance(env, Mapping) else []
    return [
        f"env.{name}.{key}"
        for name, section in sections
        for key, value in (section.items() if isinstance(section, Mapping) else ())
        if any(type(each) is int and abs(each) > MOST for each in _leaves(value))
    ]


def _names(value: Any) -> bool:
    return any(
        text.startswith((".", "~")) or _OF_PLACES.intersection(text) or os.path.lexists(text)
        for text in _leaves(value)
        if isinstance(text, str)
    )


def _leaves(value: Any) -> Iterator[Any]:
    """Keys and values that hold no others."""
    if isinstance(value, Mapping):
        yield from _leaves([*value, *value.values()])
    elif isinstance(value, list | tuple):
        for child in value:
            yield from _leaves(child)
    else:
        yield value
