"""Simulated annealing: its temperature and its dice, and hills it has to climb."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.search.simulated_annealing import SimulatedAnnealing, acceptance_probability, temperature
from tests.algos.toys import Clock, Line, balanced, on_the_line, vectorized


def test_the_temperature_falls_by_a_factor_to_its_end() -> None:
    assert [temperature(10, 0.1, 0.5, n) for n in (0, 1, 2, 3, 6, 7, 1000)] == [10, 5, 2.5, 1.25, 0.15625, 0.1, 0.1]


def test_the_chance_to_go_downhill() -> None:
    assert acceptance_probability(3, 10) == acceptance_probability(0, 0.1) == 1
    assert acceptance_probability(-5, 10) == pytest.approx(0.6065307, abs=1e-7)
    assert acceptance_probability(-5, 2.5) == pytest.approx(0.1353353, abs=1e-7)
    assert acceptance_probability(-1e9, 0.1) == 0


class Loaded(np.random.Generator):
    """Throws what it is told."""

    def __init__(self, throws: list[float]) -> None:
        super().__init__(np.random.PCG64(0))
        self.throws = throws

    def random(self, *shape: int) -> float:  # type: ignore[override]
        return self.throws.pop(0)


def test_a_worse_policy_is_walked_to_as_the_dice_say() -> None:
    algorithm = SimulatedAnnealing(vectorized(Clock), initial_temperature=20, cooling_rate=0.5)
    algorithm._rng = Loaded([0.61, 0.60, 0.99, 0.7])
    stands = []
    for k, (standing, tried) in enumerate([(30, 20), (30, 25), (20, 21), (40, 39)], start=1):
        candidates = np.stack([algorithm.weights, np.full(2, float(k))])
        algorithm.tell(candidates, np.array([standing, tried]))  # e^-(10 / 20) = 0.607, e^-(1 / 2.5) = 0.67
        stands.append((algorithm.weights.tolist(), algorithm.last_return, algorithm.temperature))
    assert stands == [([0, 0], 30, 10), ([2, 2], 25, 5), ([3, 3], 21, 2.5), ([3, 3], 40, 1.25)]


def test_it_finds_the_line() -> None:
    algorithm = SimulatedAnnealing(vectorized(Line), seed=0, delta_std=0.1)
    algorithm.learn(8000)
    assert on_the_line(algorithm.weights) < 0.3


def test_it_balances_the_pole(make_env: Callable[..., VecEnv]) -> None:
    env = make_env("CartPole-v1")
    env.seed(2)
    algorithm = SimulatedAnnealing(env, seed=2)
    algorithm.learn(15_000)
    assert balanced(algorithm) > 400
