"""The table of wrappers: what each does, which options it takes, and how they are put around an environment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rlzoo.config import fields
from rlzoo.config.fields import Field, Fields
from rlzoo.errors import ExitCode, Problem, RlzooError, words_of
from rlzoo.registry import did_you_mean, import_hint, load

if TYPE_CHECKING:
    import gymnasium
    from gymnasium import spaces


@dataclass(frozen=True)
class WrapperSpec:
    """One wrapper.

    Attributes:
        entry_point: `"module:Attribute"`, called with the environment and the options.
        summary: one line for people.
        options: every keyword it takes; a test compares them with the signature.
        requires: modules it imports when it is used.
        space: the observation space it makes of another. Given where the class itself would import torch, so that a
            request can be checked without it.
    """

    entry_point: str
    summary: str
    options: Fields = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    space: Callable[[spaces.Space, Mapping[str, Any]], spaces.Space] | None = None


def _atari_space(space: spaces.Space, options: Mapping[str, Any]) -> spaces.Space:
    import numpy as np
    from gymnasium import spaces

    if not isinstance(space, spaces.Box) or len(space.shape) != 3:
        raise TypeError(f"the atari wrapper needs the images of an Atari game, not {space}")
    size = options.get("screen_size", 84)
    return spaces.Box(0, 255, (size, size, 1), np.uint8)


def _timed_space(space: spaces.Space, options: Mapping[str, Any]) -> spaces.Space:
    import numpy as np
    from gymnasium import spaces

    if isinstance(space, spaces.Dict) and "observation" in space.spaces:
        return spaces.Dict({**space.spaces, "observation": _timed_space(space["observation"], options)})
    if not isinstance(space, spaces.Box) or len(space.shape) != 1:
        raise TypeError(f"time_feature needs a vector of numbers, not {space}")
    low, high = (np.append(bound, end).astype(space.dtype) for bound, end in ((space.low, 0), (space.high, 1)))
    return spaces.Box(low, high, dtype=space.dtype.type)


MAX_SIDE = 2048
"""Pixels of an image's side at most, in another size than the environment's own."""
_NUMBER = Field("float", required=True)
_PROBABILITY = Field("float", ge=0, le=1)

WRAPPERS: dict[str, WrapperSpec] = {
    "atari": WrapperSpec(
        "stable_baselines3.common.atari_wrappers:AtariWrapper",
        "grey 84x84 images of every 4th frame, random no-ops at the start, episodes end with a life, rewards -1, 0, 1",
        {
            "noop_max": Field("int", ge=0),
            "frame_skip": Field("int", ge=1),
            "screen_size": Field("int", ge=1, le=MAX_SIDE),
            "terminal_on_life_loss": Field("bool"),
            "clip_reward": Field("bool"),
            "action_repeat_probability": _PROBABILITY,
        },
        requires=("cv2",),
        space=_atari_space,
    ),
    "flatten": WrapperSpec(
        "gymnasium.wrappers:FlattenObservation",
        "any observation as one vector, discrete parts one-hot",
    ),
    "flatten_index": WrapperSpec(
        "rlzoo.envs.adapters:FlattenIndex",
        "a tuple of discrete observations as one number, for tables",
    ),
    "filter": WrapperSpec(
        "gymnasium.wrappers:FilterObservation",
        "only some entries of a Dict observation",
        {"filter_keys": Field("texts", required=True)},
    ),
    "grayscale": WrapperSpec(
        "gymnasium.wrappers:GrayscaleObservation",
        "colour images in grey; keep_dim keeps the channel, which image policies need",
        {"keep_dim": Field("bool")},
    ),
    "resize": WrapperSpec(
        "gymnasium.wrappers:ResizeObservation",
        "images in another size",
        {"shape": Field("ints", ge=1, le=MAX_SIDE, required=True)},
        requires=("cv2",),
    ),
    "mask_velocity": WrapperSpec(
        "rlzoo.envs.adapters:MaskVelocity",
        "velocities set to zero, so that the agent needs a memory",
    ),
    "time_feature": WrapperSpec(
        "sb3_contrib.common.wrappers:TimeFeatureWrapper",
        "the share of the episode that remains as one more number",
        {"max_steps": Field("int", ge=1), "test_mode": Field("bool")},
        space=_timed_space,
    ),
    "time_limit": WrapperSpec(
        "gymnasium.wrappers:TimeLimit",
        "truncates after so many of the agent's own steps; env.max_steps counts the environment's",
        {"max_episode_steps": Field("int", ge=1, required=True)},
    ),
    "frame_skip": WrapperSpec(
        "gymnasium.wrappers:RepeatAction",
        "each action several times, rewards summed",
        {"num_repeats": Field("int", ge=1, required=True)},
    ),
    "sticky_action": WrapperSpec(
        "gymnasium.wrappers:StickyAction",
        "with some probability the last action again",
        {
            "repeat_action_probability": Field("float", ge=0, le=1, required=True),
            "repeat_action_duration": Field("int", ge=1),
        },
    ),
    "rescale_action": WrapperSpec(
        "gymnasium.wrappers:RescaleAction",
        "continuous actions between two bounds, whatever the environment's are",
        {"min_action": _NUMBER, "max_action": _NUMBER},
    ),
    "discretize_action": WrapperSpec(
        "gymnasium.wrappers:DiscretizeAction",
        "continuous actions as a grid of bins, for algorithms with discrete ones",
        {"bins": Field("int", ge=2, required=True), "multidiscrete": Field("bool")},
    ),
    "action_noise": WrapperSpec(
        "rlzoo.envs.adapters:ActionNoise",
        "Gaussian noise on continuous actions",
        {"std": Field("float", ge=0)},
    ),
    "action_masker": WrapperSpec(
        "rlzoo.envs.adapters:ActionMasks",
        "offers the action mask in the environment's info to algorithms that mask",
        {"key": Field("str")},
    ),
    "clip_reward": WrapperSpec(
        "gymnasium.wrappers:ClipReward",
        "rewards between two bounds; evaluation still counts the raw ones",
        {"min_reward": Field("float"), "max_reward": Field("float")},
    ),
    "delayed_reward": WrapperSpec(
        "rlzoo.envs.adapters:DelayedReward",
        "the sum of the rewards every few steps, nothing in between",
        {"delay": Field("int", ge=1)},
    ),
}


def apply(env: gymnasium.Env, wrappers: Mapping[str, Mapping[str, Any]]) -> gymnasium.Env:
    """Put wrappers around an environment, the first one innermost.

    Args:
        env: the environment.
        wrappers: name, or `package.module:Class` of one's own, to options.

    Raises:
        RlzooError: for an unknown name.
    """
    from rlzoo.envs.contract import Contract
    from rlzoo.envs.surroundings import Surroundings, importing

    for name, options in wrappers.items():
        if ":" not in name:
            env = load(_entry_point(name))(env, **_arguments(name, options))
            continue
        with importing():
            wrapper = load(name)
        surroundings = Surroundings()
        with surroundings:
            made = wrapper(env, **_arguments(name, options))
        held = (each for name, each in getattr(made, "__dict__", {}).items() if "env" in name)
        if getattr(made, "unwrapped", None) is not env.unwrapped and all(each is not env for each in held):
            hint = "class Name(gymnasium.Wrapper): def __init__(self, env): super().__init__(env)"
            raise RlzooError(f"{name} is no wrapper: what it gives does not hold the environment", hint)
        env = Contract(made, surroundings, around_ours=True)
    return env


def preview(env: gymnasium.Env, wrappers: Mapping[str, Mapping[str, Any]]) -> gymnasium.Env:
    """Like `apply`, but wrappers that would import torch only show the observation space they would make."""
    import gymnasium

    for name, options in wrappers.items():
        spec = WRAPPERS.get(name)
        if spec is None or spec.space is None:
            env = apply(env, {name: options})
        else:
            space = spec.space(env.observation_space, options)
            env = gymnasium.Wrapper(env)
            env.observation_space = space
    return env


def imports_torch(wrappers: Iterable[str]) -> bool:
    """Whether one of them would, as far as is known."""
    return any(name in WRAPPERS and WRAPPERS[name].space is not None for name in wrappers)


def check(wrappers: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the names and options of wrappers; imports none of them."""
    from rlzoo.envs.registration import installed

    problems = []
    for name, options in wrappers.items():
        key = f"env.wrappers.{name}"
        if not isinstance(options, Mapping):
            problems.append(Problem(key, f"must be a mapping of options, not {options!r}", "without options write {}"))
            continue
        if ":" in name:
            continue
        if name not in WRAPPERS:
            hint = f"known: {', '.join(WRAPPERS)}, or package.module:Class of your own"
            problems.append(Problem(key, f"is not a known wrapper{did_you_mean(name, WRAPPERS)}", hint))
            continue
        problems += fields.problems(WRAPPERS[name].options, options, key)
        for module in WRAPPERS[name].requires:
            if not installed(module):
                needs = f"needs the package {module}"
                problems.append(Problem(key, needs, import_hint(module), code=ExitCode.MISSING))
    return problems


def check_own(wrappers: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the wrappers that are the user's own, which are imported."""
    return [
        problem
        for name, options in wrappers.items()
        if ":" in name
        for problem in _own(f"env.wrappers.{name}", name, options)
    ]


def _own(key: str, reference: str, options: Mapping[str, Any]) -> list[Problem]:
    import inspect

    from rlzoo.envs import raised

    try:
        found = load(reference)
        if not callable(found):
            return [Problem(key, f"is no class of a wrapper, but a {type(found).__name__}")]
        parameters = inspect.signature(found).parameters
    except RlzooError as error:
        return [Problem(key, error.message, error.hint, raised.line_of(error))]
    except (Exception, SystemExit) as error:
        message = f"cannot be imported: {type(error).__name__}: {words_of(error)}"
        return [Problem(key, message, where=raised.line_of(error))]
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return []
    known = dict.fromkeys(list(parameters)[1:], Field("any"))  # the first is the environment
    return fields.problems(known, options, key)


def _entry_point(name: str) -> str:
    if ":" in name:
        return name
    if name not in WRAPPERS:
        raise RlzooError(f"unknown wrapper {name!r}{did_you_mean(name, WRAPPERS)}")
    return WRAPPERS[name].entry_point


def _arguments(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as the wrapper's code wants them: lists as tuples, 1e3 as a whole number where it counts something."""
    known = WRAPPERS[name].options if name in WRAPPERS else {}
    return {
        key: value if type(value) is int else known.get(key, Field("any")).plain(value)  # gymnasium warns of -1.0
        for key, value in options.items()
    }
