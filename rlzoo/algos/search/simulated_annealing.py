"""Simulated annealing: a random walk over policies that climbs, and goes down the less often the cooler it is.

Kirkpatrick, Gelatt and Vecchi, Optimization by Simulated Annealing, Science 220 (1983): the acceptance rule of
Metropolis et al. (1953) with the energy of a policy the negative of its return, and their schedule, a temperature that
falls by the same factor again and again. The formulas have no numbers there.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Interval
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.search.base import PolicySearch


class SimulatedAnnealing(PolicySearch):
    """Walks from policy to policy, and acts by the one where it stands.

    Returns are full of chance. So a candidate is judged against the policy that it would replace, which is played
    again each time beside it: no policy stays for the luck that it once had.

    It is here for the idea, not for its results: its steps never shrink, so that late improvements are rare finds, and
    a lucky episode can still move it to a worse policy. Of six trainings on CartPole (seeds 100 to 105, the tuned set,
    100 episodes of the last checkpoint) two ended at 500 and four between 9 and 113, where hill climbing, whose steps
    adapt, had 344 to 500.

    Attributes:
        weights: where the walk stands, (n_weights,); their layout is that of `search.flat_policy`.
        last_return: what the policy there returned when it was last played, the mean of its episodes.
        n_candidates: candidates judged so far.
    """

    VALUES: ClassVar = {"last_return": float, "n_candidates": int}

    def __init__(
        self,
        env: VecEnv,
        *,
        net_arch: list[int] = [],  # noqa: B006  never changed
        delta_std: Annotated[float, Gt(0)] = 1.0,
        initial_temperature: Annotated[float, Gt(0)] = 10.0,
        min_temperature: Annotated[float, Gt(0)] = 0.1,
        cooling_rate: Annotated[float, Interval(gt=0, le=1)] = 0.98,
        n_eval_episodes: Annotated[int, Ge(1)] = 1,
        sample_actions: bool = False,
        squash_output: bool = False,
        seed: int | None = None,
    ) -> None:
        """Begin with logits or actions of zero, whatever is observed.

        Args:
            env: its observations are a Box or finite, its actions Discrete or a Box.
            net_arch: sizes of the hidden layers, with tanh between them; none is a linear policy.
            delta_std: size of the random changes of weights.
            initial_temperature: loss of return that is accepted once in e times at first, in units of return.
            min_temperature: what it cools down to at most.
            cooling_rate: what the temperature is multiplied by after every candidate, up to 1.
            n_eval_episodes: whole episodes for each candidate, and as many for the policy it would replace.
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
        self.delta_std = delta_std
        self.initial_temperature, self.min_temperature = initial_temperature, min_temperature
        self.cooling_rate = cooling_rate
        self.last_return = 0.0
        self.n_candidates = 0

    @property
    def temperature(self) -> float:
        """The temperature at which the next candidate is judged, in units of return."""
        return temperature(self.initial_temperature, self.min_temperature, self.cooling_rate, self.n_candidates)

    def ask(self) -> np.ndarray:
        """The policy where it stands, and a candidate beside it."""
        candidate = self.weights + self.delta_std * self._rng.standard_normal(self.policy.n_weights)
        return np.stack([self.weights, candidate])

    def tell(self, candidates: np.ndarray, returns: np.ndarray) -> None:
        """Go to the candidate, or stay."""
        standing, tried = returns.tolist()
        accepted = self._rng.random() < acceptance_probability(tried - standing, self.temperature)
        if accepted:
            self.weights = candidates[1].copy()
        self.last_return = tried if accepted else standing
        self.n_candidates += 1

    def metrics(self) -> dict[str, float]:
        return {"train/temperature": self.temperature, "train/last_return": self.last_return}


def temperature(start: float, end: float, rate: float, n: int) -> float:
    """The temperature after `n` candidates: `start * rate^n`, but not below `end`."""
    return max(start * rate**n, end)


def acceptance_probability(change: float, temperature: float) -> float:
    """The chance to go to a policy whose return differs by `change`: 1 uphill, e^(change / temperature) downhill."""
    return math.exp(min(change, 0.0) / temperature)
