"""Sarsa: on-policy temporal-difference control with a table of action values.

Rummery and Niranjan 1994; Sutton and Barto, Reinforcement Learning, 2nd edition, section 6.4. Equation numbers are
theirs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rlzoo.algos.tabular.base import TabularAgent
from rlzoo.algos.tabular.compiled import compiled
from rlzoo.algos.tabular.dynamics import Dynamics
from rlzoo.algos.tabular.math import LoopState, epsilon_greedy, exponential_decay, restored_indices, start, take
from rlzoo.protocols import State

NONE = -1
"""No action is chosen yet."""


class Sarsa(TabularAgent):
    """Learns the value of every action under its own policy: random with chance epsilon, else the best.

    A value follows the action that the policy takes next, the one that it learns from and then really takes. Where an
    episode is cut, an action is drawn for its last state too, and only learned from.

    Attributes:
        q_values: the table, (n_states, n_actions).
    """

    def allocate(self, n_envs: int) -> None:
        super().allocate(n_envs)
        self._chosen = np.full(n_envs, NONE)  # the next action of every environment, where there is one already

    def act(self, state: int, index: int) -> int:
        chosen = int(self._chosen[index])
        return chosen if chosen != NONE else self._choose(state)

    def _choose(self, state: int) -> int:
        return epsilon_greedy(self.q_values, state, self.epsilon, self.generator)

    def observe(
        self, state: int, action: int, reward: float, terminated: bool, truncated: bool, next_state: int, index: int
    ) -> None:
        next_action = NONE if terminated else self._choose(next_state)
        following = (terminated, next_state, next_action)
        update(self.q_values, state, action, reward, *following, self.learning_rate, self.gamma)
        self._chosen[index] = NONE if truncated else next_action

    def play(self, dynamics: Dynamics, loop: LoopState, n_steps: int, until_episode: int) -> tuple[int, LoopState]:
        """`act` and `observe`, many times."""
        chosen = int(self._chosen[0])
        taken, loop, self._chosen[0] = play(
            self.q_values, dynamics, loop, chosen, n_steps, until_episode, self.settings, self.generator
        )
        return taken, loop

    def state(self) -> State:
        """All there is, with the actions that are chosen already."""
        state = super().state()
        return State({**state.tensors, "chosen": self._chosen.copy()}, state.values)

    def restore(self, state: State) -> None:
        super().restore(state)
        self._chosen = restored_indices(state.tensors, "chosen", (self._n_rows,), self.n_actions, least=NONE)

    def begin_episodes(self, observation: Any, rows: np.ndarray) -> None:
        super().begin_episodes(observation, rows)
        self._chosen[rows] = NONE


@compiled
def update(
    q_values: np.ndarray,
    state: int,
    action: int,
    reward: float,
    terminated: bool,
    next_state: int,
    next_action: int,
    learning_rate: float,
    gamma: float,
) -> None:
    """Move one value of the table (n_states, n_actions) towards the reward and the action that follows (6.7)."""
    future = 0.0 if terminated else gamma * q_values[next_state, next_action]
    q_values[state, action] += learning_rate * (reward + future - q_values[state, action])


@compiled
def play(
    q_values: np.ndarray,
    dynamics: Dynamics,
    loop: LoopState,
    action: int,
    n_steps: int,
    until_episode: int,
    settings: tuple[float, float, float, float, float],
    generator: np.random.Generator,
) -> tuple[int, LoopState, int]:
    """Sarsa in a table of dynamics, with the action to begin with, and to continue with; see `TabularAgent.play`."""
    learning_rate, gamma, max_epsilon, min_epsilon, decay_rate = settings
    table, max_steps = dynamics
    state, length, total, n_episodes, ended = loop
    epsilon = exponential_decay(max_epsilon, min_epsilon, decay_rate, n_episodes)
    taken = 0
    while taken < n_steps and n_episodes < until_episode:
        if action == NONE:
            action = epsilon_greedy(q_values, state, epsilon, generator)
        reward, next_state, terminated = take(table, state, action, generator)
        taken, length, total = taken + 1, length + 1, total + reward
        over = terminated or length == max_steps
        follows = start(table.starts, generator) if over else next_state  # drawn first, as an environment does
        next_action = NONE if terminated else epsilon_greedy(q_values, next_state, epsilon, generator)
        update(q_values, state, action, reward, terminated, next_state, next_action, learning_rate, gamma)
        state, action = follows, next_action
        if over:
            n_episodes, ended[taken - 1, 0], ended[taken - 1, 1] = n_episodes + 1, total, length
            length, total, action = 0, 0.0, NONE
            epsilon = exponential_decay(max_epsilon, min_epsilon, decay_rate, n_episodes)
    return taken, LoopState(state, length, total, n_episodes, ended), action
