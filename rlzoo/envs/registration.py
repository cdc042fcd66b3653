"""Makes environment ids known to Gymnasium: those of imported packages, and rlzoo's own."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec

from rlzoo.errors import ExitCode, RlzooError

OWN = ("TaxiMasked-v0", "BitFlipping-v0")


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


def _import(module: str) -> None:
    try:
        imported = import_module(module)
    except ModuleNotFoundError as error:
        raise RlzooError(f"no module named {error.name!r}", f"pip install {module}", ExitCode.MISSING) from error
    except Exception as error:
        raise RlzooError(f"importing {module} failed: {type(error).__name__}: {error}") from error
    if module == "ale_py":  # the emulator greets on every start
        imported.ALEInterface.setLoggerMode(imported.LoggerMode.Error)


def _register_own() -> None:
    import gymnasium
    from gymnasium.envs.registration import WrapperSpec

    if "TaxiMasked-v0" not in gymnasium.registry:
        masks = WrapperSpec("ActionMasks", "rlzoo.envs.adapters:ActionMasks", {})
        gymnasium.register(
            id="TaxiMasked-v0",
            entry_point="gymnasium.envs.toy_text:TaxiEnv",
            max_episode_steps=200,
            additional_wrappers=(masks,),
        )
    if "BitFlipping-v0" not in gymnasium.registry:
        gymnasium.register(
            id="BitFlipping-v0",
            entry_point="stable_baselines3.common.envs:BitFlippingEnv",
            disable_env_checker=True,  # it declares no render modes
        )
