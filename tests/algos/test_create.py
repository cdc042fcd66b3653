"""Data to objects, with numbers worked out by hand."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.noise import NormalActionNoise, OrnsteinUhlenbeckActionNoise
from stable_baselines3.common.utils import ConstantSchedule, LinearSchedule
from stable_baselines3.her.her_replay_buffer import HerReplayBuffer

from rlzoo.algos.create import noise, resolve, schedule
from rlzoo.algos.schema import types as names
from rlzoo.algos.schema.check import find_signature
from rlzoo.algos.specs import ALGOS
from rlzoo.registry import load


@pytest.mark.parametrize(
    ("value", "expected"),  # at the start, after a quarter, halfway, at the end of training, and a little beyond it
    [
        ({"constant": 0.3}, [0.3, 0.3, 0.3, 0.3, 0.3]),
        ({"linear": 0.4}, [0.4, 0.3, 0.2, 0.0, 0.0]),
        ({"linear": [0.4, 0.2]}, [0.4, 0.35, 0.3, 0.2, 0.2]),
        ({"linear": {"start": 0.4, "end": 0.2, "end_fraction": 0.5}}, [0.4, 0.3, 0.2, 0.2, 0.2]),
        ({"exponential": 1.0}, [1.0, 10**-0.5, 0.1, 0.01, 0.01]),
        ({"exponential": [16, 1]}, [16, 8, 4, 1, 1]),
        ({"exponential": [16, 1, 0.5]}, [16, 4, 1, 1, 1]),
        ({"cosine": 2}, [2, 1 + 0.5**0.5, 1, 0, 0]),
        ({"cosine": {"start": 2, "end": 1}}, [2, 1.5 + 0.5**1.5, 1.5, 1, 1]),
    ],
)
def test_schedules(value: dict[str, Any], expected: list[float]) -> None:
    made = pickle.loads(pickle.dumps(schedule(value)))
    assert [float(made(progress)) for progress in (1, 0.75, 0.5, 0, -0.01)] == pytest.approx(
        expected, rel=1e-5, abs=1e-12
    )


def test_schedules_are_stable_baselines3s_own_where_it_has_them() -> None:
    assert isinstance(schedule({"linear": 1}), LinearSchedule)
    assert isinstance(schedule({"constant": 1}), ConstantSchedule)


def test_noise() -> None:
    normal = noise({"normal": 0.1}, (3,))
    assert isinstance(normal, NormalActionNoise)
    assert normal._mu.tolist() == [0, 0, 0]
    assert normal._sigma.tolist() == [0.1, 0.1, 0.1]
    ou = noise({"ornstein_uhlenbeck": {"mean": 0.5, "sigma": [0.1, 0.2], "theta": 0.3}}, (2,))
    assert isinstance(ou, OrnsteinUhlenbeckActionNoise)
    assert (ou._mu.tolist(), ou._sigma.tolist(), ou._theta, ou._dt) == ([0.5, 0.5], [0.1, 0.2], 0.3, 0.01)


def resolved(algo: str, policy: str = "MlpPolicy", **values: Any) -> dict[str, Any]:
    return resolve(values, find_signature(ALGOS[algo]), policy, 2)


def test_policy_keywords() -> None:
    given = {
        "net_arch": {"pi": [64.0], "vf": [32, 32]},
        "activation_fn": "elu",
        "optimizer_class": "adamw",
        "optimizer_kwargs": {"betas": [0.5, 0.9], "eps": 1e-5},
        "features_extractor_kwargs": {"features_dim": 64.0},
    }
    policy = resolved("ppo", "CnnPolicy", policy_kwargs=given)["policy_kwargs"]
    assert policy == {
        "net_arch": {"pi": [64], "vf": [32, 32]},
        "activation_fn": torch.nn.ELU,
        "optimizer_class": torch.optim.AdamW,
        "optimizer_kwargs": {"betas": (0.5, 0.9), "eps": 1e-5},
        "features_extractor_kwargs": {"features_dim": 64},
    }
    assert type(policy["net_arch"]["pi"][0]) is int
    assert type(policy["features_extractor_kwargs"]["features_dim"]) is int
    assert given["activation_fn"] == "elu"  # the configuration stays what it was


def test_off_policy_keywords() -> None:
    values = resolved(
        "sac",
        train_freq=[1, "episode"],
        buffer_size=1e6,
        replay_buffer_class="her",
        replay_buffer_kwargs={"n_sampled_goal": 4.0, "goal_selection_strategy": "future"},
        ent_coef="auto_0.1",
        gamma=1,
        action_noise=None,
    )
    assert values == {
        "train_freq": (1, "episode"),
        "buffer_size": 1_000_000,
        "replay_buffer_class": HerReplayBuffer,
        "replay_buffer_kwargs": {"n_sampled_goal": 4, "goal_selection_strategy": "future"},
        "ent_coef": "auto_0.1",
        "gamma": 1,
        "action_noise": None,
    }
    assert type(values["buffer_size"]) is int
    assert isinstance(resolved("sac", action_noise={"normal": 0.1})["action_noise"], NormalActionNoise)


@pytest.mark.parametrize("table", [*names.CLASSES, "noise"])
def test_every_word_stands_for_a_class(table: str) -> None:
    for reference in {**names.CLASSES, "noise": names.NOISES}[table].values():
        assert isinstance(load(reference), type)


def test_curves_are_close_to_the_functions_they_stand_for() -> None:
    made = schedule({"exponential": [1e-2, 1e-5]})
    progress = np.linspace(0, 1, 777)
    exact = 1e-5 * (1e-2 / 1e-5) ** progress
    assert np.max(np.abs([made(p) for p in progress] / exact - 1)) < 1e-5
