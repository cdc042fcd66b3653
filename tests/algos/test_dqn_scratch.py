"""DQN of our own: the numbers of its papers worked out by hand, and trainings that learn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import ReplayBufferSamples
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.deep.dqn_scratch import DQNScratch, QNetwork, linear_schedule
from rlzoo.algos.deep.replay import SumTree, Transitions, importance_weights, n_step_returns
from rlzoo.algos.memory import Sizes, buffer_bytes
from rlzoo.config.compose import compose
from rlzoo.config.parse import parse
from rlzoo.envs.make import make
from rlzoo.protocols import Algorithm, Callback
from tests.algos.conftest import defaults
from tests.small import RAINBOW_LITE

MakeEnv = Callable[..., VecEnv]
ONLINE = torch.tensor([[1.0, 3.0, 2.0], [5.0, 4.0, 0.0], [0.0, 0.0, 0.0]])
TARGET = torch.tensor([[9.0, 4.0, 6.0], [1.0, 7.0, 8.0], [2.0, 3.0, 1.0]])


class Fixed(torch.nn.Module):
    """A network that says the same, whatever it is given."""

    def __init__(self, outputs: torch.Tensor) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, inputs: Any) -> torch.Tensor:
        return self.outputs


def targets(algorithm: DQNScratch, rewards: list[float], discounts: list[float]) -> list[float]:
    """What three transitions are learned towards, by `ONLINE` and `TARGET`: the value of action 1 minus its error."""
    algorithm.q_network, algorithm.target_network = Fixed(ONLINE), Fixed(TARGET)  # type: ignore[assignment]
    observations, actions = np.zeros((3, 4), np.float32), np.ones(3, np.int64)
    numbers = (np.array(part, np.float32) for part in (rewards, discounts, [1, 1, 1]))
    returns, discount, weights = numbers
    batch = Transitions(observations, actions, returns, observations, discount, weights, actions)
    return (ONLINE[:, 1] - algorithm.errors(batch)).tolist()


def test_the_target_network_chooses_and_judges(make_env: MakeEnv) -> None:
    """r + 0.9 max Q': 1 + 0.9 * 9, 0 + 0.9 * 8, and -1 where the episode ended."""
    found = targets(small(make_env("CartPole-v1")), [1, 0, -1], [0.9, 0.9, 0])
    assert found == pytest.approx([9.1, 7.2, -1.0])


def test_double_the_network_chooses_and_the_target_network_judges(make_env: MakeEnv) -> None:
    """argmax Q is 1, 0 and (of equals the first) 0, for which Q' is 4, 1 and 2."""
    assert targets(small(make_env("CartPole-v1"), double=True), [0, 0, 0], [1, 1, 1]) == [4.0, 1.0, 2.0]


def test_dueling_values_are_the_value_and_the_advantages_without_their_mean() -> None:
    """10 + (1, 2, 6) - 3, and 0 + (-2, 2, 0) - 0."""
    network = QNetwork(spaces.Box(-1, 1, (2,)), 3, [4], torch.nn.ReLU, dueling=True)
    network.value = Fixed(torch.tensor([[10.0], [0.0]]))  # type: ignore[assignment]
    network.advantage = Fixed(torch.tensor([[1.0, 2.0, 6.0], [-2.0, 2.0, 0.0]]))  # type: ignore[assignment]
    assert network(torch.zeros(2, 2)).tolist() == [[8.0, 9.0, 13.0], [-2.0, 2.0, 0.0]]


def test_returns_over_several_steps() -> None:
    """gamma = 0.5: 1 + 1 + 1 = 3 over three steps; 1 + 1 up to an end after two; 1 at an end at once."""
    rewards = np.array([[1.0, 2.0, 4.0]] * 4)
    ends = np.array([[False, False, False], [False, True, False], [True, False, True], [False, False, True]])
    returns, lengths = n_step_returns(rewards, ends, 0.5)
    assert returns.tolist() == [3.0, 2.0, 1.0, 3.0]
    assert lengths.tolist() == [3, 2, 1, 3]


def test_importance_weights() -> None:
    """N = 4, P = 1/2, 1/4, 1/16: N P = 2, 1, 1/4; ^-1 = 1/2, 1, 4; by the largest 1/8, 1/4, 1. ^-0.5: its roots."""
    probabilities = np.array([1 / 2, 1 / 4, 1 / 16])
    assert importance_weights(probabilities, 4, 1.0).tolist() == [0.125, 0.25, 1.0]
    assert importance_weights(probabilities, 4, 0.5) == pytest.approx([0.125**0.5, 0.5, 1.0])
    assert importance_weights(probabilities, 4, 0.0).tolist() == [1.0, 1.0, 1.0]


def test_a_sum_tree() -> None:
    """Priorities 1, 2, 3, 4, 5: the total is 15, and masses 0 to 1 are of index 0, 1 to 3 of index 1, ..."""
    tree = SumTree(5)
    tree.set(np.arange(5), np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert tree.nodes[1:8].tolist() == [15, 10, 5, 3, 7, 5, 0]
    masses = np.array([0.0, 0.99, 1.0, 2.99, 3.0, 5.99, 6.0, 9.99, 10.0, 14.99])
    assert tree.find(masses).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    tree.set(np.array([1, 4]), np.array([0.0, 0.5]))
    assert tree.total == 8.5
    assert tree.find(np.array([1.0, 8.5])).tolist() == [2, 4]  # nothing of index 1; the total itself is of the last


def test_a_sum_tree_rebuilt_is_the_same_to_the_last_bit() -> None:
    rng = np.random.default_rng(0)
    tree, copy = SumTree(1000), SumTree(1000)
    for _ in range(100):
        tree.set(rng.integers(1000, size=32), rng.random(32))
    copy.leaves[:] = tree.leaves
    copy.rebuild()
    assert np.array_equal(copy.nodes, tree.nodes)


def test_a_schedule_falls_in_a_line() -> None:
    """From 1 to 0.05 over a tenth of the training."""
    found = [linear_schedule(1.0, 0.05, 0.1, done) for done in (0.0, 0.05, 0.1, 0.7)]
    assert found == pytest.approx([1.0, 0.525, 0.05, 0.05])


def small(env: VecEnv, **options: Any) -> DQNScratch:
    values: dict[str, Any] = {
        "learning_starts": 16,
        "batch_size": 8,
        "buffer_size": 200,
        "net_arch": [8],
        "device": "cpu",
    }
    return DQNScratch(env, seed=0, **(values | options))


class Rates(Callback):
    def __init__(self) -> None:
        self.rates: dict[int, float] = {}

    def on_step(self, algorithm: Any) -> bool:
        self.rates[algorithm.num_timesteps] = algorithm.exploration_rate
        return True


def test_exploration_runs_over_the_training(make_env: MakeEnv) -> None:
    algorithm, rates = small(make_env("CartPole-v1"), exploration_fraction=0.5, exploration_final_eps=0.2), Rates()
    algorithm.learn(200, [rates])
    expected = {1: 1 - 0.8 / 100, 50: 0.6, 100: 0.2, 200: 0.2}
    assert {step: rates.rates[step] for step in expected} == pytest.approx(expected)


def test_half_of_the_actions_are_random_when_they_should_be(make_env: MakeEnv) -> None:
    algorithm = small(
        make_env("CartPole-v1"), exploration_initial_eps=0.5, exploration_final_eps=0.5, learning_starts=0
    )
    algorithm.env.n_envs = 4000
    observation = np.tile(np.array([0.1, 0.2, 0.3, 0.4], np.float32), (4000, 1))
    best, _ = algorithm.predict(observation[0], deterministic=True)
    for actions in (algorithm._explore(observation), algorithm.predict(observation)[0]):
        assert np.mean(actions == best) == pytest.approx(0.75, abs=0.03)
    assert (algorithm.predict(observation, deterministic=True)[0] == best).all()


class Networks(Callback):
    """Whether the two networks are equal, and the weights, at every boundary."""

    def __init__(self) -> None:
        self.equal: dict[int, bool] = {}

    def on_boundary(self, algorithm: Any) -> None:
        self.equal[algorithm.num_timesteps] = torch.equal(algorithm._weights, algorithm._target_weights)


def test_the_target_network_follows_every_so_many_steps(make_env: MakeEnv) -> None:
    """With two environments, every 10th step of both is 20 steps; an update follows at once, train_freq being 1."""
    networks = Networks()
    algorithm = small(make_env("CartPole-v1", 2), train_freq=1, target_update_interval=20)
    algorithm.learn(80, [networks])
    assert [step for step, equal in networks.equal.items() if equal] == list(range(0, 18, 2))
    before = algorithm._target_weights.detach().clone()
    algorithm.learn(82)
    assert torch.equal(algorithm._target_weights, before)


def test_tau_mixes_the_networks(make_env: MakeEnv) -> None:
    algorithm = small(make_env("CartPole-v1"), tau=0.25, target_update_interval=1, learning_starts=1000)
    algorithm._weights.data.fill_(4.0)
    algorithm._target_weights.data.fill_(0.0)
    algorithm.learn(2)
    assert algorithm._target_weights.unique().tolist() == [1.75]  # 1, then 1 + (4 - 1) / 4


@pytest.mark.parametrize(("steps", "updates"), [(16, 0), (20, 2), (24, 4)])
def test_updates_begin_after_learning_starts(make_env: MakeEnv, steps: int, updates: int) -> None:
    algorithm = small(make_env("CartPole-v1"), gradient_steps=2)
    algorithm.learn(steps)
    assert algorithm.n_updates == updates


def test_without_its_memory_it_warms_up_again(make_env: MakeEnv) -> None:
    algorithm = small(make_env("CartPole-v1"), train_freq=1)
    algorithm.learn(40)
    assert algorithm.n_updates == 24
    state = algorithm.state()
    env = make_env("CartPole-v1")
    env.reset()
    again = small(env, train_freq=1)
    again.restore(state)
    again.warm_up_again()
    again.learn(56)
    assert again.n_updates == 24
    again.learn(57)
    assert again.n_updates == 25


def images(n: int, space: spaces.Box) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, *space.shape), dtype=np.uint8)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "image"])
def test_one_gradient_step_is_that_of_stable_baselines3(env_id: str, make_env: MakeEnv, workdir: Any) -> None:
    if env_id == "image":
        env = make(parse(compose("train", ["algo=dqn", "env=SpaceInvaders"]).values).env, n_envs=1, seed=0)
    else:
        env = make_env(env_id)
    options: dict[str, Any] = {"batch_size": 16, "buffer_size": 100, "learning_rate": 1e-3, "device": "cpu"}
    policy, net_arch = ("CnnPolicy", []) if env_id == "image" else ("MlpPolicy", [64, 64])
    theirs = DQN(policy, env, policy_kwargs={"net_arch": net_arch}, **options)
    mine = DQNScratch(env, **options)
    with torch.no_grad():
        for ours, other in ((mine.q_network, theirs.q_net), (mine.target_network, theirs.q_net_target)):
            for parameter, value in zip(ours.parameters(), other.parameters(), strict=True):
                parameter.copy_(value)
        mine.target_network.advantage[-1].bias += 0.5
        theirs.q_net_target.q_net[-1].bias += 0.5
    space: Any = env.observation_space
    rng = np.random.default_rng(0)
    both = images(32, space) if env_id == "image" else rng.normal(size=(32, 4)).astype(np.float32)
    actions, rewards = rng.integers(2, size=16), 3 * rng.normal(size=16).astype(np.float32)
    dones = (rng.random(16) < 0.3).astype(np.float32)
    batch = Transitions(
        both[:16], actions, rewards, both[16:], np.float32(0.99) * (1 - dones), np.ones(16, np.float32), actions
    )
    mine._update(batch)
    column = (torch.as_tensor(part)[:, None] for part in (dones, rewards))
    observations, following = (torch.as_tensor(part) for part in (both[:16], both[16:]))
    samples = ReplayBufferSamples(observations, torch.as_tensor(actions)[:, None], following, *column)
    theirs.replay_buffer.sample = lambda *_, **__: samples  # type: ignore[method-assign, union-attr]
    theirs.set_logger(Logger(None, []))
    theirs._current_progress_remaining = 1.0
    theirs.train(1, 16)
    assert mine._losses[0] == pytest.approx(theirs.logger.name_to_value["train/loss"], rel=1e-5)
    gradients = zip(mine.q_network.parameters(), theirs.q_net.parameters(), strict=True)
    for ours, other in gradients:
        assert torch.allclose(ours.grad, other.grad, rtol=1e-3, atol=1e-6)  # type: ignore[arg-type]
        close = torch.isclose(ours, other, rtol=1e-4, atol=1e-5)
        assert close.float().mean() > 0.999  # Adam's first step is the sign of gradients, however small
    env.close()


def test_priorities_are_the_errors(make_env: MakeEnv) -> None:
    algorithm = small(make_env("CartPole-v1"), prioritized=True, prioritized_alpha=0.5, prioritized_eps=0.01)
    algorithm.learn(20)
    batch = algorithm._sample()
    with torch.no_grad():
        before = {name: part.clone() for name, part in algorithm.q_network.state_dict().items()}
    algorithm._update(batch)
    algorithm.q_network.load_state_dict(before)
    errors = algorithm.errors(batch).detach().abs().numpy()
    tree = algorithm.replay.tree
    assert tree is not None
    assert tree.leaves[batch.indices] == pytest.approx((errors + 0.01) ** 0.5, rel=1e-4)


def test_dueling_streams_share_only_the_convolutions() -> None:
    space = spaces.Box(0, 255, (4, 84, 84), np.uint8)
    plain = QNetwork(space, 6, None, torch.nn.ReLU, dueling=False)
    dueling = QNetwork(space, 6, None, torch.nn.ReLU, dueling=True)
    shapes = {name: tuple(part.shape) for name, part in dueling.named_parameters() if name.endswith("weight")}
    assert shapes["value.0.weight"] == shapes["advantage.0.weight"] == (512, 3136)
    assert (shapes["value.2.weight"], shapes["advantage.2.weight"]) == ((1, 512), (6, 512))
    assert len(shapes) == 3 + 4
    assert plain(torch.zeros(2, 4, 84, 84)).shape == dueling(torch.zeros(2, 4, 84, 84)).shape == (2, 6)


@pytest.fixture
def atari(workdir: Any) -> Iterator[VecEnv]:
    env = make(parse(compose("train", ["algo=dqn_scratch", "env=SpaceInvaders"]).values).env, n_envs=2, seed=0)
    yield env
    env.close()


@pytest.mark.parametrize("options", [{}, RAINBOW_LITE], ids=["plain", "all"])
def test_atari(atari: VecEnv, options: dict[str, Any]) -> None:
    algorithm = small(atari, net_arch=None, buffer_size=150, **options)
    algorithm.learn(240)
    assert algorithm.n_updates == 28  # of 30, the first two in the warm-up
    assert algorithm.replay.size == 75
    assert algorithm.not_finite() == []
    actions, _ = algorithm.predict(algorithm._observation, deterministic=True)
    assert actions.shape == (2,)
    assert algorithm.predict(algorithm._observation[1], deterministic=True)[0] == actions[1]
    fresh = small(atari, net_arch=None, buffer_size=150, **options)
    fresh.restore(algorithm.state())
    assert torch.equal(fresh._weights, algorithm._weights)
    batch = algorithm.replay.sample(8, 1, 0.99, np.random.default_rng(0))
    assert torch.equal(fresh.errors(batch), algorithm.errors(batch))


def test_dict_observations(make_env: MakeEnv) -> None:
    algorithm = small(make_env("BitFlipping-v0"), **RAINBOW_LITE)
    algorithm.learn(60)
    assert algorithm.n_updates == 11
    assert algorithm.predict(algorithm._observation)[0].shape == (1,)


@pytest.mark.parametrize("options", [{}, RAINBOW_LITE], ids=["plain", "all"])
def test_it_crosses_the_lake(options: dict[str, Any], make_env: MakeEnv) -> None:
    """Discrete observations; the shortest way is six steps, and chance arrives in one of sixty episodes."""
    env = make_env("FrozenLake-v1", 4, is_slippery=False)
    env.seed(0)
    torch.manual_seed(0)
    algorithm = small(
        env,
        net_arch=[32],
        learning_rate=3e-3,
        buffer_size=4000,
        batch_size=32,
        learning_starts=500,
        target_update_interval=100,
        train_freq=1,
        gamma=0.9,
        exploration_fraction=0.8,
        exploration_final_eps=0.1,
        **options,
    )
    algorithm.learn(6000)
    assert returns(algorithm, env, 40) == 1.0


def returns(algorithm: Algorithm, env: VecEnv, steps: int) -> float:
    """Mean return of the whole episodes in so many steps."""
    observation, found = env.reset(), []
    for _ in range(steps):
        action, _ = algorithm.predict(observation, deterministic=True)
        observation, _, _, infos = env.step(action)
        found += [info["episode"]["r"] for info in infos if "episode" in info]
    assert found
    return float(np.mean(found))


class Returns:
    """The mean returns of a training, as it logs them."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        self.found += [metrics[key] for key in ("rollout/ep_rew_mean",) if key in metrics]

    def close(self) -> None: ...


def test_it_balances_the_pole(make_env: MakeEnv) -> None:
    """Random actions last for 22 steps."""
    env = make_env("CartPole-v1")
    env.seed(0)
    torch.manual_seed(0)
    algorithm, logger = (
        small(
            env,
            net_arch=[64],
            learning_rate=1e-3,
            buffer_size=10_000,
            batch_size=64,
            learning_starts=500,
            gradient_steps=4,
            target_update_interval=200,
            exploration_fraction=0.4,
            **RAINBOW_LITE,
        ),
        Returns(),
    )
    algorithm.learn(3500, logger=logger)
    assert max(logger.found) > 60


def test_memory_is_estimated_for_frames_that_are_stored_once(atari: VecEnv) -> None:
    config = defaults("dqn_scratch", buffer_size=100_000)
    sizes = Sizes.of(atari.observation_space, atari.action_space)
    assert buffer_bytes(config, sizes, n_envs=2, frame_stack=4) == 100_000 * (84 * 84 + 4 + 4 + 3)
    assert buffer_bytes(config, sizes, n_envs=2) == 100_000 * (4 * 84 * 84 + 4 + 4 + 3)
    prioritized = defaults("dqn_scratch", buffer_size=100_000, prioritized=True)
    assert buffer_bytes(prioritized, sizes, n_envs=2, frame_stack=4) == 100_000 * (84 * 84 + 4 + 4 + 3 + 32)
