"""What the tabular algorithms share: a loop over a real environment, or compiled over the table of its dynamics."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Interval
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.base import TrainingHooks, VectorEnvironment, generator_state, own_generator, restored_generator
from rlzoo.algos.tabular.dynamics import Dynamics, find_dynamics, required_table
from rlzoo.algos.tabular.math import (
    LoopState,
    TransitionTable,
    epsilon_greedy,
    exponential_decay,
    restored_indices,
    start,
)
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.protocols import Callback, MetricLogger, State

COUNTERS = ("num_timesteps", "n_episodes", "_length", "_total", "_n_recent", "_returns", "_lengths")
"""What a `TabularAgent` has counted, by the names of its attributes."""


class TabularAgent(ABC):
    """The base of the methods that learn a table: their loop, their exploration, and what a checkpoint holds of them.

    A single environment that shows its dynamics (`dynamics.find_dynamics`) is not stepped itself: a compiled
    loop plays it in its table, with the same update and the same distribution of episodes.

    A method says what it learns from a step (`observe`) and plays the same compiled (`play`), on what it has made in
    `allocate`. It acts epsilon-greedily by its `q_values`, unless it overrides `act`, `choose` and `metrics`.

    Attributes:
        num_timesteps: environment steps so far, over all environments.
        n_episodes: whole episodes so far, over all environments.
        n_states, n_actions: what a table has.
        generator: where chance comes from.
        q_values: what every action is worth, (n_states, n_actions).
        max_epsilon, min_epsilon, decay_rate: the chance of a random action in the first episode, what it falls to, and
            how fast: by a factor of e every 1 / decay_rate episodes.
    """

    LEARNED: tuple[str, ...] = ("q_values",)
    """Arrays that another training may begin with, by the names of attributes."""
    q_values: np.ndarray

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
        self.num_timesteps = self.n_episodes = 0
        self.n_states, self.n_actions = int(env.observation_space.n), int(env.action_space.n)  # type: ignore[attr-defined]
        self.generator = own_generator(seed)
        self._env = env
        self._states: np.ndarray | None = None  # (n_envs,), where every environment stands
        self._length, self._total = 0, 0.0  # steps and return so far of an episode in a table
        self._n_recent, self._returns, self._lengths = 0, 0.0, 0  # of the episodes that are not in the log yet: sums
        self.allocate(env.num_envs)

    def allocate(self, n_envs: int) -> None:
        """Make what is learned, and what is kept of `n_envs` unfinished episodes."""
        self.q_values = np.zeros((self.n_states, self.n_actions))

    @abstractmethod
    def observe(
        self, state: int, action: int, reward: float, terminated: bool, truncated: bool, next_state: int, index: int
    ) -> None:
        """Learn from a step of environment `index`; `next_state` is the last of an episode that ended."""

    @abstractmethod
    def play(self, dynamics: Dynamics, loop: LoopState, n_steps: int, until_episode: int) -> tuple[int, LoopState]:
        """`act` and `observe`, compiled: up to `n_steps` steps, or until so many episodes have been played in all.

        Returns:
            Steps taken, and where that led.
        """

    @property
    def settings(self) -> tuple[float, float, float, float, float]:
        """What a compiled loop takes: learning rate, discount, and the three numbers of exploration."""
        return self.learning_rate, self.gamma, self.max_epsilon, self.min_epsilon, self.decay_rate

    @property
    def epsilon(self) -> float:
        """The chance of a random action in this episode."""
        return exponential_decay(self.max_epsilon, self.min_epsilon, self.decay_rate, self.n_episodes)

    @property
    def _n_rows(self) -> int:
        """Environments that are kept account of: those of the checkpoint, whatever number it is restored beside."""
        return self._env.num_envs if self._states is None else len(self._states)

    def act(self, state: int, index: int) -> int:
        """The action to learn from in a state of environment `index`."""
        return epsilon_greedy(self.q_values, state, self.epsilon, self.generator)

    def choose(self, states: np.ndarray, *, deterministic: bool) -> np.ndarray:
        """Actions outside of the training, for states of any shape.

        Chance is drawn from NumPy's global generator: the training continues the same, whatever is played beside it.
        """
        actions = self.q_values[states].argmax(axis=-1)
        if deterministic or self.epsilon <= 0:
            return actions
        explores = np.random.random(states.shape) < self.epsilon
        return np.where(explores, np.random.randint(self.n_actions, size=states.shape), actions)

    def metrics(self) -> dict[str, float]:
        """Numbers for the log."""
        return {"rollout/exploration_rate": self.epsilon}

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """What it does, as in training unless it is `deterministic`; see `rlzoo.protocols.Policy`."""
        return self.choose(np.asarray(observation), deterministic=deterministic), state

    def learn(
        self, total_timesteps: int, callbacks: Sequence[Callback] = (), logger: MetricLogger | None = None
    ) -> None:
        """Train until `num_timesteps` has reached `total_timesteps`, or a callback says stop."""
        hooks = TrainingHooks(self, callbacks, logger)
        dynamics = find_dynamics(self._env)
        env = VectorEnvironment(self._env)
        if self._n_rows != env.n_envs:  # only what is never trained may be restored from other numbers of environments
            message = f"what was restored is of {self._n_rows} environments, not of {env.n_envs}"
            raise RlzooError(message, code=ExitCode.STORAGE)
        if self._states is None:
            self._states = self._known(
                env.reset()
            )  # also where it is not stepped: checkpoints hold environments that have begun
            if dynamics is not None:
                self._states = np.array([start(dynamics.table.starts, self.generator)])
        hooks.start()
        while hooks.continues(total_timesteps):
            if dynamics is None:
                self._step(env, hooks)
            else:
                self._play(dynamics, hooks, total_timesteps)
            if self._n_recent >= hooks.log_interval and self._log_is_due(total_timesteps):
                self._log(hooks)
            hooks.step()
        if self._n_recent:
            self._log(hooks)
        hooks.end()

    def _step(self, env: VectorEnvironment, hooks: TrainingHooks) -> None:
        """One step of every environment."""
        assert self._states is not None
        states = self._states
        actions = np.array([self.act(state, index) for index, state in enumerate(states.tolist())])
        step = env.step(actions)
        finals = self._known(step.final_observation)
        for index, (state, action, next_state) in enumerate(
            zip(states.tolist(), actions.tolist(), finals.tolist(), strict=True)
        ):
            ends = bool(step.terminated[index]), bool(step.truncated[index])
            self.observe(state, action, float(step.reward[index]), *ends, next_state, index)
        self._states = self._known(step.observation)
        self.num_timesteps += env.n_envs
        self.n_episodes += len(step.episodes)
        self._n_recent += len(step.episodes)
        for total, length in step.episodes:
            self._returns, self._lengths = self._returns + total, self._lengths + length
        hooks.log_episodes_of(step)

    def _known(self, states: np.ndarray) -> np.ndarray:
        """States that were observed, which compiled code looks up in tables without a look at their size."""
        for state in states.tolist():
            if not 0 <= state < self.n_states:
                text = f"the environment is in state {state}, and its states are 0 to {self.n_states - 1}"
                raise RlzooError(text, "its observation_space says how many there are", ExitCode.TRAINING_FAILED)
        return states

    def _play(self, dynamics: Dynamics, hooks: TrainingHooks, total_timesteps: int) -> None:
        """As many steps in the table as nobody wants to be asked between."""
        assert self._states is not None
        patience = hooks.patience()
        every = log_steps(total_timesteps)
        next_log = (self.num_timesteps // every + 1) * every
        n_steps = int(min(patience.timesteps, next_log - self.num_timesteps, total_timesteps - self.num_timesteps))
        until = int(min(self.n_episodes + patience.episodes, sys.maxsize))
        loop = LoopState(int(self._states[0]), self._length, self._total, self.n_episodes, np.zeros((n_steps, 2)))
        taken, loop = self.play(dynamics, loop, n_steps, until)
        state, self._length, self._total, self.n_episodes, ended = loop
        self._states = np.array([state])
        self._count_ended(ended, hooks)
        self.num_timesteps += taken

    def _count_ended(self, ended: np.ndarray, hooks: TrainingHooks) -> None:
        """Count the episodes of `LoopState.ended`, and tell of them as the environment's monitor would."""
        last = np.flatnonzero(ended[:, 1])  # steps that were the last of an episode
        steps, totals, lengths = last + 1 + self.num_timesteps, ended[last, 0], ended[last, 1].astype(np.int64)
        for total in totals.tolist():
            self._returns += total
        self._n_recent, self._lengths = self._n_recent + len(last), self._lengths + int(lengths.sum())
        records = zip(steps.tolist(), totals.round(6).tolist(), lengths.tolist(), strict=True)
        hooks.log_episodes([(step, {"r": total, "l": length}) for step, total, length in records])

    def _log_is_due(self, total_timesteps: int) -> bool:
        return self.num_timesteps % log_steps(total_timesteps) < self._env.num_envs

    def _log(self, hooks: TrainingHooks) -> None:
        means = {
            "rollout/ep_rew_mean": self._returns / self._n_recent,
            "rollout/ep_len_mean": self._lengths / self._n_recent,
        }
        hooks.log([], {**means, **self.metrics()})
        self._n_recent, self._returns, self._lengths = 0, 0.0, 0

    def state(self) -> State:
        """What was learned, counters, generator, and where the environments stand."""
        tensors = {name: np.array(getattr(self, name)) for name in self.LEARNED}
        if self._states is not None:
            tensors["states"] = np.array(self._states)
        values = {name: getattr(self, name) for name in COUNTERS}
        return State(tensors, {**values, "generator": generator_state(self.generator)})

    def restore(self, state: State) -> None:
        self.restore_weights(state)
        for name in COUNTERS:
            setattr(self, name, type(getattr(self, name))(state.values[name]))
        self.generator = restored_generator(state.values["generator"])
        self._states = None
        if "states" in state.tensors:
            shape = (len(state.tensors["states"]),)
            self._states = restored_indices(state.tensors, "states", shape, self.n_states)

    def restore_weights(self, state: State) -> None:
        """Take over what was learned alone: the start of another training."""
        for name in self.LEARNED:
            setattr(self, name, restored_table(state, name, getattr(self, name)))

    def begin_episodes(self, observation: Any, rows: np.ndarray) -> None:
        """Restart the episodes of environments that could not be restored: `rows` (n_envs,) says which."""
        assert self._states is not None
        self._states[rows] = np.asarray(observation)[rows]
        self._length, self._total = 0, 0.0


class Planner(ABC):
    """The base of the methods that plan in the table of an environment's dynamics, without a step in the environment.

    What a time step is elsewhere is a sweep over all states here; a method has `sweep` and `choose`.

    Attributes:
        q_values: what every action is worth, (n_states, n_actions).
        num_timesteps: sweeps so far.
        n_episodes: 0, none are played.
        done: why there is nothing more to learn, empty until then.
    """

    LEARNED: tuple[str, ...] = ("q_values",)
    """Arrays that another training may begin with, by the names of attributes."""
    VALUES: tuple[str, ...] = ("num_timesteps", "done")
    """Attributes that a checkpoint keeps besides."""
    n_episodes = 0

    def __init__(self, env: VecEnv, gamma: float, theta: float) -> None:
        self.gamma, self.theta = gamma, theta
        self.num_timesteps, self.done = 0, ""
        self._env = env
        self.q_values = np.zeros((int(env.observation_space.n), int(env.action_space.n)))  # type: ignore[attr-defined]

    @abstractmethod
    def sweep(self, table: TransitionTable) -> dict[str, float]:
        """Look once at every state; numbers for the log."""

    @abstractmethod
    def choose(self, states: np.ndarray) -> np.ndarray:
        """Actions for states of any shape."""

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
            metrics = self.sweep(table)
            self.num_timesteps += 1
            hooks.log([], metrics)
            hooks.step()
        hooks.end()

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Its actions, whether `deterministic` or not; see `rlzoo.protocols.Policy`."""
        return self.choose(np.asarray(observation)), state

    def state(self) -> State:
        tensors = {name: getattr(self, name).copy() for name in self.LEARNED}
        return State(tensors, {name: getattr(self, name) for name in self.VALUES})

    def restore(self, state: State) -> None:
        self.restore_weights(state)
        for name in self.VALUES:
            setattr(self, name, state.values[name])

    def restore_weights(self, state: State) -> None:
        """Take over what was learned alone: the start of another training."""
        for name in self.LEARNED:
            setattr(self, name, restored_table(state, name, getattr(self, name)))

    def begin_episodes(self, observation: Any, rows: np.ndarray) -> None:  # noqa: B027
        """There are none."""


def log_steps(total_timesteps: int) -> int:
    """Steps between two lines of the log at least: a thousandth of the training."""
    return max(1, total_timesteps // 1000)


def fixed_policy(actions: Sequence[int] | np.ndarray | None, n_states: int, n_actions: int) -> np.ndarray:
    """A policy (n_states,) that plays these actions, or any: -1 everywhere.

    Raises:
        RlzooError: if there is not one action for each state.
    """
    if actions is None:
        return np.full(n_states, -1)
    policy = np.array(actions, dtype=np.int64)
    if policy.shape != (n_states,) or policy.min() < 0 or policy.max() >= n_actions:
        raise RlzooError(f"a policy has one action below {n_actions} for each of {n_states} states, not {actions}")
    return policy


def play_policy(policy: np.ndarray, observation: Any, n_actions: int) -> np.ndarray:
    """What a fixed policy does in states of any shape; random actions are drawn from NumPy's global generator."""
    states = np.asarray(observation)
    actions = policy[states]
    if (policy >= 0).all():
        return actions
    return np.where(actions < 0, np.random.randint(n_actions, size=states.shape), actions)


def restored_table(state: State, name: str, like: np.ndarray) -> np.ndarray:
    """An array of a state, which has to have the shape of `like` and the kind of its numbers.

    Raises:
        ValueError: if it has not.
    """
    table = np.array(state.tensors[name])
    if table.shape != like.shape:
        raise ValueError(f"{name} has shape {table.shape}, not {like.shape}")
    if table.dtype.kind != like.dtype.kind:
        raise ValueError(f"{name} holds {table.dtype}, not {like.dtype}")
    return table
