"""Q-learning as the Deep RL Course has its readers write it, after its pseudo-code: a loop over `gymnasium`."""

from __future__ import annotations

from typing import Any

import numpy as np


def epsilon_greedy(q_table: np.ndarray, state: int, epsilon: float, env: Any, generator: np.random.Generator) -> int:
    if generator.uniform(0, 1) > epsilon:
        return int(np.argmax(q_table[state]))
    return int(env.action_space.sample())


def train(
    env: Any,
    *,
    n_episodes: int,
    max_steps: int,
    learning_rate: float,
    gamma: float,
    max_epsilon: float,
    min_epsilon: float,
    decay_rate: float,
    seed: int,
) -> tuple[np.ndarray, int]:
    """Train for so many episodes of at most `max_steps` steps.

    As in the course, the end of an episode is bootstrapped from too: its row of the table stays zero.

    Returns:
        The table (n_states, n_actions), and how many steps were taken.
    """
    q_table = np.zeros((env.observation_space.n, env.action_space.n))
    generator, n_steps = np.random.default_rng([seed, 1]), 0  # not the numbers that the environment draws
    env.action_space.seed(seed)
    env.reset(seed=seed)
    for episode in range(n_episodes):
        epsilon = min_epsilon + (max_epsilon - min_epsilon) * np.exp(-decay_rate * episode)
        state, _ = env.reset()
        for _ in range(max_steps):
            action = epsilon_greedy(q_table, state, epsilon, env, generator)
            next_state, reward, terminated, truncated, _ = env.step(action)
            q_table[state][action] = q_table[state][action] + learning_rate * (
                reward + gamma * np.max(q_table[next_state]) - q_table[state][action]
            )
            n_steps += 1
            if terminated or truncated:
                break
            state = next_state
    return q_table, n_steps
