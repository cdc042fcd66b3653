"""Opens the agent that words name: a run, a package's folder, or a file of weights, which is read into a run first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo.config import env_names, overrides
from rlzoo.config.files import read_choice
from rlzoo.config.paths import at_home
from rlzoo.config.quoting import unquoted
from rlzoo.config.schema import AgentConfig, TrainConfig
from rlzoo.errors import ConfigError, Problem, show
from rlzoo.hub.formats.read import NAMED, is_agent, read_local
from rlzoo.hub.formats.source import ImportOptions
from rlzoo.runs.config import RunConfig, find_problems
from rlzoo.runs.run import Run
from rlzoo.training.preflight import secret_problems

if TYPE_CHECKING:
    from rlzoo.evaluation.agent import Agent


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

    opened, words = open_run(run, AgentConfig("", env, algo, file, None, "runs"), trust=trust)
    config = changed_config(opened, words, trust) if words else None
    return agent.load(opened, checkpoint, device=device, config=config, trust=trust)


def open_agent(run: Run | Path | str, cfg: AgentConfig, env_words: Sequence[str] = (), *, trust: bool = False) -> Run:
    """The run that a command's words name, where its environment stays as it is.

    Raises:
        RlzooError: as `open_run` does.
    """
    opened, left = open_run(run, cfg, env_words, trust=trust)
    if left:
        hint = "evaluate, enjoy and record take env.*"
        raise ConfigError([Problem(overrides.key_of(word), "does not change here", hint) for word in left])
    return opened


def open_run(
    run: Run | Path | str, cfg: AgentConfig, env_words: Sequence[str] = (), *, trust: bool = False
) -> tuple[Run, list[str]]:
    """The run that `run=` names; a package's folder or a file of weights is read into one first.

    Args:
        run: a run, its directory, `"latest"`, `"algo/env"`, a package's folder, a downloaded repository, or a file.
        cfg: what it does not say by itself, and where runs are looked for.
        env_words: changes to the environment; the id among them says what a package or a file does not.
        trust: unpickle what the safe readers refuse.

    Returns:
        The run, and the words that change its environment.

    Raises:
        RlzooError: if there is no such run, or what is there cannot be read as one.
    """
    words = list(env_words)
    if not isinstance(run, Run | Path | str):
        raise ConfigError([Problem("run", f"must be a run, or the name or folder of one, not {show(run)}")])
    if isinstance(run, Run) or not is_agent(at_home(run)):
        hint = "single values of env.* can: env.kwargs.gravity=-5"
        said = [key for key in NAMED if getattr(cfg, key) is not None]
        problems = [Problem(key, f"{key}= cannot change for a run that exists", hint) for key in said]
        opened = run if isinstance(run, Run) else Run.open(run, cfg.runs_dir)
        if problems:
            raise ConfigError(problems)
        return opened, words
    env_id, kwargs = _meant(cfg.env)
    for word in env_words:
        if overrides.key_of(word) == "env.id":
            env_id = unquoted(word.partition("=")[2])
            words.remove(word)
    found = read_local(at_home(run), ImportOptions(cfg.file, cfg.algo, env_id, trust))
    has = found.read_config()["env"]["kwargs"]
    differ = [f"env.kwargs.{key}={value}" for key, value in kwargs.items() if key not in has or has[key] != value]
    return found, [*differ, *words]


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


def _meant(env: str | None) -> tuple[str | None, dict[str, Any]]:
    """The id behind `env=`, and the keywords of the shipped file."""
    found = None if env is None else env_names.resolve(env, {})
    if not isinstance(found, env_names.Choice):
        return env, {}
    values = read_choice("env", found.name)
    return str(found.settings.get("env.id", values["id"])), {} if found.settings else values["kwargs"] or {}
