"""Expected Sarsa: temporal-difference control by the value that the policy's own next action has on average.

Van Seijen, van Hasselt, Whiteson and Wiering 2009; Sutton and Barto, Reinforcement Learning, 2nd edition, section 6.6.
Equation numbers are theirs.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Interval
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.tabular.base import TabularAgent
from rlzoo.algos.tabular.compiled import compiled
from rlzoo.algos.tabular.dynamics import Dynamics
from rlzoo.algos.tabular.math import (
    TransitionTable,
    Walk,
    draw,
    epsilon_greedy,
    expected_value,
    exponential_decay,
    start,
)


class ExpectedSarsa(TabularAgent):
    """Learns the value of every action under its own policy: random with chance epsilon, else the best.

    What the state that follows is worth is the mean over the actions this policy may take there, so that chance in the
    next action adds nothing to the variance of an update, as it does in Sarsa.

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

    def observe(
        self, state: int, action: int, reward: float, terminated: bool, truncated: bool, next_state: int, index: int
    ) -> None:
        update(
            self.q_values, state, action, reward, terminated, next_state, self.epsilon, self.learning_rate, self.gamma
        )

    def play(self, dynamics: Dynamics, walk: Walk, n_steps: int, until_episode: int) -> tuple[int, Walk]:
        """`act` and `observe`, many times."""
        settings = (self.learning_rate, self.gamma, self.max_epsilon, self.min_epsilon, self.decay_rate)
        return play(self.q_values, *dynamics, walk, n_steps, until_episode, settings, self.generator)


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
    table: TransitionTable,
    max_steps: int,
    walk: Walk,
    n_steps: int,
    until_episode: int,
    settings: tuple[float, float, float, float, float],
    generator: np.random.Generator,
) -> tuple[int, Walk]:
    """Expected Sarsa in a table of dynamics; see `TabularAgent.play`."""
    learning_rate, gamma, max_epsilon, min_epsilon, decay_rate = settings
    _, cumulative, next_states, rewards, ends, starts = table
    state, length, total, n_episodes, ended = walk
    epsilon = exponential_decay(max_epsilon, min_epsilon, decay_rate, n_episodes)
    taken = 0
    while taken < n_steps and n_episodes < until_episode:
        action = epsilon_greedy(q_values, state, epsilon, generator)
        outcome = draw(cumulative, state, action, generator)
        reward, next_state = rewards[state, action, outcome], next_states[state, action, outcome]
        terminated = ends[state, action, outcome]
        update(q_values, state, action, reward, terminated, next_state, epsilon, learning_rate, gamma)
        taken, length, total, state = taken + 1, length + 1, total + reward, next_state
        if terminated or length == max_steps:
            n_episodes, ended[taken - 1, 0], ended[taken - 1, 1] = n_episodes + 1, total, length
            state, length, total = start(starts, generator), 0, 0.0
            epsilon = exponential_decay(max_epsilon, min_epsilon, decay_rate, n_episodes)
    return taken, Walk(state, length, total, n_episodes, ended)
