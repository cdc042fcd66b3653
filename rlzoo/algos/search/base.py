"""What the searches over policies share: candidates are asked for, played in whole episodes, and told their returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rlzoo.algos.base import TrainingHooks, VectorEnvironment, generator_state, own_generator, restored_generator
from rlzoo.algos.search.flat_policy import FlatPolicy
from rlzoo.protocols import Callback, MetricLogger, State

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

WORST = float(np.finfo(np.float32).min)
"""What a return counts that is not finite: less than any other."""


class PolicySearch(ABC):
    """The base of the searches. The first candidates are around logits or actions of zero, whatever is observed.

    Attributes:
        policy: what all candidates are, apart from their weights.
        weights: those it acts by, (n_weights,); their layout is that of `search.flat_policy`.
        num_timesteps: environment steps taken so far, over all environments.
        n_episodes: whole episodes played so far, over all environments.

    Args:
        env: its observations are a Box or finite, its actions Discrete or a Box.
        net_arch: sizes of the hidden layers, with tanh; none is a linear policy.
        n_eval_episodes: whole episodes for each candidate.
        sample_actions: draw discrete actions by their softmax probability, instead of taking the best one.
        squash_output: continuous actions are squashed into their bounds by a tanh, instead of clipped.
        seed: of the candidates, and of actions that are drawn.
    """

    WEIGHTS = "weights"
    """What a checkpoint calls the weights."""
    ARRAYS: ClassVar[tuple[str, ...]] = ()
    """Attributes that are arrays and belong into a checkpoint."""
    VALUES: ClassVar[Mapping[str, Callable[[Any], Any]]]
    """Other attributes that do, each with what makes it of plain data."""

    def __init__(
        self,
        env: VecEnv,
        net_arch: Sequence[int] = (),
        *,
        n_eval_episodes: int = 1,
        sample_actions: bool = False,
        squash_output: bool = False,
        seed: int | None = None,
    ) -> None:
        spaces = (env.observation_space, env.action_space)
        self.policy = FlatPolicy(*spaces, net_arch, sample_actions=sample_actions, squash_output=squash_output)
        self._rng = own_generator(seed)
        self._trials = Trials(VectorEnvironment(env), self.policy, n_eval_episodes)
        self.weights = self.policy.start(self._rng)

    @abstractmethod
    def ask(self) -> np.ndarray:
        """The candidates to play next: their weights, (n_candidates, n_weights)."""

    @abstractmethod
    def tell(self, candidates: np.ndarray, returns: np.ndarray) -> None:
        """Learn from what candidates (n_candidates, n_weights) returned, (n_candidates,)."""

    def metrics(self) -> dict[str, float]:
        """Numbers for the log, besides the returns."""
        return {}

    @property
    def num_timesteps(self) -> int:
        return self._trials.num_timesteps

    @property
    def n_episodes(self) -> int:
        return self._trials.n_episodes

    def learn(
        self, total_timesteps: int, callbacks: Sequence[Callback] = (), logger: MetricLogger | None = None
    ) -> None:
        """Try candidates until `num_timesteps` has reached `total_timesteps`, or a callback says stop.

        Candidates that are cut off by a callback change nothing.
        """
        hooks = TrainingHooks(self, callbacks, logger)
        self._trials.begin()
        hooks.start()
        while hooks.continues(total_timesteps):
            candidates = self.ask()
            returns = self._trials.play(candidates, hooks, self._rng)
            if returns is None:
                break
            self.tell(candidates, returns)
            if len(self._trials.recent) >= hooks.log_interval:
                self._trials.log(hooks, self.metrics())
        self._trials.log(hooks, self.metrics())
        hooks.end()

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Actions by the weights it acts by; see `rlzoo.protocols.Policy`.

        `deterministic=False` is as in training: it draws discrete actions with `sample_actions`, else there is no
        chance in them.
        """
        return self.policy.predict(self.weights, observation, deterministic=deterministic), state

    def state(self) -> State:
        """The weights and other arrays, the counters, the generator, the first observations."""
        trials = self._trials.state()
        arrays = {self.WEIGHTS: self.weights.copy(), **{name: getattr(self, name).copy() for name in self.ARRAYS}}
        values = {name: getattr(self, name) for name in self.VALUES}
        generator = generator_state(self._rng)
        return State({**arrays, **trials.tensors}, {**values, **trials.values, "generator": generator})

    def restore(self, state: State) -> None:
        self.restore_weights(state)
        self._trials.restore(state)
        for name in self.ARRAYS:
            array, shape = np.array(state.tensors[name], dtype=np.float64), getattr(self, name).shape
            if array.shape != shape:
                raise ValueError(f"{name} has shape {array.shape}, not {shape}")
            setattr(self, name, array)
        for name, kind in self.VALUES.items():
            setattr(self, name, kind(state.values[name]))
        self._rng = restored_generator(state.values["generator"])

    def restore_weights(self, state: State) -> None:
        """Take over the weights alone: the start of another training."""
        self.weights = self.policy.checked(state.tensors[self.WEIGHTS])

    def begin_episodes(self, observation: Any, rows: np.ndarray) -> None:
        """Restart the episodes of environments that could not be restored: `rows` (n_envs,) says which."""
        self._trials.begin_episodes(observation, rows)


class Trials:
    """Plays candidates, and counts what was played.

    The episodes of a generation are dealt out beforehand: episode k, of candidate k // n_eval_episodes, is played by
    environment k mod n_envs. So no short episode gets its candidate a place before others, and every return is that of
    an episode from its reset to its end. An environment that has played its share continues with the last candidate
    until the others have; these steps count as steps of the training, but for no return. Then all are reset: at a
    boundary every environment stands at the start of an episode.

    Attributes:
        num_timesteps: environment steps taken so far, over all environments.
        n_episodes: whole episodes played so far, over all environments.
        recent: return and length of episodes that are not in the log yet.
    """

    def __init__(self, env: VectorEnvironment, policy: FlatPolicy, n_eval_episodes: int) -> None:
        self._env, self._policy, self._n_eval_episodes = env, policy, n_eval_episodes
        self.num_timesteps = self.n_episodes = 0
        self.recent: list[tuple[float, int]] = []
        self._observation: Any = None  # (n_envs, *observation_shape), of environments that were just reset

    def begin(self) -> None:
        """Reset the environments, unless they stand at the start of an episode already."""
        if self._observation is None:
            self._observation = self._env.reset()

    def play(self, candidates: np.ndarray, hooks: TrainingHooks, generator: np.random.Generator) -> np.ndarray | None:
        """The mean return of every candidate, (n_candidates,), or None if a callback ended the training on the way.

        Args:
            candidates: their weights, (n_candidates, n_weights).
            hooks: hears of every step.
            generator: where the chance in actions comes from.
        """
        n_envs, n_episodes = self._env.n_envs, len(candidates) * self._n_eval_episodes
        returns = np.zeros(n_episodes)
        playing = np.arange(n_envs)  # (n_envs,), the episode in each environment; n_episodes or more: through
        observation, self._observation = self._observation, None
        while True:
            counts = playing < n_episodes  # (n_envs,)
            weights = candidates[np.where(counts, playing // self._n_eval_episodes, -1)]  # (n_envs, n_weights)
            over = np.zeros(n_envs, dtype=bool)
            while not over.any():
                step = self._env.step(self._policy.train_act(weights, observation, generator))
                observation, over = step.observation, step.terminated | step.truncated
                returns[playing[counts]] += step.reward[counts]
                self.num_timesteps += n_envs
                self.n_episodes += len(step.episodes)
                self.recent += step.episodes
                hooks.log_episodes_of(step)
                if not hooks.step():
                    return None
            playing[over] += n_envs
            if playing.min() >= n_episodes:
                break
        self._observation = observation if over.all() else self._env.reset()
        means = returns.reshape(len(candidates), self._n_eval_episodes).mean(axis=1)
        return np.where(np.isfinite(means), means, WORST)

    def log(self, hooks: TrainingHooks, metrics: dict[str, float]) -> None:
        """Log the episodes since the last time, with other numbers by name."""
        if self.recent:
            hooks.log(self.recent, metrics)
            self.recent = []

    def begin_episodes(self, observation: Any, rows: np.ndarray) -> None:
        """Restart the episodes of environments that could not be restored: `rows` (n_envs,) says which."""
        self._observation[rows] = np.asarray(observation)[rows]

    def state(self) -> State:
        tensors = {} if self._observation is None else {"observation": np.array(self._observation)}
        values = {"num_timesteps": self.num_timesteps, "n_episodes": self.n_episodes, "recent": self.recent}
        return State(tensors, values)

    def restore(self, state: State) -> None:
        self.num_timesteps, self.n_episodes = int(state.values["num_timesteps"]), int(state.values["n_episodes"])
        self.recent = [(float(reward), int(length)) for reward, length in state.values["recent"]]
        observation = state.tensors.get("observation")
        self._observation = None if observation is None else np.array(observation)
