"""Greedy actions of Stable-Baselines3's networks on flat observations, without what its `predict` does in every step.

That walks through all modules, looks at the observation's shape and makes a distribution, which takes several times as
long as the network of a small policy. The operations on numbers are the same ones in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import CategoricalDistribution, DiagGaussianDistribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import FlattenExtractor, MlpExtractor
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork

from rlzoo.algos.sb3.fast_policy import Network, is_hooked, network

if TYPE_CHECKING:
    from stable_baselines3.common.policies import BasePolicy

Act = Callable[[np.ndarray], np.ndarray | None]


def greedy(policy: BasePolicy) -> Act | None:
    """What acts for the policy as `policy.predict(observations, deterministic=True)` does, with its weights of then.

    Returns:
        From observations (n, n_features) to actions (n, *action_shape), or to None where its numbers are NaN, of which
        `predict` makes an error. None for a policy that only `predict` can act for: images, dictionaries, recurrent
        ones, classes of others.
    """
    space = policy.observation_space
    if not (isinstance(space, spaces.Box) and len(space.shape) == 1) or is_hooked(policy):
        return None
    if type(policy) is ActorCriticPolicy:
        return _actor_critic(policy)
    if type(policy) is DQNPolicy:
        return _q_network(policy)
    return None


def fits(policy: BasePolicy, observations: Any) -> bool:
    """Whether these are observations (n, n_features) for what `greedy` returned."""
    return isinstance(observations, np.ndarray) and observations.shape[1:] == policy.observation_space.shape


def _actor_critic(policy: Any) -> Act | None:
    extractor, head, space = policy.mlp_extractor, network(policy.action_net), policy.action_space
    if type(policy.pi_features_extractor) is not FlattenExtractor or type(extractor) is not MlpExtractor:
        return None
    layers = network(extractor.policy_net)
    if type(policy.action_dist) is DiagGaussianDistribution and not policy.squash_output:
        outputs = _outputs(policy, lambda observations: head(layers(observations)))

        def mean(observations: np.ndarray) -> np.ndarray | None:
            actions = outputs(observations).reshape((-1, *space.shape))
            return None if np.isnan(actions).any() else np.clip(actions, space.low, space.high)

        return mean
    if type(policy.action_dist) is not CategoricalDistribution:
        return None

    def probabilities(observations: torch.Tensor) -> torch.Tensor:
        logits = head(layers(observations))
        logits = logits - logits.logsumexp(dim=-1, keepdim=True)  # as torch's Categorical: rounding decides near ties
        return torch.softmax(logits, dim=-1)

    outputs = _outputs(policy, probabilities)

    def mode(observations: np.ndarray) -> np.ndarray | None:
        found = outputs(observations)
        return None if np.isnan(found).any() else found.argmax(axis=1)

    return mode


def _q_network(policy: Any) -> Act | None:
    q_net = policy.q_net
    if type(q_net) is not QNetwork or type(q_net.features_extractor) is not FlattenExtractor:
        return None
    outputs = _outputs(policy, network(q_net.q_net))
    return lambda observations: outputs(observations).argmax(axis=1)


def _outputs(policy: Any, net: Network) -> Callable[[np.ndarray], np.ndarray]:
    """What a network of the policy says of observations, as arrays."""
    device = policy.device

    def outputs(observations: np.ndarray) -> np.ndarray:
        if policy.training:
            policy.set_training_mode(False)
        with torch.no_grad():
            found = net(torch.as_tensor(observations, device=device).float())
        array: np.ndarray = found.cpu().numpy()
        return array

    return outputs
