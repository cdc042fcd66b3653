"""How many parameters the networks of Stable-Baselines3 will have, by arithmetic: to build them can take minutes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rlzoo.algos.specs import find_spec

if TYPE_CHECKING:
    from gymnasium import Space

    from rlzoo.config.schema import AlgoConfig

NATURE_CNN = ((32, 8, 4), (64, 4, 2), (64, 3, 1))
"""Filters, their side and their stride (Mnih et al. 2015)."""
FEATURES, FEATURES_IN_DICT = 512, 256
HIDDEN = {"sac": (256, 256), "tqc": (256, 256), "crossq": (256, 256), "td3": (400, 300), "ddpg": (400, 300)}
HIDDEN_ELSEWHERE = (64, 64)
N_CRITICS = {"ddpg": 1}
N_QUANTILES = {"qrdqn": 200}
UNKNOWN = ("reinforce", "actor_critic")
TWICE = ("dqn", "qrdqn", "dqn_scratch")
"""With a target network, and no others."""


def n_parameters(algo: AlgoConfig, observation_space: Space, action_space: Space) -> int:
    """Parameters of its policy and its target networks.

    Exact for PPO, A2C, TRPO, maskable PPO, DQN, QR-DQN, SAC, TD3 and DDPG with the policies that rlzoo names; what the
    others have at least, and 0 where nothing is known.
    """
    spec = find_spec(algo.name)
    if spec.family not in ("on_policy", "off_policy") or algo.name in UNKNOWN:
        return 0
    policy: Mapping[str, Any] = algo.hyperparams.get("policy_kwargs") or {}
    options = policy.get("features_extractor_kwargs") or {}
    extractor, width = _extractor(observation_space, options.get("features_dim"))
    is_cnn = bool(extractor) and observation_space.shape is not None
    hidden: Any = () if is_cnn and algo.name not in HIDDEN else HIDDEN.get(algo.name, HIDDEN_ELSEWHERE)
    for values in (algo.hyperparams, policy):
        hidden = hidden if values.get("net_arch") is None else values["net_arch"]
    n_actions, is_box = _actions(action_space)
    if algo.name in TWICE:
        outputs = n_actions * int(policy.get("n_quantiles", N_QUANTILES.get(algo.name, 1)))
        return 2 * (extractor + _mlp(width, (*_of(hidden, "pi"), outputs)))
    if spec.family == "on_policy":
        actor = _mlp(width, (*_of(hidden, "pi"), n_actions)) + (n_actions if is_box else 0)  # with log_std
        return extractor + actor + _mlp(width, (*_of(hidden, "vf"), 1))
    n_critics = int(policy.get("n_critics", N_CRITICS.get(algo.name, 2)))
    critic = extractor + n_critics * _mlp(width + n_actions, (*_of(hidden, "qf"), 1))
    actor = extractor + _mlp(width, (*_of(hidden, "pi"), n_actions))
    if algo.name in ("td3", "ddpg"):
        return 2 * (actor + critic)  # each has its target
    last = _of(hidden, "pi")[-1] if _of(hidden, "pi") else width
    n_of_critic = 1 if algo.name == "crossq" else 2  # which has no target
    return actor + (last + 1) * n_actions + n_of_critic * critic  # with log_std


def _extractor(space: Space, features: int | None) -> tuple[int, int]:
    """Parameters of what comes before the layers, and how many numbers it hands on."""
    from gymnasium.spaces import Dict
    from gymnasium.spaces.utils import flatdim
    from stable_baselines3.common.preprocessing import is_image_space

    if isinstance(space, Dict):
        parts = [_extractor(part, FEATURES_IN_DICT) for part in space.values()]
        return sum(n for n, _ in parts), sum(width for _, width in parts)
    if not is_image_space(space):
        return 0, flatdim(space)
    assert space.shape is not None
    (channels, *sides), total = space.shape, 0
    for filters, side, stride in NATURE_CNN:
        total += filters * (channels * side * side + 1)
        channels, sides = filters, [(length - side) // stride + 1 for length in sides]
    width = features or FEATURES
    return total + width * (channels * math.prod(sides) + 1), width


def _mlp(width: int, layers: Sequence[int]) -> int:
    total = 0
    for layer in layers:
        total, width = total + (width + 1) * int(layer), int(layer)
    return total


def _of(hidden: Any, part: str) -> tuple[int, ...]:
    """The hidden layers of one of the networks."""
    return tuple(hidden.get(part, ()) if isinstance(hidden, Mapping) else hidden)


def _actions(space: Space) -> tuple[int, bool]:
    """Numbers that a policy puts out for an action, and whether they are means of a distribution."""
    from gymnasium.spaces import Box, Discrete, MultiDiscrete

    if isinstance(space, Discrete):
        return int(space.n), False
    if isinstance(space, MultiDiscrete):
        return int(space.nvec.sum()), False
    return math.prod(space.shape or ()), isinstance(space, Box)
