"""One environment in Gymnasium's API and in several old ones, with the same numbers; and some that speak none.

The position walks at random; it ends at 0.9, is cut after 7 steps, and the reward is the position.
"""

from typing import ClassVar

import gymnasium
import numpy as np
from gymnasium.utils import seeding

LIMIT = 7


class New(gymnasium.Env):
    metadata: ClassVar = {"render_modes": ["rgb_array", "human"], "render_fps": 10}
    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float64)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, render_mode=None):
        self.render_mode, self.position, self.t, self.drawn = render_mode, 0.0, 0, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position, self.t = self.np_random.uniform(-0.5, 0.5), 0
        return self.look(), {}

    def step(self, action):
        self.t += 1
        self.position = float(np.clip(self.position + self.np_random.uniform(-0.3, 0.5) * (1 + action), -1, 1))
        terminated = self.position > 0.9
        return self.look(), self.position, terminated, self.t >= LIMIT, {"t": self.t}

    def look(self):
        return np.array([self.position, self.t / LIMIT])

    def render(self):
        self.drawn += 1
        return np.full((16, 16, 3), self.t, np.uint8)


def four(step):
    """What step returned before 0.26; a limit is told as Gym's own TimeLimit did."""
    observation, reward, terminated, truncated, info = step
    return observation, reward, terminated or truncated, {**info, "TimeLimit.truncated": truncated and not terminated}


class Half(New):
    """Moved to Gymnasium, but for its step."""

    def step(self, action):
        return four(super().step(action))


class NoSeed(New):
    """Of Gymnasium's class and old throughout, without a method to seed it."""

    metadata: ClassVar = {"render.modes": ["rgb_array", "human"], "video.frames_per_second": 20}

    def __init__(self):
        super().__init__()

    def reset(self):
        return super().reset()[0]

    def step(self, action):
        return four(super().step(action))

    def render(self, mode="human"):
        return super().render()


class Box:
    """A space of another package."""

    def __init__(self, space):
        self.low, self.high, self.shape, self.dtype = space.low, space.high, space.shape, space.dtype


class Discrete:
    def __init__(self, n):
        self.n = n


class Old:
    """Of no class of Gymnasium's."""

    metadata = NoSeed.metadata
    observation_space = Box(New.observation_space)
    action_space = Discrete(2)

    def __init__(self, word="old"):
        self.new, self.word = New(), word
        self.np_random = None

    def seed(self, seed=None):
        self.np_random, seed = seeding.np_random(seed)
        return [seed]

    def reset(self):
        if self.np_random is None:
            self.seed()
        self.new._np_random = self.np_random
        return self.new.reset()[0]

    def step(self, action):
        return four(self.new.step(action))

    def render(self, mode="human"):
        return self.new.render()

    def close(self):
        pass

    def hello(self):
        return self.word


class OldWrapper(gymnasium.Wrapper):
    """Of the old API, and so for old environments alone; it hands on what its reset is given."""

    def reset(self, **kwargs):
        return self.env.reset(**kwargs)

    def step(self, action):
        observation, reward, done, info = self.env.step(action)
        return observation, reward, done, {**info, "wrapped": True}


class Three(New):
    def step(self, action):
        return super().step(action)[:3]


class Later(New):
    """Nothing is wrong with its first step."""

    def step(self, action):
        step = super().step(action)
        return step if self.t < 5 else step[:3]


class Odd(Old):
    observation_space = object()


def register(name, entry_point, **options):
    gymnasium.register(f"{name}-v0", entry_point, **options)


for cls in (New, Half, NoSeed, Old, Three, Later, Odd):
    register(cls.__name__, cls)
register("Limited", Old, max_episode_steps=3)
register("Inside", lambda **options: gymnasium.wrappers.RescaleObservation(Half(**options), 0.0, 2.0))
register("OldChain", lambda **options: OldWrapper(Half(**options)))
register("Mixed", lambda **options: OldWrapper(New(**options)))
