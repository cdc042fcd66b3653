"""NaN and infinity where they enter a training: in what environments give and in the actions they are given."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from rlzoo import console
from rlzoo.envs.returns import LARGEST, is_finite
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.protocols import EnvironmentStep


class FiniteCheck(VecEnvWrapper):
    """Looks at observations, rewards and actions in every step, before anything is learned or averaged from them.

    It belongs directly around the vectorised environment. `on_nan=stop` ends the step with an error, `warn` says it
    once for each kind and environment. An evaluation does not look at rewards: its score says it.

    Attributes:
        num_timesteps: environment steps so far, over all environments; a resumed training sets it.
        said: what was found and only warned of, oldest first.
    """

    transparent = True
    """What it wraps is played as it is."""

    def __init__(self, venv: VecEnv, on_nan: Literal["stop", "warn"], *, training: bool = True) -> None:
        super().__init__(venv)
        self._rewards = training
        self._name = "environment" if training else "evaluation environment"
        self.num_timesteps = 0
        self.said: dict[tuple[str, int], str] = {}
        self._stop = on_nan == "stop"
        self._float_actions = _is_float(venv.action_space)
        parts = getattr(venv.observation_space, "spaces", None)
        self._float_parts = [key for key, part in parts.items() if _is_float(part)] if isinstance(parts, dict) else None
        self._float_observations = _is_float(venv.observation_space)

    def step_async(self, actions: np.ndarray) -> None:
        if self._float_actions and not _is_finite(actions):
            self._found("action", "for", actions, self.num_timesteps + self.num_envs)
        self.venv.step_async(actions)

    def step_wait(self) -> Any:
        observations, rewards, dones, infos = self.venv.step_wait()
        self.num_timesteps += self.num_envs
        if self._rewards and not _is_finite(rewards):
            self._found("reward", "from", rewards, self.num_timesteps)
        for index, done in enumerate(dones.tolist()):
            if done and "terminal_observation" in infos[index]:
                self.look(infos[index]["terminal_observation"], index)
        self.look(observations)
        return observations, rewards, dones, infos

    @property
    def steps_apart(self) -> bool:
        """Whether there is `step_apart`."""
        return bool(getattr(self.venv, "steps_apart", False))

    def step_apart(self, actions: np.ndarray) -> EnvironmentStep:
        """As `InProcessVecEnv.step_apart`."""
        if self._float_actions and not _is_finite(actions):
            self._found("action", "for", actions, self.num_timesteps + self.num_envs)
        step: EnvironmentStep = self.venv.step_apart(actions)  # type: ignore[attr-defined]
        self.num_timesteps += self.num_envs
        if self._rewards and not _is_finite(step.reward):
            self._found("reward", "from", step.reward, self.num_timesteps)
        if step.final_observation is not step.observation:
            self.look(step.final_observation)
        self.look(step.observation)
        return step

    def reset(self) -> Any:
        observations = self.venv.reset()
        self.look(observations)
        return observations

    def look(self, observations: Any, of: int | None = None) -> None:
        """Look at the observations of all environments, or at the only one of environment `of`."""
        if self._float_parts is not None:
            for key in self._float_parts:
                if not _is_finite(observations[key]):
                    self._found("observation", "from", observations[key], self.num_timesteps, of, key)
        elif self._float_observations and not _is_finite(observations):
            self._found("observation", "from", observations, self.num_timesteps, of)

    def _found(self, what: str, preposition: str, values: Any, step: int, of: int | None = None, key: str = "") -> None:
        """Name what is not finite in `values`, (n_envs, ...) or those of environment `of`."""
        rows = values if of is None else np.asarray(values)[None]
        for row, value in enumerate(rows):
            places = np.argwhere(~(np.abs(value) <= LARGEST))
            if not len(places):
                continue
            index = row if of is None else of
            place = tuple(places[0].tolist())
            number = np.asarray(value)[place]
            kind = "NaN" if np.isnan(number) else "infinite" if np.isinf(number) else "infinite (in float32)"
            where = f" ({_entry(key, place)})" if key or place else ""
            text = f"{kind} {what}{where} {preposition} {self._name} {index} at step {step:,}"
            if self._stop:
                hint = (
                    "on_nan=warn would train on" if what == "action" else "look at what the environment computes there"
                )
                raise RlzooError(text, hint, ExitCode.TRAINING_FAILED)
            if (what, index) not in self.said:
                self.said[what, index] = text
                console.warn(f"{text}; the training continues (on_nan=warn) and says so once")


def _is_finite(values: np.ndarray) -> bool:
    """The sum of squares, which takes a third of the time, and only where that is too large each number."""
    return bool(np.vdot(values, values) <= LARGEST) or is_finite(values)


def _is_float(space: Any) -> bool:
    return space.dtype is not None and space.dtype.kind == "f"


def _entry(key: str, place: tuple[int, ...]) -> str:
    """`entry 3`, `entry [0, 2]` or, in a Dict, `velocity[3]`."""
    inside = ", ".join(map(str, place))
    if key:
        return f"{key}[{inside}]" if place else key
    return f"entry {inside}" if len(place) == 1 else f"entry [{inside}]"
