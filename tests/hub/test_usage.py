"""The lines on a model card run as they are printed, against a Hub that has the package."""

import re
import shlex
import subprocess
import sys

import pytest

import rlzoo
from rlzoo.cli.main import main

QUICK = [
    "hyperparams=none",
    "eval.n_episodes=1",
    "eval.final_n_episodes=1",
    "seed=0",
    "checkpoint.freq=0",
    "eval.freq=0",
]
HER = ["algo.replay_buffer_class=her", "algo.buffer_size=1000"]
RUNS = {
    "normalized": ["algo=ppo", "env=Pendulum", "env.normalize=true", "total_timesteps=64", "algo.n_steps=64"],
    "recurrent": ["algo=ppo_lstm", "env=CartPole", "total_timesteps=128", "env.wrappers={mask_velocity:{}}"],
    "masked": ["algo=maskable_ppo", "env=TaxiMasked", "total_timesteps=64", "algo.n_steps=64", "env.max_steps=50"],
    "atari": [
        "algo=dqn",
        "env=SpaceInvaders",
        "total_timesteps=20",
        "env.max_steps=120",
        "algo.buffer_size=100",
        "algo.learning_starts=10",
    ],
    "hindsight": ["algo=dqn", "env=BitFlipping", "total_timesteps=60", "algo.learning_starts=20", *HER],
    "tabular": ["algo=q_learning", "env=Taxi", "total_timesteps=1000"],
}


def block(card, language):
    return re.search(rf"```{language}\n(.*?)```", card, re.DOTALL)[1]


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind in ("normalized", "tabular") else pytest.mark.slow) for kind in RUNS]
)
def test_the_lines_run(kind, hub, workdir, capsys):
    run = rlzoo.train(*QUICK, *RUNS[kind])
    package = rlzoo.package(run, folder="package", repo_id=f"me/{kind}", n_episodes=2, video=False)
    hub.create(f"me/{kind}")
    hub.put(f"me/{kind}", {name: (package.folder / name).read_bytes() for name in package.files})
    card = (package.folder / "README.md").read_text()
    code = block(card, "python")
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^-?\d+\.\d\d \+/- \d+\.\d\d$", done.stdout, re.MULTILINE), done.stdout
    if kind == "tabular":
        assert done.stdout.splitlines()[-1] in card  # the same episodes
        install, *commands = [shlex.split(line) for line in block(card, "bash").splitlines()]
        assert install[:2] == ["pip", "install"]
        capsys.readouterr()
        for line in commands:
            if line[1] != "enjoy":
                assert main(line[1:]) == 0
        assert "hub/me/" in capsys.readouterr().err
        mean = rlzoo.Run.open(f"hub/me/{kind}").read_results()[-1]["mean_reward"]
        assert f"| mean ± std over episodes | {mean:.2f} ±" in card  # the same episodes


def card_of(*words):
    run = rlzoo.train(*QUICK, *words, "total_timesteps=64")
    return (
        rlzoo.package(run, folder="package", repo_id="me/own", n_episodes=1, video=False).folder / "README.md"
    ).read_text()


def test_code_that_does_not_come_with_rlzoo_is_named(workdir, monkeypatch):
    (workdir / "mine_env.py").write_text(
        "import gymnasium\n"
        "entry_point = 'gymnasium.envs.classic_control:CartPoleEnv'\n"
        "gymnasium.register(id='OwnCode-v0', entry_point=entry_point, max_episode_steps=20)\n"
    )
    monkeypatch.syspath_prepend(str(workdir))
    card = card_of("algo=reinforce", "env=gym", "env.id=OwnCode-v0", "env.imports=[mine_env]")
    assert "code that does not come with rlzoo, `mine_env`" in card
    assert "rlzoo load-from-hub repo_id=me/own trust=true" in card
    assert 'rlzoo.load_from_hub("me/own", trust=True)' in card
    assert "over 1 episode." in card


def test_an_algorithm_of_ones_own_is_not_promised_to_load(workdir):
    card = card_of("algo=custom", "algo.name=stable_baselines3:PPO", "env=CartPole")
    assert "author's own class, `stable_baselines3:PPO`" in card
    assert "load-from-hub repo_id" not in card
