"""A training of a few steps on any two spaces and settings: what the preflight has against it, and what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Space

from rlzoo.algos.create import create
from rlzoo.algos.schema.check import check as check_algo
from rlzoo.algos.specs import ALGOS
from rlzoo.config.compose import compose
from rlzoo.config.parse import parse
from rlzoo.config.schema import AlgoConfig, EnvConfig
from rlzoo.envs import spaces
from rlzoo.envs.check import check_normalized_space
from rlzoo.envs.make import make
from rlzoo.errors import Problem, RlzooError
from tests.algos.conftest import defaults
from tests.algos.space_kinds import ACTIONS, GOALS, OBSERVATIONS

NOTHING: Mapping[str, Any] = {}
ID = "tests.algos.short_trainings:AnySpaces-v0"
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


class AnySpaces(gymnasium.Env):
    """Draws its observations from a space, and takes nothing for an action that is not in the other.

    Episodes take five steps and end both ways. Finite actions have masks that allow all, goals have rewards.
    """

    def __init__(self, observation: str, action: str, length: int = 5) -> None:
        self.observation_space, self.action_space = observation_of(observation), ACTIONS[action]
        self.observation_space.seed(0)
        self.length = length
        self.episodes = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.t, self.episodes = 0, self.episodes + 1
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert holds(self.action_space, action), f"{action!r} is not in {self.action_space}"
        self.t += 1
        over = self.t >= self.length
        terminated = over and self.episodes % 2 == 0
        return self.observation_space.sample(), float(self.np_random.random()), terminated, over and not terminated, {}

    def compute_reward(self, achieved: np.ndarray, desired: np.ndarray, infos: Any) -> np.ndarray:
        different = np.asarray(achieved) != np.asarray(desired)
        return -different.reshape(len(different), -1).any(axis=1).astype(np.float32)

    def action_masks(self) -> np.ndarray:
        space = self.action_space
        if isinstance(space, MultiDiscrete):
            return np.ones(int(space.nvec.sum()), dtype=bool)
        n = int(space.n) if isinstance(space, Discrete) else 2 * int(np.prod(space.shape or ()))
        return np.ones(n, dtype=bool)


def holds(space: Space, action: Any) -> bool:
    """Whether an action is what the space holds, whatever the type that its numbers are in."""
    given = np.asarray(action)
    if isinstance(space, Box):
        slack = 1e-5 * np.maximum(1, np.abs(given)) if space.dtype.kind == "f" else 0
        inside = np.all(given >= space.low.astype(float) - slack) and np.all(given <= space.high.astype(float) + slack)
        whole = space.dtype.kind == "f" or np.all(given == np.round(given))
        return given.shape == space.shape and bool(inside) and bool(whole)
    return space.contains(given.astype(space.dtype) if space.dtype is not None and given.dtype.kind in "iu" else action)


gymnasium.register("AnySpaces-v0", AnySpaces, disable_env_checker=True)


def observation_of(name: str) -> Space:
    """The observation space of a name; `goals-box` is one of `GOALS`."""
    return GOALS[name.removeprefix("goals-")] if name.startswith("goals-") else OBSERVATIONS[name]


def config(algo: str, hyperparams: Mapping[str, Any] = NOTHING) -> AlgoConfig:
    """So that 40 steps are several updates; keywords that the algorithm does not have are left out."""
    known, name = _defaults(algo), algo
    given = dict(SMALL)
    if ALGOS[name].family == "off_policy":
        given["n_steps"] = 1
    if name == "ppo_lstm":
        given["policy_kwargs"] = {"net_arch": [8], "lstm_hidden_size": 8}
    given = {**given, **hyperparams}
    given = {key: value for key, value in given.items() if key in known.hyperparams}
    return replace(known, hyperparams={**known.hyperparams, **given})


@cache
def _defaults(algo: str) -> AlgoConfig:
    return defaults(algo)


@cache
def _env() -> EnvConfig:
    return parse(compose("train", ["algo=ppo", "env=gym", f"env.id={ID}"]).values).env


def env_config(observation: str, action: str, settings: Mapping[str, Any]) -> EnvConfig:
    kwargs = {"observation": observation, "action": action}
    return replace(_env(), **{"kwargs": kwargs, "n_envs": 2, **settings})


def refusal(
    algo: str, observation: str, action: str, env: Mapping[str, Any] = NOTHING, hyperparams: Mapping[str, Any] = NOTHING
) -> str:
    """What the preflight has against it; nothing if it passes."""
    cfg, env_cfg = config(algo, hyperparams), env_config(observation, action, env)
    seen = spaces.of(observation_of(observation))
    try:
        seen = spaces.channels_first(spaces.stacked(seen, env_cfg.frame_stack) if env_cfg.frame_stack else seen)
    except RlzooError as error:
        return error.message
    problems, _ = check_algo(
        {"name": cfg.name, **cfg.hyperparams},
        observation_space=str(seen),
        action_space=str(spaces.of(ACTIONS[action], acts=True)),
        n_envs=env_cfg.n_envs,
        total_timesteps=1000,
        typed=lambda key: True,
        normalized=env_cfg.normalize is not False,
        stacked=env_cfg.frame_stack not in (None, 1),
    )
    found: list[Problem] = [*check_normalized_space(seen, env_cfg.normalize), *problems]
    return "; ".join(map(str, found))


def failure(
    algo: str, observation: str, action: str, env: Mapping[str, Any] = NOTHING, hyperparams: Mapping[str, Any] = NOTHING
) -> str:
    """What goes wrong in a training of 40 steps, in its state or in acting as was learned; nothing if all is well."""
    cfg, made = env_config(observation, action, env), None
    try:
        made = make(cfg, n_envs=cfg.n_envs, seed=0, on_nan="stop")
        algorithm = create(config(algo, hyperparams), made, seed=0, device="cpu")
        algorithm.learn(40)
        for name, tensor in algorithm.state().tensors.items():
            assert np.isfinite(np.asarray(torch.as_tensor(tensor), dtype=float)).all(), f"{name} is not finite"
        observed, state, start = made.reset(), None, np.ones(cfg.n_envs, dtype=bool)
        masks = np.stack(made.env_method("action_masks")) if ALGOS[algo].masked else None
        for deterministic in (True, False):
            acts, state = algorithm.predict(observed, state, start, deterministic, masks)
            observed = made.step(acts)[0]
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        if made is not None:
            made.close()
    return ""
