"""What `evaluate`, `enjoy` and `record` share: where an agent plays, and what is said of a failure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rlzoo import strangers
from rlzoo.config import overrides
from rlzoo.config.compose import override
from rlzoo.config.parse import check
from rlzoo.config.schema import TrainConfig
from rlzoo.errors import ConfigError, ExitCode, Problem, RlzooError
from rlzoo.preflight import secret_problems
from rlzoo.runs import Checkpoint, Run


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

    composition = override(run.config_file, env_words)
    strangers.admit(run, composition.values, trust=trust)
    cfg, problems = check(TrainConfig, composition.values)
    problems = [*secret_problems(composition), *composition.problems, *problems]
    others = [word for word in env_words if not overrides.key_of(word).startswith("env.")]
    problems += [Problem(overrides.key_of(word), "only env.* can change where an agent plays") for word in others]
    if env_words and not problems:
        problems += check_env(composition.values["env"], declared_holds=False).problems
    if problems or cfg is None:
        raise ConfigError([composition.locate(problem) for problem in problems])
    return cfg


def checkpoints(run: Run, name: str | None) -> list[Checkpoint]:
    """The checkpoints that `checkpoint=` names, in the order of the training; of those of one step the first."""
    if name != "all":
        return [run.find_checkpoint(name)]
    run.find_checkpoint()  # there is one, or this says what there is
    by_step: dict[int, Checkpoint] = {}
    for found in run.checkpoints():
        by_step.setdefault(found.num_timesteps, found)
    return [by_step[step] for step in sorted(by_step)]
