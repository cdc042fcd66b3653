"""Returns of whole episodes. Sutton and Barto, Reinforcement Learning, 2nd edition; equation numbers are theirs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

EPSILON = float(np.finfo(np.float32).eps)
"""What keeps a standard deviation of 0 from being divided by."""


def rewards_to_go(rewards: Sequence[float], gamma: float) -> np.ndarray:
    """The discounted sum of the rewards from each step to the end, (n_steps,): what an action can still change.

    Args:
        rewards: of one episode, (n_steps,); the first is what the first action earned.
        gamma: discount of future rewards per step.
    """
    returns, later = np.empty(len(rewards)), 0.0
    for t in range(len(rewards) - 1, -1, -1):
        later = rewards[t] + gamma * later  # (3.9): G_t = R_t+1 + gamma G_t+1
        returns[t] = later
    return returns


def full_return(rewards: Sequence[float], gamma: float) -> np.ndarray:
    """The discounted sum of all rewards of an episode, (3.8) at its start, for each of its steps: (n_steps,)."""
    return np.full(len(rewards), rewards_to_go(rewards, gamma)[0])


def standardized(numbers: np.ndarray) -> np.ndarray:
    """Numbers (n,) with mean 0 and, where they differ at all, standard deviation 1 (of a sample, n - 1).

    A single number becomes 0.
    """
    centred = numbers - numbers.mean()
    deviation = float(np.sqrt((centred**2).sum() / max(1, len(numbers) - 1)))
    return np.asarray(centred / (deviation + EPSILON))
