"""Tasks for direct policy search whose returns are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv


class Clock(gymnasium.Env):
    """An episode lasts as many steps as its first action says, and each is worth 1."""

    observation_space = Box(0, 1, (1,))
    action_space = Box(0, 100, (1,))

    def reset(self, **options: Any) -> tuple[np.ndarray, dict]:
        super().reset(**options)
        self.left: int | None = None
        return np.zeros(1, dtype=np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.left = (round(float(action[0])) if self.left is None else self.left) - 1
        return np.zeros(1, dtype=np.float32), 1.0, self.left == 0, False, {}


class Line(gymnasium.Env):
    """Four steps: the action should be 2 x - y + 0.5 of the observation (x, y), and costs the squared distance."""

    points = np.array([[0, 0], [1, 0], [0, 1], [-1, -1], [0, 0]], dtype=np.float32)
    observation_space = Box(-1, 1, (2,))
    action_space = Box(-10, 10, (1,))

    def reset(self, **options: Any) -> tuple[np.ndarray, dict]:
        super().reset(**options)
        self.t = 0
        return self.points[0], {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        x, y = self.points[self.t]
        self.t += 1
        return self.points[self.t], -float((action[0] - (2 * x - y + 0.5)) ** 2), False, self.t == 4, {}


def vectorized(make: Callable[[], gymnasium.Env], n_envs: int = 1, seed: int = 0) -> VecEnv:
    env = DummyVecEnv([lambda: Monitor(make()) for _ in range(n_envs)])
    env.seed(seed)
    return env


def on_the_line(weights: np.ndarray) -> float:
    """How far the weights (2,) and bias of a linear policy are from the best ones of `Line`, at most."""
    return float(np.abs(weights - [2, -1, 0.5]).max())


def balanced(algorithm: Any) -> float:
    """Mean return of ten greedy episodes of CartPole from fixed starts; 500 is the most."""
    env = gymnasium.make("CartPole-v1")
    total = 0.0
    for seed in range(100, 110):
        observation, over = env.reset(seed=seed)[0], False
        while not over:
            action, _ = algorithm.predict(observation, deterministic=True)
            observation, reward, terminated, truncated, _ = env.step(action)
            total, over = total + float(reward), terminated or truncated
    return total / 10
