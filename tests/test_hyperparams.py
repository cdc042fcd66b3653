"""The shipped tuned sets: the course's values to the letter, and what every file must say and may hold."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from rlzoo.config import yaml_file
from rlzoo.config.compose import compose

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "hyperparams").rglob("*.yaml"))
ENV_KEYS = {"max_steps", "n_envs", "normalize", "wrappers"}  # the rest of an environment is its own file's


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def composed(*words: str) -> dict[str, Any]:
    composition = compose("train", words)
    assert not composition.problems
    return composition.values


@pytest.mark.usefixtures("workdir")
def test_ppo_on_lunar_lander_is_the_courses():
    values = composed("algo=ppo", "env=LunarLander")
    expected = {
        "n_steps": 1024,
        "batch_size": 64,
        "n_epochs": 4,
        "gamma": 0.999,
        "gae_lambda": 0.98,
        "ent_coef": 0.01,
        "learning_rate": 3e-4,
        "clip_range": 0.2,
        "vf_coef": 0.5,
        "max_grad_norm": 0.5,
    }
    assert {key: values["algo"][key] for key in expected} == expected
    assert values["total_timesteps"] == 1_000_000
    assert values["env"]["id"] == "LunarLander-v3"
    assert values["env"]["n_envs"] == 16
    assert values["env"]["normalize"] is False


DQN_YML = {
    "buffer_size": 100_000,
    "learning_rate": 1e-4,
    "batch_size": 32,
    "learning_starts": 100_000,
    "target_update_interval": 1000,
    "train_freq": 4,
    "gradient_steps": 1,
    "exploration_fraction": 0.1,
    "exploration_initial_eps": 1.0,
    "exploration_final_eps": 0.01,
    "optimize_memory_usage": False,
}


@pytest.mark.usefixtures("workdir")
@pytest.mark.parametrize("choice", ["auto", "dqn/SpaceInvaders"])
def test_dqn_on_space_invaders_is_the_courses(choice):
    values = composed("algo=dqn", "env=SpaceInvaders", f"hyperparams={choice}")
    assert {key: values["algo"][key] for key in DQN_YML} == DQN_YML
    assert values["total_timesteps"] == 10_000_000
    assert values["env"]["id"] == "SpaceInvadersNoFrameskip-v4"
    assert values["env"]["wrappers"] == {"atari": {}}
    assert values["env"]["frame_stack"] == 4
    assert values["env"]["n_envs"] == 1


@pytest.mark.usefixtures("workdir")
def test_every_atari_game_has_the_familys_set():
    values = composed("algo=ppo", "env=Breakout")
    assert values["env"]["n_envs"] == 8
    assert values["algo"]["learning_rate"] == {"linear": 2.5e-4}
    assert values["algo"]["clip_range"] == {"linear": 0.1}
    assert values["total_timesteps"] == 10_000_000


@pytest.mark.usefixtures("workdir")
def test_a_family_changes_one_option_of_a_wrapper():
    values = composed("algo=ppo_lstm", "env=Pong")
    assert values["env"]["wrappers"] == {"atari": {"terminal_on_life_loss": False}}
    assert values["env"]["frame_stack"] == 4


@pytest.mark.parametrize("path", FILES, ids=named)
def test_a_set_says_where_it_comes_from(path):
    lines = path.read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert [line.split(":")[0] for line in lines[1:4]] == ["# source", "# date", "# score"]
    assert lines[4] == ""
    source, day, score = (line.split(": ", 1)[1] for line in lines[1:4])
    assert len(source) > 10
    assert date.fromisoformat(day) <= date.today()
    assert score == "not measured" or "+/-" in score or "seeds" in score  # a spread over episodes, or each seed


@pytest.mark.parametrize("path", FILES, ids=named)
def test_a_set_holds_known_keys_and_only_differences(path):
    algo = yaml_file.read(ROOT / "conf" / "algo" / f"{path.parent.name}.yaml").values
    env = yaml_file.read(ROOT / "conf" / "env" / "gym.yaml").values
    values = yaml_file.read(path).values
    assert set(values) <= {"total_timesteps", "stop", "env", "algo"}
    assert values["total_timesteps"] > 0
    assert set(values.get("env", {})) <= ENV_KEYS
    assert set(values.get("algo", {})) <= set(algo) - {"name"}
    same = {key for key, value in values.get("algo", {}).items() if value == algo[key]}
    same |= {key for key, value in values.get("env", {}).items() if value == env[key]}
    assert not same, "these are the defaults: leave them out"


PAIRS = {
    "CartPole": "a2c ars dqn ppo qrdqn trpo",
    "MountainCar": "a2c ars dqn ppo qrdqn trpo",
    "Acrobot": "a2c ars dqn ppo ppo_lstm qrdqn trpo",
    "LunarLander": "a2c ars dqn ppo qrdqn trpo",
    "Pendulum": "a2c ars crossq ddpg ppo sac td3 tqc trpo",
    "MountainCarContinuous": "a2c ars crossq ddpg ppo sac td3 tqc trpo",
    "LunarLanderContinuous": "a2c ars crossq ddpg ppo sac td3 tqc trpo",
    "BipedalWalker": "a2c ars crossq ddpg ppo ppo_lstm sac td3 tqc trpo",
    "BipedalWalkerHardcore": "a2c ars ddpg ppo ppo_lstm sac td3 tqc trpo",
    "atari": "a2c dqn ppo ppo_lstm qrdqn",
    "SpaceInvaders": "dqn",
    "BitFlipping": "dqn",
    "TaxiMasked": "maskable_ppo",
}


@pytest.mark.parametrize("env", PAIRS)
def test_the_promised_pairs_have_a_set(env):
    assert set(PAIRS[env].split()) <= {path.parent.name for path in FILES if path.stem == env}
