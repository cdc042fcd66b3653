"""Small environments, told actions and exact solutions, for the tests of tabular algorithms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from rlzoo.algos.tabular.math import TransitionTable, action_values

RIGHT, DOWN = 0, 1


class Corner(gymnasium.Env):
    """A mouse in state 0: right is a small cheese in state 1 (+1), and down from there is poison (-10, the end)."""

    observation_space = gymnasium.spaces.Discrete(3)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, **options: Any) -> tuple[int, dict]:
        super().reset(**options)
        self.at = 0
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict]:
        if self.at == 0:
            self.at = 1 if action == RIGHT else 0
            return self.at, float(action == RIGHT), False, False, {}
        self.at = 2 if action == DOWN else 1
        return self.at, -10.0 if action == DOWN else 0.0, action == DOWN, False, {}


class Walk(gymnasium.Env):
    """From state to state with these rewards, whatever is done, to the end."""

    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, rewards: Sequence[float]) -> None:
        self.rewards = rewards
        self.observation_space = gymnasium.spaces.Discrete(len(rewards) + 1)

    def reset(self, **options: Any) -> tuple[int, dict]:
        super().reset(**options)
        self.at = 0
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict]:
        self.at += 1
        return self.at, self.rewards[self.at - 1], self.at == len(self.rewards), False, {}


def single(env: gymnasium.Env) -> VecEnv:
    return DummyVecEnv([lambda: env])


def exact_values(table: TransitionTable, policy: np.ndarray, gamma: float) -> np.ndarray:
    """What a policy (n_states, n_actions), probabilities, is worth: the linear equations of (4.4), solved at once."""
    n_states = len(policy)
    chance = table.probability * policy[:, :, None]  # (n_states, n_actions, n_outcomes)
    reward = (chance * table.reward).sum(axis=(1, 2))
    moves = np.zeros((n_states, n_states))
    for state in range(n_states):
        np.add.at(moves[state], table.next_state[state].ravel(), (chance * ~table.terminated)[state].ravel())
    return np.linalg.solve(np.eye(n_states) - gamma * moves, reward)


def greedy(q_values: np.ndarray) -> np.ndarray:
    """The best actions as probabilities, (n_states, n_actions)."""
    return np.eye(q_values.shape[1])[q_values.argmax(axis=1)]


def worth(table: TransitionTable, q_values: np.ndarray, gamma: float) -> float:
    """What the best actions by a table are really worth, from where episodes begin."""
    return float(np.diff(table.starts, prepend=0) @ exact_values(table, greedy(q_values), gamma))


def best_values(table: TransitionTable, gamma: float) -> np.ndarray:
    """The best values (n_states, n_actions), by 10,000 sweeps."""
    q_values = np.zeros(table.next_state.shape[:2])
    for _ in range(10_000):
        q_values = action_values(table, q_values.max(axis=1), gamma)
    return q_values
