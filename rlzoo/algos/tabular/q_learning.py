"""Q-learning: off-policy temporal-difference control with a table of action values.

Watkins and Dayan 1992; Sutton and Barto, Reinforcement Learning, 2nd edition, section 6.5. Equation numbers are theirs.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Interval
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.tabular.base import TabularAgent
from rlzoo.algos.tabular.compiled import compiled
from rlzoo.algos.tabular.dynamics import Dynamics
from rlzoo.algos.tabular.math import LoopState, best, epsilon_greedy, exponential_decay, start, take


class QLearning(TabularAgent):
    """Learns the value of every action in every state, by the best action of the state that follows.

    Attributes:
        q_values: the table, (n_states, n_actions).
    """

    def __init__(
        self,
        env: VecEnv,
        *,
        learning_rate: Annotated[float, Interval(gt=0, le=1)] = 0.7,
        gamma: Annotated[float, Interval(ge=0, le=1)] = 0.95,
        max_epsilon: Annotated[float, Interval(ge=0, le=1)] = 1.0,
        min_epsilon: Annotated[float, Interval(ge=0, le=1)] = 0.05,
        decay_rate: Annotated[float, Ge(0)] = 0.0005,
        seed: int | None = None,
    ) -> None:
        """Begin with a table of zeros.

        Args:
            env: its observations are states 0 to n_states - 1, its actions 0 to n_actions - 1.
            learning_rate: how far a value moves towards its target, 0 to 1.
            gamma: discount of future rewards per step, 0 to 1.
            max_epsilon: chance of a random action in the first episode.
            min_epsilon: what that chance falls to.
            decay_rate: how fast it falls: by a factor of e every 1 / decay_rate episodes.
            seed: of the random actions.
        """
        super().__init__(
            env,
            learning_rate=learning_rate,
            gamma=gamma,
            max_epsilon=max_epsilon,
            min_epsilon=min_epsilon,
            decay_rate=decay_rate,
            seed=seed,
        )

    def observe(
        self, state: int, action: int, reward: float, terminated: bool, truncated: bool, next_state: int, index: int
    ) -> None:
        update(self.q_values, state, action, reward, terminated, next_state, self.learning_rate, self.gamma)

    def play(self, dynamics: Dynamics, loop: LoopState, n_steps: int, until_episode: int) -> tuple[int, LoopState]:
        """`act` and `observe`, many times."""
        return play(self.q_values, dynamics, loop, n_steps, until_episode, self.settings, self.generator)


@compiled
def update(
    q_values: np.ndarray,
    state: int,
    action: int,
    reward: float,
    terminated: bool,
    next_state: int,
    learning_rate: float,
    gamma: float,
) -> None:
    """Move one value of the table (n_states, n_actions) towards the reward and the best that may follow (6.8)."""
    future = 0.0 if terminated else gamma * q_values[next_state, best(q_values, next_state)]
    q_values[state, action] += learning_rate * (reward + future - q_values[state, action])


@compiled
def play(
    q_values: np.ndarray,
    dynamics: Dynamics,
    loop: LoopState,
    n_steps: int,
    until_episode: int,
    settings: tuple[float, float, float, float, float],
    generator: np.random.Generator,
) -> tuple[int, LoopState]:
    """Q-learning in a table of dynamics; see `TabularAgent.play`."""
    learning_rate, gamma, max_epsilon, min_epsilon, decay_rate = settings
    table, max_steps = dynamics
    state, length, total, n_episodes, ended = loop
    epsilon = exponential_decay(max_epsilon, min_epsilon, decay_rate, n_episodes)
    taken = 0
    while taken < n_steps and n_episodes < until_episode:
        action = epsilon_greedy(q_values, state, epsilon, generator)
        reward, next_state, terminated = take(table, state, action, generator)
        update(q_values, state, action, reward, terminated, next_state, learning_rate, gamma)
        taken, length, total, state = taken + 1, length + 1, total + reward, next_state
        if terminated or length == max_steps:
            n_episodes, ended[taken - 1, 0], ended[taken - 1, 1] = n_episodes + 1, total, length
            state, length, total = start(table.starts, generator), 0, 0.0
            epsilon = exponential_decay(max_epsilon, min_epsilon, decay_rate, n_episodes)
    return taken, LoopState(state, length, total, n_episodes, ended)
