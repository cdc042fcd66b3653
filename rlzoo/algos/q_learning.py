"""Q-learning: off-policy temporal-difference control with a table of action values.

Watkins and Dayan 1992; Sutton and Barto, Reinforcement Learning, 2nd edition, section 6.5. Equation numbers are theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.core.tabular import epsilon_greedy, exponential_decay, generator_state, restored_generator
from rlzoo.algos.vector_environment import VectorEnvironment
from rlzoo.algos.watch import Watch
from rlzoo.protocols import Callback, MetricLogger, State


class QLearning:
    """Learns the value of every action in every state, by the best action of the state that follows.

    Attributes:
        q_values: the table, (n_states, n_actions).
        num_timesteps: environment steps taken so far, over all environments.
        n_episodes: whole episodes played so far, over all environments.
    """

    def __init__(
        self,
        env: VecEnv,
        *,
        learning_rate: float = 0.7,
        gamma: float = 0.95,
        max_epsilon: float = 1.0,
        min_epsilon: float = 0.05,
        decay_rate: float = 0.0005,
        seed: int | None = None,
    ) -> None:
        """Begin with a table of zeros.

        Args:
            env: its observations are states 0 to n_states - 1, its actions 0 to n_actions - 1.
            learning_rate: how far a value moves towards its target, 0 to 1.
            gamma: discount of future rewards per step.
            max_epsilon: the chance of a random action in the first episode.
            min_epsilon: what that chance falls to.
            decay_rate: how fast: by a factor of e every 1 / decay_rate episodes.
            seed: of the random actions.
        """
        self.env = VectorEnvironment(env)
        self.learning_rate, self.gamma = learning_rate, gamma
        self.max_epsilon, self.min_epsilon, self.decay_rate = max_epsilon, min_epsilon, decay_rate
        self.q_values = np.zeros((int(env.observation_space.n), int(env.action_space.n)))  # type: ignore[attr-defined]
        self.num_timesteps = self.n_episodes = 0
        self._rng = np.random.default_rng(seed)
        self._states: np.ndarray | None = None  # (n_envs,), where every environment stands
        self._recent: list[tuple[float, int]] = []  # return and length of episodes that are not in the log yet

    @property
    def epsilon(self) -> float:
        """The chance of a random action in this episode."""
        return exponential_decay(self.max_epsilon, self.min_epsilon, self.decay_rate, self.n_episodes)

    def learn(
        self, total_timesteps: int, callbacks: Sequence[Callback] = (), logger: MetricLogger | None = None
    ) -> None:
        """Train until `num_timesteps` has reached `total_timesteps`, or a callback says stop."""
        watch = Watch(self, callbacks, logger)
        if self.num_timesteps >= total_timesteps:
            return
        if self._states is None:
            self._states = self.env.reset()
        watch.start()
        going_on = True
        while going_on and self.num_timesteps < total_timesteps:
            watch.boundary()
            states = self._states
            actions = epsilon_greedy(self.q_values, states, self.epsilon, self._rng)  # (n_envs,)
            step = self.env.step(actions)
            for state, action, reward, terminated, next_state in zip(
                states, actions, step.reward, step.terminated, step.final_observation, strict=True
            ):
                future = 0.0 if terminated else self.gamma * self.q_values[next_state].max()
                error = reward + future - self.q_values[state, action]
                self.q_values[state, action] += self.learning_rate * error  # (6.8)
            self._states = step.observation
            self.num_timesteps += self.env.n_envs
            self.n_episodes += len(step.episodes)
            self._recent += step.episodes
            if len(self._recent) >= watch.log_interval:
                self._log(watch)
            going_on = watch.step()
        if self._recent:
            self._log(watch)
        watch.end()

    def _log(self, watch: Watch) -> None:
        watch.log(self._recent, {"rollout/exploration_rate": self.epsilon})
        self._recent = []

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """The best actions, or as in training with the chance of a random one; see `rlzoo.protocols.Policy`."""
        states = np.asarray(observation)
        epsilon = 0.0 if deterministic else self.epsilon
        return epsilon_greedy(self.q_values, states.ravel(), epsilon, self._rng).reshape(states.shape), state

    def state(self) -> State:
        """All there is: the table, the counters, the generator, where the environments stand."""
        tensors = {"q_values": self.q_values.copy()}
        if self._states is not None:
            tensors["states"] = np.array(self._states)
        counters = {"num_timesteps": self.num_timesteps, "n_episodes": self.n_episodes}
        return State(tensors, {**counters, "recent": self._recent, "generator": generator_state(self._rng)})

    def restore(self, state: State) -> None:
        self.restore_weights(state)
        self.num_timesteps, self.n_episodes = int(state.values["num_timesteps"]), int(state.values["n_episodes"])
        self._recent = [(float(reward), int(length)) for reward, length in state.values["recent"]]
        self._rng = restored_generator(state.values["generator"])
        states = state.tensors.get("states")
        self._states = None if states is None else np.array(states)

    def restore_weights(self, state: State) -> None:
        """Take over the table alone: the start of another training."""
        table = np.array(state.tensors["q_values"])
        if table.shape != self.q_values.shape:
            raise ValueError(f"q_values has shape {table.shape}, not {self.q_values.shape}")
        self.q_values = table

    def begin_episodes(self, observation: Any, rows: np.ndarray) -> None:
        """Begin anew the episodes of environments that could not be put back: `rows` (n_envs,) says which."""
        assert self._states is not None
        self._states[rows] = np.asarray(observation)[rows]
