"""TD(0): what the states are worth to a fixed policy, learned from every step.

Sutton 1988; Sutton and Barto, Reinforcement Learning, 2nd edition, section 6.1, Tabular TD(0). Equation numbers are
theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos import tabular_loop
from rlzoo.algos.core.compiled import compiled
from rlzoo.algos.core.tabular import TransitionTable, Walk, draw, follow, start
from rlzoo.algos.tabular_loop import TabularLoop
from rlzoo.algos.transition_table import Dynamics
from rlzoo.protocols import Callback, MetricLogger, State


class TD0:
    """Learns the value of every state under a policy that stays as it is, from what the next state is worth.

    Attributes:
        v_values: (n_states,).
        policy: (n_states,), the action taken in each state, -1 where it is any.
        num_timesteps: environment steps taken so far, over all environments.
        n_episodes: whole episodes played so far, over all environments.
    """

    def __init__(
        self,
        env: VecEnv,
        *,
        actions: np.ndarray | None = None,
        learning_rate: float = 0.1,
        gamma: float = 1.0,
        seed: int | None = None,
    ) -> None:
        """Begin with values of zero.

        Args:
            env: its observations are states 0 to n_states - 1, its actions 0 to n_actions - 1.
            actions: the policy, one action for each state; None is any action in every state, each as likely.
            learning_rate: how far a value moves towards its target, 0 to 1.
            gamma: discount of future rewards per step.
            seed: of the random actions.
        """
        self.learning_rate, self.gamma = learning_rate, gamma
        self._loop = TabularLoop(env, seed)
        self.policy = tabular_loop.fixed_policy(actions, self._loop.n_states, self._loop.n_actions)
        self.v_values = np.zeros(self._loop.n_states)

    @property
    def num_timesteps(self) -> int:
        return self._loop.num_timesteps

    @property
    def n_episodes(self) -> int:
        return self._loop.n_episodes

    def learn(
        self, total_timesteps: int, callbacks: Sequence[Callback] = (), logger: MetricLogger | None = None
    ) -> None:
        """Go on until `num_timesteps` has reached `total_timesteps`, or a callback says stop."""
        self._loop.learn(self, total_timesteps, callbacks, logger)

    def act(self, state: int, index: int) -> int:
        return follow(self.policy, state, self._loop.n_actions, self._loop.generator)

    def observe(
        self, state: int, action: int, reward: float, terminated: bool, truncated: bool, next_state: int, index: int
    ) -> None:
        update(self.v_values, state, reward, terminated, next_state, self.learning_rate, self.gamma)

    def play(self, dynamics: Dynamics, walk: Walk, n_steps: int, until_episode: int) -> tuple[int, Walk]:
        """`act` and `observe`, many times."""
        settings = (self.learning_rate, self.gamma)
        tables = (self.v_values, self.policy)
        return play(*tables, *dynamics, walk, n_steps, until_episode, settings, self._loop.generator)

    def metrics(self) -> dict[str, float]:
        return {"train/value_mean": float(self.v_values.mean())}

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """The policy's own actions: where it takes any it does so when `deterministic`, too; see `protocols.Policy`."""
        return tabular_loop.play_policy(self.policy, observation, self._loop.n_actions), state

    def state(self) -> State:
        """All there is: the values, the policy they are of, and where the loop stands."""
        loop = self._loop.state()
        values = {"v_values": self.v_values.copy(), "policy": self.policy.copy()}
        return State({**values, **loop.tensors}, loop.values)

    def restore(self, state: State) -> None:
        self.restore_weights(state)
        self.policy = tabular_loop.restored_table(state, "policy", self.policy)
        self._loop.restore(state)

    def restore_weights(self, state: State) -> None:
        """Take over the values alone: the start of another training."""
        self.v_values = tabular_loop.restored_table(state, "v_values", self.v_values)

    def begin_episodes(self, observation: Any, rows: np.ndarray) -> None:
        """See `TabularLoop.begin_episodes`."""
        self._loop.begin_episodes(observation, rows)


@compiled
def update(
    v_values: np.ndarray,
    state: int,
    reward: float,
    terminated: bool,
    next_state: int,
    learning_rate: float,
    gamma: float,
) -> None:
    """Move one of the values (n_states,) towards the reward and the value of the state that followed (6.2)."""
    future = 0.0 if terminated else gamma * v_values[next_state]
    v_values[state] += learning_rate * (reward + future - v_values[state])


@compiled
def play(
    v_values: np.ndarray,
    policy: np.ndarray,
    table: TransitionTable,
    max_steps: int,
    walk: Walk,
    n_steps: int,
    until_episode: int,
    settings: tuple[float, float],
    generator: np.random.Generator,
) -> tuple[int, Walk]:
    """TD(0) in a table of dynamics; see `TabularAgent.play`."""
    learning_rate, gamma = settings
    _, cumulative, next_states, rewards, ends, starts = table
    state, length, total, n_episodes, ended = walk
    taken = 0
    while taken < n_steps and n_episodes < until_episode:
        action = follow(policy, state, next_states.shape[1], generator)
        outcome = draw(cumulative, state, action, generator)
        reward, next_state = rewards[state, action, outcome], next_states[state, action, outcome]
        terminated = ends[state, action, outcome]
        update(v_values, state, reward, terminated, next_state, learning_rate, gamma)
        taken, length, total, state = taken + 1, length + 1, total + reward, next_state
        if terminated or length == max_steps:
            n_episodes, ended[taken - 1, 0], ended[taken - 1, 1] = n_episodes + 1, total, length
            state, length, total = start(starts, generator), 0, 0.0
    return taken, Walk(state, length, total, n_episodes, ended)
