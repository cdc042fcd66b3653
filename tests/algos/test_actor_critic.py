"""One-step actor-critic: an update by hand, ends and cuts, and an error that varies less than a return."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from rlzoo.algos.deep.actor_critic import ActorCritic
from rlzoo.algos.deep.returns import rewards_to_go
from rlzoo.protocols import EnvironmentStep


class Coins(gymnasium.Env):
    """Ten steps, each worth 1 or -1 by chance: every observation is worth 0."""

    observation_space = spaces.Box(-1, 10, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.t += 1
        return np.full(1, self.t, np.float32), float(self.np_random.choice([-1, 1])), self.t == 10, False, {}


def linear(**options: Any) -> ActorCritic:
    """A critic with v(s) = 2 s, and an actor that thinks both actions equal."""
    algorithm = ActorCritic(DummyVecEnv([Coins]), net_arch=[], max_grad_norm=None, seed=0, **options)
    with torch.no_grad():
        for parameter in (*algorithm.actor.layers.parameters(), *algorithm.critic.layers.parameters()):
            parameter.zero_()
        algorithm.critic.layers[0].weight.fill_(2)
    return algorithm


@pytest.mark.parametrize(
    ("terminated", "truncated", "error"),
    [
        (False, False, 1 + 0.5 * 6 - 2),
        (False, True, 1 + 0.5 * 6 - 2),  # a step that was cut has a future, after its own last observation
        (True, False, 1 - 2),
        (True, True, 1 - 2),
    ],
)
def test_an_update_by_hand(terminated: bool, truncated: bool, error: float) -> None:
    algorithm = linear(gamma=0.5)
    over = terminated or truncated
    step = EnvironmentStep(
        observation=np.array([[-100.0 if over else 3.0]], np.float32),  # of the next episode
        reward=np.array([1.0], np.float32),
        terminated=np.array([terminated]),
        truncated=np.array([truncated and not terminated]),
        final_observation=np.array([[3.0]], np.float32),
    )
    algorithm._update(np.array([[1.0]], np.float32), np.array([1]), step, 1.0)
    losses = algorithm.losses()
    assert losses["train/value_loss"] == pytest.approx(error**2 / 2)
    assert losses["train/policy_loss"] == pytest.approx(math.log(2) * error)
    assert losses["train/entropy_loss"] == pytest.approx(-math.log(2))
    critic, actor = (algorithm.optimizers[f"{name}_adam"].gradient.tolist() for name in ("critic", "actor"))
    assert critic == pytest.approx([-error, -error])  # weight and bias: -delta grad v(s), with s = 1
    assert actor == pytest.approx([error / 2, -error / 2, error / 2, -error / 2])  # -delta (onehot - 1/2), twice
    weight = 2 + 0.01 * np.sign(error)  # Adam's first step is as long as its learning rate
    assert algorithm.critic.layers[0].weight.item() == pytest.approx(weight, abs=1e-6)


def test_entropy_pulls_towards_chance() -> None:
    algorithm = linear(gamma=0.0, ent_coef=1.0)
    with torch.no_grad():
        algorithm.actor.layers[0].bias.copy_(torch.tensor([1.0, -1.0]))
        algorithm.critic.layers[0].weight.zero_()
    nothing, zeros = np.zeros(1, dtype=bool), np.zeros((1, 1), np.float32)
    step = EnvironmentStep(zeros, np.zeros(1, np.float32), nothing, nothing, zeros)
    algorithm._update(zeros, np.array([0]), step, 1.0)
    first, second = algorithm.actor.layers[0].bias.tolist()
    assert first < 1
    assert second > -1


class Noted(ActorCritic):
    """Keeps the reward and the error of every step."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.noted: list[tuple[float, float]] = []

    def _update(self, observation: Any, actions: Any, step: EnvironmentStep, progress_remaining: float) -> None:
        super()._update(observation, actions, step, progress_remaining)
        log_prob = -math.log(2)
        self.noted.append((float(step.reward[0]), self.losses()["train/policy_loss"] / -log_prob))


def test_the_error_varies_less_than_the_return() -> None:
    """With a critic that is right: variance 1 against 1 + ... + 10 tenths, 5.5."""
    env = DummyVecEnv([Coins])
    env.seed(0)
    algorithm = Noted(env, net_arch=[], gamma=1.0, learning_rate=1e-12, value_learning_rate=1e-12, seed=0)
    with torch.no_grad():
        for parameter in (*algorithm.actor.layers.parameters(), *algorithm.critic.layers.parameters()):
            parameter.zero_()
    algorithm.learn(1000)
    rewards, errors = np.array(algorithm.noted).T
    returns = np.concatenate([rewards_to_go(episode, 1.0) for episode in rewards.reshape(-1, 10)])
    assert errors.var() == pytest.approx(1, abs=0.01)
    assert returns.var() == pytest.approx(5.5, abs=1)


def test_it_learns_after_every_step(make_env: Callable[..., VecEnv]) -> None:
    algorithm = ActorCritic(make_env("CartPole-v1", 4), seed=0)
    algorithm.learn(40)
    assert algorithm.n_updates == 10


def test_it_balances_the_pole(make_env: Callable[..., VecEnv]) -> None:
    env = make_env("CartPole-v1", 8)
    env.seed(0)
    torch.manual_seed(0)
    algorithm = ActorCritic(env, seed=0)
    rows: list[float] = []

    class Log:
        def log(self, metrics: Any, step: int) -> None:
            rows.append(metrics["rollout/ep_rew_mean"])

        def close(self) -> None: ...

    algorithm.learn(24_000, logger=Log())
    assert max(rows) > 80
