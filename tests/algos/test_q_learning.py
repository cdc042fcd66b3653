"""Q-learning: numbers worked out by hand, and lakes it has to cross."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from rlzoo.algos.core.tabular import epsilon_greedy, exponential_decay
from rlzoo.algos.q_learning import QLearning

RIGHT, DOWN = 0, 1


class Corner(gymnasium.Env):
    """A mouse in state 0: right is a small cheese in state 1 (+1), and down from there is poison (-10, the end)."""

    observation_space = gymnasium.spaces.Discrete(3)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, **options: Any) -> tuple[int, dict]:
        super().reset(**options)
        self.at = 0
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict]:
        if self.at == 0:
            self.at = 1 if action == RIGHT else 0
            return self.at, float(action == RIGHT), False, False, {}
        self.at = 2 if action == DOWN else 1
        return self.at, -10.0 if action == DOWN else 0.0, action == DOWN, False, {}


class Led(np.random.Generator):
    """Draws the actions that it is told: with epsilon = 1 every action is drawn."""

    def __new__(cls, actions: list[int]) -> Led:
        return super().__new__(cls, np.random.PCG64(0))

    def __init__(self, actions: list[int]) -> None:
        super().__init__(np.random.PCG64(0))
        self.actions = list(actions)

    def integers(self, high: int, *, size: int) -> Any:  # type: ignore[override]
        return [self.actions.pop(0) for _ in range(size)]


def q_values(
    actions: list[int], env: gymnasium.Env, table: np.ndarray | None = None, **options: Any
) -> list[list[float]]:
    algorithm = QLearning(DummyVecEnv([lambda: env]), max_epsilon=1, min_epsilon=1, **options)
    algorithm._rng = Led(actions)
    if table is not None:
        algorithm.q_values = table
    algorithm.learn(len(actions))
    return algorithm.q_values.tolist()


def test_the_mouse_and_the_poison() -> None:
    assert q_values([RIGHT], Corner(), learning_rate=0.1, gamma=0.99) == [[0.1, 0], [0, 0], [0, 0]]
    assert q_values([RIGHT, DOWN], Corner(), learning_rate=0.1, gamma=0.99) == [[0.1, 0], [0, -1.0], [0, 0]]


def test_a_value_follows_the_best_action_not_the_one_taken() -> None:
    """After poison has spoilt `down`, the way to state 1 is worth what `right` is worth there: nothing lost."""
    (start, cheese, _) = q_values([RIGHT, DOWN, RIGHT], Corner(), learning_rate=0.5, gamma=0.9)
    assert cheese == [0, -5]
    assert start[RIGHT] == 0.5 + 0.5 * (1 + 0.9 * 0 - 0.5)


def test_an_episode_that_is_cut_has_a_future_and_one_that_ended_has_none() -> None:
    cut = gymnasium.wrappers.TimeLimit(Corner(), max_episode_steps=2)
    table = q_values([RIGHT, RIGHT, DOWN, DOWN], cut, learning_rate=1.0, gamma=0.5)
    assert table == [[1, 0.5], [0, 0], [0, 0]]  # the fourth step is cut: 0 + 0.5 max Q(0), not 0
    promised = np.array([[0.0, 0.0], [0.0, 0.0], [100.0, 100.0]])
    table = q_values([RIGHT, DOWN], Corner(), table=promised, learning_rate=1.0, gamma=0.5)
    assert table[1] == [0, -10]  # nothing comes after poison, whatever its state was said to be worth


def test_epsilon_falls_as_the_course_says() -> None:
    """0.05 + 0.95 exp(-0.0005 n)"""
    expected = {0: 1.0, 1000: 0.6262041, 10000: 0.0564010}
    for n, epsilon in expected.items():
        assert exponential_decay(1.0, 0.05, 0.0005, n) == pytest.approx(epsilon, abs=1e-7)


def test_epsilon_greedy_takes_the_first_of_equals_and_explores_as_often_as_it_should() -> None:
    table = np.array([[0.0, 2.0, 2.0], [0.0, 0.0, 0.0]])
    assert epsilon_greedy(table, np.array([0, 1]), 0.0, np.random.default_rng(0)).tolist() == [1, 0]
    actions = epsilon_greedy(table, np.zeros(30_000, dtype=int), 0.3, np.random.default_rng(0))
    shares = np.bincount(actions, minlength=3) / len(actions)
    assert shares == pytest.approx([0.1, 0.8, 0.1], abs=0.01)


@pytest.mark.parametrize("n_envs", [1, 3])
def test_it_crosses_the_lake(n_envs: int, make_env: Callable[..., VecEnv]) -> None:
    env = make_env("FrozenLake-v1", n_envs, is_slippery=False)
    env.seed(0)
    algorithm = QLearning(env, seed=0, decay_rate=0.001)
    algorithm.learn(20_000)
    lake = gymnasium.make("FrozenLake-v1", is_slippery=False)
    state, total, over = lake.reset()[0], 0.0, False
    while not over:
        state, reward, terminated, truncated, _ = lake.step(int(algorithm.predict(state, deterministic=True)[0]))
        total, over = total + float(reward), terminated or truncated
    assert total == 1.0
    assert algorithm.n_episodes > 300
