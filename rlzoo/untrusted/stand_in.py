"""An environment that has spaces and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import gymnasium
from stable_baselines3.common.vec_env import VecEnv


class StandIn(VecEnv):
    """What a policy is built for when there is no environment; it cannot be stepped."""

    def __init__(self, observation_space: gymnasium.Space, action_space: gymnasium.Space) -> None:
        super().__init__(1, observation_space, action_space)

    def reset(self) -> NoReturn:
        raise NotImplementedError("this environment only has spaces")

    def step_async(self, actions: Any) -> NoReturn:
        self.reset()

    def step_wait(self) -> NoReturn:
        self.reset()

    def close(self) -> None:
        pass

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        if attr_name == "render_mode":
            return [None]
        raise AttributeError(attr_name)

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise AttributeError(attr_name)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        raise AttributeError(method_name)

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        return [False]

    def seed(self, seed: int | None = None) -> Sequence[None]:
        return [None]
