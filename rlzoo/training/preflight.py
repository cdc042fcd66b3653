"""Everything that can be known to be wrong with a training request before work starts, before torch is imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from rlzoo import registry
from rlzoo.algos import specs
from rlzoo.algos.memory import Sizes
from rlzoo.algos.memory import problems as memory_problems
from rlzoo.algos.schema.check import check as check_algo
from rlzoo.config import files
from rlzoo.config.compose import Composition
from rlzoo.config.compose import compose as compose_words
from rlzoo.config.overrides import key_of
from rlzoo.config.parse import NOT_SET
from rlzoo.config.parse import check as check_schema
from rlzoo.config.paths import short_path
from rlzoo.config.schema import DEVICES, TrainConfig
from rlzoo.envs import baseline, spaces, wrappers
from rlzoo.envs.check import EnvCheck, Use, check_env
from rlzoo.errors import Problem, RlzooError, show
from rlzoo.launchers import check as check_launcher
from rlzoo.loggers import check as check_loggers
from rlzoo.redaction import redact, secret_keys
from rlzoo.training import notices as unlikely
from rlzoo.training.train import cuda_devices

SPACES = ("env.observation_space", "env.action_space")
DECLARED = ("env.id", "env.imports", "env.kwargs", "env.wrappers", "env.frame_stack", *SPACES)
"""Keys that shape an environment's spaces: the declared spaces hold only while these come from its own file."""

PROCESSES_PER_CORE = 16
MIN_PROCESSES = 64
"""Processes of environments at most: beyond that they only wait for each other."""


@dataclass(frozen=True)
class Request:
    """A request that passed every check, with what the user should hear about it."""

    config: TrainConfig
    composition: Composition
    notices: tuple[str, ...]


def check(composition: Composition, *, make_env: bool = True, n_requests: int = 1) -> Request:
    """Check a composed request.

    Args:
        composition: what `config.compose.compose` made.
        make_env: make one raw environment where its spaces are not declared; without it such spaces go unchecked.
        n_requests: how many requests this one is part of; up to `n_jobs` of them share this machine's memory.

    Raises:
        ConfigError: with every problem found, each with the file and line of its value.
    """
    config, problems, notices = find_problems(composition, make_env=make_env, n_requests=n_requests)
    return Request(composition.settled(config, problems), composition, (*composition.notices, *notices))


def compose(*words: str) -> TrainConfig:
    """Compose and check a training configuration, as `rlzoo train` would run it.

    Args:
        words: settings as on the command line: `"algo=ppo"`, `"env=LunarLander"`, `"algo.learning_rate=1e-3"`.

    Raises:
        ConfigError: naming everything that is wrong with the request.
    """
    return check(compose_words("train", list(words))).config


def find_problems(
    composition: Composition, *, make_env: bool = True, n_requests: int = 0
) -> tuple[TrainConfig | None, list[Problem], list[str]]:
    """The typed configuration (None if it has no valid form), the problems, and notices.

    Of how many requests it is part says whether this machine has the memory; 0 is for one that is not to run here.
    From here on the modules that it names may be found in the current folder.
    """
    registry.allow_imports(registry.modules_named(composition.values))
    secrets = secret_problems(composition)
    config, problems, notices = _find_problems(composition, make_env=make_env, n_requests=n_requests)
    named = {problem.key for problem in secrets}  # what else is wrong with a secret might show it
    return config, [*secrets, *(problem for problem in problems if problem.key not in named)], notices


def _find_problems(
    composition: Composition, *, make_env: bool, n_requests: int
) -> tuple[TrainConfig | None, list[Problem], list[str]]:
    values = composition.values
    config, problems = check_schema(TrainConfig, values)
    problems = [problem for problem in problems if problem.key.split(".")[0] not in composition.unread]
    problems = [*composition.problems, *_incomplete_file(composition, problems)]
    notices: list[str] = []
    unknown = [section for section in ("env", "algo") if not isinstance(values.get(section), dict)]
    if unknown or {"env", "algo"}.intersection(composition.unread):
        return config, problems, notices

    use = _use(values)
    if config is not None:
        use = replace(use, plays=config.eval.random, others=_others(config))
    env = _check_env(composition, use, make_env=make_env) if not _keys(problems, "env") else None
    if env is not None:
        problems += env.problems
        notices += env.notices
    algo_problems, algo_notices = _check_algo(composition, env, problems)
    problems += algo_problems
    notices += algo_notices
    if "dynamics" in use.asks and env is not None and make_env and not problems:
        problems += _dynamics_problems(values, env)
    if not problems and env is not None and config is not None:
        notices += _unlikely(composition, env)
    if isinstance(values.get("logger"), dict):
        problems += check_loggers(values["logger"])
    launcher = values.get("launcher") or {}  # `launcher:` with nothing behind it is an empty mapping
    if isinstance(launcher, dict):
        problems += check_launcher(launcher)
    if config is not None:
        problems += _cross_problems(config)
        if n_requests and env is not None and not problems and config.launcher.get("name") == "local":
            spaces_of = (env.observation_space, env.action_space)
            found = _too_large(config, *spaces_of, min(config.n_jobs, n_requests), composition.typed)
            problems = _declared(found, env)
    return config, problems, notices


def check_environment(words: Sequence[str], use: Use | None = None) -> tuple[TrainConfig | None, Composition, EnvCheck]:
    """Compose an environment alone, from `env=` and `env.*`, and check it as for a training.

    Returns:
        The typed configuration (None if it has no valid form), how it was composed, and what is wrong with it: with
        where that comes from.
    """
    composition = compose_words("train", [*words, "hyperparams=none"])
    registry.allow_imports(registry.modules_named(composition.values))
    config, problems = check_schema(TrainConfig, composition.values)
    problems = [*secret_problems(composition), *composition.problems, *problems]
    others = [key for key in map(key_of, words) if key != "env" and not key.startswith("env.")]
    problems += [Problem(key, "is not of the environment, which env= and env.* say") for key in others]
    found = (
        EnvCheck("", problems) if problems else _tried(composition.values["env"], use or Use(), declared_holds=False)
    )
    if found.play is not None and not found.problems:
        found.notices.extend(_unlikely(composition, found, unlikely.PLAYED))
    return config, composition, replace(found, problems=[composition.locate(each) for each in found.problems])


def _tried(env: Mapping[str, Any], use: Use, *, declared_holds: bool) -> EnvCheck:
    """Check an environment, with its random play if `use` has it: played now, unless that is known."""
    known = baseline.find(baseline.shape(env)) if use.plays else None
    plays = use.plays and known is None and not wrappers.imports_torch(env["wrappers"])
    found = check_env(env, declared_holds=declared_holds, use=replace(use, plays=plays))
    return replace(found, play=found.play or known)


def secret_problems(composition: Composition) -> list[Problem]:
    """Settings named like secrets, and a folder named by one: a configuration is written, shown and shared."""
    where = "secrets come from the environment (HF_TOKEN, WANDB_API_KEY, …) or the Hub's token store"
    message = "is named like a secret, which a configuration never holds"
    found = [Problem(key, message, where) for key in secret_keys(composition.values) if composition.typed(key)]
    runs_dir = composition.values.get("runs_dir")
    if isinstance(runs_dir, str) and redact(runs_dir) != runs_dir:
        found.append(Problem("runs_dir", "has a secret in the name of a folder, which everybody sees", where))
    return found


def _incomplete_file(composition: Composition, problems: list[Problem]) -> list[Problem]:
    """The problems, with all that a user's environment file leaves out said at once."""
    missing = [p.key for p in problems if p.message == NOT_SET and f"{p.key}.".startswith("env.")]
    file = files.find(f"env/{composition.choices.get('env')}") if missing else None
    if file is None or file.shipped:
        return problems
    others = [p for p in problems if p.key not in missing]
    if missing == ["env"] and composition.problems:
        return others  # it could not be read, which is said already
    names = ", ".join(key.removeprefix("env.") for key in missing)
    left_out = "is empty" if missing == ["env"] else f"leaves out {names}"
    hint = "begin it with `defaults: [gym, _self_]`: the file gym has a value for every key"
    return [Problem("env", f"the file {left_out}", hint, short_path(file.path)), *others]


def _use(values: Mapping[str, Any]) -> Use:
    """What the algorithm of a request does with its environment."""
    algo = values["algo"]
    buffer = algo.get("replay_buffer_kwargs")
    infos = isinstance(buffer, Mapping) and bool(buffer.get("copy_info_dict"))
    use = Use(goals=algo.get("replay_buffer_class") == "her", goal_infos=infos, nan=values.get("on_nan") == "warn")
    with suppress(RlzooError):
        spec = specs.find_spec(str(algo.get("name")))
        asks = {"dynamics": "rlzoo.algos.tabular.dynamics:shows_dynamics"} if spec.family == "planning" else {}
        return replace(use, masks=spec.masked, asks=asks)
    return use


def _others(config: TrainConfig) -> str:
    """How a training does without a second environment in its process, empty if it has none."""
    if config.env.vec_env == "subproc":
        return ""
    ways = ["env.n_envs=1"] if config.env.n_envs > 1 else []
    ways += ["eval.freq=0"] if config.frequency(config.eval.freq, 10) else []
    return f"a training with {' '.join(ways)} has one at a time" if ways else ""


def _check_env(composition: Composition, use: Use, *, make_env: bool) -> EnvCheck | None:
    declared = all(_from_env_file(composition, key) for key in DECLARED)
    if not (declared or make_env):
        return None
    found = _tried(composition.values["env"], use, declared_holds=declared and not (use.asks and make_env))
    for key, space in zip(SPACES, (found.observation_space, found.action_space), strict=True):
        said = composition.values["env"][key.removeprefix("env.")]
        if composition.typed(key) and None not in (said, space) and str(said) != space:
            found.problems.append(Problem(key, f"is {space}, not {said}", "null finds it out"))
    return found


def _from_env_file(composition: Composition, key: str) -> bool:
    """Whether a value, and every value below it, comes from shipped files of the environment's own group.

    A user's file may declare spaces too, but nobody has proven them: one environment is made to see.
    """
    path = tuple(key.split("."))
    origins = [origin for at, origin in composition.tree.origins.items() if at[: len(path)] == path]
    return all(origin.shipped and origin.file is not None and origin.file.parent.name == "env" for origin in origins)


def _check_algo(
    composition: Composition, env: EnvCheck | None, so_far: list[Problem]
) -> tuple[list[Problem], list[str]]:
    values = composition.values
    algo = values["algo"]
    name, chosen = algo.get("name"), composition.choices.get("algo")
    if not isinstance(name, str) or name == "???":
        return [], []
    try:
        spec = specs.find_spec(name)
    except RlzooError as error:
        return [Problem("algo.name", error.message, error.hint)], []
    named = None
    with suppress(RlzooError):  # a file of the user's own has a name of its own
        named = specs.find_spec(str(chosen))
    if named is not None and name != named.name:
        hint = f"choose the algorithm with algo={name}"
        return [Problem("algo.name", f"is {name!r}, but algo={chosen} was chosen", hint)], []
    if chosen is not None and name != spec.name:  # runs, scores and tuned sets are kept under the name
        return [Problem("algo.name", f"must be {spec.name!r}, of which {name!r} is another name")], []
    env_values = values["env"]
    n_envs, total = env_values.get("n_envs"), values.get("total_timesteps")
    valid = _is_count(n_envs) and _is_count(total)
    found, notices = check_algo(
        algo,
        observation_space=env.observation_space if env is not None else None,
        action_space=env.action_space if env is not None else None,
        n_envs=int(n_envs or 1) if valid else 1,
        total_timesteps=int(total or 1) if valid else 2**62,
        # where these numbers are a mistake, named elsewhere, what follows from them is none of the user's
        typed=composition.typed if valid else lambda key: False,
        normalized=env_values.get("normalize") is not False,
        stacked=env_values.get("frame_stack") not in (None, 1),
    )
    problems = []
    if env is not None and env.masked is False and spec.masked:
        hint = "env.wrappers.action_masker={} takes them from info; env=TaxiMasked has them"
        problems.append(Problem("env.id", f"{name} needs action masks, which this environment has not", hint))
    known = {problem.key for problem in so_far}
    return problems + [each for each in _declared(found, env) if each.key not in known], notices


def _declared(problems: list[Problem], env: EnvCheck | None) -> list[Problem]:
    """The problems, those of what somebody else's environment declares with the file and line of it."""
    if env is None or not env.where:
        return problems
    theirs = [each.key in SPACES or "this environment has" in each.message for each in problems]
    return [each._replace(where=env.where) if its else each for each, its in zip(problems, theirs, strict=True)]


def _unlikely(composition: Composition, env: EnvCheck, rules: Sequence[unlikely.Rule] = unlikely.RULES) -> list[str]:
    """What makes learning unlikely, by the request and by what is known of random play in its environment."""
    values, typed = composition.values, composition.typed
    shipped = baseline.shipped(baseline.shape(values["env"])) is not None
    return unlikely.find(values, play=env.play, shipped=shipped, typed=typed, rules=rules)


def _dynamics_problems(values: dict[str, Any], env: EnvCheck) -> list[Problem]:
    """Whether the environment of an algorithm that plans shows its dynamics."""
    name = values["algo"]["name"]
    hides = [f"env.{key}" for key in ("wrappers", "frame_stack", "normalize") if values["env"][key]]
    if hides:
        return [Problem(hides[0], f"hides the dynamics of the environment, which {name} plans with")]
    if env.answers.get("dynamics"):
        return []
    from rlzoo.algos.tabular.dynamics import WHO_SHOWS

    message = f"{name} plans with the dynamics of an environment, which {values['env']['id']} does not show"
    return [Problem("algo.name", message, f"{WHO_SHOWS}; algo=q_learning learns without")]


def _cross_problems(config: TrainConfig) -> list[Problem]:
    problems = []
    if config.stop.reward is not None and config.frequency(config.eval.freq, 10) == 0:
        problems.append(Problem("stop.reward", "needs evaluations during training", "set eval.freq"))
    if config.eval.n_envs > max(config.eval.n_episodes, config.eval.n_final):
        problems.append(Problem("eval.n_envs", "is more than the episodes of any evaluation"))
    if config.init_from is not None:
        from rlzoo.training.init_from import check as check_init_from

        problems += check_init_from(config)
    return problems + device_problems(config.device, here=config.launcher.get("name") == "local")


def check_stored(config: TrainConfig) -> list[Problem]:
    """What is wrong with training on as a run's configuration says, on this machine."""
    problems = device_problems(config.device)
    return problems or _too_large(config, config.env.observation_space, config.env.action_space, 1)


def _too_large(
    config: TrainConfig,
    observation: str | None,
    action: str | None,
    n_jobs: int,
    typed: Callable[[str], bool] = lambda key: False,
) -> list[Problem]:
    """What this machine has not the memory or the cores for."""
    problems = []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    most = max(MIN_PROCESSES, PROCESSES_PER_CORE * cores)
    if config.env.vec_env == "subproc" and config.env.n_envs > most:
        message = f"would be {config.env.n_envs} processes on {cores} cores: at most {most}"
        problems.append(Problem("env.n_envs", message, "env.vec_env=dummy steps them all in one process"))
    if observation is not None and action is not None:
        with suppress(RlzooError):  # a space of a kind that is not written: its size is looked at when it was made
            sizes = Sizes.of_text(spaces.parse(observation), spaces.parse(action))
            problems += memory_problems(config, sizes, n_jobs=n_jobs, typed=typed)
    return problems


def episode_problems(values: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with how episodes are to be played, beyond types: with `device`, `seeds`, and how many they are.

    A command whose `n_episodes` has a default of its own leaves it out.
    """
    device, seeds, n_episodes = values["device"], values["seeds"], values.get("n_episodes")
    problems = device_problems(device) if isinstance(device, str) else []
    if seeds and isinstance(seeds, list | tuple) and n_episodes is not None and n_episodes != len(seeds):
        problems.append(Problem("n_episodes", f"is {n_episodes}, and there are {len(seeds)} seeds", "leave one out"))
    return problems


def device_problems(device: str, *, here: bool = True) -> list[Problem]:
    """A device that cannot be. Only for CUDA is torch asked, and only if it is to run `here`, on this machine."""
    if not isinstance(device, str) or not DEVICES.fullmatch(device):
        return [Problem("device", f"must be auto, cpu, cuda or cuda:<number>, not {show(device)}")]
    if device == "mps" and here and sys.platform != "darwin":
        return [Problem("device", "'mps' is there on macOS only", "device=auto takes what is there")]
    if not device.startswith("cuda") or not here:
        return []
    count = cuda_devices()
    if int(device.partition(":")[2] or 0) < count:
        return []
    return [
        Problem(
            "device", f"{device!r} is not there: torch sees {count} CUDA devices", "device=auto takes what is there"
        )
    ]


def _is_count(value: Any) -> bool:
    return type(value) in (int, float) and 1 <= value < 2**63


def _keys(problems: list[Problem], section: str) -> bool:
    return any(f"{problem.key}.".startswith(f"{section}.") for problem in problems)
