"""Policy iteration: a policy is evaluated by the dynamics of the environment, made better, and so on until it is best.

Howard 1960; Sutton and Barto, Reinforcement Learning, 2nd edition, section 4.3. Equation numbers are theirs.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Gt, Interval
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.tabular.base import Planner
from rlzoo.algos.tabular.math import TransitionTable, action_values, restored_indices
from rlzoo.protocols import State


class PolicyIteration(Planner):
    """Evaluates a policy sweep by sweep, and makes it better when its values stand.

    When a sweep changes no value by `theta`, the policy takes better actions where there are any; it is done when
    there are none. An action is only given up for one that is better by `theta`: the values are not known more
    exactly, and equal actions would take turns for ever. Without a discount, a policy that never ends may be worth
    minus infinity, and the first one, action 0 everywhere, is often one of these.

    Attributes:
        policy: (n_states,), the action taken in each state.
        v_values: (n_states,), what the policy is worth.
        q_values: (n_states, n_actions), what an action is worth if the policy follows.
        n_improvements: how often the policy has changed.
    """

    LEARNED = ("policy", "v_values", "q_values")
    VALUES = (*Planner.VALUES, "n_improvements")

    def __init__(
        self,
        env: VecEnv,
        *,
        gamma: Annotated[float, Interval(ge=0, le=1)] = 0.99,
        theta: Annotated[float, Gt(0)] = 1e-10,
    ) -> None:
        """Begin with values of zero, and with action 0 in every state.

        Args:
            env: a single environment of this process that shows its dynamics; see `rlzoo.algos.tabular.dynamics`.
            gamma: discount of future rewards per step, 0 to 1.
            theta: a sweep that changes every value by less is the last before the policy is looked at.
        """
        super().__init__(env, gamma, theta)
        self.n_improvements = 0
        self.v_values, self.policy = np.zeros(len(self.q_values)), np.zeros(len(self.q_values), dtype=np.int64)

    def sweep(self, table: TransitionTable) -> dict[str, float]:
        """Give every state the value of the policy's action, by the values of the sweep before (4.5)."""
        before = self.v_values
        self.q_values = action_values(table, before, self.gamma)  # (4.6)
        self.v_values = np.take_along_axis(self.q_values, self.policy[:, None], axis=1)[:, 0]  # (n_states,)
        change = float(np.abs(self.v_values - before).max())
        if change < self.theta:
            self._improve()
        return {"train/value_change": change, "train/n_improvements": float(self.n_improvements)}

    def _improve(self) -> None:
        """Take the best action wherever the policy's own is worse (4.9)."""
        better = self.q_values.max(axis=1) > self.v_values + self.theta  # (n_states,)
        if not better.any():
            self.done = f"no action is better than the policy's by theta={self.theta:g}"
            return
        self.policy = np.where(better, self.q_values.argmax(axis=1), self.policy)
        self.n_improvements += 1

    def restore_weights(self, state: State) -> None:
        super().restore_weights(state)
        self.policy = restored_indices(state.tensors, "policy", self.policy.shape, self.q_values.shape[1])

    def choose(self, states: np.ndarray) -> np.ndarray:
        return self.policy[states]
