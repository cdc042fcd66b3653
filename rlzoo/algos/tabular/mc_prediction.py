"""Monte Carlo prediction: what the states are worth to a fixed policy, learned from the returns of whole episodes.

Sutton and Barto, Reinforcement Learning, 2nd edition, sections 5.1 and 6.1. Equation numbers are theirs.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Interval
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.tabular.base import TabularAgent, fixed_policy, play_policy
from rlzoo.algos.tabular.compiled import compiled
from rlzoo.algos.tabular.dynamics import Dynamics
from rlzoo.algos.tabular.episodes import Episodes, Steps
from rlzoo.algos.tabular.math import LoopState, follow, restored_indices, start, take
from rlzoo.protocols import State


class MCPrediction(TabularAgent):
    """Learns the value of every state under a policy that stays as it is, from the return after every visit.

    An episode that is cut has no whole return: what would have followed is taken to be what its last state is worth so
    far, so that being cut is not the end of the task. Nothing else is bootstrapped.

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
            learning_rate: how far a value moves towards a return, 0 to 1.
            gamma: discount of future rewards per step, 0 to 1.
            seed: of the random actions.
        """
        super().__init__(env, learning_rate=learning_rate, gamma=gamma, seed=seed)
        self.policy = fixed_policy(actions, self.n_states, self.n_actions)

    def allocate(self, n_envs: int) -> None:
        self.v_values = np.zeros(self.n_states)
        self._episodes = Episodes(n_envs)

    def act(self, state: int, index: int) -> int:
        return follow(self.policy, state, self.n_actions, self.generator)

    def observe(
        self, state: int, action: int, reward: float, terminated: bool, truncated: bool, next_state: int, index: int
    ) -> None:
        episodes = self._episodes
        episodes.add(index, state, action, reward)
        if terminated or truncated:
            future = 0.0 if terminated else float(self.v_values[next_state])
            length = int(episodes.lengths[index])
            update(self.v_values, episodes.steps(index), length, future, self.learning_rate, self.gamma)
            episodes.lengths[index] = 0

    def play(self, dynamics: Dynamics, loop: LoopState, n_steps: int, until_episode: int) -> tuple[int, LoopState]:
        """`act` and `observe`, many times."""
        settings = (self.learning_rate, self.gamma)
        episodes, stored = self._episodes, int(self._episodes.lengths[0])
        episodes.make_room(stored + n_steps)
        tables, ends = (self.v_values, self.policy), (n_steps, until_episode)
        taken, loop, episodes.lengths[0] = play(
            tables, episodes.steps(0), stored, dynamics, loop, *ends, settings, self.generator
        )
        return taken, loop

    def metrics(self) -> dict[str, float]:
        return {"train/value_mean": float(self.v_values.mean())}

    def choose(self, states: np.ndarray, *, deterministic: bool) -> np.ndarray:
        """The policy's own actions: where it takes any it does so when `deterministic`, too."""
        return play_policy(self.policy, states, self.n_actions)

    def state(self) -> State:
        """All there is, with the policy that the values are of, and the unfinished episodes."""
        state = super().state()
        return State({**state.tensors, "policy": self.policy.copy(), **self._episodes.tensors()}, state.values)

    def restore(self, state: State) -> None:
        super().restore(state)
        self.policy = restored_indices(state.tensors, "policy", self.policy.shape, self.n_actions, least=-1)
        self._episodes.restore(state.tensors, self._n_rows, self.n_states, self.n_actions)

    def begin_episodes(self, observation: Any, rows: np.ndarray) -> None:
        super().begin_episodes(observation, rows)
        self._episodes.lengths[rows] = 0


@compiled
def update(v_values: np.ndarray, steps: Steps, length: int, future: float, learning_rate: float, gamma: float) -> None:
    """Move the values (n_states,) of an episode's states towards the returns that followed, from its end backwards.

    Args:
        v_values: the values.
        steps: states, actions and rewards of the episode, (length,) or longer each.
        length: of the episode.
        future: what its last state is worth.
        learning_rate: how far.
        gamma: discount.
    """
    states, _, rewards = steps
    gain = future  # the return, G
    for step in range(length - 1, -1, -1):
        gain = rewards[step] + gamma * gain  # (3.9)
        v_values[states[step]] += learning_rate * (gain - v_values[states[step]])  # (6.1)


@compiled
def play(
    tables: tuple[np.ndarray, np.ndarray],
    steps: Steps,
    n_stored: int,
    dynamics: Dynamics,
    loop: LoopState,
    n_steps: int,
    until_episode: int,
    settings: tuple[float, float],
    generator: np.random.Generator,
) -> tuple[int, LoopState, int]:
    """Prediction in a table of dynamics, with the steps stored of this episode; see `TabularAgent.play`."""
    (v_values, policy), (states, actions, rewards), (learning_rate, gamma) = tables, steps, settings
    table, max_steps = dynamics
    state, length, total, n_episodes, ended = loop
    taken = 0
    while taken < n_steps and n_episodes < until_episode:
        action = follow(policy, state, table.next_state.shape[1], generator)
        reward, next_state, terminated = take(table, state, action, generator)
        states[n_stored], actions[n_stored], rewards[n_stored] = state, action, reward
        n_stored, taken, length, total, state = n_stored + 1, taken + 1, length + 1, total + reward, next_state
        if terminated or length == max_steps:
            future = 0.0 if terminated else v_values[next_state]
            update(v_values, steps, n_stored, future, learning_rate, gamma)
            n_episodes, ended[taken - 1, 0], ended[taken - 1, 1] = n_episodes + 1, total, length
            state, length, total, n_stored = start(table.starts, generator), 0, 0.0, 0
    return taken, LoopState(state, length, total, n_episodes, ended), n_stored
