"""Repositories as others publish them, made by their own code: Stable-Baselines3's, and the course's notebooks'."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch import nn
from torch.nn import functional

CARD = """\
---
library_name: stable-baselines3
tags:
- {env_id}
- deep-reinforcement-learning
model-index:
- name: PPO
  results:
  - task:
      type: reinforcement-learning
    dataset:
      name: {env_id}
      type: {env_id}
    metrics:
    - type: mean_reward
      value: 200.20 +/- 20.80
      name: mean_reward
      verified: false
---
# A card
"""
ARGS = """\
!!python/object/apply:collections.OrderedDict
- - - algo
    - {algo}
  - - env
    - {env_id}
  - - env_kwargs
    - null
  - - gym_packages
    - []
  - - n_timesteps
    - -1
  - - seed
    - 3392946828
"""


def publish(folder: Path, name: str, model: Any, **texts: str) -> Path:
    """A repository with a zip as Stable-Baselines3 writes it, its statistics if there are any, and texts."""
    folder.mkdir(parents=True)
    model.save(folder / f"{name}.zip")
    env = model.get_env()
    if isinstance(env, VecNormalize):
        env.save(folder / "vec_normalize.pkl")
    for key, text in texts.items():
        (folder / {"card": "README.md"}.get(key, f"{key}.yml")).write_text(text)
    return folder


def zoo_config(**values: Any) -> str:
    """A `config.yml` as rl_zoo3 dumps it: an ordered mapping with a Python tag, its values in JSON's way."""
    pairs = "".join(f"  - - {key}\n    - {json.dumps(value)}\n" for key, value in sorted(values.items()))
    return f"!!python/object/apply:collections.OrderedDict\n- {pairs[2:]}"


def play(model: Any, env: VecEnv, seed: int, *, max_steps: int = 10_000) -> float:
    """The raw return of one greedy episode, by Stable-Baselines3 alone, with the recurrent state it needs."""
    env.seed(seed)
    observation, state, start, total = env.reset(), None, np.ones(1, bool), 0.0
    for _ in range(max_steps):
        action, state = model.predict(observation, state, start, deterministic=True)
        observation, reward, done, infos = env.step(action)
        start = done
        total += float(env.get_original_reward()[0] if isinstance(env, VecNormalize) else reward[0])
        if done[0]:
            return infos[0]["episode"]["r"] if "episode" in infos[0] else total
    return total


def monitored(env_id: str, **kwargs: Any) -> Callable[[], gymnasium.Env]:
    return lambda: Monitor(gymnasium.make(env_id, **kwargs))


class CoursePolicy(nn.Module):
    """The network of unit 4 for CartPole; the notebook's class is `Policy` of `__main__`."""

    def __init__(self, s_size: int, a_size: int, h_size: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(s_size, h_size)
        self.fc2 = nn.Linear(h_size, a_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.softmax(self.fc2(functional.relu(self.fc1(x))), dim=1)


class DeepCoursePolicy(nn.Module):
    """The one for Pixelcopter."""

    def __init__(self, s_size: int, a_size: int, h_size: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(s_size, h_size)
        self.fc2 = nn.Linear(h_size, h_size * 2)
        self.fc3 = nn.Linear(h_size * 2, a_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = functional.relu(self.fc2(functional.relu(self.fc1(x))))
        return functional.softmax(self.fc3(hidden), dim=1)


class CleanAgent(nn.Module):
    """The network of unit 8."""

    def __init__(self, n_obs: int, n_actions: int) -> None:
        super().__init__()
        self.critic = nn.Sequential(
            nn.Linear(n_obs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1)
        )  # fmt: skip
        self.actor = nn.Sequential(
            nn.Linear(n_obs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, n_actions)
        )  # fmt: skip


def save_as_notebook(policy: nn.Module, path: Path) -> None:
    """`torch.save(policy, path)` where the class was defined in a notebook."""
    cls, main = type(policy), sys.modules["__main__"]
    names = cls.__module__, cls.__qualname__, cls.__name__
    cls.__module__, cls.__qualname__, cls.__name__ = "__main__", "Policy", "Policy"
    main.Policy = cls  # type: ignore[attr-defined]
    try:
        torch.save(policy, path)
    finally:
        del main.Policy  # type: ignore[attr-defined]
        cls.__module__, cls.__qualname__, cls.__name__ = names


def course_hyperparameters(env_id: str, **values: Any) -> str:
    known = {"h_size": 16, "n_training_episodes": 1000, "n_evaluation_episodes": 10, "max_t": 1000, "gamma": 1.0}
    return json.dumps({**known, "lr": 0.01, "env_id": env_id, "state_space": 4, "action_space": 2, **values})


def course_table(path: Path, env_id: str, table: np.ndarray, **values: Any) -> None:
    """A `q-learning.pkl` with the keys of the notebook of unit 2."""
    model = {
        "env_id": env_id,
        "max_steps": 99,
        "n_training_episodes": 10_000,
        "n_eval_episodes": 100,
        "eval_seed": [],
        "learning_rate": 0.7,
        "gamma": 0.95,
        "max_epsilon": 1.0,
        "min_epsilon": 0.05,
        "decay_rate": 0.0005,
        "qtable": table,
    }
    with path.open("wb") as file:
        pickle.dump({**model, **values}, file)


def course_episode(env: gymnasium.Env, table: np.ndarray, max_steps: int, seed: int) -> float:
    """One episode of the course's own evaluation."""
    state, _ = env.reset(seed=seed)
    total = 0.0
    for _ in range(max_steps):
        state, reward, terminated, truncated, _ = env.step(int(np.argmax(table[state])))
        total += float(reward)
        if terminated or truncated:
            break
    return total


class Evil:
    """Unpickling it makes a folder."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.mkdir, (self.mark,)
