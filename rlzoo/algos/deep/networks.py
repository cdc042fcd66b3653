"""Networks of the in-repo algorithms: features of an observation, layers behind them, actors and critics.

Small ones act without torch: there it is the number of operations that takes time, not their size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space, preprocess_obs
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, CombinedExtractor, FlattenExtractor, NatureCNN
from stable_baselines3.common.utils import obs_as_tensor
from torch import Tensor, nn
from torch.nn.functional import pad

from rlzoo.algos.deep.distributions import distribution_of

if TYPE_CHECKING:
    from gymnasium import Space

Forward = Callable[[Any], np.ndarray]
"""Outputs (n, n_outputs) of observations (n, *observation_shape)."""


def features(space: Space) -> BaseFeaturesExtractor:
    """Stable-Baselines3's extractor for a space; it has `features_dim`.

    A convolution for images, several parts for a Dict, else the observation itself, laid flat (Discrete: one-hot).
    """
    if isinstance(space, spaces.Dict):
        return CombinedExtractor(space)
    return NatureCNN(space) if is_image_space(space) else FlattenExtractor(space)


def to_features(observation: Any, space: Space, device: torch.device) -> Any:
    """Observations (n, *observation_shape), NumPy or a dict of these, as float tensors that `features` takes.

    Images become 0 to 1, discrete observations one-hot.
    """
    if isinstance(space, spaces.Dict):
        return {key: to_features(observation[key], part, device) for key, part in space.items()}
    tensors: Any = obs_as_tensor(observation, device)
    if is_image_space(space):
        return tensors.float().div_(255)  # `preprocess_obs` has the same numbers, but a second array of them
    return preprocess_obs(tensors, space)


def layers(
    sizes: Sequence[int], activation: type[nn.Module], *, gain: float | None = None, last_gain: float | None = None
) -> nn.Sequential:
    """Fully connected layers `sizes[0] -> ... -> sizes[-1]`, with `activation` between them but not behind the last.

    Args:
        sizes: numbers of features, at least two.
        activation: a class such as `torch.nn.Tanh`.
        gain: orthogonal weights with this gain and biases of 0; None leaves torch's own start.
        last_gain: the gain of the last layer, if it differs.
    """
    modules: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        modules += [_linear(n_in, n_out, gain), activation()]
    modules.pop()
    if last_gain is not None:
        modules[-1] = _linear(sizes[-2], sizes[-1], last_gain)
    return nn.Sequential(*modules)


def _linear(n_in: int, n_out: int, gain: float | None) -> nn.Linear:
    layer = nn.Linear(n_in, n_out)
    if gain is not None:
        nn.init.orthogonal_(layer.weight, gain)
        nn.init.zeros_(layer.bias)
    return layer


class Actor(nn.Module):
    """Network and distribution of a policy: logits of discrete actions, means of continuous ones."""

    def __init__(
        self, observations: Space, actions: Space, net_arch: Sequence[int], activation: type[nn.Module]
    ) -> None:
        super().__init__()
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
        """Actions (n, *action_shape) of the policy, not clipped.

        Args:
            forward: of `fast_forward`.
            observation: (n, *observation_shape).
            draws: a `np.random.Generator`, or the module `np.random` for the global one; None takes the best actions.
        """
        outputs = forward(observation)
        if draws is not None and self._acts_by_choice:  # NumPy takes longer for a few numbers
            return np.array([draw(logits, draws.random()) for logits in outputs.tolist()])
        return self.distribution.actions(outputs, draws)


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


class Pair(nn.Module):
    """Two networks with the same hidden layers, each of them one product of matrices for both.

    On small networks it is the number of operations that takes time, not their size; these are half as many.

    Attributes:
        weights: of each layer, (2, n_in, n_out); n_out of the last one is that of the wider network.
        biases: of each layer, (2, 1, n_out).
        n_outputs: of the first and of the second network.
    """

    def __init__(self, first: nn.Sequential, second: nn.Sequential) -> None:
        """Take over the weights of two networks: linear layers, with one activation between all of them."""
        super().__init__()
        linear = [[layer for layer in one if isinstance(layer, nn.Linear)] for one in (first, second)]
        self.activation = next((layer for layer in first if not isinstance(layer, nn.Linear)), nn.Identity())
        self.n_outputs = [layers[-1].out_features for layers in linear]
        self.weights = nn.ParameterList(
            _stacked([layer.weight.T for layer in both]) for both in zip(*linear, strict=True)
        )
        self.biases = nn.ParameterList(
            _stacked([layer.bias[None] for layer in both]) for both in zip(*linear, strict=True)
        )
        self._layers = tuple(zip(self.weights, self.biases, strict=True))  # looking into a ParameterList is slow

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs of both, (n, n_outputs[0]) and (n, n_outputs[1]), for the same inputs (n, n_in)."""
        hidden = inputs.expand(2, *inputs.shape)
        for weight, bias in self._layers[:-1]:
            hidden = self.activation(torch.baddbmm(bias, hidden, weight))
        weight, bias = self._layers[-1]
        first, second = torch.baddbmm(bias, hidden, weight).unbind()
        return first[:, : self.n_outputs[0]], second[:, : self.n_outputs[1]]

    def alone(self, index: int) -> nn.Sequential:
        """The first (0) or the second (1) network as layers of its own on the same memory, without gradients.

        Call it once the weights have their final place in memory: after an optimizer that moves them.
        """
        modules: list[nn.Module] = []
        for weight, bias in self._layers:
            n_in, n_out = weight.shape[1:]
            n_out = self.n_outputs[index] if weight is self._layers[-1][0] else n_out
            layer = nn.Linear(n_in, n_out, device="meta")
            layer.weight = nn.Parameter(weight.detach()[index, :, :n_out].T, requires_grad=False)
            layer.bias = nn.Parameter(bias.detach()[index, 0, :n_out], requires_grad=False)
            modules += [layer, self.activation]
        return nn.Sequential(*modules[:-1])


def _stacked(both: list[Tensor]) -> nn.Parameter:
    """Two matrices stacked, the narrower one padded with zeros."""
    width = max(one.shape[1] for one in both)
    return nn.Parameter(torch.stack([pad(one.detach(), (0, width - one.shape[1])) for one in both]))
