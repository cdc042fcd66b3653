"""What is wrong with a request's environment, known before torch is imported and before anything is trained."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rlzoo import registry
from rlzoo.config import aliases, env_names, fields
from rlzoo.config.fields import Field
from rlzoo.config.schema import MAX_UNLIMITED
from rlzoo.envs import registration, spaces, wrappers
from rlzoo.errors import ExitCode, Problem, RlzooError
from rlzoo.redaction import shell
from rlzoo.registry import did_you_mean

EXTRAS = {"box2d": ("Box2D", "pygame"), "mujoco": ("mujoco",), "robotics": ("gymnasium_robotics",)}
"""The extras that install environments, and what each has to bring."""

_GYMNASIUM_EXTRAS = {"gymnasium.envs.box2d": "box2d", "gymnasium.envs.mujoco": "mujoco"}
_NORMALIZE = {
    "norm_obs": Field("bool"),
    "norm_reward": Field("bool"),
    "clip_obs": Field("float", ge=0),
    "clip_reward": Field("float", ge=0),
    "gamma": Field("float", ge=0, le=1),
    "epsilon": Field("float", ge=0),
    "norm_obs_keys": Field("texts"),
}
_MONITOR = {"info_keywords": Field("texts")}


@dataclass(frozen=True)
class _Found:
    """The spaces as the algorithm sees them, and whether there are action masks."""

    observation: spaces.Space
    action: spaces.Space
    masked: bool | None


@dataclass(frozen=True)
class EnvCheck:
    """What a check found.

    Attributes:
        id: the id that is meant, where an old one stands for it.
        problems: what is wrong.
        notices: what the user should know.
        observation_space: as the algorithm sees it, None if it could not be found out.
        action_space: None if it could not be found out.
        masked: whether the environment says which actions are valid, None if that is not known.
    """

    id: str
    problems: list[Problem] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    observation_space: str | None = None
    action_space: str | None = None
    masked: bool | None = None


def check_env(env: Mapping[str, Any], *, declared_holds: bool) -> EnvCheck:
    """Check the `env` section of a request.

    Args:
        env: its plain values, of the types the schema asks for.
        declared_holds: whether id, kwargs, wrappers and frame stack are those of the file that declares the spaces.
            Then nothing is made, and a shipped id is not even looked up. Otherwise one raw environment is made.

    Returns:
        Problems, notices and the spaces.
    """
    env = {**env, "kwargs": env["kwargs"] or {}, "monitor_kwargs": env["monitor_kwargs"] or {}}
    env_id, problems, notices = _identity(env["id"])
    problems = problems or _packages(env_id, env)
    declared = declared_holds and None not in (env["observation_space"], env["action_space"])
    if not problems and not (declared and env_id in env_names.short_names()):
        problems = _look_up(env_id, env)
    problems += check_options(env)
    if not declared and env["action_space"] is None:
        name = env_names.short_name(env_id)
        notices += [f"{env_id} is shipped as env={name}: tuned hyperparameters go by that name"] if name else []
    if problems:
        return EnvCheck(env_id, problems, notices)

    found = _parsed(env_id, env, problems) if declared else _made(env_id, env, problems, notices)
    if found is None or problems:
        return EnvCheck(env_id, problems, notices)
    problems += _check_normalized_space(found.observation, env["normalize"])
    return EnvCheck(env_id, problems, notices, str(found.observation), str(found.action), found.masked)


def check_options(env: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the options of the wrappers, the monitor and the normalisation of an `env` section."""
    normalize = env["normalize"] if isinstance(env["normalize"], Mapping) else {}
    return [
        *wrappers.check(env["wrappers"]),
        *fields.problems(_MONITOR, env["monitor_kwargs"] or {}, "env.monitor_kwargs"),
        *fields.problems(_NORMALIZE, normalize, "env.normalize"),
    ]


def _identity(env_id: str) -> tuple[str, list[Problem], list[str]]:
    alias = aliases.resolve(env_id)
    if alias is None:
        return env_id, [], []
    name = env_names.short_names().get(alias.id)
    choice = f"env={name}" if name else f"env.id={alias.id}"
    if alias.same:
        return alias.id, [], [f"{env_id} is called {alias.id} today: {alias.note}"]
    return (
        env_id,
        [Problem("env.id", alias.differs(env_id), f"use {choice}")],
        [],
    )


def _packages(env_id: str, env: Mapping[str, Any]) -> list[Problem]:
    problems = []
    prefix = env_id.rpartition(":")[0]
    modules = [("env.id", prefix)] if prefix else []
    modules += [("env.imports", module) for module in env["imports"]]
    for key, module in modules:
        if not registration.installed(module):
            hint = _install(env["extra"]) if env["extra"] else registry.install_line(module.partition(".")[0])
            problems.append(Problem(key, f"{env_id} needs the module {module}", hint, code=ExitCode.MISSING))
    problems += _extra_problems(env_id, env["extra"])
    return problems


def _extra_problems(env_id: str, extra: str | None) -> list[Problem]:
    missing = [module for module in EXTRAS.get(extra or "", ()) if not registration.installed(module)]
    if not missing:
        return []
    message = f"{env_id} needs the package {' and '.join(missing)}"
    return [Problem("env.id", message, _install(str(extra)), code=ExitCode.MISSING)]


def _install(extra: str) -> str:
    return f'pip install "hydra-rlzoo[{extra}]"'


def _check_normalized_space(observation: spaces.Space, normalize: Any) -> list[Problem]:
    options = normalize if isinstance(normalize, Mapping) else {}
    if normalize is False or not options.get("norm_obs", True):
        return []
    keys = options.get("norm_obs_keys")
    if observation.kind != "Dict":
        parts = {"": observation}
        if keys is not None:
            return [Problem("env.normalize.norm_obs_keys", f"is for Dict observations, not {observation}")]
    else:
        parts = dict(observation.parts)
        if unknown := [key for key in keys or () if key not in parts]:
            message = f"{unknown[0]!r} is no part of the observation{did_you_mean(unknown[0], parts)}"
            return [Problem("env.normalize.norm_obs_keys", message)]
        parts = {key: part for key, part in parts.items() if keys is None or key in keys}
    hint = "env.normalize={norm_obs: false} normalises rewards only"
    if boxes := [key for key, part in observation.parts if part.kind == "Box" and not part.is_image]:
        only = shell(f"env.normalize={{norm_obs_keys: [{', '.join(map(_quoted, boxes))}]}}")
        hint = f"{only} normalises what can be; {hint}"
    if any(part.kind != "Box" for part in parts.values()):
        return [Problem("env.normalize", f"only Box observations can be normalised, not {observation}", hint)]
    if any(part.is_image for part in parts.values()):
        return [Problem("env.normalize", "images are scaled by the policy itself, not by running statistics", hint)]
    return []


def _quoted(key: str) -> str:
    """A key as Hydra reads it on the command line."""
    return key if re.fullmatch(r"[A-Za-z_]\w*", key, re.ASCII) else json.dumps(key, ensure_ascii=False)


def _look_up(env_id: str, env: Mapping[str, Any]) -> list[Problem]:
    """Whether Gymnasium knows the id, its constructor the keywords, and what it needs is there."""
    prefix, _, name = env_id.rpartition(":")
    try:
        with warnings.catch_warnings(), registration.processes_held(env_id, env["imports"]):
            warnings.simplefilter("ignore")
            registration.register([*env["imports"], *([prefix] if prefix else [])])
    except RlzooError as error:
        key = "env.id" if prefix else "env.imports"
        return [Problem(key, error.message, error.hint, code=error.code)]
    import gymnasium

    spec = gymnasium.registry.get(name)
    if spec is None:
        return [registration.unknown(name)]
    entry_point = spec.entry_point if isinstance(spec.entry_point, str) else ""
    extra = next((extra for module, extra in _GYMNASIUM_EXTRAS.items() if entry_point.startswith(module)), None)
    problems = _extra_problems(name, extra)
    if "atari" in env["wrappers"] and not entry_point.startswith("ale_py"):
        problems.append(Problem("env.wrappers.atari", f"{name} is no Atari game"))
    return problems or _check_kwargs(spec, env["kwargs"])


def _check_kwargs(spec: Any, kwargs: Mapping[str, Any]) -> list[Problem]:
    import inspect

    from gymnasium.envs.registration import load_env_creator

    if "render_mode" in kwargs:
        return [Problem("env.kwargs.render_mode", "is chosen by rlzoo: nothing is drawn while training")]
    if not kwargs:
        return []
    try:
        creator = load_env_creator(spec.entry_point) if isinstance(spec.entry_point, str) else spec.entry_point
        parameters = inspect.signature(creator).parameters
    except Exception:
        return []  # making the environment says why
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return []
    return [
        Problem(f"env.kwargs.{key}", f"is no keyword of {spec.id}{did_you_mean(key, parameters)}")
        for key in kwargs
        if key not in parameters
    ]


def _parsed(env_id: str, env: Mapping[str, Any], problems: list[Problem]) -> _Found | None:
    found = []
    for key in ("observation_space", "action_space"):
        try:
            found.append(spaces.parse(env[key]))
        except RlzooError as error:
            problems.append(Problem(f"env.{key}", error.message, error.hint))
    if len(found) < 2:
        return None
    masked = env_id == "TaxiMasked-v0" or "action_masker" in env["wrappers"]
    return _Found(found[0], found[1], masked or (False if env_id in env_names.short_names() else None))


def _made(env_id: str, env: Mapping[str, Any], problems: list[Problem], notices: list[str]) -> _Found | None:
    """Make one environment, and say what the algorithm will observe and how it acts."""
    from rlzoo.envs.make import make_raw
    from rlzoo.envs.old_gym import ApiError, look

    at = "env.kwargs" if env["kwargs"] else "env.id"
    held = registration.processes_held(env_id, env["imports"], env["wrappers"])
    with warnings.catch_warnings(), held:
        warnings.simplefilter("ignore")
        try:
            made = make_raw(env_id, kwargs=env["kwargs"], max_steps=env["max_steps"])
        except RlzooError as error:
            problems.append(Problem(at, error.message, error.hint, code=error.code))
            return None
        except Exception as error:
            text = str(error).partition(" was raised from the environment creator")[0]
            problems.append(Problem(at, f"{env_id} cannot be made: {text or type(error).__name__}"))
            return None
        try:
            notices += _made_notices(made, env)
            if old := look(made):
                notices.append(f"{env_id} {old}")
            return _seen_spaces(made, env, problems)
        except ApiError as error:
            problems.append(Problem("env.id", error.message, error.hint))
            return None
        finally:
            made.close()


def _seen_spaces(made: Any, env: Mapping[str, Any], problems: list[Problem]) -> _Found | None:
    wrapped = made
    for name, options in env["wrappers"].items():
        try:
            wrapped = wrappers.preview(wrapped, {name: options})
            if name == "action_masker":
                wrapped.reset(seed=0)
        except Exception as error:
            text = str(error.args[0]) if error.args else type(error).__name__
            problems.append(Problem(f"env.wrappers.{name}", text))
            return None
    observation = spaces.of(wrapped.observation_space)
    if env["frame_stack"]:
        try:
            observation = spaces.stacked(observation, int(env["frame_stack"]))
        except RlzooError as error:
            problems.append(Problem("env.frame_stack", error.message))
            return None
    masked = wrapped.has_wrapper_attr("action_masks")
    return _Found(spaces.channels_first(observation), spaces.of(wrapped.action_space), masked)


def _made_notices(made: Any, env: Mapping[str, Any]) -> list[str]:
    from rlzoo.envs.make import has_step_limit

    notices = []
    spec = made.spec
    if not has_step_limit(made) and "time_limit" not in env["wrappers"]:
        rule = f"evaluations cut its episodes after {MAX_UNLIMITED:,} steps at most"
        notices.append(f"{spec.id} has no step limit: {rule}; env.max_steps=… sets another, for training too")
    skip = spec.kwargs.get("frameskip", 4)
    if "atari" in env["wrappers"] and skip != 1:
        notices.append(f"{spec.id} skips frames by itself, and the atari wrapper again: set env.kwargs.frameskip=1")
    return notices
