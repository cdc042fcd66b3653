"""TD(0) and Monte Carlo prediction: the course's numbers, and values that linear equations give exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.tabular.dynamics import required_table
from rlzoo.algos.tabular.mc_prediction import MCPrediction
from rlzoo.algos.tabular.td0 import TD0
from rlzoo.errors import RlzooError
from tests.algos.tabular import DOWN, RIGHT, Corner, Walk, exact_values, single
from tests.small import ACROSS

REWARDS = (1, 0, 0, 0, 0, 0, 1, 1, 0, 0)
PREDICTION = (TD0, MCPrediction)


def values(cls: type, env: gymnasium.Env, n_steps: int, start: Any = None, **options: Any) -> list[float]:
    algorithm = cls(single(env), seed=0, **options)
    if start is not None:
        algorithm.v_values = np.array(start, dtype=float)
    algorithm.learn(n_steps)
    return algorithm.v_values.tolist()  # type: ignore[no-any-return]


def test_the_course_by_monte_carlo() -> None:
    """The return from the start is 3, so a tenth of the way there is 0.3."""
    found = values(MCPrediction, Walk(REWARDS), 10, learning_rate=0.1, gamma=1.0)
    assert found == pytest.approx([0.3, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.1, 0, 0, 0])
    assert values(MCPrediction, Walk(REWARDS), 9) == [0] * 11  # nothing is learned before the end


def test_the_course_by_td() -> None:
    """After one step with a reward of 1, to a state worth 0 so far."""
    assert values(TD0, Walk(REWARDS), 1, learning_rate=0.1, gamma=1.0)[:2] == [pytest.approx(0.1), 0]


def test_td_takes_what_the_next_state_is_worth() -> None:
    found = values(TD0, Walk((1, 2)), 2, [0, 10, 50], learning_rate=0.5, gamma=0.9)
    assert found == [0.5 * (1 + 0.9 * 10), 10 + 0.5 * (2 - 10), 50]  # the end is worth nothing


def test_a_return_counts_for_every_visit() -> None:
    found = values(MCPrediction, Corner(), 3, learning_rate=0.5, gamma=1.0, actions=[RIGHT, RIGHT, RIGHT])
    assert found == [0, 0, 0]  # an episode without an end
    told = MCPrediction(single(Corner()), learning_rate=0.5, gamma=1.0)
    told.act = lambda state, index, actions=[RIGHT, RIGHT, DOWN]: actions.pop(0)  # type: ignore[method-assign]
    told.learn(3)
    assert told.v_values.tolist() == [0.5 * (1 - 10), -5 + 0.5 * (-10 + 5), 0]


def test_an_episode_that_is_cut_has_a_future() -> None:
    cut = gymnasium.wrappers.TimeLimit(Walk((1, 2, 4)), max_episode_steps=2)
    assert values(TD0, cut, 2, [0, 0, 8, 0], learning_rate=1.0, gamma=0.5)[1] == 2 + 0.5 * 8
    assert values(MCPrediction, cut, 2, [0, 0, 8, 0], learning_rate=1.0, gamma=0.5)[:2] == [1 + 0.5 * 6, 2 + 0.5 * 8]


@pytest.mark.parametrize("actions", [None, ACROSS])
@pytest.mark.parametrize("cls", PREDICTION)
def test_values_are_those_of_the_policy(cls: type, actions: list[int] | None, make_env: Callable[..., VecEnv]) -> None:
    """On the slippery lake; the learning rate leaves noise of about its root, times the spread of returns."""
    env = make_env("FrozenLake-v1")
    algorithm = cls(env, seed=0, learning_rate=0.002, actions=actions)
    algorithm.learn(2_000_000)
    policy = np.full((16, 4), 0.25) if actions is None else np.eye(4)[actions]
    expected = exact_values(required_table(env), policy, 0.999999)  # with 1, the end would never come for a hole
    often = [0, 1, 2, 4, 8] if actions is None else [0, 4, 8, 9, 13, 14]
    assert algorithm.v_values[often] == pytest.approx(expected[often], abs=0.04)
    assert expected.max() > 0.3


@pytest.mark.parametrize("cls", PREDICTION)
def test_it_plays_its_policy(cls: type, make_env: Callable[..., VecEnv]) -> None:
    algorithm = cls(make_env("FrozenLake-v1"), actions=ACROSS)
    assert algorithm.predict(np.arange(16))[0].tolist() == ACROSS
    assert algorithm.predict(3, deterministic=True)[0] == ACROSS[3]
    anything = cls(make_env("FrozenLake-v1")).predict(np.zeros(8000, dtype=int), deterministic=True)[0]
    assert np.bincount(anything) / 8000 == pytest.approx([0.25] * 4, abs=0.02)
    for wrong in ([0, 1], [4] * 16, [-1] * 16):
        with pytest.raises(RlzooError, match="one action below 4 for each of 16 states"):
            cls(make_env("FrozenLake-v1"), actions=wrong)
