"""Environments with one fault each that no agent can learn through, or hardly; without one, an easy task.

The observation holds where the agent is on a line and where it is to go; an action is a step on it.
"""

import gymnasium
import numpy as np
from gymnasium import spaces


class Line(gymnasium.Env):
    """`fault` names what is wrong; the step limit is part of the environment where a fault is about it."""

    def __init__(self, fault="", continuous=False):
        self.fault, self.continuous = fault, continuous
        high = 100.0 if fault == "wide" else 1.0
        limit = 2.0 if fault == "outside" else np.inf
        self.action_space = spaces.Box(-high, high, (1,), np.float32) if continuous else spaces.Discrete(2)
        self.observation_space = spaces.Box(-limit, limit, (3,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at, self.t = self.np_random.uniform(-0.5, 0.5), 0
        self.goal = self.np_random.choice([-1.0, 1.0])
        return self._observe(), {}

    def step(self, action):
        self.t += 1
        move = float(np.clip(action, -1, 1)[0]) if self.continuous else 2.0 * float(action) - 1
        self.at += 0.05 * (1.0 if self.fault == "deaf" else move)
        if self.fault == "dice":
            self.at += 0.001 * np.random.random()
        arrived, left = abs(self.at - self.goal) < 0.1, abs(self.at) > 1.5
        reward = (1.0 if arrived else 0.0) - 0.01 * abs(self.at - self.goal)
        if self.fault in ("zero", "rare"):
            reward = float(self.fault == "rare" and arrived and self.t < 12)
        if self.fault == "loud":
            reward *= 1e6
        terminated, truncated = arrived or left, self.t >= 400
        if self.fault == "endless":
            terminated = truncated = False
            self.at = float(np.clip(self.at, -1.5, 1.5))
        if self.fault == "short":
            terminated, truncated = False, self.t >= 12
        if self.fault == "limit":
            terminated, truncated = self.t >= 60, False
            self.at = float(np.clip(self.at, -1.5, 1.5))
        if self.fault == "once":
            terminated = True
        if self.fault == "long":
            terminated = False
            self.at = float(np.clip(self.at, -1.5, 1.5))
        return self._observe(), reward, terminated, truncated, {}

    def _observe(self):
        seen = np.array([self.at, self.goal, self.t / 400], np.float32)
        if self.fault == "blind":
            seen[:] = 0
        if self.fault == "half":
            seen[1] = 1
        if self.fault == "outside" and self.at > 1:
            seen[0] = 3
        if self.fault == "huge":
            seen[0] *= 1e4
        return seen


gymnasium.register("Line-v0", Line)
