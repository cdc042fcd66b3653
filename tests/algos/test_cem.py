"""The cross-entropy method: its elite, its noise, and what it has to find."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.search.cem import CEM, best, fit
from rlzoo.protocols import Callback
from tests.algos.toys import Clock, Line, balanced, on_the_line, vectorized


def test_the_elite_are_the_best_and_the_first_of_equals() -> None:
    assert best(np.array([1.0, 5.0, 3.0, 5.0, 3.0]), 3).tolist() == [1, 3, 2]


def test_mean_and_standard_deviation_of_the_elite_with_noise() -> None:
    mean, std = fit(np.array([[1.0, 2.0, 0.0], [3.0, 2.0, 6.0]]), 0.25)  # variances 1, 0 and 9
    assert mean.tolist() == [2, 2, 3]
    assert std == pytest.approx([1.1180340, 0.5, 3.0413813], abs=1e-7)


@pytest.mark.parametrize(("fraction", "size"), [(0.2, 4), (0.01, 1), (1.0, 20)])
def test_the_size_of_the_elite(fraction: float, size: int) -> None:
    assert CEM(vectorized(Clock), elite_fraction=fraction).n_elite == size


def test_noise_becomes_less_every_generation() -> None:
    """An elite of one has no variance of its own: what is left is the noise."""
    seen: list[float] = []

    class Looks(Callback):
        def on_boundary(self, algorithm: CEM) -> None:  # type: ignore[override]
            assert (algorithm.std == algorithm.std[0]).all()
            seen.append(float(algorithm.std[0]))

    noise = {"delta_std": 3, "extra_noise": 0.25, "noise_decay": 0.1}
    CEM(vectorized(Line), population_size=2, elite_fraction=0.5, **noise).learn(5 * 2 * 4, [Looks()])
    assert seen == pytest.approx([3, 0.5, 0.3872983, 0.2236068, 0, 0], abs=1e-7)  # roots of 0.25, 0.15, 0.05


def test_it_finds_the_line() -> None:
    algorithm = CEM(vectorized(Line), seed=0)
    algorithm.learn(8000)
    assert on_the_line(algorithm.weights) < 0.2


@pytest.mark.parametrize("net_arch", [[], [8]])
def test_it_balances_the_pole(net_arch: list[int], make_env: Callable[..., VecEnv]) -> None:
    env = make_env("CartPole-v1", 4)
    env.seed(1)
    algorithm = CEM(env, seed=1, net_arch=net_arch)
    algorithm.learn(40_000)
    assert balanced(algorithm) > 400
