"""What deep Q-learning learns towards, as pure functions."""

from __future__ import annotations

import numpy as np
from torch import Tensor


def linear_schedule(start: float, end: float, fraction: float, done: float) -> float:
    """From `start` to `end` while the share `done` of a training goes from 0 to `fraction`, and `end` after that."""
    return end if done >= fraction else start + (end - start) * done / fraction


def values_of(q_values: Tensor, actions: Tensor) -> Tensor:
    """The values (n,) that `q_values` (n, n_actions) give to `actions` (n,)."""
    return q_values.gather(1, actions.unsqueeze(1)).squeeze(1)


def greedy_values(target_q: Tensor) -> Tensor:
    """max_a Q'(s, a), (n,): the target network (n, n_actions) chooses and judges; Mnih et al. 2015."""
    return target_q.max(dim=1).values


def double_values(online_q: Tensor, target_q: Tensor) -> Tensor:
    """Q'(s, argmax_a Q(s, a)), (n,): the online network chooses, the target network judges.

    Both (n, n_actions); van Hasselt et al. 2016, equation of "Double DQN". Ties go to the first action.
    """
    return values_of(target_q, online_q.argmax(dim=1))


def td_targets(returns: Tensor, discounts: Tensor, next_values: Tensor) -> Tensor:
    """R + discount V(s'), all (n,); the discount is 0 where the episode terminated."""
    return returns + discounts * next_values


def dueling(value: Tensor, advantages: Tensor) -> Tensor:
    """Q = V + A - mean A, (n, n_actions), of V (n, 1) and A (n, n_actions); Wang et al. 2016, equation (9)."""
    return value + advantages - advantages.mean(dim=1, keepdim=True)


def n_step_returns(rewards: np.ndarray, ends: np.ndarray, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """Discounted sums of rewards up to the first end, and how many rewards these are.

    Sutton and Barto, 2nd edition, equation (7.1) without its last term.

    Args:
        rewards: (n, n_steps), from the step of the transition on.
        ends: (n, n_steps), steps after which nothing is added: the last ones of episodes, and the last one stored.
        gamma: discount per step.

    Returns:
        Sums (n,) and lengths (n,) from 1 to n_steps.
    """
    counts = np.ones(rewards.shape, dtype=bool)
    counts[:, 1:] = ~np.logical_or.accumulate(ends[:, :-1], axis=1)
    discounts = gamma ** np.arange(rewards.shape[1])
    return (rewards * counts) @ discounts, counts.sum(axis=1)


def importance_weights(probabilities: np.ndarray, size: int, beta: float) -> np.ndarray:
    """(1 / (N P(i)))^beta, divided by the largest of the batch; all (n,). Schaul et al. 2016, section 3.4.

    Args:
        probabilities: P(i), with which each of the batch was drawn.
        size: N, the transitions there were to draw from.
        beta: 0 corrects nothing, 1 all of the bias.
    """
    weights = (size * probabilities) ** -beta
    return np.asarray(weights / weights.max())
