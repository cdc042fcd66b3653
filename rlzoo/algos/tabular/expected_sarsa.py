"""Expected Sarsa: temporal-difference control by the value that the policy's own next action has on average.

Van Seijen, van Hasselt, Whiteson and Wiering 2009; Sutton and Barto, Reinforcement Learning, 2nd edition, section 6.6.
Equation numbers are theirs.
"""

from __future__ import annotations

import numpy as np

from rlzoo.algos.tabular.base import TabularAgent
from rlzoo.algos.tabular.compiled import compiled
from rlzoo.algos.tabular.dynamics import Dynamics
from rlzoo.algos.tabular.math import (
    LoopState,
    epsilon_greedy,
    expected_value,
    exponential_decay,
    start,
    take,
)


class ExpectedSarsa(TabularAgent):
    """Learns the value of every action under its own policy: random with chance epsilon, else the best.

    What the state that follows is worth is the mean over the actions this policy may take there, so that chance in the
    next action adds nothing to the variance of an update, as it does in Sarsa.

    Attributes:
        q_values: the table, (n_states, n_actions).
    """

    def observe(
        self, state: int, action: int, reward: float, terminated: bool, truncated: bool, next_state: int, index: int
    ) -> None:
        update(
            self.q_values, state, action, reward, terminated, next_state, self.epsilon, self.learning_rate, self.gamma
        )

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
    epsilon: float,
    learning_rate: float,
    gamma: float,
) -> None:
    """Move one value of the table (n_states, n_actions) towards the reward and what follows on average (6.9)."""
    future = 0.0 if terminated else gamma * expected_value(q_values, next_state, epsilon)
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
    """Expected Sarsa in a table of dynamics; see `TabularAgent.play`."""
    learning_rate, gamma, max_epsilon, min_epsilon, decay_rate = settings
    table, max_steps = dynamics
    state, length, total, n_episodes, ended = loop
    epsilon = exponential_decay(max_epsilon, min_epsilon, decay_rate, n_episodes)
    taken = 0
    while taken < n_steps and n_episodes < until_episode:
        action = epsilon_greedy(q_values, state, epsilon, generator)
        reward, next_state, terminated = take(table, state, action, generator)
        update(q_values, state, action, reward, terminated, next_state, epsilon, learning_rate, gamma)
        taken, length, total, state = taken + 1, length + 1, total + reward, next_state
        if terminated or length == max_steps:
            n_episodes, ended[taken - 1, 0], ended[taken - 1, 1] = n_episodes + 1, total, length
            state, length, total = start(table.starts, generator), 0, 0.0
            epsilon = exponential_decay(max_epsilon, min_epsilon, decay_rate, n_episodes)
    return taken, LoopState(state, length, total, n_episodes, ended)
