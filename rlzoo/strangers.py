"""Runs that others made: what their configuration names is not imported.

A run made here says so by its signature (`rlzoo.origin`). Of any other, data is read: weights, settings, results.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlzoo import contained, own_modules
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.runs import Run

OWN_FILES = ("csv", "tensorboard")
"""Loggers that write into the run's folder only."""


def admit(
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
        own_modules.allow(own_modules.named(values))
        return
    found = [f"imports {name}" for name in own_modules.named(values)]
    loggers = values.get("logger")
    if training and isinstance(loggers, Mapping):
        found += [f"logs to {name}" for name in loggers if name not in OWN_FILES]
    if found:
        raise RlzooError(
            f"{run.path} was not made here, and {'; '.join(found)}",
            "trust=true uses it all the same, which may run whatever its author put into it",
            ExitCode.UNSAFE,
        )
