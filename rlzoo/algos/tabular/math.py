"""What the tabular algorithms share: exploration, an environment as arrays, and the bounds of restored indices.

All chance comes from `generator.random()`, so that compiled and plain functions draw the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from rlzoo.algos.tabular.compiled import compiled


class TransitionTable(NamedTuple):
    """Dynamics as arrays of shape (n_states, n_actions, n_outcomes); outcomes that are not there have no probability.

    Attributes:
        probability: of each outcome.
        cumulative: its running sum over the outcomes.
        next_state: int64.
        reward: float64.
        terminated: bool.
        starts: (n_states,), running sum of the probabilities to begin in each state.
    """

    probability: np.ndarray
    cumulative: np.ndarray
    next_state: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    starts: np.ndarray


class LoopState(NamedTuple):
    """Where a compiled loop stands. It takes these to pieces, as that is faster, and gives new ones back.

    Attributes:
        state: of the environment.
        length: steps so far of this episode.
        total: its return so far.
        n_episodes: whole episodes so far.
        ended: (n_steps, 2), return and length of the episode that ended with each step; a length of 0: none.
    """

    state: int
    length: int
    total: float
    n_episodes: int
    ended: np.ndarray


@compiled
def exponential_decay(start: float, end: float, rate: float, n: int) -> float:
    """`start` at n = 0, towards `end` by a factor of e every 1 / rate."""
    return end + (start - end) * math.exp(-rate * n)


@compiled
def epsilon_greedy(q_values: np.ndarray, state: int, epsilon: float, generator: np.random.Generator) -> int:
    """The best action of a state, the first of equals, or with chance `epsilon` any.

    Args:
        q_values: action values, (n_states, n_actions).
        state: a row of them.
        epsilon: 0 draws nothing from the generator.
        generator: where chance comes from.
    """
    if epsilon > 0 and generator.random() < epsilon:
        return int(generator.random() * q_values.shape[1])
    return best(q_values, state)


@compiled
def best(q_values: np.ndarray, state: int) -> int:
    """The best action of a state in a table (n_states, n_actions), the first of equals."""
    found = 0
    for action in range(1, q_values.shape[1]):
        if q_values[state, action] > q_values[state, found]:
            found = action
    return found


@compiled
def follow(policy: np.ndarray, state: int, n_actions: int, generator: np.random.Generator) -> int:
    """What a fixed policy (n_states,) does in a state: its action, or any where that is -1."""
    action = policy[state]
    return int(generator.random() * n_actions) if action < 0 else action


@compiled
def expected_value(q_values: np.ndarray, state: int, epsilon: float) -> float:
    """What a state is worth on average to who acts epsilon-greedily in it."""
    total = 0.0
    for action in range(q_values.shape[1]):
        total += q_values[state, action]
    return epsilon * total / q_values.shape[1] + (1 - epsilon) * q_values[state, best(q_values, state)]


def action_values(table: TransitionTable, v_values: np.ndarray, gamma: float) -> np.ndarray:
    """What every action is worth (n_states, n_actions) if the states that follow are worth `v_values` (n_states,)."""
    future = np.where(table.terminated, 0.0, v_values[table.next_state])
    return (table.probability * (table.reward + gamma * future)).sum(axis=2)


@compiled
def start(starts: np.ndarray, generator: np.random.Generator) -> int:
    """A state to begin an episode in, by the running sum of probabilities (n_states,); as Gymnasium draws it."""
    chance = generator.random()
    for state in range(starts.shape[0]):
        if starts[state] > chance:
            return state
    return 0


@compiled
def take(table: TransitionTable, state: int, action: int, generator: np.random.Generator) -> tuple[float, int, bool]:
    """Take an action in the table: the reward, the state that follows, and whether that is the end."""
    outcome = draw(table.cumulative, state, action, generator)
    return (
        table.reward[state, action, outcome],
        table.next_state[state, action, outcome],
        table.terminated[state, action, outcome],
    )


@compiled
def draw(cumulative: np.ndarray, state: int, action: int, generator: np.random.Generator) -> int:
    """Which outcome an action has, by running sums of probabilities (n_states, n_actions, n_outcomes)."""
    chance = generator.random()
    for outcome in range(cumulative.shape[2]):
        if cumulative[state, action, outcome] > chance:
            return outcome
    return 0


def restored_indices(
    tensors: Mapping[str, Any], name: str, shape: tuple[int, ...], below: int, *, least: int = 0
) -> np.ndarray:
    """An array of a state that compiled loops, which check no bounds, index with: int64, `least` to `below` - 1.

    Raises:
        ValueError: if it has another shape, holds no whole numbers, or one out of these bounds.
    """
    indices = np.array(tensors[name])
    if indices.shape != shape:
        raise ValueError(f"{name} has shape {indices.shape}, not {shape}")
    if indices.dtype.kind not in "iu":
        raise ValueError(f"{name} holds {indices.dtype}, not whole numbers")
    if indices.size and not least <= int(indices.min()) <= int(indices.max()) < below:
        raise ValueError(f"{name} holds {indices.min()} to {indices.max()}, not {least} to {below - 1}")
    return indices.astype(np.int64)
