"""Hill climbing: random changes of the best policy found so far, kept if they are no worse.

With the adaptive step size of Schumer and Steiglitz, Adaptive Step Size Random Search, IEEE Transactions on Automatic
Control 13 (1968), in the simple form that courses teach: smaller steps after a success, larger ones after a failure.
With several candidates at a time it is steepest-ascent hill climbing (Russell and Norvig, Artificial Intelligence: A
Modern Approach, section 4.1). There are no numbered equations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.core.flat_policy import FlatPolicy
from rlzoo.algos.core.generator import generator_state, own_generator, restored_generator
from rlzoo.algos.trials import Trials
from rlzoo.algos.vector_environment import VectorEnvironment
from rlzoo.algos.watch import Watch
from rlzoo.protocols import Callback, MetricLogger, State


class HillClimbing:
    """Climbs from the best weights found so far, and acts by them.

    A candidate keeps the return it once had: where episodes differ much, a lucky one bars the way for long, and more
    of `n_eval_episodes` help.

    Attributes:
        weights: the best so far, (n_weights,); their layout is that of `core.flat_policy`.
        best_return: what they returned, the mean of their episodes; None before the first candidate.
        noise_scale: the standard deviation of the next changes of a weight.
    """

    def __init__(  # noqa: PLR0913  every hyperparameter
        self,
        env: VecEnv,
        *,
        net_arch: list[int] = [],  # noqa: B006  never changed
        population_size: int = 1,
        delta_std: float = 0.1,
        min_delta_std: float = 0.001,
        max_delta_std: float = 2.0,
        shrink_factor: float = 0.5,
        grow_factor: float = 2.0,
        n_eval_episodes: int = 1,
        sample_actions: bool = False,
        squash_output: bool = False,
        seed: int | None = None,
    ) -> None:
        """Begin with logits or actions of zero, whatever is observed.

        Args:
            env: its observations are a Box or finite, its actions Discrete or a Box.
            net_arch: sizes of the hidden layers, with tanh; none is a linear policy.
            population_size: candidates tried around the same point; the best of them counts.
            delta_std: standard deviation of the first changes of a weight.
            min_delta_std: what it shrinks to at most.
            max_delta_std: what it grows to at most.
            shrink_factor: what it is multiplied by after a candidate that is no worse, up to 1.
            grow_factor: what it is multiplied by after one that is, 1 or more.
            n_eval_episodes: whole episodes for each candidate.
            sample_actions: draw discrete actions by their softmax probability, instead of taking the best one.
            squash_output: continuous actions are squashed into their bounds by a tanh, instead of clipped.
            seed: of the candidates, and of actions that are drawn.
        """
        self.env = VectorEnvironment(env)
        self.policy = FlatPolicy(
            env.observation_space,
            env.action_space,
            net_arch,
            sample_actions=sample_actions,
            squash_output=squash_output,
        )
        self.population_size = population_size
        self.min_delta_std, self.max_delta_std = min_delta_std, max_delta_std
        self.shrink_factor, self.grow_factor = shrink_factor, grow_factor
        self._rng = own_generator(seed)
        self._trials = Trials(self.env, self.policy, n_eval_episodes)
        self.weights = self.policy.start(self._rng)
        self.best_return: float | None = None
        self.noise_scale = delta_std

    @property
    def num_timesteps(self) -> int:
        """Environment steps taken so far, over all environments."""
        return self._trials.num_timesteps

    @property
    def n_episodes(self) -> int:
        """Whole episodes played so far, over all environments."""
        return self._trials.n_episodes

    def learn(
        self, total_timesteps: int, callbacks: Sequence[Callback] = (), logger: MetricLogger | None = None
    ) -> None:
        """Try candidates until `num_timesteps` has reached `total_timesteps`, or a callback says stop.

        Candidates that are cut off by a callback change nothing.
        """
        watch = Watch(self, callbacks, logger)
        self._trials.begin()
        watch.start()
        while watch.goes_on(total_timesteps):
            noise = self._rng.standard_normal((self.population_size, self.policy.n_weights))
            candidates = self.weights + self.noise_scale * noise  # (population_size, n_weights)
            returns = self._trials.play(candidates, watch, self._rng)  # (population_size,)
            if returns is None:
                break
            self._climb(candidates, returns)
            if len(self._trials.recent) >= watch.log_interval:
                self._log(watch)
        self._log(watch)
        watch.end()

    def _climb(self, candidates: np.ndarray, returns: np.ndarray) -> None:
        """Go to the best candidate if it is no worse than the best so far; the first one always is a start."""
        best = int(returns.argmax())
        if self.best_return is None or returns[best] >= self.best_return:
            self.weights, self.best_return = candidates[best].copy(), float(returns[best])
            self.noise_scale = max(self.shrink_factor * self.noise_scale, self.min_delta_std)
        else:
            self.noise_scale = min(self.grow_factor * self.noise_scale, self.max_delta_std)

    def _log(self, watch: Watch) -> None:
        best = {} if self.best_return is None else {"train/best_return": self.best_return}
        self._trials.log(watch, {"train/noise_scale": float(self.noise_scale), **best})

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Actions of the best policy found so far; see `rlzoo.protocols.Policy`.

        `deterministic=False` is as in training: it draws discrete actions with `sample_actions`, else there is no
        chance in them.
        """
        return self.policy.predict(self.weights, observation, deterministic=deterministic), state

    def state(self) -> State:
        """All there is: the best policy, the step size, the counters, the generator, the first observations."""
        trials = self._trials.state()
        values = {"best_return": self.best_return, "noise_scale": self.noise_scale}
        return State(
            {"weights": self.weights.copy(), **trials.tensors},
            {**values, **trials.values, "generator": generator_state(self._rng)},
        )

    def restore(self, state: State) -> None:
        self.restore_weights(state)
        self._trials.restore(state)
        best = state.values["best_return"]
        self.best_return = None if best is None else float(best)
        self.noise_scale = float(state.values["noise_scale"])
        self._rng = restored_generator(state.values["generator"])

    def restore_weights(self, state: State) -> None:
        """Take over the best policy alone: the start of another training."""
        self.weights = self.policy.checked(state.tensors["weights"])

    def begin_episodes(self, observation: Any, rows: np.ndarray) -> None:
        """Begin anew the episodes of environments that could not be put back: `rows` (n_envs,) says which."""
        self._trials.begin_episodes(observation, rows)
