"""Environments whose episodes never end: discrete or continuous, with a limit out of sight, or one by a wrapper."""

from typing import ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit


class Endless(gymnasium.Env):
    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 100}
    observation_space = spaces.Box(-1, 1, (2,), np.float32)

    def __init__(self, continuous=False, render_mode=None):
        self.render_mode = render_mode
        self.action_space = spaces.Box(-1, 1, (1,), np.float32) if continuous else spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), 1.0, False, False, {}

    def render(self):
        return np.zeros((16, 16, 3), np.uint8)


gymnasium.register("Endless-v0", Endless)
gymnasium.register("LimitedInside-v0", lambda **kwargs: TimeLimit(Endless(**kwargs), 1_200))
gymnasium.register("EndlessLimited-v0", Endless, max_episode_steps=1_100)


class LargeImage(Endless):
    observation_space = spaces.Box(0, 255, (240, 320, 3), np.uint8)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros((240, 320, 3), np.uint8), {}

    def step(self, action):
        return np.zeros((240, 320, 3), np.uint8), 1.0, False, False, {}


gymnasium.register("LargeImage-v0", LargeImage)
