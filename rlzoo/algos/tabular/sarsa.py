"""Sarsa: on-policy temporal-difference control with a table of action values.

Rummery and Niranjan 1994; Sutton and Barto, Reinforcement Learning, 2nd edition, section 6.4. Equation numbers are
theirs.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Interval
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.tabular.base import TabularAgent
from rlzoo.algos.tabular.compiled import compiled
from rlzoo.algos.tabular.dynamics import Dynamics
from rlzoo.algos.tabular.math import TransitionTable, Walk, draw, epsilon_greedy, exponential_decay, start
from rlzoo.protocols import State

NONE = -1
"""No action is chosen yet."""


class Sarsa(TabularAgent):
    """Learns the value of every action under its own policy: random with chance epsilon, else the best.

    A value follows the action that the policy takes next, the one that it learns from and then really takes. Where an
    episode is cut, an action is drawn for its last state too, and only learned from.

    Attributes:
        q_values: the table, (n_states, n_actions).
        num_timesteps: environment steps taken so far, over all environments.
        n_episodes: whole episodes played so far, over all environments.
    """

    def __init__(
        self,
        env: VecEnv,
        *,
        learning_rate: Annotated[float, Interval(gt=0, le=1)] = 0.1,
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
        self.learning_rate, self.gamma = learning_rate, gamma
        self.max_epsilon, self.min_epsilon, self.decay_rate = max_epsilon, min_epsilon, decay_rate
        super().__init__(env, seed)
        self.q_values = np.zeros((self.n_states, self.n_actions))
        self._chosen = np.full(env.num_envs, NONE)  # the next action of every environment, where there is one already

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

    def play(self, dynamics: Dynamics, walk: Walk, n_steps: int, until_episode: int) -> tuple[int, Walk]:
        """`act` and `observe`, many times."""
        settings = (self.learning_rate, self.gamma, self.max_epsilon, self.min_epsilon, self.decay_rate)
        chosen = int(self._chosen[0])
        taken, walk, self._chosen[0] = play(
            self.q_values, *dynamics, walk, chosen, n_steps, until_episode, settings, self.generator
        )
        return taken, walk

    def state(self) -> State:
        """All there is, with the actions that are chosen already."""
        state = super().state()
        return State({**state.tensors, "chosen": self._chosen.copy()}, state.values)

    def restore(self, state: State) -> None:
        super().restore(state)
        self._chosen = np.array(state.tensors["chosen"])

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
    table: TransitionTable,
    max_steps: int,
    walk: Walk,
    action: int,
    n_steps: int,
    until_episode: int,
    settings: tuple[float, float, float, float, float],
    generator: np.random.Generator,
) -> tuple[int, Walk, int]:
    """Sarsa in a table of dynamics, with the action to begin with, and to go on with; see `TabularAgent.play`."""
    learning_rate, gamma, max_epsilon, min_epsilon, decay_rate = settings
    _, cumulative, next_states, rewards, ends, starts = table
    state, length, total, n_episodes, ended = walk
    epsilon = exponential_decay(max_epsilon, min_epsilon, decay_rate, n_episodes)
    taken = 0
    while taken < n_steps and n_episodes < until_episode:
        if action == NONE:
            action = epsilon_greedy(q_values, state, epsilon, generator)
        outcome = draw(cumulative, state, action, generator)
        reward, next_state = rewards[state, action, outcome], next_states[state, action, outcome]
        terminated = ends[state, action, outcome]
        taken, length, total = taken + 1, length + 1, total + reward
        over = terminated or length == max_steps
        goes_on_in = start(starts, generator) if over else next_state  # drawn first, as an environment does
        next_action = NONE if terminated else epsilon_greedy(q_values, next_state, epsilon, generator)
        update(q_values, state, action, reward, terminated, next_state, next_action, learning_rate, gamma)
        state, action = goes_on_in, next_action
        if over:
            n_episodes, ended[taken - 1, 0], ended[taken - 1, 1] = n_episodes + 1, total, length
            length, total, action = 0, 0.0, NONE
            epsilon = exponential_decay(max_epsilon, min_epsilon, decay_rate, n_episodes)
    return taken, Walk(state, length, total, n_episodes, ended), action
