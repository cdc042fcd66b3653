"""The estimate of a buffer's memory is what the real buffer takes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.create import create
from rlzoo.algos.memory import Sizes, buffer_bytes
from tests.algos.conftest import CASES, Case, defaults


def array_bytes(buffer: object) -> int:
    arrays = [value for value in vars(buffer).values() if isinstance(value, np.ndarray)]
    nested = [array for value in vars(buffer).values() if isinstance(value, dict) for array in value.values()]
    return sum(array.nbytes for array in (*arrays, *nested) if isinstance(array, np.ndarray))


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("ars", "her")])
def test_estimate_is_what_is_allocated(name: str, make_env: Callable[..., VecEnv]) -> None:
    case: Case = CASES[name]
    env = make_env(case.env, case.n_envs)
    model = create(case.config(), env, seed=0, device="cpu").model  # type: ignore[attr-defined]
    buffer = model.replay_buffer if hasattr(model, "replay_buffer") else model.rollout_buffer
    estimate = buffer_bytes(case.config(), Sizes.of(env.observation_space, env.action_space), n_envs=case.n_envs)
    assert estimate == array_bytes(buffer)


def test_atari() -> None:
    observation = spaces.Box(0, 255, (4, 84, 84), np.uint8)
    config = defaults("dqn", buffer_size=100_000)
    one = 2 * 4 * 84 * 84 + 8 + 12  # two observations, an int64 action; reward, done, timeout
    assert buffer_bytes(config, Sizes.of(observation, spaces.Discrete(6)), n_envs=1) == 100_000 * one
    half = defaults("dqn", buffer_size=100_000, optimize_memory_usage=True)
    assert buffer_bytes(half, Sizes.of(observation, spaces.Discrete(6)), n_envs=8) == 100_000 * (one - 4 * 84 * 84)


def test_hindsight_keeps_dicts(make_env: Callable[..., VecEnv]) -> None:
    env = make_env("BitFlipping-v0")
    estimate = buffer_bytes(CASES["her"].config(), Sizes.of(env.observation_space, env.action_space), n_envs=1)
    assert estimate == 1000 * (2 * 30 + 8 + 12 + 88)


def test_no_buffer_no_memory(make_env: Callable[..., VecEnv]) -> None:
    env = make_env("CartPole-v1")
    assert buffer_bytes(defaults("ars"), Sizes.of(env.observation_space, env.action_space), n_envs=1) == 0


def test_inference_allocates_next_to_nothing(make_env: Callable[..., VecEnv]) -> None:
    for name in ("dqn", "ppo", "her"):
        case = CASES[name]
        config = case.config(**({"buffer_size": 1_000_000} if name != "ppo" else {"n_steps": 1_000_000}))
        model = create(config, make_env(case.env), seed=0, device="cpu", inference=True).model  # type: ignore[attr-defined]
        buffer = model.replay_buffer if hasattr(model, "replay_buffer") else model.rollout_buffer
        assert array_bytes(buffer) < 1000
        assert (model.buffer_size if name != "ppo" else model.n_steps) == 1_000_000
