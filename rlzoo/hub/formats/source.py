"""A run made of what others published: rlzoo's defaults below their settings, checked as any request, unsigned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from rlzoo import own_modules
from rlzoo.algos.schema.signatures import check as check_algo
from rlzoo.algos.schema.signatures import check_values
from rlzoo.algos.specs import find_spec
from rlzoo.config import aliases, env_names, paths, yaml_file
from rlzoo.config.parse import check, parse
from rlzoo.config.schema import TrainConfig
from rlzoo.envs import registration
from rlzoo.envs.check import check_env
from rlzoo.errors import ConfigError, ExitCode, Problem, RlzooError
from rlzoo.hub.formats.published import Published
from rlzoo.hub.formats.repository import Origin
from rlzoo.runs import strangers
from rlzoo.runs.run import Run, write_text
from rlzoo.untrusted.unpickle import HINT, Trusted, unpickle

T = TypeVar("T")

NO_LIMIT = 2**62
"""Steps of a training that is over: whether its buffers would have been filled is not asked."""


@dataclass(frozen=True)
class Wishes:
    """What the user said about a repository, where it does not say so itself.

    Attributes:
        file: the file with the weights.
        algo: the algorithm that they are of.
        env_id: the environment to play in.
        trust: unpickle what the safe readers refuse.
    """

    file: str | None = None
    algo: str | None = None
    env_id: str | None = None
    trust: bool = False


@dataclass
class Notes:
    """What is worth saying about an import: what nobody said and was taken for granted, and what was unpickled."""

    assumed: list[str] = field(default_factory=list)
    trusted: list[Trusted] = field(default_factory=list)

    def assume(self, text: str) -> None:
        if text not in self.assumed:
            self.assumed.append(text)


@dataclass(frozen=True)
class Source:
    """Everything that the reader of a layout works from."""

    origin: Origin
    published: Published
    wishes: Wishes
    notes: Notes


def opened(path: Path, source: Source, read: Callable[[Path], T], take: Callable[[Any], T | None], what: str) -> T:
    """What a pickle of a stranger holds: read as data, or unpickled where that is refused and the user asked for it.

    Args:
        path: the file.
        source: says what the user wishes, and is told what was unpickled.
        read: reads it as data.
        take: gets the same out of the unpickled object; None if it is another.
        what: it is, for an error.

    Raises:
        RlzooError: if it is refused, or holds something else.
    """
    try:
        return read(path)
    except RlzooError as error:
        if error.code is not ExitCode.UNSAFE:
            raise
        if not source.wishes.trust:
            raise RlzooError(error.message, HINT, error.code) from error
    unpickled = unpickle(path, trust=source.wishes.trust, source=str(source.origin))
    source.notes.trusted.append(unpickled.record)
    found = take(unpickled.value)
    if found is None:
        raise RlzooError(f"{path.name!r} holds no {what}")
    return found


def defaults(algo: str, env_id: str) -> dict[str, Any]:
    """A whole configuration with rlzoo's own defaults: no tuned set, nothing around the environment.

    The user's own `conf/` has no part in it: it would change what others trained.

    Raises:
        RlzooError: if there is no such algorithm.
    """
    name = find_spec(algo).name
    if name not in _known_algorithms():
        raise RlzooError(
            f"{name} is no algorithm of rlzoo's, and nothing downloaded names a class", code=ExitCode.UNSAFE
        )
    short = env_names.short_names().get(env_id)
    env = _shipped(f"env/{short or ('atari' if is_atari(env_id) else 'gym')}")
    if short is None:
        env |= {"summary": env_id}
    env |= {"id": env_id, "imports": _imports(env_id), "kwargs": {}, "wrappers": {}, "frame_stack": None}
    env |= {"max_steps": None, "normalize": False, "observation_space": None, "action_space": None}
    values = {key: value for key, value in _shipped("train").items() if key != "defaults"}
    return {
        "algo": _shipped(f"algo/{name}"),
        "env": env,
        "logger": {"csv": {}},
        "launcher": _shipped("launcher/local"),
        **values,
    }


def is_atari(env_id: str) -> bool:
    """Whether an id is one of the Arcade Learning Environment's."""
    return env_names.package_of(env_id) == "ale_py"


def env_id_of(named: Sequence[str], source: Source, *, where: str) -> str:
    """The id to play in: as the user says, else the first of those `named` that is known, by its name of today.

    Raises:
        RlzooError: if none is named, or it means another environment today.
    """
    if source.wishes.env_id is not None:
        return aliases.current(source.wishes.env_id)
    candidates = list(dict.fromkeys(name for name in named if name))
    if not candidates:
        hint = "say it: env.id=CartPole-v1"
        raise RlzooError(f"{source.origin} does not say which environment its agent plays", hint)
    env_id = next((name for name in candidates if _is_known(name)), candidates[0])
    alias = aliases.resolve(env_id)
    if alias is None:
        return env_id
    if not alias.same:
        text = alias.differs(env_id)
        raise ConfigError(
            [Problem("env.id", text, f"env.id={alias.id} loads it all the same; expect other scores", where)]
        )
    source.notes.assume(f"{env_id} is called {alias.id} today: {alias.note}")
    return alias.id


def checked(values: dict[str, Any], source: Source, *, where: str) -> TrainConfig:
    """The typed configuration, with the spaces of the environment, one of which is made.

    Args:
        values: a whole configuration.
        source: where it comes from; a training that rlzoo would not begin like this is noted.
        where: the file that problems are in, for messages.

    Raises:
        ConfigError: with every problem.
        RlzooError: with exit code 7, if it names modules of others and is not trusted.
    """
    named = own_modules.named(values)
    if named and not source.wishes.trust:
        raise RlzooError(f"{where} has {', '.join(named)} imported", HINT, ExitCode.UNSAFE)
    places = strangers.naming(values)
    if places and not source.wishes.trust:
        raise RlzooError(f"{where} has {', '.join(places)} name a file or a module", HINT, ExitCode.UNSAFE)
    large = strangers.excessive(values)
    if large and not source.wishes.trust:
        raise RlzooError(f"{where} has {', '.join(large)} larger than {strangers.MOST:,}", HINT, ExitCode.UNSAFE)
    own_modules.allow(named)
    cfg, problems = check(TrainConfig, values)
    if not any(problem.key.partition(".")[0] == "env" for problem in problems):
        found = check_env(values["env"], declared_holds=False)
        problems += found.problems
        values["env"] |= {"observation_space": found.observation_space, "action_space": found.action_space}
        if found.masked is False and find_spec(str(values["algo"]["name"])).masked:
            text = f"{values['algo']['name']} needs action masks, which this environment has not"
            problems.append(Problem("env.id", text, "env.id=TaxiMasked-v0 has them"))
    problems += check_values(values["algo"], values["env"]["observation_space"])
    if problems or cfg is None:
        raise ConfigError([replace(problem, where=where) for problem in _unique(problems)])
    for problem in _training_problems(values):
        source.notes.assume(f"it only plays: a training with {problem.key} would not begin: it {problem.message}")
    return parse(values)


def write(run: Run, values: Mapping[str, Any], source: Source, *, layout: str, file: str, checkpoint: str) -> None:
    """Write the run's configuration, its record of where it comes from, and the score that was published.

    Args:
        run: the folder of the run, with the checkpoint.
        values: its configuration, which is not signed: it is a stranger's.
        source: where it comes from.
        layout: the name of the layout.
        file: where the weights were.
        checkpoint: the name of the checkpoint.
    """
    origin, published, notes = source.origin, source.published, source.notes
    entry = published.entry(checkpoint, run.checkpoint(checkpoint).num_timesteps)
    if entry is not None:
        run.append_result(entry)
    write_text(run.config_file, yaml_file.dump(dict(values)))
    about = {
        "repo_id": origin.repo_id,
        "commit": origin.commit,
        "revision": origin.revision,
        "layout": layout,
        "file": file,
        "published": published.text,
        "assumed": [*notes.assumed, *published.notes],
        "trusted": [record.to_json() for record in notes.trusted],
        "wishes": {"file": source.wishes.file, "algo": source.wishes.algo, "env.id": source.wishes.env_id},
    }
    known = run.read_info() if run.info_file.is_file() else {}
    run.write_info({**known, "status": "finished", "hub": about})


@contextmanager
def explained(name: str) -> Iterator[None]:
    """A misfit of weights, environment and network as an error for the user, whatever raised it."""
    try:
        yield
    except RlzooError:
        raise
    except (AssertionError, AttributeError, KeyError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        hint = (
            "they need the algorithm, network and spaces that they were learned with: algo= and env.id= choose others"
        )
        raise RlzooError(f"the weights of {name} do not fit: {first[:300]}", hint) from error


def _training_problems(values: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the algorithm's values together, which does not matter to an agent that is trained."""
    env = values["env"]
    n_envs = env.get("n_envs")
    found, _ = check_algo(
        values["algo"],
        observation_space=env.get("observation_space"),
        action_space=env.get("action_space"),
        n_envs=n_envs if type(n_envs) is int and n_envs > 0 else 1,
        total_timesteps=NO_LIMIT,
        typed=lambda key: False,
    )
    return found


def _unique(problems: Sequence[Problem]) -> list[Problem]:
    return list({problem.key: problem for problem in reversed(problems)}.values())[::-1]


def _is_known(env_id: str) -> bool:
    import gymnasium

    alias = aliases.resolve(env_id)
    if alias is not None:
        return True
    try:
        registration.register(module for module in _imports(env_id) if registration.installed(module))
    except RlzooError:
        return False
    return env_id in gymnasium.registry


def _imports(env_id: str) -> list[str]:
    module = env_names.package_of(env_id)
    return [module] if module is not None else []


def _known_algorithms() -> set[str]:
    return {path.stem for path in (paths.root() / "conf" / "algo").glob("*.yaml")} - {"custom"}


def _shipped(name: str) -> dict[str, Any]:
    """The values of a shipped file of `conf/`, over those of the file that it starts from."""
    path: Path = paths.root() / "conf" / f"{name}.yaml"
    values: dict[str, Any] = deepcopy(yaml_file.read(path).values)
    if name == "train":
        return values
    bases = [base for base in values.pop("defaults", ()) if isinstance(base, str) and base != "_self_"]
    below: dict[str, Any] = {}
    for base in bases:
        below |= _shipped(f"{name.partition('/')[0]}/{base}")
    return {**below, **values}
