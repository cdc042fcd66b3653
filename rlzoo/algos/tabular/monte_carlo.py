"""Monte Carlo control: on-policy, first-visit, with a table of action values.

Sutton and Barto, Reinforcement Learning, 2nd edition, section 5.4, On-policy first-visit MC control. Equation numbers
are theirs.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Interval
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.tabular.base import TabularAgent
from rlzoo.algos.tabular.compiled import compiled
from rlzoo.algos.tabular.dynamics import Dynamics
from rlzoo.algos.tabular.episodes import Episodes, Steps
from rlzoo.algos.tabular.math import (
    LoopState,
    epsilon_greedy,
    expected_value,
    exponential_decay,
    start,
    take,
)
from rlzoo.protocols import State

Tables = tuple[np.ndarray, np.ndarray, np.ndarray]
"""The values, how many returns each has seen, and zeros, which are zeros again after an update.

(n_states, n_actions) each.
"""


class MonteCarlo(TabularAgent):
    """Learns the value of every action from the returns of whole episodes, counted from the first time it was taken.

    An episode that is cut has no whole return: what would have followed is taken to be what its last state is worth to
    the policy by the table, so that being cut is not the end of the task. Nothing else is bootstrapped.

    Attributes:
        q_values: the table, (n_states, n_actions).
        counts: how many returns each of them is the mean of, (n_states, n_actions).
        learning_rate: 0 is one over the number of returns so far.
    """

    LEARNED = ("q_values", "counts")

    def __init__(
        self,
        env: VecEnv,
        *,
        learning_rate: Annotated[float | None, Interval(gt=0, le=1)] = None,
        gamma: Annotated[float, Interval(ge=0, le=1)] = 0.95,
        max_epsilon: Annotated[float, Interval(ge=0, le=1)] = 1.0,
        min_epsilon: Annotated[float, Interval(ge=0, le=1)] = 0.05,
        decay_rate: Annotated[float, Ge(0)] = 0.0005,
        seed: int | None = None,
    ) -> None:
        """Begin with a table of zeros.

        Args:
            env: its observations are states 0 to n_states - 1, its actions 0 to n_actions - 1.
            learning_rate: how far a value moves towards a return, 0 to 1; None makes it the mean of all returns.
            gamma: discount of future rewards per step, 0 to 1.
            max_epsilon: chance of a random action in the first episode.
            min_epsilon: what that chance falls to.
            decay_rate: how fast it falls: by a factor of e every 1 / decay_rate episodes.
            seed: of the random actions.
        """
        super().__init__(
            env,
            learning_rate=0.0 if learning_rate is None else learning_rate,
            gamma=gamma,
            max_epsilon=max_epsilon,
            min_epsilon=min_epsilon,
            decay_rate=decay_rate,
            seed=seed,
        )

    def allocate(self, n_envs: int) -> None:
        super().allocate(n_envs)
        self.counts = np.zeros_like(self.q_values, dtype=np.int64)
        self._visits = np.zeros_like(self.counts)  # room for `update`
        self._episodes = Episodes(n_envs)

    def observe(
        self, state: int, action: int, reward: float, terminated: bool, truncated: bool, next_state: int, index: int
    ) -> None:
        episodes = self._episodes
        episodes.add(index, state, action, reward)
        if terminated or truncated:
            future = 0.0 if terminated else expected_value(self.q_values, next_state, self.epsilon)
            length = int(episodes.lengths[index])
            update(self._tables, episodes.steps(index), length, future, self.learning_rate, self.gamma)
            episodes.lengths[index] = 0

    @property
    def _tables(self) -> Tables:
        return self.q_values, self.counts, self._visits

    def play(self, dynamics: Dynamics, loop: LoopState, n_steps: int, until_episode: int) -> tuple[int, LoopState]:
        """`act` and `observe`, many times."""
        episodes, stored = self._episodes, int(self._episodes.lengths[0])
        episodes.make_room(stored + n_steps)
        taken, loop, episodes.lengths[0] = play(
            self._tables,
            episodes.steps(0),
            stored,
            dynamics,
            loop,
            n_steps,
            until_episode,
            self.settings,
            self.generator,
        )
        return taken, loop

    def state(self) -> State:
        """All there is, with the unfinished episodes."""
        state = super().state()
        return State({**state.tensors, **self._episodes.tensors()}, state.values)

    def restore(self, state: State) -> None:
        super().restore(state)
        self._episodes.restore(state.tensors, self._n_rows, self.n_states, self.n_actions)

    def begin_episodes(self, observation: Any, rows: np.ndarray) -> None:
        super().begin_episodes(observation, rows)
        self._episodes.lengths[rows] = 0


@compiled
def update(
    tables: Tables,
    steps: Steps,
    length: int,
    future: float,
    learning_rate: float,
    gamma: float,
) -> None:
    """Move the values of an episode's actions towards the returns that followed their first visits.

    Args:
        tables: what it learns.
        steps: states, actions and rewards of the episode, (length,) or longer each.
        length: of the episode.
        future: what its last state is worth.
        learning_rate: 0 is one over the number of returns.
        gamma: discount.
    """
    q_values, counts, visits = tables
    states, actions, rewards = steps
    for step in range(length):
        visits[states[step], actions[step]] += 1
    gain = future  # the return, G
    for step in range(length - 1, -1, -1):
        state, action = states[step], actions[step]
        gain = rewards[step] + gamma * gain  # (3.9)
        visits[state, action] -= 1
        if visits[state, action] == 0:  # unless the pair appears in an earlier step
            counts[state, action] += 1
            rate = learning_rate if learning_rate > 0 else 1 / counts[state, action]  # (2.3)
            q_values[state, action] += rate * (gain - q_values[state, action])  # (6.1)


@compiled
def play(
    tables: Tables,
    steps: Steps,
    n_stored: int,
    dynamics: Dynamics,
    loop: LoopState,
    n_steps: int,
    until_episode: int,
    settings: tuple[float, float, float, float, float],
    generator: np.random.Generator,
) -> tuple[int, LoopState, int]:
    """Monte Carlo control in a table of dynamics, with the steps stored of this episode; see `TabularAgent.play`."""
    learning_rate, gamma, max_epsilon, min_epsilon, decay_rate = settings
    q_values, (states, actions, rewards) = tables[0], steps
    table, max_steps = dynamics
    state, length, total, n_episodes, ended = loop
    epsilon = exponential_decay(max_epsilon, min_epsilon, decay_rate, n_episodes)
    taken = 0
    while taken < n_steps and n_episodes < until_episode:
        action = epsilon_greedy(q_values, state, epsilon, generator)
        reward, next_state, terminated = take(table, state, action, generator)
        states[n_stored], actions[n_stored], rewards[n_stored] = state, action, reward
        n_stored, taken, length, total, state = n_stored + 1, taken + 1, length + 1, total + reward, next_state
        if terminated or length == max_steps:
            future = 0.0 if terminated else expected_value(q_values, next_state, epsilon)
            update(tables, steps, n_stored, future, learning_rate, gamma)
            n_episodes, ended[taken - 1, 0], ended[taken - 1, 1] = n_episodes + 1, total, length
            state, length, total, n_stored = start(table.starts, generator), 0, 0.0, 0
            epsilon = exponential_decay(max_epsilon, min_epsilon, decay_rate, n_episodes)
    return taken, LoopState(state, length, total, n_episodes, ended), n_stored
