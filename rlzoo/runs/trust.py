"""Runs that others made: what their configuration names is not imported.

A run made here is signed (`untrusted.signature`). Of any other, data is read: weights, settings, results.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlzoo import contained, registry
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.runs.run import Run

MOST = 200_000
"""Of anything: an Atari game is cut off after 108,000 frames."""


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
        found += [f"logs to {name}" for name in loggers if name not in registry.OWN_LOGGERS]
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
        *(f"has {key} name a file or a module" for key in registry.places_named(values)),
        *(f"has {key} larger than {MOST:,}" for key in excessive(values)),
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
        if any(type(each) is int and abs(each) > MOST for each in registry.leaves(value))
    ]
