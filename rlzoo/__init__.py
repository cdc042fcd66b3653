"""rlzoo: a Hydra-driven training command line and experiment zoo for deep reinforcement learning.

The functions here are the ones behind the commands: `train`, `tune`, `evaluate`, `enjoy`, `record`, `package`,
`push_to_hub`, `load_from_hub`, `load`, `compose`, and the class `Run`.
Importing this module imports nothing else; each function's parts are imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:  # for editors and type checkers; what there is follows from the rows of the commands
    from rlzoo.evaluation.agent import Agent as Agent
    from rlzoo.hub.agents import load as load
    from rlzoo.hub.package import package as package
    from rlzoo.hub.pull import load_from_hub as load_from_hub
    from rlzoo.hub.push import push_to_hub as push_to_hub
    from rlzoo.play import enjoy as enjoy
    from rlzoo.play import evaluate as evaluate
    from rlzoo.play import record as record
    from rlzoo.runs.run import Run as Run
    from rlzoo.training.preflight import compose as compose
    from rlzoo.training.request import train as train
    from rlzoo.tuning.search import tune as tune

_OTHERS = {
    "Agent": "rlzoo.evaluation.agent:Agent",
    "Run": "rlzoo.runs.run:Run",
    "compose": "rlzoo.training.preflight:compose",
    "load": "rlzoo.hub.agents:load",
}
"""What belongs to no command."""


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return __dir__()
    if name not in (places := _places()):
        raise AttributeError(f"module 'rlzoo' has no attribute {name!r}")
    module, _, attribute = places[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(["__version__", *_places()])


def _places() -> dict[str, str]:
    """Where every function and class is: by text, as nothing below the commands may depend on them."""
    functions: dict[str, str] = import_module("rlzoo.cli.table").functions()
    return {**_OTHERS, **functions}
