"""A look at everything that what an environment's author wrote returns, directly around it, and what was written."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, SupportsFloat

import gymnasium

from rlzoo import errors
from rlzoo.envs import old_gym, returns
from rlzoo.envs.contract import Contract
from rlzoo.envs.probe import RESET_FACTOR

if TYPE_CHECKING:
    from rlzoo.envs.rehearsal import Rehearsal

RANDOM_PLAY = "random play"


class Look(gymnasium.Wrapper):
    """Directly around what an author wrote: tells what is wrong with what it returns, and hands on what can be."""

    transparent = True

    def __init__(self, env: gymnasium.Env, rehearsal: Rehearsal, *, old: bool = False) -> None:
        super().__init__(env)
        self._rehearsal, self._old = rehearsal, old
        self._seconds = float(rehearsal.env["step_timeout"])
        self._methods = written(env, "reset"), written(env, "step")
        self._space = env.observation_space  # as it is declared, and has to stay

    @property
    def spec(self) -> Any:  # type: ignore[override]
        return self.env.spec

    def reset(self, **given: Any) -> tuple[Any, dict[str, Any]]:
        if not self._rehearsal.is_watched:
            self._rehearsal.line.begin(RANDOM_PLAY, RESET_FACTOR * self._seconds)
            return self.env.reset(**given)
        method = self._methods[0]
        with self._rehearsal.calling("reset()", RESET_FACTOR * self._seconds, method=method):
            result = self.env.reset(**given)
        if not self._rehearsal.is_close:
            return result
        misfits, values = returns.of_reset(result, self._space, old=self._old)
        self._rehearsal.tell_misfits(misfits, method)
        return self._readable(result, values, misfits)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        if not self._rehearsal.is_watched:
            self._rehearsal.line.begin(RANDOM_PLAY, RESET_FACTOR * self._seconds)
            return self.env.step(action)
        method = self._methods[1]
        given = f"it was given the action {errors.show(action)}, of {errors.show(self.action_space)}"
        with self._rehearsal.calling("step()", self._seconds, method=method, given=given):
            result = self.env.step(action)
        if not self._rehearsal.is_close:
            return result
        misfits, values = returns.of_step(result, self._space, old=self._old)
        self._rehearsal.tell_misfits(misfits, method)
        return self._readable(result, values, misfits)

    def _readable(self, result: Any, values: Any, misfits: list[returns.Misfit]) -> Any:
        """What can be played on with: as it was returned, or what is made of it where that would be refused."""
        if not any(misfit.is_grave for misfit in misfits):
            return result if self._old else values
        return self._space.sample(), *values[1:]


def look_at(made: gymnasium.Env, rehearsal: Rehearsal) -> gymnasium.Env:
    """With a look put around the part of an environment that its author wrote."""
    layer, above = _layer_written(made)
    looked = Look(layer, rehearsal, old=isinstance(above, old_gym.OldGym))
    if above is None:
        return looked
    above.env = looked
    return made


def outermost_written(made: gymnasium.Env) -> gymnasium.Env:
    """That part as an environment of Gymnasium's API."""
    layer, above = _layer_written(made)
    return above if isinstance(above, old_gym.OldGym) and above.differences else layer


def own_method(env: Any, name: str) -> Any:
    """A method of the outermost layer that has it, as it was written; None if none has."""
    while env is not None:
        if not isinstance(env, Contract) and hasattr(env, name):
            return getattr(env, name)
        env = env.env if isinstance(env, gymnasium.Wrapper) else None
    return None


def written(env: Any, name: str) -> Any:
    """The method of an environment that its author can change: of the outermost of its layers that has one of his."""
    layer = env
    found: list[tuple[int, int, Any]] = []
    while layer is not None:
        method = inspect.unwrap(getattr(layer, name, None))  # type: ignore[arg-type]
        if (code := getattr(method, "__code__", None)) is not None:
            found.append((errors.distance(code.co_filename), len(found), method))
        layer = layer.env if isinstance(layer, gymnasium.Wrapper) else None
    return min(found)[2] if found else None


def _layer_written(made: gymnasium.Env) -> tuple[gymnasium.Env, gymnasium.Wrapper | None]:
    """The part of an environment that its author wrote, and what is directly around it."""
    above: gymnasium.Wrapper | None = None
    layer = made
    while isinstance(layer, gymnasium.Wrapper) and old_gym.is_known(type(layer).__module__):
        above, layer = layer, layer.env
    return layer, above
