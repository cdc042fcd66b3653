"""Runs that others made: what their configuration names is not imported.

A run made here says so by its signature (`rlzoo.origin`). Of any other, data is read: weights, settings, results.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlzoo import contained, registry
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.runs import Run

PACKAGES = frozenset("ale_py gymnasium gymnasium_robotics minigrid panda_gym vizdoom".split())
"""Packages of environments that are known: where they are installed, a run may name them."""
OWN_FILES = ("csv", "tensorboard")
"""Loggers that write into the run's folder only."""


def admit(run: Run, values: Mapping[str, Any], *, trust: bool = False, training: bool = False) -> None:
    """Let a run be used whose code and places are the user's own, or trusted.

    For any other run the current folder is taken off the import path too.

    Args:
        run: the run.
        values: its configuration.
        trust: that the user has asked for it, for this run.
        training: it will be trained on, so its loggers are opened.

    Raises:
        RlzooError: with exit code 7, naming everything that only a trusted run may have, or links that lead out of it,
            which no run may have.
    """
    contained.require_whole(run.path)  # of one's own too: only its configuration is signed
    if trust is True or run.is_own():
        return
    registry.forget_own_modules()
    found = [f"imports {name}" for name in modules(values)]
    loggers = values.get("logger")
    if training and isinstance(loggers, Mapping):
        found += [f"logs to {name}" for name in loggers if name not in OWN_FILES]
    if found:
        raise RlzooError(
            f"{run.path} was not made here, and {'; '.join(found)}",
            "trust=true uses it all the same, which may run whatever its author put into it",
            ExitCode.UNSAFE,
        )


def modules(values: Mapping[str, Any]) -> list[str]:
    """What a configuration has imported, checked or not, apart from known packages of environments."""
    env, algo = (section if isinstance(section := values.get(key), Mapping) else {} for key in ("env", "algo"))
    prefix = str(env.get("id")).rpartition(":")[0]
    imports, wrappers = env.get("imports"), env.get("wrappers")
    named = [*(imports if isinstance(imports, list | tuple) else [imports]), prefix]
    unknown = [str(name) for name in named if name and str(name).partition(".")[0] not in PACKAGES]
    classes = [str(algo.get("name")), *(map(str, wrappers) if isinstance(wrappers, Mapping) else ())]
    return [*unknown, *(name for name in classes if ":" in name)]
