"""The narrow view of a vectorised environment that in-repo algorithms see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rlzoo.protocols import EnvironmentStep

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv


class VectorEnvironment:
    """A Stable-Baselines3 `VecEnv` as `protocols.Environment`: its merged `dones` taken apart again."""

    def __init__(self, env: VecEnv) -> None:
        self.env = env
        self.n_envs = env.num_envs
        self.observation_space = env.observation_space
        self.action_space = env.action_space
        # asked of the class: a wrapper that changes observations would pass the question on to what it wraps
        self._apart: Any = env.step_apart if getattr(type(env), "steps_apart", None) and env.steps_apart else None  # type: ignore[attr-defined]

    def reset(self, seed: int | None = None) -> Any:
        """First observations, (n_envs, *observation_shape) or a dict of these; environment i starts from seed + i."""
        if seed is not None:
            self.env.seed(seed)
        return self.env.reset()

    def step(self, actions: Any) -> EnvironmentStep:
        """Step all environments, those that end are reset; an episode that ends in both ways has terminated."""
        if self._apart is not None:
            step: EnvironmentStep = self._apart(np.asarray(actions))
            return step
        observation, reward, done, infos = self.env.step(np.asarray(actions))
        cut = np.array([bool(info.get("TimeLimit.truncated", False)) for info in infos])  # (n_envs,)
        records = tuple(info["episode"] for info in infos if "episode" in info)
        finals = {index: infos[index]["terminal_observation"] for index, ended in enumerate(done) if ended}
        return EnvironmentStep(
            observation=observation,
            reward=reward,
            terminated=done & ~cut,
            truncated=done & cut,
            final_observation=_replaced(observation, finals),
            episodes=tuple((record["r"], record["l"]) for record in records),
            records=records,
        )


def _replaced(observation: Any, finals: dict[int, Any]) -> Any:
    if not finals:
        return observation
    if isinstance(observation, dict):
        return {
            key: _replaced(part, {index: final[key] for index, final in finals.items()})
            for key, part in observation.items()
        }
    replaced = observation.copy()
    for index, final in finals.items():
        replaced[index] = final
    return replaced
