"""Sarsa, Expected Sarsa, Monte Carlo control and Dyna-Q: numbers worked out by hand, and tasks they have to master."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.tabular import base as tabular_loop
from rlzoo.algos.tabular import dyna_q
from rlzoo.algos.tabular.dyna_q import DynaQ, Model, plan, remember
from rlzoo.algos.tabular.dynamics import required_table
from rlzoo.algos.tabular.expected_sarsa import ExpectedSarsa
from rlzoo.algos.tabular.math import expected_value
from rlzoo.algos.tabular.mc_prediction import MCPrediction
from rlzoo.algos.tabular.monte_carlo import MonteCarlo
from rlzoo.algos.tabular.q_learning import QLearning
from rlzoo.algos.tabular.sarsa import Sarsa
from rlzoo.algos.tabular.td0 import TD0
from tests.algos.tabular import DOWN, RIGHT, Corner, best_values, exact_values, single, worth

CONTROL = (Sarsa, ExpectedSarsa, MonteCarlo, DynaQ)
HALF_AND_HALF: dict[str, Any] = {"max_epsilon": 0.4, "min_epsilon": 0.4}


def learned(cls: type, actions: list[int], env: gymnasium.Env | None = None, table: Any = None, **options: Any) -> Any:
    """The table after these actions; Sarsa chooses one more than are taken where an episode goes on."""
    chosen = list(actions)

    class Told(cls):  # type: ignore[misc, valid-type]
        def act(self, state: int, index: int) -> int:
            return super().act(state, index) if cls is Sarsa else chosen.pop(0)

        def _choose(self, state: int) -> int:
            return chosen.pop(0)

    algorithm = Told(single(env or Corner()), seed=0, **options)
    if table is not None:
        algorithm.q_values = np.array(table, dtype=float)
    while chosen:
        algorithm.learn(algorithm.num_timesteps + 1)
    return algorithm.q_values.tolist()


def test_sarsa_follows_the_action_that_is_taken_next() -> None:
    table = learned(Sarsa, [RIGHT, DOWN, RIGHT, DOWN], learning_rate=0.5, gamma=0.9)
    assert table[0] == [0.5 + 0.5 * (1 + 0.9 * -5 - 0.5), 0]  # Q-learning would follow 0, the best there
    assert table[1] == [0, -5]


def test_sarsa_chooses_an_action_for_the_last_state_of_an_episode_that_is_cut_and_takes_another() -> None:
    cut = gymnasium.wrappers.TimeLimit(Corner(), max_episode_steps=2)
    #                       taken, taken, only learned from, taken
    actions = [RIGHT, RIGHT, DOWN, DOWN, DOWN]
    table = learned(Sarsa, actions, cut, [[0, 0], [0, -4], [0, 0]], learning_rate=1.0, gamma=0.5)
    assert table == [[1, 0], [0.5 * -4, -4], [0, 0]]


def test_expected_sarsa_follows_the_mean_over_the_actions_of_its_policy() -> None:
    table = learned(ExpectedSarsa, [RIGHT, DOWN, RIGHT], learning_rate=0.5, gamma=0.9, **HALF_AND_HALF)
    # the best is worth 0, any -2.5: 0.6 * 0 + 0.4 * -2.5 = -1
    assert table == [[pytest.approx(0.5 + 0.5 * (1 + 0.9 * -1 - 0.5)), 0], [0, -5], [0, 0]]


def test_what_an_epsilon_greedy_policy_expects() -> None:
    table = np.array([[1.0, 3.0, 3.0, -5.0]])
    assert expected_value(table, 0, 0.0) == 3
    assert expected_value(table, 0, 1.0) == 0.5
    assert expected_value(table, 0, 0.2) == pytest.approx(0.2 * 0.5 + 0.8 * 3)


def test_monte_carlo_counts_from_the_first_visit() -> None:
    table = learned(MonteCarlo, [DOWN, RIGHT, RIGHT, RIGHT, DOWN], learning_rate=1.0, gamma=0.5)
    assert table == [[1 - 1.25, -0.125], [-2.5, -10], [0, 0]]  # from its second visit, right in 1 would be worth -5


def test_monte_carlo_without_a_learning_rate_is_the_mean_of_all_returns() -> None:
    table = learned(MonteCarlo, [RIGHT, DOWN, RIGHT, RIGHT, DOWN], learning_rate=None, gamma=0.5)
    assert table == [[(-4 - 1.5) / 2, 0], [-5, -10], [0, 0]]


def test_monte_carlo_of_an_episode_that_is_cut_and_of_one_that_ended() -> None:
    cut = gymnasium.wrappers.TimeLimit(Corner(), max_episode_steps=2)
    promised = [[0, 0], [4, 0], [100, 100]]
    table = learned(MonteCarlo, [RIGHT, RIGHT], cut, promised, learning_rate=1.0, gamma=0.5, **HALF_AND_HALF)
    assert table[0][RIGHT] == pytest.approx(1 + 0.5 * 1.6)  # state 1 is worth 0.6 * 4 + 0.4 * 2 = 3.2 to the policy
    assert table[1][RIGHT] == pytest.approx(0.5 * 3.2)
    table = learned(MonteCarlo, [RIGHT, DOWN], None, promised, learning_rate=1.0, gamma=0.5)
    assert table[1] == [4, -10]  # nothing comes after poison, whatever its state was said to be worth


def test_dyna_q_learns_again_from_what_it_remembers() -> None:
    assert learned(DynaQ, [RIGHT], learning_rate=0.5, gamma=0.9, n_planning_steps=2)[0] == [0.875, 0]  # 1/2, 3/4, 7/8


def test_the_model_holds_the_latest_outcome_and_every_pair_once() -> None:
    model = Model.empty(3, 2)
    remember(model, 2, 1, 5.0, False, 0)
    remember(model, 0, 0, 1.0, False, 1)
    remember(model, 2, 1, -3.0, True, 2)
    assert (model.reward[2, 1], model.terminated[2, 1], model.next_state[2, 1]) == (-3, True, 2)
    assert model.pairs[: model.n_pairs[0]].tolist() == [5, 0]


def test_planning_takes_all_pairs_that_were_seen_equally_often() -> None:
    model, table, rate = Model.empty(3, 2), np.zeros((3, 2)), 1e-7
    for state, action in ((0, 1), (2, 0), (1, 1)):
        remember(model, state, action, 1.0, True, 0)
    plan(table, model, 30_000, rate, 0.9, np.random.default_rng(0))
    counts = table / rate
    assert counts[[0, 2, 1], [1, 0, 1]] == pytest.approx(10_000, rel=0.03)  # three standard deviations are 2.4 %
    assert np.count_nonzero(counts) == 3


def test_dyna_q_without_planning_is_q_learning(make_env: Callable[..., VecEnv]) -> None:
    tables = []
    for cls, options in ((QLearning, {}), (DynaQ, {"n_planning_steps": 0})):
        algorithm = cls(make_env("FrozenLake-v1"), seed=1, **options)  # type: ignore[operator]
        algorithm.learn(20_000)
        tables.append(algorithm.q_values.tolist())
    assert tables[0] == tables[1]
    assert dyna_q.update is not None and np.any(tables[0])


@pytest.mark.parametrize("env_id", ["FrozenLake-v1", "Taxi-v4", "CliffWalking-v1"])
@pytest.mark.parametrize("cls", [*CONTROL, TD0, MCPrediction])
def test_compiled_in_its_table_it_is_the_same_as_in_the_environment(
    cls: type, env_id: str, make_env: Callable[..., VecEnv], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All chance, the environment's too, comes from one generator: then every number has to be the same."""
    seen = []
    for compiled in (True, False):
        venv = make_env(env_id, max_episode_steps=60)
        algorithm = cls(venv, seed=5, **({"decay_rate": 0.01} if cls in CONTROL else {}))
        if not compiled:
            monkeypatch.setattr(tabular_loop, "find_dynamics", lambda _: None)
            venv.reset()  # the first reset is none of the learning
            algorithm._states = None
            venv.envs[0].unwrapped.np_random = algorithm.generator  # type: ignore[attr-defined]
        algorithm.learn(1001)
        algorithm.learn(3000)
        state = algorithm.state()
        values = {key: value for key, value in state.values.items() if key not in ("_length", "_total")}
        seen.append(({name: np.asarray(tensor).tolist() for name, tensor in state.tensors.items()}, values))
    assert seen[0] == seen[1]
    assert algorithm.n_episodes > 10


def test_without_numba_they_are_the_same() -> None:
    script = """
import sys
if {blocked}: sys.modules["numba"] = None
import gymnasium, hashlib
from importlib import import_module
from stable_baselines3.common.vec_env import DummyVecEnv
from rlzoo.registry import load
from rlzoo.algos.specs import ALGOS
for name in ("sarsa", "expected_sarsa", "monte_carlo", "dyna_q", "td0", "mc_prediction"):
    assert hasattr(import_module("rlzoo.algos.tabular." + name).play, "py_func") != {blocked}
    algorithm = load(ALGOS[name].entry_point)(DummyVecEnv([lambda: gymnasium.make("FrozenLake-v1")]), seed=0)
    algorithm.learn(5_000)
    digest = hashlib.sha256()
    for tensor in algorithm.state().tensors.values(): digest.update(tensor.tobytes())
    print(name, digest.hexdigest(), algorithm.n_episodes)
"""
    runs = [
        subprocess.run(
            [sys.executable, "-c", script.format(blocked=blocked)], capture_output=True, text=True, check=True
        )
        for blocked in (True, False)
    ]
    assert runs[0].stdout == runs[1].stdout
    assert runs[0].stdout.count("\n") == 6


@pytest.mark.parametrize("n_envs", [1, 3])
@pytest.mark.parametrize("cls", CONTROL)
def test_it_crosses_the_lake(cls: type, n_envs: int, make_env: Callable[..., VecEnv]) -> None:
    env = make_env("FrozenLake-v1", n_envs, is_slippery=False)
    env.seed(0)
    algorithm = cls(env, seed=0, decay_rate=0.001)
    algorithm.learn(60_000)
    table = required_table(make_env("FrozenLake-v1", is_slippery=False))
    assert worth(table, algorithm.q_values, 0.95) == pytest.approx(0.95**5)  # the shortest way, six steps
    assert algorithm.n_episodes > 300


@pytest.mark.parametrize("cls", [QLearning, DynaQ])
def test_off_policy_values_on_the_way_are_the_best_there_are(cls: type, make_env: Callable[..., VecEnv]) -> None:
    """The lake without slipping has no chance: once tried often enough, a value is exactly what it should be."""
    env = make_env("FrozenLake-v1", is_slippery=False)
    algorithm = cls(env, seed=0, min_epsilon=1.0)  # random for ever
    algorithm.learn(200_000)
    assert algorithm.q_values == pytest.approx(best_values(required_table(env), 0.95), abs=1e-9)


@pytest.mark.parametrize("cls", [Sarsa, ExpectedSarsa, MonteCarlo])
def test_on_policy_values_are_those_of_the_policy(cls: type, make_env: Callable[..., VecEnv]) -> None:
    """A policy that is always random does not change while it is learned, so its values are known.

    The learning rate leaves noise: values between 0 and 1 move by at most three thousandths at once.
    """
    env = make_env("FrozenLake-v1", is_slippery=False)
    algorithm = cls(env, seed=0, learning_rate=0.003, min_epsilon=1.0)
    algorithm.learn(2_000_000)
    v_values = exact_values(required_table(env), np.full((16, 4), 0.25), 0.95)
    often = [0, 1, 2, 4, 8]  # states that many episodes come to
    assert algorithm.q_values[often].mean(axis=1) == pytest.approx(v_values[often], abs=0.006)
    assert v_values[8] > 0.02


@pytest.mark.parametrize("cls", [QLearning, Sarsa, ExpectedSarsa, DynaQ])
def test_it_drives_a_taxi(cls: type, make_env: Callable[..., VecEnv]) -> None:
    """Whole tables of 500 states: a few of them are visited rarely, which costs a little of the best there is."""
    env = make_env("Taxi-v4")
    algorithm = cls(env, seed=0, gamma=0.99, decay_rate=0.001)
    algorithm.learn(1_000_000)
    table = required_table(env)
    best = worth(table, best_values(table, 0.99), 0.99)
    assert best > 6
    assert worth(table, algorithm.q_values, 0.99) > best - 0.5
