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
from gymnasium.envs.registration import EnvSpec

from rlzoo import console
from rlzoo.envs import returns
from rlzoo.envs.surroundings import ContractError as ContractError
from rlzoo.envs.surroundings import Surroundings, learning
from rlzoo.errors import ExitCode, line_of, said

OURS = ("episode", "terminal_observation", "TimeLimit.truncated")
"""Entries of `info` that rlzoo and Stable-Baselines3 write; what an environment calls so is kept as `env.episode`."""

PLAIN = frozenset((int, float, bool, str, bytes, complex, type(None)))
"""Types that need no copy."""

N_WATCHED = 64
"""Steps of an environment after which its surroundings are looked at; later it is one step of so many."""

Take = Callable[[Any], Any]


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
        for name in ("observation_space", "action_space"):
            if not isinstance(getattr(env, name, None), gymnasium.Space):
                message = f"{name} must be a space of gymnasium.spaces once the environment is made"
                raise self._error("__init__", [returns.Misfit("space", message)])
        self._spaces = env.observation_space, env.action_space
        self._take = taker(env.observation_space)
        self._picture: tuple[int, ...] = ()  # the shape of the first

    @property
    def spec(self) -> EnvSpec | None:  # type: ignore[override]
        return self.env.spec  # it is not a wrapper of somebody's choice

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        with self._surroundings:
            result: Any = self.env.reset(seed=seed, options=options)
        if self.env.observation_space is not self._spaces[0] or self.env.action_space is not self._spaces[1]:
            self._compare()
        try:
            observation, info = result
            return self._take(observation), self._copied(info)
        except (_MisfitError, ArithmeticError, TypeError, ValueError):
            raise self._error("reset", returns.of_reset(result, self._spaces[0])[0]) from None

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        if type(action) is np.ndarray:
            action = action.copy()  # an environment may scale it where it is
        self._n_steps = n_steps = self._n_steps + 1
        result: Any
        if n_steps < N_WATCHED or n_steps % N_WATCHED == 0 or self._surroundings.folder is not None:
            with self._surroundings:
                result = self.env.step(action)
        else:
            before = learning()
            try:
                result = self.env.step(action)
            finally:
                self._surroundings.keep_learning(before)
        try:
            observation, reward, terminated, truncated, info = result
            observation = self._take(observation)
            if type(reward) is not float:
                reward = _number(reward)
            if type(terminated) is not bool:
                terminated = _flag(terminated)
            if type(truncated) is not bool:
                truncated = _flag(truncated)
            return observation, reward, terminated, truncated, self._copied(info)
        except (_MisfitError, ArithmeticError, TypeError, ValueError):
            raise self._error("step", returns.of_step(result, self._spaces[0])[0]) from None

    def render(self) -> Any:
        with self._surroundings:
            picture = self.env.render()
        if self.render_mode == "rgb_array":
            if not isinstance(picture, np.ndarray):
                raise self._error("render", list(returns.of_render(picture)))
            self._picture = self._picture or picture.shape
            if picture.shape != self._picture:
                message = f"render() must return pictures of one size, not {self._picture} and then {picture.shape}"
                raise self._error("render", [returns.Misfit("picture", message)])
        return picture

    def close(self) -> None:
        with self._surroundings:
            self.env.close()

    def get_wrapper_attr(self, name: str) -> Any:
        found = super().get_wrapper_attr(name)
        check = {"action_masks": self._masks, "compute_reward": self._rewards}.get(name)
        return partial(check, found) if check is not None and callable(found) else found

    def _compare(self) -> None:
        """Look at spaces that are other objects than once the environment was made."""
        for name, before in zip(("observation_space", "action_space"), self._spaces, strict=True):
            if (now := getattr(self.env, name)) != before:
                message = f"{name} must stay as it is once the environment is made: it was {before}, and is {now}"
                raise self._error("reset", [returns.Misfit("space", message)])

    def _copied(self, info: Any) -> dict[str, Any]:
        if not isinstance(info, Mapping):
            raise _MisfitError
        plain: dict[str, Any] = {}
        for key, value in info.items():
            if type(value) not in PLAIN:
                try:
                    if isinstance(value, Mapping | list) and _contains_itself(value, []):
                        console.warn_once(f"info[{key!r}] of the environment is left out, as it contains itself")
                        continue
                    value = value.copy() if _is_plain_array(value) else deepcopy(value)
                except Exception as error:  # whatever its own code raises
                    console.warn_once(left_out(key, error))
                    continue
            plain[self._names.get(key, key)] = value  # type: ignore[index]
        return plain

    def _masks(self, method: Callable[..., Any], *arguments: Any) -> np.ndarray:
        with self._surroundings:
            found = method(*arguments)
        for misfit in returns.of_masks(found, self.env.action_space):
            if misfit.topic != "none":
                raise self._error("action_masks", [misfit])
            console.warn_once(f"{misfit.message}: {misfit.hint}{self._line('action_masks', ' ({})')}")
        return np.array(found).astype(bool)

    def _rewards(self, method: Callable[..., Any], achieved: Any, desired: Any, info: Any) -> Any:
        with self._surroundings:
            found = method(np.array(achieved), np.array(desired), info)  # it may write into them
        goal = getattr(self.env.observation_space, "spaces", {}).get("achieved_goal")
        shape = np.shape(achieved)[: np.ndim(achieved) - len(goal.shape)] if goal is not None else np.shape(found)
        rewards, n_goals = _as_array(found), int(np.prod(shape))
        if rewards is None or rewards.size != n_goals:
            raise self._error("compute_reward", list(returns.of_goal_rewards(found, [0.0] * n_goals)))
        return rewards.reshape(shape)

    def _error(self, method: str, misfits: list[returns.Misfit]) -> ContractError:
        """What is wrong, with the line where the author's method begins."""
        found = [misfit for misfit in misfits if misfit.is_grave and misfit.topic != "finite"]
        message, hint = (found[0].message, found[0].hint) if found else (f"{method}() returns what nobody can use", "")
        return ContractError(message + self._line(method, " ({})"), hint, ExitCode.TRAINING_FAILED)

    def _line(self, method: str, form: str) -> str:
        """The line where the author's method begins, in a form; empty if it has none."""
        author: Any = self.env
        while getattr(type(author), "transparent", False):
            author = author.env
        line = line_of(getattr(type(author), returned_by(author, method), None))
        return form.format(line) if line else ""


def returned_by(env: gymnasium.Env, method: str) -> str:
    """The method that says what `reset` or `step` returns: in wrappers of some kinds, `observation` or `reward`."""
    for kind, own in ((gymnasium.ObservationWrapper, "observation"), (gymnasium.RewardWrapper, "reward")):
        if isinstance(env, kind) and method in vars(kind) and getattr(type(env), method) is vars(kind)[method]:
            return own
    return method


def left_out(key: Any, error: Exception) -> str:
    """What is said of an entry of `info` that cannot be copied, or sent to another process."""
    return f"info[{key!r}] of the environment is left out, as it cannot be copied ({said(error)})"


def _contains_itself(value: Any, above: list[int]) -> bool:
    """Whether a walk through it, as loggers and Gymnasium's checker do it, has no end."""
    if id(value) in above:
        return True
    inside = [*above, id(value)]
    parts = value.values() if isinstance(value, Mapping) else value
    return any(_contains_itself(each, inside) for each in parts if isinstance(each, dict | list | tuple))


def taker(space: gymnasium.Space) -> Take:
    """What looks at a value of a space and copies it; it raises where the value has another form."""
    if isinstance(space, spaces.Discrete):
        return partial(_take_index, int(space.start), int(space.n))
    if isinstance(space, spaces.Box | spaces.MultiDiscrete | spaces.MultiBinary):
        return _take_array(space)
    if isinstance(space, spaces.Dict):
        return partial(_take_dict, {key: taker(part) for key, part in space.spaces.items()})
    if isinstance(space, spaces.Tuple):
        return partial(_take_tuple, [taker(part) for part in space.spaces])
    return deepcopy


class _MisfitError(Exception):
    """A value is of another form than its space; `returns` says how."""


def _take_array(space: gymnasium.Space) -> Take:
    shape = space.shape

    def take(value: Any) -> Any:
        if type(value) is np.ndarray and value.shape == shape and value.dtype.kind in "fuib":
            return value.copy()
        array = _as_array(value)
        if array is not None and array.size == 1 and shape in ((), (1,)):
            array = array.reshape(shape)
        if array is None or array.shape != shape:
            raise _MisfitError
        return array

    return take


def _take_index(start: int, n: int, value: Any) -> Any:
    index = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    if isinstance(index, float | np.floating) and index.is_integer():
        index = int(index)
    if isinstance(index, int | np.integer) and start <= index < start + n:
        return index
    raise _MisfitError


def _take_dict(parts: Mapping[str, Take], value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or any(key not in value for key in parts):
        raise _MisfitError
    return {key: take(value[key]) for key, take in parts.items()}


def _take_tuple(parts: list[Take], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, tuple | list | np.ndarray) or len(value) != len(parts):
        raise _MisfitError
    return tuple(take(part) for take, part in zip(parts, value, strict=True))


def _number(reward: Any) -> float:
    if isinstance(reward, str | bytes):
        raise _MisfitError
    return float(np.asarray(reward).item() if isinstance(reward, np.ndarray | list | tuple) else reward)


def _flag(end: Any) -> bool:
    if isinstance(end, bool | np.bool_ | int | np.integer) or (isinstance(end, np.ndarray) and end.size == 1):
        return bool(end)
    raise _MisfitError


def _as_array(value: Any) -> np.ndarray | None:
    """A new array of numbers; None if it cannot be one."""
    try:
        array = np.array(value)
    except Exception:  # ragged lists, tensors on another device, whatever its own code raises
        return None
    return array if array.dtype.kind in "fuib" else None


def _is_plain_array(value: Any) -> bool:
    return isinstance(value, np.generic) or (type(value) is np.ndarray and value.dtype.kind != "O")
