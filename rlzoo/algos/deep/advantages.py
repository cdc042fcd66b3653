"""How much better the actions of a rollout were than expected, and how well values predict returns.

Schulman et al. 2016, High-Dimensional Continuous Control Using Generalized Advantage Estimation; equation numbers are
theirs.
"""

from __future__ import annotations

import numpy as np


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
