"""Rollouts by the short way are those of Stable-Baselines3's `forward`, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sb3_contrib import QRDQN
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.vec_env import DummyVecEnv

from rlzoo.algos.sb3.adapter import SB3Algorithm
from rlzoo.algos.sb3.fast_policy import is_plain, short_ways
from rlzoo.algos.specs import find_spec
from rlzoo.envs.make import make_raw

TASKS = {
    "categorical": (PPO, "ppo", "CartPole-v1", {"net_arch": [64, 64]}),
    "relu": (A2C, "a2c", "Acrobot-v1", {"net_arch": {"pi": [16], "vf": [32, 32]}, "activation_fn": torch.nn.ReLU}),
    "no hidden layer": (PPO, "ppo", "CartPole-v1", {"net_arch": []}),
    "two extractors": (PPO, "ppo", "CartPole-v1", {"share_features_extractor": False}),
    "gaussian": (PPO, "ppo", "Pendulum-v1", {}),
}


def model_of(name: str, n_envs: int = 2, **keywords):
    cls, _, env_id, policy = TASKS[name]
    env = DummyVecEnv([lambda: make_raw(env_id)] * n_envs)
    return cls("MlpPolicy", env, policy_kwargs=policy, seed=0, device="cpu", n_steps=32, **keywords)


@pytest.mark.parametrize("n", [1, 7])
@pytest.mark.parametrize("name", TASKS)
def test_a_step_is_that_of_forward(name: str, n: int) -> None:
    policy = model_of(name).policy
    observations = torch.as_tensor(np.random.default_rng(0).normal(size=(n, *policy.observation_space.shape)))
    found = []
    for short in (False, True):
        torch.manual_seed(1)
        if short:
            with short_ways(policy), torch.no_grad():
                assert "forward" in vars(policy)
                found.append([policy(observations) for _ in range(20)])
        else:
            with torch.no_grad():
                found.append([policy(observations) for _ in range(20)])
    assert "forward" not in vars(policy)
    for expected, got in zip(*found, strict=True):
        for one, other in zip(expected, got, strict=True):
            assert torch.equal(one, other)
            assert (one.dtype, one.shape) == (other.dtype, other.shape)


@pytest.mark.parametrize("name", TASKS)
def test_a_training_is_that_of_the_library(name: str) -> None:
    plain = model_of(name)
    plain.learn(256)
    model = model_of(name)  # which seeds torch anew
    SB3Algorithm(model, find_spec(TASKS[name][1])).learn(256)
    expected, found = plain.policy.state_dict(), model.policy.state_dict()
    assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_other_policies_are_left_alone() -> None:
    states = model_of("gaussian", use_sde=True).policy
    hooked = model_of("categorical").policy
    hooked.action_net.register_forward_hook(lambda module, inputs, output: output)
    assert not is_plain(hooked)
    for policy in (states, hooked):
        with short_ways(policy):
            assert "forward" not in vars(policy)


def test_what_is_not_a_number_is_said_as_by_the_library() -> None:
    policy = model_of("categorical").policy
    with torch.no_grad():
        policy.action_net.bias.fill_(float("nan"))
        with short_ways(policy), pytest.raises(ValueError, match="invalid values"):
            policy(torch.zeros(1, 4))


@pytest.mark.parametrize(("cls", "name"), [(DQN, "dqn"), (QRDQN, "qrdqn")])
def test_a_training_off_policy_is_that_of_the_library(cls, name: str, monkeypatch) -> None:
    def model():
        env = DummyVecEnv([lambda: make_raw("CartPole-v1")] * 2)
        return cls("MlpPolicy", env, seed=0, device="cpu", learning_starts=50, train_freq=4, exploration_fraction=0.3)

    plain = model()
    plain.learn(400)
    quick = model()
    policy, asked = quick.policy, []
    original = type(policy).predict
    monkeypatch.setattr(type(policy), "predict", lambda *arguments: asked.append(1) or original(*arguments))
    SB3Algorithm(quick, find_spec(name)).learn(400)
    assert not asked
    assert "predict" not in vars(policy)
    expected, found = plain.policy.state_dict(), policy.state_dict()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
