"""REINFORCE: returns by hand, the gradient three ways, actions that are drawn, episodes that are whole."""

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
from torch import nn

import rlzoo
from benchmarks.baselines import reinforce as course
from rlzoo.algos.deep.networks import Actor, draw, fast_forward
from rlzoo.algos.deep.reinforce import Reinforce
from rlzoo.algos.deep.returns import full_return, rewards_to_go, standardized
from rlzoo.protocols import Algorithm, Callback


def test_returns_by_hand() -> None:
    assert rewards_to_go([1, 2, 3], 1.0).tolist() == [6, 5, 3]
    assert rewards_to_go([1, 2, 3], 0.5).tolist() == [2.75, 3.5, 3]
    assert rewards_to_go([4, -1, 0, 2], 0.0).tolist() == [4, -1, 0, 2]
    assert full_return([1, 2, 3], 0.5).tolist() == [2.75, 2.75, 2.75]


def test_every_reward_is_looked_at_once() -> None:
    class Counted(list):
        looks = 0

        def __getitem__(self, index: Any) -> Any:
            self.looks += 1
            return super().__getitem__(index)

    rewards = Counted([1.0] * 50)
    assert rewards_to_go(rewards, 1.0)[0] == 50
    assert rewards.looks == 50


def test_standardized_as_a_sample() -> None:
    assert standardized(np.array([1.0, 2.0, 3.0])) == pytest.approx([-1, 0, 1], abs=1e-6)
    assert standardized(np.array([4.0, 4.0])).tolist() == [0, 0]
    assert standardized(np.array([7.0])).tolist() == [0]


class Script(gymnasium.Env):
    """Episodes of a fixed length; the observation counts steps, an action earns itself."""

    observation_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, length: int) -> None:
        self.length = length

    def reset(self, **options: Any) -> tuple[np.ndarray, dict]:
        self.t = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.t += 1
        ended = {"episode": {"r": 0.0, "l": self.t}} if self.t == self.length else {}
        return np.full(1, self.t, np.float32), float(action), self.t == self.length, False, ended


class Seen(Reinforce):
    """Keeps what each update learns from, and its gradient."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.seen: list[dict[str, Any]] = []

    def _update(self, progress_remaining: float) -> None:
        episodes = list(self._episodes)
        observations, actions, returns = self._batch()
        super()._update(progress_remaining)
        gradient = self.optimizers["actor_adam"].gradient.clone()
        self.seen.append(
            {
                "episodes": episodes,
                "observations": observations,
                "actions": actions,
                "returns": returns,
                "gradient": gradient,
            }
        )


def test_the_gradient_is_the_score_times_the_return() -> None:
    """Of a linear policy: d log pi(a|s) / d logits = onehot(a) - pi(s)."""
    algorithm = Seen(DummyVecEnv([lambda: Script(4)]), net_arch=[], normalize_returns=None, gamma=0.9, seed=0)
    weight, bias = (parameter.detach().numpy().copy() for parameter in algorithm.actor.layers.parameters())
    algorithm.learn(4)
    (seen,) = algorithm.seen
    taken = seen["actions"].tolist()
    returns = [sum(0.9**k * taken[t + k] for k in range(4 - t)) for t in range(4)]
    expected_weight, expected_bias = np.zeros((2, 1)), np.zeros(2)
    for t in range(4):
        logits = weight[:, 0] * t + bias
        score = np.eye(2)[taken[t]] - np.exp(logits) / np.exp(logits).sum()
        expected_weight -= returns[t] * score[:, None] * t
        expected_bias -= returns[t] * score
    assert seen["gradient"].numpy() == pytest.approx([*expected_weight.ravel(), *expected_bias], rel=1e-5)


def test_the_gradient_is_that_of_autograd_through_torchs_distribution(make_env: Callable[..., VecEnv]) -> None:
    algorithm = Seen(make_env("CartPole-v1"), n_episodes_per_update=2, normalize_returns="batch", seed=1)
    network = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    network.load_state_dict(algorithm.actor.layers.state_dict())
    algorithm.learn(1000)
    seen = algorithm.seen[0]
    returns = torch.tensor(seen["returns"], dtype=torch.float32)
    policy = torch.distributions.Categorical(logits=network(torch.tensor(seen["observations"])))
    log_prob = policy.log_prob(torch.tensor(seen["actions"]))
    (-(log_prob * (returns - returns.mean()) / returns.std()).sum() / 2).backward()
    expected = torch.cat([parameter.grad.flatten() for parameter in network.parameters()])  # type: ignore[union-attr]
    assert torch.allclose(seen["gradient"], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("gamma", [1.0, 0.99])
def test_updates_are_those_of_the_courses_loop(make_env: Callable[..., VecEnv], gamma: float) -> None:
    """On the same episodes, ten in a row: the same gradients, and the same weights in the end."""
    algorithm = Seen(make_env("CartPole-v1"), gamma=gamma, seed=2)
    policy = course.Policy(4, 2, [16])
    for mine, theirs in zip(policy.parameters(), algorithm.actor.layers.parameters(), strict=True):
        mine.data.copy_(theirs)
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.01)
    algorithm.learn(10**6, [AfterEpisodes(10)])
    assert algorithm.n_updates == 10  # the last episode counts too
    for seen in algorithm.seen:
        probabilities = policy(torch.tensor(seen["observations"]))
        distribution = torch.distributions.Categorical(probabilities)
        log_probs = list(distribution.log_prob(torch.tensor(seen["actions"])).split(1))
        optimizer.zero_grad()
        course.loss([1.0] * len(log_probs), log_probs, gamma).backward()
        gradient = torch.cat([parameter.grad.flatten() for parameter in policy.parameters()])  # type: ignore[union-attr]
        assert torch.allclose(seen["gradient"], gradient, rtol=1e-4, atol=1e-5)
        optimizer.step()
    for mine, theirs in zip(policy.parameters(), algorithm.actor.layers.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)


class AfterEpisodes(Callback):
    def __init__(self, n_episodes: int) -> None:
        self.n_episodes = n_episodes

    def on_step(self, algorithm: Algorithm) -> bool:
        return algorithm.n_episodes < self.n_episodes


def test_actions_are_drawn_and_not_the_likeliest() -> None:
    """The course's first version took the argmax, and never tried anything else."""
    space = spaces.Box(-1, 1, (1,))
    actor = Actor(space, spaces.Discrete(3), [], nn.ReLU)
    with torch.no_grad():
        actor.layers[0].weight.zero_()
        actor.layers[0].bias.copy_(torch.tensor([0.5, 0.3, 0.2]).log())
    forward = fast_forward(actor, space, torch.device("cpu"))
    observation = np.zeros((30_000, 1), np.float32)
    actions = actor.sample(forward, observation, np.random.default_rng(0))
    assert np.bincount(actions) / 30_000 == pytest.approx([0.5, 0.3, 0.2], abs=0.01)
    np.random.seed(0)
    drawn = actor.sample(forward, observation, np.random)
    assert np.bincount(drawn) / 30_000 == pytest.approx([0.5, 0.3, 0.2], abs=0.01)
    assert set(actor.sample(forward, observation, None)) == {0}


def test_draws_at_the_borders() -> None:
    logits = [math.log(0.25), math.log(0.75)]
    assert [draw(logits, chance) for chance in (0.0, 0.2499, 0.2501, 1 - 2**-53)] == [0, 0, 1, 1]
    assert draw([1000.0, -1000.0], 1 - 2**-53) == 0
    assert draw([-1000.0, 1000.0, -1000.0], 0.0) == 1


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.ELU])
def test_numpy_sees_the_weights_of_every_update(make_env: Callable[..., VecEnv], activation: type[nn.Module]) -> None:
    algorithm = Reinforce(make_env("CartPole-v1"), net_arch=[8, 8], activation_fn=activation, seed=0)
    observation = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    for total in (1, 200):
        algorithm.learn(total)
        expected = algorithm.actor.layers(torch.tensor(observation)).detach().numpy()
        assert algorithm._outputs(observation) == pytest.approx(expected, abs=1e-5)
    assert algorithm.n_updates > 0


def test_every_environment_gives_its_share_of_whole_episodes_played_with_the_same_weights() -> None:
    algorithm = Seen(DummyVecEnv([lambda: Script(2), lambda: Script(5)]), seed=0)
    algorithm.learn(30)
    episodes = [seen["episodes"] for seen in algorithm.seen]
    assert episodes[0] == [(0, 0, 2), (1, 0, 5)]
    assert episodes[1] == [(0, 1, 3), (1, 0, 5)]  # what began before the update is left out
    assert episodes[2] == [(0, 0, 2), (1, 0, 5)]
    assert algorithm.seen[1]["observations"].ravel().tolist() == [0, 1, 0, 1, 2, 3, 4]
    assert algorithm.n_updates == 3


def test_an_episode_that_restarts_is_learnt_from_from_there_on() -> None:
    algorithm = Seen(DummyVecEnv([lambda: Script(4)]), seed=0)
    algorithm.learn(3)
    algorithm.begin_episodes(algorithm.env.reset(), np.array([True]))
    algorithm.learn(7)
    assert algorithm.seen[0]["episodes"] == [(0, 3, 7)]
    assert algorithm.seen[0]["observations"].ravel().tolist() == [0, 1, 2, 3]


class Luck(gymnasium.Env):
    """One step: the observation, 1 or -1, decides over most of the reward, the action over little."""

    observation_space = spaces.Box(-1, 1, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.luck = self.np_random.choice([-1.0, 1.0])
        return np.full(1, self.luck, np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        return np.zeros(1, np.float32), 10 * self.luck + action, True, False, {"episode": {"r": 0.0, "l": 1}}


def luck_gradients(*, baseline: bool) -> np.ndarray:
    env = DummyVecEnv([Luck])
    env.seed(0)
    options = {"net_arch": [], "normalize_returns": None, "learning_rate": 1e-12, "value_learning_rate": 1e-12}
    algorithm = Seen(env, baseline=baseline, seed=0, **options)
    with torch.no_grad():
        for parameter in algorithm.actor.layers.parameters():
            parameter.zero_()
        if algorithm.critic is not None:
            algorithm.critic.layers[0].weight.fill_(10)
            algorithm.critic.layers[0].bias.fill_(0.5)
    algorithm.learn(1000)
    return np.array([seen["gradient"].numpy() for seen in algorithm.seen])


def test_a_baseline_takes_variance_and_no_bias() -> None:
    plain, with_baseline = luck_gradients(baseline=False), luck_gradients(baseline=True)
    assert with_baseline.var(axis=0).max() < 0.01 * plain.var(axis=0).max()
    # E[-(10 luck + a) (onehot(a) - 1/2)]: 1/4 for the logit of 0, -1/4 for that of 1, by the bias
    assert with_baseline.mean(axis=0)[2:] == pytest.approx([0.25, -0.25], abs=0.03)
    assert plain.mean(axis=0)[2:] == pytest.approx([0.25, -0.25], abs=5 * 5 / math.sqrt(1000))


def test_a_baseline_learns_the_returns() -> None:
    env = DummyVecEnv([Luck])
    env.seed(0)
    algorithm = Reinforce(env, baseline=True, net_arch=[], value_learning_rate=0.1, seed=0)
    algorithm.learn(600)
    values = algorithm.critic(torch.tensor([[-1.0], [1.0]])).tolist()  # type: ignore[misc]
    assert values == pytest.approx([-9.5, 10.5], abs=0.7)


def test_a_return_for_all_steps_needs_several_episodes_to_compare() -> None:
    env = DummyVecEnv([lambda: Script(2)])
    for normalize, n_episodes in (("episode", 8), ("batch", 1)):
        with pytest.raises(ValueError, match="reward_to_go=False"):
            Reinforce(env, reward_to_go=False, normalize_returns=normalize, n_episodes_per_update=n_episodes).learn(1)
    algorithm = Seen(env, reward_to_go=False, normalize_returns="batch", n_episodes_per_update=8, seed=0)
    algorithm.learn(16)
    returns = algorithm.seen[0]["returns"].reshape(8, 2)
    assert (returns[:, 0] == returns[:, 1]).all()
    assert algorithm.seen[0]["gradient"].abs().max() > 0


def test_it_balances_the_pole(make_env: Callable[..., VecEnv]) -> None:
    env = make_env("CartPole-v1")
    env.seed(0)
    torch.manual_seed(0)
    algorithm = Reinforce(env, seed=0)
    rows: list[float] = []
    algorithm.learn(25_000, logger=Log(rows))
    assert rows[-1] > 2 * rows[0]
    assert rows[-1] > 150


class Log:
    def __init__(self, rows: list[float]) -> None:
        self.rows = rows

    def log(self, metrics: Any, step: int) -> None:
        self.rows.append(metrics["rollout/ep_rew_mean"])

    def close(self) -> None: ...


class Aim(gymnasium.Env):
    """One step: the nearer an action is to 0.5, the better."""

    observation_space = spaces.Box(-1, 1, (1,), np.float32)
    action_space = spaces.Box(-2, 2, (1,), np.float32)

    def reset(self, **options: Any) -> tuple[np.ndarray, dict]:
        return np.ones(1, np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        assert self.action_space.contains(action)
        return np.ones(1, np.float32), -abs(float(action[0]) - 0.5), True, False, {"episode": {"r": 0.0, "l": 1}}


def test_it_aims_with_continuous_actions() -> None:
    torch.manual_seed(0)
    algorithm = Reinforce(
        DummyVecEnv([Aim]), n_episodes_per_update=32, normalize_returns="batch", learning_rate=0.05, seed=0
    )
    algorithm.learn(32 * 100)
    action, _ = algorithm.predict(np.ones(1, np.float32), deterministic=True)
    assert action == pytest.approx([0.5], abs=0.15)
    assert algorithm.actor.distribution.log_std.item() < -0.5  # it is surer of itself than it was


class Views(gymnasium.Env):
    """An image, or an image and a number."""

    action_space = spaces.Discrete(3)

    def __init__(self, *, both: bool) -> None:
        image = spaces.Box(0, 255, (1, 36, 36), np.uint8)
        self.observation_space = spaces.Dict({"image": image, "speed": spaces.Box(-1, 1, (2,))}) if both else image

    def reset(self, **options: Any) -> tuple[Any, dict]:
        self.t = 0
        return self.observation_space.sample(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict]:
        self.t += 1
        return self.observation_space.sample(), float(action), self.t == 3, False, {}


@pytest.mark.parametrize("both", [False, True])
def test_images_and_dicts(both: bool) -> None:
    env = DummyVecEnv([lambda: Views(both=both)] * 2)
    algorithm = Reinforce(env, baseline=True, seed=0)
    algorithm.learn(20)
    assert algorithm.n_updates == 3
    assert len(algorithm._rewards) == 1
    other = Reinforce(env, baseline=True, seed=5)
    other.restore(algorithm.state())
    single = env.observation_space.sample()
    action, _ = algorithm.predict(single, deterministic=True)
    assert action.shape == ()
    assert other.predict(single, deterministic=True)[0] == action
    other.env, algorithm.env = algorithm.env, other.env
    other.learn(24)
    assert other.n_updates == 4  # with the step that was there already


@pytest.mark.slow
def test_chance_beats_certainty_where_two_cells_look_alike(tmp_path):
    """The best policy without chance finds the dust from one of the two cells; the shipped set, from both."""
    words = ["algo=reinforce", "env=AliasedGridworld", "seed=7", "logger=[]", "eval.freq=0", f"runs_dir={tmp_path}"]
    run = rlzoo.train(*words)
    sampled, greedy = (
        rlzoo.evaluate(run, n_episodes=200, deterministic=greedy).mean_reward for greedy in (False, True)
    )
    assert sampled > 0.9
    assert greedy < 0.7
