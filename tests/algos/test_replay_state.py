"""Replay buffers in segments: exact to the byte, only what changed, images frame by frame."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import DQN, HerReplayBuffer
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer
from stable_baselines3.common.envs import BitFlippingEnv
from stable_baselines3.common.vec_env import DummyVecEnv

from rlzoo.algos.sb3 import replay as replay_state
from rlzoo.algos.sb3.replay import ReplayBufferState
from rlzoo.errors import RlzooError


@pytest.fixture(autouse=True)
def small_segments(monkeypatch):
    monkeypatch.setattr(replay_state, "SEGMENT", 8)


def image_buffer(size: int = 40, n_envs: int = 2, **options: object) -> ReplayBuffer:
    space = gym.spaces.Box(0, 255, (4, 6, 5), np.uint8)
    return ReplayBuffer(size, space, gym.spaces.Discrete(3), n_envs=n_envs, device="cpu", **options)


def fill(buffer: ReplayBuffer, steps: int, seed: int = 0) -> None:
    """Steps of a film: every observation is the last one moved up by one frame."""
    rng = np.random.default_rng(seed)
    stack = rng.integers(0, 255, (buffer.n_envs, 4, 6, 5), dtype=np.uint8)
    for _ in range(steps):
        frame = rng.integers(0, 255, (buffer.n_envs, 1, 6, 5), dtype=np.uint8)
        following = np.concatenate([stack[:, 1:], frame], axis=1)
        actions, rewards = rng.integers(0, 3, (buffer.n_envs, 1)), rng.normal(size=buffer.n_envs)
        buffer.add(stack, following, actions, rewards, rng.random(buffer.n_envs) < 0.1, [{}] * buffer.n_envs)
        stack = following


def arrays(buffer: ReplayBuffer) -> dict[str, np.ndarray]:
    return dict(ReplayBufferState(buffer).arrays())


def copy(source: ReplayBuffer, target: ReplayBuffer) -> None:
    state = ReplayBufferState(source)
    ReplayBufferState(target).restore(state.counters(), [state.segment(k) for k in range(state.n_segments)])


@pytest.mark.parametrize("steps", [0, 5, 8, 39, 40, 55])
def test_a_restored_buffer_samples_the_same(steps):
    source, target = image_buffer(), image_buffer()
    fill(source, steps)
    copy(source, target)
    assert (target.pos, target.full) == (source.pos, source.full)
    for name, array in arrays(source).items():
        assert np.array_equal(array[: source.size()], arrays(target)[name][: source.size()])
    fill(source, 7, seed=1)
    fill(target, 7, seed=1)
    np.random.seed(0)
    first = source.sample(16)
    np.random.seed(0)
    second = target.sample(16)
    assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(first, second, strict=True) if a is not None)


def test_frames_are_stored_once():
    buffer = image_buffer(size=8, n_envs=1)
    fill(buffer, 8)
    segment = ReplayBufferState(buffer).segment(0)
    assert segment.tensors["frames"].shape == (8 + 4, 6, 5)  # 8 steps of a film: its first stack and one frame each
    assert segment.tensors["observations.places"].shape == (8, 1, 4)


def test_only_what_changed_since_the_last_save_is_named():
    buffer = image_buffer(size=40, n_envs=1)
    state = ReplayBufferState(buffer)
    fill(buffer, 10)
    assert state.changed(10) == {0, 1}
    state.saved(10)
    assert state.changed(10) == set()
    fill(buffer, 3)
    assert state.changed(13) == {1}
    state.saved(13)
    fill(buffer, 30)  # rows 13 to 39, then 0 to 2
    assert state.changed(43) == {0, 1, 2, 3, 4}
    state.saved(43)
    fill(buffer, 2)
    assert state.changed(45) == {0}
    fill(buffer, 80)  # two whole turns
    assert state.changed(125) == {0, 1, 2, 3, 4}


def test_dict_and_hindsight_buffers():
    env = DummyVecEnv([lambda: BitFlippingEnv(n_bits=4, continuous=False)])
    options = {"replay_buffer_class": HerReplayBuffer, "buffer_size": 50, "learning_starts": 20, "device": "cpu"}
    first = DQN("MultiInputPolicy", env, seed=0, **options)
    first.learn(63)
    second = DQN("MultiInputPolicy", env, seed=0, **options)
    second.learn(25)
    assert isinstance(second.replay_buffer, DictReplayBuffer)
    copy(first.replay_buffer, second.replay_buffer)
    for name, array in arrays(first.replay_buffer).items():
        assert np.array_equal(array, arrays(second.replay_buffer)[name]), name
    assert np.array_equal(first.replay_buffer._current_ep_start, second.replay_buffer._current_ep_start)
    np.random.seed(3)
    sampled = first.replay_buffer.sample(8)
    np.random.seed(3)
    again = second.replay_buffer.sample(8)
    assert all(np.array_equal(sampled.observations[key], again.observations[key]) for key in sampled.observations)


def test_another_size_or_kind_is_refused():
    source = image_buffer(n_envs=1)
    fill(source, 5)
    with pytest.raises(RlzooError, match="40 rows"):
        copy(source, image_buffer(size=20, n_envs=1))
    with pytest.raises(RlzooError, match="next_observations"):
        copy(source, image_buffer(n_envs=1, optimize_memory_usage=True, handle_timeout_termination=False))
