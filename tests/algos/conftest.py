"""Small environments and small configurations of every algorithm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import gymnasium
import pytest
import torch
import yaml
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecTransposeImage

from rlzoo.algos.specs import ALGOS
from rlzoo.config import paths
from rlzoo.config.compose import compose
from rlzoo.config.parse import parse
from rlzoo.config.schema import AlgoConfig, TrainConfig
from rlzoo.envs import registration
from tests.small import SMALL


@dataclass(frozen=True)
class Case:
    """A small configuration.

    Attributes:
        name: its name in `tests.small.SMALL`.
        cfg: what it composes to.
        steps: to train for; one episode and one update at least are over then.
    """

    name: str
    cfg: TrainConfig
    steps: int = 128

    @property
    def algo(self) -> str:
        return self.cfg.algo.name

    @property
    def env(self) -> str:
        return self.cfg.env.id

    @property
    def n_envs(self) -> int:
        return self.cfg.env.n_envs

    def make(self, make_env: Callable[..., VecEnv], n_envs: int = 1) -> VecEnv:
        limit = {} if self.cfg.env.max_steps is None else {"max_episode_steps": self.cfg.env.max_steps}
        return make_env(self.env, n_envs, **limit)

    def config(self, **changes: Any) -> AlgoConfig:
        return replace(self.cfg.algo, hyperparams={**self.cfg.algo.hyperparams, **changes})


@cache
def case_of(name: str) -> Case:
    return Case(name, parse(compose("train", list(SMALL[name])).values))


def defaults(algo: str, **changes: Any) -> AlgoConfig:
    values = yaml.safe_load((paths.root() / "conf" / "algo" / f"{algo}.yaml").read_text())
    return AlgoConfig(values.pop("name"), values | changes)


SB3 = [name for name in SMALL if ALGOS[name.partition("-")[0]].backend != "rlzoo"]


@pytest.fixture(params=list(SMALL))
def case(request: pytest.FixtureRequest) -> Case:
    return case_of(request.param)


@pytest.fixture(params=SB3)
def sb3_case(request: pytest.FixtureRequest) -> Case:
    return case_of(request.param)


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
