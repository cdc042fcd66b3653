"""Evaluations during training: when they happen, what they keep, and that the training never notices."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlzoo.algos.create import create
from rlzoo.config.compose import compose
from rlzoo.config.parse import dump, parse
from rlzoo.config.schema import TrainConfig
from rlzoo.envs import make
from rlzoo.envs.seeding import episode_seeds, seed_everything
from rlzoo.protocols import Callback, State
from rlzoo.runs import checkpoints
from rlzoo.runs.run import Run
from rlzoo.training.callbacks import Evaluations

SMALL = ("hyperparams=none", "algo.policy_kwargs.net_arch=[16]")
ON_POLICY = ("env.n_envs=2", "algo.n_steps=100", "algo.batch_size=100", "algo.n_epochs=2")
OFF_POLICY = ("algo.learning_starts=100", "algo.buffer_size=1000", "algo.batch_size=16")
PPO = ("algo=ppo", "env=CartPole", *SMALL, *ON_POLICY)
SDE = (
    "algo=ppo",
    "env=Pendulum",
    "env.normalize=true",
    "algo.use_sde=true",
    "algo.sde_sample_freq=4",
    *SMALL,
    *ON_POLICY,
)
DQN = ("algo=dqn", "env=CartPole", "algo.exploration_fraction=0.9", *SMALL, *OFF_POLICY)
SAC = ("algo=sac", "env=Pendulum", *SMALL, *OFF_POLICY)
LSTM = ("algo=ppo_lstm", "env=CartPole", "algo.policy_kwargs.lstm_hidden_size=8", *SMALL, *ON_POLICY)
ARS = ("algo=ars", "env=CartPole", "algo.n_delta=2", "hyperparams=none")


def config(*words: str) -> TrainConfig:
    return parse(compose("train", [*words, "seed=3", "device=cpu"]).values)


class Metrics:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, dict[str, float]]] = []

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        self.heard.append((step, dict(metrics)))

    def close(self) -> None: ...


def train(cfg: TrainConfig, root: Path, logger: Metrics | None = None) -> tuple[Run, Any, Evaluations]:
    run = Run.create(root, algo=cfg.algo.name, env_id=cfg.env.id, seed=3)
    run.write_config(dump(cfg))
    run.write_info({})
    seed_everything(3)
    env = make(cfg.env, n_envs=cfg.env.n_envs, seed=3)
    algorithm = create(cfg.algo, env, seed=3, device="cpu")
    evaluations = Evaluations(cfg, run, env, logger)
    algorithm.learn(cfg.total_timesteps, [evaluations], logger)
    env.close()
    return run, algorithm, evaluations


def digest(state: State) -> str:
    found = hashlib.sha256(json.dumps(state.values, sort_keys=True).encode())
    for name in sorted(state.tensors):
        found.update(name.encode() + np.asarray(state.tensors[name]).tobytes())
    return found.hexdigest()


@pytest.mark.parametrize("words", [PPO, DQN, SDE, SAC, LSTM, ARS], ids=["ppo", "dqn", "sde", "sac", "lstm", "ars"])
def test_weights_and_metrics_are_the_same_with_evaluation_on_off_and_different(words, tmp_path):
    steps = 300 if words == SAC else 600
    digests, losses = set(), set()
    for evaluation in (
        ("eval.freq=0",),
        ("eval.freq=150", "eval.deterministic=true"),
        ("eval.freq=150", "eval.deterministic=false"),
        ("eval.freq=130", "eval.deterministic=false", "eval.n_envs=2", "eval.n_episodes=3"),
    ):
        metrics = Metrics()
        cfg = config(*words, f"total_timesteps={steps}", "eval.n_episodes=2", "eval.max_steps=40", *evaluation)
        _, algorithm, _ = train(cfg, tmp_path, metrics)
        digests.add(digest(algorithm.state()))
        own = [
            (step, {k: v for k, v in m.items() if not k.startswith(("eval/", "time/"))}) for step, m in metrics.heard
        ]
        losses.add(repr([(step, m) for step, m in own if m]))
    assert len(digests) == 1
    assert len(losses) == 1


def test_evaluations_fall_due_in_env_steps_whatever_the_number_of_envs(tmp_path):
    for n_envs in (1, 3, 8):
        cfg = config(*PPO, f"env.n_envs={n_envs}", "total_timesteps=800", "eval.freq=250", "eval.n_episodes=1")
        run, _, _ = train(cfg, tmp_path)
        steps = [int(row["timesteps"]) for row in csv.DictReader(run.evaluations_file.read_text().splitlines())]
        expected = [-(-due // n_envs) * n_envs for due in (250, 500, 750)]
        assert steps[:3] == expected


def test_what_is_recorded(tmp_path):
    metrics = Metrics()
    cfg = config(*PPO, "total_timesteps=400", "eval.freq=200", "eval.n_episodes=3", "eval.seed=77")
    run, _, evaluations = train(cfg, tmp_path, metrics)
    rows = list(csv.DictReader(run.evaluations_file.read_text().splitlines()))
    assert [row["timesteps"] for row in rows] == ["200", "400"]
    for row in rows:
        returns = json.loads(row["returns"])
        assert len(returns) == 3 and row["n_episodes"] == "3" and row["deterministic"] == "True"
        assert float(row["mean_reward"]) == pytest.approx(sum(returns) / 3)
        assert json.loads(row["lengths"]) == returns  # a point for every step of CartPole
        assert json.loads(row["seeds"]) == episode_seeds(77, int(row["timesteps"]), 3)
    heard = {step: m for step, m in metrics.heard if "eval/mean_reward" in m}
    assert [heard[int(row["timesteps"])]["eval/mean_reward"] for row in rows] == [float(r["mean_reward"]) for r in rows]
    assert set(heard[200]) == {"eval/mean_reward", "eval/std_reward", "eval/mean_ep_length"}
    assert evaluations.last is not None and list(evaluations.last.returns) == json.loads(rows[-1]["returns"])


def test_the_best_three_are_kept_with_their_weights_and_of_equals_the_later(tmp_path):
    cfg = config(*PPO, "total_timesteps=1600", "eval.freq=200", "eval.n_episodes=1", "algo.learning_rate=0.003")
    run, _, evaluations = train(cfg, tmp_path)
    rows = list(csv.DictReader(run.evaluations_file.read_text().splitlines()))
    means = {int(row["timesteps"]): float(row["mean_reward"]) for row in rows}
    best = sorted(means, key=lambda step: (means[step], step))[-3:]
    assert evaluations.candidates == {step: means[step] for step in best}
    assert [candidate.name for candidate in run.candidates()] == [str(step) for step in sorted(best)]
    for candidate in run.candidates():
        contents = checkpoints.read(candidate)
        assert contents.num_timesteps == int(candidate.name)
        assert contents.manifest["mean_reward"] == means[int(candidate.name)]
        assert candidate.model_zip.is_file()
    seen: list[float] = []
    for row in rows:
        mean = float(row["mean_reward"])
        assert row["candidate"] == str(len(seen) < 3 or mean >= sorted(seen)[-3])
        seen.append(mean)
    assert not run.checkpoint("best").exists()


def test_a_candidate_that_a_checkpoint_counts_on_stays_on_disk(tmp_path):
    """Else a training that is resumed from there would lack it."""
    cfg = config(*PPO, "total_timesteps=1600", "eval.freq=200", "eval.n_episodes=1", "algo.learning_rate=0.003")
    kept: list[list[str]] = []

    class Saving(Callback):
        def on_step(self, algorithm: Any) -> bool:
            if algorithm.num_timesteps == 600:
                parts = {"evaluations": evaluations.state()}
                checkpoints.save(run, "last", algorithm=algorithm, env=None, others=parts)
                kept.append([candidate.name for candidate in run.candidates()])
            return True

    run = Run.create(tmp_path, algo=cfg.algo.name, env_id=cfg.env.id, seed=3)
    env = make(cfg.env, n_envs=cfg.env.n_envs, seed=3)
    evaluations = Evaluations(cfg, run, env)
    create(cfg.algo, env, seed=3, device="cpu").learn(1600, [evaluations, Saving()])
    assert kept == [["200", "400", "600"]]
    assert {"200", "400", "600"} <= {candidate.name for candidate in run.candidates()}
    assert {str(step) for step in evaluations.candidates} != {"200", "400", "600"}, "the test needs better ones later"
    evaluations.restore(checkpoints.read(run.checkpoint("last")).parts["evaluations"])
    assert [candidate.name for candidate in run.candidates()] == ["200", "400", "600"]
    env.close()


def test_normalisation_statistics_are_those_of_the_moment(tmp_path):
    cfg = config(*SDE, "total_timesteps=400", "eval.freq=200", "eval.n_episodes=1", "eval.max_steps=20")
    run, _, _ = train(cfg, tmp_path)
    contents = checkpoints.read(run.candidates()[-1])
    assert contents.normalization is not None
    assert contents.normalization.values["obs_count"] == pytest.approx(contents.num_timesteps + 2, abs=0.01)


def test_an_evaluation_cut_short_is_not_recorded(tmp_path):
    cfg = config(*PPO, "total_timesteps=400", "eval.freq=200", "eval.n_episodes=5")
    run = Run.create(tmp_path, algo="ppo", env_id="CartPole-v1", seed=3)
    env = make(cfg.env, n_envs=2, seed=3)
    algorithm = create(cfg.algo, env, seed=3, device="cpu")
    evaluations = Evaluations(cfg, run, env, should_stop=lambda: True)
    algorithm.learn(400, [evaluations])
    env.close()
    assert evaluations.last is None
    assert not run.evaluations_file.exists() and not run.checkpoints()


def test_state_survives(tmp_path):
    cfg = config(*PPO, "total_timesteps=400", "eval.freq=200", "eval.n_episodes=1")
    run, _, first = train(cfg, tmp_path)
    state = State(values=json.loads(json.dumps(first.state().values)))
    env = make(cfg.env, n_envs=2, seed=3)
    second = Evaluations(cfg, run, env)
    second.restore(state)
    env.close()
    assert second.candidates == first.candidates and second.state() == first.state()
