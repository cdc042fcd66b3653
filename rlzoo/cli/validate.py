"""Checks configuration files, rlzoo's own or the user's, each composed with what it needs; or an environment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any, NamedTuple

from rlzoo import contained, registry
from rlzoo.cli.command import schemas
from rlzoo.config import assignments, files, paths, yaml_file
from rlzoo.config.compose import Composition, compose
from rlzoo.config.parse import check as check_schema
from rlzoo.config.paths import short_path
from rlzoo.config.schema import TrainConfig
from rlzoo.console import print_lines, print_table, say
from rlzoo.envs.check import EnvCheck, Use
from rlzoo.errors import ConfigError, ExitCode, Problem, RlzooError, code_of
from rlzoo.redaction import redact_values
from rlzoo.training.preflight import check_environment, find_problems, secret_problems
from rlzoo.tuning.request import find as find_tuning

PLACEHOLDERS = {"gym": "env.id=CartPole-v1", "atari": "env.id=PongNoFrameskip-v4"}
"""Choices that need one more word to be a whole request."""


@dataclass(frozen=True)
class Finding:
    """One mistake in a configuration file, or a note on what is none."""

    file: str
    key: str
    problem: str
    value: Any = None
    is_note: bool = False


class Report(NamedTuple):
    """How many files were checked, and what is wrong in them, or worth a note."""

    n_files: int
    found: list[Finding]

    @property
    def code(self) -> ExitCode:
        return ExitCode.WRONG_REQUEST if self.as_data()["findings"] else ExitCode.DONE

    def as_data(self) -> dict[str, Any]:
        """For programs."""
        rows = [asdict(finding) for finding in self.found]
        findings = [row for row in rows if not row.pop("is_note")]
        notices = [f"{finding.file}: {finding.problem}" for finding in self.found if finding.is_note]
        return {"files": self.n_files, "findings": findings, "notices": notices}

    def show(self) -> None:
        """Print it for people."""
        _, findings, notices = self.as_data().values()
        for notice in notices:
            say(f"note: {notice}")
        if findings:
            print_table(tuple(findings[0]), [tuple(row.values()) for row in findings])
        n_files = f"{self.n_files} files"
        print_lines(f"{len(findings)} problems in {n_files}" if findings else f"{n_files} checked, no problems")


class EnvReport(NamedTuple):
    """Everything that can be found out about an environment before it is trained in."""

    found: EnvCheck
    notices: list[str]

    @property
    def code(self) -> ExitCode:
        return code_of(self.found.problems) if self.found.problems else ExitCode.DONE

    def as_data(self) -> dict[str, Any]:
        """For programs."""
        found = self.found
        return {
            "env": found.id,
            "observation_space": found.observation_space,
            "action_space": found.action_space,
            "masked": found.masked,
            "random": None if found.play is None else {"returns": found.play.returns, "lengths": found.play.lengths},
            "problems": [each._asdict() for each in found.problems],
            "notices": self.notices,
        }

    def show(self) -> None:
        """Print it for people."""
        found = self.found
        if found.observation_space is not None:
            masks = ", which action_masks() tells the valid ones of" if found.masked else ""
            print_lines(f"{found.id}: observes {found.observation_space}, acts in {found.action_space}{masks}")
        if found.play is not None and (scores := found.play.returns):
            steps = f"{fmean(found.play.lengths):.0f} steps each"
            print_lines(f"random play: {fmean(scores):.2f} ± {pstdev(scores):.2f} over {len(scores)} episodes, {steps}")
        for notice in self.notices:
            say(f"note: {notice}")
        if found.problems:
            raise ConfigError(found.problems)
        print_lines("no problems")


def validate_environment(words: Sequence[str]) -> EnvReport:
    """Make and play the environment that `env=` and `env.*` name, with all that a training may ask of it."""
    _, composition, found = check_environment(words, Use(masks=True, goals=True, films=True, checkers=True, plays=True))
    return EnvReport(found, [*composition.notices, *found.notices])


def validate(targets: Sequence[Path] = ()) -> Report:
    """Check files, or everything that rlzoo ships and the user has if none is named.

    Raises:
        RlzooError: if a target does not exist.
    """
    found = list(_everything()) if not targets else [file for target in targets for file in _files_below(target)]
    findings = [finding for file in found for finding in check_file(file)]
    return Report(len(found), list(dict.fromkeys(findings)))


def check_file(path: Path) -> Iterator[Finding]:
    """What is wrong with one file, composed into a whole request where it is part of one."""
    try:
        yaml_file.read(path)
    except RlzooError as error:
        yield Finding(short_path(path), "", error.message)
        return
    if path.parent == paths.root() / "conf":
        yield from _check_command_file(path)
        return
    if _place(path)[0] == "course":
        yield from _check_course(path)
        return
    try:
        words = _request_for(path)
    except RlzooError as error:
        yield Finding(short_path(path), "", str(error))
        return
    if words is None:
        yield Finding(short_path(path), "", "is in none of the known places: conf/<group>/ or hyperparams/<algo>/")
        return
    command = "tune" if _place(path)[0] == "search_space" else "train"
    try:
        composition = compose(command, words)
    except RlzooError as error:
        yield Finding(short_path(path), "", str(error))
        return
    if command == "tune":
        for problem in find_tuning(composition)[3]:
            yield _finding(composition, problem, path)
        return
    problems, notices = _checked(composition, imports=not _would_import(composition))
    for problem in problems:
        if not problem.missing:  # a package that is not installed here is not a mistake in the file
            yield _finding(composition, problem, path)
    if not path.resolve().is_relative_to(paths.root()):
        yield from (Finding(short_path(path), "", notice, is_note=True) for notice in notices)


def _check_course(path: Path) -> Iterator[Finding]:
    """The assignments of the course, and the requests that train them."""
    found, problems = assignments.read(path)
    lines = yaml_file.read(path).line
    for problem in problems:
        line = lines(tuple(problem.key.split(".")))
        yield Finding(f"{short_path(path)}:{line}", problem.key, problem.message)
    shipped = path.resolve().is_relative_to(paths.root())
    for assignment in (each for each in found if each.words):
        try:
            composition = compose("train", list(assignment.words))
            imports = shipped or not registry.modules_named(composition.values)
            problems, _ = _checked(composition, imports=imports)
        except RlzooError as error:
            yield Finding(short_path(path), f"{assignment.name}.words", str(error))
            continue
        for problem in (each for each in problems if not each.missing):
            yield Finding(short_path(path), f"{assignment.name}.words", str(problem))


def _checked(composition: Composition, *, imports: bool) -> tuple[list[Problem], list[str]]:
    """What is wrong with a request to train, and notices; without `imports`, what can be said without its modules."""
    if imports:
        return find_problems(composition)[1:]
    found = check_schema(TrainConfig, composition.values)[1]
    return [*composition.problems, *secret_problems(composition), *found], []


def _would_import(composition: Composition) -> bool:
    """Whether a file names modules of its own: checking a file imports nothing that only the file asks for."""
    naming = (("env", "imports"), ("env", "id"), ("env", "wrappers"), ("algo", "name"))
    from_file = any(
        origin.file is not None and not origin.shipped and path[:2] in naming
        for path, origin in composition.tree.origins.items()
    )
    return from_file and bool(registry.modules_named(composition.values))


def _finding(composition: Composition, problem: Problem, path: Path) -> Finding:
    value: Any = composition.values
    for key in problem.key.split(".") if problem.key else ():
        value = value.get(key) if isinstance(value, dict) else None
    where = composition.locate(problem).where
    text = f"{problem.message} ({problem.hint})" if problem.hint else problem.message
    file = where if where and where != "command line" else short_path(path)
    shown = redact_values({problem.key: value})[problem.key]
    return Finding(file, problem.key, text, None if isinstance(value, dict) and not problem.key else repr(shown))


def _check_command_file(path: Path) -> Iterator[Finding]:
    schema = schemas().get(path.stem)
    if schema is not None:
        _, problems = check_schema(schema, yaml_file.read(path).values)
        for problem in problems:
            yield Finding(short_path(path), problem.key, problem.message)
        return
    try:
        composition = compose(path.stem, [])
    except (RlzooError, ConfigError) as error:
        yield Finding(short_path(path), "", str(error))
        return
    problems = find_tuning(composition)[3] if path.stem == "tune" else find_problems(composition)[1]
    for problem in problems:
        yield _finding(composition, problem, path)


def _request_for(path: Path) -> list[str] | None:
    """The words of a request that the file takes part in."""
    group, name = _place(path)
    if group == "env":
        return ["hyperparams=none", _algo_for(name), f"env={name}", *_placeholder(name)]
    if group in ("algo", "search_space"):
        return ["hyperparams=none", f"algo={name}", *_env_for(name)]
    if group == "hyperparams":
        return _request_for_set(path, *name.split("/"))
    if group == "experiment":
        return [f"experiment={name}"]
    if group == "logger":
        return [f"logger=[{name}]"]
    if group == "launcher":
        return [f"launcher={name}"]
    return ["env=atari", *_placeholder("atari")] if group == "family" else None


def _place(path: Path) -> tuple[str, str]:
    """The group and name that a file's path says: `("env", "CartPole")`, `("hyperparams", "ppo/CartPole")`."""
    for place in (path.absolute(), path.resolve()):  # a link is of the group it lies in
        if place.parent.parent.name == "hyperparams":
            return "hyperparams", f"{place.parent.name}/{place.stem}"
        if place.parent.parent.name == "conf":
            return place.parent.name, place.stem
    return "", path.stem


def _request_for_set(path: Path, algo: str, name: str) -> list[str]:
    own = files.find(f"hyperparams/{algo}/{name}")
    is_found = own is not None and own.path.resolve() == path.resolve()
    env = ["env=atari", *_placeholder("atari")] if name == "atari" else [f"env={name}", *_placeholder(name)]
    if name not in files.options("env"):
        env, is_found = _env_for(algo), False  # no request finds it by a name
    return [f"algo={algo}", *env, *([] if is_found else [f"hyperparams={path}"])]


def _placeholder(name: str) -> list[str]:
    return [PLACEHOLDERS[name]] if name in PLACEHOLDERS else []


def _algo_for(env: str) -> str:
    """An algorithm that fits the environment's actions: any would do to check the environment's own file."""
    try:
        action = str(files.read_choice("env", env).get("action_space") or "Discrete")
    except RlzooError:
        action = "Discrete"
    return "algo=sac" if action.startswith("Box") else "algo=ppo"


def _env_for(algo: str) -> list[str]:
    from rlzoo.algos.specs import find_spec

    if algo == "custom":
        return ["algo.name=stable_baselines3:PPO"]
    named = files.read_choice("algo", algo).get("name") if algo in files.options("algo") else None
    spec = find_spec(named if isinstance(named, str) else algo)
    if spec.masked:
        return ["env=TaxiMasked"]
    if spec.observation_spaces:
        return ["env=FrozenLake"]
    return ["env=Pendulum"] if "Discrete" not in spec.action_spaces else ["env=CartPole"]


def _everything() -> Iterator[Path]:
    for folder in (paths.root() / "conf", paths.root() / "hyperparams"):
        yield from sorted(folder.rglob("*.yaml"))
    yield from (file.path for file in files.user_files())


def _files_below(target: Path) -> list[Path]:
    if target.is_dir():
        found = sorted(path for path in contained.walk(target) if path.suffix == ".yaml" and path.is_file())
        if not found:
            raise RlzooError(f"there is no .yaml file in {target}")
        return found
    if not target.is_file():
        raise RlzooError(f"there is no file or folder {target}")
    return [target]
