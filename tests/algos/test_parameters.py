"""The arithmetic of networks is that of the networks themselves, and nothing large is built for it."""

import numpy as np
import pytest
from gymnasium import spaces

from rlzoo.algos.create import create
from rlzoo.algos.parameters import n_parameters
from rlzoo.cli.main import main
from rlzoo.envs import make
from rlzoo.training.preflight import compose

FEW = ("total_timesteps=1000", "hyperparams=none")
REPLAY = ("algo.buffer_size=300", "algo.learning_starts=10")


@pytest.mark.parametrize(
    "words",
    [
        ("algo=ppo", "env=CartPole"),
        ("algo=ppo", "env=Pendulum", "algo.policy_kwargs={net_arch: {pi: [5], vf: [7, 3]}}"),
        ("algo=a2c", "env=FrozenLake", "algo.policy_kwargs={net_arch: []}"),
        ("algo=trpo", "env=LunarLander"),
        ("algo=maskable_ppo", "env=TaxiMasked"),
        ("algo=ppo", "env=SpaceInvaders", "algo.policy_kwargs={features_extractor_kwargs: {features_dim: 9}}"),
        ("algo=dqn", "env=SpaceInvaders", *REPLAY),
        ("algo=dqn", "env=CartPole", "algo.policy_kwargs={net_arch: [3]}", *REPLAY),
        ("algo=qrdqn", "env=CartPole", "algo.policy_kwargs={n_quantiles: 5, net_arch: [8]}", *REPLAY),
        ("algo=dqn", "env=BitFlipping", "algo.replay_buffer_class=her", *REPLAY),
        ("algo=sac", "env=Pendulum", *REPLAY),
        ("algo=sac", "env=Pendulum", "algo.policy_kwargs={net_arch: {pi: [4], qf: [6]}, n_critics: 3}", *REPLAY),
        ("algo=td3", "env=Pendulum", *REPLAY),
        ("algo=ddpg", "env=Pendulum", "algo.policy_kwargs={net_arch: [4, 4]}", *REPLAY),
    ],
)
def test_as_many_as_are_built(words):
    cfg = compose(*words, *FEW)
    env = make(cfg.env, n_envs=1, seed=0)
    algorithm = create(cfg.algo, env, seed=0, device="cpu")
    built = sum(parameter.numel() for parameter in algorithm.model.policy.parameters())
    assert n_parameters(cfg.algo, env.observation_space, env.action_space) == built
    env.close()


def test_a_large_image_is_calculated_only():
    algo = compose("algo=ppo", "env=CartPole", *FEW).algo
    image = spaces.Box(0, 255, (3, 240, 320), np.uint8)
    assert n_parameters(algo, image, spaces.Discrete(2)) == 32 * 193 + 64 * 513 + 64 * 577 + 512 * 59_905 + 3 * 513


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("env=gym", "env.id=tests.endless:LargeImage-v0"), "networks: 30,748,835 parameters"),
        (("env=CartPole", "env.n_envs=3000"), "networks: 9,155 parameters"),
        (("env=CartPole", "algo.policy_kwargs={net_arch: [3000, 3000]}"), "networks: 18,0"),
    ],
)
def test_a_dry_run_makes_nothing_that_is_large(words, said, workdir, capsys, monkeypatch):
    monkeypatch.setattr("rlzoo.algos.create.create", None)  # not even asked for
    assert main(["train", "algo=ppo", *words, "hyperparams=none", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert said in printed and "memory of the buffer: " in printed and "time: not tried" in printed
    assert not list(workdir.iterdir())
