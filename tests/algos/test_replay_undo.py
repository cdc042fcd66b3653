"""A replay buffer that goes back is the one it was, whatever was written since."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer

from rlzoo.algos.sb3.replay import ReplayBufferState

BOX = spaces.Box(-1, 1, (3,), np.float32)
SIZE, N_ENVS = 20, 2


def make(kind: str):
    if kind == "dict":
        return DictReplayBuffer(SIZE * N_ENVS, spaces.Dict(a=BOX, b=BOX), BOX, n_envs=N_ENVS)
    options = {"optimize_memory_usage": True, "handle_timeout_termination": False} if kind == "thrifty" else {}
    return ReplayBuffer(SIZE * N_ENVS, BOX, BOX, n_envs=N_ENVS, **options)


def add(buffer, rng, undo: ReplayBufferState | None = None) -> None:
    def draw():
        if isinstance(buffer.observation_space, spaces.Dict):
            return {key: rng.normal(size=(N_ENVS, 3)) for key in "ab"}
        return rng.normal(size=(N_ENVS, 3))

    if undo is not None:
        undo.remember()
    buffer.add(draw(), draw(), rng.normal(size=(N_ENVS, 3)), rng.normal(size=N_ENVS), np.zeros(N_ENVS), [{}] * N_ENVS)


def contents(state: ReplayBufferState) -> dict[str, np.ndarray]:
    return {name: array[: state.n_rows].copy() for name, array in state.arrays()}


@pytest.mark.parametrize("kind", ["plain", "dict", "thrifty"])
@pytest.mark.parametrize("before", [0, 7, 19, 20, 33])
@pytest.mark.parametrize("since", [1, 5, 20, 45])
def test_it_goes_back(kind, before, since):
    rng = np.random.default_rng(before)
    buffer = make(kind)
    state = ReplayBufferState(buffer)
    for _ in range(before):
        add(buffer, rng, state)
    state.mark()
    expected, counters = contents(state), state.counters().values
    for _ in range(since):
        add(buffer, rng, state)
    state.roll_back()
    assert state.counters().values == counters
    found = contents(state)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert np.array_equal(found[name], array), name


def test_it_remembers_only_what_is_overwritten():
    rng = np.random.default_rng(1)
    buffer = make("plain")
    undo = ReplayBufferState(buffer)
    for _ in range(10):
        add(buffer, rng)
    undo.mark()
    for _ in range(8):
        add(buffer, rng, undo)
    assert undo.n_remembered == 0  # the buffer was not full
    for _ in range(6):
        add(buffer, rng, undo)
    assert undo.n_remembered == 5  # the four that were overwritten, and the one that would be next
    undo.forget()
    add(buffer, rng, undo)
    assert undo.n_remembered == 0
