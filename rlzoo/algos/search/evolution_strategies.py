"""Evolution strategies: gradient ascent on the return, the gradient estimated from random changes of the weights.

Salimans, Ho, Chen, Sidor and Sutskever, Evolution Strategies as a Scalable Alternative to Reinforcement Learning, 2017.
Lines are those of its Algorithm 1; mirrored sampling, rank shaping and weight decay are of its section 2.1. The steps
are Adam's: Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015, Algorithm 1.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Interval
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.search.base import PolicySearch


class EvolutionStrategies(PolicySearch):
    """Follows the estimated gradient of the return that is smoothed by the noise, and acts by the weights without it.

    Attributes:
        weights: the middle of the population, (n_weights,); their layout is that of `search.flat_policy`.
        moments: Adam's mean and variance of gradients, (2, n_weights).
        gradient_norm: of the last step.
        n_generations: gradient steps taken so far.
    """

    ARRAYS = ("moments",)
    VALUES: ClassVar = {"n_generations": int, "gradient_norm": float}

    def __init__(  # noqa: PLR0913  every hyperparameter
        self,
        env: VecEnv,
        *,
        net_arch: list[int] = [],  # noqa: B006  never changed
        population_size: Annotated[int, Interval(ge=1, le=1_000_000)] = 20,
        learning_rate: Annotated[float, Gt(0)] = 0.1,
        delta_std: Annotated[float, Gt(0)] = 0.1,
        weight_decay: Annotated[float, Ge(0)] = 0.005,
        rank_shaping: bool = True,
        use_adam: bool = True,
        n_eval_episodes: Annotated[int, Ge(1)] = 1,
        sample_actions: bool = False,
        squash_output: bool = False,
        seed: int | None = None,
    ) -> None:
        """Begin with logits or actions of zero, whatever is observed.

        Args:
            env: its observations are a Box or finite, its actions Discrete or a Box.
            net_arch: sizes of the hidden layers, with tanh between them; none is a linear policy.
            population_size: candidates in each generation, an even number: every change is tried both ways.
            learning_rate: step size; with Adam about how far a weight moves.
            delta_std: size of the random changes of weights.
            weight_decay: how strongly weights are drawn towards 0, against the gradient.
            rank_shaping: returns count by their rank, from -0.5 to 0.5, not by their size.
            use_adam: steps of Adam; False is plain gradient ascent.
            n_eval_episodes: whole episodes for each candidate.
            sample_actions: draw discrete actions by their softmax probability in training, instead of the best one.
            squash_output: continuous actions are squashed into their bounds by a tanh, instead of clipped.
            seed: of the candidates, and of actions that are drawn.

        Raises:
            ValueError: if the population is odd.
        """
        if population_size % 2:
            raise ValueError(f"population_size has to be even, not {population_size}")
        super().__init__(
            env,
            net_arch,
            n_eval_episodes=n_eval_episodes,
            sample_actions=sample_actions,
            squash_output=squash_output,
            seed=seed,
        )
        self.population_size, self.learning_rate = population_size, learning_rate
        self.delta_std, self.weight_decay = delta_std, weight_decay
        self.rank_shaping, self.use_adam = rank_shaping, use_adam
        self._noise = np.empty(0)  # (population_size, n_weights), of the candidates that were asked for last
        self.moments = np.zeros((2, self.policy.n_weights))
        self.gradient_norm = 0.0
        self.n_generations = 0

    def ask(self) -> np.ndarray:
        half = self._rng.standard_normal((self.population_size // 2, self.policy.n_weights))
        self._noise = np.concatenate([half, -half])  # line 3, mirrored
        return self.weights + self.delta_std * self._noise  # line 4

    def tell(self, candidates: np.ndarray, returns: np.ndarray) -> None:
        """One gradient step: line 5."""
        shaped = centered_ranks(returns) if self.rank_shaping else returns
        gradient = estimated_gradient(self._noise, shaped, self.delta_std)
        self.gradient_norm = float(np.linalg.norm(gradient))
        self.n_generations += 1
        step = gradient - self.weight_decay * self.weights
        if self.use_adam:
            step, self.moments = adam(step, self.moments, self.n_generations)
        self.weights = self.weights + self.learning_rate * step

    def metrics(self) -> dict[str, float]:
        return {"train/gradient_norm": self.gradient_norm, "train/weight_norm": float(np.linalg.norm(self.weights))}


def centered_ranks(returns: np.ndarray) -> np.ndarray:
    """Ranks of returns (n,), scaled to -0.5 for the worst and 0.5 for the best; equals share the mean of their ranks.

    So a generation of equals, as one that has solved its task, says nothing, instead of something by chance.
    """
    _, place, counts = np.unique(returns, return_inverse=True, return_counts=True)
    ranks = counts.cumsum() - (counts + 1) / 2  # of every different return: the mean of its ranks from 0
    return ranks[place] / (len(returns) - 1) - 0.5


def estimated_gradient(noise: np.ndarray, returns: np.ndarray, std: float) -> np.ndarray:
    """The gradient (n_weights,) of the expected return of weights with noise: sum of F_i eps_i / (n sigma), line 5.

    Args:
        noise: standard normal, (n, n_weights).
        returns: of the weights changed by std * noise, (n,).
        std: sigma.
    """
    return returns @ noise / (len(returns) * std)


def adam(
    gradient: np.ndarray, moments: np.ndarray, t: int, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
) -> tuple[np.ndarray, np.ndarray]:
    """Adam's direction (n_weights,) at its step `t`, counted from 1, and the moments (2, n_weights) that follow."""
    m = beta1 * moments[0] + (1 - beta1) * gradient
    v = beta2 * moments[1] + (1 - beta2) * gradient**2
    direction = m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps)
    return direction, np.stack([m, v])
