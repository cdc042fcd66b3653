"""PPO from scratch: numbers worked out by hand, one update beside Stable-Baselines3's, and things it has to learn."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO as SB3PPO
from stable_baselines3.common.envs import (
    FakeImageEnv,
    IdentityEnvBox,
    IdentityEnvMultiBinary,
    IdentityEnvMultiDiscrete,
    SimpleMultiObsEnv,
)
from stable_baselines3.common.logger import configure
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecTransposeImage
from torch.distributions import Categorical
from torch.distributions import Normal as TorchNormal

from rlzoo.algos.base import TrainingHooks
from rlzoo.algos.deep.distributions import Choices, Normal
from rlzoo.algos.deep.flat_adam import FlatAdam
from rlzoo.algos.deep.networks import Pair, layers
from rlzoo.algos.deep.ppo_scratch import PPO, Rollout, clipped_policy_loss, clipped_value_loss, policy_change
from rlzoo.algos.deep.returns import explained_variance, generalized_advantages

MakeEnv = Callable[..., VecEnv]


class Metrics:
    """Keeps every number it is given."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        self.rows.append(dict(metrics))

    def close(self) -> None: ...


class Road(gymnasium.Env):
    """Observations 1, 2 and the end, with rewards 1 and 2, whatever the action."""

    observation_space = spaces.Box(0, 10, (1,), dtype=np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, **options: Any) -> tuple[np.ndarray, dict]:
        super().reset(**options)
        self.at = 1
        return np.ones(1, dtype=np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.at += 1
        return np.full(1, self.at, dtype=np.float32), self.at - 1.0, self.at == 3, False, {}


class Led(np.random.Generator):
    """Has the actor take the actions that it is told, one at a time, and leaves samples in their order."""

    def __new__(cls, actions: Sequence[int]) -> Led:
        return super().__new__(cls, np.random.PCG64(0))

    def __init__(self, actions: Sequence[int]) -> None:
        super().__init__(np.random.PCG64(0))
        self.told = list(actions)

    def gumbel(self, *, size: Any) -> Any:  # type: ignore[override]
        noise = np.zeros(size)
        noise[0, self.told.pop(0)] = 1e6
        return noise

    def permutation(self, n: int) -> Any:  # type: ignore[override]
        return np.arange(n)


def advantages(*, terminated: Sequence[int] = (), ended: Sequence[int] = (), gae_lambda: float = 0.5) -> list[float]:
    marks = np.zeros((2, 3, 1), dtype=bool)
    marks[0, list(terminated)] = marks[1, list(ended)] = True
    next_values = [0.25, 8.0 if ended else 1.0, 4.0]
    columns = [np.array(column, dtype=np.float32)[:, None] for column in ([1, 2, 3], [0.5, 0.25, 1], next_values)]
    found = generalized_advantages(*columns, *marks, gamma=0.5, gae_lambda=gae_lambda)
    return found[:, 0].tolist()


def test_advantages_by_hand() -> None:
    """Deltas 1 + 0.125 - 0.5, 2 + 0.5 - 0.25, 3 + 2 - 1; decay 0.25."""
    assert advantages() == [1.4375, 3.25, 4.0]
    assert advantages(gae_lambda=0) == [0.625, 2.25, 4.0]


def test_nothing_comes_after_an_end_and_a_promise_after_a_cut() -> None:
    assert advantages(terminated=[1], ended=[1]) == [0.625 + 0.25 * 1.75, 1.75, 4.0]
    assert advantages(ended=[1]) == [0.625 + 0.25 * 5.75, 2 + 0.5 * 8 - 0.25, 4.0]


def test_with_lambda_1_advantages_are_plain_returns_minus_values() -> None:
    """Returns 3 + 0.5 * 4 = 5, 2 + 0.5 * 5 = 4.5, 1 + 0.5 * 4.5 = 3.25."""
    assert advantages(gae_lambda=1) == [3.25 - 0.5, 4.5 - 0.25, 5.0 - 1.0]


def test_explained_variance_by_hand() -> None:
    targets = np.array([1.0, 2.0, 3.0])
    assert explained_variance(targets, targets) == 1
    assert explained_variance(np.full(3, 7.0), targets) == 0
    assert explained_variance(targets[::-1], targets) == pytest.approx(1 - (8 / 3) / (2 / 3))
    assert explained_variance(targets, np.ones(3)) == 0


@pytest.mark.parametrize(
    ("ratio", "advantage", "objective", "gradient"),
    [
        (1.1, 2.0, 2.2, 2.2),  # within the range: as without clipping
        (0.9, -2.0, -1.8, -1.8),
        (0.5, 2.0, 1.0, 1.0),  # too rare a good action: back up
        (0.5, -2.0, -1.6, 0.0),  # a bad action already rare enough
        (1.5, 2.0, 2.4, 0.0),  # a good action already frequent enough
        (1.5, -2.0, -3.0, -3.0),  # too frequent a bad action: back down
    ],
)
def test_six_cases_of_the_clipped_objective(ratio: float, advantage: float, objective: float, gradient: float) -> None:
    """The gradient is that of the log-probability: the ratio's times the ratio."""
    loss, slope = clipped_policy_loss(torch.tensor([ratio]), torch.tensor([advantage]), 0.2)
    assert loss.item() == pytest.approx(-objective)
    assert slope.tolist() == [pytest.approx(-gradient)]


@pytest.mark.parametrize(
    ("value", "old", "target", "clip_range", "loss", "slope"),
    [
        (1.0, 0.0, 2.0, 0.5, 0.5 * 1.5**2, 0.0),  # it has come far enough towards the return
        (1.0, 0.0, 0.0, 0.5, 0.5, 1.0),  # it has gone away from it: back
        (0.3, 0.1, 1.0, 0.5, 0.5 * 0.7**2, -0.7),  # it has hardly moved
        (1.0, 0.0, 2.0, None, 0.5, -1.0),
    ],
)
def test_the_value_loss_by_hand(
    value: float, old: float, target: float, clip_range: float | None, loss: float, slope: float
) -> None:
    found = clipped_value_loss(*(torch.tensor([number]) for number in (value, old, target)), clip_range)
    assert [part.item() for part in found] == [pytest.approx(loss), pytest.approx(slope)]


def test_the_derivatives_are_those_of_autograd() -> None:
    torch.manual_seed(0)
    log_ratio, values = (torch.randn(500, requires_grad=True) for _ in range(2))
    old, returns, advantage = torch.randn(3, 500)
    _, slope = clipped_policy_loss(log_ratio.exp(), advantage, 0.2)
    ratio = log_ratio.exp()
    torch.max(-advantage * ratio, -advantage * ratio.clamp(0.8, 1.2)).mean().backward()
    assert log_ratio.grad is not None
    torch.testing.assert_close(slope, log_ratio.grad)
    _, slope = clipped_value_loss(values, old, returns, 0.3)
    kept = old + (values - old).clamp(-0.3, 0.3)
    (0.5 * torch.max((values - returns) ** 2, (kept - returns) ** 2).mean()).backward()
    assert values.grad is not None
    torch.testing.assert_close(slope, values.grad)


def test_divergence_and_share_of_clipped_ratios_by_hand() -> None:
    """Ratios 1 and 2: (2 - 1) - log 2 is one half of the mean, and one of two is clipped."""
    divergence, share = policy_change(torch.tensor([0.0, math.log(2)]), 0.2)
    assert divergence.item() == pytest.approx((1 - math.log(2)) / 2)
    assert share.item() == 0.5


def test_one_update_by_hand() -> None:
    """Two steps, linear networks of zeros, gamma = lambda = 0.5: advantages and returns are 1.5 and 2.

    The first epoch's gradients are exact: ratios are 1, derivatives of the loss -0.75 and -1 for both log-probabilities
    and values. Adam's first step is the learning rate, 0.1, down every one of them. In the second epoch logits are
    +-0.2 and +-0.3, values 0.2 and 0.3.
    """
    env = DummyVecEnv([Road])
    algorithm = PPO(
        env,
        **{"n_steps": 2, "batch_size": 2, "n_epochs": 2, "gamma": 0.5, "gae_lambda": 0.5, "net_arch": []},
        **{"learning_rate": 0.1, "normalize_advantage": False, "clip_range": 0.2, "clip_range_vf": 0.25},
        **{"ent_coef": 0.0, "vf_coef": 1.0, "max_grad_norm": 100.0, "device": "cpu"},
    )
    pair = algorithm.network.actor_and_critic
    for parameter in pair.parameters():
        torch.nn.init.zeros_(parameter)
    gradients: list[torch.Tensor] = []
    pair.weights[0].register_post_accumulate_grad_hook(lambda weight: gradients.append(weight.grad.clone()))
    algorithm._rng = Led([1, 0])
    metrics = Metrics()
    algorithm.learn(2, logger=metrics)
    actor, critic = gradients[0]  # (n_in, n_out) each
    assert actor.tolist() == [pytest.approx([0.375 - 0.5 * 2, -0.375 + 0.5 * 2])]
    assert critic.tolist() == [pytest.approx([-0.75 - 2.0, 0.0])]

    rare, likely = -math.log(1 + math.exp(0.4)), -math.log(1 + math.exp(-0.6))  # of action 1 in 1, action 0 in 2
    log_ratios = rare + math.log(2), likely + math.log(2)
    ratios = [math.exp(log_ratio) for log_ratio in log_ratios]
    assert ratios == pytest.approx([0.802625, 1.291313], abs=1e-6)  # the second one is clipped
    entropies = 0.673540, 0.650095  # of softmax(0.2, -0.2) and softmax(0.3, -0.3), by hand below
    for entropy, logit in zip(entropies, (0.2, 0.3), strict=True):
        p = 1 / (1 + math.exp(-2 * logit))
        assert entropy == pytest.approx(-p * math.log(p) - (1 - p) * math.log(1 - p), abs=1e-6)
    (row,) = metrics.rows
    expected = {
        "train/policy_gradient_loss": (-1.75 - (ratios[0] * 1.5 + 1.2 * 2.0) / 2) / 2,
        "train/value_loss": (0.5 * (1.5**2 + 2.0**2) / 2 + 0.5 * (1.3**2 + 1.75**2) / 2) / 2,
        "train/entropy_loss": -(math.log(2) + sum(entropies) / 2) / 2,
        "train/approx_kl": sum(ratio - 1 - math.log(ratio) for ratio in ratios) / 2,
        "train/old_approx_kl": -sum(log_ratios) / 2,
        "train/clip_fraction": 0.25,
        "train/explained_variance": 0.0,
        "train/learning_rate": 0.1,
        "train/clip_range": 0.2,
    }
    assert {key: row[key] for key in expected} == pytest.approx(expected, abs=1e-5)


def sb3_update(
    algorithm: PPO, rollout: Rollout, env: VecEnv, *, seed: int, **options: Any
) -> tuple[SB3PPO, list[torch.Tensor]]:
    """Stable-Baselines3's `train()` on the same rollout from the same weights; its weights before, as ours lie."""
    other = SB3PPO("MlpPolicy", env, seed=0, device="cpu", **options)
    other.set_logger(configure(None, []))
    policy, pair = other.policy, algorithm.network.actor_and_critic
    nets = policy.mlp_extractor.policy_net, policy.mlp_extractor.value_net
    columns = [[*nets[0][::2], policy.action_net], [*nets[1][::2], policy.value_net]]
    for index, column in enumerate(columns):
        for layer, mine in zip(column, pair.alone(index)[::2], strict=True):
            layer.load_state_dict(mine.state_dict())
    buffer, start = other.rollout_buffer, np.ones(env.num_envs, dtype=bool)
    finals = {(t, i): final for t, i, final in rollout.finals}
    for t in range(algorithm.n_steps):
        observation, action = (torch.as_tensor(part[t]) for part in (rollout.observations, rollout.actions))
        with torch.no_grad():
            value, log_prob, _ = policy.evaluate_actions(observation, action)
            reward = rollout.rewards[t].copy()
            for i in range(env.num_envs):
                if (t, i) in finals:
                    reward[i] += other.gamma * policy.predict_values(torch.as_tensor(finals[t, i][None])).item()
        actions = rollout.actions[t].reshape(env.num_envs, -1)
        buffer.add(rollout.observations[t], actions, reward, start, value, log_prob)
        start = rollout.ended[t]
    with torch.no_grad():
        buffer.compute_returns_and_advantage(policy.predict_values(torch.as_tensor(algorithm._observation)), start)
    np.random.seed(seed)
    other.train()
    trained = [tensor for column in columns for layer in column for tensor in (layer.weight, layer.bias)]
    return other, trained


class SameOrder(np.random.Generator):
    """Permutations of NumPy's global generator, which number the samples of one environment after the other."""

    def __new__(cls, *arguments: Any) -> SameOrder:
        return super().__new__(cls, np.random.PCG64(0))

    def __init__(self, seed: int, n_envs: int) -> None:
        super().__init__(np.random.PCG64(0))
        self.legacy, self.n_envs = np.random.RandomState(seed), n_envs

    def permutation(self, n: int) -> Any:  # type: ignore[override]
        env, t = np.divmod(self.legacy.permutation(n), n // self.n_envs)
        return t * self.n_envs + env


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_one_whole_update_is_that_of_stable_baselines3(env_id: str, make_env: MakeEnv) -> None:
    """Same weights, rollout and order of samples; with episodes that end and episodes that are cut."""
    options = {"n_steps": 64, "batch_size": 48, "n_epochs": 4, "gamma": 0.98, "gae_lambda": 0.9, "ent_coef": 0.01}
    options |= {"learning_rate": 3e-3, "clip_range": 0.1}
    env = make_env(env_id, 3, max_episode_steps=25)
    env.seed(0)
    torch.manual_seed(0)
    algorithm = PPO(env, seed=0, device="cpu", clip_range_vf=None, vf_coef=1.0, **options)
    rollout = Rollout(64, algorithm.env, algorithm.network.distribution.n_outputs)
    algorithm._observation = algorithm.env.reset()
    algorithm._collect(rollout, TrainingHooks(algorithm, (), None))
    assert len(rollout.finals) > 0
    assert rollout.terminated.any() == (env_id == "CartPole-v1")
    before = [parameter.detach().clone() for parameter in algorithm.network.parameters()]

    other, theirs = sb3_update(algorithm, rollout, env, seed=5, vf_coef=0.5, **options)
    algorithm._rng = SameOrder(5, env.num_envs)
    metrics = algorithm._update(rollout, progress_remaining=1.0)
    pair = algorithm.network.actor_and_critic
    ours = [tensor for i in (0, 1) for layer in pair.alone(i)[::2] for tensor in (layer.weight, layer.bias)]
    moved = max(
        float((new - old).detach().abs().max()) for new, old in zip(algorithm.network.parameters(), before, strict=True)
    )
    assert moved > 0.01
    for mine, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.detach(), their.detach(), rtol=0, atol=2e-4 * moved)
    if env_id == "Pendulum-v1":
        torch.testing.assert_close(algorithm.network.distribution.log_std, other.policy.log_std, rtol=0, atol=1e-5)
    logged = other.logger.name_to_value
    for name in ("policy_gradient_loss", "entropy_loss", "approx_kl", "clip_fraction", "explained_variance"):
        assert metrics[f"train/{name}"] == pytest.approx(float(logged[f"train/{name}"]), abs=1e-4)
    assert 2 * metrics["train/value_loss"] == pytest.approx(logged["train/value_loss"], rel=1e-4)


@pytest.mark.parametrize(("bootstrap", "target"), [(True, 1 + 0.5 * 8), (False, 1.0)])
def test_an_episode_that_is_cut_is_worth_what_follows(bootstrap: bool, target: float) -> None:
    env = DummyVecEnv([lambda: gymnasium.wrappers.TimeLimit(Road(), max_episode_steps=1)])
    algorithm = PPO(
        env, n_steps=4, n_epochs=1, net_arch=[], gamma=0.5, bootstrap_truncated=bootstrap, clip_range_vf=None
    )
    pair = algorithm.network.actor_and_critic
    torch.nn.init.zeros_(pair.weights[0])
    pair.biases[0].data[1, 0, 0] = 8.0
    metrics = Metrics()
    algorithm.learn(4, logger=metrics)
    assert metrics.rows[0]["train/value_loss"] == pytest.approx(0.5 * (8 - target) ** 2)


def test_the_learning_rate_falls_by_the_courses_formula(make_env: MakeEnv) -> None:
    """(1 - (update - 1) / n_updates) of it, with n_updates = 90 // 16."""
    metrics = Metrics()
    algorithm = PPO(make_env("CartPole-v1", 2), n_steps=8, learning_rate=LinearSchedule(0.5e-3, 0, 1), seed=0)
    algorithm.learn(90, logger=metrics)
    rates = [row["train/learning_rate"] for row in metrics.rows]
    assert rates == pytest.approx([5e-4, 4e-4, 3e-4, 2e-4, 1e-4, 0], abs=1e-12)
    assert algorithm.num_timesteps == 96


@pytest.mark.parametrize(("target_kl", "n_epochs"), [(1e-6, 1), (100.0, 10), (None, 10)])
def test_epochs_end_beyond_the_target_divergence(target_kl: float | None, n_epochs: int, make_env: MakeEnv) -> None:
    algorithm = PPO(
        make_env("CartPole-v1"), n_steps=32, batch_size=8, n_epochs=10, learning_rate=0.01, target_kl=target_kl, seed=0
    )
    algorithm.learn(32)
    assert algorithm.optimizer.n_steps == 4 * n_epochs


def test_the_range_of_values_is_by_default_that_of_the_policy(make_env: MakeEnv) -> None:
    env = make_env("CartPole-v1")
    algorithm = PPO(env, clip_range=LinearSchedule(0.2, 0, 1))
    assert algorithm.clip_range_vf is not None
    assert algorithm.clip_range_vf(0.5) == pytest.approx(0.1)
    assert PPO(env, clip_range_vf=None).clip_range_vf is None


def test_probabilities_of_choices_are_those_of_torch() -> None:
    torch.manual_seed(0)
    logits, actions = torch.randn(50, 5), torch.stack([torch.randint(2, (50,)), torch.randint(3, (50,))], dim=1)
    log_prob, entropy = Choices([2, 3], (2,))(logits, actions)
    parts = [Categorical(logits=part) for part in logits.split([2, 3], dim=1)]
    torch.testing.assert_close(log_prob, sum(d.log_prob(a) for d, a in zip(parts, actions.T, strict=True)))
    torch.testing.assert_close(entropy, parts[0].entropy() + parts[1].entropy())


def test_densities_of_continuous_actions_are_those_of_torch() -> None:
    torch.manual_seed(0)
    means, actions, distribution = torch.randn(50, 2), torch.randn(50, 2), Normal((2,), -0.5)
    log_prob, entropy = distribution(means, actions)
    theirs = TorchNormal(means, math.exp(-0.5))
    torch.testing.assert_close(log_prob, theirs.log_prob(actions).sum(1))
    torch.testing.assert_close(entropy, theirs.entropy().sum(1))


def test_actions_are_drawn_as_often_as_they_are_likely() -> None:
    logits = np.tile(np.log([0.1, 0.2, 0.7]), (60_000, 1))
    drawn = Choices([3], ()).actions(logits, np.random.default_rng(0))
    assert np.bincount(drawn) / len(drawn) == pytest.approx([0.1, 0.2, 0.7], abs=0.01)
    assert Choices([3], ()).actions(logits, None).tolist() == [2] * len(logits)
    drawn = Normal((1,), math.log(0.5)).actions(np.full((60_000, 1), 3.0), np.random.default_rng(0))
    assert [drawn.mean(), drawn.std()] == pytest.approx([3.0, 0.5], abs=0.01)


def test_a_pair_is_its_two_networks() -> None:
    torch.manual_seed(0)
    first, second = (layers([3, 8, 8, n], torch.nn.Tanh, gain=1.0) for n in (4, 1))
    pair, inputs = Pair(first, second), torch.randn(6, 3)
    for mine, alone, network in zip(pair(inputs), (pair.alone(0), pair.alone(1)), (first, second), strict=True):
        torch.testing.assert_close(mine, network(inputs))
        torch.testing.assert_close(alone(inputs), network(inputs))
    pair.biases[0].data += 1
    torch.testing.assert_close(pair.alone(0)(inputs), pair(inputs)[0])


def test_adam_over_one_vector_is_torchs() -> None:
    torch.manual_seed(0)
    networks = [layers([3, 8, 1], torch.nn.Tanh) for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    mine = FlatAdam(networks[0].parameters(), eps=1e-5)
    theirs = torch.optim.Adam(networks[1].parameters(), lr=0.01, eps=1e-5)
    for _ in range(20):
        inputs = torch.randn(16, 3)
        mine.minimize(networks[0](inputs).square().mean(), learning_rate=0.01, max_grad_norm=0.05)
        theirs.zero_grad()
        networks[1](inputs).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(networks[1].parameters(), 0.05)
        theirs.step()
    for one, other in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def images() -> VecEnv:
    return VecTransposeImage(DummyVecEnv([lambda: FakeImageEnv(6, 40, 40, 3, channel_first=False)]))


@pytest.mark.parametrize(
    "make",
    [
        images,
        lambda: VecTransposeImage(DummyVecEnv([lambda: SimpleMultiObsEnv(random_start=False)] * 2)),
        lambda: DummyVecEnv([lambda: IdentityEnvMultiDiscrete(dim=3, ep_length=10)] * 2),
        lambda: DummyVecEnv([lambda: IdentityEnvMultiBinary(dim=3, ep_length=10)] * 2),
        lambda: DummyVecEnv([lambda: IdentityEnvBox(eps=0.5)] * 2),
    ],
    ids=["image", "dict", "multi_discrete", "multi_binary", "box"],
)
def test_all_kinds_of_observations_and_actions(make: Callable[[], VecEnv]) -> None:
    env = make()
    algorithm = PPO(env, n_steps=16, batch_size=8, n_epochs=2, learning_rate=1e-3, seed=0, device="cpu")
    before = {name: tensor.clone() for name, tensor in algorithm.network.state_dict().items()}
    algorithm.learn(32)
    moved = [name for name, tensor in algorithm.network.state_dict().items() if not torch.equal(tensor, before[name])]
    assert moved == list(before)  # convolutions and standard deviations too
    for deterministic in (True, False):
        actions, _ = algorithm.predict(env.reset(), deterministic=deterministic)
        assert len(actions) == env.num_envs
        assert all(env.action_space.contains(action) for action in actions)
    env.close()


def test_it_balances_the_pole(make_env: MakeEnv) -> None:
    """Random actions last for 22 steps; of six seeds, the worst reached 119 after these 25,000."""
    env = make_env("CartPole-v1", 8)
    env.seed(0)
    torch.manual_seed(0)
    schedules = {name: LinearSchedule(start, 0, 1) for name, start in (("learning_rate", 1e-3), ("clip_range", 0.2))}
    algorithm = PPO(
        env,
        n_steps=32,
        batch_size=256,
        n_epochs=10,
        gae_lambda=0.8,
        gamma=0.98,
        clip_range_vf=None,
        seed=0,
        **schedules,
    )
    algorithm.learn(25_000)
    pole, returns = gymnasium.make("CartPole-v1"), []
    for seed in range(5):
        observation, total, over = pole.reset(seed=seed)[0], 0.0, False
        while not over:
            action = algorithm.predict(observation, deterministic=True)[0]
            observation, reward, terminated, truncated, _ = pole.step(action)
            total, over = total + float(reward), terminated or truncated
        returns.append(total)
    assert np.mean(returns) > 100
