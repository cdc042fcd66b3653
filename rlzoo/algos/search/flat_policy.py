"""A policy whose weights are one vector, for searches that move them as a whole. Pure NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from gymnasium import Space, spaces


class FlatPolicy:
    """A linear policy, or a network with tanh between its layers; it knows its shape and no weights.

    Discrete actions have one logit each. A continuous action is the output itself, clipped to the bounds of the space,
    or squashed into them.

    Attributes:
        n_weights: the length of the vector: weights (n_out, n_in) and biases (n_out,) of layer after layer.
        sizes: numbers of features, from the observation to the output.
        sample_actions: in training a discrete action is drawn by its softmax probability, not the best one taken.
    """

    def __init__(
        self,
        observation_space: Space,
        action_space: Space,
        net_arch: Sequence[int] = (),
        *,
        sample_actions: bool = False,
        squash_output: bool = False,
    ) -> None:
        """Shape a policy.

        Args:
            observation_space: Discrete and MultiDiscrete become one-hot, bytes 0 to 1, other numbers stay as they are.
            action_space: Discrete or Box.
            net_arch: sizes of the hidden layers; none is a linear policy.
            sample_actions: see above; continuous actions have no chance in them.
            squash_output: a tanh scaled to the bounds of a Box, in place of clipping.

        Raises:
            ValueError: if there are no bounds to squash into.
        """
        self._observations, self._actions, self.sample_actions = observation_space, action_space, sample_actions
        self._squash = squash_output and isinstance(action_space, spaces.Box)
        if self._squash and not action_space.is_bounded("both"):  # type: ignore[attr-defined]
            raise ValueError(f"squash_output needs bounds on every action, not {action_space}")
        n_outputs = (
            int(action_space.n) if isinstance(action_space, spaces.Discrete) else int(np.prod(_shape(action_space)))
        )
        self.sizes = (_n_features(observation_space), *net_arch, n_outputs)
        self.n_weights = sum((n_in + 1) * n_out for n_in, n_out in pairwise(self.sizes))

    def start(self, generator: np.random.Generator) -> np.ndarray:
        """A vector to begin with: hidden layers are normal with variance 1 / n_in; biases and the last layer are 0."""
        parts = [
            np.append(generator.standard_normal(n_in * n_out) / np.sqrt(n_in), np.zeros(n_out))
            for n_in, n_out in pairwise(self.sizes[:-1])
        ]
        return np.concatenate([*parts, np.zeros((self.sizes[-2] + 1) * self.sizes[-1])])

    def checked(self, weights: Any) -> np.ndarray:
        """A copy of weights that were kept.

        Raises:
            ValueError: if they are those of another policy.
        """
        copy = np.array(weights)
        if copy.shape != (self.n_weights,):
            raise ValueError(f"weights have shape {copy.shape}, not ({self.n_weights},)")
        return copy

    def outputs(self, weights: np.ndarray, observation: Any) -> np.ndarray:
        """Logits, or continuous actions before the bounds: (n, n_outputs).

        Args:
            weights: (n, n_weights), a policy for each observation, or (1, n_weights) for all of them.
            observation: (n, *observation_shape).
        """
        values, begin = self._features(np.asarray(observation)), 0  # (n, n_in)
        for depth, (n_in, n_out) in enumerate(pairwise(self.sizes)):
            end = begin + n_in * n_out
            matrices = weights[:, begin:end].reshape(-1, n_out, n_in)
            values = np.tanh(values) if depth else values
            values = (matrices @ values[:, :, None])[:, :, 0] + weights[:, end : end + n_out]
            begin = end + n_out
        return values

    def act(self, weights: np.ndarray, observation: Any, chance: np.ndarray | None = None) -> np.ndarray:
        """Actions (n, *action_shape).

        Args:
            weights: (n, n_weights) or (1, n_weights).
            observation: (n, *observation_shape).
            chance: (n,), numbers in [0, 1) that decide which discrete actions are drawn; None takes the best one, the
                first of equals.
        """
        outputs = self.outputs(weights, observation)
        if isinstance(self._actions, spaces.Discrete):
            chosen = outputs.argmax(axis=1) if chance is None else _draw(outputs, chance)
            return chosen + self._actions.start
        assert isinstance(self._actions, spaces.Box)
        low, high = self._actions.low, self._actions.high
        outputs = outputs.reshape(-1, *self._actions.shape)
        if self._squash:
            outputs = low + (np.tanh(outputs) + 1) / 2 * (high - low)
        return np.clip(outputs, low, high).astype(self._actions.dtype)

    def train_act(self, weights: np.ndarray, observation: Any, generator: np.random.Generator) -> np.ndarray:
        """Actions in training: drawn with `sample_actions`, else the best ones, and nothing is drawn."""
        return self.act(weights, observation, generator.random(len(observation)) if self.sample_actions else None)

    def predict(self, weights: np.ndarray, observation: Any, *, deterministic: bool) -> np.ndarray:
        """Actions of one policy (n_weights,) for a batch of observations or a single one, of the same leading shape.

        Not deterministic is as in training, but drawn from NumPy's global generator.
        """
        given = np.asarray(observation)
        leading = given.shape[: given.ndim - len(_shape(self._observations))]
        batch = given.reshape((-1, *_shape(self._observations)))
        drawn = self.sample_actions and not deterministic
        actions = self.act(weights[None], batch, np.random.random(len(batch)) if drawn else None)
        return actions.reshape((*leading, *_shape(self._actions)))

    def _features(self, observation: np.ndarray) -> np.ndarray:
        """Numbers for the first layer, (n, n_in)."""
        n, space = len(observation), self._observations
        if isinstance(space, spaces.Discrete):
            return np.eye(int(space.n))[observation - space.start]
        if isinstance(space, spaces.MultiDiscrete):
            digits = (observation - space.start).reshape(n, -1)
            return np.hstack([np.eye(int(size))[digits[:, k]] for k, size in enumerate(space.nvec.ravel())])
        scale = 255.0 if observation.dtype == np.uint8 else 1.0
        return observation.reshape(n, -1).astype(np.float64) / scale


def _draw(logits: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """The action whose share of the cumulated softmax holds the number in `chance`: (n,)."""
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    cumulated = shares.cumsum(axis=1)
    return (cumulated[:, :-1] <= chance[:, None] * cumulated[:, -1:]).sum(axis=1)


def _n_features(space: Space) -> int:
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    return int(space.nvec.sum()) if isinstance(space, spaces.MultiDiscrete) else int(np.prod(_shape(space)))


def _shape(space: Space) -> tuple[int, ...]:
    return space.shape or ()
