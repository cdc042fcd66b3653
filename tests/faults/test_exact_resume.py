"""A training that is killed and goes on in a new process ends with the weights and curves of one left alone."""

from __future__ import annotations

import os
import random

import numpy as np
import pytest

from rlzoo.checkpoints import read
from rlzoo.comparison import compare_tables
from rlzoo.runs import Run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")

COMMON = ["hyperparams=none", "seed=3", "eval.freq=70", "eval.n_episodes=1", "eval.final_n_episodes=1"]
COMMON += ["checkpoint.freq=40"]
SHORT = ["env.max_steps=30"]
ROLLOUT = ["algo.n_steps=32", "algo.batch_size=16", "total_timesteps=256", *SHORT]
REPLAY = ["algo.learning_starts=40", "total_timesteps=150", *SHORT]
SET_UPS = {
    "ppo": ["algo=ppo", "env=CartPole", *ROLLOUT, "algo.learning_rate={linear: 1e-3}", "env.n_envs=2"],
    "ppo-gsde": ["algo=ppo", "env=Pendulum", *ROLLOUT, "algo.use_sde=true", "env.normalize=true"],
    "ppo-subproc": [
        *("algo=ppo", "env=LunarLander", *ROLLOUT, "env.n_envs=2", "env.vec_env=subproc", "env.normalize=true"),
    ],
    "a2c": ["algo=a2c", "env=CartPole", "total_timesteps=800", *SHORT],
    "trpo": ["algo=trpo", "env=CartPole", *ROLLOUT],
    "ppo_lstm": ["algo=ppo_lstm", "env=CartPole", *ROLLOUT],
    "maskable_ppo": ["algo=maskable_ppo", "env=TaxiMasked", *ROLLOUT],
    "ars": ["algo=ars", "env=CartPole", "total_timesteps=2000", *SHORT],
    "dqn": ["algo=dqn", "env=CartPole", *REPLAY],
    "dqn-her": [
        *("algo=dqn", "env=BitFlipping", "algo.replay_buffer_class=her", "algo.learning_starts=50"),
        "total_timesteps=200",
    ],
    "dqn_scratch": ["algo=dqn_scratch", "env=CartPole", *REPLAY, "algo.buffer_size=100"],
    "dqn_scratch-rainbow": [
        *("algo=dqn_scratch", "env=CartPole", *REPLAY, "env.n_envs=2", "algo.buffer_size=100", "algo.n_steps=3"),
        *("algo.double=true", "algo.dueling=true", "algo.prioritized=true"),
    ],
    "qrdqn": ["algo=qrdqn", "env=CartPole", *REPLAY],
    "sac": ["algo=sac", "env=Pendulum", *REPLAY],
    "sac-noise": ["algo=sac", "env=Pendulum", *REPLAY, "env.n_envs=2", "algo.action_noise={ornstein_uhlenbeck: 0.1}"],
    "td3": ["algo=td3", "env=Pendulum", *REPLAY, "algo.action_noise={normal: 0.1}"],
    "ddpg": ["algo=ddpg", "env=Pendulum", *REPLAY],
    "tqc": ["algo=tqc", "env=Pendulum", *REPLAY],
    "q_learning": ["algo=q_learning", "env=FrozenLake", "env.n_envs=2", "total_timesteps=400"],
    "q_learning-table": ["algo=q_learning", "env=CliffWalking", "total_timesteps=400"],
    "sarsa": ["algo=sarsa", "env=FrozenLake", "env.n_envs=2", "total_timesteps=400"],
    "expected_sarsa": ["algo=expected_sarsa", "env=FrozenLake", "env.n_envs=2", "total_timesteps=400"],
    "monte_carlo": ["algo=monte_carlo", "env=FrozenLake", "env.n_envs=2", "total_timesteps=400"],
    "monte_carlo-table": ["algo=monte_carlo", "env=CliffWalking", "algo.learning_rate=null", "total_timesteps=400"],
    "dyna_q": ["algo=dyna_q", "env=FrozenLake", "total_timesteps=400"],
    "td0": ["algo=td0", "env=FrozenLake", "env.n_envs=2", "total_timesteps=400"],
    "mc_prediction": ["algo=mc_prediction", "env=FrozenLake", "total_timesteps=400"],
    "value_iteration": ["algo=value_iteration", "env=FrozenLake", "algo.theta=1e-300", "total_timesteps=400"],
    "policy_iteration": ["algo=policy_iteration", "env=FrozenLake8x8", "algo.theta=1e-15", "total_timesteps=400"],
    "ppo_scratch": ["algo=ppo_scratch", "env=CartPole", *ROLLOUT, "env.n_envs=2"],
    "ppo_scratch-continuous": ["algo=ppo_scratch", "env=Pendulum", *ROLLOUT, "env.normalize=true"],
    "reinforce": ["algo=reinforce", "env=CartPole", "total_timesteps=400", *SHORT],
    "reinforce-baseline": [
        *("algo=reinforce", "env=Pendulum", "env.n_envs=2", "algo.baseline=true", "algo.n_episodes_per_update=2"),
        *("total_timesteps=800", *SHORT),
    ],
    "actor_critic": ["algo=actor_critic", "env=CartPole", "env.n_envs=2", "total_timesteps=400", *SHORT],
    "crossq": ["algo=crossq", "env=Pendulum", *REPLAY, "total_timesteps=110"],
    "hill_climbing": ["algo=hill_climbing", "env=CartPole", "env.n_envs=2", "total_timesteps=400", *SHORT],
    "simulated_annealing": [
        *("algo=simulated_annealing", "env=CartPole", "algo.sample_actions=true", "total_timesteps=400", *SHORT),
    ],
    "cem": ["algo=cem", "env=Pendulum", "env.n_envs=2", "algo.population_size=3", "total_timesteps=900", *SHORT],
    "evolution_strategies": [
        *("algo=evolution_strategies", "env=CartPole", "env.n_envs=2", "algo.population_size=4"),
        *("algo.net_arch=[4]", "total_timesteps=900", *SHORT),
    ],
}
KILL = """
import os, signal
from rlzoo.callbacks.progress import Progress

def on_step(self, algorithm, real=Progress.on_step):
    if algorithm.num_timesteps >= {step}:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, algorithm)
Progress.on_step = on_step
"""


@pytest.mark.parametrize("name", SET_UPS)
def test_killed_and_resumed_it_is_the_same_training(name, warm, tmp_path, count, record_property):
    words = ["train", *COMMON, *SET_UPS[name]]
    child = warm.start(*words, "runs_dir=whole", cwd=tmp_path)
    assert child.wait() == 0, child.output
    whole = Run.open("latest", tmp_path / "whole")
    total = whole.read_config()["total_timesteps"]
    n_kills = count(1, 3)
    pick = random.Random(name)
    steps = sorted(pick.sample(range(int(0.3 * total), int(0.95 * total)), n_kills))
    words.append("runs_dir=pieces")
    for step in steps:
        child = warm.start(*words, cwd=tmp_path, before=KILL.format(step=step))
        assert child.wait() == -9, child.output
        run = Run.open("latest", tmp_path / "pieces")
        assert run.checkpoints(), f"no checkpoint before step {step}"
        words = ["train", f"resume={run.path}"]
    child = warm.start(*words, cwd=tmp_path)
    assert child.wait() == 0, child.output
    assert "resume: exact" in child.output
    assert run.read_info()["resume"] == "exact"
    assert len(run.read_info()["resumed"]) == n_kills
    first, second = (read(each.checkpoint("last")).algorithm.tensors for each in (whole, run))
    assert first.keys() == second.keys()
    assert [key for key in first if not np.array_equal(first[key], second[key])] == []
    assert whole.metrics_file.read_bytes() == run.metrics_file.read_bytes()
    assert whole.evaluations_file.read_bytes() == run.evaluations_file.read_bytes()
    assert compare_tables(whole.episodes_file, run.episodes_file, but=["seconds"]) is None
    final = [
        [entry[key] for key in ("checkpoint", "returns")] for each in (whole, run) for entry in each.read_results()
    ]
    assert final[: len(final) // 2] == final[len(final) // 2 :]
    record_property("kills", n_kills)
    record_property("killed_at", steps)
