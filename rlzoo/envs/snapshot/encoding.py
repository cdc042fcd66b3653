"""Values of live objects as named arrays and JSON, and back: equal in value and in type, without pickle."""

from __future__ import annotations

import random
from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import Any

import numpy as np

_PACKED = 8
"""From this length on, a list of numbers of one type is an array rather than JSON."""

_GENERATORS = {name: getattr(np.random, name) for name in ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")}


class CannotEncodeError(TypeError):
    """A value that is neither data nor made of data."""


def encode(value: Any, name: str, tensors: dict[str, np.ndarray]) -> Any:
    """A value as JSON; its arrays go to `tensors`, under `name` and what follows from it.

    Takes numbers, text, None, NumPy's arrays and scalars of numbers, generators of NumPy and Python, and lists, tuples,
    dicts, sets and deques of these.

    Raises:
        CannotEncodeError: for anything else.
    """
    if isinstance(value, np.ndarray | np.generic) and not isinstance(value, np.str_):
        return _encode_array(value, name, tensors)
    if value is None or type(value) in (bool, int, float, str, np.str_):
        return value
    if isinstance(value, np.random.Generator | np.random.RandomState | random.Random):
        return _encode_generator(value, name, tensors)
    if type(value) in (dict, OrderedDict):
        pairs = [
            [encode(key, f"{name}.{index}.key", tensors), encode(child, f"{name}.{index}", tensors)]
            for index, (key, child) in enumerate(value.items())
        ]
        return {"dict": pairs}
    if type(value) in (list, tuple, deque, set):
        return _encode_sequence(type(value).__name__, value, name, tensors)
    raise CannotEncodeError(f"{type(value).__name__} cannot be stored")


def decode(encoded: Any, tensors: Mapping[str, np.ndarray], into: Any = None) -> Any:
    """The value that `encode` was given; a generator `into` of the same kind is set instead of a new one made."""
    if not isinstance(encoded, dict):
        return encoded
    kind, content = next(iter(encoded.items()))
    if kind == "array":
        return np.array(tensors[content])
    if kind == "scalar":
        return np.asarray(tensors[content])[()]
    if kind in ("floats", "ints"):
        return _sequences(encoded)(np.asarray(tensors[content]).tolist())
    if kind == "dict":
        return {decode(key, tensors): decode(child, tensors) for key, child in content}
    if kind == "generator":
        return _decode_generator(content, tensors, into)
    return _sequences(encoded)([decode(child, tensors) for child in content])


def _encode_array(value: Any, name: str, tensors: dict[str, np.ndarray]) -> Any:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise CannotEncodeError(f"an array of {array.dtype} cannot be stored")
    tensors[name] = array.copy(order="C")
    return {"array" if isinstance(value, np.ndarray) else "scalar": name}


def _encode_sequence(kind: str, value: Any, name: str, tensors: dict[str, np.ndarray]) -> Any:
    encoded: dict[str, Any]
    types = {type(child) for child in value} if len(value) >= _PACKED else set()
    if types == {float} or (types == {int} and all(abs(child) < 2**63 for child in value)):
        tensors[name] = np.array(list(value), np.float64 if types == {float} else np.int64)
        encoded = {"floats" if types == {float} else "ints": name, "of": kind}
    else:
        encoded = {kind: [encode(child, f"{name}.{index}", tensors) for index, child in enumerate(value)]}
    if kind == "deque":
        encoded["maxlen"] = value.maxlen
    return encoded


def _sequences(encoded: Mapping[str, Any]) -> Any:
    kind = encoded.get("of") or next(iter(encoded))
    if kind == "deque":
        return lambda children: deque(children, encoded["maxlen"])
    return {"list": list, "tuple": tuple, "set": set}[kind]


def position(generator: Any) -> Any:
    """Where a generator of NumPy or Python is in its sequence, as data."""
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    return generator.bit_generator.state


def _encode_generator(value: Any, name: str, tensors: dict[str, np.ndarray]) -> Any:
    kind = type(value).__name__
    state = position(value)
    if kind not in ("Generator", "RandomState", "Random") or (
        kind == "Generator" and state["bit_generator"] not in _GENERATORS
    ):
        raise CannotEncodeError(f"a generator {kind} cannot be stored")
    return {"generator": [kind, encode(state, name, tensors)]}


def _decode_generator(content: Any, tensors: Mapping[str, np.ndarray], into: Any) -> Any:
    kind, state = content[0], decode(content[1], tensors)
    fits = type(into).__name__ == kind
    if kind == "Random":
        python = into if fits else random.Random()
        python.setstate(state)
        return python
    if kind == "RandomState":
        legacy = into if fits else np.random.RandomState()
        legacy.set_state(state)
        return legacy
    bits = _GENERATORS[state["bit_generator"]]
    generator = into if fits and isinstance(into.bit_generator, bits) else np.random.Generator(bits())
    generator.bit_generator.state = state
    return generator
