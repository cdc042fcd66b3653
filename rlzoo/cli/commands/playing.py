"""What `evaluate`, `enjoy` and `record` share: who plays and where, and what is said of a failure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rlzoo import own_modules
from rlzoo.config import env_names, overrides
from rlzoo.config.compose import compose
from rlzoo.config.files import read_choice
from rlzoo.config.parse import check
from rlzoo.config.paths import at_home
from rlzoo.config.schema import (
    EnjoyConfig,
    EvaluateConfig,
    PackageConfig,
    PushToHubConfig,
    RecordConfig,
    ShowRunConfig,
    TrainConfig,
)
from rlzoo.errors import ConfigError, ExitCode, Problem, RlzooError
from rlzoo.hub.formats.read import NAMED, is_agent, read_local
from rlzoo.hub.formats.source import Wishes
from rlzoo.runs.config import RunConfig, find_problems
from rlzoo.runs.run import Checkpoint, Run, folder_name
from rlzoo.training.preflight import secret_problems

if TYPE_CHECKING:
    from rlzoo.evaluation.agent import Actor, Agent

OF_AGENT = ("run", *NAMED, "runs_dir")
"""Words that say whose run it is."""
WHO = (*OF_AGENT, "policy", "checkpoint", "trust")
"""Words that say who plays."""
KNOWN: dict[str, Any] = {"run": "", "policy": None, **dict.fromkeys(NAMED), "runs_dir": ""}
"""The values of those that are settled where the others are looked at."""


@dataclass(frozen=True)
class Player:
    """Who plays, and where.

    Attributes:
        run: whose checkpoints; None for uniformly random actions.
        config: with the environment that is played in.
        env_words: what was changed of it.
    """

    run: Run | None
    config: TrainConfig
    env_words: tuple[str, ...]

    def checkpoints(self, name: str | None) -> list[Checkpoint | None]:
        """The checkpoints that `checkpoint=` names, in the order of the training; of those of one step the first."""
        if self.run is None:
            return [None]
        if name != "all":
            return [self.run.find_checkpoint(name)]
        self.run.find_checkpoint()  # there is one, or this says what there is
        by_step: dict[int, Checkpoint | None] = {}
        for found in self.run.checkpoints():
            by_step.setdefault(found.num_timesteps, found)
        return [by_step[step] for step in sorted(by_step)]

    def film(self, name: str) -> Path:
        """Where a film of that name goes, unless a place is named."""
        if self.run is None:
            return Path("videos", f"random-{folder_name(self.config.env.id)}.mp4")
        return self.run.videos_dir / f"{name}.mp4"

    def actor(
        self, checkpoint: Checkpoint | str | None, device: str, deterministic: bool | Literal["auto"] = "auto"
    ) -> Actor:
        """Who acts at a checkpoint, the one that ships by default; whose it is and how it acts is said."""
        from rlzoo.console import say
        from rlzoo.evaluation import agent

        if self.run is None:
            say(f"uniformly random actions in {self.config.env.id}")
            return agent.Random(self.config)
        name = checkpoint.name if isinstance(checkpoint, Checkpoint) else checkpoint
        loaded = agent.load(self.run, name, device=device, config=self.config)
        actions = "deterministic" if loaded.is_deterministic(deterministic) else "sampled"
        say(f"run {self.run.path}, checkpoint {loaded.checkpoint.name}, {actions} actions")
        return loaded


def player(
    run: Run | Player | Path | str | None,
    env_words: Sequence[str] = (),
    *,
    policy: str | None = None,
    checkpoint: str | None = None,
    trust: bool = False,
    runs_dir: str = "runs",
    **said: Any,
) -> Player:
    """Find out who is to play, before anything is loaded.

    Args:
        run: a run, a package's folder or a file of weights; None is the newest run, or what `policy` says. A player
            is itself.
        env_words: changes to the environment.
        policy: `"random"`.
        checkpoint: what is asked for, which a policy has not.
        trust: use a run that was not made here although it names modules to import, and unpickle.
        runs_dir: where runs are looked for.
        said: `env`, `algo` and `file`, see `open_run`.

    Raises:
        RlzooError: if there is no such run, or the environment is wrong.
    """
    if isinstance(run, Player):
        return run
    if policy is None:
        opened, words = open_run("latest" if run is None else run, env_words, trust=trust, runs_dir=runs_dir, **said)
        opened.find_checkpoint()  # there is one, or this says so before anything else
        return Player(opened, changed_config(opened, words, trust), tuple(words))
    if policy != "random":
        raise ConfigError([Problem("policy", f"must be random, not {policy!r}", "an agent is named by run=")])
    given = {"run": run, "checkpoint": checkpoint, "algo": said.get("algo"), "file": said.get("file")}
    problems = [
        Problem(key, f"is not for policy={policy}, which is no agent of a run", "leave one of them out")
        for key, value in given.items()
        if value is not None
    ]
    env = said.get("env")
    if env is None:
        problems.append(Problem("env", "needs a value", f"policy={policy} env=LunarLander; rlzoo list envs"))
    if problems:
        raise ConfigError(problems)
    words = [f"env={env}", *env_words]
    return Player(None, _composed(words), tuple(words))


def who(cfg: EvaluateConfig | EnjoyConfig | RecordConfig, words: Sequence[str]) -> dict[str, Any]:
    """What the words of a command say of who plays, as `player` takes it; a default run was not asked for."""
    typed = any(overrides.key_of(word) == "run" for word in words)
    return {**{key: getattr(cfg, key) for key in WHO}, "run": cfg.run if typed or cfg.policy is None else None}


def load(
    run: Run | Path | str,
    checkpoint: str | int | None = None,
    *,
    env: str | None = None,
    algo: str | None = None,
    file: str | None = None,
    device: str = "auto",
    trust: bool = False,
) -> Agent:
    """Load a trained agent; nothing is unpickled.

    Args:
        run: a run, its directory, `"latest"` or `"algo/env"`; a package's folder or a file of weights, which becomes a
            run below `hub/local`.
        checkpoint: `"best"`, `"last"` or a step; by default the last, or `best` if that was shown to be better.
        env: the environment of a package or a file that does not say it.
        algo: the algorithm, likewise.
        file: the file with the weights, in a package of several.
        device: where the policy runs: `auto`, `cpu`, `cuda`, `cuda:1`.
        trust: use a run that was not made here although it names modules to import, and unpickle what the safe
            readers refuse.

    Raises:
        RlzooError: if the run or checkpoint does not exist, is damaged, or does not fit its configuration.
    """
    from rlzoo.evaluation import agent

    opened, words = open_run(run, env=env, algo=algo, file=file, trust=trust)
    config = changed_config(opened, words, trust) if words else None
    return agent.load(opened, checkpoint, device=device, config=config, trust=trust)


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words about an environment, and all others."""
    of_env = [word for word in words if overrides.key_of(word).startswith("env.")]
    return of_env, [word for word in words if word not in of_env]


def open_agent(cfg: PackageConfig | PushToHubConfig | ShowRunConfig, env_words: Sequence[str]) -> Run:
    """The run that a command's words name, where its environment stays as it is.

    Raises:
        RlzooError: as `open_run` does.
    """
    said: dict[str, Any] = {key: getattr(cfg, key) for key in (*NAMED, "runs_dir")}
    run, left = open_run(str(cfg.run), env_words, trust=getattr(cfg, "trust", False), **said)
    if left:
        hint = "evaluate, enjoy and record take env.*"
        raise ConfigError([Problem(overrides.key_of(word), "does not change here", hint) for word in left])
    return run


def open_run(
    run: Run | Path | str,
    env_words: Sequence[str] = (),
    *,
    env: str | None = None,
    algo: str | None = None,
    file: str | None = None,
    trust: bool = False,
    runs_dir: str = "runs",
) -> tuple[Run, list[str]]:
    """The run that `run=` names; a package's folder or a file of weights is read into one first.

    Args:
        run: a run, its directory, `"latest"`, `"algo/env"`, a package's folder, a downloaded repository, or a file.
        env_words: changes to the environment; the id among them says what a package or a file does not.
        env: the environment, where a package or a file does not say it.
        algo: the algorithm, likewise.
        file: the file with the weights, in a folder of several.
        trust: unpickle what the safe readers refuse.
        runs_dir: where runs are looked for.

    Returns:
        The run, and the words that change its environment.

    Raises:
        RlzooError: if there is no such run, or what is there cannot be read as one.
    """
    words = list(env_words)
    if isinstance(run, Run) or not is_agent(at_home(run)):
        said = {"env": env, "algo": algo, "file": file}
        problems = [
            Problem(
                key, f"{key}= cannot change for a run that exists", "single values of env.* can: env.kwargs.gravity=-5"
            )
            for key, value in said.items()
            if value is not None
        ]
        opened = run if isinstance(run, Run) else Run.open(run, runs_dir)
        if problems:
            raise ConfigError(problems)
        return opened, words
    env_id, kwargs = _meant(env)
    for word in env_words:
        if overrides.key_of(word) == "env.id":
            env_id = word.partition("=")[2].strip("'\"")
            words.remove(word)
    found = read_local(at_home(run), Wishes(file, algo, env_id, trust))
    has = found.read_config()["env"]["kwargs"]
    differ = [f"env.kwargs.{key}={value}" for key, value in kwargs.items() if key not in has or has[key] != value]
    return found, [*differ, *words]


def _meant(env: str | None) -> tuple[str | None, dict[str, Any]]:
    """The id behind `env=`, and the keywords of the shipped file."""
    found = None if env is None else env_names.resolve(env, {})
    if not isinstance(found, env_names.Choice):
        return env, {}
    values = read_choice("env", found.name)
    return str(found.settings.get("env.id", values["id"])), {} if found.settings else values["kwargs"] or {}


def _composed(words: Sequence[str]) -> TrainConfig:
    """The configuration of an environment by name, without any algorithm's settings, checked."""
    from rlzoo.console import say
    from rlzoo.envs.check import check_env

    composition = compose("train", [*words, "hyperparams=none"])
    own_modules.allow(own_modules.named(composition.values))
    cfg, problems = check(TrainConfig, composition.values)
    problems = [*secret_problems(composition), *composition.problems, *problems]
    others = [word for word in words[1:] if not overrides.key_of(word).startswith("env.")]
    problems += [Problem(overrides.key_of(word), "only env.* can change where it plays") for word in others]
    found = None if problems else check_env(composition.values["env"], declared_holds=False)
    problems += [] if found is None else found.problems
    if problems or cfg is None or found is None:
        raise ConfigError([composition.locate(problem) for problem in problems])
    for notice in (*composition.notices, *found.notices):
        say(f"note: {notice}")
    return replace(cfg, env=replace(cfg.env, normalize=False))  # nobody looks at what is observed


@contextmanager
def explained(what: str) -> Iterator[None]:
    """What fails in an environment, or in a run's configuration that somebody edited, is no bug of rlzoo's."""
    try:
        yield
    except RlzooError:
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0]
        hint = "a changed config.yaml or environment is the usual cause; RLZOO_DEBUG=1 shows the traceback"
        message = f"the {what} failed: {type(error).__name__}: {reason}"
        raise RlzooError(message, hint, ExitCode.TRAINING_FAILED) from error


def changed_config(run: Run, env_words: Sequence[str], trust: bool) -> TrainConfig:
    """The run's configuration with changes to its environment, checked."""
    from rlzoo.envs.check import check_env

    composition = RunConfig.open(run).compose(env_words, trust=trust)
    cfg, problems = find_problems(composition)
    problems = [*secret_problems(composition), *problems]
    others = [word for word in env_words if not overrides.key_of(word).startswith("env.")]
    problems += [Problem(overrides.key_of(word), "only env.* can change where an agent plays") for word in others]
    if env_words and not problems:
        now = check_env(composition.values["env"], declared_holds=False)
        before = check_env(RunConfig.open(run).file.values["env"], declared_holds=False)
        problems += now.problems
        spaces = [(found.observation_space, found.action_space) for found in (before, now)]
        if spaces[0] != spaces[1] and None not in (*spaces[0], *spaces[1]):
            here, there = (" and ".join(map(str, each)) for each in spaces)
            hint = f"{here} were what it was trained with, and {there} are what is there now"
            problems.append(Problem(overrides.key_of(env_words[0]), "is not what the agent can play", hint))
    return composition.settled(cfg, problems)
