"""The cross-entropy method: a normal distribution over policies, fitted to the best of its own samples.

Szita and Lorincz, Learning Tetris Using the Noisy Cross-Entropy Method, Neural Computation 18 (2006). The weights are
independent of each other: a mean and a variance for each. Their addition is the noise: a variance Z_t that is added to
that of the elite, lest the distribution narrows too early; with numbers for Tetris Z_t = max(5 - t / 10, 0), which is
extra_noise = 5 and noise_decay = 0.1 here.
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


class CEM:
    """Learns where good policies lie, and acts by the mean of the distribution.

    Attributes:
        mean: of every weight, (n_weights,); their layout is that of `core.flat_policy`.
        std: the standard deviation of every weight, (n_weights,).
        n_elite: the number of samples that the next distribution is fitted to.
        n_generations: distributions fitted so far.
    """

    def __init__(  # noqa: PLR0913  every hyperparameter
        self,
        env: VecEnv,
        *,
        net_arch: list[int] = [],  # noqa: B006  never changed
        population_size: int = 20,
        elite_fraction: float = 0.2,
        delta_std: float = 1.0,
        extra_noise: float = 0.5,
        noise_decay: float = 0.01,
        n_eval_episodes: int = 1,
        sample_actions: bool = False,
        squash_output: bool = False,
        seed: int | None = None,
    ) -> None:
        """Begin with a mean of zero in the last layer: logits or actions of zero, whatever is observed.

        Args:
            env: its observations are a Box or finite, its actions Discrete or a Box.
            net_arch: sizes of the hidden layers, with tanh; none is a linear policy.
            population_size: candidates sampled in each generation.
            elite_fraction: the share of them that the next distribution is fitted to, one candidate at least.
            delta_std: standard deviation of every weight in the first generation.
            extra_noise: variance that is added to that of the elite at first.
            noise_decay: how much less of it is added after every generation, down to none.
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
        self.population_size, self.n_elite = population_size, max(1, round(elite_fraction * population_size))
        self.extra_noise, self.noise_decay = extra_noise, noise_decay
        self._rng = own_generator(seed)
        self._trials = Trials(self.env, self.policy, n_eval_episodes)
        self.mean = self.policy.start(self._rng)
        self.std = np.full(self.policy.n_weights, float(delta_std))
        self._last = 0.0  # mean return of the last elite
        self.n_generations = 0

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
        """Play generations until `num_timesteps` has reached `total_timesteps`, or a callback says stop.

        A generation that is cut off by a callback changes nothing.
        """
        watch = Watch(self, callbacks, logger)
        self._trials.begin()
        watch.start()
        while watch.goes_on(total_timesteps):
            noise = self._rng.standard_normal((self.population_size, self.policy.n_weights))
            candidates = self.mean + self.std * noise  # (population_size, n_weights)
            returns = self._trials.play(candidates, watch, self._rng)  # (population_size,)
            if returns is None:
                break
            elite = best(returns, self.n_elite)  # (n_elite,)
            added = max(self.extra_noise - self.noise_decay * self.n_generations, 0.0)  # Z_t
            self.mean, self.std = fit(candidates[elite], added)
            self._last = float(returns[elite].mean())
            self.n_generations += 1
            if len(self._trials.recent) >= watch.log_interval:
                self._log(watch)
        self._log(watch)
        watch.end()

    def _log(self, watch: Watch) -> None:
        elite = {"train/elite_return": self._last} if self.n_generations else {}
        self._trials.log(watch, {"train/std": float(self.std.mean()), **elite})

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Actions of the policy at the mean of the distribution; see `rlzoo.protocols.Policy`.

        `deterministic=False` is as in training: it draws discrete actions with `sample_actions`, else there is no
        chance in them.
        """
        return self.policy.predict(self.mean, observation, deterministic=deterministic), state

    def state(self) -> State:
        """All there is: the distribution, the counters, the generator, the first observations."""
        trials = self._trials.state()
        return State(
            {"mean": self.mean.copy(), "std": self.std.copy(), **trials.tensors},
            {
                "n_generations": self.n_generations,
                "elite_return": self._last,
                **trials.values,
                "generator": generator_state(self._rng),
            },
        )

    def restore(self, state: State) -> None:
        self.restore_weights(state)
        self._trials.restore(state)
        self.std = self.policy.checked(state.tensors["std"])
        self.n_generations, self._last = int(state.values["n_generations"]), float(state.values["elite_return"])
        self._rng = restored_generator(state.values["generator"])

    def restore_weights(self, state: State) -> None:
        """Take over the mean alone: the start of another training."""
        self.mean = self.policy.checked(state.tensors["mean"])

    def begin_episodes(self, observation: Any, rows: np.ndarray) -> None:
        """Begin anew the episodes of environments that could not be put back: `rows` (n_envs,) says which."""
        self._trials.begin_episodes(observation, rows)


def best(returns: np.ndarray, n: int) -> np.ndarray:
    """The `n` candidates with the highest returns, the first of equals: (n,)."""
    return np.argsort(-returns, kind="stable")[:n]


def fit(elite: np.ndarray, added: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the next distribution, (n_weights,) each.

    Args:
        elite: weights of the best candidates, (n_elite, n_weights).
        added: the variance added to theirs.
    """
    return elite.mean(axis=0), np.sqrt(elite.var(axis=0) + added)
