"""Stable-Baselines3's actor-critic on flat observations, without what it does anew in every step and every minibatch.

That walks through all modules and makes a distribution, which takes longer than the networks of a small policy. The
operations on numbers, and on random numbers, are the same ones in the same order, and so are the gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

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
Forward = Callable[..., tuple[torch.Tensor, torch.Tensor, torch.Tensor]]


class Distribution(Protocol):
    """What a policy's outputs mean; actions are (n,), or (n, n_dimensions) where they are continuous."""

    def sample(self, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Actions and their log-probabilities."""

    def judge(self, outputs: torch.Tensor, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities of actions, and entropies."""


HALF_LOG_TWO_PI = math.log(math.sqrt(2 * math.pi))


@contextmanager
def short_ways(policy: BasePolicy) -> Iterator[None]:
    """Inside, `policy(observations)` and `policy.evaluate_actions` take the short way, if there is one."""
    ways = _ways(policy)
    vars(policy).update(ways)
    try:
        yield
    finally:
        for name in ways:
            delattr(policy, name)  # the class has its own


def _ways(policy: Any) -> dict[str, Forward]:
    """What does as the policy's methods of these names, with its weights of then; none where only those can."""
    distribution = _distribution(policy) if is_plain(policy) else None
    if distribution is None:
        return {}
    cls, shape = type(policy), policy.action_space.shape
    actor, critic = network(policy.mlp_extractor.policy_net), network(policy.mlp_extractor.value_net)
    head, value = network(policy.action_net), network(policy.value_net)

    def forward(
        observations: torch.Tensor, deterministic: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        features = observations.float()
        outputs = head(actor(features))
        if deterministic or outputs.isnan().any():  # which it says as always
            found: tuple[torch.Tensor, torch.Tensor, torch.Tensor] = cls.forward(policy, observations, deterministic)
            return found
        values = value(critic(features))
        actions, log_prob = distribution.sample(outputs)
        return actions.reshape((-1, *shape)), values, log_prob

    def evaluate_actions(
        observations: torch.Tensor, actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        features = observations.float()
        latent, latent_value = actor(features), critic(features)
        outputs = head(latent)
        log_prob, entropy = distribution.judge(outputs, actions)
        values = value(latent_value)
        return values, log_prob, entropy

    return {"forward": forward, "evaluate_actions": evaluate_actions}


def _distribution(policy: Any) -> Distribution | None:
    if type(policy.action_dist) is CategoricalDistribution:
        return Categorical()
    if type(policy.action_dist) is DiagGaussianDistribution and not policy.squash_output:
        return Gaussian(policy.log_std)
    return None


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
        and not is_hooked(policy)
    )


def is_hooked(module: nn.Module) -> bool:
    """Whether somebody listens to a module or to one of its parts: then nothing may go past them."""
    return any(each._forward_hooks or each._forward_pre_hooks for each in module.modules())


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


class Categorical:
    """As torch's Categorical, of which the policy makes one for every batch."""

    def sample(self, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = outputs - outputs.logsumexp(dim=-1, keepdim=True)
        actions = torch.multinomial(torch.softmax(logits, dim=-1), 1, True)
        return actions.squeeze(-1), logits.gather(-1, actions).squeeze(-1)

    def judge(self, outputs: torch.Tensor, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = outputs - outputs.logsumexp(dim=-1, keepdim=True)
        log_prob = logits.gather(-1, actions.long().unsqueeze(-1)).squeeze(-1)
        bounded = torch.clamp(logits, min=torch.finfo(logits.dtype).min)
        return log_prob, -(bounded * torch.softmax(logits, dim=-1)).sum(-1)


@dataclass(frozen=True)
class Gaussian:
    """As torch's Normal with independent dimensions, likewise."""

    log_std: torch.Tensor

    def sample(self, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        stds = torch.ones_like(outputs) * self.log_std.exp()
        actions = outputs + torch.empty_like(outputs).normal_() * stds
        return actions, self._log_prob(outputs, stds, actions)

    def judge(self, outputs: torch.Tensor, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        stds = torch.ones_like(outputs) * self.log_std.exp()
        log_prob = self._log_prob(outputs, stds, actions)
        return log_prob, (0.5 + 0.5 * math.log(2 * math.pi) + torch.log(stds)).sum(dim=1)

    @staticmethod
    def _log_prob(means: torch.Tensor, stds: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        found = -((actions - means) ** 2) / (2 * stds**2) - stds.log() - HALF_LOG_TWO_PI
        return found.sum(dim=1)
