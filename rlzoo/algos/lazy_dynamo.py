"""Keeps torch's compiler from being loaded before somebody compiles. Standard library only.

The first optimizer of a process imports `torch._dynamo`, and sympy with it: a second of CPU, only to ask for what does
nothing outside a compilation. The module that stands in for it answers these two calls and becomes the real one as soon
as anything else is wanted. A version of torch that asks for more loads the real one: slower, never wrong.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

NAME = "torch._dynamo"


def install() -> None:
    """Let the module stand in, unless torch's own is loaded."""
    if NAME not in sys.modules:
        sys.modules[NAME] = _LazyDynamo(NAME)


class _LazyDynamo(ModuleType):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, None)
        self._asked: list[Any] = []

    def graph_break(self, msg: str = "") -> None:
        """Do nothing, as nothing is compiled."""
        sys.modules["torch"]._dynamo = self  # type: ignore[attr-defined] # found at once from here on

    def disable(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
        """Give `function` back, which torch keeps as its attribute `__dynamo_disable`."""
        self._asked.append(function)
        return function

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":
            raise AttributeError(name)  # somebody looks through all modules
        return getattr(self._load(), name)

    def _load(self) -> ModuleType:
        if sys.modules.get(NAME) is self:
            del sys.modules[NAME]
            for function in self._asked:
                vars(function).pop("__dynamo_disable", None)  # to be asked for again
        real = importlib.import_module(NAME)
        sys.modules["torch"]._dynamo = real  # type: ignore[attr-defined]
        return real
