"""Rollouts by the short way are those of Stable-Baselines3's `forward`, bit for bit."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from sb3_contrib import QRDQN, RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.vec_env import DummyVecEnv
from stable_baselines3.dqn.policies import DQNPolicy

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


@pytest.mark.parametrize(
    ("cls", "name"), [(DQN, "dqn"), (QRDQN, "qrdqn"), (SAC, "sac"), (TD3, "td3"), (RecurrentPPO, "ppo_lstm")]
)
def test_a_training_of_every_other_kind_is_that_of_the_library(cls, name: str, monkeypatch) -> None:
    discrete, on_policy = name in ("dqn", "qrdqn"), name == "ppo_lstm"

    def model():
        env = DummyVecEnv([lambda: make_raw("CartPole-v1" if discrete else "Pendulum-v1")] * 2)
        others = {"exploration_fraction": 0.3, "tau": 0.5, "target_update_interval": 20} if discrete else {}
        others |= {"n_steps": 32} if on_policy else {"learning_starts": 50, "train_freq": 4}
        return cls("MlpLstmPolicy" if on_policy else "MlpPolicy", env, seed=0, device="cpu", **others)

    plain = model()
    plain.learn(200)
    quick = model()
    policy, asked = quick.policy, []
    original = type(policy).predict
    monkeypatch.setattr(type(policy), "predict", lambda *arguments: asked.append(1) or original(*arguments))
    SB3Algorithm(quick, find_spec(name)).learn(200)
    assert not (asked and discrete)
    assert not {"parameters", "predict", "forward"} & {name for part in policy.modules() for name in vars(part)}
    expected, found = plain.policy.state_dict(), policy.state_dict()
    assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_what_a_part_of_a_policy_answers_is_its_own() -> None:
    env = DummyVecEnv([lambda: make_raw("CartPole-v1")])
    policy = QRDQN("MlpPolicy", env, seed=0, device="cpu").policy
    parts = [policy, *policy.children()]
    expected = [[list(part.parameters(recurse)) for recurse in (True, False)] for part in parts]
    batch = torch.as_tensor(np.random.default_rng(0).normal(size=(5, 4)))
    quantiles = policy.quantile_net_target(batch)
    with short_ways(policy):
        assert {"zero_grad", "parameters"} <= {*vars(policy.optimizer), *vars(policy)}
        for part, known in zip(parts, expected, strict=True):
            for recurse, wanted in zip((True, False), known, strict=True):
                assert [id(each) for each in part.parameters(recurse)] == [id(each) for each in wanted]
        assert torch.equal(policy.quantile_net_target(batch), quantiles)
        for set_to_none in (False, True):
            policy.quantile_net(batch).sum().backward()
            policy.optimizer.zero_grad(set_to_none)
            grads = [parameter.grad for parameter in policy.quantile_net.parameters()]
            assert all(grad is None if set_to_none else not grad.any() for grad in grads)
    assert not {"zero_grad", "parameters"} & {*vars(policy.optimizer), *vars(policy)}


def copied(policy):
    return copy.deepcopy(policy)


def pickled(policy):
    return pickle.loads(pickle.dumps(policy))


@pytest.mark.parametrize("copy_of", [copied, pickled])
@pytest.mark.parametrize("cls", [PPO, DQN, QRDQN])
def test_a_copy_that_is_made_meanwhile_has_its_own_weights(cls, copy_of) -> None:
    policy = cls("MlpPolicy", DummyVecEnv([lambda: make_raw("CartPole-v1")]), device="cpu").policy
    batch = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    with short_ways(policy):
        other = copy_of(policy)
        assert not {id(each) for each in policy.parameters()} & {id(each) for each in other.parameters()}
        expected = policy.predict(batch, deterministic=True)[0]
        assert np.array_equal(other.predict(batch, deterministic=True)[0], expected)
        for parameter in other.parameters():
            parameter.data.neg_()
        assert not np.array_equal(other.predict(batch, deterministic=True)[0], expected)
        assert np.array_equal(policy.predict(batch, deterministic=True)[0], expected)


class Other(DQNPolicy):
    """Somebody's own, whose weights may come and go."""


def test_policies_of_others_are_left_alone() -> None:
    model = DQN(Other, DummyVecEnv([lambda: make_raw("CartPole-v1")]), device="cpu")
    with short_ways(model.policy):
        assert "parameters" not in vars(model.policy)
