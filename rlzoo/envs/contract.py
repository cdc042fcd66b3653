"""What an environment that rlzoo did not write hands over: looked at, copied and made plain before anybody keeps it.

Environments reuse their arrays and dicts, put what they like into `info`, and return what only resembles numbers.
Whoever is outside of `Contract` may keep and change everything that comes out of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces

from rlzoo import console
from rlzoo.envs.surroundings import Surroundings
from rlzoo.errors import ExitCode, RlzooError, line_of

OURS = ("episode", "terminal_observation", "TimeLimit.truncated")
"""Entries of `info` that rlzoo and Stable-Baselines3 write; what an environment calls so is kept as `env.episode`."""

PLAIN = frozenset((int, float, bool, str, bytes, complex, type(None)))
"""Types that need no copy."""

N_WATCHED = 64
"""Steps of an environment after which its surroundings are looked at; later it is one step of so many."""

Take = Callable[[Any], Any]

_HINT = "https://gymnasium.farama.org/api/env says what each method takes and returns"


class ContractError(RlzooError):
    """An environment that does not do what Gymnasium's API says, which making it anew does not mend."""


class Contract(gymnasium.Wrapper):
    """Directly around an environment, or a wrapper, that rlzoo does not know.

    Args:
        env: it.
        surroundings: what its constructor found; it has the folder that it has changed to, if it did.
        around_ours: it is around the monitor, whose entries of `info` are left.

    Raises:
        ContractError: there and in every call, if what it has or gives is not what its class has to have and give.
    """

    transparent = True
    """What it wraps is played as it is."""

    def __init__(
        self, env: gymnasium.Env, surroundings: Surroundings | None = None, *, around_ours: bool = False
    ) -> None:
        super().__init__(env)
        self._surroundings = surroundings or Surroundings()
        self._n_steps = 0
        self._names = {} if around_ours else {name: f"env.{name}" for name in OURS}
        self._take: Take = self._taker("observation_space")
        self._taker("action_space")

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        with self._surroundings:
            result: Any = self.env.reset(seed=seed, options=options)
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise self._error("reset", f"returned {_kind(result)}, not observation and info")
        return self._observation("reset", result[0]), self._info("reset", result[1])

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        if type(action) is np.ndarray:
            action = action.copy()  # an environment may scale it where it is
        self._n_steps = n_steps = self._n_steps + 1
        result: Any
        if n_steps < N_WATCHED or n_steps % N_WATCHED == 0 or self._surroundings.folder is not None:
            with self._surroundings:
                result = self.env.step(action)
        else:
            result = self.env.step(action)
        if not isinstance(result, tuple | list) or len(result) != 5:
            what = "observation, reward, terminated, truncated and info"
            raise self._error("step", f"returned {_kind(result)}, not {what}")
        observation, reward, terminated, truncated, info = result
        observation = self._observation("step", observation)
        if type(reward) is not float:
            reward = self._reward(reward)
        if type(terminated) is not bool:
            terminated = self._flag("terminated", terminated)
        if type(truncated) is not bool:
            truncated = self._flag("truncated", truncated)
        return observation, reward, terminated, truncated, self._info("step", info)

    def render(self) -> Any:
        with self._surroundings:
            return self.env.render()

    def close(self) -> None:
        with self._surroundings:
            self.env.close()

    def get_wrapper_attr(self, name: str) -> Any:
        found = super().get_wrapper_attr(name)
        check = {"action_masks": self._masks, "compute_reward": self._rewards}.get(name)
        return partial(check, found) if check is not None and callable(found) else found

    def _taker(self, name: str) -> Take:
        space = getattr(self.env, name, None)
        if not isinstance(space, gymnasium.Space):
            raise self._error("__init__", f"left {name} {_kind(space) if space is not None else 'unset'}, not a space")
        return taker(space)

    def _observation(self, method: str, observation: Any) -> Any:
        try:
            return self._take(observation)
        except _MisfitError as misfit:
            raise self._error(method, f"returned an observation that is {misfit}") from None

    def _reward(self, reward: Any) -> float:
        try:
            if isinstance(reward, np.ndarray) or not isinstance(reward, str | bytes):
                return float(reward.item() if isinstance(reward, np.ndarray) else reward)
        except (TypeError, ValueError, RuntimeError):
            pass
        raise self._error("step", f"returned a reward that is {_kind(reward)}, not one number")

    def _flag(self, name: str, flag: Any) -> bool:
        if isinstance(flag, bool | np.bool_ | int | np.integer) or (isinstance(flag, np.ndarray) and flag.size == 1):
            return bool(flag)
        raise self._error("step", f"returned {name} that is {_kind(flag)}, not True or False")

    def _info(self, method: str, info: Any) -> dict[str, Any]:
        if not isinstance(info, Mapping):
            raise self._error(method, f"returned an info that is {_kind(info)}, not a dict")
        plain: dict[str, Any] = {}
        for key, value in info.items():
            if type(value) not in PLAIN:
                try:
                    value = value.copy() if _is_plain_array(value) else deepcopy(value)
                except Exception as error:  # whatever its own code raises
                    say_once(left_out(key, error))
                    continue
            plain[self._names.get(key, key)] = value  # type: ignore[index]
        return plain

    def _masks(self, method: Callable[..., Any], *arguments: Any) -> np.ndarray:
        found = method(*arguments)
        n_actions = int(np.sum(_n_actions(self.env.action_space)))
        masks = np.array(found, dtype=object)
        if masks.size != n_actions or not all(isinstance(each, bool | np.bool_ | int | float) for each in masks.flat):
            raise self._error("action_masks", f"returned {_kind(found)}, not {n_actions} times True or False")
        return masks.astype(bool)

    def _rewards(self, method: Callable[..., Any], achieved: Any, desired: Any, info: Any) -> Any:
        found = method(achieved, desired, info)
        goal = getattr(self.env.observation_space, "spaces", {}).get("achieved_goal")
        shape = np.shape(achieved)[: np.ndim(achieved) - len(goal.shape)] if goal is not None else np.shape(found)
        rewards = _as_array(found)
        if rewards is None or rewards.shape != shape:
            n_goals = f"{shape[0]} rewards for {shape[0]} goals" if shape else "one reward for one goal"
            raise self._error("compute_reward", f"returned {_kind(found)}, not {n_goals}")
        return rewards

    def _error(self, method: str, what: str) -> ContractError:
        author: Any = self.env
        while getattr(type(author), "transparent", False):
            author = author.env
        line = line_of(getattr(type(author), method, None))
        name = type(author).__name__ if method == "__init__" else f"{method}() of {type(author).__name__}"
        where = f" ({line})" if line else ""
        return ContractError(f"{name} {what}{where}", _HINT, ExitCode.TRAINING_FAILED)


_said: set[str] = set()


def say_once(text: str) -> None:
    """Warn of something, the first time that it is said in this process."""
    if text not in _said:
        _said.add(text)
        console.warn(text)


def left_out(key: Any, error: Exception) -> str:
    """What is said of an entry of `info` that cannot be copied, or sent to another process."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return f"info[{key!r}] of the environment is left out, as it cannot be copied ({reason})"


def taker(space: gymnasium.Space) -> Take:
    """What looks at a value of a space and copies it; it raises where the value has another form."""
    if isinstance(space, spaces.Discrete):
        return partial(_take_number, int(space.start), int(space.n))
    if isinstance(space, spaces.Box | spaces.MultiDiscrete | spaces.MultiBinary):
        return _take_array(space)
    if isinstance(space, spaces.Dict):
        return partial(_take_dict, {key: taker(part) for key, part in space.spaces.items()})
    if isinstance(space, spaces.Tuple):
        return partial(_take_tuple, [taker(part) for part in space.spaces])
    return deepcopy


class _MisfitError(Exception):
    """Says what a value is that should be another."""


def _take_array(space: gymnasium.Space) -> Take:
    shape = space.shape

    def take(value: Any) -> Any:
        if type(value) is np.ndarray and value.shape == shape and value.dtype.kind in "fuib":
            return value.copy()
        array = _as_array(value)
        if array is not None and array.size == 1 and array.shape != shape and shape in ((), (1,)):
            array = array.reshape(shape)
        if array is None or array.shape != shape:
            raise _MisfitError(f"{_kind(value)}, not one of {space}")
        return array

    return take


def _take_number(start: int, n: int, value: Any) -> Any:
    number = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    if isinstance(number, int | np.integer) and start <= number < start + n:
        return number
    if isinstance(number, float | np.floating) and number.is_integer() and start <= number < start + n:
        return int(number)
    raise _MisfitError(f"{_kind(value)}, not a whole number from {start} to {start + n - 1}")


def _take_dict(parts: Mapping[str, Take], value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _MisfitError(f"{_kind(value)}, not a dict of {', '.join(map(repr, parts))}")
    taken = {}
    for key, take in parts.items():
        if key not in value:
            raise _MisfitError(f"a dict without {key!r}")
        try:
            taken[key] = take(value[key])
        except _MisfitError as misfit:
            raise _MisfitError(f"a dict in which {key!r} is {misfit}") from None
    return taken


def _take_tuple(parts: list[Take], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, tuple | list | np.ndarray) or len(value) != len(parts):
        raise _MisfitError(f"{_kind(value)}, not a tuple of {len(parts)}")
    return tuple(take(part) for take, part in zip(parts, value, strict=True))


def _as_array(value: Any) -> np.ndarray | None:
    """A new array of numbers; None if it cannot be one."""
    try:
        array = np.array(value)
    except Exception:  # ragged lists, tensors on another device, whatever its own code raises
        return None
    return array if array.dtype.kind in "fuib" else None


def _is_plain_array(value: Any) -> bool:
    return isinstance(value, np.generic) or (type(value) is np.ndarray and value.dtype.kind != "O")


def _n_actions(space: Any) -> Any:
    """Entries of an action mask, of each part of the space."""
    if isinstance(space, spaces.MultiBinary):
        return 2 * int(np.prod(space.shape))
    return space.nvec if isinstance(space, spaces.MultiDiscrete) else getattr(space, "n", 0)


def _kind(value: Any) -> str:
    """What something is, for people: `None`, `3 values`, `an array of shape (2,)`, `'text'`."""
    if value is None or isinstance(value, bool | int | float | np.number):
        return str(value)
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype.name} of shape {value.shape}"
    if isinstance(value, tuple | list):
        return f"{len(value)} value{'' if len(value) == 1 else 's'}"
    return f"the text {value[:20]!r}" if isinstance(value, str) else f"a {type(value).__name__}"
