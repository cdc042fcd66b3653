"""Value iteration: the best values of all states at once, computed from the dynamics of the environment.

Bellman 1957; Sutton and Barto, Reinforcement Learning, 2nd edition, section 4.4. Equation numbers are theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt, Interval
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.base import TrainingHooks
from rlzoo.algos.tabular import base
from rlzoo.algos.tabular.dynamics import required_table
from rlzoo.algos.tabular.math import TransitionTable, action_values
from rlzoo.protocols import Callback, MetricLogger, State


class ValueIteration:
    """Plans in the table of an environment's dynamics, without a step in the environment.

    What a time step is elsewhere is a sweep over all states here. It is done when a sweep changes no value by
    `theta`. With a discount below 1 the values are then within theta gamma / (1 - gamma) of the best there are.
    Without a discount the greedy policy may go round in circles where that costs nothing.

    Attributes:
        q_values: (n_states, n_actions); the value of a state is that of its best action.
        num_timesteps: sweeps so far.
        n_episodes: 0, none are played.
        done: why there is nothing more to learn, empty until then.
    """

    n_episodes = 0

    def __init__(
        self,
        env: VecEnv,
        *,
        gamma: Annotated[float, Interval(ge=0, le=1)] = 0.99,
        theta: Annotated[float, Gt(0)] = 1e-10,
    ) -> None:
        """Begin with values of zero.

        Args:
            env: a single environment of this process that shows its dynamics; see `rlzoo.algos.tabular.dynamics`.
            gamma: discount of future rewards per step, 0 to 1.
            theta: a sweep that changes every value by less is the last.
        """
        self.gamma, self.theta = gamma, theta
        self.num_timesteps, self.done = 0, ""
        self._env = env
        self.q_values = np.zeros((int(env.observation_space.n), int(env.action_space.n)))  # type: ignore[attr-defined]

    def learn(
        self, total_timesteps: int, callbacks: Sequence[Callback] = (), logger: MetricLogger | None = None
    ) -> None:
        """Sweep until it is done, `num_timesteps` has reached `total_timesteps`, or a callback says stop.

        Raises:
            RlzooError: if the environment does not show its dynamics.
        """
        hooks = TrainingHooks(self, callbacks, logger)
        table = required_table(self._env)
        if not self.num_timesteps:
            self._env.reset()  # although it is not stepped: checkpoints hold environments that have begun
        hooks.start()
        while hooks.continues(total_timesteps) and not self.done:
            change = self._sweep(table)
            self.num_timesteps += 1
            if change < self.theta:
                self.done = f"no value has changed by theta={self.theta:g}"
            hooks.log([], {"train/value_change": change})
            hooks.step()
        hooks.end()

    def _sweep(self, table: TransitionTable) -> float:
        """Give every state the value of its best action, by the values of the sweep before (4.10).

        Returns:
            The largest change of a value.
        """
        before = self.q_values.max(axis=1)  # (n_states,)
        self.q_values = action_values(table, before, self.gamma)
        return float(np.abs(self.q_values.max(axis=1) - before).max())

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """The best actions, whether `deterministic` or not; see `rlzoo.protocols.Policy`."""
        return self.q_values[np.asarray(observation)].argmax(axis=-1), state

    def state(self) -> State:
        return State({"q_values": self.q_values.copy()}, {"num_timesteps": self.num_timesteps, "done": self.done})

    def restore(self, state: State) -> None:
        self.restore_weights(state)
        self.num_timesteps, self.done = state.values["num_timesteps"], state.values["done"]

    def restore_weights(self, state: State) -> None:
        """Take over the values alone: the start of another training."""
        self.q_values = base.restored_table(state, "q_values", self.q_values)

    def begin_episodes(self, observation: Any, rows: np.ndarray) -> None:
        """There are none."""
