"""An environment that starts a process in its constructor, its reset or a step; see `starting`."""

import sys
import time

import gymnasium
import numpy as np
from starting import WAYS


class Starting(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    metadata = gymnasium.Env.metadata | {"render_modes": ["rgb_array"], "render_fps": 30}

    def __init__(self, ways=("program",), at="constructor", end=None, pause=0.0, render_mode=None):
        self.render_mode = render_mode
        self.ways, self.at, self.end, self.pause, self.has_started, self.n_steps = ways, at, end, pause, False, 0
        self.start("constructor")

    def start(self, where):
        if where == self.at and not self.has_started:
            self.has_started = True
            for way in self.ways:
                WAYS[way]()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        self.start("reset")
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.t, self.n_steps = self.t + 1, self.n_steps + 1
        self.start("step")
        time.sleep(self.pause)
        if self.n_steps == 25 and self.end == "raise":
            raise ValueError("the arm is out of its range")
        if self.n_steps == 25 and self.end == "exit":
            sys.exit(3)
        return np.zeros(2, np.float32), 1.0, self.t >= 10, False, {}

    def render(self):
        return np.zeros((32, 32, 3), np.uint8)


gymnasium.register("Starting-v0", Starting)
