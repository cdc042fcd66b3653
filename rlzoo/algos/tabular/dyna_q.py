"""Dyna-Q: Q-learning that also learns from a model of what it has seen.

Sutton 1990; Sutton and Barto, Reinforcement Learning, 2nd edition, section 8.2, Tabular Dyna-Q, whose letters stand at
the lines. The equation number is theirs.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np
from annotated_types import Ge, Interval
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.tabular.base import TabularAgent, restored_table
from rlzoo.algos.tabular.compiled import compiled
from rlzoo.algos.tabular.dynamics import Dynamics
from rlzoo.algos.tabular.math import LoopState, best, epsilon_greedy, exponential_decay, restored_indices, start, take
from rlzoo.protocols import State


class Model(NamedTuple):
    """The latest outcome of every pair of state and action, (n_states, n_actions) each, and which pairs were seen.

    Attributes:
        seen: bool.
        next_state: int64.
        reward: float64.
        terminated: bool.
        pairs: (n_states * n_actions,), int64, those seen in the order they were, as state * n_actions + action.
        n_pairs: (1,), int64, how many there are.
    """

    seen: np.ndarray
    next_state: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    pairs: np.ndarray
    n_pairs: np.ndarray

    @classmethod
    def empty(cls, n_states: int, n_actions: int) -> Model:
        shape = (n_states, n_actions)
        return cls(
            seen=np.zeros(shape, dtype=np.bool_),
            next_state=np.zeros(shape, dtype=np.int64),
            reward=np.zeros(shape),
            terminated=np.zeros(shape, dtype=np.bool_),
            pairs=np.zeros(n_states * n_actions, dtype=np.int64),
            n_pairs=np.zeros(1, dtype=np.int64),
        )


class DynaQ(TabularAgent):
    """Learns as Q-learning does, from every step and then from steps remembered.

    The model is deterministic: of each pair of state and action it holds the latest outcome. Where outcomes vary, a
    value then follows the last of them more than their mean, the more so the more planning there is.

    Attributes:
        q_values: the table, (n_states, n_actions).
    """

    def __init__(
        self,
        env: VecEnv,
        *,
        learning_rate: Annotated[float, Interval(gt=0, le=1)] = 0.7,
        gamma: Annotated[float, Interval(ge=0, le=1)] = 0.95,
        n_planning_steps: Annotated[int, Ge(0)] = 10,
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
            n_planning_steps: remembered steps to learn from after every real one.
            max_epsilon: chance of a random action in the first episode.
            min_epsilon: what that chance falls to.
            decay_rate: how fast it falls: by a factor of e every 1 / decay_rate episodes.
            seed: of the random actions.
        """
        self.n_planning_steps = n_planning_steps
        super().__init__(
            env,
            learning_rate=learning_rate,
            gamma=gamma,
            max_epsilon=max_epsilon,
            min_epsilon=min_epsilon,
            decay_rate=decay_rate,
            seed=seed,
        )

    def allocate(self, n_envs: int) -> None:
        super().allocate(n_envs)
        self._model = Model.empty(self.n_states, self.n_actions)

    def observe(
        self, state: int, action: int, reward: float, terminated: bool, truncated: bool, next_state: int, index: int
    ) -> None:
        update(self.q_values, state, action, reward, terminated, next_state, self.learning_rate, self.gamma)
        remember(self._model, state, action, reward, terminated, next_state)
        plan(self.q_values, self._model, self.n_planning_steps, self.learning_rate, self.gamma, self.generator)

    def play(self, dynamics: Dynamics, loop: LoopState, n_steps: int, until_episode: int) -> tuple[int, LoopState]:
        """`act` and `observe`, many times."""
        settings = (*self.settings, self.n_planning_steps)
        tables = (self.q_values, self._model)
        return play(*tables, dynamics, loop, n_steps, until_episode, settings, self.generator)

    def state(self) -> State:
        """All there is, with the model."""
        state = super().state()
        model = {f"model_{name}": array.copy() for name, array in self._model._asdict().items()}
        return State({**state.tensors, **model}, state.values)

    def restore(self, state: State) -> None:
        super().restore(state)
        arrays = {name: restored_table(state, f"model_{name}", like) for name, like in self._model._asdict().items()}
        limits = {"next_state": self.n_states, "pairs": self.q_values.size, "n_pairs": self.q_values.size + 1}
        for name, below in limits.items():
            arrays[name] = restored_indices(state.tensors, f"model_{name}", arrays[name].shape, below)
        if arrays["n_pairs"][0] != arrays["seen"].sum():  # there would be no room for those that are not seen yet
            raise ValueError(f"model_n_pairs is {arrays['n_pairs'][0]}, but {arrays['seen'].sum()} pairs were seen")
        self._model = Model(**arrays)


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
    """Move one value of the table (n_states, n_actions) towards the reward and the best that may follow (6.8); (d)."""
    future = 0.0 if terminated else gamma * q_values[next_state, best(q_values, next_state)]
    q_values[state, action] += learning_rate * (reward + future - q_values[state, action])


@compiled
def remember(model: Model, state: int, action: int, reward: float, terminated: bool, next_state: int) -> None:
    """Put what has happened into the model, in place of what happened before (e)."""
    seen, next_states, rewards, ends, pairs, n_pairs = model
    if not seen[state, action]:
        seen[state, action] = True
        pairs[n_pairs[0]] = state * seen.shape[1] + action
        n_pairs[0] += 1
    next_states[state, action], rewards[state, action], ends[state, action] = next_state, reward, terminated


@compiled
def plan(
    q_values: np.ndarray,
    model: Model,
    n_planning_steps: int,
    learning_rate: float,
    gamma: float,
    generator: np.random.Generator,
) -> None:
    """Learn from steps of the model (f)."""
    _, next_states, rewards, ends, pairs, n_pairs = model
    for _ in range(n_planning_steps):
        state, action = divmod(pairs[int(generator.random() * n_pairs[0])], q_values.shape[1])
        reward, next_state = rewards[state, action], next_states[state, action]
        update(q_values, state, action, reward, ends[state, action], next_state, learning_rate, gamma)


@compiled
def play(
    q_values: np.ndarray,
    model: Model,
    dynamics: Dynamics,
    loop: LoopState,
    n_steps: int,
    until_episode: int,
    settings: tuple[float, float, float, float, float, int],
    generator: np.random.Generator,
) -> tuple[int, LoopState]:
    """Dyna-Q in a table of dynamics; see `TabularAgent.play`."""
    learning_rate, gamma, max_epsilon, min_epsilon, decay_rate, n_planning_steps = settings
    table, max_steps = dynamics
    state, length, total, n_episodes, ended = loop
    epsilon = exponential_decay(max_epsilon, min_epsilon, decay_rate, n_episodes)
    taken = 0
    while taken < n_steps and n_episodes < until_episode:
        action = epsilon_greedy(q_values, state, epsilon, generator)  # (b)
        reward, next_state, terminated = take(table, state, action, generator)  # (c)
        taken, length, total = taken + 1, length + 1, total + reward
        over = terminated or length == max_steps
        follows = start(table.starts, generator) if over else next_state  # drawn first, as an environment does
        update(q_values, state, action, reward, terminated, next_state, learning_rate, gamma)  # (d)
        remember(model, state, action, reward, terminated, next_state)
        plan(q_values, model, n_planning_steps, learning_rate, gamma, generator)
        state = follows
        if over:
            n_episodes, ended[taken - 1, 0], ended[taken - 1, 1] = n_episodes + 1, total, length
            length, total = 0, 0.0
            epsilon = exponential_decay(max_epsilon, min_epsilon, decay_rate, n_episodes)
    return taken, LoopState(state, length, total, n_episodes, ended)
