from dataclasses import asdict
from pathlib import Path

import gymnasium
import pytest

from rlzoo.config import env_names, yaml_file
from rlzoo.config.compose import compose
from rlzoo.envs import baseline, check, make, registration, spaces
from rlzoo.envs.make import make_raw

CONF = Path(__file__).parents[2] / "conf"
NAMES = sorted(path.stem for path in (CONF / "env").glob("*.yaml") if path.stem not in ("gym", "atari"))
MUJOCO = (
    "Ant HalfCheetah Hopper Humanoid HumanoidStandup InvertedDoublePendulum InvertedPendulum Pusher Reacher Swimmer "
    "Walker2d"
).split()
IDS = {name: yaml_file.read(CONF / "env" / f"{name}.yaml").values["id"] for name in NAMES}
VARIANTS = {
    name: plain
    for name, plain in ((name, min((n for n in NAMES if IDS[n] == IDS[name]), key=len)) for name in NAMES)
    if name != plain
}
"""Files that share the id of another, which has the shortest name: the environment as it comes."""
ATARI = "SpaceInvaders BeamRider Breakout Enduro Pong Asteroids RoadRunner Seaquest Qbert MsPacman".split()


def test_everything_promised_is_there():
    classic = "CartPole MountainCar MountainCarContinuous Acrobot Pendulum".split()
    toy = "FrozenLake FrozenLake8x8 Taxi TaxiMasked CliffWalking Blackjack BitFlipping".split()
    own = "AliasedGridworld CheeseMaze Pixelcopter".split()
    box2d = "LunarLander LunarLanderContinuous BipedalWalker BipedalWalkerHardcore CarRacing".split()
    lakes = "FrozenLakeNoSlippery FrozenLake8x8NoSlippery FrozenLakeCustom".split()
    assert set(classic + toy + own + box2d + MUJOCO + ATARI + lakes) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_declared_spaces_are_the_real_ones(name, env_config):
    cfg = env_config(name)
    env = make(cfg, n_envs=1, seed=0)
    assert spaces.describe(env.observation_space) == cfg.observation_space
    assert spaces.describe(env.action_space) == cfg.action_space
    env.reset()
    _, _, _, infos = env.step([env.action_space.sample()])
    assert "TimeLimit.truncated" in infos[0]
    env.close()


@pytest.mark.parametrize("name", NAMES)
def test_the_check_knows_the_same_spaces_by_making_one_and_by_reading(name, env_values):
    values = env_values(name)
    read = check.check_env(values, declared_holds=True)
    made = check.check_env(values, declared_holds=False)
    assert read.problems == made.problems == []
    assert (read.observation_space, read.action_space) == (values["observation_space"], values["action_space"])
    assert (made.observation_space, made.action_space) == (values["observation_space"], values["action_space"])
    assert read.masked == made.masked == (name == "TaxiMasked")


@pytest.mark.parametrize("name", NAMES)
def test_every_episode_ends(name, env_config):
    cfg = env_config(name)
    registration.register(cfg.imports)
    if not gymnasium.registry[cfg.id].max_episode_steps and not cfg.max_steps:
        known = baseline.shipped(baseline.shape(asdict(cfg)))
        assert known or ends_by_itself(cfg), f"conf/env/{name}.yaml needs max_steps: nothing ends its episodes"


def ends_by_itself(cfg):
    env = make(cfg, n_envs=1, seed=0)
    env.reset()
    ended = any(env.step([env.action_space.sample()])[2][0] for _ in range(10_000))
    env.close()
    return ended


def test_every_key_is_explained_where_it_is_first_named():
    base = yaml_file.read(CONF / "env" / "gym.yaml")
    assert [key for key in base.values if (key,) not in base.comments] == []


def test_families_name_only_themselves():
    assert yaml_file.read(CONF / "family" / "none.yaml").values == {}
    assert yaml_file.read(CONF / "family" / "atari.yaml").values == {}


def test_short_names_by_id():
    names = env_names.short_names()
    assert sorted(names.values()) == [name for name in NAMES if name not in VARIANTS]
    assert VARIANTS["FrozenLakeCustom"] == VARIANTS["FrozenLakeNoSlippery"] == "FrozenLake"
    assert names["LunarLander-v3"] == "LunarLander"
    assert env_names.short_name("LunarLander-v2") == "LunarLander"
    assert env_names.short_name("MyEnv-v0") is None


@pytest.mark.parametrize(("name", "plain"), VARIANTS.items())
def test_an_id_of_several_files_goes_by_the_plain_name(name, plain, env_values):
    assert env_values(name)["id"] == env_values(plain)["id"]
    assert env_names.short_names()[env_values(name)["id"]] == plain


@pytest.mark.parametrize(
    ("name", "n_outcomes"), [("FrozenLakeNoSlippery", 1), ("FrozenLake8x8NoSlippery", 1), ("FrozenLakeCustom", 3)]
)
def test_lakes(name, n_outcomes, env_config):
    cfg = env_config(name)
    lake = make_raw(cfg.id, kwargs=cfg.kwargs).unwrapped
    assert len(lake.P[0][0]) == n_outcomes
    if name == "FrozenLakeCustom":
        assert [b"".join(row).decode() for row in lake.desc] == ["SFFF", "FHFH", "FFFH", "HFFG"]


def test_a_tuned_set_is_found_by_the_name_of_the_file(workdir):
    folder = workdir / "hyperparams" / "q_learning"
    folder.mkdir(parents=True)
    (folder / "FrozenLakeCustom.yaml").write_text("# @package _global_\ntotal_timesteps: 1234\n")
    totals = {
        name: compose("train", ["algo=q_learning", f"env={name}"]).values["total_timesteps"]
        for name in ("FrozenLakeCustom", "FrozenLake")
    }
    assert totals["FrozenLakeCustom"] == 1234
    assert totals["FrozenLake"] != 1234
