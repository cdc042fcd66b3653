"""Returns and advantages: how well it went, from each step on.

Equation numbers are those of Sutton and Barto, Reinforcement Learning, 2nd edition; of generalised advantages those of
Schulman et al. 2016, High-Dimensional Continuous Control Using Generalized Advantage Estimation.
"""

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


def generalized_advantages(
    rewards: np.ndarray,
    values: np.ndarray,
    next_values: np.ndarray,
    terminated: np.ndarray,
    ended: np.ndarray,
    *,
    gamma: float,
    gae_lambda: float,
) -> np.ndarray:
    """Advantages (n_steps, n_envs), all arguments being of that shape; advantages + values are the returns.

    Args:
        rewards: of each step.
        values: of the observation that each step starts from.
        next_values: of the observation that each step leads to, before any reset.
        terminated: whether nothing comes after the step: its next value counts for nothing.
        ended: whether the step is the last of its episode, terminated or cut: later steps tell nothing of it.
        gamma: discount of future rewards per step.
        gae_lambda: 0 looks one step ahead; 1 to the end of the episode or rollout: plain returns minus values.
    """
    deltas = rewards + gamma * next_values * ~terminated - values  # (10), delta_t
    decays = gamma * gae_lambda * ~ended
    advantages = np.empty_like(deltas)
    later = np.zeros_like(deltas[0])  # (n_envs,)
    for t in reversed(range(len(deltas))):
        later = deltas[t] + decays[t] * later  # (16)
        advantages[t] = later
    return advantages


def explained_variance(predictions: np.ndarray, targets: np.ndarray) -> float:
    """1 - Var[targets - predictions] / Var[targets]: 1 is perfect, 0 no better than a constant, below 0 is worse.

    Without any variance in the targets nothing is there to explain: 0.
    """
    variance = float(np.var(targets))
    return 1 - float(np.var(targets - predictions)) / variance if variance > 0 else 0.0
