"""Probabilities of actions, by hand: `torch.distributions` takes longer than the small networks before it."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn.functional import log_softmax

HALF_LOG_TWO_PI = math.log(2 * math.pi) / 2


class Draws(Protocol):
    """Where chance comes from: a `np.random.Generator`, or the module `np.random`, whose generator is global."""

    def gumbel(self, *, size: Any) -> Any: ...

    def normal(self, *, size: Any) -> Any: ...


class Choices(nn.Module):
    """One or more independent choices; their logits stand side by side.

    Attributes:
        n_outputs: numbers that a network puts out for it.
    """

    def __init__(self, sizes: list[int], shape: tuple[int, ...]) -> None:
        super().__init__()
        self.sizes, self.shape = sizes, shape
        self.n_outputs = sum(sizes)

    def actions(self, outputs: np.ndarray, draws: Draws | None) -> np.ndarray:
        """Actions (n, *shape) for logits (n, n_outputs), drawn by the Gumbel-max trick; the likeliest without draws."""
        if draws is not None:
            outputs = outputs + draws.gumbel(size=outputs.shape)
        starts = np.cumsum(self.sizes[:-1])
        chosen = (
            [part.argmax(axis=1) for part in np.split(outputs, starts, axis=1)] if len(starts) else [outputs.argmax(1)]
        )
        return np.stack(chosen, axis=1).reshape(-1, *self.shape)

    def forward(self, outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities (n,) of actions (n, *shape), and entropies (n,), by logits (n, n_outputs)."""
        chosen = actions.reshape(len(actions), -1)
        log_prob, entropy = [], []
        for i, logits in enumerate(outputs.split(self.sizes, dim=1) if len(self.sizes) > 1 else [outputs]):
            log_probs = log_softmax(logits, dim=1)
            log_prob.append(log_probs.gather(1, chosen[:, i : i + 1]).squeeze(1))
            entropy.append(-(log_probs.exp() * log_probs).sum(dim=1))
        if len(self.sizes) == 1:
            return log_prob[0], entropy[0]
        return torch.stack(log_prob).sum(dim=0), torch.stack(entropy).sum(dim=0)


class Normal(nn.Module):
    """Independent normal distributions; the network puts out means, the standard deviations are parameters.

    Attributes:
        n_outputs: numbers that a network puts out for it.
        log_std: (n_outputs,), logarithms of the standard deviations.
    """

    def __init__(self, shape: tuple[int, ...], log_std_init: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        self.n_outputs = math.prod(shape)
        self.log_std = nn.Parameter(torch.full((self.n_outputs,), log_std_init))

    def actions(self, outputs: np.ndarray, draws: Draws | None) -> np.ndarray:
        """Actions (n, *shape) around means (n, n_outputs), not clipped; the means themselves without draws."""
        if draws is not None:
            std = self.log_std.detach().exp().cpu().numpy()
            outputs = outputs + std * draws.normal(size=outputs.shape)
        return outputs.astype(np.float32).reshape(-1, *self.shape)

    def forward(self, outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Log-densities (n,) of actions (n, *shape), and entropies (n,), by means (n, n_outputs)."""
        distance = (actions.reshape(outputs.shape) - outputs) * torch.exp(-self.log_std)
        log_prob = -(0.5 * distance**2 + (self.log_std + HALF_LOG_TWO_PI)).sum(dim=1)
        entropy = (self.log_std + (0.5 + HALF_LOG_TWO_PI)).sum()
        return log_prob, entropy.expand(len(outputs))


def distribution_of(space: spaces.Space[Any]) -> Choices | Normal:
    """The distribution over the actions of a space.

    Raises:
        ValueError: if it is not Discrete, MultiDiscrete, MultiBinary or Box.
    """
    if isinstance(space, spaces.Box):
        return Normal(space.shape)
    if isinstance(space, spaces.Discrete):
        return Choices([int(space.n)], ())
    if isinstance(space, spaces.MultiDiscrete):
        return Choices([int(n) for n in space.nvec.ravel()], space.shape)
    if isinstance(space, spaces.MultiBinary):
        return Choices([2] * math.prod(space.shape), space.shape)
    raise ValueError(f"no distribution over {space}")
