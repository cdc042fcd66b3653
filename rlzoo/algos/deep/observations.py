"""Batches of observations, arrays or dicts of arrays, as the in-repo algorithms handle them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import Space
from stable_baselines3.common.utils import is_vectorized_observation


def each(function: Callable[..., Any], *observations: Any) -> Any:
    """`function` of observations, or of every part of dicts of them."""
    if isinstance(observations[0], dict):
        return {key: function(*(observation[key] for observation in observations)) for key in observations[0]}
    return function(*observations)


def stacked(batches: Sequence[Any]) -> Any:
    """One batch (n_steps, n_envs, *shape) of several (n_envs, *shape), at least one."""

    def stack(*parts: np.ndarray) -> np.ndarray:
        return np.concatenate(parts).reshape(len(parts), *parts[0].shape)  # np.stack takes three times as long

    return each(stack, *batches)


def as_batch(observation: Any, space: Space) -> tuple[Any, bool]:
    """An observation as a batch (n, *shape), and whether it was a single one, (*shape)."""
    observation = each(np.asarray, observation)
    if is_vectorized_observation(observation, space):
        return observation, False
    return each(lambda part: part[None], observation), True


def replace_rows(observation: Any, new: Any, rows: np.ndarray) -> Any:
    """A copy of a batch (n_envs, *shape) with those `rows` (n_envs,) of `new`."""

    def replace(old: np.ndarray, other: np.ndarray) -> np.ndarray:
        replaced = np.array(old)
        replaced[rows] = np.asarray(other)[rows]
        return replaced

    return each(replace, observation, new)


def observation_state(observation: Any, name: str) -> dict[str, np.ndarray]:
    """A copy, by names that start with `name`; nothing of None."""
    if observation is None:
        return {}
    parts = observation if isinstance(observation, dict) else {"": observation}
    return {f"{name}.{key}" if key else name: np.array(part) for key, part in parts.items()}


def restored_observation(tensors: Mapping[str, Any], name: str) -> Any:
    """What `observation_state` took, or None."""
    if name in tensors:
        return np.array(tensors[name])
    found = {
        key.removeprefix(f"{name}."): np.array(part) for key, part in tensors.items() if key.startswith(f"{name}.")
    }
    return found or None
