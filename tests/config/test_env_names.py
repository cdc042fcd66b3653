"""An id behind `env=`, of today, of older recipes and of the course, stands for the shipped file and its tuned set."""

from pathlib import Path

import numpy as np
import pytest

from rlzoo.config import aliases, env_names, files
from rlzoo.config import assignments as course
from rlzoo.config.compose import compose
from rlzoo.config.parse import parse
from rlzoo.errors import Problem
from rlzoo.runs.run import Run
from rlzoo.training.preflight import find_problems

SHIPPED = [name for name in files.options("env") if name not in (env_names.GYM, env_names.ATARI)]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def notices(*words):
    composition = compose("train", words)
    assert composition.problems == ()
    return [notice for notice in composition.notices if notice.startswith("env=")]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_id_stands_for_its_file(name):
    env_id = compose("train", [f"env={name}"]).values["env"]["id"]
    found = env_names.resolve(env_id, {})
    assert found.settings == {}
    assert found.name == name or (len(found.name) < len(name) and env_names.short_names()[env_id] == found.name)
    assert f"env={name}" in found.notice


@pytest.mark.parametrize("old", [old for old, (new, _) in aliases.SAME.items() if new in env_names.short_names()])
def test_every_older_id_of_the_same_environment_stands_for_its_file(old):
    new, note = aliases.SAME[old]
    found = env_names.resolve(old, {})
    assert found.name == env_names.short_names()[new]
    assert note in found.notice


@pytest.mark.parametrize("assignment", course.assignments(), ids=lambda one: one.name)
def test_every_id_of_the_course_is_known(assignment):
    for env_id in assignment.env_ids:
        found = env_names.resolve(env_id, {"is_slippery": False} if env_id == "FrozenLake-v1" else {})
        if assignment.env is None:
            (problem,) = compose("train", [f"env={env_id}"]).problems
            assert f"{env_id}, of unit {assignment.unit} of the course" in problem.message
        elif env_id == "PandaReachDense-v2":
            assert "differs" in found.message and found.hint == "use env=PandaReachDense-v3"
        else:
            assert found.name == assignment.env


@pytest.mark.parametrize(
    ("algo", "typed", "name"),
    [
        ("ppo", "LunarLander-v2", "LunarLander"),
        ("dqn", "SpaceInvadersNoFrameskip-v4", "SpaceInvaders"),
        ("q_learning", "Taxi-v3", "Taxi"),
        ("dqn", "ALE/Pong-v5", "Pong"),
        ("sac", "Pendulum-v0", "Pendulum"),
        ("ppo", "lunarlander", "LunarLander"),
        ("ppo", "cartpole-V1", "CartPole"),
        ("q_learning", "FrozenLake-v1-4x4-no_slippery", "FrozenLakeNoSlippery"),
        ("ppo", "gymnasium:CartPole-v1", "CartPole"),
        ("dqn", "ale_py:BreakoutNoFrameskip-v4", "Breakout"),
    ],
)
def test_an_id_composes_what_the_name_composes_with_its_tuned_set(algo, typed, name):
    by_id, by_name = (
        compose("train", [f"algo={algo}", f"env={typed}"]),
        compose("train", [f"algo={algo}", f"env={name}"]),
    )
    assert by_id.problems == ()
    assert by_id.hyperparams == by_name.hyperparams != ()
    assert (by_id.values, by_id.choices) == (by_name.values, by_name.choices)
    assert by_id.notices[0].startswith(f"env={typed} is env={name}")


def test_a_name_needs_no_notice():
    assert notices("env=CartPole") == []


def test_typed_keywords_say_which_of_the_files_of_one_id_is_meant():
    words = ["algo=q_learning", "env=FrozenLake-v1", "env.kwargs.is_slippery=false"]
    assert compose("train", words).choices["env"] == "FrozenLakeNoSlippery"
    assert compose("train", words).hyperparams == ("hyperparams/q_learning/FrozenLakeNoSlippery.yaml",)
    for typed in ("frozenlake-v1", "FROZENLAKE-V1", "frozen-lake-v1"):
        assert compose("train", [words[0], f"env={typed}", words[2]]).choices["env"] == "FrozenLakeNoSlippery"
    assert compose("train", [*words[:2], "env.kwargs={is_slippery: true}"]).choices["env"] == "FrozenLake"
    assert compose("train", ["env=FrozenLake8x8-v1", words[2]]).choices["env"] == "FrozenLake8x8NoSlippery"
    [said] = notices("env=FrozenLake-v1")
    assert "of the same id: env=FrozenLakeCustom, env=FrozenLakeNoSlippery" in said


@pytest.mark.parametrize(
    ("typed", "use"),
    [
        ("Ant-v4", "env=Ant"),
        ("FrozenLake-v0", "env=FrozenLake"),
        ("Taxi-v2", "env=Taxi"),
        ("PongDeterministic-v4", "env=Pong"),
        ("BoxingDeterministic-v4", "env=BoxingNoFrameskip-v4"),
    ],
)
def test_an_id_that_means_something_else_today_says_what_to_use(typed, use):
    [problem] = compose("train", [f"env={typed}"]).problems
    assert (problem.key, problem.where, problem.hint) == ("env", "command line", f"use {use}")
    assert "differs" in problem.message
    assert isinstance(env_names.resolve(use.removeprefix("env="), {}), env_names.Choice)


@pytest.mark.parametrize(
    ("typed", "settings"),
    [
        ("CartPole-v0", {"env.id": "CartPole-v0"}),
        ("CliffWalkingSlippery-v1", {"env.id": "CliffWalkingSlippery-v1"}),
        ("mine:Warehouse-v0", {"env.id": "mine:Warehouse-v0"}),
        ("PandaReachDense-v3", {"env.id": "PandaReachDense-v3", "env.imports": ["panda_gym"]}),
        ("MiniGrid-Empty-5x5-v0", {"env.id": "MiniGrid-Empty-5x5-v0", "env.imports": ["minigrid"]}),
    ],
)
def test_any_registered_id_is_taken_as_env_gym(typed, settings):
    composition = compose("train", [f"env={typed}"])
    assert composition.choices["env"] == "gym"
    assert {key: composition.values["env"][key.removeprefix("env.")] for key in settings} == settings
    [said] = notices(f"env={typed}")
    assert f"env=gym env.id={typed}" in said
    assert composition.typed("env.id")


@pytest.mark.parametrize("typed", ["BoxingNoFrameskip-v4", "ALE/Boxing-v5"])
def test_an_atari_game_without_a_file_has_the_preprocessing_and_tuned_set_of_all(typed):
    composition = compose("train", ["algo=dqn", f"env={typed}"])
    assert (composition.choices["env"], composition.values["env"]["id"]) == ("atari", typed)
    assert composition.values["env"]["kwargs"] == {"frameskip": 1, "repeat_action_probability": 0.0}
    assert composition.hyperparams == ("hyperparams/dqn/atari.yaml",)


@pytest.mark.parametrize("typed", ["Warehouse-v0", "CartPole-v9", "LunarLandr-v3", "Tetris", "a b", ""])
def test_what_nobody_knows_stays_unknown(typed):
    assert env_names.resolve(typed, {}) is None


def test_a_module_that_is_named_registers_what_is_not_known_yet():
    composition = compose("train", ["env=Warehouse-v0", "env.imports=[warehouse]"])
    assert composition.problems == ()
    assert composition.values["env"]["id"] == "Warehouse-v0"
    assert composition.values["env"]["imports"] == ["warehouse"]


def test_the_own_environment_file_is_found_by_its_id_too(elsewhere):
    write(elsewhere / "conf/env/Depot.yaml", "defaults: [gym, _self_]\nid: warehouse:Depot-v3\n")
    write(elsewhere / "conf/env/Windy.yaml", "defaults: [gym, _self_]\nid: Windy-v0\n")
    assert env_names.resolve("Windy-v0", {}).name == "Windy"
    assert env_names.resolve("DEPOT", {}).name == "Depot"
    assert compose("train", ["env=Windy-v0"]).values["env"]["id"] == "Windy-v0"


def test_what_differs_in_capital_letters_alone_is_not_guessed(elsewhere):
    write(elsewhere / "conf/env/PONG.yaml", "defaults: [gym, _self_]\nid: Mine-v0\n")
    assert env_names.resolve("pong", {}) is None
    assert env_names.resolve("PONG", {}).name == "PONG"


def test_a_tuned_set_is_named_by_an_id_too():
    for name in ("ppo/LunarLander-v2", "ppo/lunarlander"):
        composition = compose("train", ["env=CartPole", f"hyperparams={name}"])
        assert composition.problems == ()
        assert composition.hyperparams == ("hyperparams/ppo/LunarLander.yaml",)


def test_a_search_knows_the_same_names():
    composition = compose("tune", ["algo=ppo", "env=LunarLander-v2"])
    assert composition.choices["env"] == "LunarLander"


def test_the_other_problems_of_a_request_are_said_beside_it():
    composition = compose("train", ["env=Ant-v4", "algo=pppo"])
    assert {problem.key for problem in composition.problems} == {"env", "algo"}


def test_a_misspelt_id_of_a_known_package_is_refused_before_anything_starts():
    _, problems, _ = find_problems(compose("train", ["algo=dqn", "env=SpaceInvadrsNoFrameskip-v4"]))
    assert any("not known to Gymnasium" in problem.message for problem in problems)
    assert all(isinstance(problem, Problem) for problem in problems)


def test_the_v5_id_is_the_same_game_with_the_family_s_keywords():
    from rlzoo.envs import make

    played = []
    for words in (["env=SpaceInvaders"], ["env=atari", "env.id=ALE/SpaceInvaders-v5"]):
        cfg = parse(compose("train", words).values)
        env = make(cfg.env, n_envs=1, seed=3)
        generator = np.random.default_rng(0)
        steps = [env.reset()]
        for _ in range(60):
            observation, reward, done, _ = env.step([generator.integers(env.action_space.n)])
            steps += [observation, reward, done]
        played.append(steps)
        env.close()
    assert all(np.array_equal(one, other) for one, other in zip(*played, strict=True))


def test_run_names_take_ids_of_today_and_of_yesterday(tmp_path):
    run = Run.create(tmp_path, algo="ppo", env_id="LunarLander-v3", seed=0)
    run.write_config({"algo": {"name": "ppo"}, "env": {"id": "LunarLander-v3"}})
    run.write_info({"words": ["algo=ppo", "env=LunarLander-v2"]})
    for text in ("ppo/LunarLander-v3", "ppo/LunarLander-v2", "ppo/LunarLander", "ppo/lunarlander"):
        assert Run.open(text, tmp_path) == run
