"""Value and policy iteration: sweeps worked out by hand, each other, linear equations, and how such a training ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecEnv

import rlzoo
from rlzoo.algos.tabular.dynamics import required_table
from rlzoo.algos.tabular.policy_iteration import PolicyIteration
from rlzoo.algos.tabular.value_iteration import ValueIteration
from rlzoo.config.parse import parse
from rlzoo.errors import ConfigError, RlzooError
from rlzoo.runs.checkpoints import read_manifest
from rlzoo.runs.run import Run
from rlzoo.training.callbacks.progress import Progress
from rlzoo.training.resume import newest_boundary, resume_run
from tests.algos.tabular import exact_values, greedy

LEFT, RIGHT, UP, DOWN = range(4)
PLANNERS = (ValueIteration, PolicyIteration)
ENVS: list[tuple[str, dict[str, Any]]] = [
    ("FrozenLake-v1", {"is_slippery": False}),
    ("FrozenLake-v1", {}),
    ("FrozenLake8x8-v1", {}),
    ("Taxi-v4", {}),
    ("CliffWalking-v1", {}),
    ("CheeseMaze-v0", {}),
]
QUICK = ["seed=0", "eval.final_n_episodes=2", "logger=[]", "device=cpu"]


def test_the_cheese_maze_sweep_by_sweep(make_env: Callable[..., VecEnv]) -> None:
    """S>c over  xC: +1 for right from the start, +10 for down from the upper right, -10 for the lower middle."""
    algorithm = ValueIteration(make_env("CheeseMaze-v0"), gamma=0.9)
    algorithm.learn(1)
    assert algorithm.q_values.max(axis=1).tolist() == [1, 0, 10, 0, 0, 0]
    algorithm.learn(2)
    assert algorithm.q_values.max(axis=1) == pytest.approx([1, 9, 10, 0.9, 0, 0])
    algorithm.learn(100)
    assert algorithm.q_values.max(axis=1) == pytest.approx([1 + 0.9 * 9, 9, 10, 0.9 * 9.1, 0, 0])
    assert algorithm.predict(np.array([0, 1, 2]))[0].tolist() == [RIGHT, RIGHT, DOWN]
    assert algorithm.num_timesteps < 10
    assert algorithm.done == "no value has changed by theta=1e-10"


def test_a_policy_is_evaluated_before_it_gets_better(make_env: Callable[..., VecEnv]) -> None:
    """Left everywhere is worth nothing: the first improvement takes what pays at once."""
    algorithm = PolicyIteration(make_env("CheeseMaze-v0"), gamma=0.9)
    algorithm.learn(1)
    assert (algorithm.v_values.tolist(), algorithm.n_improvements) == ([0] * 6, 1)
    assert algorithm.policy.tolist() == [RIGHT, LEFT, DOWN, LEFT, LEFT, LEFT]
    algorithm.learn(2)
    assert (algorithm.v_values.tolist(), algorithm.n_improvements) == ([1, 0, 10, 0, 0, 0], 1)
    algorithm.learn(100)
    assert algorithm.policy[:4].tolist() == [RIGHT, RIGHT, DOWN, UP]
    assert algorithm.v_values == pytest.approx([9.1, 9, 10, 0.9 * 9.1, 0, 0])
    assert algorithm.done == "no action is better than the policy's by theta=1e-10"


@pytest.mark.parametrize("env", ENVS, ids=lambda env: f"{env[0]}-{len(env[1])}")
def test_planners_agree_with_each_other_and_with_linear_equations(
    env: tuple[str, dict[str, Any]], make_env: Callable[..., VecEnv]
) -> None:
    venv = make_env(env[0], **env[1])
    table = required_table(venv)
    values, policies = (cls(venv, gamma=0.99, theta=1e-12) for cls in PLANNERS)
    for algorithm in (values, policies):
        algorithm.learn(100_000)
        assert algorithm.done
    assert values.q_values == pytest.approx(policies.q_values, abs=1e-8)
    best = exact_values(table, greedy(values.q_values), 0.99)
    assert best == pytest.approx(values.q_values.max(axis=1), abs=1e-8)
    assert best == pytest.approx(
        exact_values(table, np.eye(len(policies.q_values[0]))[policies.policy], 0.99), abs=1e-8
    )
    assert np.ptp(best) > 0.5


def test_the_best_there_is_on_a_lake_without_slipping(make_env: Callable[..., VecEnv]) -> None:
    algorithm = ValueIteration(make_env("FrozenLake-v1", is_slippery=False), gamma=0.9)
    algorithm.learn(1000)
    distance = {0: 6, 1: 5, 4: 5, 8: 4, 9: 3, 10: 2, 13: 2, 14: 1}
    assert {state: algorithm.q_values[state].max() for state in distance} == pytest.approx(
        {state: 0.9 ** (steps - 1) for state, steps in distance.items()}
    )


@pytest.mark.parametrize("cls", PLANNERS)
def test_it_goes_on_where_it_was(cls: type, make_env: Callable[..., VecEnv]) -> None:
    whole, half, other = (cls(make_env("FrozenLake8x8-v1")) for _ in range(3))
    whole.learn(100_000)
    half.learn(whole.num_timesteps // 2)
    other.restore(half.state())
    other.learn(100_000)
    assert other.state().values == whole.state().values
    assert other.q_values.tolist() == whole.q_values.tolist()


def test_without_dynamics_it_says_so(make_env: Callable[..., VecEnv]) -> None:
    with pytest.raises(RlzooError, match="shows its dynamics"):
        ValueIteration(make_env("FrozenLake-v1", 2)).learn(10)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["env=CartPole"], "takes Discrete observations"),
        (["env=gym", "env.id=Taxi-v4", "env.kwargs={fickle_passenger: true}"], "does not show"),
        (["env=Taxi", "env.n_envs=2"], "a single environment"),
        (["env=Taxi", "env.wrappers={time_feature: {}}"], "wrappers|observations"),
    ],
)
def test_what_cannot_be_planned_is_refused_before_anything_exists(words: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        rlzoo.train("algo=policy_iteration", *words, *QUICK, f"runs_dir={tmp_path}/runs")
    assert not (tmp_path / "runs").exists()


def test_a_training_that_is_done_early_has_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rlzoo.train("algo=value_iteration", "env=FrozenLakeNoSlippery", *QUICK, f"runs_dir={tmp_path}")
    run = Run.open("latest", tmp_path)
    assert run.read_info()["status"] == "finished"
    last = newest_boundary(run)
    assert last.num_timesteps < 20
    assert read_manifest(last)["done"] is True
    assert [entry["num_timesteps"] for entry in run.read_results()] == [last.num_timesteps]
    log = run.log_file.read_text()
    assert f"training is done at step {last.num_timesteps}: no value has changed by theta=1e-10" in log
    assert f"{last.num_timesteps}/{last.num_timesteps} sweeps (100%)" in log
    before = run.log_file.read_bytes()
    assert resume_run(run, parse(run.read_config())) is False
    assert run.log_file.read_bytes() == before


def test_one_that_is_not_done_has_a_manifest_that_does_not_say_so(tmp_path: Path) -> None:
    words = ["algo=value_iteration", "env=FrozenLake", "total_timesteps=5", *QUICK, f"runs_dir={tmp_path}"]
    rlzoo.train(*words)
    last = newest_boundary(Run.open("latest", tmp_path))
    assert last.num_timesteps == 5
    assert "done" not in read_manifest(last)
    assert "(50%)" in Progress(10).text(5)
