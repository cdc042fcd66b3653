"""Functions that numba compiles where it is installed, and that run as they stand where it is not.

Both give the same numbers, as all chance comes from a `np.random.Generator` that is passed in, and by `random()` alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

SETTINGS = ".numba_config.yaml"
"""What numba reads in the current folder, whoever put it there: where to unpickle compiled functions from, for one."""

try:
    if Path(SETTINGS).exists():
        raise ImportError
    from numba import njit
    from numba.core import config

    config._config_fname = ""  # it would be looked for again whenever a function is compiled
except ImportError:
    njit = None  # type: ignore[assignment]

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a function over arrays, named tuples of arrays, numbers and generators when it is first called.

    Not in a folder with settings for numba, which are not ours to follow.

    The machine code is kept beside the source, or in the user's cache folder where that cannot be written. It is made
    again when the file of the function changes; after a change in another file that it calls, `make clean` is due.
    """
    return function if njit is None else njit(cache=True)(function)  # type: ignore[return-value]


def uncompiled(function: F) -> F:
    """The function as it stands in the source."""
    return getattr(function, "py_func", function)
