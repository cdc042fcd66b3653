"""A short twin of a run, cut off by the real end of its process, against one that was not."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from rlzoo.cli.main import main
from rlzoo.config.compose import compose
from rlzoo.config.parse import dump, parse
from rlzoo.runs.run import Run
from rlzoo.training.preflight import check
from rlzoo.training.verify_resume import shorten, verify_resume
from tests.small import SMALL

SEED = ["hyperparams=none", "seed=3"]
FAMILIES = {
    "ppo-subproc": [
        "algo=ppo", "env=LunarLander", "env.n_envs=2", "env.vec_env=subproc", "env.normalize=true", "algo.n_steps=64",
    ],
    "ppo-gsde": ["algo=ppo", "env=Pendulum", "algo.n_steps=128", "algo.use_sde=true", "env.normalize=true"],
    "ppo_lstm": ["algo=ppo_lstm", "env=CartPole", "algo.learning_rate={linear: 1e-3}"],
    "a2c": ["algo=a2c", "env=CartPole"],
    "ars": ["algo=ars", "env=CartPole", "env.max_steps=50"],
    "dqn": ["algo=dqn", "env=CartPole"],
    "dqn-her": ["algo=dqn", "env=BitFlipping", "algo.replay_buffer_class=her"],
    "sac-noise": ["algo=sac", "env=Pendulum", "env.n_envs=2", "algo.action_noise={ornstein_uhlenbeck: 0.1}"],
    "td3-episodes": ["algo=td3", "env=Pendulum", "algo.train_freq=[1, episode]", "algo.action_noise={normal: 0.1}"],
}  # fmt: skip
QUICK = ("dqn",)

ENVIRONMENTS = """
import gymnasium as gym
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

class Stubborn(CartPoleEnv):
    def get_state(self): raise RuntimeError("nothing to give")
    def set_state(self, state): raise RuntimeError("nothing to take")

class Drifting(CartPoleEnv):
    drift = 0.0  # in no state
    def step(self, action):
        self.drift += 1e-3
        self.state = (self.state[0] + self.drift, *self.state[1:])
        return super().step(action)
    def get_state(self): return {"state": [float(x) for x in self.state]}
    def set_state(self, state): self.state = tuple(state["state"])

gym.register("Stubborn-v0", Stubborn, max_episode_steps=100)
gym.register("Drifting-v0", Drifting, max_episode_steps=100)
"""


def a_run(root: Path, *words: str) -> Run:
    """A run as its first second leaves it: configuration and record."""
    cfg = check(compose("train", [*SEED, *words])).config
    run = Run.create(root / "runs", algo=cfg.algo.name, env_id=cfg.env.id, seed=cfg.seed)
    run.write_config(dump(cfg))
    run.write_info({"status": "running"})
    return run


def test_a_cut_ppo_goes_on_exactly_and_nothing_is_left(workdir, monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", str(workdir / "tmp"))
    (workdir / "tmp").mkdir()
    run = a_run(workdir, "algo=ppo", "env=CartPole", "algo.n_steps=128", "algo.learning_rate={linear: 1e-3}")
    before = sorted(path.name for path in run.path.iterdir())
    assert main(["verify-resume", "run=latest", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["identical"] is True and found["level"] == "exact"
    assert found["total_timesteps"] == 1024 and found["resumed_from"] == 512 and found["cut_at"] == 576
    assert {"weights", "optimizers", "random generators", "metrics.csv", "evaluations.csv"} <= set(found["parts"])
    assert set(found["parts"].values()) == {None}
    assert not list((workdir / "tmp").glob("rlzoo-*")) and sorted(path.name for path in run.path.iterdir()) == before


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in FAMILIES]
)
def test_every_family_has_a_twin_that_goes_on_exactly(name, workdir):
    found = verify_resume(a_run(workdir, *FAMILIES[name]))
    assert found.level == "exact" and found.identical, found.parts
    assert found.total_timesteps // 2 <= found.resumed_from < found.cut_at < found.total_timesteps
    expected = {"normalisation": "normalize" in str(FAMILIES[name]), "replay buffer": name[:3] in ("dqn", "sac", "td3")}
    for part, there in expected.items():
        assert (part in found.parts) == there


@pytest.mark.parametrize(("env", "level"), [("Stubborn", "restarted-episodes"), ("Drifting", "not-exact")])
def test_an_environment_that_does_not_come_back_is_found_out(env, level, workdir, monkeypatch, capsys):
    (workdir / "own_envs.py").write_text(ENVIRONMENTS)
    monkeypatch.syspath_prepend(str(workdir))
    a_run(workdir, "algo=ppo", "env=gym", f"env.id=own_envs:{env}-v0", "algo.n_steps=64", "algo.batch_size=64")
    assert main(["verify-resume", "run=latest", "keep=kept"]) == 4
    output = capsys.readouterr().out
    assert f"resume: {level}" in output and "differs" in output and "identical" not in output
    metrics = [Run(workdir / "kept" / name).metrics_file.read_text() for name in ("whole", "cut")]
    assert metrics[0] != metrics[1]
    hint = "give it get_state() and set_state(state)" if env == "Stubborn" else "with other numbers"
    assert hint in output
    assert main(["verify-resume", "run=latest", "keep=kept"]) == 2
    assert "there already" in capsys.readouterr().err


def test_what_fails_is_said(workdir, capsys):
    run = a_run(workdir, "algo=ppo", "env=CartPole", "algo.n_steps=128")
    assert main(["verify-resume", "run=latest", "total_timesteps=200"]) == 2
    assert "total_timesteps: must be at least 512" in capsys.readouterr().err
    assert main(["verify-resume", "run=latest", "total_timestep=2000"]) == 2
    assert "'total_timesteps'" in capsys.readouterr().err
    values = run.read_config()
    values["env"]["id"] = "NoSuchEnv-v0"
    run.write_config(values)
    assert main(["verify-resume", "run=latest"]) in (2, 3)
    assert "NoSuchEnv" in capsys.readouterr().err


@pytest.mark.parametrize("name", FAMILIES)
def test_a_twin_is_the_training_made_short(name, workdir):
    cfg = parse(a_run(workdir, *FAMILIES[name]).read_config())
    twin, unit = shorten(cfg)
    assert twin.total_timesteps >= 4 * unit and twin.total_timesteps - twin.total_timesteps // 2 >= 2 * unit
    starts = twin.algo.hyperparams.get("learning_starts", 0)
    assert starts <= min(cfg.algo.hyperparams.get("learning_starts", 0), twin.total_timesteps // 4)
    changed = {key for key, value in cfg.algo.hyperparams.items() if twin.algo.hyperparams[key] != value}
    assert changed <= {"learning_starts", "target_update_interval"}
    assert twin.env == cfg.env and twin.seed == cfg.seed
    assert twin.total_timesteps <= 4000


@pytest.mark.parametrize("name", SMALL)
def test_a_rollout_of_every_algorithm_has_a_length(name):
    cfg = parse(compose("train", list(SMALL[name])).values)
    twin, unit = shorten(cfg)
    assert unit >= 1 and twin.total_timesteps >= 4 * unit
    of_episodes = cfg.env.n_envs * 30 * cfg.algo.hyperparams.get("n_episodes_per_update", 1)
    assert unit == {"reinforce": of_episodes, "actor_critic": cfg.env.n_envs}.get(cfg.algo.name, unit)
