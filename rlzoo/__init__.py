"""rlzoo: a Hydra-driven training command line and experiment zoo for deep reinforcement learning.

The functions here are the ones behind the commands: `train`, `tune`, `evaluate`, `enjoy`, `record`, `package`,
`push_to_hub`, `load_from_hub`, `load`, `compose`, and the class `Run`.
Importing this module imports nothing else; each function's parts are imported when it is first used.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from rlzoo.agent import Agent
    from rlzoo.commands.enjoy import enjoy
    from rlzoo.commands.evaluate import evaluate
    from rlzoo.commands.package import package
    from rlzoo.commands.playing import load
    from rlzoo.commands.push_to_hub import push_to_hub
    from rlzoo.commands.record import record
    from rlzoo.commands.show import compose
    from rlzoo.commands.train import train
    from rlzoo.commands.tune import tune
    from rlzoo.hub.download import load_from_hub
    from rlzoo.runs import Run

__all__ = [
    "Agent",
    "Run",
    "__version__",
    "compose",
    "enjoy",
    "evaluate",
    "load",
    "load_from_hub",
    "package",
    "push_to_hub",
    "record",
    "train",
    "tune",
]

_HOMES = {
    "Agent": "rlzoo.agent",
    "Run": "rlzoo.runs",
    "compose": "rlzoo.commands.show",
    "enjoy": "rlzoo.commands.enjoy",
    "evaluate": "rlzoo.commands.evaluate",
    "load": "rlzoo.commands.playing",
    "load_from_hub": "rlzoo.hub.download",
    "package": "rlzoo.commands.package",
    "push_to_hub": "rlzoo.commands.push_to_hub",
    "record": "rlzoo.commands.record",
    "train": "rlzoo.commands.train",
    "tune": "rlzoo.commands.tune",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rlzoo' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
