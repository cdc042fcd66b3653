"""Whole trainings on real environments: what a run directory holds, what a seed fixes, what is kept when it fails."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import rlzoo
from rlzoo.errors import ExitCode, RlzooError

TINY = ("total_timesteps=512", "eval.n_episodes=2", "eval.final_n_episodes=3")
PPO = ("algo=ppo", "env=CartPole", "hyperparams=none", "algo.n_steps=128", *TINY)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def weights(run: rlzoo.Run, name: str = "last") -> dict[str, np.ndarray]:
    from rlzoo.runs.checkpoints import read

    return read(run.checkpoint(name)).algorithm.tensors


def same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[key], second[key]) for key in first)


def test_a_run_directory_holds_what_the_design_says():
    run = rlzoo.train(*PPO, "seed=3")
    assert run.path.parent == Path("runs/ppo/CartPole-v1")
    assert "_seed3_" in run.path.name
    for name in (
        "config.yaml",
        "info.json",
        "metrics.csv",
        "timings.csv",
        "evaluations.csv",
        "train.log",
        "results.json",
    ):
        assert (run.path / name).is_file(), name
    assert list(run.tensorboard_dir.glob("events*"))
    shipped = run.find_checkpoint().name  # `last`, unless the selection has a winner
    names = dict.fromkeys(("last", shipped))
    assert [checkpoint.name for checkpoint in run.checkpoints()] == ["256", "384", *sorted(names)]
    info = run.read_info()
    assert (info["status"], info["hyperparams"]) == ("finished", [])
    assert info["words"] == [*PPO, "seed=3"]
    results = run.read_results()
    assert [(entry["checkpoint"], entry["ships"]) for entry in results] == [(name, name == shipped) for name in names]
    assert results[0]["num_timesteps"] == results[0]["trained_timesteps"] == 512
    for entry in results:
        returns = np.array(entry["returns"])
        assert len(returns) == entry["n_episodes"] == 3
        assert entry["result"] == pytest.approx(returns.mean() - returns.std())
        assert entry["seeds"] == [10_000, 10_001, 10_002]
    with run.metrics_file.open() as file:
        columns = csv.DictReader(file).fieldnames
    assert {"rollout/ep_rew_mean", "train/loss", "eval/mean_reward"} <= set(columns)
    assert not any(column.startswith("time/") for column in columns)


def test_same_seed_same_numbers_another_seed_others():
    first, second, third = (rlzoo.train(*PPO, f"seed={seed}") for seed in (1, 1, 2))
    assert same(weights(first), weights(second))
    assert not same(weights(first), weights(third))
    assert first.metrics_file.read_bytes() == second.metrics_file.read_bytes()
    assert first.evaluations_file.read_bytes() == second.evaluations_file.read_bytes()


@pytest.mark.parametrize(
    "setting",
    [
        ("algo=ppo", "env=CartPole", "algo.n_steps=64", "env.normalize=true", "env.n_envs=2"),
        ("algo=dqn", "env=CartPole", "algo.learning_starts=50"),
        ("algo=sac", "env=Pendulum", "algo.learning_starts=50", "total_timesteps=120"),
    ],
)
def test_evaluation_does_not_change_training(setting):
    words = (
        *setting[:2],
        "hyperparams=none",
        "total_timesteps=256",
        *setting[2:],
        "seed=5",
        "eval.final_n_episodes=1",
        "eval.selection_n_episodes=1",
        "checkpoint.freq=0",
    )
    off = rlzoo.train(*words, "eval.freq=0")
    greedy = rlzoo.train(*words, "eval.freq=40", "eval.n_episodes=2", "eval.deterministic=true")
    sampled = rlzoo.train(*words, "eval.freq=100", "eval.n_episodes=3", "eval.n_envs=2", "eval.deterministic=false")
    assert same(weights(off), weights(greedy))
    assert same(weights(off), weights(sampled))
    assert not off.candidates()
    assert greedy.candidates()


def test_a_run_matches_stable_baselines3_itself():
    """The same seed and hyperparameters give the weights that plain Stable-Baselines3 gives."""
    import stable_baselines3
    import torch
    from stable_baselines3.common.env_util import make_vec_env

    run = rlzoo.train(*PPO, "seed=4", "env.n_envs=2", "eval.freq=100")
    torch.set_num_threads(1)
    plain = stable_baselines3.PPO(
        "MlpPolicy", make_vec_env("CartPole-v1", n_envs=2, seed=4), n_steps=128, seed=4, device="cpu"
    )
    plain.learn(512)
    ours = stable_baselines3.PPO.load(run.checkpoint("last").model_zip, device="cpu").policy.state_dict()
    for name, tensor in plain.policy.state_dict().items():
        assert torch.equal(tensor, ours[name]), name


def test_stop_by_reward_ends_early():
    run = rlzoo.train(*PPO, "seed=1", "total_timesteps=50000", "eval.freq=128", "stop.reward=5")
    assert run.read_results()[0]["num_timesteps"] <= 512
    assert run.read_info()["status"] == "finished"


def test_a_failure_keeps_the_checkpoint_and_the_traceback(tmp_path):
    (tmp_path / "brittle.py").write_text(
        "import gymnasium as gym\n"
        "from gymnasium.envs.classic_control.cartpole import CartPoleEnv\n"
        "class Brittle(CartPoleEnv):\n"
        "    steps = 0\n"
        "    def step(self, action):\n"
        "        Brittle.steps += 1\n"
        "        if Brittle.steps > 300: raise RuntimeError('the cart fell off')\n"
        "        return super().step(action)\n"
        "gym.register('Brittle-v0', Brittle, max_episode_steps=50)\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        with pytest.raises(RlzooError, match="the cart fell off") as error:
            rlzoo.train(*PPO[:1], "env=gym", "env.id=brittle:Brittle-v0", *PPO[2:], "seed=1", "checkpoint.freq=128")
    finally:
        sys.path.remove(str(tmp_path))
    assert error.value.code == ExitCode.TRAINING_FAILED
    run = rlzoo.Run.open("latest")
    assert run.read_info()["status"] == "failed"
    assert "RuntimeError: the cart fell off" in run.log_file.read_text()
    assert run.find_checkpoint().name in ("last", "best")


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_leaves_with_its_code(sent, code, tmp_path):
    command = [sys.executable, "-m", "rlzoo", "train", *PPO, "total_timesteps=10_000_000", "eval.freq=0", "seed=1"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("runs/*/*/*/metrics.csv")) and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(sent)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    run = rlzoo.Run.open("latest", tmp_path / "runs")
    assert run.read_info()["status"] == "interrupted"
    assert run.checkpoint("last").exists()
    assert "Traceback" not in errors
    assert str(run.path.name) in errors


def test_load_gives_a_policy_with_its_normalisation():
    import gymnasium

    run = rlzoo.train(
        "algo=ppo", "env=Pendulum", "hyperparams=none", *TINY, "algo.n_steps=128", "env.normalize=true", "seed=1"
    )
    agent = rlzoo.load(run)
    env = gymnasium.make("Pendulum-v1")
    observation, _ = env.reset(seed=0)
    action, _ = agent.predict(observation, deterministic=True)
    assert env.action_space.contains(action)
    evaluation = agent.evaluate(n_episodes=3)
    recorded = next(entry for entry in run.read_results() if entry["checkpoint"] == agent.checkpoint.name)
    assert list(evaluation.returns) == recorded["returns"]


def test_atari_trains_on_the_real_rom_and_its_zip_opens_in_stable_baselines3():
    from stable_baselines3 import DQN

    words = ["algo=dqn", "env=SpaceInvaders", "total_timesteps=600", "algo.learning_starts=200", "algo.buffer_size=400"]
    run = rlzoo.train(*words, "eval.freq=0", "eval.final_n_episodes=1", "seed=1")
    model = DQN.load(run.checkpoint("last").model_zip)
    assert model.observation_space.shape == (4, 84, 84)
    assert model.num_timesteps == 600
    assert run.path.parent.name == "SpaceInvadersNoFrameskip-v4"
    result = run.read_results()[0]
    assert result["deterministic"] is False
    assert result["returns"][0] % 5 == 0  # raw game points, not clipped rewards


def test_importing_rlzoo_imports_nothing_heavy():
    code = "import sys, rlzoo; rlzoo.Run; assert not {'torch', 'gymnasium', 'hydra', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_results_are_json(tmp_path):
    run = rlzoo.train(*PPO, "seed=1")
    assert json.loads(run.results_file.read_text())


@pytest.mark.parametrize("code", [ExitCode.WRONG_REQUEST, ExitCode.MISSING])
def test_what_is_refused_once_a_training_has_begun_says_so_by_its_exit_code(code, monkeypatch):
    """As a module does that can be imported in the first process only: codes 2 and 3 mean that nothing was begun."""

    def refuse(*_, **__):
        raise RlzooError("importing mine failed", code=code)

    monkeypatch.setattr("rlzoo.envs.registration.register", refuse)
    with pytest.raises(RlzooError, match="importing mine failed") as caught:
        rlzoo.train(*PPO, "seed=3", "logger=[]")
    assert caught.value.code is ExitCode.TRAINING_FAILED
    assert rlzoo.Run.open("latest").read_info()["status"] == "failed"
