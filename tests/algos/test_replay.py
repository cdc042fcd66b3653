"""The memory that stores every frame once gives back what went in: compared with a plain list of whole transitions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecFrameStack, VecTransposeImage

from rlzoo.algos.base import VectorEnvironment
from rlzoo.algos.deep.replay import Replay, ReplayState, stacked_frames
from rlzoo.algos.sb3 import replay as replay_state
from rlzoo.config.compose import compose
from rlzoo.config.parse import parse
from rlzoo.envs.make import make


class Film(gymnasium.Env):
    """Every frame is another number; episodes of all lengths, terminated and truncated."""

    action_space = spaces.Discrete(3)

    def __init__(self, start: int, shape: tuple[int, ...] = (9, 8, 1), *, as_dict: bool = False) -> None:
        self.image = spaces.Box(0, 255, shape, np.uint8)
        self.as_dict = as_dict
        vector = spaces.Box(-1, 1, (2,), np.float64)
        self.observation_space = spaces.Dict(image=self.image, vector=vector) if as_dict else self.image
        self.rng = np.random.default_rng(start)

    def reset(self, **options: Any) -> tuple[Any, dict]:
        self.left = int(self.rng.integers(1, 9))
        return self.observe(), {}

    def observe(self) -> Any:
        image = self.rng.integers(0, 256, self.image.shape, dtype=np.uint8)
        return {"image": image, "vector": self.rng.uniform(-1, 1, 2)} if self.as_dict else image

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict]:
        self.left -= 1
        cut = bool(self.rng.random() < 0.5)
        reward = float(self.rng.normal())
        return self.observe(), reward, self.left == 0 and not cut, self.left == 0 and cut, {}


def film(n_envs: int, *, n_stack: int | None, shape: tuple[int, ...] = (9, 8, 1), as_dict: bool = False) -> VecEnv:
    def one(index: int) -> gymnasium.Env:
        return Monitor(Film(index, shape, as_dict=as_dict))

    env: VecEnv = DummyVecEnv([lambda index=index: one(index) for index in range(n_envs)])
    if n_stack is not None:
        env = VecFrameStack(env, n_stack)
    return VecTransposeImage(env)


def copied(observation: Any) -> Any:
    if isinstance(observation, dict):
        return {key: part.copy() for key, part in observation.items()}
    return observation.copy()


def parts(observation: Any) -> dict[str, np.ndarray]:
    return observation if isinstance(observation, dict) else {"": observation}


class Both:
    """An environment whose steps go into a `Replay` and, whole, into a list."""

    def __init__(self, env: VecEnv, capacity: int, *, prioritized: bool = False) -> None:
        self.env = VectorEnvironment(env)
        self.capacity = capacity
        space = env.observation_space
        self.replay = Replay(space, capacity, env.num_envs, n_stack=stacked_frames(env), prioritized=prioritized)
        self.steps: list[tuple[Any, np.ndarray, Any]] = []
        self.rng = np.random.default_rng(0)
        self.observation = self.env.reset()

    def go_on(self, n: int) -> None:
        for _ in range(n):
            actions = self.rng.integers(int(self.env.action_space.n), size=self.env.n_envs)
            step = self.env.step(actions)
            before = copied(self.observation)
            self.replay.add(self.observation, actions, step)
            self.steps.append((before, actions, step))
            self.observation = step.observation

    def compare_all(self, n_steps: int = 1, gamma: float = 0.9) -> None:
        """Every transition that can be drawn, with what a simple loop makes of the list."""
        replay, kept = self.replay, self.steps[-self.capacity :]
        assert replay.size == len(kept)
        n_envs = self.env.n_envs
        rows = (replay.pos - len(kept) + np.arange(len(kept))) % replay.buffer_size
        rows, envs = np.repeat(rows, n_envs), np.tile(np.arange(n_envs), len(kept))
        batch = replay._transitions(rows, envs, n_steps, gamma, np.ones(len(rows)))
        for index in range(len(rows)):
            at, env = divmod(index, n_envs)
            observation, actions, _ = kept[at]
            total, discount = 0.0, 1.0
            for _, _, step in kept[at : at + n_steps]:
                total += discount * step.reward[env]
                discount *= gamma
                if step.terminated[env] or step.truncated[env]:
                    break
            assert batch.actions[index] == actions[env]
            assert batch.returns[index] == pytest.approx(total, rel=1e-5, abs=1e-6)
            assert batch.discounts[index] == pytest.approx(0.0 if step.terminated[env] else discount)
            for found, expected in (
                (batch.observations, observation),
                (batch.next_observations, step.final_observation),
            ):
                assert parts(found).keys() == parts(expected).keys()
                for key, part in parts(expected).items():
                    assert parts(found)[key].dtype == part.dtype
                    assert np.array_equal(parts(found)[key][index], part[env]), (key, at, env)


@pytest.mark.parametrize("n_envs", [1, 3])
@pytest.mark.parametrize(
    "options",
    [
        {"n_stack": 4},
        {"n_stack": 2, "shape": (9, 8, 3)},
        {"n_stack": None, "shape": (9, 8, 3)},
        {"n_stack": 3, "as_dict": True},
    ],
    ids=["stack", "colour", "no-stack", "dict"],
)
def test_every_transition_is_what_was_seen(n_envs: int, options: dict[str, Any]) -> None:
    both = Both(film(n_envs, **options), capacity=11)
    for steps in (1, 2, 3, 5, 1, 1, 1, 1, 7, 12, 30):
        both.go_on(steps)
        both.compare_all()
        both.compare_all(n_steps=3)
    n_frames = 11 + (options["n_stack"] or 1)
    assert all(len(frames) == n_frames for frames in both.replay.frames.values())
    assert len(both.replay.finals) <= n_frames * n_envs


@pytest.fixture
def atari(workdir: Any) -> Iterator[VecEnv]:
    config = parse(compose("train", ["algo=dqn", "env=SpaceInvaders", "seed=0"]).values)
    env = make(config.env, n_envs=2, seed=0)
    yield env
    env.close()


def test_atari_is_what_was_seen(atari: VecEnv) -> None:
    """Lost lives end episodes here; the memory turns over twice."""
    both = Both(atari, capacity=200)
    assert both.replay.n_stack == 4
    ends = []
    for steps in (100, 250, 150):
        both.go_on(steps)
        both.compare_all()
        both.compare_all(n_steps=3)
        ends += [int((step.terminated | step.truncated).sum()) for _, _, step in both.steps[-200:]]
    assert sum(ends) >= 2


def test_a_frame_is_stored_once(atari: VecEnv) -> None:
    """Against Stable-Baselines3's buffer for the same transitions: an eighth."""
    replay = Replay(atari.observation_space, 1000, 2, n_stack=4)
    arrays = [value for value in vars(replay).values() if isinstance(value, np.ndarray)] + [replay.frames[""]]
    mine = sum(array.nbytes for array in arrays)
    assert mine == 2 * 1004 * (84 * 84 + 4 + 4 + 1 + 1 + 1)  # frame, action, reward, terminated, truncated, age
    plain = ReplayBuffer(2000, atari.observation_space, atari.action_space, n_envs=2)
    theirs = sum(value.nbytes for value in vars(plain).values() if isinstance(value, np.ndarray))
    assert theirs == 2000 * (2 * 4 * 84 * 84 + 8 + 12)
    assert theirs / mine > 7.9


def test_it_may_begin_in_the_middle_of_an_episode() -> None:
    """As after a resumption without the memory: the first stack has frames that were never added."""
    both = Both(film(1, n_stack=4), capacity=11)
    both.go_on(2)
    while both.steps[-1][2].terminated[0] or both.steps[-1][2].truncated[0]:
        both.go_on(1)
    both.steps.clear()
    both.replay = Replay(both.env.observation_space, 11, 1, n_stack=4)
    for _ in range(15):
        both.go_on(1)
        both.compare_all()


def test_a_cut_episode_ends_where_it_was() -> None:
    both = Both(film(2, n_stack=4), capacity=11)
    both.go_on(30)
    while (both.steps[-1][2].terminated | both.steps[-1][2].truncated).any():
        both.go_on(1)
    before, actions, step = both.steps[-1]
    both.replay.cut(both.observation, np.array([False, True]))
    both.steps[-1] = before, actions, type(step)(*(getattr(step, key) for key in KEYS))
    both.steps[-1][2].truncated[1] = True
    fresh = both.observation.copy()
    fresh[1, :-1], fresh[1, -1] = 0, 7  # the first observation of a new episode
    both.observation = fresh
    action = np.zeros(2, dtype=np.int64)
    following = np.concatenate([fresh[:, 1:], np.full((2, 1, 9, 8), 9, np.uint8)], axis=1)
    new = type(step)(following, np.ones(2), np.zeros(2, bool), np.zeros(2, bool), following)
    both.replay.add(fresh, action, new)
    both.steps.append((fresh, action, new))
    both.compare_all(n_steps=3)


KEYS = ("observation", "reward", "terminated", "truncated", "final_observation")


def contents(replay: Replay) -> dict[str, Any]:
    state = ReplayState(replay)
    rows = {name: array[: state.n_rows].copy() for name, array in state.arrays()}
    finals = {index: final[0].tolist() for index, final in state._finals(0, state.n_rows).items()}
    nodes = {} if replay.tree is None else {"nodes": replay.tree.nodes.copy()}
    return {**rows, **nodes, "finals": finals, "counters": state.counters().values}


def assert_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert np.array_equal(other[name], value) if isinstance(value, np.ndarray) else other[name] == value, name


def shuffle_priorities(replay: Replay, seed: int) -> None:
    rng = np.random.default_rng(seed)
    batch = replay.sample_prioritized(8, 1, 0.9, 0.5, rng)
    replay.set_priorities(batch.indices, rng.random(8))


@pytest.mark.parametrize("before", [1, 8, 12, 14, 40])
@pytest.mark.parametrize("since", [1, 6, 30])
def test_it_goes_back(before: int, since: int) -> None:
    """Rows, last observations and priorities, whatever was written since."""
    both = Both(film(2, n_stack=4), capacity=11, prioritized=True)
    undo = ReplayState(both.replay)
    both.go_on(before)
    shuffle_priorities(both.replay, 1)
    undo.mark()
    expected = contents(both.replay)
    for _ in range(since):
        undo.remember()
        both.go_on(1)
        shuffle_priorities(both.replay, 2)
    undo.roll_back()
    assert_equal(contents(both.replay), expected)


@pytest.mark.parametrize("steps", [1, 7, 11, 12, 55])
def test_it_is_saved_in_segments_and_samples_the_same(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_state, "SEGMENT", 4)
    one = Both(film(2, n_stack=4), capacity=11, prioritized=True)
    one.go_on(steps)
    shuffle_priorities(one.replay, 1)
    state = ReplayState(one.replay)
    copy = Replay(one.env.observation_space, 11, 2, n_stack=4, prioritized=True)
    ReplayState(copy).restore(state.counters(), [state.segment(k) for k in range(state.n_segments)])
    assert_equal(contents(copy), contents(one.replay))
    other = one.replay
    one.go_on(3)
    one.replay = copy
    for before, actions, step in one.steps[-3:]:
        copy.add(before, actions, step)
    one.compare_all()
    for replay in (copy, other):
        assert replay.tree is not None
    first, second = (r.sample_prioritized(16, 3, 0.9, 0.4, np.random.default_rng(0)) for r in (other, copy))
    for name, value in vars(first).items():
        assert np.array_equal(vars(second)[name], value), name


def test_segments_of_a_dict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_state, "SEGMENT", 4)
    both = Both(film(2, n_stack=3, as_dict=True), capacity=9)
    both.go_on(30)
    state = ReplayState(both.replay)
    copy = Replay(both.env.observation_space, 9, 2, n_stack=3)
    ReplayState(copy).restore(state.counters(), [state.segment(k) for k in range(state.n_segments)])
    both.replay = copy
    both.go_on(1)  # the frame at hand is stored with the step that is taken from it
    both.compare_all()


def test_what_cannot_be_drawn_has_no_priority() -> None:
    both = Both(film(2, n_stack=4), capacity=5, prioritized=True)
    for _ in range(20):
        both.go_on(1)
        tree = both.replay.tree
        assert tree is not None
        rows = (both.replay.pos - 1 - np.arange(both.replay.size)) % both.replay.buffer_size
        assert set(np.flatnonzero(tree.leaves) // 2) == set(rows.tolist())
        assert tree.total == 2 * both.replay.size


def test_all_transitions_are_drawn_alike() -> None:
    both = Both(film(2, n_stack=None), capacity=5)
    both.go_on(9)
    drawn = both.replay.sample(20_000, 1, 0.9, np.random.default_rng(0)).indices
    found, counts = np.unique(drawn, return_counts=True)
    assert len(found) == 10
    assert counts / 20_000 == pytest.approx(np.full(10, 0.1), abs=0.01)


def test_priorities_decide_what_is_drawn_and_weights_correct_it() -> None:
    """Priorities 1, 1, 6 of three transitions: P = 1/8, 1/8, 3/4; weights (3 P)^-1 by the largest: 1, 1, 1/6."""
    both = Both(film(1, n_stack=None), capacity=3, prioritized=True)
    both.go_on(3)
    both.replay.set_priorities(np.array([0, 1, 2]), np.array([1.0, 1.0, 6.0]))
    batch = both.replay.sample_prioritized(8000, 1, 0.9, 1.0, np.random.default_rng(0))
    assert np.bincount(batch.indices, minlength=3)[:3].tolist() == [1000, 1000, 6000]  # stratified
    assert batch.weights == pytest.approx(np.choose(batch.indices, [1.0, 1.0, 1 / 6]), rel=1e-6)
