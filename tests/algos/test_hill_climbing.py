"""Hill climbing: what it keeps, how its steps adapt, and hills it has to climb."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.search.hill_climbing import HillClimbing
from tests.algos.toys import Clock, Line, balanced, on_the_line, vectorized


def climb(algorithm: HillClimbing, *returns: float) -> float:
    """Judge candidates (0, 0), (1, 1), ... that had these returns; the step size after it."""
    algorithm.tell(np.arange(len(returns))[:, None] * np.ones(2), np.array(returns))
    return algorithm.noise_scale


def test_steps_shrink_after_a_success_and_grow_after_a_failure() -> None:
    algorithm = HillClimbing(vectorized(Clock), delta_std=0.5, min_delta_std=0.2, max_delta_std=1.5)
    assert climb(algorithm, 10) == 0.25  # the first one is a start
    assert climb(algorithm, 9) == 0.5
    assert climb(algorithm, 9.9) == 1.0
    assert climb(algorithm, 3) == 1.5  # not 2
    assert algorithm.best_return == 10
    assert climb(algorithm, 10) == 0.75  # no worse is good enough
    assert climb(algorithm, 11) == 0.375
    assert climb(algorithm, 12) == 0.2  # not 0.1875
    assert algorithm.best_return == 12


def test_the_best_of_a_population_counts() -> None:
    algorithm = HillClimbing(vectorized(Clock))
    climb(algorithm, 1, 5, 5, 2)
    assert algorithm.weights.tolist() == [1, 1]
    climb(algorithm, 4, 3, 2)
    assert algorithm.weights.tolist() == [1, 1]
    assert algorithm.best_return == 5


def test_it_finds_the_line() -> None:
    algorithm = HillClimbing(vectorized(Line), seed=0, max_delta_std=0.2)
    algorithm.learn(8000)
    assert on_the_line(algorithm.weights) < 0.2


def test_it_balances_the_pole(make_env: Callable[..., VecEnv]) -> None:
    env = make_env("CartPole-v1", 2)
    env.seed(0)
    algorithm = HillClimbing(env, seed=0, n_eval_episodes=2)
    algorithm.learn(15_000)
    assert balanced(algorithm) > 450
