"""How much memory an algorithm's replay or rollout buffer will take."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gymnasium import Space

    from rlzoo.config.schema import AlgoConfig

FLOAT32 = 4
HER_INFO = 72 + 16
"""HER keeps an empty dict, its address and two indices for each transition."""


def buffer_bytes(algo: AlgoConfig, observation_space: Space, action_space: Space, *, n_envs: int) -> int:
    """Bytes of the buffer that fills up during training; 0 for algorithms without one.

    Args:
        algo: a checked configuration.
        observation_space: of one environment, as the algorithm sees it (wrapped and stacked).
        action_space: of one environment.
        n_envs: environments side by side.
    """
    values = algo.hyperparams
    observation = _observation_bytes(observation_space)
    if "buffer_size" in values:
        transitions = max(int(values["buffer_size"]) // n_envs, 1) * n_envs
        copies = 1 if values.get("optimize_memory_usage") else 2  # this and the next observation
        extra = HER_INFO if values.get("replay_buffer_class") == "her" else 0
        one = copies * observation + _action_bytes(action_space) + 3 * FLOAT32 + extra  # reward, done, timeout
        return transitions * one
    if "n_steps" in values:
        one = (
            observation + _action_bytes(action_space) + 6 * FLOAT32
        )  # reward, return, start, value, log prob, advantage
        if algo.name == "maskable_ppo":
            one += _n_choices(action_space) * FLOAT32
        if algo.name == "ppo_lstm":
            policy = values.get("policy_kwargs") or {}
            size = int(policy.get("lstm_hidden_size", 256)) * int(policy.get("n_lstm_layers", 1))
            one += 4 * size * FLOAT32  # hidden and cell states of actor and critic
        return int(values["n_steps"]) * n_envs * one
    return 0


def _observation_bytes(space: Space) -> int:
    from gymnasium.spaces import Dict, Discrete

    if isinstance(space, Dict):
        return sum(_observation_bytes(part) for part in space.values())
    assert space.dtype is not None
    return space.dtype.itemsize * (1 if isinstance(space, Discrete) else math.prod(space.shape or ()))


def _action_bytes(space: Space) -> int:
    from gymnasium.spaces import Box, Discrete

    assert space.dtype is not None
    size = FLOAT32 if isinstance(space, Box) else space.dtype.itemsize
    return size * (1 if isinstance(space, Discrete) else math.prod(space.shape or ()))


def _n_choices(space: Space) -> int:
    """Entries of an action mask."""
    from gymnasium.spaces import Discrete, MultiDiscrete

    if isinstance(space, Discrete):
        return int(space.n)
    return int(space.nvec.sum()) if isinstance(space, MultiDiscrete) else 2 * math.prod(space.shape or ())
