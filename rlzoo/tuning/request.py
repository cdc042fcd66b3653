"""A request to tune: a request to train, a space, and how to search it, checked as a whole before anything starts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from rlzoo.algos.schema.check import check_values, find_signature
from rlzoo.algos.specs import ALGOS
from rlzoo.config import env_names
from rlzoo.config.compose import Composition, compose, with_values, without
from rlzoo.config.parse import check as check_schema
from rlzoo.config.provenance import COMMAND_LINE
from rlzoo.config.schema import TrainConfig
from rlzoo.config.tune_schema import TuneConfig
from rlzoo.console import print_pairs, print_table
from rlzoo.envs import probe
from rlzoo.errors import ConfigError, Problem
from rlzoo.launchers import not_here
from rlzoo.launchers.local import available_cpus
from rlzoo.training.preflight import MIN_PROCESSES, PROCESSES_PER_CORE, find_problems
from rlzoo.training.train import rehearse
from rlzoo.tuning import samplers
from rlzoo.tuning.progress import MAX_DRAWS, NEEDS_EVALUATIONS
from rlzoo.tuning.race import cost
from rlzoo.tuning.space import Choice, Parameter, Space
from rlzoo.tuning.space_file import around_defaults, read
from rlzoo.tuning.storage import store as storage

OWN_KEYS = ("search_space", *(field.name for field in fields(TuneConfig)))
"""Top-level keys that are not settings of a training."""
SHOWN = ("n_trials", "workers", "sampler", "pruner", "objective", "storage")
"""Of the settings of a search, those that a dry run shows."""
NAME = re.compile(r"[^\s./\\-][^/\\]{0,99}")


@dataclass(frozen=True)
class TuneRequest:
    """A request that passed every check.

    Attributes:
        config: how to search.
        base: the request to train that trials change.
        train: its typed form.
        space: what they change in it.
        section: `search_space` as composed: the study keeps it.
        notices: what the user should hear about.
    """

    config: TuneConfig
    base: Composition
    train: TrainConfig
    space: Space
    section: Mapping[str, Any]
    notices: tuple[str, ...]

    @property
    def study(self) -> str:
        """The study's name."""
        return self.config.study or f"{self.base.choices['algo']}-{self.base.choices['env']}"

    def as_data(self) -> dict[str, Any]:
        """What it would do, as plain data."""
        config, steps = self.config, self.train.total_timesteps
        several = config.second_objective is not None
        in_the_end = (config.top_k + 1) * config.final_seeds if several else cost(config.top_k, config.final_seeds)
        return {
            "study": self.study,
            "parameters": [
                {
                    "name": each.name,
                    "key": each.key,
                    "range": _range(each.transform),
                    "when": {name: list(values) for name, values in each.when.items()},
                }
                for each in self.space.parameters
            ],
            **{
                key: getattr(config, key)
                for key in ("n_trials", "workers", "sampler", "pruner", "objective", "storage")
            },
            "steps at most": config.n_trials * config.seeds_per_trial * steps,
            "and in the end": in_the_end * steps if config.top_k else 0,
        }

    def show(self) -> None:
        """Print what it would do."""
        data = self.as_data()
        rows = [
            (each["name"], each["key"], each["range"], _conditions(each["when"])) for each in data.pop("parameters")
        ]
        print_table(("parameter", "setting", "range", "when"), rows, title=f"study {data.pop('study')}")
        print_pairs([(key, f"{value:,}" if isinstance(value, int) else value) for key, value in data.items()])


def _range(transform: Any) -> str:
    if hasattr(transform, "values"):
        return ", ".join(map(str, transform.values))
    kind = type(transform).__name__
    if kind == "OneMinus":
        return f"{1 - transform.high:g} to {1 - transform.low:g} (log of the distance from 1)"
    scale = " log" if getattr(transform, "log", False) else ""
    return f"{transform.low:g} to {transform.high:g}{scale} ({kind})"


def _conditions(when: Mapping[str, Sequence[Any]]) -> str:
    return ", ".join(f"{name}: {' or '.join(map(str, values))}" for name, values in when.items())


def plan(words: Sequence[str], *, starts: bool = True) -> TuneRequest:
    """Compose and check a request to tune.

    Args:
        words: as on the command line.
        starts: workers; where they run themselves, nothing is asked that holds where they are started.

    Raises:
        ConfigError: with everything that is wrong with it; nothing was started or written.
    """
    composition = compose("tune", words)
    config, train, space, problems, notices = find(composition)
    launcher = composition.values.get("launcher")
    if starts and isinstance(launcher, Mapping):
        problems += [*not_here(launcher), *_reach_problems(launcher, composition.values.get("storage"))]
    if problems or config is None or train is None:
        raise ConfigError([composition.locate(problem) for problem in problems])
    if starts and train.init_from is not None:
        rehearse(replace(train, seed=0))
    base = without(composition, OWN_KEYS)
    section = _section(composition)
    return TuneRequest(config, base, train, space, section, (*composition.notices, *notices))


@probe.once()
def find(
    composition: Composition, *, make_env: bool = True
) -> tuple[TuneConfig | None, TrainConfig | None, Space, list[Problem], list[str]]:
    """The parts of a request, what is wrong with them, and notices."""
    own = {key: value for key, value in composition.values.items() if key in OWN_KEYS and key != "search_space"}
    config, problems = check_schema(TuneConfig, own)
    problems = [*composition.problems, *problems]  # what is laid over it below has none of its words' own
    base = without(composition, OWN_KEYS)
    n_workers = config.workers if config is not None else 1
    side_by_side = with_values(base, {"n_jobs": n_workers})  # that many trainings share this machine's memory
    train, train_problems, notices = find_problems(
        side_by_side, make_env=make_env, n_requests=n_workers if make_env else 0
    )
    section = _section(composition)
    searched = _searched(section, base)
    given = {key for key in searched if composition.origin(key) == COMMAND_LINE}
    train_problems = [each for each in train_problems if each.key not in searched or each.key in given]
    notices += [
        f"{key} is searched: the value given is only where a trial begins; search_space.{name}=null holds it fixed"
        for key, name in sorted(searched.items())
        if key in given
    ]
    problems += [each for each in train_problems if each not in problems]
    if not isinstance(section, Mapping):
        algo = composition.choices.get("algo")
        hint = "search_space.<setting>={type: float, low: 0, high: 1} on the command line, or conf/search_space/"
        problems.append(Problem("search_space", f"there is none for {algo}", f"{hint}{algo}.yaml"))
        return config, train, Space(()), problems, notices
    if "search_space" not in composition.values:
        algo = composition.choices["algo"]
        notices.append(f"{algo} is searched around its defaults: there is no conf/search_space/{algo}.yaml")
    space, space_problems = read(section, base.values)
    problems += space_problems
    if not train_problems:
        problems += [problem for each in space.parameters for problem in _refused(each, base, make_env)]
    problems += [*_search_problems(own, space), *_place_problems(own)]
    if config is not None and not problems and make_env and config.n_trials > len(config.enqueue):
        problems += _draws_in_vain(space, base) if samplers.name_of(config.sampler) != "grid" else []
    if config is not None:
        notices += [*samplers.notices("sampler", config.sampler), *samplers.notices("pruner", config.pruner)]
        problems += _study_problems(config, train, composition)
    return config, train, space, problems, notices


def _section(composition: Composition) -> Any:
    """`search_space` as it was composed; where there is none, around the algorithm's defaults, if that can help."""
    spec = ALGOS.get(str((composition.values.get("algo") or {}).get("name")))
    if "search_space" in composition.values or spec is None or not spec.tunable:
        return composition.values.get("search_space")
    return around_defaults(find_signature(spec).keywords)


def _searched(section: Any, base: Composition) -> dict[str, str]:
    """Settings that every trial has a value of its own for, with their parameters: a tuned set's does not matter."""
    space = read(section, base.values)[0] if isinstance(section, Mapping) else Space(())
    return {parameter.key: parameter.name for parameter in space.parameters if not parameter.when}


def _refused(parameter: Parameter, base: Composition, make_env: bool) -> list[Problem]:
    """Ends of a range, or choices, that the algorithm or the environment does not take; the first of them."""
    for value in _extremes(parameter):
        laid = with_values(base, {parameter.key: parameter.setting(value)})
        of_algo = parameter.key.startswith("algo.")
        wrong = check_values(laid.values["algo"], whole=False) if of_algo else find_problems(laid, make_env=make_env)[1]
        # what an environment says against may be said of another of its settings
        for problem in (each for each in wrong if _is_below(each.key, parameter.key if of_algo else "env")):
            message = f"can become {parameter.setting(value)}: {problem.key} {problem.message}"
            return [Problem(f"search_space.{parameter.name}", message, problem.hint)]
    return []


def _draws_in_vain(space: Space, base: Composition) -> list[Problem]:
    """That nothing may be tried of what the space is drawn from, as every trial would find."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    wrong: list[str] = []
    for _ in range(MAX_DRAWS):
        values = space.draw(study.ask())
        laid = with_values(base, space.settings(values))
        wrong = space.broken(values, laid.values)
        wrong = wrong or [str(each) for each in find_problems(laid, make_env=False, n_requests=0)[1]]
        if not wrong:
            return []
    message = f"none of {MAX_DRAWS} draws may be tried; the last one: {wrong[0]}"
    return [Problem("search_space", message, "widen the space, or loosen its constraints: search_space.…=")]


def _is_below(key: str, section: str) -> bool:
    return key == section or key.startswith(f"{section}.")


def _place_problems(own: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with where the study is kept, as far as the values have the right types."""
    kept, name = own.get("storage"), own.get("study")
    found = storage.problems_of(kept) if isinstance(kept, str) else []
    if isinstance(name, str) and not (NAME.fullmatch(name) and name.isprintable() and name == name.strip()):
        hint = "at most 100 printable signs without /, the first no - or .; studies_dir= is for the place"
        found.append(Problem("study", f"{name!r} cannot be the name of a folder", hint))
    if name == "latest":
        found.append(Problem("study", "'latest' is the newest study to rlzoo tune report", "give it another name"))
    return found


def _study_problems(config: TuneConfig, train: TrainConfig | None, composition: Composition) -> list[Problem]:
    """What is wrong with who runs the trials, and with what they are to be judged by."""
    found = []
    most = max(MIN_PROCESSES, PROCESSES_PER_CORE * available_cpus())
    here = train is None or not _leaves_this_machine(train.launcher)
    if here and config.workers > most:
        found.append(Problem("workers", f"must be at most {most} on this machine, not {config.workers}"))
    if train is not None and config.objective in NEEDS_EVALUATIONS and train.frequency(train.eval.freq, 10) == 0:
        message = f"{config.objective} is made of evaluations on the way, and eval.freq is 0"
        found.append(Problem("objective", message, "objective=final, or eval.freq=auto"))
    if train is not None and train.n_seeds > 1:
        message = "is for rlzoo train: a search trains each trial, and what is compared at the end, on several seeds"
        found.append(Problem("n_seeds", message, f"seeds_per_trial={train.n_seeds}, final_seeds={train.n_seeds}"))
    if config.save and (config.top_k == 0 or config.second_objective is not None):
        message = "takes the winner of the comparison at the end, and there is none"
        found.append(Problem("save", message, "top_k=3, and no second_objective"))
    env = composition.choices.get("env")
    if config.save and env in (env_names.GYM, env_names.ATARI):
        every = "every environment" if env == env_names.GYM else "every Atari game"
        message = f"needs an environment with a name: the tuned set of env={env} would be applied to {every}"
        found.append(Problem("save", message, "describe it in ./conf/env/<name>.yaml and tune env=<name>"))
    return found


def _leaves_this_machine(launcher: Mapping[str, Any]) -> bool:
    """Whether workers may run elsewhere: on Slurm, or on a Ray that runs already."""
    return launcher.get("cluster") == "slurm" or launcher.get("address") is not None


def _reach_problems(launcher: Mapping[str, Any], kept: Any) -> list[Problem]:
    """What workers on other machines could not use."""
    if kept != "sqlite" or os.environ.get(storage.VARIABLE) or not _leaves_this_machine(launcher):
        return []
    where = "Slurm's" if launcher.get("cluster") == "slurm" else "a running Ray's"
    message = f"sqlite is for one machine: its locks do not hold on network disks, and the workers are {where}"
    hint = f"storage={storage.DATABASE} keeps the trials where every machine reaches them"
    return [Problem("storage", message, hint)]


def _extremes(parameter: Parameter) -> list[Any]:
    transform: Any = parameter.transform
    if isinstance(transform, Choice):
        return list(transform.values.values())
    distribution: Any = transform.distribution()
    return [transform.value(distribution.low), transform.value(distribution.high)]


def _search_problems(own: Mapping[str, Any], space: Space) -> list[Problem]:
    """What is wrong with how to search, as far as the values have the right types."""
    problems = []
    names = {}
    for key, table in (("sampler", samplers.SAMPLERS), ("pruner", samplers.PRUNERS)):
        if isinstance(own.get(key), str | dict):
            problems += samplers.problems(key, own[key], table)
            names[key] = samplers.name_of(own[key])
    if names.get("sampler") == "grid":
        try:
            samplers.grid(space)
        except ValueError as error:
            problems.append(Problem("sampler", str(error), "give them choices, or take sampler=qmc"))
    if own.get("second_objective") is None:
        return problems
    if names.get("pruner") != "none":
        message = "cannot be used with second_objective: trials with two scores cannot be compared on the way"
        problems.append(Problem("pruner", message, "pruner=none"))
    sampler = samplers.SAMPLERS.get(names.get("sampler", ""))
    if sampler is not None and not sampler.several:
        problems.append(Problem("sampler", "cannot search for two objectives", "sampler=tpe, nsgaii, gp or random"))
    return problems
