"""The hands-ons of the Deep RL Course: with its numbers, and to its scores where that takes seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import rlzoo
from rlzoo.config import paths

COURSE: dict[str, dict[str, Any]] = {
    "unit1_lunarlander": {
        "algo.name": "ppo",
        "env.id": "LunarLander-v3",
        "total_timesteps": 1_000_000,
        "env.n_envs": 16,
        "algo": {
            "n_steps": 1024,
            "batch_size": 64,
            "n_epochs": 4,
            "gamma": 0.999,
            "gae_lambda": 0.98,
            "ent_coef": 0.01,
        },
        "eval.n_final": 10,
        "eval.deterministic": True,
    },
    "unit2_frozenlake": {
        "algo.name": "q_learning",
        "env.id": "FrozenLake-v1",
        "env.kwargs": {"is_slippery": False},
        "stop.episodes": 10_000,
        "env.max_steps": 99,
        "algo": {"learning_rate": 0.7, "gamma": 0.95, "max_epsilon": 1.0, "min_epsilon": 0.05, "decay_rate": 0.0005},
        "eval.n_final": 100,
        "eval.max_steps": 99,
        "eval.deterministic": True,
    },
    "unit2_taxi": {
        "algo.name": "q_learning",
        "env.id": "Taxi-v4",
        "stop.episodes": 25_000,
        "env.max_steps": 99,
        "algo": {"learning_rate": 0.7, "gamma": 0.95, "max_epsilon": 1.0, "min_epsilon": 0.05, "decay_rate": 0.005},
        "eval.n_final": 100,
        "eval.max_steps": 99,
        "eval.deterministic": True,
    },
    "unit3_spaceinvaders": {
        "algo.name": "dqn",
        "env.id": "SpaceInvadersNoFrameskip-v4",
        "total_timesteps": 10_000_000,
        "env.frame_stack": 4,
        "algo": {
            "policy": "CnnPolicy",
            "buffer_size": 100_000,
            "learning_rate": 1e-4,
            "batch_size": 32,
            "learning_starts": 100_000,
            "target_update_interval": 1000,
            "train_freq": 4,
            "gradient_steps": 1,
            "exploration_fraction": 0.1,
            "exploration_final_eps": 0.01,
            "optimize_memory_usage": False,
        },
        "eval.n_final": 10,
        "eval.deterministic": False,
    },
    "unit4_cartpole": {
        "algo.name": "reinforce",
        "env.id": "CartPole-v1",
        "stop.episodes": 1000,
        "algo": {"net_arch": [16], "learning_rate": 0.01, "gamma": 1.0, "n_episodes_per_update": 1},
        "eval.n_final": 10,
        "eval.deterministic": False,
    },
    "unit4_pixelcopter": {
        "algo.name": "reinforce",
        "env.id": "Pixelcopter-PLE-v0",
        "stop.episodes": 50_000,
        "env.max_steps": 10_000,
        "eval.max_steps": 10_000,
        "algo": {"net_arch": [64, 128], "learning_rate": 1e-4, "gamma": 0.99, "n_episodes_per_update": 1},
        "eval.n_final": 10,
        "eval.deterministic": False,
    },
    "unit8_lunarlander": {
        "algo.name": "ppo_scratch",
        "env.id": "LunarLander-v3",
        "seed": 1,
        "total_timesteps": 50_000,
        "env.n_envs": 4,
        "algo": {
            "learning_rate": {"linear": 2.5e-4},
            "n_steps": 128,
            "batch_size": 128,
            "n_epochs": 4,
            "gamma": 0.99,
            "gae_lambda": 0.95,
            "clip_range": 0.2,
            "clip_range_vf": "auto",
            "normalize_advantage": True,
            "ent_coef": 0.01,
            "vf_coef": 0.5,
            "max_grad_norm": 0.5,
            "target_kl": None,
        },
        "eval.n_final": 10,
        "eval.deterministic": False,
    },
}


def test_every_experiment_is_one_of_the_course() -> None:
    assert {path.stem for path in (paths.root() / "conf" / "experiment").glob("*.yaml")} == set(COURSE)


@pytest.mark.parametrize("name", COURSE)
def test_it_has_the_numbers_of_the_course(name: str) -> None:
    cfg = rlzoo.compose(f"experiment={name}")
    for key, expected in COURSE[name].items():
        if key == "algo":
            given = cfg.algo.hyperparams
            assert {name: given[name] for name in expected} == expected
            continue
        value: Any = cfg
        for part in key.split("."):
            value = getattr(value, part)
        assert value == expected, key


def test_the_hundred_starts_of_the_taxi() -> None:
    seeds = rlzoo.compose("experiment=unit2_taxi").eval.seeds
    assert seeds is not None
    assert (len(seeds), len(set(seeds)), sum(seeds), seeds[:3], seeds[-3:]) == (
        100,
        76,
        8859,
        (16, 54, 165),
        (11, 28, 148),
    )


@pytest.mark.parametrize(("name", "bar"), [("unit2_frozenlake", 1.0), ("unit2_taxi", 4.5)])
def test_it_reaches_the_score_of_the_course(name: str, bar: float, tmp_path: Path) -> None:
    run = rlzoo.train(f"experiment={name}", "seed=1", f"runs_dir={tmp_path}", "logger=[]")
    (result,) = run.read_results()
    assert result["n_episodes"] == 100
    assert max(result["lengths"]) <= 99
    assert result["result"] >= bar


@pytest.mark.parametrize("name", ["unit4_cartpole", "unit4_pixelcopter", "unit8_lunarlander"])
def test_it_trains(name: str, tmp_path: Path) -> None:
    words = ["total_timesteps=3000", "seed=0", "eval.final_n_episodes=2", "eval.freq=0", f"runs_dir={tmp_path}"]
    run = rlzoo.train(f"experiment={name}", *words, "logger=[]")
    assert run.read_info()["status"] == "finished"
    assert run.read_results()[0]["deterministic"] is False
