"""A look at everything that what an environment's author wrote returns, directly around it, and what was written."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, SupportsFloat

import gymnasium

from rlzoo import errors
from rlzoo.envs import old_gym, returns
from rlzoo.envs.contract import Contract, returned_by
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
        self._methods = {name: written(env, name) for name in ("reset", "step")}
        self._space = env.observation_space  # as it is declared, and has to stay
        self._is_over = False

    @property
    def spec(self) -> Any:  # type: ignore[override]
        return self.env.spec

    def reset(self, **given: Any) -> tuple[Any, dict[str, Any]]:
        self._is_over = False
        return self._looked("reset", lambda: self.env.reset(**given), returns.of_reset, options=given)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        if self._is_over:  # a wrapper that steps several times, say; who trains finds it so too
            raise RuntimeError("an episode that has ended goes on with reset(), not with step()")
        result = self._looked("step", lambda: self.env.step(action), returns.of_step, [action])
        self._is_over = self._rehearsal.mode != "leave" and True in result[2:4]
        return result

    def _looked(
        self,
        name: str,
        call: Callable[[], Any],
        judge: Callable[..., Any],
        actions: Sequence[Any] = (),
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> Any:
        """What can be played on with: as it was returned, or what is made of it where that would be refused."""
        rehearsal, method = self._rehearsal, self._methods[name]
        if rehearsal.mode == "play":  # it has been seen how a call ends, and that costs time
            rehearsal.line.begin(RANDOM_PLAY, RESET_FACTOR * self._seconds)
            result = call()
        else:
            given = [] if actions or options.get("seed") is not None else ["it was given no seed, as most resets are"]
            given += [
                f"it was given the action {errors.show(each)}, of {errors.show(self.action_space)}" for each in actions
            ]
            seconds = self._seconds if actions else RESET_FACTOR * self._seconds
            with rehearsal.calling(f"{name}()", seconds, method=method, given="".join(given)):
                result = call()
        if rehearsal.mode == "leave" or (rehearsal.mode == "play" and self._is_sound(result)):
            return result
        misfits, values = judge(result, self._space, old=self._old)
        rehearsal.tell_misfits(misfits, method)
        if any(misfit.is_grave for misfit in misfits):
            return self._space.sample(), *values[1:]
        return result if self._old else values

    def _is_sound(self, result: Any) -> bool:
        """Whether what `step` returned can be seen at a glance to be right: most of thousands of steps can."""
        kinds = (float, bool, bool, dict)
        is_plain = type(result) is tuple and tuple(map(type, result[1:])) == kinds and abs(result[1]) <= returns.LARGEST
        return is_plain and self._space.contains(result[0])


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
        method = inspect.unwrap(getattr(layer, returned_by(layer, name), None))  # type: ignore[arg-type]
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
