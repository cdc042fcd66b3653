"""Q-learning: numbers worked out by hand, and lakes it has to cross."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from rlzoo.algos.tabular import base as tabular_loop
from rlzoo.algos.tabular.dynamics import find_dynamics
from rlzoo.algos.tabular.math import epsilon_greedy, exponential_decay
from rlzoo.algos.tabular.q_learning import QLearning
from rlzoo.protocols import Algorithm, Callback, Patience

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


class Told(QLearning):
    """Takes the actions that it is told."""

    actions: list[int]

    def act(self, state: int, index: int) -> int:
        return self.actions.pop(0)


def q_values(
    actions: list[int], env: gymnasium.Env, table: np.ndarray | None = None, **options: Any
) -> list[list[float]]:
    algorithm = Told(DummyVecEnv([lambda: env]), **options)
    algorithm.actions = list(actions)
    if table is not None:
        algorithm.q_values = table
    algorithm.learn(len(actions))
    assert algorithm.actions == []
    return algorithm.q_values.tolist()


def test_the_mouse_and_the_poison() -> None:
    assert q_values([RIGHT], Corner(), learning_rate=0.1, gamma=0.99) == [[0.1, 0], [0, 0], [0, 0]]
    assert q_values([RIGHT, DOWN], Corner(), learning_rate=0.1, gamma=0.99) == [[0.1, 0], [0, -1.0], [0, 0]]


def test_the_courses_maze(make_env: Callable[..., VecEnv], monkeypatch: pytest.MonkeyPatch) -> None:
    """Right to the small cheese is worth 0.1, then down to the poison -1; in the end the way is right, right, down."""
    right, down = 1, 3
    learned = QLearning(make_env("CheeseMaze-v0"), seed=0, learning_rate=0.1, gamma=0.99, decay_rate=0.01)
    learned.learn(5000)
    assert learned.predict(np.array([0, 1, 2]), deterministic=True)[0].tolist() == [right, right, down]
    assert learned.q_values[0, right] == pytest.approx(1 + 0.99**2 * 10, abs=0.05)

    monkeypatch.setattr(tabular_loop, "find_dynamics", lambda _: None)  # step by step, in the environment
    told = Told(make_env("CheeseMaze-v0"), learning_rate=0.1, gamma=0.99)
    told.actions = [right, down]
    told.learn(1)
    assert told.q_values[0, right] == pytest.approx(0.1)
    told.learn(2)
    assert told.q_values[1, down] == pytest.approx(-1)
    assert np.count_nonzero(told.q_values) == 2


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
    table, generator = np.array([[0.0, 2.0, 2.0], [0.0, 0.0, 0.0]]), np.random.default_rng(0)
    assert [epsilon_greedy(table, state, 0.0, generator) for state in (0, 1)] == [1, 0]
    actions = [epsilon_greedy(table, 0, 0.3, generator) for _ in range(30_000)]
    shares = np.bincount(actions, minlength=3) / len(actions)
    assert shares == pytest.approx([0.1, 0.8, 0.1], abs=0.01)


LAKES = [("FrozenLake-v1", {"is_slippery": False}), ("FrozenLake-v1", {}), ("Taxi-v4", {}), ("CliffWalking-v1", {})]


@pytest.mark.parametrize(("env_id", "kwargs"), LAKES)
def test_compiled_in_its_table_it_is_the_same_as_in_the_environment(
    env_id: str, kwargs: dict[str, Any], make_env: Callable[..., VecEnv], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All chance, the environment's too, comes from one generator: then every number has to be the same."""
    tables = []
    for compiled in (True, False):
        env = make_env(env_id, max_episode_steps=60, **kwargs)
        algorithm = QLearning(env, seed=5, decay_rate=0.01)
        if not compiled:
            monkeypatch.setattr(tabular_loop, "find_dynamics", lambda _: None)
            env.envs[0].unwrapped.np_random = algorithm.generator  # type: ignore[attr-defined]
        algorithm.learn(5000)
        values = {key: value for key, value in algorithm.state().values.items() if key not in ("_length", "_total")}
        tables.append((algorithm.q_values.tolist(), values))
    assert tables[0] == tables[1]
    assert algorithm.n_episodes > 10


def test_without_numba_it_is_the_same() -> None:
    script = """
import sys
if {blocked}: sys.modules["numba"] = None
import gymnasium, hashlib
from stable_baselines3.common.vec_env import DummyVecEnv
from rlzoo.algos.tabular.q_learning import QLearning, play
assert hasattr(play, "py_func") != {blocked}
algorithm = QLearning(DummyVecEnv([lambda: gymnasium.make("FrozenLake-v1")]), seed=0)
algorithm.learn(20_000)
print(hashlib.sha256(algorithm.q_values.tobytes()).hexdigest(), algorithm.n_episodes)
"""
    runs = [
        subprocess.run(
            [sys.executable, "-c", script.format(blocked=blocked)], capture_output=True, text=True, check=True
        )
        for blocked in (True, False)
    ]
    assert runs[0].stdout == runs[1].stdout != ""


def test_an_environment_that_does_not_do_what_its_table_says_is_played_itself(make_env: Callable[..., VecEnv]) -> None:
    assert find_dynamics(make_env("Taxi-v4")) is not None
    assert find_dynamics(make_env("Taxi-v4", fickle_passenger=True)) is None
    assert find_dynamics(make_env("Taxi-v4", n_envs=2)) is None
    assert find_dynamics(make_env("Blackjack-v1")) is None
    lying = make_env("FrozenLake-v1")
    lying.envs[0].unwrapped.P[14][2] = [(1.0, 15, 2.0, True)]  # type: ignore[attr-defined]
    assert find_dynamics(lying) is not None  # FrozenLake plays by this very table
    nowhere = make_env("FrozenLake-v1")
    nowhere.envs[0].unwrapped.P[14][2] = [(1.0, 10**9, 1.0, False)]  # type: ignore[attr-defined]
    assert find_dynamics(nowhere) is None, "compiled code would read beyond its arrays"
    rewarded = DummyVecEnv([lambda: gymnasium.wrappers.TransformReward(gymnasium.make("FrozenLake-v1"), lambda r: -r)])
    assert find_dynamics(rewarded) is None


class Line(gymnasium.Env):
    """Forty states in a row: right goes on, left goes back; the last one ends it with a reward of 1."""

    observation_space = gymnasium.spaces.Discrete(40)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, *, goal: float = 1.0, limit: int = 10**9, chance: float = 1.0) -> None:
        def outcome(state: int) -> list[tuple[float, int, float, bool]]:
            state = max(state, 0)
            return [(chance, state, float(state == 39), state == 39)]

        self.P = {state: {0: outcome(state - 1), 1: outcome(min(state + 1, 39))} for state in range(40)}
        self.initial_state_distrib = np.eye(40)[0]
        self.goal, self.limit, self.s = goal, limit, 0

    def reset(self, **options: Any) -> tuple[int, dict]:
        super().reset(**options)
        self.np_random.random()
        self.s = self.n_steps = 0
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict]:
        self.np_random.random()
        self.s, self.n_steps = max(0, min(self.s + (1 if action else -1), 39)), self.n_steps + 1
        over = self.s == 39
        return self.s, self.goal * over, over, self.n_steps >= self.limit, {}


@pytest.mark.parametrize("lie", [{"goal": 2.0}, {"limit": 15}, {"chance": 0.5}], ids=str)
def test_a_lie_far_from_the_start_is_found_too(lie: dict[str, Any]) -> None:
    assert find_dynamics(DummyVecEnv([Line])) is not None
    assert find_dynamics(DummyVecEnv([lambda: Line(**lie)])) is None


def test_callbacks_are_asked_no_later_than_they_want(make_env: Callable[..., VecEnv]) -> None:
    class Patient(Callback):
        asked: ClassVar[list[int]] = []

        def on_step(self, algorithm: Algorithm) -> bool:
            self.asked.append(algorithm.num_timesteps)
            return True

        def patience(self, algorithm: Algorithm) -> Patience:
            return Patience(timesteps=300 - algorithm.num_timesteps % 300)

    QLearning(make_env("FrozenLake-v1"), seed=0).learn(1_000_000, [Patient()])
    assert set(range(300, 1_000_000, 300)) <= set(Patient.asked)
    assert set(Patient.asked) - set(range(300, 1_000_000, 300)) <= set(range(1000, 1_000_001, 1000))  # lines of the log


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
