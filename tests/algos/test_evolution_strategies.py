"""Evolution strategies: ranks, the estimated gradient and its steps by hand, and what they have to find."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.search.evolution_strategies import EvolutionStrategies, adam, centered_ranks, estimated_gradient
from tests.algos.toys import Clock, Line, balanced, on_the_line, vectorized


def test_centered_ranks() -> None:
    assert centered_ranks(np.array([10.0, -3.0, 500.0])).tolist() == [0, -0.5, 0.5]
    assert centered_ranks(np.array([4.0, 1.0, 3.0, 2.0, 0.0])).tolist() == [0.5, -0.25, 0.25, 0, -0.5]
    assert centered_ranks(np.array([1.0, 5.0, 1.0])).tolist() == [-0.25, 0.5, -0.25]  # ranks 0.5, 2, 0.5
    assert centered_ranks(np.full(4, 500.0)).tolist() == [0, 0, 0, 0]


def test_the_estimated_gradient() -> None:
    """3 (1, 2) + 1 (-1, -2) + 0 (0, 1) + 2 (0, -1) = (2, 2), divided by 4 * 0.5."""
    noise = np.array([[1.0, 2.0], [-1.0, -2.0], [0.0, 1.0], [0.0, -1.0]])
    assert estimated_gradient(noise, np.array([3.0, 1.0, 0.0, 2.0]), 0.5).tolist() == [1, 1]


def test_the_estimate_is_the_gradient_of_a_plane() -> None:
    """A return of 3 x - y: mirrored noise of every direction gives its slope, whatever the height."""
    noise = np.sqrt(2) * np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    returns = 7 + 0.1 * noise @ [3, -1]
    assert estimated_gradient(noise, returns, 0.1) == pytest.approx([3, -1])


def test_steps_of_adam() -> None:
    direction, moments = adam(np.array([0.5, -2.0]), np.zeros((2, 2)), 1)
    assert direction == pytest.approx([1, -1], abs=1e-6)
    assert moments == pytest.approx(np.array([[0.05, -0.2], [0.00025, 0.004]]))
    direction, _ = adam(np.array([0.0, -2.0]), moments, 2)
    # 0.045 / 0.19 and the root of 0.00024975 / 0.001999
    assert direction == pytest.approx([0.6700582, -1], abs=1e-6)


def one_step(**options: object) -> list[float]:
    """Weights (1, -2) after one step by the noise (1, 0) and (-1, 0), with returns of 90 and 10."""
    algorithm = EvolutionStrategies(vectorized(Clock), learning_rate=0.5, delta_std=0.25, **options)  # type: ignore[arg-type]
    algorithm.weights = np.array([1.0, -2.0])
    algorithm._noise = np.array([[1.0, 0.0], [-1.0, 0.0]])
    algorithm.tell(algorithm.weights + 0.25 * algorithm._noise, np.array([90.0, 10.0]))
    return algorithm.weights.tolist()


def test_a_plain_step_with_ranks_without_them_and_with_weight_decay() -> None:
    assert one_step(use_adam=False, weight_decay=0.0) == [2, -2]  # (0.5 + 0.5) / (2 * 0.25) = 2, half of it
    assert one_step(use_adam=False, weight_decay=0.0, rank_shaping=False) == [81, -2]  # 80 / 0.5 = 160, half of it
    assert one_step(use_adam=False, weight_decay=0.1) == pytest.approx([1.95, -1.9])


def test_a_generation_of_equals_moves_nothing() -> None:
    algorithm = EvolutionStrategies(vectorized(Clock), weight_decay=0.0)
    before = algorithm.weights
    algorithm.tell(algorithm.ask(), np.full(20, 500.0))
    assert algorithm.weights.tolist() == before.tolist()


def test_every_change_is_tried_both_ways() -> None:
    with pytest.raises(ValueError, match="even"):
        EvolutionStrategies(vectorized(Clock), population_size=3)


@pytest.mark.parametrize("use_adam", [True, False])
def test_it_finds_the_line(use_adam: bool) -> None:
    algorithm = EvolutionStrategies(vectorized(Line), seed=0, use_adam=use_adam, weight_decay=0.0)
    algorithm.learn(8000)
    assert on_the_line(algorithm.weights) < 0.2


def test_it_balances_the_pole(make_env: Callable[..., VecEnv]) -> None:
    """Four of six seeds pass 350 after these 60,000 steps; the others learn too, but slowly."""
    env = make_env("CartPole-v1", 4)
    env.seed(2)
    algorithm = EvolutionStrategies(env, seed=2)
    algorithm.learn(60_000)
    assert balanced(algorithm) > 400
