"""Spaces from the readable part of a pickled one: what Stable-Baselines3 writes beside it for people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import gymnasium
    import numpy as np

MAX_SIZE = 2**22
DTYPES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
KIND = re.compile(r"<class '(?:gymnasium|gym)\.spaces\.\w+\.(Box|Discrete|MultiDiscrete|MultiBinary)'>")


def read_space(shadow: Any) -> gymnasium.Space | None:
    """The space that a `:serialized:` field describes, or None if its text does not say it all.

    Texts shorten long arrays: a Box comes back if its bounds are the same everywhere, or few enough to be written out.
    """
    from gymnasium import spaces

    kind = KIND.fullmatch(str(shadow.get(":type:"))) if isinstance(shadow, Mapping) else None
    if kind is None:
        return None
    try:
        if kind[1] == "Box":
            return _box(shadow)
        if kind[1] == "Discrete":
            start = _whole(shadow.get("start", 0))
            return spaces.Discrete(_size(shadow["n"]), start=start) if abs(start) < MAX_SIZE else None
        if kind[1] == "MultiDiscrete":
            return spaces.MultiDiscrete([_size(word) for word in _words(shadow["nvec"])])
        return spaces.MultiBinary(_size(shadow["n"]))
    except (KeyError, ValueError, TypeError, AssertionError, OverflowError):
        return None


def _box(shadow: Mapping[str, Any]) -> gymnasium.Space | None:
    from gymnasium import spaces

    shape, dtype = shadow["_shape"], shadow["dtype"]
    if not isinstance(shape, list) or len(shape) > 8 or dtype not in DTYPES:
        return None
    shape = tuple(_size(size) for size in shape)
    if prod(shape) > MAX_SIZE:
        return None
    if dtype == "uint8" and len(shape) == 3:
        return spaces.Box(0, 255, shape, dtype)  # an image; its middle is never written out
    low, high = (_bounds(shadow[side], shape, dtype) for side in ("low", "high"))
    return None if low is None or high is None else spaces.Box(low, high, shape, dtype)


def _bounds(text: Any, shape: tuple[int, ...], dtype: str) -> np.ndarray | None:
    import numpy as np

    words = _words(text)
    numbers = np.array([float(word) for word in words if word != "..."]).astype(dtype)
    if numbers.size and (numbers == numbers[0]).all():
        return np.full(shape, numbers[0], dtype)
    if "..." not in words and numbers.size == prod(shape):
        return numbers.reshape(shape)
    return None


def _words(text: Any) -> list[str]:
    return re.sub(r"[\[\],\s]+", " ", str(text)).split()


def _size(value: Any) -> int:
    size = _whole(value)
    if not 1 <= size <= MAX_SIZE:
        raise ValueError("not a size")
    return size


def _whole(value: Any) -> int:
    if type(value) is int:
        return value
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,12}", value):
        return int(value)
    raise ValueError("not a whole number")
