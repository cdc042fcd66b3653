"""Stable-Baselines3's actor-critic on flat observations in rollouts, without what its `forward` does in every step.

That walks through all modules and makes a distribution, which takes longer than the networks of a small policy. The
operations on numbers, and on random numbers, are the same ones in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import CategoricalDistribution, DiagGaussianDistribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import FlattenExtractor, MlpExtractor
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from stable_baselines3.common.policies import BasePolicy

Network = Callable[[torch.Tensor], torch.Tensor]
Sample = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
HALF_LOG_TWO_PI = math.log(math.sqrt(2 * math.pi))


@contextmanager
def collecting(policy: BasePolicy) -> Iterator[None]:
    """Inside, `policy(observations)` takes the short way, if there is one for this policy."""
    forward = _forward(policy)
    if forward is None:
        yield
        return
    policy.forward = forward
    try:
        yield
    finally:
        del policy.forward  # the class has its own


def _forward(policy: Any) -> Callable[..., Any] | None:
    """What does as `policy.forward`, with the policy's weights of then; None where only that itself can."""
    if not is_plain(policy):
        return None
    sample = _categorical(policy) if type(policy.action_dist) is CategoricalDistribution else None
    if type(policy.action_dist) is DiagGaussianDistribution and not policy.squash_output:
        sample = _gaussian(policy)
    if sample is None:
        return None
    whole, shape = type(policy).forward, policy.action_space.shape
    actor, critic = network(policy.mlp_extractor.policy_net), network(policy.mlp_extractor.value_net)
    head, value = network(policy.action_net), network(policy.value_net)

    def forward(
        observations: torch.Tensor, deterministic: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if deterministic or torch.is_grad_enabled():
            found: tuple[torch.Tensor, torch.Tensor, torch.Tensor] = whole(policy, observations, deterministic)
            return found
        features = observations.float()
        outputs = head(actor(features))
        if outputs.isnan().any():
            whole(policy, observations)  # says what is wrong, as always
        values = value(critic(features))
        actions, log_prob = sample(outputs)
        return actions.reshape((-1, *shape)), values, log_prob

    return forward


def is_plain(policy: Any) -> bool:
    """Whether it is Stable-Baselines3's own actor-critic on flat observations, without anything hooked on."""
    space = policy.observation_space
    return (
        isinstance(space, spaces.Box)
        and len(space.shape) == 1
        and type(policy) is ActorCriticPolicy
        and type(policy.pi_features_extractor) is FlattenExtractor
        and type(policy.vf_features_extractor) is FlattenExtractor
        and type(policy.mlp_extractor) is MlpExtractor
        and not any(module._forward_hooks or module._forward_pre_hooks for module in policy.modules())
    )


def network(module: nn.Module) -> Network:
    """A layer, or layers one after another, without the calls of modules in between."""
    steps = [_layer(each) for each in (module if isinstance(module, nn.Sequential) else [module])]

    def run(inputs: torch.Tensor) -> torch.Tensor:
        for step in steps:
            inputs = step(inputs)
        return inputs

    return run


def _layer(module: nn.Module) -> Network:
    if type(module) is nn.Linear:
        weight, bias = module.weight, module.bias
        return lambda inputs: functional.linear(inputs, weight, bias)
    if type(module) is nn.Tanh:
        return torch.tanh
    return module


def _categorical(policy: Any) -> Sample:
    """As torch's Categorical, of which `policy.action_dist` makes one for every step."""

    def sample(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = logits - logits.logsumexp(dim=-1, keepdim=True)
        actions = torch.multinomial(torch.softmax(logits, dim=-1), 1, True)
        return actions.squeeze(-1), logits.gather(-1, actions).squeeze(-1)

    return sample


def _gaussian(policy: Any) -> Sample:
    """As torch's Normal with independent dimensions, likewise."""

    def sample(means: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        stds = torch.ones_like(means) * policy.log_std.exp()
        actions = means + torch.empty_like(means).normal_() * stds
        log_prob = -((actions - means) ** 2) / (2 * stds**2) - stds.log() - HALF_LOG_TWO_PI
        return actions, log_prob.sum(dim=1)

    return sample
