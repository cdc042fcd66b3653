"""Hill climbing: random changes of the best policy found so far, kept if they are no worse.

With the adaptive step size of Schumer and Steiglitz, Adaptive Step Size Random Search, IEEE Transactions on Automatic
Control 13 (1968), in the simple form that courses teach: smaller steps after a success, larger ones after a failure.
With several candidates at a time it is steepest-ascent hill climbing (Russell and Norvig, Artificial Intelligence: A
Modern Approach, section 4.1). There are no numbered equations.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Interval
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.search.base import PolicySearch


class HillClimbing(PolicySearch):
    """Climbs from the best weights found so far, and acts by them.

    A candidate keeps the return it once had: where episodes differ much, a lucky one bars the way for long, and more
    of `n_eval_episodes` help.

    Attributes:
        weights: the best so far, (n_weights,); their layout is that of `search.flat_policy`.
        best_return: what they returned, the mean of their episodes; None before the first candidate.
        noise_scale: the standard deviation of the next changes of a weight.
    """

    VALUES: ClassVar = {"best_return": lambda value: None if value is None else float(value), "noise_scale": float}

    def __init__(  # noqa: PLR0913  every hyperparameter
        self,
        env: VecEnv,
        *,
        net_arch: list[int] = [],  # noqa: B006  never changed
        population_size: Annotated[int, Interval(ge=1, le=1_000_000)] = 1,
        delta_std: Annotated[float, Gt(0)] = 0.1,
        min_delta_std: Annotated[float, Gt(0)] = 0.001,
        max_delta_std: Annotated[float, Gt(0)] = 2.0,
        shrink_factor: Annotated[float, Interval(gt=0, le=1)] = 0.5,
        grow_factor: Annotated[float, Ge(1)] = 2.0,
        n_eval_episodes: Annotated[int, Ge(1)] = 1,
        sample_actions: bool = False,
        squash_output: bool = False,
        seed: int | None = None,
    ) -> None:
        """Begin with logits or actions of zero, whatever is observed.

        Args:
            env: its observations are a Box or finite, its actions Discrete or a Box.
            net_arch: sizes of the hidden layers, with tanh between them; none is a linear policy.
            population_size: candidates tried around the best policy at a time; the best of them counts.
            delta_std: size of the first random changes of weights.
            min_delta_std: what it shrinks to at most.
            max_delta_std: what it grows to at most.
            shrink_factor: what it is multiplied by after a candidate that is no worse, up to 1.
            grow_factor: what it is multiplied by after one that is worse, 1 or more.
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
        self.population_size = population_size
        self.min_delta_std, self.max_delta_std = min_delta_std, max_delta_std
        self.shrink_factor, self.grow_factor = shrink_factor, grow_factor
        self.best_return: float | None = None
        self.noise_scale = delta_std

    def ask(self) -> np.ndarray:
        noise = self._rng.standard_normal((self.population_size, self.policy.n_weights))
        return self.weights + self.noise_scale * noise

    def tell(self, candidates: np.ndarray, returns: np.ndarray) -> None:
        """Go to the best candidate if it is no worse than the best so far; the first one always is a start."""
        best = int(returns.argmax())
        if self.best_return is None or returns[best] >= self.best_return:
            self.weights, self.best_return = candidates[best].copy(), float(returns[best])
            self.noise_scale = max(self.shrink_factor * self.noise_scale, self.min_delta_std)
        else:
            self.noise_scale = min(self.grow_factor * self.noise_scale, self.max_delta_std)

    def metrics(self) -> dict[str, float]:
        best = {} if self.best_return is None else {"train/best_return": self.best_return}
        return {"train/noise_scale": float(self.noise_scale), **best}
