"""Candidates played side by side: who plays when, what counts, and what stays when it is cut off."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

from rlzoo.algos.base import TrainingHooks, VectorEnvironment
from rlzoo.algos.search.base import WORST, Trials
from rlzoo.algos.search.flat_policy import FlatPolicy
from rlzoo.protocols import Callback
from tests.algos.toys import Clock, vectorized


class Limit(Callback):
    def __init__(self, steps: int) -> None:
        self.left = steps

    def on_step(self, algorithm: Any) -> bool:
        self.left -= 1
        return self.left != 0


def clocks(n_envs: int, n_eval_episodes: int = 1) -> Trials:
    policy = FlatPolicy(Clock.observation_space, Clock.action_space)
    trials = Trials(VectorEnvironment(vectorized(Clock, n_envs)), policy, n_eval_episodes)
    trials.begin()
    return trials


def play(trials: Trials, lengths: list[int], steps: int = -1) -> list[float] | None:
    """Play candidates whose episodes have these lengths."""
    candidates = np.array([[0.0, length] for length in lengths])
    returns = trials.play(candidates, TrainingHooks(trials, [Limit(steps)], None), np.random.default_rng(0))  # type: ignore[arg-type]
    return None if returns is None else returns.tolist()


def test_candidates_are_dealt_out_and_every_return_is_of_a_whole_episode() -> None:
    """Environment 0 plays 1 and 2 steps, environment 1 plays 5 and 1; then 0 has played the last one 3 times more."""
    trials = clocks(2)
    assert play(trials, [1, 5, 2, 1]) == [1, 5, 2, 1]
    assert trials.num_timesteps == 2 * 6
    assert trials.n_episodes == 4 + 3
    assert [length for _, length in trials.recent] == [1, 2, 1, 1, 5, 1, 1]


@pytest.mark.parametrize("n_envs", [1, 2, 3, 7])
@pytest.mark.parametrize("n_eval_episodes", [1, 2])
def test_returns_do_not_depend_on_the_number_of_environments(n_envs: int, n_eval_episodes: int) -> None:
    trials = clocks(n_envs, n_eval_episodes)
    for lengths in ([4, 1, 3], [2, 9, 1], [7, 7, 7]):  # from where the last generation has left the environments
        assert play(trials, lengths) == lengths


def test_after_a_generation_every_episode_begins() -> None:
    """Environment 1 is in the middle of the last candidate's 9 steps when environment 0 is through."""
    trials = clocks(2)
    assert play(trials, [3, 1, 9]) == [3, 1, 9]
    played = trials.n_episodes
    assert play(trials, [50, 2]) == [50, 2]
    assert trials.n_episodes == played + 1 + 25


def test_a_generation_that_is_cut_off_leaves_nothing_but_its_steps() -> None:
    trials = clocks(1)
    assert play(trials, [3, 5], steps=5) is None
    assert trials.num_timesteps == 5
    assert "observation" not in trials.state().tensors
    trials.begin()
    assert play(trials, [3, 5]) == [3, 5]  # not 3 and what was left of 5


def test_a_return_that_is_no_number_counts_less_than_any() -> None:
    class Broken(Clock):
        def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
            observation, _, *rest = super().step(action)
            return observation, float("nan"), *rest

    makes: list[type[gymnasium.Env]] = [Clock, Broken]
    env = VectorEnvironment(vectorized(lambda: makes.pop(0)(), 2))
    trials = Trials(env, FlatPolicy(Clock.observation_space, Clock.action_space), 1)
    trials.begin()
    assert play(trials, [2, 2]) == [2, WORST]
