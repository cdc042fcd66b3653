"""What is wrong with a request's environment, known before torch is imported and before anything is trained."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rlzoo import registry
from rlzoo.config import aliases, env_names, fields
from rlzoo.config.fields import Field
from rlzoo.envs import probe, registration, spaces, wrappers
from rlzoo.envs.baseline import RandomPlay
from rlzoo.errors import ExitCode, Problem, RlzooError, relative
from rlzoo.redaction import shell
from rlzoo.registry import did_you_mean

EXTRAS = {"box2d": ("Box2D", "pygame"), "mujoco": ("mujoco",), "robotics": ("gymnasium_robotics",)}
"""The extras that install environments, and what each has to bring."""

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
class Use:
    """What a request does with an environment besides playing it.

    Attributes:
        masks: asks it which actions are valid.
        goals: asks it for the rewards of other goals.
        goal_infos: and hands it the infos of the steps then.
        films: asks it for pictures, where it says that it has them.
        nan: takes NaN and infinity.
        checkers: asks the environment checkers of Gymnasium and Stable-Baselines3 too.
        others: has several at once in one process, and what to ask for to have a single one.
        plays: plays whole episodes at random, for their scores and what they show.
        asks: a name and `"module:function"`, which is called with the environment and the values of its section, and
            gives plain values.
    """

    masks: bool = False
    goals: bool = False
    goal_infos: bool = False
    films: bool = False
    nan: bool = False
    checkers: bool = False
    others: str = ""
    plays: bool = False
    asks: Mapping[str, str] = field(default_factory=dict)


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
        where: file and line of the one of somebody else's, which declares its spaces.
        answers: to what `Use.asks`.
        play: what random play has shown, None if it was not played.
    """

    id: str
    problems: list[Problem] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    observation_space: str | None = None
    action_space: str | None = None
    masked: bool | None = None
    where: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    play: RandomPlay | None = None


def check_env(env: Mapping[str, Any], *, declared_holds: bool, use: Use | None = None) -> EnvCheck:
    """Check the `env` section of a request.

    Args:
        env: its plain values, of the types the schema asks for.
        declared_holds: whether id, kwargs, wrappers and frame stack are those of the file that declares the spaces.
            Then nothing is made, and a shipped id is not even looked up. Otherwise one environment is made and played
            in a process of its own.
        use: what is done with it besides.

    Returns:
        Problems, notices and the spaces.
    """
    env = {**env, "kwargs": env["kwargs"] or {}, "monitor_kwargs": env["monitor_kwargs"] or {}}
    env_id, problems, notices = _identity(env["id"])
    problems = problems or _packages(env_id, env)
    declared = declared_holds and None not in (env["observation_space"], env["action_space"])
    found = EnvCheck(env_id)
    options = check_options(env)
    if not problems and not (declared and env_id in env_names.short_names()):
        found = _tried(env_id, env, use or Use(), makes=not (declared or options))
    problems += found.problems + options
    if not declared and env["action_space"] is None:
        name = env_names.short_name(env_id)
        notices += [f"{env_id} is shipped as env={name}: tuned hyperparameters go by that name"] if name else []
    if declared and not problems:
        found = _declared(env_id, env)
        problems = found.problems
    return replace(found, problems=problems, notices=notices + found.notices)


def _tried(env_id: str, env: Mapping[str, Any], use: Use, *, makes: bool) -> EnvCheck:
    """What a process of its own found out about an environment, which makes and plays it, or only looks it up."""
    question = {"env_id": env_id, "env": env, "use": asdict(use), "makes": makes}
    starts = registration.may_start_processes(env_id, env["imports"], env["wrappers"])
    name = repr((env_id, env, replace(use, plays=False), makes))  # what was played is known to the next
    heard = probe.ask("rlzoo.envs.rehearsal:rehearse", question, lambda: _registered(env_id), starts=starts, name=name)
    told, end = heard.told, heard.end
    problems = [Problem(**{**each, "code": ExitCode(each["code"])}) for each in told.get("problem", ())]
    notices = list(told.get("notice", ()))
    late = ("close",) if use.checkers else ("close", "random play")  # which trains on in another process
    if end is not None and end.during.startswith(late):
        notices.append(f"{end.during} {end.how} [{end.where}]")
    elif end is not None:
        hint = f"env.step_timeout={10 * env['step_timeout']:g} waits longer" if end.is_hang else ""
        problems.append(Problem("env.id", f"{end.during} {end.how}", hint, end.where))
    play = RandomPlay.from_data(told["play"][-1]) if "play" in told else None
    seen = {name: told[name][-1] for name in ("observation_space", "action_space", "masked", "where") if name in told}
    return EnvCheck(env_id, problems, notices, **seen, answers=dict(told.get("answer", ())), play=play)


def _registered(env_id: str) -> Any:
    """How Gymnasium knows an environment in this process, where somebody has registered it."""
    gymnasium = sys.modules.get("gymnasium")
    spec = gymnasium.registry.get(env_id.rpartition(":")[2]) if gymnasium is not None else None
    if spec is not None and str(spec.entry_point).startswith("__main__:"):
        return replace(spec, entry_point=registry.load(spec.entry_point))
    return spec


def check_options(env: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the options of the wrappers, the monitor and the normalisation of an `env` section."""
    normalize = env["normalize"] if isinstance(env["normalize"], Mapping) else {}
    return [
        *wrappers.check(env["wrappers"]),
        *fields.problems(_MONITOR, env["monitor_kwargs"] or {}, "env.monitor_kwargs"),
        *fields.problems(_NORMALIZE, normalize, "env.normalize"),
        *(
            [Problem("env.kwargs.render_mode", "is chosen by rlzoo: nothing is drawn while training")]
            if "render_mode" in (env["kwargs"] or {})
            else []
        ),
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
        if "/" in module or "\\" in module or Path(module).is_file():
            *folders, name = relative(module.replace("\\", "/")).removeprefix("./").removesuffix(".py").split("/")
            is_below = all(map(str.isidentifier, folders))
            meant = ".".join([*(folders if is_below else ()), name])
            use = f"env.id={meant}:{env_id.rpartition(':')[2]}" if key == "env.id" else f"env.imports=[{meant}]"
            hint = use if is_below else f"in its folder: {use}"
            problems.append(Problem(key, f"{module} is a file: a module is named by its dotted name", hint))
        elif not registration.installed(module):
            hint = _install(env["extra"]) if env["extra"] else registry.import_hint(module.partition(".")[0])
            problems.append(Problem(key, f"{env_id} needs the module {module}", hint, code=ExitCode.MISSING))
    problems += extra_problems(env_id, env["extra"])
    return problems


def extra_problems(env_id: str, extra: str | None) -> list[Problem]:
    """The packages that an extra would install, where they are missing."""
    missing = [module for module in EXTRAS.get(extra or "", ()) if not registration.installed(module)]
    if not missing:
        return []
    message = f"{env_id} needs the package {' and '.join(missing)}"
    return [Problem("env.id", message, _install(str(extra)), code=ExitCode.MISSING)]


def _install(extra: str) -> str:
    return f'pip install "hydra-rlzoo[{extra}]"'


def check_normalized_space(observation: spaces.Space, normalize: Any) -> list[Problem]:
    """Whether an observation can be normalised as `env.normalize` says."""
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
        only = shell(f"env.normalize={{norm_obs_keys: [{', '.join(map(spaces.quoted, boxes))}]}}")
        hint = f"{only} normalises what can be; {hint}"
    if any(part.kind != "Box" for part in parts.values()):
        return [Problem("env.normalize", f"only Box observations can be normalised, not {observation}", hint)]
    if any(part.is_image for part in parts.values()):
        return [Problem("env.normalize", "images are scaled by the policy itself, not by running statistics", hint)]
    return []


def _declared(env_id: str, env: Mapping[str, Any]) -> EnvCheck:
    problems, found = [], []
    for key in ("observation_space", "action_space"):
        try:
            found.append(spaces.parse(env[key]))
        except RlzooError as error:
            problems.append(Problem(f"env.{key}", error.message, error.hint))
    if problems:
        return EnvCheck(env_id, problems)
    masked = env_id == "TaxiMasked-v0" or "action_masker" in env["wrappers"]
    known = masked or (False if env_id in env_names.short_names() else None)
    return EnvCheck(env_id, check_normalized_space(found[0], env["normalize"]), [], str(found[0]), str(found[1]), known)
