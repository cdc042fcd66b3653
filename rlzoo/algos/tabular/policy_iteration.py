"""Policy iteration: a policy is evaluated by the dynamics of the environment, made better, and so on until it is best.

Howard 1960; Sutton and Barto, Reinforcement Learning, 2nd edition, section 4.3. Equation numbers are theirs.
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


class PolicyIteration:
    """Plans in the table of an environment's dynamics, without a step in the environment.

    What a time step is elsewhere is a sweep over all states here, one that evaluates the policy. When a sweep
    changes no value by `theta`, the policy takes better actions where there are any; it is done when there are
    none. An action is only given up for one that is better by `theta`: the values are not known more exactly, and
    equal actions would take turns for ever. Without a discount, a policy that never ends may be worth minus
    infinity, and the first one, action 0 everywhere, is often one of these.

    Attributes:
        policy: (n_states,), the action taken in each state.
        v_values: (n_states,), what the policy is worth.
        q_values: (n_states, n_actions), what an action is worth if the policy follows.
        n_improvements: how often the policy has changed.
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
        """Begin with values of zero, and with action 0 in every state.

        Args:
            env: a single environment of this process that shows its dynamics; see `rlzoo.algos.tabular.dynamics`.
            gamma: discount of future rewards per step, 0 to 1.
            theta: a sweep that changes every value by less is the last before the policy is looked at.
        """
        self.gamma, self.theta = gamma, theta
        self.num_timesteps, self.n_improvements, self.done = 0, 0, ""
        self._env = env
        n_states, n_actions = int(env.observation_space.n), int(env.action_space.n)  # type: ignore[attr-defined]
        self.q_values, self.v_values = np.zeros((n_states, n_actions)), np.zeros(n_states)
        self.policy = np.zeros(n_states, dtype=np.int64)

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
            change = self._evaluate(table)
            self.num_timesteps += 1
            if change < self.theta:
                self._improve()
            hooks.log([], {"train/value_change": change, "train/n_improvements": float(self.n_improvements)})
            hooks.step()
        hooks.end()

    def _evaluate(self, table: TransitionTable) -> float:
        """Give every state the value of the policy's action, by the values of the sweep before (4.5).

        Returns:
            The largest change of a value.
        """
        before = self.v_values
        self.q_values = action_values(table, before, self.gamma)  # (4.6)
        self.v_values = np.take_along_axis(self.q_values, self.policy[:, None], axis=1)[:, 0]  # (n_states,)
        return float(np.abs(self.v_values - before).max())

    def _improve(self) -> None:
        """Take the best action wherever the policy's own is worse (4.9)."""
        better = self.q_values.max(axis=1) > self.v_values + self.theta  # (n_states,)
        if not better.any():
            self.done = f"no action is better than the policy's by theta={self.theta:g}"
            return
        self.policy = np.where(better, self.q_values.argmax(axis=1), self.policy)
        self.n_improvements += 1

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """The policy's actions, whether `deterministic` or not; see `rlzoo.protocols.Policy`."""
        return self.policy[np.asarray(observation)], state

    def state(self) -> State:
        tensors = {"policy": self.policy, "v_values": self.v_values, "q_values": self.q_values}
        counters = {name: getattr(self, name) for name in ("num_timesteps", "n_improvements", "done")}
        return State({name: array.copy() for name, array in tensors.items()}, counters)

    def restore(self, state: State) -> None:
        self.restore_weights(state)
        for name in ("num_timesteps", "n_improvements", "done"):
            setattr(self, name, state.values[name])

    def restore_weights(self, state: State) -> None:
        """Take over the policy and the values alone: the start of another training."""
        for name in ("policy", "v_values", "q_values"):
            setattr(self, name, base.restored_table(state, name, getattr(self, name)))

    def begin_episodes(self, observation: Any, rows: np.ndarray) -> None:
        """There are none."""
