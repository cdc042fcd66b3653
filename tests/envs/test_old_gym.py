"""Environments of the Gym API of before 0.26: the same numbers as their counterparts in Gymnasium's, everywhere."""

import sys
from pathlib import Path

import numpy as np
import pytest

from rlzoo.config.compose import compose
from rlzoo.envs import make, old_gym
from rlzoo.envs.check import check_env
from rlzoo.envs.make import make_raw
from rlzoo.envs.render import render_modes
from rlzoo.envs.snapshot.vector import restore, snapshot
from rlzoo.errors import RlzooError
from rlzoo.training.preflight import find_problems

TESTS = Path(__file__).parents[1]
OLD = ("Half", "NoSeed", "Old", "OldChain")


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(TESTS)


@pytest.fixture
def begin(env_config):
    made = []

    def begin(name, vec_env="dummy", n_envs=1, **options):
        cfg = env_config("gym", id=f"old_envs:{name}-v0", vec_env=vec_env)
        made.append(make(cfg, n_envs=n_envs, seed=5, **options))
        return made[-1]

    yield begin
    for env in made:
        env.close()


def play(env, n_steps=60):
    """Everything that the algorithm is told."""
    generator = np.random.default_rng(1)
    told = [env.reset()]
    for _ in range(n_steps):
        observations, rewards, dones, infos = env.step(generator.integers(2, size=env.num_envs))
        told += [observations, rewards, dones]
        told += [(info["TimeLimit.truncated"], info.get("terminal_observation"), info["t"]) for info in infos]
    return told


def same(one, other):
    return all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(flat(one), flat(other), strict=True))


def flat(told):
    return [part for each in told for part in (each if isinstance(each, tuple) else (each,)) if part is not None]


@pytest.mark.parametrize("name", OLD)
def test_an_old_environment_gives_the_numbers_of_its_counterpart(begin, name):
    new, old = play(begin("New", n_envs=2)), play(begin(name, n_envs=2))
    assert same(new, old)
    ends = [each for each in new if isinstance(each, tuple) and each[1] is not None]
    assert {truncated for truncated, *_ in ends} == {True, False}  # both kinds of end were met


def test_an_old_environment_gives_the_same_numbers_in_processes_of_its_own(begin):
    assert same(play(begin("New", "subproc", n_envs=2)), play(begin("Old", "subproc", n_envs=2)))


def test_a_limit_of_gymnasium_s_truncates_an_old_environment(begin):
    ends = [each for each in play(begin("Limited")) if isinstance(each, tuple) and each[1] is not None]
    assert max(t for *_, t in ends) == 3
    assert any(truncated for truncated, *_ in ends)


def test_gymnasium_s_own_wrapper_inside_sees_todays_api(begin):
    inside = play(begin("Inside"))
    new = play(begin("New"))
    assert np.allclose(inside[0], new[0] + 1.0)
    assert same(inside[2:4], new[2:4])


def test_spaces_attributes_and_metadata_of_another_class_are_found(begin):
    env = begin("Old")
    assert str(env.observation_space) == "Box(-1.0, 1.0, (2,), float64)"
    assert env.action_space.n == 2
    assert env.env_method("hello") == ["old"]
    assert env.get_attr("metadata")[0]["render_fps"] == 20


@pytest.mark.parametrize("name", ["NoSeed", "Old"])
def test_render_is_told_its_mode(name, env_config):
    env = make_raw(f"old_envs:{name}-v0", render_mode="rgb_array")
    env.reset(seed=0)
    env.step(1)
    assert env.render_mode == "rgb_array"
    assert env.render()[0, 0, 0] == 1
    assert render_modes(env_config("gym", id=f"old_envs:{name}-v0")) == ("rgb_array", "human")


def test_an_old_window_is_drawn_after_every_step():
    env = make_raw("old_envs:NoSeed-v0", render_mode="human")
    env.reset(seed=0)
    env.step(0)
    env.step(1)
    assert env.unwrapped.drawn == 3


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Half", "(step returns 4 values)"),
        ("NoSeed", "(reset takes no seed, reset returns the observation alone, step returns 4 values)"),
        ("Old", "(reset takes no seed, reset returns the observation alone, step returns 4 values)"),
        ("OldChain", "(step returns 4 values)"),
    ],
)
def test_the_check_says_it_once(env_values, name, said):
    found = check_env(env_values("gym", id=f"old_envs:{name}-v0"), declared_holds=False)
    assert found.problems == []
    assert (found.observation_space, found.action_space) == ("Box(2)", "Discrete(2)")
    [notice] = [notice for notice in found.notices if "old Gym API" in notice]
    assert notice == f"old_envs:{name}-v0 speaks the old Gym API {said}: it is wrapped"


def test_nothing_is_said_of_an_environment_of_today(env_values):
    found = check_env(env_values("gym", id="old_envs:New-v0"), declared_holds=False)
    assert not any("old Gym API" in notice for notice in found.notices)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Three", "step() must return five values, (observation, reward, terminated, truncated, info), not 3 values"),
        ("Odd", "neither Gymnasium's API nor the old Gym API: its observation_space is of the class object"),
        ("Mixed", "mixes Gymnasium's API and the old Gym API: too many values to unpack (expected 4"),
    ],
)
def test_what_speaks_no_api_is_refused_before_anything_starts(tmp_path, monkeypatch, name, said):
    monkeypatch.chdir(tmp_path)
    _, problems, _ = find_problems(compose("train", [f"env=old_envs:{name}-v0"]))
    [problem] = [problem for problem in problems if problem.key == "env.id"]
    assert said in problem.message


@pytest.mark.parametrize("vec_env", ["dummy", "subproc"])
def test_what_turns_out_later_is_not_made_anew(begin, vec_env, capsys):
    env = begin("Later", vec_env, n_envs=2)
    with pytest.raises(RlzooError, match=r"step\(\) must return five values.*old_envs.py:138") as caught:
        play(env)
    assert "max_restarts" not in str(caught.value)
    assert "restarted" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["Half", "NoSeed", "Old"])
def test_an_old_environment_goes_on_where_it_was(begin, name):
    one, other = begin(name), begin(name)
    generator = np.random.default_rng(2)
    one.reset()
    for _ in range(11):
        one.step(generator.integers(2, size=1))
    restored = restore(other, snapshot(one))
    assert [each.level for each in restored.envs] == ["unproven"]
    for _ in range(30):
        action = generator.integers(2, size=1)
        assert same(list(one.step(action)[:3]), list(other.step(action)[:3]))


def test_a_module_written_for_gym_itself_says_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "written_for_gym.py").write_text("import gym\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "gym", None)  # as where it is not installed
    with pytest.raises(RlzooError, match="gym") as caught:
        make_raw("written_for_gym:Mine-v0")
    assert "import gymnasium as gym" in caught.value.hint


def test_an_unrelated_error_stays_what_it_is():
    assert old_gym.explained(ValueError("not enough values to unpack (expected 2, got 1)")) is None
    assert old_gym.explained(TypeError("f() got an unexpected keyword argument 'seed'")) is None
    mixed = old_gym.explained(TypeError("Mine.reset() got an unexpected keyword argument 'seed'"))
    assert "old Gym API" in mixed.message
