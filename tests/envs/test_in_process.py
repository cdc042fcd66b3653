"""Environments in this process: what Stable-Baselines3's own class gives, number for number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.envs import BitFlippingEnv
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from rlzoo.algos.base import VectorEnvironment
from rlzoo.envs.vector.in_process import InProcessVecEnv
from rlzoo.envs.vector.nan_guard import FiniteCheck
from rlzoo.errors import RlzooError


class Telling(gymnasium.Env):
    """Says things in `info` that it changes afterwards."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2, 3))
    action_space = gymnasium.spaces.Discrete(2)
    cut = False

    def reset(self, **options: Any) -> tuple[np.ndarray, dict]:
        super().reset(seed=options.get("seed"))
        self.steps, self.seen = np.zeros(1), []
        return self.observation_space.sample() * 0, {"began": True}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.steps += 1
        self.seen.append(int(action))
        observation = self.np_random.random((2, 3)).astype(np.float32)
        over = self.steps[0] >= 4
        return observation, 0.1 * action, over and action == 0, over, {"steps": self.steps, "seen": self.seen}


ENVIRONMENTS: dict[str, Callable[[], gymnasium.Env]] = {
    "box": lambda: gymnasium.make("CartPole-v1", max_episode_steps=15),
    "discrete": lambda: gymnasium.make("FrozenLake-v1"),
    "actions": lambda: gymnasium.make("Pendulum-v1", max_episode_steps=10, disable_env_checker=True),
    "dict": lambda: BitFlippingEnv(n_bits=3),
    "info": Telling,
}


def both(name: str, n_envs: int) -> list[DummyVecEnv]:
    made = []
    for kind in (DummyVecEnv, InProcessVecEnv):
        env = kind([lambda: Monitor(ENVIRONMENTS[name]()) for _ in range(n_envs)])
        env.seed(3)
        env.action_space.seed(3)
        made.append(env)
    return made


def assert_same(one: Any, other: Any) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one.keys() - {"t"}:  # seconds
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            assert_same(*pair)
    else:
        assert type(one) is type(other)
        np.testing.assert_array_equal(one, other)
        assert getattr(one, "dtype", None) == getattr(other, "dtype", None)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_number_is_the_same(name: str) -> None:
    theirs, ours = both(name, 2)
    assert_same(theirs.reset(), ours.reset())
    kept = []
    for _ in range(60):
        actions = np.stack([theirs.action_space.sample() for _ in range(2)])
        kept.append((theirs.step(actions), ours.step(actions)))
    for pair in kept:  # also later: nothing that was given is changed afterwards
        assert_same(*pair)
    assert sum(int(done) for (_, _, dones, _), _ in kept for done in dones) > 2


@pytest.mark.parametrize("name", ["box", "discrete", "actions", "info"])
def test_apart_is_the_same_as_taken_apart_afterwards(name: str) -> None:
    theirs, ours = both(name, 2)
    checked = FiniteCheck(ours, "stop")
    plain, apart = VectorEnvironment(theirs), VectorEnvironment(checked)
    assert apart._apart is not None and plain._apart is None
    assert_same(plain.reset(), apart.reset())
    kept = []
    for _ in range(60):
        actions = np.stack([theirs.action_space.sample() for _ in range(2)])
        kept.append((plain.step(actions), apart.step(actions)))
    for one, other in kept:
        assert_same(tuple(one), tuple(other))
    assert any(step.truncated.any() or step.terminated.any() for step, _ in kept)
    assert checked.num_timesteps == 120


def test_what_changes_observations_is_not_passed_by() -> None:
    _, ours = both("box", 1)
    normalized = VectorEnvironment(VecNormalize(FiniteCheck(ours, "stop")))
    normalized.reset()
    assert normalized._apart is None
    assert VectorEnvironment(both("dict", 1)[1])._apart is None


def test_nan_is_found_apart_too() -> None:
    _, ours = both("actions", 2)
    checked = VectorEnvironment(FiniteCheck(ours, "stop"))
    checked.reset()
    with pytest.raises(RlzooError, match=r"NaN action .* for environment 1 at step 2"):
        checked.step(np.array([[0.0], [np.nan]], dtype=np.float32))
    ours.envs[1].unwrapped.g = np.nan
    with pytest.raises(RlzooError, match=r"observation .* environment 1"):
        checked.step(np.zeros((2, 1), dtype=np.float32))
