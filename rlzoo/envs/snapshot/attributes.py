"""What a layer of an environment remembers: the data among its attributes, and the generators it draws from."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from inspect import getattr_static
from typing import Any

import gymnasium
import numpy as np

from rlzoo.envs.contract import Contract
from rlzoo.envs.old_gym import Foreign
from rlzoo.envs.snapshot.encoding import CannotEncodeError, decode, encode, position

_GIVEN = frozenset(
    "env spec metadata render_mode P desc initial_state_distrib fullpath observation_structure t_start recording "
    "_step_info results_writer _cached_spec _metadata _previous_data _saved_kwargs _ezpickle_args "
    "_ezpickle_kwargs".split()
)
"""Attributes that follow from how an environment is made, or that are kept elsewhere."""

_MOMENTS = ("mean", "var", "count")


def layers(env: gymnasium.Env) -> list[gymnasium.Env]:
    """The environment from its outermost wrapper to its core, whatever class that is of; without what looks at it."""
    chain = [env]
    while isinstance(chain[-1], gymnasium.Wrapper | Foreign):
        chain.append(chain[-1].env)
    return [layer for layer in chain if not isinstance(layer, Contract)]


def name_of(layer: gymnasium.Env) -> str:
    """The class of a layer, `module.Class`."""
    return f"{type(layer).__module__}.{type(layer).__qualname__}"


def save(layer: gymnasium.Env, name: str, tensors: dict[str, np.ndarray]) -> tuple[dict[str, Any], list[str]]:
    """The attributes of a layer as JSON, and the names of those that cannot be stored and might be state."""
    saved, skipped = {}, []
    for key, value in vars(layer).items():
        if key in _GIVEN or callable(value) or isinstance(value, gymnasium.Env | np.dtype):
            continue
        try:
            saved[key] = _save_value(value, f"{name}.{key}", tensors)
        except CannotEncodeError:
            skipped.append(key)
    return saved, skipped


def load(layer: gymnasium.Env, saved: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
    """Give a layer the attributes that `save` took.

    Raises:
        CannotEncodeError: if one of them is none that it would take.
    """
    for key, encoded in saved.items():
        if not _is_state(layer, key):
            raise CannotEncodeError(f"{key} is not a state of {name_of(layer)}")
        current = getattr(layer, key, None) if key in vars(layer) else None
        if isinstance(encoded, dict) and "space" in encoded:
            _load_space(current, encoded["space"], tensors)
        elif isinstance(encoded, dict) and "moments" in encoded:
            for moment, value in zip(_MOMENTS, encoded["moments"], strict=True):
                setattr(current, moment, decode(value, tensors))
        else:
            setattr(layer, key, decode(encoded, tensors, into=current))
    if isinstance(layer, gymnasium.wrappers.PassiveEnvChecker):  # it has looked at this environment's first steps
        layer.checked_reset = layer.checked_step = layer.checked_data_reuse = True


def save_generators(chain: Sequence[gymnasium.Env], name: str, tensors: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """The generators among the attributes of some layers, their spaces' included; exotic ones are left out."""
    saved: list[dict[str, Any]] = []
    for index, layer in enumerate(chain):
        saved.append({})
        for key, value in vars(layer).items():
            if _draws(value):
                with suppress(CannotEncodeError):
                    saved[-1][key] = _save_value(value, f"{name}.{index}.{key}", tensors)
    return saved


def load_generators(
    chain: Sequence[gymnasium.Env], saved: Sequence[Mapping[str, Any]], tensors: Mapping[str, np.ndarray]
) -> None:
    """Restore what `save_generators` took."""
    for layer, attributes in zip(chain, saved, strict=True):
        load(layer, attributes, tensors)


def same_generators(
    chain: Sequence[gymnasium.Env], saved: Sequence[Mapping[str, Any]], tensors: Mapping[str, np.ndarray]
) -> bool:
    """Whether the layers' generators are where they were; not those of spaces, which agents draw from as well."""
    found: dict[str, np.ndarray] = {}
    for one, other in zip(save_generators(chain, "generators", found), saved, strict=True):
        if one.keys() != other.keys():
            return False
        drawn = [key for key, encoded in one.items() if "space" not in encoded]
        if not all(same(position(decode(one[key], found)), position(decode(other[key], tensors))) for key in drawn):
            return False
    return True


def save_space(space: gymnasium.Space, name: str, tensors: dict[str, np.ndarray]) -> dict[str, Any]:
    """The generators of a space and its parts; None where nothing was drawn yet."""
    found = [part._np_random for part in _parts(space)]
    return {"space": [encode(generator, f"{name}.{index}", tensors) for index, generator in enumerate(found)]}


def load_space(space: gymnasium.Space, saved: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
    """Restore what `save_space` took."""
    _load_space(space, saved["space"], tensors)


def same(one: Any, other: Any) -> bool:
    """Whether two values made of arrays, numbers, tuples, lists and dicts are equal, NaN to NaN."""
    if isinstance(one, Mapping):
        return isinstance(other, Mapping) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return isinstance(other, list | tuple) and len(one) == len(other) and all(map(same, one, other))
    if one is None or isinstance(one, str | int) or isinstance(other, str | int):
        return bool(one == other)
    first, second = np.asarray(one), np.asarray(other)
    return first.dtype.kind != "O" and first.tobytes() == second.tobytes() and first.shape == second.shape


def _is_state(layer: gymnasium.Env, key: str) -> bool:
    """Whether an attribute may hold what a layer remembers: neither what it is made of, nor what it does."""
    known = vars(layer).get(key), getattr_static(type(layer), key, None)
    return not (
        key in _GIVEN
        or (key.startswith("__") and key.endswith("__"))
        or any(callable(value) or isinstance(value, property | gymnasium.Env) for value in known)
    )


def _save_value(value: Any, name: str, tensors: dict[str, np.ndarray]) -> Any:
    if isinstance(value, gymnasium.Space):
        return save_space(value, name, tensors)
    if type(value).__name__ == "RunningMeanStd":
        found = (getattr(value, moment) for moment in _MOMENTS)
        return {"moments": [encode(part, f"{name}.{index}", tensors) for index, part in enumerate(found)]}
    return encode(value, name, tensors)


def _load_space(space: Any, saved: Sequence[Any], tensors: Mapping[str, np.ndarray]) -> None:
    for part, encoded in zip(_parts(space), saved, strict=True):
        if encoded is not None:
            part._np_random = decode(encoded, tensors, into=part._np_random)


def _parts(space: gymnasium.Space) -> Iterator[Any]:
    yield space
    parts = getattr(space, "spaces", ())
    for part in parts.values() if hasattr(parts, "values") else parts:
        yield from _parts(part)


def _draws(value: Any) -> bool:
    return isinstance(value, np.random.Generator | np.random.RandomState | random.Random | gymnasium.Space)
