"""rlzoo: a Hydra-driven training command line and experiment zoo for deep reinforcement learning.

The functions here are the ones behind the commands: `train`, `tune`, `evaluate`, `enjoy`, `record`, `package`,
`push_to_hub`, `load_from_hub`, `load`, `compose`, and the class `Run`.
Importing this module imports nothing else; each function's parts are imported when it is first used.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from rlzoo.cli.commands.enjoy import enjoy
    from rlzoo.cli.commands.evaluate import evaluate
    from rlzoo.cli.commands.package import package
    from rlzoo.cli.commands.playing import load
    from rlzoo.cli.commands.push_to_hub import push_to_hub
    from rlzoo.cli.commands.record import record
    from rlzoo.cli.commands.show import compose
    from rlzoo.cli.commands.tune import tune
    from rlzoo.evaluation.agent import Agent
    from rlzoo.hub.pull import load_from_hub
    from rlzoo.runs.run import Run
    from rlzoo.training.request import train

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
    "Agent": "rlzoo.evaluation.agent",
    "Run": "rlzoo.runs.run",
    "compose": "rlzoo.cli.commands.show",
    "enjoy": "rlzoo.cli.commands.enjoy",
    "evaluate": "rlzoo.cli.commands.evaluate",
    "load": "rlzoo.cli.commands.playing",
    "load_from_hub": "rlzoo.hub.pull",
    "package": "rlzoo.cli.commands.package",
    "push_to_hub": "rlzoo.cli.commands.push_to_hub",
    "record": "rlzoo.cli.commands.record",
    "train": "rlzoo.training.request",
    "tune": "rlzoo.cli.commands.tune",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rlzoo' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
