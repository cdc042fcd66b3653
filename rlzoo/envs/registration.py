"""Makes environment ids known to Gymnasium, those of imported packages and rlzoo's own, and explains unknown ones."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from rlzoo.envs import aliases, shipped
from rlzoo.errors import ExitCode, Problem, RlzooError
from rlzoo.registry import did_you_mean, nearest

_ELSEWHERE = (
    (re.compile(r"ALE/|.*NoFrameskip-v\d"), "ale_py", "it is an Atari game: env=atari env.id={id}"),
    (re.compile(r"Panda"), "panda_gym", "env.imports=[panda_gym] registers it"),
    (
        re.compile(r"Fetch|Hand|AntMaze|PointMaze|Adroit|FrankaKitchen"),
        "gymnasium_robotics",
        "env.imports=[gymnasium_robotics] registers it",
    ),
    (re.compile(r"MiniGrid-|BabyAI-"), "minigrid", "env.imports=[minigrid] registers it"),
    (re.compile(r"Vizdoom"), "vizdoom.gymnasium_wrapper", "env.imports=[vizdoom.gymnasium_wrapper] registers it"),
)
"""Ids that a package registers once it is imported, and what to do about them until then."""


def package_of(env_id: str) -> str | None:
    """The module that registers an id once it is imported, of those that are known; None for any other id."""
    return next((module for pattern, module, _ in _ELSEWHERE if pattern.match(env_id)), None)


def installed(module: str) -> bool:
    """Whether a module can be imported; of `a.b` only `a` is looked for, so that nothing is imported to find out."""
    package = module.partition(".")[0]
    if package in sys.modules:
        return sys.modules[package] is not None
    return find_spec(package) is not None


def register(imports: Iterable[str] = ()) -> None:
    """Import the modules that register environments, and register rlzoo's own.

    Raises:
        RlzooError: if a module is missing or fails on import.
    """
    for module in imports:
        _import(module)
    _register_own()


def unknown(name: str) -> Problem:
    """What to say about an id that Gymnasium does not know."""
    import gymnasium

    short_names = shipped.short_names()
    message = f"{name!r} is not known to Gymnasium"
    if (near := nearest(name, short_names.values(), 1)) and near[0].lower() == name.lower():
        return Problem("env.id", message, f"it is shipped under this short name: env={near[0]}")
    for pattern, module, hint in _ELSEWHERE:
        if module not in sys.modules and pattern.match(name):
            return Problem("env.id", message, hint.format(id=name))
    versions = sorted(
        (int(known.version or 0), known.id)
        for known in gymnasium.registry.values()
        if f"{known.namespace}/{known.name}" in (f"None/{name}", name) and known.version is not None
    )
    if versions:
        newest = versions[-1][1]
        choice = f"env={short_names[newest]}" if newest in short_names else f"env.id={newest}"
        return Problem("env.id", f"{name!r} does not say which version", f"use {choice}")
    known_ids = {known for known in gymnasium.registry if aliases.resolve(known) is None} | set(short_names)
    hint = "a package's own environments: env.id=package:Env-v0, or env.imports=[package]"
    return Problem("env.id", message + did_you_mean(name, known_ids), hint)


def _import(module: str) -> None:
    try:
        imported = import_module(module)
    except ModuleNotFoundError as error:
        raise RlzooError(f"no module named {error.name!r}", f"pip install {module}", ExitCode.MISSING) from error
    except Exception as error:
        raise RlzooError(f"importing {module} failed: {type(error).__name__}: {error}") from error
    if module == "ale_py":  # the emulator greets on every start
        imported.ALEInterface.setLoggerMode(imported.LoggerMode.Error)


_OWN: dict[str, dict[str, Any]] = {
    "TaxiMasked-v0": {
        "entry_point": "gymnasium.envs.toy_text:TaxiEnv",
        "max_episode_steps": 200,
        "wrappers": [("ActionMasks", "rlzoo.envs.adapters:ActionMasks")],
    },
    "BitFlipping-v0": {
        "entry_point": "stable_baselines3.common.envs:BitFlippingEnv",
        "disable_env_checker": True,  # it declares no render modes
    },
    "Pixelcopter-PLE-v0": {"entry_point": "rlzoo.envs.pixelcopter:Pixelcopter", "max_episode_steps": 10_000},
    "CheeseMaze-v0": {"entry_point": "rlzoo.envs.cheese_maze:CheeseMaze", "max_episode_steps": 5},
    "AliasedGridworld-v0": {"entry_point": "rlzoo.envs.aliased_gridworld:AliasedGridworld", "max_episode_steps": 20},
}
"""Ids of rlzoo's own to what Gymnasium's `register` takes; wrappers by name and entry point."""


def is_own(env_id: str) -> bool:
    """Whether the environment is registered by rlzoo itself."""
    return env_id in _OWN


def _register_own() -> None:
    import gymnasium
    from gymnasium.envs.registration import WrapperSpec

    for env_id, given in _OWN.items():
        if env_id not in gymnasium.registry:
            options = {key: value for key, value in given.items() if key != "wrappers"}
            wrappers = tuple(WrapperSpec(name, entry_point, {}) for name, entry_point in given.get("wrappers", ()))
            gymnasium.register(id=env_id, additional_wrappers=wrappers, **options)
