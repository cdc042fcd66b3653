"""TD(0): what the states are worth to a fixed policy, learned from every step.

Sutton 1988; Sutton and Barto, Reinforcement Learning, 2nd edition, section 6.1, Tabular TD(0). Equation numbers are
theirs.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Interval
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.tabular.base import TabularAgent, fixed_policy, play_policy
from rlzoo.algos.tabular.compiled import compiled
from rlzoo.algos.tabular.dynamics import Dynamics
from rlzoo.algos.tabular.math import LoopState, follow, restored_indices, start, take
from rlzoo.protocols import State


class TD0(TabularAgent):
    """Learns the value of every state under a policy that stays as it is, from what the next state is worth.

    Attributes:
        v_values: (n_states,).
        policy: (n_states,), the action taken in each state, -1 where it is any.
    """

    LEARNED = ("v_values",)

    def __init__(
        self,
        env: VecEnv,
        *,
        actions: Annotated[np.ndarray | None, Ge(0)] = None,
        learning_rate: Annotated[float, Interval(gt=0, le=1)] = 0.1,
        gamma: Annotated[float, Interval(ge=0, le=1)] = 1.0,
        seed: int | None = None,
    ) -> None:
        """Begin with values of zero.

        Args:
            env: its observations are states 0 to n_states - 1, its actions 0 to n_actions - 1.
            actions: the policy, one action for each state; None takes any, each as likely.
            learning_rate: how far a value moves towards its target, 0 to 1.
            gamma: discount of future rewards per step, 0 to 1.
            seed: of the random actions.
        """
        super().__init__(env, learning_rate=learning_rate, gamma=gamma, seed=seed)
        self.policy = fixed_policy(actions, self.n_states, self.n_actions)

    def allocate(self, n_envs: int) -> None:
        self.v_values = np.zeros(self.n_states)

    def act(self, state: int, index: int) -> int:
        return follow(self.policy, state, self.n_actions, self.generator)

    def observe(
        self, state: int, action: int, reward: float, terminated: bool, truncated: bool, next_state: int, index: int
    ) -> None:
        update(self.v_values, state, reward, terminated, next_state, self.learning_rate, self.gamma)

    def play(self, dynamics: Dynamics, loop: LoopState, n_steps: int, until_episode: int) -> tuple[int, LoopState]:
        """`act` and `observe`, many times."""
        settings = (self.learning_rate, self.gamma)
        tables = (self.v_values, self.policy)
        return play(*tables, dynamics, loop, n_steps, until_episode, settings, self.generator)

    def metrics(self) -> dict[str, float]:
        return {"train/value_mean": float(self.v_values.mean())}

    def choose(self, states: np.ndarray, *, deterministic: bool) -> np.ndarray:
        """The policy's own actions: where it takes any it does so when `deterministic`, too."""
        return play_policy(self.policy, states, self.n_actions)

    def state(self) -> State:
        """All there is, with the policy that the values are of."""
        state = super().state()
        return State({**state.tensors, "policy": self.policy.copy()}, state.values)

    def restore(self, state: State) -> None:
        super().restore(state)
        self.policy = restored_indices(state.tensors, "policy", self.policy.shape, self.n_actions, least=-1)


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
    dynamics: Dynamics,
    loop: LoopState,
    n_steps: int,
    until_episode: int,
    settings: tuple[float, float],
    generator: np.random.Generator,
) -> tuple[int, LoopState]:
    """TD(0) in a table of dynamics; see `TabularAgent.play`."""
    learning_rate, gamma = settings
    table, max_steps = dynamics
    state, length, total, n_episodes, ended = loop
    taken = 0
    while taken < n_steps and n_episodes < until_episode:
        action = follow(policy, state, table.next_state.shape[1], generator)
        reward, next_state, terminated = take(table, state, action, generator)
        update(v_values, state, reward, terminated, next_state, learning_rate, gamma)
        taken, length, total, state = taken + 1, length + 1, total + reward, next_state
        if terminated or length == max_steps:
            n_episodes, ended[taken - 1, 0], ended[taken - 1, 1] = n_episodes + 1, total, length
            state, length, total = start(table.starts, generator), 0, 0.0
    return taken, LoopState(state, length, total, n_episodes, ended)
