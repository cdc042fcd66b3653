"""Greedy actions by the short way are those of Stable-Baselines3's `predict`, bit for bit."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_contrib import QRDQN
from stable_baselines3 import A2C, DQN, PPO, SAC
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.common.vec_env import DummyVecEnv

from rlzoo.algos.sb3.adapter import SB3Algorithm
from rlzoo.algos.sb3.fast_policy import fits, greedy
from rlzoo.algos.specs import find_spec
from rlzoo.envs.make import make_raw

TASKS = {
    "categorical": (PPO, "CartPole-v1", {"net_arch": [64, 64]}),
    "relu": (A2C, "Acrobot-v1", {"net_arch": {"pi": [16], "vf": [32, 32]}, "activation_fn": torch.nn.ReLU}),
    "no hidden layer": (PPO, "CartPole-v1", {"net_arch": []}),
    "gaussian": (PPO, "Pendulum-v1", {}),
    "q network": (DQN, "MountainCar-v0", {"net_arch": [64]}),
    "quantiles": (QRDQN, "CartPole-v1", {"net_arch": [32], "n_quantiles": 11, "activation_fn": torch.nn.Tanh}),
}


def model_of(name: str):
    cls, env_id, policy = TASKS[name]
    return cls("MlpPolicy", DummyVecEnv([lambda: make_raw(env_id)]), policy_kwargs=policy, seed=0, device="cpu")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", TASKS)
def test_it_acts_as_predict_does(name: str, dtype: type) -> None:
    model = model_of(name)
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.mul_(3.0)  # after the making all actions are nearly equally good
    act = greedy(model.policy)
    assert act is not None
    generator = np.random.default_rng(0)
    for n in (1, 7, 16):
        for _ in range(30):
            observations = generator.normal(size=(n, *model.observation_space.shape)).astype(dtype) * 3
            found, expected = act(observations), model.predict(observations, deterministic=True)[0]
            assert found is not None
            np.testing.assert_array_equal(found, expected)
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape)


def test_equally_probable_actions_are_decided_as_predict_decides() -> None:
    model = model_of("categorical")
    with torch.no_grad():
        model.policy.action_net.weight.zero_()
        model.policy.action_net.bias.copy_(torch.tensor([20.0, 20.000001]))  # one rounding apart
    observation = np.zeros((1, 4), dtype=np.float32)
    assert greedy(model.policy)(observation) == model.predict(observation, deterministic=True)[0]


def test_it_follows_the_weights_and_the_policy() -> None:
    algorithm = SB3Algorithm(model_of("categorical"), find_spec("ppo"))
    observation = np.ones((1, 4), dtype=np.float32)
    for bias in ([5.0, 0.0], [0.0, 5.0]):
        with torch.no_grad():
            algorithm.model.policy.action_net.bias.copy_(torch.tensor(bias))
        assert algorithm.predict(observation, deterministic=True)[0] == np.argmax(bias)
    algorithm.model.policy.train()
    algorithm.predict(observation, deterministic=True)
    assert not algorithm.model.policy.training  # as predict leaves it
    algorithm.model.policy = model_of("categorical").policy
    with torch.no_grad():
        algorithm.model.policy.action_net.bias.copy_(torch.tensor([5.0, 0.0]))
    assert algorithm.predict(observation, deterministic=True)[0] == 0


def pickled(algorithm: SB3Algorithm) -> SB3Algorithm:
    return pickle.loads(pickle.dumps(algorithm))


@pytest.mark.parametrize("copy_of", [copy.deepcopy, pickled])
@pytest.mark.parametrize(("cls", "name"), [(PPO, "ppo"), (DQN, "dqn"), (QRDQN, "qrdqn")])
def test_a_copy_of_what_has_acted_acts_by_its_own_weights(cls: Any, name: str, copy_of: Any) -> None:
    env = DummyVecEnv([lambda: make_raw("CartPole-v1")])
    algorithm = SB3Algorithm(cls("MlpPolicy", env, device="cpu"), find_spec(name))
    batch = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    before = algorithm.predict(batch, deterministic=True)[0]
    other = copy_of(algorithm)
    for parameter in algorithm.model.policy.parameters():
        parameter.data.neg_()
    assert not np.array_equal(algorithm.predict(batch, deterministic=True)[0], before)
    assert np.array_equal(other.predict(batch, deterministic=True)[0], before)


@pytest.mark.parametrize("name", ["categorical", "gaussian"])
def test_weights_that_are_no_numbers_are_an_error_as_in_predict(name: str) -> None:
    algorithm = SB3Algorithm(model_of(name), find_spec("ppo"))
    with torch.no_grad():
        algorithm.model.policy.action_net.bias.fill_(float("nan"))
    observation = np.zeros((1, *algorithm.model.observation_space.shape), dtype=np.float32)
    assert greedy(algorithm.model.policy)(observation) is None
    with pytest.raises(ValueError, match="nan"):
        algorithm.predict(observation, deterministic=True)


def test_others_are_left_to_predict() -> None:
    class Extractor(FlattenExtractor):
        """Somebody's own."""

    env = DummyVecEnv([lambda: make_raw("CartPole-v1")])
    own = PPO("MlpPolicy", env, policy_kwargs={"features_extractor_class": Extractor}, device="cpu")
    assert greedy(own.policy) is None
    assert greedy(PPO("MlpPolicy", DummyVecEnv([lambda: make_raw("FrozenLake-v1")]), device="cpu").policy) is None
    assert greedy(SAC("MlpPolicy", DummyVecEnv([lambda: make_raw("Pendulum-v1")]), device="cpu").policy) is None
    squashed = {"use_sde": True, "policy_kwargs": {"squash_output": True}}
    assert greedy(PPO("MlpPolicy", DummyVecEnv([lambda: make_raw("Pendulum-v1")]), **squashed).policy) is None


def test_an_observation_alone_or_of_another_size_is_left_to_predict() -> None:
    algorithm = SB3Algorithm(model_of("categorical"), find_spec("ppo"))
    policy = algorithm.model.policy
    assert isinstance(policy.observation_space, spaces.Box)
    assert fits(policy, np.zeros((2, 4)))
    assert not fits(policy, np.zeros(4))
    assert not fits(policy, [[0.0] * 4])
    assert algorithm.predict(np.zeros(4, dtype=np.float32), deterministic=True)[0].shape == ()
    with pytest.raises(ValueError, match="Unexpected observation shape"):
        algorithm.predict(np.zeros((1, 5), dtype=np.float32), deterministic=True)
