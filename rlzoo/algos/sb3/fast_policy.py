"""Stable-Baselines3's policies on flat observations, without what they repeat in every step and every minibatch.

That walks through all modules, looks at shapes and makes a distribution, which takes longer than the networks of a
small policy. The operations on numbers, and on random numbers, are the same ones in the same order, and so are the
gradients. `short_ways` are for training, `greedy` is for playing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import CategoricalDistribution, DiagGaussianDistribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import FlattenExtractor, MlpExtractor
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from stable_baselines3.common.policies import BasePolicy

Act = Callable[[np.ndarray], np.ndarray | None]
Network = Callable[[torch.Tensor], torch.Tensor]
Forward = Callable[..., tuple[torch.Tensor, torch.Tensor, torch.Tensor]]


class Distribution(Protocol):
    """What a policy's outputs mean; actions are (n,), or (n, n_dimensions) where they are continuous."""

    def sample(self, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Actions and their log-probabilities."""

    def log_prob_entropy(self, outputs: torch.Tensor, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities of actions, and entropies."""


HALF_LOG_TWO_PI = math.log(math.sqrt(2 * math.pi))


@contextmanager
def short_ways(policy: BasePolicy) -> Iterator[None]:
    """Inside, methods of the policy, its parts and their optimizers that a training calls take the short way."""
    ways = _ways(policy)
    for owner, methods in ways.items():
        vars(owner).update({name: _way(owner, name, method) for name, method in methods.items()})
    try:
        yield
    finally:
        for owner, methods in ways.items():
            for name in methods:
                delattr(owner, name)  # the class has its own


class _Way(partial[Any]):
    """In the place of a method. A copy of its owner, whose weights are others, has the method itself."""

    place: tuple[object, str]

    def __reduce__(self) -> Any:
        return getattr, self.place


def _way(owner: object, name: str, function: Callable[..., Any]) -> _Way:
    way = _Way(function)
    way.place = (owner, name)
    return way


def _ways(policy: Any) -> dict[Any, dict[str, Callable[..., Any]]]:
    """What does as the methods of these names, with the policy's weights of then; none where only those can."""
    if not type(policy).__module__.startswith(("stable_baselines3.", "sb3_contrib.")) or is_hooked(policy):
        return {}
    parts = (policy, *policy.children())
    optimizers = [each for part in parts if (each := getattr(part, "optimizer", None)) is not None]
    ways: dict[Any, dict[str, Callable[..., Any]]]
    ways = {part: {"parameters": _parameters(part)} for part in parts}
    ways |= {each: {"zero_grad": _zero_grad(each)} for each in optimizers if type(each).zero_grad is _ZERO_GRAD}
    if isinstance(policy, ActorCriticPolicy):
        ways[policy] |= _actor_critic_ways(policy)
    elif act := greedy(policy):
        ways[policy]["predict"] = _predict(policy, act)
        for net in policy.children():  # the target's too
            if values := _q_values(net):
                ways[net]["forward"] = values
    return ways


def _parameters(module: nn.Module) -> Callable[..., Iterator[nn.Parameter]]:
    """Those of then, which the library looks for anew in every update, to clip gradients or to move a target."""
    every = {recurse: tuple(module.parameters(recurse)) for recurse in (True, False)}
    return lambda recurse=True: iter(every[recurse])


_ZERO_GRAD = torch.optim.Optimizer.zero_grad


def _zero_grad(optimizer: torch.optim.Optimizer) -> Callable[..., None]:
    """Without the profiler's record of it."""

    def zero_grad(set_to_none: bool = True) -> None:
        if not set_to_none:
            _ZERO_GRAD(optimizer, set_to_none)
            return
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    return zero_grad


def _predict(policy: Any, act: Act) -> Callable[..., tuple[np.ndarray, Any]]:
    cls = type(policy)

    def predict(
        observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        actions = act(observation) if fits(policy, observation) else None
        if actions is None:
            found: tuple[np.ndarray, Any] = cls.predict(policy, observation, state, episode_start, deterministic)
            return found
        return actions, state

    return predict


def _actor_critic_ways(policy: Any) -> dict[str, Forward]:
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
        log_prob, entropy = distribution.log_prob_entropy(outputs, actions)
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
    if type(module) is nn.ReLU and not module.inplace:
        return torch.relu
    return module


class Categorical:
    """As torch's Categorical, of which the policy makes one for every batch."""

    def sample(self, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = outputs - outputs.logsumexp(dim=-1, keepdim=True)
        actions = torch.multinomial(torch.softmax(logits, dim=-1), 1, True)
        return actions.squeeze(-1), logits.gather(-1, actions).squeeze(-1)

    def log_prob_entropy(self, outputs: torch.Tensor, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
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

    def log_prob_entropy(self, outputs: torch.Tensor, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        stds = torch.ones_like(outputs) * self.log_std.exp()
        log_prob = self._log_prob(outputs, stds, actions)
        return log_prob, (0.5 + 0.5 * math.log(2 * math.pi) + torch.log(stds)).sum(dim=1)

    @staticmethod
    def _log_prob(means: torch.Tensor, stds: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        found = -((actions - means) ** 2) / (2 * stds**2) - stds.log() - HALF_LOG_TWO_PI
        return found.sum(dim=1)


def greedy(policy: BasePolicy) -> Act | None:
    """What acts for the policy as `policy.predict(observations, deterministic=True)` does, with its weights of then.

    `predict` takes several times as long as the network of a small policy.

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
    if type(policy).__module__ == "sb3_contrib.qrdqn.policies":
        return _quantile_network(policy)
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
    values = _q_values(policy.q_net)
    if values is None:
        return None
    outputs = _outputs(policy, values)
    return lambda observations: outputs(observations).argmax(axis=1)


def _quantile_network(policy: Any) -> Act | None:
    quantiles = _q_values(policy.quantile_net)
    if quantiles is None:
        return None
    outputs = _outputs(policy, lambda observations: quantiles(observations).mean(dim=1))
    return lambda observations: outputs(observations).argmax(axis=1)


def _q_values(net: Any) -> Network | None:
    """What does as `forward` of a network of DQN or QR-DQN, None where only that can."""
    if type(net) is QNetwork and type(net.features_extractor) is FlattenExtractor:
        values = network(net.q_net)
        return lambda observations: values(observations.float())
    from sb3_contrib.qrdqn.policies import QuantileNetwork

    if type(net) is QuantileNetwork and type(net.features_extractor) is FlattenExtractor:
        quantiles, shape = network(net.quantile_net), (-1, net.n_quantiles, int(net.action_space.n))
        return lambda observations: quantiles(observations.float()).view(shape)
    return None


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
