"""Environments that hand out the same array, dict and list again and again, and write into what they are given.

`of` is played as it is. With `reuse` what was handed out holds until the next call, which scribbles over it; without it
everything is new. An agent has to learn the same in both.
"""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np

from rlzoo.envs import registration


class Reusing(gymnasium.Wrapper):
    metadata: ClassVar = {"render_modes": ["rgb_array"]}

    def __init__(self, of: str, reuse: bool = True, render_mode: str | None = None) -> None:
        registration.register()
        super().__init__(gymnasium.make(of, render_mode=render_mode))
        self._reuse = reuse
        self._handed: dict[str, Any] = {}
        self._t = 0

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
        self._scribble()
        self._t = 0
        observation, info = self.env.reset(seed=seed, options=options)
        return self._hand("observation", observation), self._info(info)

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._scribble()
        if self._reuse and isinstance(action, np.ndarray) and action.ndim:
            action[...] = 0
        self._t += 1
        if not self._reuse:
            return observation, float(reward), bool(terminated), bool(truncated), self._info(info)
        return (
            self._hand("observation", observation),
            self._hand("reward", np.array([float(reward)])),
            self._hand("terminated", np.array(terminated)),
            self._hand("truncated", np.array([truncated])),
            self._info(info),
        )

    def _info(self, info: dict) -> dict:
        found = {"moment": np.array([self._t]), "path": [self._t], "deep": {"t": np.array(self._t)}, **info}
        return self._hand("info", found)

    def _hand(self, name: str, value: Any) -> Any:
        """The value, in what the one before was handed out in."""
        if not self._reuse:
            return value
        before = self._handed.get(name)
        if isinstance(value, dict):
            before = self._handed.setdefault(name, {})
            before.clear()
            before.update({key: self._hand(f"{name}.{key}", part) for key, part in value.items()})
        elif isinstance(value, list):
            before = self._handed.setdefault(name, [])
            before[:] = value
        elif isinstance(value, np.ndarray):
            if before is None or before.shape != value.shape or before.dtype != value.dtype:
                before = self._handed[name] = np.empty_like(value)
            before[...] = value
        else:
            return value
        return before

    def _scribble(self) -> None:
        for value in self._handed.values():
            if isinstance(value, np.ndarray):
                value[...] = 1
            else:
                value.clear()


class ReusingMasks(Reusing):
    def action_masks(self) -> np.ndarray:
        return self._hand("masks", self.env.get_wrapper_attr("action_masks")())


class ReusingGoals(Reusing):
    def compute_reward(self, achieved: Any, desired: Any, info: Any) -> np.ndarray:
        rewards = self.env.get_wrapper_attr("compute_reward")(achieved, desired, info)
        return self._hand("rewards", np.asarray(rewards))


gymnasium.register("Reusing-v0", Reusing)
gymnasium.register("ReusingMasks-v0", ReusingMasks)
gymnasium.register("ReusingGoals-v0", ReusingGoals)
