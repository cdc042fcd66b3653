"""Environments that speak the Gym API of before 0.26, or half of it, made to speak Gymnasium's.

There `reset()` takes no seed and returns the observation alone, `seed(seed)` is a method, `step` returns (observation,
reward, done, info), where `info["TimeLimit.truncated"]` tells a limit from an end, and `render(mode)` is told how.
https://gymnasium.farama.org/introduction/migration_guide/
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, SupportsFloat

import gymnasium
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.utils import seeding

from rlzoo.envs.contract import Contract, ContractError
from rlzoo.envs.surroundings import Surroundings
from rlzoo.errors import ExitCode, author_line, words_of
from rlzoo.registry import top_of

SPEAK_GYMNASIUM = ("ale_py", "gymnasium", "rlzoo", "stable_baselines3")
"""Packages whose environments and wrappers are not looked at."""
RENAMED = {"render_modes": "render.modes", "render_fps": "video.frames_per_second"}
"""Keys of `metadata`, and what they were called."""
_API = "today: reset(seed=…) returns observation, info; step returns observation, reward, terminated, truncated, info"
_MIXED = re.compile(
    r"not enough values to unpack \(expected 5, got 4\)|too many values to unpack \(expected 4\b"
    r"|reset\(\) got an unexpected keyword argument '(seed|options)'"
)
"""What Python says where a wrapper of one API is around an environment of the other."""
_NEITHER = "the environment speaks neither Gymnasium's API nor the old Gym API"


class ApiError(ContractError):
    """An environment that speaks neither API."""


class OldGym(gymnasium.Wrapper):
    """Directly around an environment: what it does in the old way is done in Gymnasium's, the rest is left as it is.

    Args:
        env: of either API, or with a part of each.
        render_mode: where its constructor is not told.

    Attributes:
        differences: what was found to be old so far.
    """

    transparent = True
    """What it wraps is played as it is."""

    def __init__(self, env: gymnasium.Env, render_mode: str | None = None) -> None:
        super().__init__(env)
        self.metadata = metadata_of(env)
        self.differences: list[str] = []
        self._render_mode = render_mode
        self._takes_mode = "mode" in _parameters(env.render)
        self._plants = getattr(env, "seed", getattr(env.unwrapped, "seed", None))
        self._takes_seed = _takes(env.reset, "seed", by_name=callable(self._plants))
        self._takes_options = _takes(env.reset, "options")
        if not self._takes_seed:
            self._note("reset takes no seed")

    @property
    def spec(self) -> EnvSpec | None:  # type: ignore[override]
        return self.env.spec

    @property
    def render_mode(self) -> str | None:  # type: ignore[override]
        return self._render_mode or self.env.render_mode

    @property
    def is_seeded(self) -> bool:
        """Whether there is a way to tell it its random numbers."""
        return self._takes_seed or callable(self._plants) or not isinstance(self.unwrapped, Foreign)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        given: dict[str, Any] = {"seed": seed} if self._takes_seed else {}
        if self._takes_options and options is not None:
            given["options"] = options
        if seed is not None and not self._takes_seed:
            self._plant(seed)
        result: Any = self.env.reset(**given)
        is_pair = isinstance(result, tuple) and len(result) == 2
        if not is_pair or (isinstance(self.observation_space, spaces.Tuple) and not isinstance(result[1], Mapping)):
            self._note("reset returns the observation alone")
            result = result, {}
        self._draw()
        return result

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        result: Any = self.env.step(action)
        if not isinstance(result, tuple | list) or len(result) != 4 or not isinstance(result[3], Mapping):
            return result  # type: ignore[return-value]  # whatever it is: the contract judges
        self._note("step returns 4 values")
        observation, reward, done, info = result
        truncated = bool(done) and bool(info.get("TimeLimit.truncated", False))
        self._draw()
        return observation, reward, bool(done) and not truncated, truncated, dict(info)

    def render(self) -> Any:
        return self.env.render(mode=self.render_mode) if self._takes_mode else self.env.render()  # type: ignore[call-arg]

    def _plant(self, seed: int) -> None:
        """Seed an environment whose reset does not: by its own method, or the generator that Gymnasium gives it."""
        if callable(self._plants):
            self._plants(seed)
        elif self.is_seeded:
            self.unwrapped._np_random, self.unwrapped._np_random_seed = seeding.np_random(seed)

    def _draw(self) -> None:
        """Draw into its window, which a new environment does by itself."""
        if self._takes_mode and self.render_mode == "human":
            self.render()

    def _note(self, difference: str) -> None:
        if difference not in self.differences:
            self.differences.append(difference)


class Foreign(gymnasium.Env):
    """An environment of a class that is not Gymnasium's (old Gym's, or none), with its spaces in Gymnasium's classes.

    Args:
        env: it; what it has is found here too.

    Raises:
        ApiError: if its spaces have no counterpart.
    """

    transparent = True

    def __init__(self, env: Any) -> None:
        self.env = env
        self.metadata = metadata_of(env)
        self.observation_space = _space(getattr(env, "observation_space", None), "observation_space")
        self.action_space = _space(getattr(env, "action_space", None), "action_space")
        for name in ("reset", "step", "render", "close"):
            if hasattr(env, name):
                setattr(self, name, getattr(env, name))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "env":
            raise AttributeError(name)
        return getattr(self.env, name)


def make(spec: EnvSpec, *, max_episode_steps: int | None, **kwargs: Any) -> gymnasium.Env:
    """`gymnasium.make` for an environment that may be old, which that refuses or fails at later.

    Raises:
        ApiError: if the environment has spaces that Gymnasium does not know.
    """
    creator: Any = load_env_creator(spec.entry_point) if isinstance(spec.entry_point, str) else spec.entry_point

    def create(**options: Any) -> gymnasium.Env:
        mode = None if _takes(creator, "render_mode") else options.pop("render_mode", None)
        surroundings = Surroundings()
        with surroundings:
            env = creator(**options)
        if not isinstance(env, gymnasium.Env) and callable(getattr(env, "step", None)):
            env = Foreign(env)
        return _adapted(env, mode, surroundings) if isinstance(env, gymnasium.Env) else env

    if hasattr(creator, "metadata"):
        create.metadata = metadata_of(creator)  # type: ignore[attr-defined]
    # what Gymnasium's checker would warn of has been told beforehand, with the author's line in place of its own
    warnings.filterwarnings("ignore", module=r"gymnasium\.utils\.passive_env_checker")
    return gymnasium.make(replace(spec, entry_point=create), max_episode_steps=max_episode_steps, **kwargs)


def may_be_old(spec: EnvSpec) -> bool:
    """Whether an environment is of a package that is not known to speak Gymnasium's API."""
    entry = spec.entry_point
    module = entry if isinstance(entry, str) else getattr(entry, "__module__", "")
    return not is_known(str(module))


def said_of(env: gymnasium.Env) -> str:
    """What is old about an environment that was played; empty if nothing is."""
    layer = env
    while isinstance(layer, gymnasium.Wrapper) and not isinstance(layer, OldGym):
        layer = layer.env
    if not isinstance(layer, OldGym):
        return ""
    if not layer.differences:
        is_foreign = isinstance(layer.unwrapped, Foreign)
        return "is of a class that does not inherit from gymnasium.Env: it is wrapped" if is_foreign else ""
    seeded = "" if layer.is_seeded else ", and its episodes cannot be seeded"
    return f"speaks the old Gym API ({', '.join(layer.differences)}): it is wrapped{seeded}"


def explained(error: BaseException) -> ContractError | None:
    """The error of an environment that is of no API, or whose parts are of different ones; None for any other."""
    if isinstance(error, ContractError):
        return error
    if not isinstance(error, TypeError | ValueError) or not _MIXED.search(words := words_of(error)):
        return None
    line = author_line(error)
    text = f"{words} ({line})" if line else words
    mixed = "the environment mixes Gymnasium's API and the old Gym API"
    return ApiError(f"{mixed}: {text}", _API, ExitCode.TRAINING_FAILED)


def metadata_of(env: Any) -> dict[str, Any]:
    """The metadata of an environment or its class, under the keys of today."""
    found = getattr(env, "metadata", None)
    known = dict(found) if isinstance(found, Mapping) else {}
    return {**{new: known[old] for new, old in RENAMED.items() if old in known}, **known}


def _adapted(env: gymnasium.Env, render_mode: str | None, surroundings: Surroundings) -> gymnasium.Env:
    """The environment with `OldGym` and `Contract` around its part of an unknown package, inside all known wrappers."""
    above, layer = None, env
    while isinstance(layer, gymnasium.Wrapper) and is_known(type(layer).__module__):
        above, layer = layer, layer.env
    if is_known(type(layer).__module__) and not isinstance(layer, Foreign):
        return env
    adapted = Contract(OldGym(layer, render_mode), surroundings)
    if above is None:
        return adapted
    above.env = adapted
    return env


def is_old(kind: type) -> bool:
    """Whether a class is of the old Gym."""
    return any(top_of(each) == "gym" for each in kind.__mro__)


def is_known(module: str) -> bool:
    """Whether a module is of a package that is known to speak Gymnasium's API."""
    return top_of(module) in SPEAK_GYMNASIUM


def _takes(function: Any, name: str, *, by_name: bool = False) -> bool:
    """Whether a function takes a keyword: by its name, or as any."""
    found = _parameters(function)
    return name in found or (not by_name and any(each.kind is each.VAR_KEYWORD for each in found.values()))


def _parameters(function: Any) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # written in C: believed to be new
        return inspect.signature(gymnasium.Env.reset).parameters


def _space(space: Any, name: str) -> gymnasium.Space:
    """A space in Gymnasium's class of the same name."""
    kind = type(space).__name__
    if isinstance(space, gymnasium.Space):
        return space
    if kind == "Box":
        return spaces.Box(space.low, space.high, tuple(space.shape), space.dtype)
    if kind == "Discrete":
        return spaces.Discrete(int(space.n), start=int(getattr(space, "start", 0)))
    if kind == "MultiDiscrete":
        return spaces.MultiDiscrete(space.nvec)
    if kind == "MultiBinary":
        return spaces.MultiBinary(space.n)
    if kind == "Tuple":
        return spaces.Tuple([_space(part, name) for part in space.spaces])
    if kind == "Dict":
        return spaces.Dict({key: _space(part, name) for key, part in space.spaces.items()})
    raise ApiError(f"{_NEITHER}: its {name} is {'not there' if space is None else f'of the class {kind}'}", _API)
