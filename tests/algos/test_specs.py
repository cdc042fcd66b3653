"""The table of algorithms, installed plugins, and classes of a user's own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.create import create
from rlzoo.algos.sb3.adapter import SB3Algorithm
from rlzoo.algos.schema import check as algo_check
from rlzoo.algos.specs import ALGOS, all_specs, find_spec
from rlzoo.config import paths
from rlzoo.config.schema import AlgoConfig
from rlzoo.errors import Problem, RlzooError

LEARNER = '''
from stable_baselines3 import PPO

class Extended(PPO):
    """PPO with a keyword of its own."""
    def __init__(self, policy, env, bonus: float = 0.0, n_steps: int = 16, learning_rate=0.001, seed=None,
                 device="auto", verbose: int = 0, _init_setup_model: bool = True):
        super().__init__(policy, env, n_steps=n_steps, batch_size=n_steps, learning_rate=learning_rate, seed=seed,
                         device=device, _init_setup_model=_init_setup_model)
        self.bonus = bonus

class Constant:
    """Always does the same."""
    num_timesteps = 0
    def __init__(self, env, action: int, extra: str = ""):
        self.action = action
    def learn(self, total_timesteps, callbacks=(), logger=None): ...
    def predict(self, observation, state=None, episode_start=None, deterministic=False, action_masks=None): ...
    def save(self, path): ...
    @classmethod
    def load(cls, path, env=None, device="auto"): ...
    def state(self): ...
    def restore(self, state): ...

class Stump:
    def __init__(self, env): ...
    def learn(self): ...

not_a_class = 3
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An installed package with algorithms and an entry point."""
    name = "zoo_plugin_for_tests"
    (tmp_path / name / "conf" / "algo").mkdir(parents=True)
    (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / name / "learner.py").write_text(LEARNER)
    (tmp_path / name / "broken.py").write_text("1 / 0")
    (tmp_path / name / "conf" / "algo" / "extended.yaml").write_text("name: extended\n")
    info = tmp_path / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[rlzoo.algorithms]\nextended = {name}.learner:Extended\n")
    monkeypatch.syspath_prepend(tmp_path)
    _forget()
    yield name
    _forget()
    for module in [module for module in sys.modules if module.startswith(name)]:
        del sys.modules[module]


def _forget() -> None:
    paths.plugin_algorithms.cache_clear()
    paths.plugin_roots.cache_clear()
    algo_check.find_signature.cache_clear()


def check(algo: dict[str, object]) -> list[Problem]:
    found, _ = algo_check.check(
        algo, observation_space="Box(4)", action_space="Discrete(2)", n_envs=1, total_timesteps=1000, typed=bool
    )
    return found


def test_names_and_aliases() -> None:
    assert find_spec("recurrent_ppo") is ALGOS["ppo_lstm"]
    assert [name for name, spec in ALGOS.items() if not (spec.name == name and spec.summary and spec.paper)] == []
    with pytest.raises(RlzooError, match="did you mean 'recurrent_ppo'"):
        find_spec("recurent_ppo")


def test_a_plugin_is_found_without_importing_it(package: str) -> None:
    spec = find_spec("extended")
    assert (spec.entry_point, spec.backend) == (f"{package}.learner:Extended", "custom")
    assert spec in all_specs()
    (root,) = paths.plugin_roots()
    assert (root / "conf" / "algo" / "extended.yaml").is_file()
    assert not [module for module in sys.modules if module.startswith(package)]


def test_a_class_that_extends_stable_baselines3(package: str, make_env: Callable[..., VecEnv]) -> None:
    name = f"{package}.learner:Extended"
    assert check({"name": name, "bonus": 1, "n_steps": 32}) == []
    assert check({"name": "extended", "bonus": 1}) == []
    found = {problem.key: problem.message for problem in check({"name": name, "bonsu": 1, "bonus": "1", "gamma": 1})}
    assert set(found) == {"algo.bonsu", "algo.bonus", "algo.gamma"}
    assert "'bonus'" in found["algo.bonsu"]

    config = AlgoConfig(name, {"policy": "auto", "bonus": 2, "n_steps": 32.0})
    algorithm = create(config, make_env("CartPole-v1"), seed=0, device="cpu")
    assert isinstance(algorithm, SB3Algorithm)
    assert (algorithm.model.bonus, algorithm.model.n_steps, algorithm.model.seed) == (2, 32, 0)  # type: ignore[attr-defined]
    algorithm.learn(64)
    assert algorithm.num_timesteps == 64


def test_a_class_that_follows_the_protocol(package: str, make_env: Callable[..., VecEnv]) -> None:
    name = f"{package}.learner:Constant"
    assert [str(problem) for problem in check({"name": name})] == ["algo.action: has to be given"]
    assert check({"name": name, "action": 1}) == []
    algorithm = create(AlgoConfig(name, {"policy": "auto", "action": 1}), make_env("CartPole-v1"), seed=0, device="cpu")
    assert algorithm.action == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("learner:Stump", "has no predict, state, restore"),
        ("learner:not_a_class", "is not a class"),
        ("learner:Extendde", "did you mean 'Extended'"),
        ("missing:Extended", "no module named"),
        ("broken:Extended", "ZeroDivisionError"),
    ],
)
def test_a_class_that_cannot_be_used(package: str, attribute: str, message: str) -> None:
    (problem,) = check({"name": f"{package}.{attribute}"})
    assert problem.key == "algo.name"
    assert message in problem.message
