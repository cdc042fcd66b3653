"""Functions that numba compiles where it is installed, and that run as they stand where it is not.

Both give the same numbers, as all chance comes from a `np.random.Generator` that is passed in, and by `random()` alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

try:
    from numba import njit
except ImportError:
    njit = None  # type: ignore[assignment]

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a function over arrays, named tuples of arrays, numbers and generators when it is first called.

    The machine code is kept beside the source, or in the user's cache folder where that cannot be written. It is made
    anew when the file of the function changes; after a change in another file that it calls, `make clean` is due.
    """
    return function if njit is None else njit(cache=True)(function)  # type: ignore[return-value]


def uncompiled(function: F) -> F:
    """The function as it stands in the source."""
    return getattr(function, "py_func", function)
