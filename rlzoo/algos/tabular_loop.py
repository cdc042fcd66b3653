"""The loop that the tabular algorithms share: over a real environment, or compiled over the table of its dynamics."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rlzoo.algos.core.generator import generator_state, own_generator, restored_generator
from rlzoo.algos.core.tabular import Walk, start
from rlzoo.algos.transition_table import Dynamics, find_dynamics
from rlzoo.algos.vector_environment import VectorEnvironment
from rlzoo.algos.watch import Watch
from rlzoo.errors import RlzooError
from rlzoo.protocols import Algorithm, Callback, MetricLogger, State

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv


class TabularAgent(Algorithm, Protocol):
    """What learns in the loop."""

    def act(self, state: int, index: int) -> int:
        """The action to take in a state of environment `index`."""
        ...

    def observe(
        self, state: int, action: int, reward: float, terminated: bool, truncated: bool, next_state: int, index: int
    ) -> None:
        """Learn from a step of environment `index`; `next_state` is the last of an episode that ended."""
        ...

    def play(self, dynamics: Dynamics, walk: Walk, n_steps: int, until_episode: int) -> tuple[int, Walk]:
        """The same compiled: up to `n_steps` steps, or until so many episodes have been played in all.

        Returns:
            Steps taken, and where that led.
        """
        ...

    def metrics(self) -> dict[str, float]:
        """Numbers for the log."""
        ...


COUNTERS = ("num_timesteps", "n_episodes", "_length", "_total", "_n_recent", "_returns", "_lengths")
"""What a `TabularLoop` has counted, by the names of its attributes."""


class TabularLoop:
    """Steps and episodes so far, where the environments stand, and the generator that everything is drawn from.

    A single environment that shows its dynamics (`transition_table.find_dynamics`) is not stepped itself: a compiled
    loop plays it in its table, with the same update and the same distribution of episodes.

    Attributes:
        num_timesteps: environment steps so far, over all environments.
        n_episodes: whole episodes so far, over all environments.
        n_states, n_actions: what a table has.
        generator: where chance comes from.
    """

    def __init__(self, env: VecEnv, seed: int | None) -> None:
        self.num_timesteps = self.n_episodes = 0
        self.n_states, self.n_actions = int(env.observation_space.n), int(env.action_space.n)  # type: ignore[attr-defined]
        self.generator = own_generator(seed)
        self._env = env
        self._states: np.ndarray | None = None  # (n_envs,), where every environment stands
        self._length, self._total = 0, 0.0  # steps and return so far of an episode in a table
        self._n_recent, self._returns, self._lengths = 0, 0.0, 0  # of the episodes that are not in the log yet: sums

    def learn(
        self, agent: TabularAgent, total_timesteps: int, callbacks: Sequence[Callback], logger: MetricLogger | None
    ) -> None:
        """Train until `num_timesteps` has reached `total_timesteps`, or a callback says stop."""
        watch = Watch(agent, callbacks, logger)
        dynamics = find_dynamics(self._env)
        env = VectorEnvironment(self._env)
        if self._states is None:
            self._states = env.reset()  # also where it is not stepped: checkpoints hold environments that have begun
            if dynamics is not None:
                self._states = np.array([start(dynamics.table.starts, self.generator)])
        watch.start()
        while watch.goes_on(total_timesteps):
            if dynamics is None:
                self._step(agent, env, watch)
            else:
                self._play(agent, dynamics, watch, total_timesteps)
            if self._n_recent >= watch.log_interval and self._log_is_due(total_timesteps):
                self._log(agent, watch)
            watch.step()
        if self._n_recent:
            self._log(agent, watch)
        watch.end()

    def _step(self, agent: TabularAgent, env: VectorEnvironment, watch: Watch) -> None:
        """One step of every environment."""
        assert self._states is not None
        states = self._states
        actions = np.array([agent.act(state, index) for index, state in enumerate(states.tolist())])
        step = env.step(actions)
        for index, (state, action, next_state) in enumerate(
            zip(states.tolist(), actions.tolist(), step.final_observation.tolist(), strict=True)
        ):
            ends = bool(step.terminated[index]), bool(step.truncated[index])
            agent.observe(state, action, float(step.reward[index]), *ends, next_state, index)
        self._states = step.observation
        self.num_timesteps += env.n_envs
        self.n_episodes += len(step.episodes)
        for total, length in step.episodes:
            self._n_recent, self._returns, self._lengths = (
                self._n_recent + 1,
                self._returns + total,
                self._lengths + length,
            )
        watch.log_episodes_of(step)

    def _play(self, agent: TabularAgent, dynamics: Dynamics, watch: Watch, total_timesteps: int) -> None:
        """As many steps in the table as nobody wants to be asked between."""
        assert self._states is not None
        patience = watch.patience()
        every = log_steps(total_timesteps)
        next_log = (self.num_timesteps // every + 1) * every
        n_steps = int(min(patience.timesteps, next_log - self.num_timesteps, total_timesteps - self.num_timesteps))
        until = int(min(self.n_episodes + patience.episodes, sys.maxsize))
        walk = Walk(int(self._states[0]), self._length, self._total, self.n_episodes, np.zeros((n_steps, 2)))
        taken, walk = agent.play(dynamics, walk, n_steps, until)
        state, self._length, self._total, self.n_episodes, ended = walk
        self._states = np.array([state])
        self._count_ended(ended, watch)
        self.num_timesteps += taken

    def _count_ended(self, ended: np.ndarray, watch: Watch) -> None:
        """Count the episodes of `Walk.ended`, and tell of them as the environment's monitor would."""
        last = np.flatnonzero(ended[:, 1])  # steps that were the last of an episode
        steps, totals, lengths = last + 1 + self.num_timesteps, ended[last, 0], ended[last, 1].astype(np.int64)
        for total in totals.tolist():
            self._returns += total
        self._n_recent, self._lengths = self._n_recent + len(last), self._lengths + int(lengths.sum())
        records = zip(steps.tolist(), totals.round(6).tolist(), lengths.tolist(), strict=True)
        watch.log_episodes([(step, {"r": total, "l": length}) for step, total, length in records])

    def _log_is_due(self, total_timesteps: int) -> bool:
        return self.num_timesteps % log_steps(total_timesteps) < self._env.num_envs

    def _log(self, agent: TabularAgent, watch: Watch) -> None:
        means = {
            "rollout/ep_rew_mean": self._returns / self._n_recent,
            "rollout/ep_len_mean": self._lengths / self._n_recent,
        }
        watch.log([], {**means, **agent.metrics()})
        self._n_recent, self._returns, self._lengths = 0, 0.0, 0

    def state(self) -> State:
        """Counters, generator, and where the environments stand."""
        tensors = {} if self._states is None else {"states": np.array(self._states)}
        values = {name: getattr(self, name) for name in COUNTERS}
        return State(tensors, {**values, "generator": generator_state(self.generator)})

    def restore(self, state: State) -> None:
        for name in COUNTERS:
            setattr(self, name, state.values[name])
        self.generator = restored_generator(state.values["generator"])
        states = state.tensors.get("states")
        self._states = None if states is None else np.array(states)

    def begin_episodes(self, observation: Any, rows: np.ndarray) -> None:
        """Begin anew the episodes of environments that could not be put back: `rows` (n_envs,) says which."""
        assert self._states is not None
        self._states[rows] = np.asarray(observation)[rows]
        self._length, self._total = 0, 0.0


def log_steps(total_timesteps: int) -> int:
    """Steps between two lines of the log at least: a thousandth of the training."""
    return max(1, total_timesteps // 1000)


def predict(q_values: np.ndarray, observation: Any, epsilon: float, *, deterministic: bool) -> np.ndarray:
    """The best actions for states of any shape, or with chance `epsilon` any, drawn from NumPy's global generator.

    The training's own generator is left alone: it trains the same, whatever is played beside it.
    """
    states = np.asarray(observation)
    actions = q_values[states].argmax(axis=-1)
    if deterministic or epsilon <= 0:
        return actions
    explores = np.random.random(states.shape) < epsilon
    return np.where(explores, np.random.randint(q_values.shape[1], size=states.shape), actions)


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
    """An array of a state, which has to have the shape of `like`.

    Raises:
        ValueError: if it has not.
    """
    table = np.array(state.tensors[name])
    if table.shape != like.shape:
        raise ValueError(f"{name} has shape {table.shape}, not {like.shape}")
    return table
