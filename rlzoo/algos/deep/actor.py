"""A stochastic policy and a state value as networks, which act without torch where that is quicker."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from gymnasium import Space, spaces
from torch import Tensor, nn

from rlzoo.algos.deep.distributions import distribution_of
from rlzoo.algos.deep.networks import features, layers, to_features
from rlzoo.algos.deep.observations import as_batch

Forward = Callable[[Any], np.ndarray]
"""Outputs (n, n_outputs) of observations (n, *observation_shape)."""


class Actor(nn.Module):
    """Network and distribution of a policy: logits of discrete actions, means of continuous ones."""

    def __init__(
        self, observations: Space, actions: Space, net_arch: Sequence[int], activation: type[nn.Module]
    ) -> None:
        super().__init__()
        self.observation_space, self.action_space = observations, actions
        self.features = features(observations)
        self.distribution = distribution_of(actions)
        sizes = [self.features.features_dim, *net_arch, self.distribution.n_outputs]
        self.layers = layers(sizes, activation)
        self._acts_by_choice = isinstance(actions, spaces.Discrete)

    def forward(self, observation: Any, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities (n,) of actions (n, *action_shape), and entropies (n,); on the device of the weights."""
        outputs: Tensor = self.layers(self.features(observation))
        result: tuple[Tensor, Tensor] = self.distribution(outputs, actions)
        return result

    def sample(self, forward: Forward, observation: Any, draws: Any) -> np.ndarray:
        """Actions (n, *action_shape) drawn from the policy, not clipped.

        Args:
            forward: of `fast_forward`.
            observation: (n, *observation_shape).
            draws: a `np.random.Generator`, or the module `np.random` for the global one.
        """
        outputs = forward(observation)
        if self._acts_by_choice:
            return np.array([draw(logits, draws.random()) for logits in outputs.tolist()])
        return self.distribution.actions(outputs, draws)

    def predict(self, forward: Forward, observation: Any, *, deterministic: bool) -> np.ndarray:
        """Actions for a batch or a single observation, clipped; drawn from NumPy's global generator or the best."""
        batch, single = as_batch(observation, self.observation_space)
        if deterministic:
            actions = self.distribution.actions(forward(batch), None)
        else:
            actions = self.sample(forward, batch, np.random)
        actions = clipped(actions, self.action_space)
        return np.asarray(actions[0] if single else actions)


class Critic(nn.Module):
    """The value of an observation as a network."""

    def __init__(self, observations: Space, net_arch: Sequence[int], activation: type[nn.Module]) -> None:
        super().__init__()
        self.features = features(observations)
        self.layers = layers([self.features.features_dim, *net_arch, 1], activation)

    def forward(self, observation: Any) -> Tensor:
        """Values (n,) of observations (n, *observation_shape)."""
        values: Tensor = self.layers(self.features(observation)).squeeze(1)
        return values


def draw(logits: Sequence[float], chance: float) -> int:
    """The action whose share of the softmax of `logits` (n_actions,) holds `chance`, a number in [0, 1)."""
    top = max(logits)
    shares = [math.exp(logit - top) for logit in logits]
    left = chance * sum(shares)
    for action, share in enumerate(shares):
        left -= share
        if left < 0:
            return action
    return len(shares) - 1  # rounding


def clipped(actions: np.ndarray, space: Space) -> np.ndarray:
    """Actions within the bounds of a Box; others as they are."""
    return np.clip(actions, space.low, space.high) if isinstance(space, spaces.Box) else actions


class Layered(Protocol):
    """A network as `fast_forward` sees it: what turns observations into features, and the layers behind."""

    features: Any
    layers: Any


def fast_forward(network: Layered, observations: Space, device: torch.device) -> Forward:
    """A network without gradients, in NumPy on the very memory of its weights if it is small and plain.

    Call it when the weights have got their place in memory: after an optimizer that moves them.
    """
    modules = list(network.layers)
    is_vector = isinstance(observations, spaces.Box) and isinstance(network.features, nn.Module)
    plain = all(isinstance(module, (nn.Linear, *_IN_NUMPY)) for module in modules)
    if not (plain and is_vector and device.type == "cpu" and not list(network.features.parameters())):
        return _torch_forward(network, observations, device)
    steps: list[tuple[np.ndarray, np.ndarray, Any]] = []
    for module in modules:
        if isinstance(module, nn.Linear):
            steps.append((module.weight.detach().numpy().T, module.bias.detach().numpy(), None))
        else:
            steps[-1] = (*steps[-1][:2], _IN_NUMPY[type(module)])

    def forward(observation: np.ndarray) -> np.ndarray:
        n = len(observation)
        values = observation.reshape(n, -1) if n > 1 else observation.reshape(-1)  # a vector is quicker than one row
        if values.dtype != np.float32:
            values = values.astype(np.float32)
        for weight, bias, activation in steps:
            values = values.dot(weight)
            values += bias
            if activation is not None:
                activation(values)
        return values if n > 1 else values[None]

    return forward


_ZERO = np.float32(0)


def _relu(values: np.ndarray) -> None:
    np.maximum(values, _ZERO, out=values)


def _tanh(values: np.ndarray) -> None:
    np.tanh(values, out=values)


_IN_NUMPY: dict[type[nn.Module], Callable[[np.ndarray], None]] = {nn.ReLU: _relu, nn.Tanh: _tanh}


def _torch_forward(network: Layered, observations: Space, device: torch.device) -> Forward:
    def forward(observation: Any) -> np.ndarray:
        with torch.no_grad():
            outputs: Tensor = network.layers(network.features(to_features(observation, observations, device)))
        return np.asarray(outputs.cpu().numpy())

    return forward
