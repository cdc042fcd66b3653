"""What the searches over policies share: candidates are asked for, played, and told what they returned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rlzoo.algos.base import TrainingHooks, VectorEnvironment, generator_state, own_generator, restored_generator
from rlzoo.algos.search.flat_policy import FlatPolicy
from rlzoo.algos.search.trials import Trials
from rlzoo.protocols import Callback, MetricLogger, State

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv


class PolicySearch(ABC):
    """The base of the searches. The first candidates are around logits or actions of zero, whatever is observed.

    Attributes:
        policy: what all candidates are, apart from their weights.
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

    weights: np.ndarray
    WEIGHTS = "weights"
    """The attribute that holds the weights it acts by, (n_weights,); their layout is that of `search.flat_policy`."""
    VALUES: ClassVar[Mapping[str, Callable[[Any], Any]]]
    """Other attributes that a checkpoint keeps, each with what makes it of plain data."""

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
        setattr(self, self.WEIGHTS, self.policy.start(self._rng))

    @abstractmethod
    def ask(self) -> np.ndarray:
        """The candidates to play next: their weights, (n_candidates, n_weights)."""

    @abstractmethod
    def tell(self, candidates: np.ndarray, returns: np.ndarray) -> None:
        """Learn from what candidates (n_candidates, n_weights) returned, (n_candidates,)."""

    @abstractmethod
    def metrics(self) -> dict[str, float]:
        """Numbers for the log."""

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
        weights = getattr(self, self.WEIGHTS)
        return self.policy.predict(weights, observation, deterministic=deterministic), state

    def state(self) -> State:
        """The weights, the counters, the generator, the first observations."""
        trials = self._trials.state()
        values = {name: getattr(self, name) for name in self.VALUES}
        return State(
            {self.WEIGHTS: getattr(self, self.WEIGHTS).copy(), **trials.tensors},
            {**values, **trials.values, "generator": generator_state(self._rng)},
        )

    def restore(self, state: State) -> None:
        self.restore_weights(state)
        self._trials.restore(state)
        for name, kind in self.VALUES.items():
            setattr(self, name, kind(state.values[name]))
        self._rng = restored_generator(state.values["generator"])

    def restore_weights(self, state: State) -> None:
        """Take over the weights alone: the start of another training."""
        setattr(self, self.WEIGHTS, self.policy.checked(state.tensors[self.WEIGHTS]))

    def begin_episodes(self, observation: Any, rows: np.ndarray) -> None:
        """Begin anew the episodes of environments that could not be put back: `rows` (n_envs,) says which."""
        self._trials.begin_episodes(observation, rows)
