"""What others published, and a run made of it: rlzoo's defaults below their settings, checked as any request, unsigned.

A file is opened only if its name, kind and size are fine.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from rlzoo import contained, registry
from rlzoo.algos.schema.check import check as check_algo
from rlzoo.algos.schema.check import check_values
from rlzoo.algos.specs import find_spec
from rlzoo.config import aliases, env_names, paths, records, yaml_file
from rlzoo.config.parse import check, parse
from rlzoo.config.schema import TrainConfig
from rlzoo.envs import registration
from rlzoo.envs.check import check_env
from rlzoo.errors import ConfigError, ExitCode, Problem, RlzooError, clean
from rlzoo.hub.listing import Published, read_published
from rlzoo.runs import checkpoints
from rlzoo.runs.run import Run, write_text
from rlzoo.runs.trust import foreign
from rlzoo.untrusted import pickle_files, signature
from rlzoo.untrusted.unpickle import HINT, Trusted, unpickle

T = TypeVar("T")

LIMITS = {
    ".zip": 512 * 2**20,
    ".pt": 128 * 2**20,
    ".pkl": pickle_files.MAX_BYTES,
    ".safetensors": checkpoints.MAX_PART,
    ".json": checkpoints.MAX_JSON,
    ".yml": yaml_file.MAX_BYTES,
    ".yaml": yaml_file.MAX_BYTES,
    ".md": 2**20,
    ".csv": 64 * 2**20,
}
"""Bytes that a file of each kind may have; others are not taken."""
MAX_SHOWN = 20
MAX_FILES = 10_000
"""Files that a folder may hold: a package has a few dozen, a home hundreds of thousands."""
NO_LIMIT = 2**62
"""Steps of a training that is over: whether its buffers would have been filled is not asked."""
BEGINNING_OF_TIME = (1980, 1, 1, 0, 0, 0)
"""The date of every file in a zip: the same contents give the same bytes."""


@dataclass(frozen=True)
class ImportOptions:
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


@dataclass(frozen=True)
class Origin:
    """Where files come from: a repository of the Hub at one commit, or a folder.

    Attributes:
        repo_id: `owner/name`; the folder's path where there is no repository.
        commit: all of its 40 digits; empty for a folder.
        revision: what was asked for: a branch, a tag, a commit.
    """

    repo_id: str
    commit: str = ""
    revision: str | None = None

    @property
    def name(self) -> str:
        """The repository's name without its owner."""
        return self.repo_id.rpartition("/")[2]

    def __str__(self) -> str:
        return f"{self.repo_id} at commit {self.commit[:8]}" if self.commit else self.repo_id


@dataclass(frozen=True)
class Repository:
    """Published files in a folder.

    Attributes:
        folder: where they lie.
        origin: where they come from.
        only: the names that count, if not all do.
    """

    folder: Path
    origin: Origin
    only: tuple[str, ...] = ()

    def names(self) -> list[str]:
        """The names of all files, relative to the folder; links are named, never followed.

        Raises:
            RlzooError: if there are more than anybody would publish.
        """
        if self.only:
            return sorted(name for name in self.only if os.path.lexists(self.folder / name))
        found: list[str] = []
        for number, path in enumerate(contained.walk(self.folder, hidden=False), 1):
            if not path.is_dir() or path.is_symlink():
                found.append(path.relative_to(self.folder).as_posix())
            if number > MAX_FILES:
                raise RlzooError(f"{self.origin} holds more than {MAX_FILES:,} files", "name the folder of one agent")
        return sorted(found)

    def find(self, name: str) -> Path | None:
        """The file of that name, None if there is none.

        Raises:
            RlzooError: with exit code 7, if the name leads out of the folder, or the file is a link or too large.
        """
        if self.only and name not in self.only:
            return None
        path = contained.inside(self.folder, name)
        if path.is_symlink():
            raise RlzooError(f"{clean(name)[:100]} of {self.origin} is a link, no file", code=ExitCode.UNSAFE)
        if not path.is_file():
            return None
        check_size(name, path.stat().st_size, self.origin)
        return path

    def need(self, name: str) -> Path:
        """The file of that name.

        Raises:
            RlzooError: as `find` does, and if there is none.
        """
        path = self.find(name)
        if path is None:
            raise RlzooError(
                f"{self.origin} has no {clean(name)[:100]}", f"it has: {shown(self.names())}", ExitCode.HUB
            )
        return path


@dataclass
class Source:
    """What the reader of a format works from, and what is worth saying about it.

    Attributes:
        repository: the files.
        options: what they do not say by themselves.
        assumed: what nobody said and was taken for granted, and what was left out.
        trusted: what was unpickled.
    """

    repository: Repository
    options: ImportOptions
    assumed: list[str] = field(default_factory=list)
    trusted: list[Trusted] = field(default_factory=list)

    @property
    def origin(self) -> Origin:
        return self.repository.origin

    @cached_property
    def published(self) -> Published:
        """The score that the repository says its agent has."""
        return read_published(self)

    def assume(self, text: str) -> None:
        if text not in self.assumed:
            self.assumed.append(text)

    def keys_and_values(self, name: str, *, finite: bool = False) -> dict[str, Any]:
        """What a JSON file holds; nothing if there is none, and if it is damaged, which is noted.

        Args:
            name: the file's.
            finite: a number that is not finite damages it.
        """
        path = self.repository.find(name)
        if path is None:
            return {}
        try:
            found = json.loads(path.read_bytes().decode("utf-8"))
            if not isinstance(found, dict):
                raise ValueError("it holds no keys and values")
            if finite:
                json.dumps(found, allow_nan=False)
        except (ValueError, RecursionError) as error:
            why = "it is nested too deeply" if isinstance(error, RecursionError) else clean(error)[:100]
            self.assume(f"{name} is left out: {why}")
            return {}
        return found


def check_size(name: str, size: int, origin: Origin) -> None:
    """Refuse a file that is larger than any of its kind.

    Raises:
        RlzooError: with exit code 7.
    """
    limit = LIMITS.get(PurePosixPath(name).suffix, 0)
    if size > limit:
        text = f"{clean(name)[:100]} of {origin} has {size:,} bytes; at most {limit:,} are read of such a file"
        raise RlzooError(text, code=ExitCode.UNSAFE)


def shown(names: list[str]) -> str:
    """Names of files for a message."""
    if not names:
        return "no files"
    more = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
    return ", ".join(" ".join(clean(name).split())[:80] for name in names[:MAX_SHOWN]) + more


def write_json(path: Path, value: Any) -> None:
    """Write plain data as people read it."""
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def write_zip(path: Path, contents: Mapping[str, bytes]) -> None:
    """Write a zip whose bytes depend on its contents alone."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            archive.writestr(zipfile.ZipInfo(name, BEGINNING_OF_TIME), data)


def opened(path: Path, source: Source, read: Callable[[Path], T], take: Callable[[Any], T | None], what: str) -> T:
    """What an untrusted pickle holds: read as data, or unpickled where that is refused and the user asked for it.

    Args:
        path: the file.
        source: says whether the user trusts it, and is told what was unpickled.
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
        if not source.options.trust:
            raise RlzooError(error.message, HINT, error.code) from error
    unpickled = unpickle(path, trust=source.options.trust, source=str(source.origin))
    source.trusted.append(unpickled.record)
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
    if name == "custom" or name not in {path.stem for path in (paths.root() / "conf" / "algo").glob("*.yaml")}:
        raise RlzooError(
            f"{name} is not an algorithm of rlzoo's, and nothing downloaded names a class", code=ExitCode.UNSAFE
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
    if source.options.env_id is not None:
        return aliases.current(source.options.env_id)
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
    source.assume(f"{env_id} is called {alias.id} today: {alias.note}")
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
    wanted = foreign(values)
    if wanted and not source.options.trust:
        raise RlzooError(f"{where} {'; '.join(wanted)}", HINT, ExitCode.UNSAFE)
    registry.allow_imports(registry.modules_named(values))
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
        first = {problem.key: problem for problem in reversed(problems)}
        raise ConfigError([problem._replace(where=where) for problem in reversed(first.values())])
    for problem in _training_problems(values["algo"], values["env"]):
        source.assume(f"it only plays: a training with {problem.key} would not begin: it {problem.message}")
    return parse(values)


def write_run(run: Run, values: Mapping[str, Any], source: Source, *, layout: str, file: str, checkpoint: str) -> None:
    """Write the run's configuration, its record of where it comes from, and the score that was published.

    Args:
        run: the folder of the run, with the checkpoint.
        values: its configuration, which is not signed: somebody else wrote it.
        source: where it comes from.
        layout: the name of the layout.
        file: where the weights were.
        checkpoint: the name of the checkpoint.
    """
    origin, published, options = source.origin, source.published, source.options
    entry = published.entry(checkpoint, run.checkpoint(checkpoint).num_timesteps)
    if entry is not None and (wrong := records.problem(records.Result, entry)):
        source.assume(f"the published score is left out: {wrong}")
    elif entry is not None:
        run.append_result(entry)
    write_text(run.config_file, yaml_file.dump(dict(values)))
    about = {
        "repo_id": origin.repo_id,
        "commit": origin.commit,
        "revision": origin.revision,
        "layout": layout,
        "file": file,
        "published": published.text,
        "assumed": source.assumed,
        "trusted": [record.to_json() for record in source.trusted],
        "wishes": {"file": options.file, "algo": options.algo, "env.id": options.env_id},
    }
    known = run.read_info() if run.info_file.is_file() else {}
    run.write_info({**known, "status": "finished", "hub": about, "loaded": loaded_mark(about)})


def loaded_mark(about: Mapping[str, Any]) -> str:
    """What says that this user has loaded an agent from where its record says; nobody else can write it."""
    return signature.signed(f"{about['repo_id']} {about['commit']}").partition("\n")[0]


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


def _training_problems(algo: Mapping[str, Any], env: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the algorithm's values together, which does not matter to an agent that is trained."""
    n_envs = env.get("n_envs")
    found, _ = check_algo(
        algo,
        observation_space=env.get("observation_space"),
        action_space=env.get("action_space"),
        n_envs=n_envs if type(n_envs) is int and n_envs > 0 else 1,
        total_timesteps=NO_LIMIT,
        typed=lambda key: False,
    )
    return found


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


def _shipped(name: str) -> dict[str, Any]:
    """The values of a shipped file of `conf/`, over those of the file that it starts from."""
    values: dict[str, Any] = deepcopy(yaml_file.read(paths.root() / "conf" / f"{name}.yaml").values)
    if name == "train":
        return values
    below: dict[str, Any] = {}
    for base in values.pop("defaults", ()):
        if isinstance(base, str) and base != "_self_":
            below |= _shipped(f"{name.partition('/')[0]}/{base}")
    return {**below, **values}
