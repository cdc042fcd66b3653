"""What others' own programs make of a published agent: huggingface_sb3's loader, and rl_zoo3's download and play."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

import rlzoo
from tests.hub import foreign

TINY = ["hyperparams=none", "seed=0", "eval.freq=0", "eval.final_n_episodes=1", "device=cpu"]
NORMALIZED = ["algo=ppo", "env=Pendulum", "env.normalize=true", "algo.n_steps=64", "total_timesteps=64"]
ATARI = ["algo=dqn", "env=SpaceInvaders", "algo.buffer_size=50", "algo.learning_starts=20", "total_timesteps=40"]
ZOO = ["rl_zoo3==2.9.2", "huggingface_hub==0.36.2", "requests", "urllib3", "charset_normalizer", "certifi", "idna"]
"""rl_zoo3 with the newest version of the Hub's library that it works with (it catches errors of requests)."""


def published(hub, workdir, words, name):
    run = rlzoo.train(*words, *TINY)
    staged = rlzoo.package(run, folder=workdir / name, video=False, n_episodes=1)
    hub.create(f"me/{name}")
    hub.put(f"me/{name}", {file: (staged.folder / file).read_bytes() for file in staged.files})
    return run


def test_huggingface_sb3_loads_it(hub, workdir, monkeypatch):
    monkeypatch.setenv("TRUST_REMOTE_CODE", "True")
    from huggingface_sb3 import load_from_hub

    run = published(hub, workdir, NORMALIZED, "ppo-Pendulum-v1")
    model = PPO.load(load_from_hub("me/ppo-Pendulum-v1", "ppo-Pendulum-v1.zip"), device="cpu")
    statistics = load_from_hub("me/ppo-Pendulum-v1", "vec_normalize.pkl")
    env = VecNormalize.load(statistics, DummyVecEnv([foreign.monitored("Pendulum-v1")]))
    env.training = env.norm_reward = False
    env.seed(7)
    observation, total = env.reset(), 0.0
    for _ in range(200):
        observation, reward, _, _ = env.step(model.predict(observation, deterministic=True)[0])
        total += float(reward[0])
    assert total == pytest.approx(rlzoo.evaluate(run, checkpoint="last", seeds=[7]).returns[0], abs=1e-4)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """A folder with rl_zoo3 and its Hub library, to be found before what is installed here."""
    folder = tmp_path_factory.mktemp("zoo")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder)]
    done = subprocess.run([*command, *ZOO, "seaborn", "pytablewriter"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"rl_zoo3 cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "name"), [(NORMALIZED, "ppo-Pendulum-v1"), (ATARI, "dqn-SpaceInvadersNoFrameskip-v4")]
)
def test_rl_zoo3_downloads_and_plays_it(words, name, zoo, hub, workdir):
    run = published(hub, workdir, words, name)
    algo, env_id = name.split("-", 1)
    paths = f"{zoo}{os.pathsep}{sysconfig.get_path('purelib')}"
    environment = {**os.environ, "PYTHONPATH": paths, "TRUST_REMOTE_CODE": "True"}

    def zoo_says(module: str, *flags: str) -> str:
        command = [sys.executable, "-W", "ignore", "-m", f"rl_zoo3.{module}", "--algo", algo, "--env", env_id]
        done = subprocess.run([*command, "-f", "agents", *flags], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    zoo_says("load_from_hub", "-orga", "me")
    n_steps = "200" if algo == "ppo" else "1500"
    played = zoo_says("enjoy", "--no-render", "-n", n_steps, "--seed", "3", "--deterministic")
    # rl_zoo3 seeds the environment once, so its first episode is ours of that seed
    ours = rlzoo.evaluate(run, checkpoint="last", seeds=[3], deterministic=True)
    returns = re.findall(r"(?:Episode Reward|Atari Episode Score): (-?\d+\.\d+)", played)
    lengths = re.findall(r"Episode Length\D+(\d+)", played)
    assert Path("agents", algo).is_dir()
    assert float(returns[0]) == pytest.approx(ours.returns[0], abs=0.01)
    assert int(lengths[0]) == ours.lengths[0]
    assert (DQN if algo == "dqn" else PPO).load(Path(name) / f"{name}.zip", device="cpu").num_timesteps > 0
