"""The cross-entropy method: a normal distribution over policies, fitted to the best of its own samples.

Szita and Lorincz, Learning Tetris Using the Noisy Cross-Entropy Method, Neural Computation 18 (2006). The weights are
independent of each other: a mean and a variance for each. Their addition is the noise: a variance Z_t that is added to
that of the elite, lest the distribution narrows too early; with numbers for Tetris Z_t = max(5 - t / 10, 0), which is
extra_noise = 5 and noise_decay = 0.1 here.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Interval
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.search.base import PolicySearch


class CEM(PolicySearch):
    """Learns where good policies lie, and acts by the mean of the distribution.

    Attributes:
        weights: the mean of every weight, (n_weights,).
        std: the standard deviation of every weight, (n_weights,).
        n_elite: the number of samples that the next distribution is fitted to.
        elite_return: what they returned in the last generation, the mean.
        n_generations: distributions fitted so far.
    """

    WEIGHTS = "mean"
    ARRAYS = ("std",)
    VALUES: ClassVar = {"n_generations": int, "elite_return": float}

    def __init__(  # noqa: PLR0913  every hyperparameter
        self,
        env: VecEnv,
        *,
        net_arch: list[int] = [],  # noqa: B006  never changed
        population_size: Annotated[int, Interval(ge=1, le=1_000_000)] = 20,
        elite_fraction: Annotated[float, Interval(gt=0, le=1)] = 0.2,
        delta_std: Annotated[float, Gt(0)] = 1.0,
        extra_noise: Annotated[float, Ge(0)] = 0.5,
        noise_decay: Annotated[float, Ge(0)] = 0.01,
        n_eval_episodes: Annotated[int, Ge(1)] = 1,
        sample_actions: bool = False,
        squash_output: bool = False,
        seed: int | None = None,
    ) -> None:
        """Begin with a mean of zero in the last layer: logits or actions of zero, whatever is observed.

        Args:
            env: its observations are a Box or finite, its actions Discrete or a Box.
            net_arch: sizes of the hidden layers, with tanh between them; none is a linear policy.
            population_size: candidates sampled in each generation.
            elite_fraction: share of them that the next distribution is fitted to.
            delta_std: standard deviation of every weight in the first generation.
            extra_noise: variance added to that of the best candidates at first.
            noise_decay: how much less of it is added after every generation, down to none.
            n_eval_episodes: whole episodes for each candidate.
            sample_actions: draw discrete actions by their softmax probability in training, instead of the best one.
            squash_output: continuous actions are squashed into their bounds by a tanh, instead of clipped.
            seed: of the candidates, and of actions that are drawn.
        """
        super().__init__(
            env,
            net_arch,
            n_eval_episodes=n_eval_episodes,
            sample_actions=sample_actions,
            squash_output=squash_output,
            seed=seed,
        )
        self.population_size, self.n_elite = population_size, max(1, round(elite_fraction * population_size))
        self.extra_noise, self.noise_decay = extra_noise, noise_decay
        self.std = np.full(self.policy.n_weights, float(delta_std))
        self.elite_return = 0.0
        self.n_generations = 0

    def ask(self) -> np.ndarray:
        noise = self._rng.standard_normal((self.population_size, self.policy.n_weights))
        return self.weights + self.std * noise

    def tell(self, candidates: np.ndarray, returns: np.ndarray) -> None:
        """Fit the next distribution."""
        elite = best(returns, self.n_elite)  # (n_elite,)
        added = max(self.extra_noise - self.noise_decay * self.n_generations, 0.0)  # Z_t
        self.weights, self.std = fit(candidates[elite], added)
        self.elite_return = float(returns[elite].mean())
        self.n_generations += 1

    def metrics(self) -> dict[str, float]:
        elite = {"train/elite_return": self.elite_return} if self.n_generations else {}
        return {"train/std": float(self.std.mean()), **elite}


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
