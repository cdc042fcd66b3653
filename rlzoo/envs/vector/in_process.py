"""Environments side by side in this process, as Stable-Baselines3's `DummyVecEnv` with less copying."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from copy import deepcopy
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv

from rlzoo.protocols import EnvironmentStep

PLAIN = (int, float, bool, str, bytes, type(None), np.generic)
"""What need not be copied."""


class InProcessVecEnv(DummyVecEnv):
    """The same numbers as `DummyVecEnv`, in half of its time where an environment is quick.

    That copies every `info` in depth, in every step; here one is copied in depth only if it holds more than numbers and
    text. `step_apart` is for those who want no `info` at all.

    Args:
        builders: one for each environment.
        within: is entered before they are made and left when they are closed.
    """

    def __init__(
        self, builders: Sequence[Callable[[], gymnasium.Env]], *, within: AbstractContextManager[None] | None = None
    ) -> None:
        with ExitStack() as stack:
            if within is not None:
                stack.enter_context(within)
            super().__init__(list(builders))
            self._within = stack.pop_all()

    def close(self) -> None:
        with self._within:
            super().close()

    def step_wait(self) -> Any:
        infos: list[dict[str, Any]] = self.buf_infos
        for index, env in enumerate(self.envs):
            observation, reward, terminated, truncated, info = env.step(self.actions[index])
            done = terminated or truncated
            info["TimeLimit.truncated"] = truncated and not terminated
            if done:
                info["terminal_observation"] = observation
                observation, self.reset_infos[index] = env.reset()
            self.buf_rews[index], self.buf_dones[index], infos[index] = reward, done, info
            self._save_obs(index, observation)
        return self._obs_from_buf(), self.buf_rews.copy(), self.buf_dones.copy(), [_copied(info) for info in infos]

    @property
    def steps_apart(self) -> bool:
        """Whether there is `step_apart`: observations are one array."""
        return list(self.buf_obs) == [None]

    def step_apart(self, actions: np.ndarray) -> EnvironmentStep:
        """Step all environments, as `protocols.Environment` says, without any `info`."""
        observations, rewards = self.buf_obs[None], self.buf_rews  # type: ignore[index]
        terminations, truncations = np.zeros(self.num_envs, dtype=bool), np.zeros(self.num_envs, dtype=bool)
        finals: dict[int, Any] = {}
        records: list[dict[str, Any]] = []
        for index, env in enumerate(self.envs):
            observation, rewards[index], terminated, truncated, info = env.step(actions[index])
            if "episode" in info:
                records.append(info["episode"])
            if terminated or truncated:
                terminations[index], truncations[index] = terminated, not terminated
                finals[index] = observation
                observation, self.reset_infos[index] = env.reset()
            observations[index] = observation
        observation = final = observations.copy()
        if finals:
            final = observations.copy()
            for index, last in finals.items():
                final[index] = last
        episodes = tuple((record["r"], record["l"]) for record in records)
        return EnvironmentStep(observation, rewards.copy(), terminations, truncations, final, episodes, tuple(records))

    def _obs_from_buf(self) -> Any:
        return self.buf_obs[None].copy() if self.steps_apart else super()._obs_from_buf()  # type: ignore[index]


def _copied(info: dict[str, Any]) -> dict[str, Any]:
    plain = all(isinstance(value, PLAIN) for value in info.values())
    return info.copy() if plain else deepcopy(info)
