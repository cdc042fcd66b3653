"""Loading an agent: the same actions as when it was trained, for raw observations, without disturbing anybody."""

from __future__ import annotations

import dataclasses
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

import rlzoo
from rlzoo.algos.create import create
from rlzoo.config.compose import compose
from rlzoo.config.parse import dump, parse
from rlzoo.envs import make
from rlzoo.envs.seeding import seed_everything
from rlzoo.errors import ConfigError, RlzooError
from rlzoo.evaluation.agent import load
from rlzoo.runs.run import Run
from rlzoo.training.callbacks import Checkpoints, Evaluations

OLDER = Path(__file__).parent / "older" / "ppo"

ON_POLICY = (
    "hyperparams=none", "env.n_envs=2", "algo.n_steps=50", "algo.batch_size=100", "algo.n_epochs=1",
    "total_timesteps=200",
)  # fmt: skip
OFF_POLICY = (
    "hyperparams=none", "algo.learning_starts=50", "algo.buffer_size=200", "algo.batch_size=16", "total_timesteps=100",
)  # fmt: skip
SETUPS = {
    "ppo": ("algo=ppo", "env=CartPole", *ON_POLICY),
    "normalized": ("algo=ppo", "env=Pendulum", "env.normalize=true", *ON_POLICY),
    "lstm": ("algo=ppo_lstm", "env=CartPole", "algo.policy_kwargs.lstm_hidden_size=8", *ON_POLICY),
    "masked": ("algo=maskable_ppo", "env=TaxiMasked", *ON_POLICY),
    "sac": ("algo=sac", "env=Pendulum", *OFF_POLICY),
    "dqn": ("algo=dqn", "env=CartPole", "algo.exploration_final_eps=0.5", *OFF_POLICY),
    "ars": ("algo=ars", "env=CartPole", "hyperparams=none", "algo.n_delta=1", "total_timesteps=100"),
}


def train(root: Path, *words: str) -> tuple[Run, Any, Any]:
    """A short training: the run, its algorithm and its environment, which the caller closes."""
    cfg = parse(compose("train", [*words, "seed=3", "device=cpu", "eval.n_episodes=1", "eval.max_steps=50"]).values)
    run = Run.create(root, algo=cfg.algo.name, env_id=cfg.env.id, seed=3)
    run.write_config(dump(cfg))
    run.write_info({})
    seed_everything(3)
    env = make(cfg.env, n_envs=cfg.env.n_envs, seed=3)
    algorithm = create(cfg.algo, env, seed=3, device="cpu")
    algorithm.learn(cfg.total_timesteps, [Evaluations(cfg, run, env), Checkpoints(cfg, run, env)])
    return run, algorithm, env


@pytest.mark.parametrize("name", SETUPS)
def test_a_loaded_agent_acts_as_the_trained_one(name, tmp_path):
    run, algorithm, env = train(tmp_path, *SETUPS[name])
    agent = load(run, "last", device="cpu")
    observations = env.reset()
    masks = {"action_masks": np.stack(env.env_method("action_masks"))} if name == "masked" else {}
    expected, state = algorithm.predict(observations, None, np.ones(env.num_envs, bool), True, **masks)
    found, found_state = agent.algorithm.predict(observations, None, np.ones(env.num_envs, bool), True, **masks)
    assert np.array_equal(found, expected)
    if state is not None:
        assert all(np.array_equal(a, b) for a, b in zip(found_state, state, strict=True))
    assert agent.num_timesteps == algorithm.num_timesteps
    evaluation = agent.evaluate(n_episodes=3, n_envs=2)
    assert evaluation.n_episodes == 3 and max(evaluation.lengths) <= 200
    assert evaluation == agent.evaluate(n_episodes=3, n_envs=2)
    env.close()


def test_raw_observations_are_normalised_inside(tmp_path):
    run, algorithm, env = train(tmp_path, *SETUPS["normalized"])
    agent = load(run, "last", device="cpu")
    raw_env = gymnasium.make("Pendulum-v1")
    raw, _ = raw_env.reset(seed=5)
    batch = np.stack([raw, -raw])
    expected, _ = algorithm.predict(env.normalize_obs(batch), deterministic=True)
    single, _ = agent.predict(raw)
    several, _ = agent.predict(batch, deterministic=True)
    assert np.array_equal(several, expected)
    assert single.shape == (1,) and np.allclose(single, expected[0], atol=1e-6)
    raw_env.step(single)  # an action as plain gymnasium takes it
    raw_env.close()
    env.close()


def test_its_env_is_the_trainings_with_frozen_statistics(tmp_path):
    run, _, env = train(tmp_path, *SETUPS["normalized"])
    agent = load(run, "last", device="cpu")
    own = agent.make_env(n_envs=2, seed=9, render_mode="rgb_array")
    count = own.obs_rms.count
    assert count == env.obs_rms.count and np.array_equal(own.obs_rms.mean, env.obs_rms.mean)
    observations = own.reset()
    for _ in range(60):  # the run's eval.max_steps is 50
        observations, _, dones, _ = own.step(agent.algorithm.predict(observations, deterministic=True)[0])
        if dones.any():
            break
    assert dones.all() and own.env_method("get_episode_lengths") == [[50], [50]]
    assert own.obs_rms.count == count and not own.norm_reward
    assert own.env_method("render")[0].shape == (500, 500, 3)
    own.close()
    env.close()


def test_loading_and_evaluating_leave_the_callers_generators_alone(tmp_path):
    run, _, env = train(tmp_path, *SETUPS["dqn"])
    env.close()

    def draws() -> tuple[Any, ...]:
        return random.random(), np.random.rand(), torch.rand(1).item()

    seed_everything(8)
    expected = draws()
    seed_everything(8)
    agent = load(run, device="cpu")
    sampled = agent.evaluate(n_episodes=2, deterministic=False)
    assert draws() == expected
    assert agent.evaluate(n_episodes=2, deterministic=False) == sampled
    assert not sampled.deterministic


def test_evaluation_seeds_and_actions_follow_the_run(tmp_path):
    run, _, env = train(tmp_path, *SETUPS["ppo"], "eval.seed=500", "eval.final_n_episodes=4")
    env.close()
    agent = load(run)
    assert agent.checkpoint.name == "last"
    evaluation = agent.evaluate()
    assert evaluation.seeds == (500, 501, 502, 503) and evaluation.deterministic
    assert agent.evaluate(seeds=[9, 1]).seeds == (9, 1)
    assert sum(agent.evaluate(n_timesteps=120).lengths) <= 120
    stochastic = dataclasses.replace(agent.config, env=dataclasses.replace(agent.config.env, stochastic_eval=True))
    assert not load(run, config=stochastic).is_deterministic()
    assert load(run, config=stochastic).is_deterministic(True)


def test_a_step_a_path_and_a_name_find_the_checkpoint(tmp_path, capsys):
    run, _, env = train(tmp_path, *SETUPS["ppo"])
    env.close()
    assert load(run.path, 100).num_timesteps == 100
    assert load(str(run.path), "last").num_timesteps == 200
    assert load(run, 7).checkpoint.name == "100"  # the nearest
    assert "there is no checkpoint of step 7; the nearest is 100" in capsys.readouterr().err
    with pytest.raises(RlzooError, match="no checkpoint 'first'"):
        load(run, "first")


def test_a_damaged_checkpoint_is_named_and_the_next_one_taken(tmp_path, capsys):
    run, _, env = train(tmp_path, *SETUPS["ppo"])
    env.close()
    first, second = run.by_default()[:2]
    data = bytearray((first.path / "algorithm.safetensors").read_bytes())
    data[len(data) // 2] ^= 1
    (first.path / "algorithm.safetensors").unlink()  # it may share its bytes with another checkpoint
    (first.path / "algorithm.safetensors").write_bytes(data)
    assert load(run).checkpoint == second
    said = capsys.readouterr().err
    assert f"checkpoint {first.path} is damaged: algorithm.safetensors" in said
    assert f"taking {second.name} instead" in said
    with pytest.raises(RlzooError, match="is damaged"):
        load(run, first.name)


def test_a_state_of_another_shape_is_refused(tmp_path):
    run, _, env = train(tmp_path, *SETUPS["ppo"])
    env.close()
    agent = load(run)
    other = parse(compose("train", ["algo=ppo", "env=Acrobot", "hyperparams=none", "seed=1"]).values)
    with pytest.raises(RlzooError, match="does not fit"):
        load(run, config=dataclasses.replace(agent.config, env=other.env))


def test_missing_statistics_are_refused(tmp_path):
    run, _, env = train(tmp_path, *SETUPS["ppo"])
    env.close()
    agent = load(run)
    normalized = dataclasses.replace(agent.config, env=dataclasses.replace(agent.config.env, normalize=True))
    with pytest.raises(RlzooError, match="lacks the normalisation statistics"):
        load(run, config=normalized)


def test_nothing_is_unpickled_to_load_an_agent(tmp_path):
    run, _, env = train(tmp_path, *SETUPS["normalized"])
    env.close()
    events: list[str] = []
    sys.addaudithook(lambda event, args: events.append(event) if event == "pickle.find_class" else None)
    load(run, "last").evaluate(n_episodes=1)
    assert events == []


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"device": "gpu"}, "device: must be auto, cpu, cuda"),
        ({"device": 3}, "device: must be auto, cpu, cuda or cuda:<number>, not 3"),
        ({"trust": "no"}, "trust: must be true or false, not 'no'"),
    ],
)
def test_wrong_keywords_are_told_as_on_the_command_line(keywords, message, workdir):
    run = Run(shutil.copytree(OLDER, workdir / "ppo"))
    with pytest.raises(RlzooError, match=message):
        load(run, **keywords)


@pytest.mark.parametrize("wrong", [3, True, b"run", ["run"], None])
def test_what_cannot_name_a_run_is_told(wrong, workdir):
    with pytest.raises(ConfigError, match="run: must be a run, or the name or folder of one"):
        rlzoo.load(wrong)
