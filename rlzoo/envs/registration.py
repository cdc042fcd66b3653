"""Makes environment ids known to Gymnasium, those of imported packages and rlzoo's own, and explains unknown ones."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rlzoo import registry
from rlzoo.config import aliases, env_names
from rlzoo.errors import ExitCode, Problem, RlzooError, line_in, relative, said
from rlzoo.processes import engines
from rlzoo.registry import did_you_mean, nearest


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


def processes_held(env_id: str, imports: Iterable[str], wrappers: Iterable[str] = ()) -> AbstractContextManager[None]:
    """Within it an environment may start processes: none outlives this one. Where none are started it costs nothing."""
    import gymnasium  # noqa: F401 - it knows of which module an environment is

    return engines.held() if may_start_processes(env_id, imports, wrappers) else nullcontext()


def may_start_processes(env_id: str, imports: Iterable[str], wrappers: Iterable[str] = ()) -> bool:
    """Whether an environment may start processes, as far as is known before anything of it is imported."""
    prefix, _, name = env_id.rpartition(":")
    gymnasium = sys.modules.get("gymnasium")
    spec = gymnasium.registry.get(name) if gymnasium is not None else None
    modules = [*imports, *([prefix] if prefix else []), *(wrapper for wrapper in wrappers if ":" in wrapper)]
    if spec is not None:
        modules.append(spec.entry_point if isinstance(spec.entry_point, str) else "")
    return any(registry.top_of(module) not in _START_NONE for module in modules)


def creator(entry_point: Any) -> Any:
    """What makes an environment: mostly its class.

    Raises:
        RlzooError: if it is not there, or its module fails on import.
    """
    if entry_point is None:
        raise RlzooError(
            "it has a vector_entry_point only", "register it with entry_point=…, which makes one environment"
        )
    if not isinstance(entry_point, str):
        return entry_point
    module = entry_point.partition(":")[0]
    if module == entry_point and "." in module:
        hint = f'entry_point="{":".join(module.rsplit(".", 1))}", with a colon before the class'
        raise RlzooError(f"its entry_point is wrong: {module!r} is not of the form package.module:Name", hint)
    try:
        _import(module)
        return registry.load(entry_point)
    except RlzooError as error:
        cause = error.__cause__
        missing = str(cause.name) if isinstance(cause, ModuleNotFoundError) else ""
        if cause is not None and not (missing and f"{module}.".startswith(f"{missing}.")):
            raise  # of what it imports, or does besides
        code = error.code if missing and "." not in missing else ExitCode.WRONG_REQUEST
        raise RlzooError(f"its entry_point is wrong: {error.message}", error.hint, code) from cause


def where_registered(text: str, modules: Iterable[str]) -> str:
    """The line of one of these modules that has a text, an entry point say; empty where none is."""
    for module in modules:
        file = getattr(sys.modules.get(module), "__file__", None)
        with suppress(OSError, UnicodeDecodeError):
            lines = Path(file).read_text(encoding="utf-8").splitlines() if file else []
            for number in (number for number, line in enumerate(lines, 1) if text and text in line):
                return line_in(str(file), number)
    return ""


def unknown(env_id: str, imports: Sequence[str] = ()) -> Problem:
    """What to say about an id that Gymnasium does not know, even after these imports and that of its own module."""
    import gymnasium

    prefix, _, name = env_id.rpartition(":")
    modules = [*imports, *([prefix] if prefix else [])]
    if modules and registry.KNOWN_PACKAGES.isdisjoint(modules):
        return _not_registered(name, modules, f"{prefix}:" if prefix else "")

    short_names = env_names.short_names()
    message = f"{name!r} is not known to Gymnasium"
    if (near := nearest(name, short_names.values(), 1)) and near[0].lower() == name.lower():
        return Problem("env.id", message, f"it is shipped under this short name: env={near[0]}")
    for pattern, module, hint in env_names.ELSEWHERE:
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


def _not_registered(name: str, modules: Sequence[str], prefix: str) -> Problem:
    """What to say of an id that modules of the user's own should have registered."""
    import gymnasium

    tops, said = {registry.top_of(module): None for module in modules}, " and ".join(modules)
    for top in tops:
        imported = getattr(sys.modules[top], "__file__", None) or "built into Python"
        own = next((path for path in (f"{top}.py", f"{top}/__init__.py") if Path(path).is_file()), None)
        if own is not None and imported != str(Path(own).absolute()):
            message = f"{name!r} is not known to Gymnasium: the module {top} is {relative(imported)}, and not {own}"
            return Problem("env.id", message, f"rename {own}: what Python has, or is installed, comes first")
    registered = [spec.id for spec in gymnasium.registry.values() if registry.top_of(spec.entry_point) in tops]
    if near := nearest(name, registered, 1) or registered[:5]:
        message = f"{name!r} is not known to Gymnasium: {said} registers {', '.join(map(repr, near))}"
        return Problem("env.id", message, f"env.id={prefix}{near[0]}")
    made = [
        f"{kind.__module__}:{kind.__qualname__}"
        for module in modules
        for kind in vars(sys.modules[module]).values()
        if isinstance(kind, type) and issubclass(kind, gymnasium.Env) and registry.top_of(kind) in tops
    ]
    new = name if "-v" in name else f"{name}-v0"
    register = f'gymnasium.register("{new}", entry_point="{made[-1] if made else "module:Class"}")'
    message = f"{name!r} is not known to Gymnasium: {said} registers nothing"
    if where := where_registered('if __name__ == "__main__":', modules):
        hint = 'what stands below `if __name__ == "__main__":` runs in a script only: call gymnasium.register above it'
        return Problem("env.id", message, hint, where)
    return Problem("env.id", message, f"write {register} there, and env.id={prefix}{new} here")


def _import(module: str) -> None:
    from rlzoo.envs.surroundings import importing  # which takes NumPy

    try:
        with nullcontext() if registry.top_of(module) in _START_NONE else importing():
            imported = import_module(module)
    except ModuleNotFoundError as error:
        hint = registry.import_hint(str(error.name))
        if error.name == "gym":
            hint = f"{module} is of the old Gym API, which is wrapped: import gymnasium as gym in it, or install gym"
        code = ExitCode.WRONG_REQUEST if "." in str(error.name) else ExitCode.MISSING
        raise RlzooError(f"no module named {error.name!r}", hint, code) from error
    except (Exception, SystemExit) as error:
        lacks = type(error).__name__ == "DependencyNotInstalled"  # of gymnasium, which need not be imported yet
        code = ExitCode.MISSING if lacks else ExitCode.WRONG_REQUEST
        raise RlzooError(f"importing {module} failed: {said(error)}", code=code) from error
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
    "Pixelcopter-PLE-v0": {"entry_point": "rlzoo.envs.games.pixelcopter:Pixelcopter", "max_episode_steps": 10_000},
    "CheeseMaze-v0": {"entry_point": "rlzoo.envs.games.cheese_maze:CheeseMaze", "max_episode_steps": 5},
    "AliasedGridworld-v0": {
        "entry_point": "rlzoo.envs.games.aliased_gridworld:AliasedGridworld",
        "max_episode_steps": 20,
    },
}
"""Ids of rlzoo's own to what Gymnasium's `register` takes; wrappers by name and entry point."""


_START_NONE = ("gymnasium", "ale_py", "stable_baselines3", "rlzoo", "gymnasium_robotics", "panda_gym")
"""Packages whose environments run in the process that makes them, and in no other."""


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
