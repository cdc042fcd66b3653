"""Sweeps: every job checked before the first starts, runs that do not collide, and each equal to the same run alone."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import rlzoo
from rlzoo.cli.main import main
from rlzoo.errors import ConfigError
from rlzoo.runs.run import find_runs
from rlzoo.training.request import plan
from rlzoo.training.sweep import aggregate

WORDS = ["algo=ppo", "env=CartPole", "hyperparams=none", "algo.n_steps=64", "total_timesteps=128", "eval.freq=64"]
WORDS += ["eval.n_episodes=1", "eval.final_n_episodes=2"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def weights(run):
    from rlzoo.runs.checkpoints import read

    return read(run.checkpoint("last")).algorithm.tensors


def by_seed(root="runs"):
    return {run.read_config()["seed"]: run for run in find_runs(Path(root))}


def test_each_run_of_a_sweep_equals_the_same_run_alone(capsys):
    assert main(["train", "-m", *WORDS, "seed=0,1,2", "n_jobs=2"]) == 0
    output = capsys.readouterr()
    assert "over training seeds" in output.out
    runs = by_seed()
    assert sorted(runs) == [0, 1, 2]
    alone = rlzoo.train(*WORDS, "seed=1", "runs_dir=alone")
    for name, tensor in weights(alone).items():
        assert np.array_equal(tensor, weights(runs[1])[name]), name
    assert alone.metrics_file.read_bytes() == runs[1].metrics_file.read_bytes()


def ended(mean, steps=64):
    last = {"checkpoint": "last", "mean_reward": mean, "num_timesteps": steps}
    return SimpleNamespace(exit_code=0, result={"evaluations": [last]})


def test_a_seed_that_ran_twice_counts_once():
    results = [ended(1.0), ended(1.0), ended(3.0), ended(5.0), ended(5.0)]
    rows = aggregate(["", "", "", "x", "x"], [1, 1, 2, 7, 7], results)
    assert [row[:4] for row in rows] == [("all jobs", 2, 2.0, 1.0)]


def test_an_average_says_which_seeds_are_missing_and_how_long_the_others_trained():
    results = [ended(1.0, 2000), SimpleNamespace(exit_code=4), ended(3.0, 500), ended(1.0), ended(3.0)]
    rows = aggregate(["", "", "", "x", "x"], [1, 2, 3, 1, 2], results)
    assert [(row[1], row[-1]) for row in rows] == [("2 of 3", "500 to 2,000"), (2, "64")]


def test_n_seeds_is_the_short_form(capsys):
    assert main(["train", *WORDS, "seed=5", "n_seeds=2"]) == 0
    assert sorted(by_seed()) == [5, 6]
    assert "over training seeds" in capsys.readouterr().out
    assert main(["train", *WORDS, "n_seeds=2", "runs_dir=drawn"]) == 0
    assert len(by_seed("drawn")) == 2


def test_a_bad_third_job_is_found_before_the_first_trains(capsys):
    assert main(["train", "-m", *WORDS, "algo.n_steps=64,32,-1"]) == 2
    assert "algo.n_steps" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_several_algorithms_and_environments():
    words = [
        *WORDS[2:3],
        *WORDS[4:],
        "algo=ppo,a2c",
        "env=CartPole,Acrobot",
        "n_jobs=2",
        "eval.freq=0",
        "env.max_steps=50",
    ]
    assert main(["train", "-m", *words, "seed=1"]) == 0
    found = {(run.path.parent.parent.name, run.path.parent.name) for run in find_runs(Path("runs"))}
    assert found == {(algo, env) for algo in ("ppo", "a2c") for env in ("CartPole-v1", "Acrobot-v1")}


def test_two_sweeps_that_start_in_the_same_second_do_not_collide(tmp_path):
    command = [sys.executable, "-m", "rlzoo", "train", "-m", *WORDS, "seed=0,1,2", "n_jobs=3"]
    processes = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    runs = list(find_runs(tmp_path / "runs"))
    assert len(runs) == len({run.path for run in runs}) == 6
    assert all(run.read_info()["status"] == "finished" for run in runs)


def test_a_failing_job_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    (tmp_path / "sometimes.py").write_text(
        "import gymnasium as gym\n"
        "from gymnasium.envs.classic_control.cartpole import CartPoleEnv\n"
        "class Sometimes(CartPoleEnv):\n"
        "    def reset(self, *, seed=None, options=None):\n"
        "        if seed == 6: raise RuntimeError('not this seed')\n"
        "        return super().reset(seed=seed, options=options)\n"
        "gym.register('Sometimes-v0', Sometimes, max_episode_steps=50)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    words = [*WORDS, "env=gym", "env.id=sometimes:Sometimes-v0", "env.max_restarts=0", "seed=5,6,7"]
    assert main(["train", "-m", *words]) == 4
    runs = by_seed()
    assert {seed: run.read_info()["status"] for seed, run in runs.items()} == {
        5: "finished",
        6: "failed",
        7: "finished",
    }
    assert "not this seed" in capsys.readouterr().out


INFINITE = """
import gymnasium

class Infinite(gymnasium.Env):
    observation_space, action_space = gymnasium.spaces.Discrete(1), gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = 5
        self.is_scored = seed is not None and seed >= 10_000
        return 0, {}

    def step(self, action):
        self.left -= 1
        return 0, float("inf") if self.is_scored and not self.left else 1.0, not self.left, False, {}

gymnasium.register("Infinite-v0", Infinite)
"""


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_score_that_is_not_finite_ends_no_sweep(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("infinite.py").write_text(INFINITE)
    words = ["algo=q_learning", "env=gym", "env.id=Infinite-v0", "env.imports=[infinite]", "total_timesteps=3"]
    assert main(["train", "-m", *words, "seed=1,2"]) == 0  # only the final evaluation's episodes have one
    said = capsys.readouterr()
    assert said.out.count("not finite ± not finite over 10 episodes of last (3 steps)") == 2
    assert "over training seeds" not in said.out


def test_n_seeds_may_be_written_as_a_whole_float_and_has_a_limit():
    seeds = [job.values["seed"] for job in plan(["n_seeds=2e0", "seed=3.0"], multirun=False)]
    assert seeds == [3, 4]
    with pytest.raises(ConfigError, match="n_seeds: must be at most 1000"):
        plan(["n_seeds=1000000"], multirun=False)


def test_one_job_goes_to_the_launcher_that_is_named_too(capsys):
    words = ["algo=q_learning", "env=FrozenLake", "total_timesteps=200", "seed=0"]
    assert main(["train", *words, "launcher=submitit_slurm", "launcher.cluster=local"]) == 0
    assert "1 job, 1 at a time, launcher submitit_slurm" in capsys.readouterr().err
