"""Which spaces an algorithm takes: the rules of the preflight, and what the algorithms themselves do with each kind.

`space_verdicts.json` says what is refused. The default suite compares the rules with it; `make test-slow` asks
Stable-Baselines3, sb3-contrib and our own algorithms, by training a little on every kind, and compares that with it.
After a change of the kinds or of the libraries: `python -m tests.algos.test_space_rules` writes it anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces as gs

from rlzoo.algos.create import create
from rlzoo.algos.schema.check import check as check_algo
from rlzoo.algos.specs import ALGOS
from rlzoo.config.compose import compose
from rlzoo.config.parse import parse
from rlzoo.config.schema import AlgoConfig, EnvConfig
from rlzoo.envs import spaces
from rlzoo.envs.make import make
from rlzoo.errors import RlzooError
from tests.algos.conftest import defaults
from tests.algos.space_kinds import ACTIONS, GOALS, OBSERVATIONS, AnySpaces, box

VERDICTS = Path(__file__).with_name("space_verdicts.json")
SMALL = {
    "n_steps": 8,
    "batch_size": 4,
    "n_epochs": 1,
    "learning_starts": 8,
    "buffer_size": 64,
    "train_freq": 4,
    "n_delta": 2,
    "population_size": 2,
    "net_arch": [8],
    "policy_kwargs": {"net_arch": [8]},
}
HER = [f"{name}-her" for name in ("dqn", "qrdqn", "sac", "td3", "ddpg", "tqc", "crossq")]
"""Algorithms with hindsight replay."""


@cache
def config(algo: str) -> AlgoConfig:
    """Of `algo` or `algo-her`, so that 40 steps are several updates."""
    name, _, variant = algo.partition("-")
    known = defaults(name)
    given = dict(SMALL)
    if ALGOS[name].family == "off_policy":
        given["n_steps"] = 1
    if name == "ppo_lstm":
        given["policy_kwargs"] = {"net_arch": [8], "lstm_hidden_size": 8}
    if variant:
        given |= {"replay_buffer_class": "her", "learning_starts": 20}
    given = {key: value for key, value in given.items() if key in known.hyperparams}
    return replace(known, hyperparams={**known.hyperparams, **given})


def questions(algo: str) -> Iterator[tuple[str, gs.Space, gs.Space]]:
    """A name, an observation space and an action space: each kind of the one, with the plainest of the other."""
    spec = ALGOS[algo.partition("-")[0]]
    observed = gs.Discrete(3) if spec.observation_spaces == ("Discrete",) else box(3)
    observed = GOALS["box"] if algo in HER else observed
    acts = gs.Discrete(2) if "Discrete" in spec.action_spaces else box(2)
    for name, kind in (GOALS if algo in HER else OBSERVATIONS).items():
        yield f"observation {name}", kind, acts
    for name, kind in () if algo in HER else ACTIONS.items():
        yield f"action {name}", observed, kind


def n_envs(algo: str) -> int:
    return 1 if ALGOS[algo.partition("-")[0]].family == "planning" else 2


def refusal(algo: str, observation: gs.Space, action: gs.Space) -> str:
    """What the preflight has against it; nothing if it passes."""
    cfg = config(algo)
    try:
        seen = str(spaces.channels_first(spaces.of(observation)))
    except RlzooError as error:
        return error.message
    problems, _ = check_algo(
        {"name": cfg.name, **cfg.hyperparams},
        observation_space=seen,
        action_space=str(spaces.of(action, acts=True)),
        n_envs=n_envs(algo),
        total_timesteps=1000,
        typed=lambda key: True,
    )
    return "; ".join(map(str, problems))


@cache
def _any_env() -> EnvConfig:
    return parse(compose("train", ["algo=ppo", "env=gym", "env.id=AnySpaces-v0"]).values).env


def failure(algo: str, observation: gs.Space, action: gs.Space, **env_changes: Any) -> str:
    """What goes wrong in a training of 40 steps, in its state or in acting as was learned; nothing if all is well."""
    gymnasium.registry.pop("AnySpaces-v0", None)
    gymnasium.register("AnySpaces-v0", lambda **_: AnySpaces(observation, action), disable_env_checker=True)
    spec = ALGOS[algo.partition("-")[0]]
    cfg = replace(_any_env(), **{"n_envs": n_envs(algo), **env_changes})
    env = None
    try:
        env = make(cfg, n_envs=cfg.n_envs, seed=0, on_nan="stop")
        algorithm = create(config(algo), env, seed=0, device="cpu")
        algorithm.learn(40)
        for name, tensor in algorithm.state().tensors.items():
            assert np.isfinite(np.asarray(torch.as_tensor(tensor), dtype=float)).all(), f"{name} is not finite"
        observed, state, start = env.reset(), None, np.ones(cfg.n_envs, dtype=bool)
        masks = np.stack(env.env_method("action_masks")) if spec.masked else None
        for deterministic in (True, False):
            acts, state = algorithm.predict(observed, state, start, deterministic, masks)
            observed = env.step(acts)[0]
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        if env is not None:
            env.close()
    return ""


ASKED = [*ALGOS, *HER]


@cache
def refused(algo: str) -> list[str]:
    """By name what the table says that an algorithm does not take."""
    return next(kinds for algos, kinds in json.loads(VERDICTS.read_text()).items() if algo in algos.split())


@pytest.mark.parametrize("algo", ASKED)
def test_the_rules_refuse_what_the_table_says(algo: str) -> None:
    assert [name for name, *pair in questions(algo) if refusal(algo, *pair)] == refused(algo)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("algo", ASKED)
def test_the_table_says_what_fails(algo: str) -> None:
    assert [name for name, *pair in questions(algo) if failure(algo, *pair)] == refused(algo)


def write() -> None:
    """Ask all of them, and write the table: algorithms that fail on the same kinds, and these."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for algo in ASKED:
        fails = tuple(name for name, *pair in questions(algo) if failure(algo, *pair))
        groups.setdefault(fails, []).append(algo)
    rows = [f"{json.dumps(' '.join(algos))}: {json.dumps(fails)}" for fails, algos in groups.items()]
    VERDICTS.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    write()
