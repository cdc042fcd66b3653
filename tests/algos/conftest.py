"""Small environments and small configurations of every algorithm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import pytest
import torch
import yaml
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecTransposeImage

from rlzoo.algos.specs import ALGOS
from rlzoo.config import paths
from rlzoo.config.schema import AlgoConfig
from rlzoo.envs import registration


@dataclass(frozen=True)
class Case:
    """An algorithm on an environment, with changes that make it fit into a second."""

    algo: str
    env: str
    steps: int = 128
    n_envs: int = 1
    changes: dict[str, Any] = field(default_factory=dict)

    def config(self, **changes: Any) -> AlgoConfig:
        return defaults(self.algo, **(self.changes | changes))


def defaults(algo: str, **changes: Any) -> AlgoConfig:
    values = yaml.safe_load((paths.root() / "conf" / "algo" / f"{algo}.yaml").read_text())
    return AlgoConfig(values.pop("name"), values | changes)


ON_POLICY: dict[str, Any] = {"n_steps": 32, "policy_kwargs": {"net_arch": [16]}}
MINIBATCHES: dict[str, Any] = {**ON_POLICY, "batch_size": 16}
OFF_POLICY: dict[str, Any] = {
    "learning_starts": 32,
    "batch_size": 16,
    "buffer_size": 1000,
    "policy_kwargs": {"net_arch": [16]},
}
DQN: dict[str, Any] = {
    "learning_starts": 32,
    "batch_size": 16,
    "buffer_size": 1000,
    "target_update_interval": 20,
    "net_arch": [16],
}
RAINBOW_LITE: dict[str, Any] = {"double": True, "dueling": True, "prioritized": True, "n_steps": 3}
ACROSS = [2, 2, 1, 0, 1, 0, 1, 0, 2, 2, 1, 0, 0, 2, 2, 0]  # a way over the lake of 4 x 4
CASES = {
    "a2c": Case("a2c", "CartPole-v1", n_envs=2, changes={**ON_POLICY, "n_steps": 8}),
    "ddpg": Case("ddpg", "Pendulum-v1", changes={**OFF_POLICY, "action_noise": {"normal": 0.1}}),
    "dqn": Case("dqn", "CartPole-v1", n_envs=2, changes={**OFF_POLICY, "target_update_interval": 20}),
    "ppo": Case("ppo", "CartPole-v1", n_envs=2, changes={**MINIBATCHES, "learning_rate": {"exponential": 0.01}}),
    "sac": Case("sac", "Pendulum-v1", n_envs=2, changes={**OFF_POLICY, "learning_rate": {"linear": 0.001}}),
    "sac_sde": Case("sac", "Pendulum-v1", changes={**OFF_POLICY, "use_sde": True, "ent_coef": 0.1}),
    "td3": Case(
        "td3", "Pendulum-v1", n_envs=2, changes={**OFF_POLICY, "action_noise": {"ornstein_uhlenbeck": {"sigma": 0.2}}}
    ),
    "ars": Case("ars", "CartPole-v1", changes={"n_delta": 2, "zero_policy": False, "policy_kwargs": {"net_arch": [8]}}),
    "crossq": Case("crossq", "Pendulum-v1", changes=OFF_POLICY),
    "maskable_ppo": Case("maskable_ppo", "TaxiMasked-v0", changes=MINIBATCHES),
    "qrdqn": Case("qrdqn", "CartPole-v1", changes={**OFF_POLICY, "policy_kwargs": {"n_quantiles": 5, "net_arch": [8]}}),
    "ppo_lstm": Case(
        "ppo_lstm", "CartPole-v1", changes={**MINIBATCHES, "policy_kwargs": {"lstm_hidden_size": 8, "net_arch": [8]}}
    ),
    "tqc": Case("tqc", "Pendulum-v1", changes={**OFF_POLICY, "policy_kwargs": {"n_quantiles": 5, "net_arch": [8]}}),
    "trpo": Case("trpo", "CartPole-v1", changes={**MINIBATCHES, "learning_rate": {"cosine": [0.01, 0.001]}}),
    "her": Case("dqn", "BitFlipping-v0", changes={**OFF_POLICY, "replay_buffer_class": "her"}),
    "dqn_scratch": Case("dqn_scratch", "CartPole-v1", n_envs=2, changes=DQN),
    "rainbow_lite": Case("dqn_scratch", "CartPole-v1", changes={**DQN, **RAINBOW_LITE}),
    "q_learning": Case("q_learning", "FrozenLake-v1", n_envs=2),
    "sarsa": Case("sarsa", "FrozenLake-v1", n_envs=2),
    "expected_sarsa": Case("expected_sarsa", "FrozenLake-v1", n_envs=2),
    "monte_carlo": Case("monte_carlo", "FrozenLake-v1", n_envs=2, changes={"learning_rate": None}),
    "dyna_q": Case("dyna_q", "FrozenLake-v1", n_envs=2),
    "td0": Case("td0", "FrozenLake-v1", n_envs=2, changes={"actions": ACROSS}),
    "mc_prediction": Case("mc_prediction", "FrozenLake-v1", n_envs=2, changes={"actions": ACROSS}),
    "value_iteration": Case("value_iteration", "FrozenLake-v1", changes={"theta": 0.0}),
    "policy_iteration": Case("policy_iteration", "FrozenLake8x8-v1", changes={"gamma": 1.0, "theta": 1e-15}),
    "ppo_scratch": Case(
        "ppo_scratch", "CartPole-v1", n_envs=2, changes={"n_steps": 32, "batch_size": 16, "net_arch": [16]}
    ),
    "ppo_scratch_continuous": Case(
        "ppo_scratch", "Pendulum-v1", steps=300, changes={"n_steps": 256, "learning_rate": 0.001, "clip_range_vf": None}
    ),
    "reinforce": Case("reinforce", "CartPole-v1", n_envs=2),
    "reinforce_baseline": Case(
        "reinforce",
        "Pendulum-v1",
        steps=300,
        changes={"baseline": True, "normalize_returns": "batch", "learning_rate": {"linear": 0.01}},
    ),
    "actor_critic": Case("actor_critic", "CartPole-v1", n_envs=2),
    "actor_critic_continuous": Case(
        "actor_critic", "Pendulum-v1", steps=300, changes={"ent_coef": 0.01, "net_arch": [16]}
    ),
    "hill_climbing": Case("hill_climbing", "CartPole-v1", n_envs=2, changes={"n_eval_episodes": 2, "net_arch": [4]}),
    "simulated_annealing": Case("simulated_annealing", "CartPole-v1", changes={"sample_actions": True}),
    "cem": Case("cem", "CartPole-v1", n_envs=2, changes={"population_size": 4}),
    "evolution_strategies": Case(
        "evolution_strategies", "CartPole-v1", n_envs=2, changes={"population_size": 4, "net_arch": [4]}
    ),
}


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(params=[name for name, case in CASES.items() if ALGOS[case.algo].backend != "rlzoo"])
def sb3_case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture
def make_env() -> Iterator[Callable[..., VecEnv]]:
    """Builds environments, and closes them after the test."""
    made: list[VecEnv] = []
    registration.register()

    def make(env_id: str, n_envs: int = 1, **kwargs: Any) -> VecEnv:
        env: VecEnv = DummyVecEnv([lambda: Monitor(gymnasium.make(env_id, **kwargs)) for _ in range(n_envs)])
        if env_id.startswith("CarRacing"):
            env = VecTransposeImage(env)
        made.append(env)
        return env

    yield make
    for env in made:
        env.close()


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
