"""The truth about episodes: raw return and length of every whole game, whatever the wrappers around it do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from stable_baselines3.common.monitor import Monitor

from rlzoo import console
from rlzoo.envs import returns
from rlzoo.envs.snapshot import env as environment
from rlzoo.envs.snapshot.replay import Recording
from rlzoo.protocols import State

MAX_TEXT = 1000
"""Characters that are kept of an entry of `info`."""


class EpisodeMonitor(Monitor):
    """Stable-Baselines3's Monitor, directly around the environment and inside all configured wrappers.

    It keeps every episode exactly once, in order: also one that ends during a wrapper's own steps (the no-op after a
    lost life), and one that a wrapper cut short, up to where it was cut. It writes no files.

    Args:
        env: what `gymnasium.make` returned, step limit included.
        info_keywords: entries of `info` to keep with every finished episode whose last step has them.
        episode_seeds: the k-th episode starts from the k-th seed; later ones from the seed given to `reset`, if any.
        cut_at: step limit of an episode, where it is not the environment's own.
    """

    def __init__(
        self,
        env: gymnasium.Env,
        *,
        info_keywords: Sequence[str] = (),
        episode_seeds: Sequence[int] = (),
        cut_at: int | None = None,
    ) -> None:
        super().__init__(env, filename=None)  # which would insist on the keywords
        self.kept_keywords = tuple(info_keywords)
        self._cut_at = cut_at
        self._episode_seeds = tuple(episode_seeds)
        self.observation: Any = None  # the last one
        self.recording = Recording(env)
        self._abandoned = False
        self._step_info: dict[str, Any] = {}  # of the last step
        self._details: dict[str, Any] = {}  # of the last episode

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        if self.rewards and not self.needs_reset:
            self._keep_cut_episode()
        self._abandoned = False
        episode = len(self.episode_returns)  # a second reset before the first step is still the same episode
        if episode < len(self._episode_seeds):
            kwargs["seed"] = self._episode_seeds[episode]
        self.recording.reset(kwargs)
        observation, info = super().reset(**kwargs)
        self._keep(observation)
        return observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        if self._abandoned:
            return self.observation, 0.0, True, False, {}
        self.recording.step(action)
        result = super().step(action)
        self._step_info = info = result[4]
        if "is_success" in info and not returns.is_success(info["is_success"]):
            info["env.is_success"] = info.pop("is_success")  # which everybody takes the mean of
            console.warn_once(returns.NO_SUCCESS)
        elif isinstance(info.get("is_success"), np.ndarray):
            info["is_success"] = info["is_success"].item()
        if result[2] or result[3]:
            self._keep_details()
            info["episode"] |= self._details
        self._keep(result[0])
        return result

    def set_episode_seeds(self, seeds: Sequence[int]) -> None:
        """Forget all episodes, the running one too: the first after the next reset is episode 0, with seed 0."""
        self._episode_seeds = tuple(seeds)
        self.episode_returns, self.episode_lengths, self.episode_times = [], [], []
        self.abandon()

    def get_cut_at(self) -> int | None:
        """The step at which an episode was cut that might have gone on."""
        return self._cut_at

    def abandon(self) -> None:
        """Forget the running episode, of which nothing is kept; the next call has to be a reset.

        A wrapper that would step on at that reset (after a lost life) is told that the abandoned game is over.
        """
        self.rewards = []
        self._abandoned = not self.needs_reset

    def environment_state(self) -> State:
        """Everything the environment continues from; see `rlzoo.envs.snapshot.vector`."""
        return environment.save(self, self)

    def restore_environment(self, state: State) -> environment.Restored:
        """Put the environment back to where it was."""
        return environment.load(self, self, state)

    def last_episode(self) -> dict[str, Any]:
        """The last kept episode as `info["episode"]` has it.

        These are return, length, seconds since the monitor was made, and of the last step's `info`, as numbers or text,
        `is_success` where there is one, and the `info_keywords`.
        """
        returns, seconds = self.episode_returns[-1], self.episode_times[-1]
        return {"r": round(returns, 6), "l": self.episode_lengths[-1], "t": round(seconds, 6), **self._details}

    def _keep(self, observation: Any) -> None:
        self.observation = dict(observation) if isinstance(observation, dict) else observation  # wrappers add entries

    def _keep_cut_episode(self) -> None:
        self.episode_returns.append(sum(self.rewards))
        self.episode_lengths.append(len(self.rewards))
        self.episode_times.append(time.time() - self.t_start)
        self._keep_details()

    def _keep_details(self) -> None:
        info = self._step_info
        found = {key: _plain(info[key]) for key in ("is_success", *self.kept_keywords) if key in info}
        self._details = {f"info.{key}" if key in ("r", "l", "t") else key: value for key, value in found.items()}


class ShowEpisodes(gymnasium.Wrapper):
    """Outermost: shows an episode that the wrappers ended out of sight in the next step's `info["episode"]`.

    Training curves are drawn from there; without it they would lack episodes that were cut, and games that ended in a
    wrapper's own steps.
    """

    def __init__(self, env: gymnasium.Env, monitor: EpisodeMonitor) -> None:
        super().__init__(env)
        self.observation: Any = None  # the last one
        self._monitor = monitor
        self._n_shown = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.observation, info = self.env.reset(seed=seed, options=options)
        return self.observation, info

    def environment_state(self) -> State:
        """Everything the environment continues from; see `rlzoo.envs.snapshot.vector`."""
        return environment.save(self, self._monitor)

    def restore_environment(self, state: State) -> environment.Restored:
        """Put the environment back to where it was."""
        return environment.load(self, self._monitor, state)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        result = self.env.step(action)
        self.observation = result[0]
        n_episodes, info = len(self._monitor.episode_returns), result[4]
        if n_episodes > self._n_shown:
            info["episode"] = self._monitor.last_episode()
        elif "episode" in info:  # of a wrapper
            info["env.episode"] = info.pop("episode")
        self._n_shown = n_episodes
        return result


def _plain(value: Any) -> bool | int | float | str | None:
    """A number, text or nothing, whatever an environment puts into its info."""
    if isinstance(value, np.generic | np.ndarray) and value.size == 1:
        value = value.item()
    return value if value is None or isinstance(value, bool | int | float) else str(value)[:MAX_TEXT]
