"""What is wrong with what an environment's `reset` and `step` return, in the words of Gymnasium's contract.

https://gymnasium.farama.org/api/env/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from gymnasium import Space, spaces

from rlzoo.errors import show

RESET = "def reset(self, *, seed=None, options=None): ... return observation, info"
NO_SUCCESS = (
    "info['is_success'] of the environment is not a number: it is kept as env.is_success, and no rate is made of it"
)
LARGEST = np.float64(np.finfo(np.float32).max)
"""Agents learn in that type: whatever is larger is infinite to them."""
COMPUTE_REWARD = "def compute_reward(self, achieved_goal, desired_goal, info): ... with goals of shape (n, …)"
STEP = "return observation, reward, terminated, truncated, info"


@dataclass(frozen=True)
class Misfit:
    """One difference between the contract and what was returned.

    Attributes:
        topic: what it is about: `reset`, `step`, `shape`, `dtype`, `bounds`, `finite`, `reward`,
            `terminated`, `truncated`, `info`, `mask`, `goals`, `picture`.
        part: of the observation, where it is about that.
        message: what was returned, and what has to be.
        hint: what fixes it.
        is_grave: whether a training with it fails or learns from other numbers than the environment's.
    """

    topic: str
    message: str
    hint: str = ""
    is_grave: bool = True
    part: str = ""


def of_reset(result: Any, space: Space, *, old: bool = False) -> tuple[list[Misfit], tuple[Any, dict[str, Any]]]:
    """What is wrong with what `reset` returned, and the two values that are made of it.

    Args:
        result: what it returned.
        space: the observation space.
        old: whether the observation alone is right too, as in the old Gym API.
    """
    must = "reset() must return two values, (observation, info)"
    if isinstance(result, tuple) and len(result) == 2:
        observation, info = result
        if isinstance(info, Mapping):
            return list(of_observation(observation, space, "reset()")), (observation, dict(info))
        if not (old and isinstance(space, spaces.Tuple)):
            message = f"{must}, where info is a dict, not {_kind(info)}"
            return [Misfit("info", message, RESET), *of_observation(observation, space, "reset()")], (observation, {})
    if old and result is not None:
        misfits = list(of_observation(result, space, "reset()"))
        if not (misfits and isinstance(result, tuple)):
            return misfits, (result, {})
    if isinstance(result, tuple):
        return [Misfit("reset", f"{must}, not {_number(len(result), 'value')}", RESET)], (next(iter(result), None), {})
    found = [Misfit("reset", f"{must}, not {'nothing' if result is None else f'{_kind(result)} alone'}", RESET)]
    return found + ([] if result is None else list(of_observation(result, space, "reset()"))), (result, {})


def of_step(
    result: Any, space: Space, *, old: bool = False
) -> tuple[list[Misfit], tuple[Any, float, bool, bool, dict[str, Any]]]:
    """What is wrong with what `step` returned, and the five values that are made of it.

    Args:
        result: what it returned.
        space: the observation space.
        old: whether four values are right too, as in the old Gym API.
    """
    must = "step() must return five values, (observation, reward, terminated, truncated, info)"
    misfits = []
    values = list(result) if isinstance(result, tuple | list) else []
    if old and len(values) == 4 and isinstance(values[3], Mapping):
        truncated = bool(values[2]) and bool(values[3].get("TimeLimit.truncated", False))
        values = [*values[:2], bool(values[2]) and not truncated, truncated, values[3]]
    if len(values) != 5:
        what = _number(len(values), "value") if values else "nothing" if result is None else _kind(result)
        hint = f"{STEP}: done is terminated now, or truncated where only a limit ended the episode"
        misfits.append(Misfit("step", f"{must}, not {what}", hint if len(values) == 4 else STEP))
        observation = values[0] if values else result
        return misfits, (observation, 0.0, False, False, {})
    observation, reward, terminated, truncated, info = values
    misfits += of_observation(observation, space, "step()")
    misfits += _reward(reward)
    misfits += [misfit for each in ("terminated", "truncated") for misfit in _end(each, values[2 + (each[1] == "r")])]
    if not isinstance(info, Mapping):
        misfits.append(Misfit("info", f"{must}, where info is a dict, not {_kind(info)}", "return {} if there is none"))
        info = {}
    number = float(np.asarray(reward).item()) if not any(each.topic == "reward" for each in misfits) else 0.0
    return misfits, (observation, number, bool(np.any(terminated)), bool(np.any(truncated)), dict(info))


def of_observation(value: Any, space: Space, method: str, part: str = "observation") -> Iterator[Misfit]:
    """What of an observation is not as its space declares it.

    Args:
        value: the observation, or a part of it.
        space: its space.
        method: what returned it, for messages: `step()`.
        part: what it is: `observation['goal']`.
    """
    at = f"{method}: {part}"
    declared = "observation_space" + part.removeprefix("observation")
    if isinstance(space, spaces.Dict):
        if not isinstance(value, Mapping):
            message = f"{at} is {_kind(value)}, and {declared} is a Dict of {_names(space.spaces)}"
            yield Misfit("shape", message, part=part)
            return
        if lacks := [key for key in space.spaces if key not in value]:
            yield Misfit("shape", f"{at} lacks {_names(lacks)}, which {declared} has", part=part)
        if more := [key for key in value if key not in space.spaces]:
            message = f"{at} has {_names(more)}, which {declared} has not"
            yield Misfit("shape", message, "it is left out: declare it if the agent is to see it", False, part)
        for key in space.spaces:
            if key in value:
                yield from of_observation(value[key], space[key], method, f"{part}[{key!r}]")
    elif isinstance(space, spaces.Tuple):
        is_sequence = isinstance(value, tuple | list | np.ndarray)
        if not is_sequence or len(value) != len(space.spaces):
            has = f"has {len(value)}" if is_sequence else f"is {_kind(value)}"
            message = f"{at} {has}, and {declared} is a Tuple of {len(space.spaces)} parts"
            yield Misfit("shape", message, part=part)
            return
        for index, each in enumerate(space.spaces):
            yield from of_observation(value[index], each, method, f"{part}[{index}]")
    elif isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
        yield from (replace(each, part=part) for each in _numbers(value, space, at, declared))
    elif value not in space:
        yield Misfit("shape", f"{at} is {_kind(value)}, which is not in {declared}: {space}", part=part)


def of_masks(masks: Any, space: Space) -> Iterator[Misfit]:
    """What is wrong with what `action_masks` returned, for actions of a space."""
    sizes = {
        spaces.Discrete: lambda: int(space.n),  # type: ignore[attr-defined]
        spaces.MultiDiscrete: lambda: int(np.sum(space.nvec)),  # type: ignore[attr-defined]
        spaces.MultiBinary: lambda: 2 * int(np.prod(space.shape or ())),
    }
    size = next((size() for kind, size in sizes.items() if isinstance(space, kind)), 0)
    array = _array(masks)
    if array.dtype.kind not in "biuf" or array.size != size:
        given = f"an array of shape {array.shape}" if isinstance(masks, np.ndarray) else _kind(masks)
        yield Misfit("mask", f"action_masks() must return {size} times True or False, one for each action, not {given}")
    elif array.dtype != bool and not np.isin(array, (0, 1)).all():
        other = array[~np.isin(array, (0, 1))][0]
        yield Misfit("mask", f"action_masks() must return True or False for each action, not {other:g}")
    elif not array.any():
        yield Misfit("none", "action_masks() allows no action at all", "where nothing can be done the episode is over")
    else:
        parts = list(space.nvec) if isinstance(space, spaces.MultiDiscrete) else [2] * (size // 2)
        if isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary):
            empty = [n for n, part in enumerate(np.split(array.ravel(), np.cumsum(parts)[:-1])) if not part.any()]
            if empty:
                message = f"action_masks() allows no value of part {empty[0]} of the action"
                yield Misfit("none", message, "each part has to have one")


def of_goal_rewards(rewards: Any, paid: list[float]) -> Iterator[Misfit]:
    """What is wrong with what `compute_reward` returned for the goals of some steps, which paid so much."""
    must = f"compute_reward() must return an array of {len(paid)} rewards for {len(paid)} goals at once"
    array = _array(rewards).ravel()
    if array.size != len(paid) or array.dtype.kind not in "biuf":
        is_array, given = isinstance(rewards, np.ndarray), _kind(rewards)
        if is_array:
            given = f"one of {rewards.dtype}" if array.size == len(paid) else f"one of shape {rewards.shape}"
        yield Misfit("goals", f"{must}, not {given}", COMPUTE_REWARD)
    elif not is_finite(array):
        worst = array[~(np.abs(array) <= LARGEST)][0]
        yield _not_finite(f"compute_reward() gives {worst} for a goal", worst)
    elif not np.allclose(array, paid, atol=1e-5):
        index = int(np.argmax(np.abs(array - paid)))
        message = f"compute_reward() gives {array[index]:g} for the goals of a step that paid {paid[index]:g}"
        yield Misfit("goals", message, "HER learns from what compute_reward says", is_grave=False)


def of_render(picture: Any) -> Iterator[Misfit]:
    """What is wrong with what `render` returned where pictures are asked for."""
    must = "render() must return an array (height, width, 3) of uint8 where render_mode is rgb_array"
    if not isinstance(picture, np.ndarray):
        yield Misfit("picture", f"{must}, not {_kind(picture)}")
    elif picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        yield Misfit("picture", f"{must}, not {picture.shape} of {picture.dtype}")


def is_success(value: Any) -> bool:
    """Whether an entry `is_success` of an info is one number, or True or False, as everybody takes it to be."""
    return isinstance(value, int | float | np.number | np.bool_) or (
        isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "biuf"
    )


def _numbers(value: Any, space: Any, at: str, declared: str) -> Iterator[Misfit]:
    array = _array(value)
    if array.dtype.kind not in "biuf":
        given = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else _kind(value)
        hint = f"return a NumPy array of {space.dtype}"
        yield Misfit("dtype", f"{at} is {given}, and {declared} is {_text(space)}", hint)
        return
    if array.shape != space.shape:
        hint = f"return that shape, or declare shape {array.shape}"
        is_one = array.size == 1 and space.shape in ((), (1,))
        message = f"{at} has shape {array.shape}, and {declared} declares {space.shape}"
        yield Misfit("shape", message, hint, is_grave=not is_one)
        if not is_one:
            return
        array = array.reshape(space.shape)
    if array.dtype.kind == "f" and not is_finite(array):
        index = np.argwhere(~(np.abs(array) <= LARGEST))[0]
        yield _not_finite(f"{at}{_index(index)} is {array[tuple(index)]}", array[tuple(index)])
        return
    low, high = _bounds(space)
    outside = (array < low) | (array > high)
    if outside.any():
        index = tuple(np.argwhere(outside)[0])
        limits = f"{np.broadcast_to(low, array.shape)[index]:g} to {np.broadcast_to(high, array.shape)[index]:g}"
        hint = "keep it within them, or declare wider ones"
        is_grave = not isinstance(space, spaces.Box) or space.dtype.kind != "f"
        message = f"{at}{_index(index)} is {array[index]:g}, and {declared} declares {limits}"
        yield Misfit("bounds", message, hint, is_grave)
    is_grave = space.dtype.kind != "f" and bool((array.astype(space.dtype) != array).any())
    if isinstance(value, list | tuple) and not is_grave:
        yield Misfit("dtype", f"{at} is {_kind(value)}, not a NumPy array", f"np.array(…, np.{space.dtype})", False)
    elif not np.can_cast(array.dtype, space.dtype):
        what = "loses its fractions" if array.dtype.kind == "f" else "does not fit in"
        then = f": it {what}" if is_grave else ""
        message = f"{at} is {array.dtype}, and {declared} declares {space.dtype}{then}"
        hint = f"return it with .astype(np.{space.dtype}), or declare dtype=np.{array.dtype}"
        yield Misfit("dtype", message, hint, is_grave)


def _reward(reward: Any) -> Iterator[Misfit]:
    array = _array(reward)
    if array.dtype.kind not in "biuf" or array.size != 1:
        shown = f"an array of shape {array.shape}" if isinstance(reward, np.ndarray) else _kind(reward)
        hint = "return one entry of it, or their sum" if array.size > 1 else "return float(reward)"
        if reward is None:
            hint = "is it never set on one way through step()?"
        yield Misfit("reward", f"step() must return one number as the reward, not {shown}", hint)
    elif not is_finite(array):
        yield _not_finite(f"step(): reward is {array.item()}", array)


def is_finite(values: Any) -> bool:
    """Whether numbers are finite in the type that networks and buffers have."""
    return bool((np.abs(values) <= LARGEST).all())


def _not_finite(text: str, number: Any) -> Misfit:
    if np.isfinite(number).all():
        return Misfit("finite", f"{text}, which is infinite in float32", "scale it: agents learn in that type")
    return Misfit("finite", text, "no algorithm learns from NaN or infinity")


def _end(name: str, value: Any) -> Iterator[Misfit]:
    if isinstance(value, bool | np.bool_) or (
        isinstance(value, np.ndarray) and value.dtype == bool and value.size == 1
    ):
        return
    is_number = isinstance(value, int | np.integer) and value in (0, 1)
    is_text = isinstance(value, str)
    hint = f"return a comparison; bool({value[:40]!r}) is {bool(value)}" if is_text else f"return bool({name})"
    yield Misfit(name, f"step() must return True or False as {name}, not {_kind(value)}", hint, not is_number)


def _array(value: Any) -> np.ndarray:
    """As an array; what cannot be one is an array of one object."""
    try:
        return np.asarray(value)
    except Exception:  # ragged lists, tensors on another device, whatever its own code raises
        return np.asarray(None)


def _bounds(space: Any) -> tuple[Any, Any]:
    if isinstance(space, spaces.Box):
        return space.low, space.high
    if isinstance(space, spaces.Discrete):
        return space.start, space.start + space.n - 1
    if isinstance(space, spaces.MultiDiscrete):
        return space.start, space.start + space.nvec - 1
    return 0, 1


def _text(space: Any) -> str:
    return f"a {type(space).__name__} of shape {space.shape} and {space.dtype}"


def _kind(value: Any) -> str:
    """`None`, `a tuple of 2`, `the text 'done'`, `a numpy.ndarray`."""
    if value is None or isinstance(value, bool | int | float):
        return show(value) if type(value) is int else repr(value)
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    name = (
        type(value).__name__
        if type(value).__module__ == "builtins"
        else f"{type(value).__module__}.{type(value).__name__}"
    )
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _names(keys: Any) -> str:
    return ", ".join(map(repr, keys)) or "nothing"


def _number(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _index(index: Any) -> str:
    return f"[{', '.join(str(int(each)) for each in index)}]" if len(index) else ""
