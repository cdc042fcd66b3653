"""Value iteration: the best values of all states at once, computed from the dynamics of the environment.

Bellman 1957; Sutton and Barto, Reinforcement Learning, 2nd edition, section 4.4. Equation numbers are theirs.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Gt, Interval
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.tabular.base import Planner
from rlzoo.algos.tabular.math import TransitionTable, action_values


class ValueIteration(Planner):
    """Gives every state the value of its best action, again and again.

    It is done when a sweep changes no value by `theta`. With a discount below 1 the values are then within theta
    gamma / (1 - gamma) of the best there are. Without a discount the greedy policy may go round in circles where
    that costs nothing.

    Attributes:
        q_values: (n_states, n_actions); the value of a state is that of its best action.
    """

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
        super().__init__(env, gamma, theta)

    def sweep(self, table: TransitionTable) -> dict[str, float]:
        """Give every state the value of its best action, by the values of the sweep before (4.10)."""
        before = self.q_values.max(axis=1)  # (n_states,)
        self.q_values = action_values(table, before, self.gamma)
        change = float(np.abs(self.q_values.max(axis=1) - before).max())
        if change < self.theta:
            self.done = f"no value has changed by theta={self.theta:g}"
        return {"train/value_change": change}

    def choose(self, states: np.ndarray) -> np.ndarray:
        return self.q_values[states].argmax(axis=-1)
