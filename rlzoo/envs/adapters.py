"""Gymnasium wrappers that neither Gymnasium nor Stable-Baselines3 has."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

VELOCITIES = {
    "CartPole": (1, 3),
    "MountainCar": (1,),
    "MountainCarContinuous": (1,),
    "Acrobot": (4, 5),
    "Pendulum": (2,),
    "LunarLander": (2, 3, 5),
    "LunarLanderContinuous": (2, 3, 5),
}
"""Where the velocities are in the observations of an environment."""


class FlattenIndex(gymnasium.ObservationWrapper, RecordConstructorArgs):
    """Turns a tuple of discrete observations into one number, the last component varying fastest."""

    def __init__(self, env: gymnasium.Env) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        space = env.observation_space
        if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
            self._sizes, self._starts = tuple(space.nvec), space.start
        else:
            parts = [part for part in getattr(space, "spaces", ()) if isinstance(part, spaces.Discrete)]
            if not isinstance(space, spaces.Tuple) or len(parts) < len(space.spaces):
                raise TypeError(f"flatten_index needs a tuple of discrete observations, not {space}")
            self._sizes = tuple(int(part.n) for part in parts)
            self._starts = np.array([int(part.start) for part in parts])
        self.observation_space = spaces.Discrete(int(np.prod(self._sizes)))

    def observation(self, observation: Any) -> np.int64:
        digits = np.asarray(observation, dtype=np.int64) - self._starts
        return np.int64(np.ravel_multi_index(tuple(digits), self._sizes))


class ActionMasks(gymnasium.Wrapper, RecordConstructorArgs):
    """Offers `action_masks()` to algorithms that mask, from what the environment says in its info.

    Args:
        env: an environment with a discrete action space.
        key: the entry of `info` that holds the mask, (n_actions,), nonzero where an action is valid.
    """

    def __init__(self, env: gymnasium.Env, key: str = "action_mask") -> None:
        RecordConstructorArgs.__init__(self, key=key)
        super().__init__(env)
        self.key = key
        self._mask: np.ndarray | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._keep(info)
        return observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._keep(info)
        return observation, reward, terminated, truncated, info

    def action_masks(self) -> np.ndarray:
        """The valid actions of the state the environment is in, (n_actions,) bool."""
        if self._mask is None:
            raise RuntimeError("there is no action mask before the first reset")
        return self._mask

    def _keep(self, info: dict[str, Any]) -> None:
        if self.key not in info:
            raise KeyError(f"the environment's info has no {self.key!r}, only {sorted(info)}")
        self._mask = np.asarray(info[self.key]).astype(bool)


class MaskVelocity(gymnasium.ObservationWrapper, RecordConstructorArgs):
    """Sets the velocities in an observation to zero, so that an agent needs a memory."""

    def __init__(self, env: gymnasium.Env) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        name = env.spec.name if env.spec is not None else ""
        if name not in VELOCITIES:
            raise ValueError(f"mask_velocity knows the velocities of {', '.join(VELOCITIES)}, not of {name!r}")
        space = env.observation_space
        assert isinstance(space, spaces.Box)
        self._mask = np.ones(space.shape, dtype=space.dtype)
        self._mask[list(VELOCITIES[name])] = 0

    def observation(self, observation: np.ndarray) -> np.ndarray:
        return observation * self._mask


class ActionNoise(gymnasium.ActionWrapper, RecordConstructorArgs):
    """Adds Gaussian noise to continuous actions and keeps them within their bounds.

    Args:
        env: an environment with a Box action space.
        std: standard deviation of the noise, in units of the action.
    """

    def __init__(self, env: gymnasium.Env, std: float = 0.1) -> None:
        RecordConstructorArgs.__init__(self, std=std)
        super().__init__(env)
        if not isinstance(env.action_space, spaces.Box):
            raise TypeError(f"action_noise needs continuous actions, not {env.action_space}")
        self.std = std

    def action(self, action: np.ndarray) -> np.ndarray:
        space = self.action_space
        assert isinstance(space, spaces.Box)
        noisy = action + self.std * self.np_random.standard_normal(space.shape)
        return np.clip(noisy, space.low, space.high).astype(space.dtype)


class DelayedReward(gymnasium.Wrapper, RecordConstructorArgs):
    """Pays the sum of the rewards every `delay` steps and at the end of an episode, nothing in between."""

    def __init__(self, env: gymnasium.Env, delay: int = 10) -> None:
        RecordConstructorArgs.__init__(self, delay=delay)
        super().__init__(env)
        self.delay = delay
        self._steps = 0
        self._owed = 0.0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self._steps, self._owed = 0, 0.0
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._steps += 1
        self._owed += float(reward)
        if not (terminated or truncated or self._steps % self.delay == 0):
            return observation, 0.0, terminated, truncated, info
        paid, self._owed = self._owed, 0.0
        return observation, paid, terminated, truncated, info
